//go:build race

package optest

// thin is how much of the table runs: one case in so many. The race detector slows the references down several times, and what it
// looks for does not depend on sizes.
const thin = 6
