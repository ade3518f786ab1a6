//go:build cgo

package bench

import "testing"

// skipWithoutLibrary does nothing: with cgo the cpu back-end is part of the program.
func skipWithoutLibrary(testing.TB, error) {}
