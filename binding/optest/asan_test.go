//go:build asan

package optest

// Under the sanitizers every case runs, for the sake of its sizes, but the references, which take all of the time then, do not.
const (
	thinProperties = 6
	checked        = false
)
