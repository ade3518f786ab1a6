//go:build cgo

package binding

import "testing"

// skipWithoutLibrary does nothing: with cgo the cpu back-end is part of the program.
func skipWithoutLibrary(testing.TB, error) {}
