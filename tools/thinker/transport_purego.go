//go:build !cgo

package main

// transport is how this program reaches the kernels.
const transport = "purego"
