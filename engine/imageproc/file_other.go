//go:build !unix

package imageproc

const openNonblock = 0
