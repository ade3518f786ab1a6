//go:build cgo && !asan

package binding

import "testing"

// TestAllocations: a call with args that are used again allocates nothing.
func TestAllocations(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	b, err := d.Alloc(4096)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a := &RMSNormArgs{DType: F32, X: b.Addr(), Weight: b.Addr() + 1024, Y: b.Addr() + 2048, Rows: 2, Cols: 8, LdX: 8, LdY: 8, Eps: 1}
	if n := testing.AllocsPerRun(100, func() {
		if err := d.RMSNorm(a); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}
