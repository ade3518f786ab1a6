//go:build race

package optest

// The race detector slows the references down several times, and what it looks for does not depend on sizes: one case and one
// property in so many run.
const (
	thin           = 6
	thinProperties = 6
	checked        = true
)
