package binding

import (
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// open loads a back-end's shared library. It is never unloaded: its threads and the table may outlive the device.
func open(library string) (*api, error) {
	h, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("binding: cannot open %s: %w", library, err)
	}
	var getAPI func(uint32) unsafe.Pointer
	var layout func(uint32) uint32
	for name, f := range map[string]any{"tk_get_api": &getAPI, "tk_layout": &layout} {
		if _, err := purego.Dlsym(h, name); err != nil {
			return nil, fmt.Errorf("binding: %s is no back-end of Thinker: %w", library, err)
		}
		purego.RegisterLibFunc(f, h, name)
	}
	return newAPI(getAPI(ABIVersion), layout)
}
