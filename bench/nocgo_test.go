//go:build !cgo

package bench

import (
	"errors"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// skipWithoutLibrary skips where the shared library has not been built.
func skipWithoutLibrary(t testing.TB, err error) {
	if errors.Is(err, binding.ErrNoLibrary) {
		t.Skip(err)
	}
}
