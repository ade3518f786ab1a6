// Package binding runs Thinker's kernels from Go: devices, buffers, and one method an op.
//
// It is thin. A [Device] is a context of one back-end; a [Buffer] is memory of that device; every op takes the args struct of the C
// ABI (csrc/include/thinker.h, which states shapes, layouts, reduction orders and errors) with buffer addresses in it:
//
//	d, err := binding.Open(binding.Options{})
//	defer d.Close()
//	x, err := d.Alloc(4 * n)
//	defer x.Close()
//	err = d.RMSNorm(&binding.RMSNormArgs{DType: binding.F32, X: x.Addr(), ...})
//
// There are two transports to the same table of functions. With cgo the cpu back-end is compiled into the program. Without
// (CGO_ENABLED=0, or no C compiler) it is a shared library, built by CMake, that purego opens at run time. Nothing is loaded before
// Open, and nothing is kept in package variables.
package binding

//go:generate go run ../tools/abigen ../csrc/include/thinker.h abi.go
