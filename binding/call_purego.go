//go:build !cgo

package binding

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/ebitengine/purego"
)

// ErrNoLibrary reports that the cpu back-end's shared library was not found: the program was built without cgo, which would hold it.
var ErrNoLibrary = errors.New("binding: the cpu back-end's library was not found")

const cpuLibrary = "libthinker_cpu.so"

// load opens library, or looks for the cpu back-end: $THINKER_CPU_LIB, then the program's own folder and its ../lib. Never the
// working directory, where anybody may have put one.
func load(library string) (*api, error) {
	if library == "" {
		library = os.Getenv("THINKER_CPU_LIB")
	}
	if library != "" {
		return open(library)
	}
	var tried []string
	if exe, err := os.Executable(); err == nil {
		for _, dir := range []string{filepath.Dir(exe), filepath.Join(filepath.Dir(exe), "..", "lib")} {
			p := filepath.Join(dir, cpuLibrary)
			if _, err := os.Stat(p); err == nil {
				return open(p)
			}
			tried = append(tried, p)
		}
	}
	return nil, fmt.Errorf("%w: tried %q; build it with `make lib` and set THINKER_CPU_LIB to it, or build the program with cgo", ErrNoLibrary, tried)
}

func callFunction(f uintptr, ctx uint64, args, err unsafe.Pointer) int32 {
	r, _, _ := purego.SyscallN(f, uintptr(ctx), uintptr(args), uintptr(err))
	return int32(r)
}
