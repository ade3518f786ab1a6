//go:build cgo

package csrc

// The sources are embedded so that an edit in any sub-folder rebuilds this package and its importers, and so that vendoring keeps
// them; the bytes do not reach the binary.

/*
#cgo CFLAGS: -std=c17 -fvisibility=hidden -fno-strict-aliasing -pthread -g1 -Wno-pass-failed
#cgo !asan CFLAGS: -O3
#cgo asan CFLAGS: -O1
#cgo LDFLAGS: -lm -lpthread
#include "include/thinker.h"
*/
import "C"
import "embed"

//go:embed *.c *.h include/*.h simd/*.h
var _ embed.FS
