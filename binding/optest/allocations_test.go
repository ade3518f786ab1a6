//go:build cgo && !asan

package optest

import (
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// TestAllocations: no op's call allocates, when its args are used again.
func TestAllocations(t *testing.T) {
	d := open(t, binding.ISAAuto, 2)
	for _, p := range refusalBases() {
		l, err := p.place(d)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			if err := Call(d, l.args); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a call", p.Op, n)
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
}
