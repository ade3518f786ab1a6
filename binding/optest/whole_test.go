//go:build !race && !asan

package optest

// Everything runs, and is held against the references.
const (
	thin           = 1
	thinProperties = 1
	checked        = true
)
