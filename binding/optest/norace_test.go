//go:build !race

package optest

// thin is how much of the table runs: all of it.
const thin = 1
