//go:build cgo

package binding

/*
#cgo CFLAGS: -std=c17
#include "../csrc/include/thinker.h"

#cgo noescape tk_call
#cgo nocallback tk_call
static inline int32_t tk_call(uintptr_t f, uint64_t ctx, uint8_t *args, uint8_t *err)
{
	return ((int32_t (*)(uint64_t, void *, tk_error *))f)(ctx, args, (tk_error *)err);
}
*/
import "C"

import (
	"unsafe"

	_ "github.com/thinker-vl/thinker/csrc" // the cpu back-end
)

// load returns the built-in cpu back-end, or the one in library.
func load(library string) (*api, error) {
	if library != "" {
		return open(library)
	}
	return newAPI(unsafe.Pointer(C.tk_get_api(ABIVersion)), func(i uint32) uint32 { return uint32(C.tk_layout(C.uint32_t(i))) })
}

// callFunction is one cgo call. The pointers are typed bytes, which spares cgo's search of the args for Go pointers: there are none.
func callFunction(f uintptr, ctx uint64, args, err unsafe.Pointer) int32 {
	return int32(C.tk_call(C.uintptr_t(f), C.uint64_t(ctx), (*C.uint8_t)(args), (*C.uint8_t)(err)))
}
