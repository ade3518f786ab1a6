//go:build !asan

package optest

// Everything runs, and is held against the references.
const (
	thinProperties = 1
	checked        = true
)
