//go:build !cgo

package binding

import (
	"errors"
	"testing"
)

// skipWithoutLibrary skips where the shared library has not been built.
func skipWithoutLibrary(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrNoLibrary) {
		t.Skip(err)
	}
}

// TestNoLibrary: an Open that finds no library says where it looked, and what to do.
func TestNoLibrary(t *testing.T) {
	t.Setenv("THINKER_CPU_LIB", "")
	if _, err := Open(Options{}); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("got %v, want ErrNoLibrary", err)
	}
}
