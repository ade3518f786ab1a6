// Package csrc holds the C ABI of Thinker's kernel back-ends (include/thinker.h) and its cpu back-end: C17 kernels for scalar,
// AVX2, AVX-512, AVX-512 BF16 and AMX machines, chosen at run time, and a thread pool.
//
// With a C compiler the package compiles them into the program through cgo; without one it is empty, and package binding opens
// the same sources as a shared library (built by CMake). Nothing here is called from Go directly: see package binding.
package csrc
