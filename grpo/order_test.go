package grpo

import (
	"slices"
	"testing"
)

// An order gives every example once an epoch, in another order each time, and the same whatever the sizes in which it is taken.
func TestOrder(t *testing.T) {
	const n = 10
	all := func(sizes ...int) []int {
		o, c := order{n: n, seed: 4, shuffle: true}, Cursor{}
		var got []int
		for len(got) < 3*n {
			for _, k := range sizes {
				got = append(got, o.take(&c, k)...)
			}
		}
		return got[:3*n]
	}
	want := all(1)
	for e := range 3 {
		epoch := slices.Sorted(slices.Values(want[e*n : (e+1)*n]))
		for i := range n {
			if epoch[i] != i {
				t.Fatalf("epoch %d holds %v", e, epoch)
			}
		}
	}
	if slices.Equal(want[:n], want[n:2*n]) {
		t.Error("two epochs have one order")
	}
	for _, sizes := range [][]int{{3}, {7, 2}, {25}} {
		if got := all(sizes...); !slices.Equal(got, want) {
			t.Errorf("taken by %v: %v, want %v", sizes, got, want)
		}
	}
	// From a cursor on, a new order goes on as the old one.
	o, c := order{n: n, seed: 4, shuffle: true}, Cursor{}
	o.take(&c, 13)
	fresh := order{n: n, seed: 4, shuffle: true}
	if got := fresh.take(&c, 5); !slices.Equal(got, want[13:18]) {
		t.Errorf("resumed: %v, want %v", got, want[13:18])
	}
	if c != (Cursor{Epoch: 1, Next: 8}) {
		t.Errorf("the cursor is at %+v", c)
	}
	// A run of another seed, and one without shuffling.
	other := order{n: n, seed: 5, shuffle: true}
	if slices.Equal(other.permutation(0), o.permutation(0)) {
		t.Error("two seeds have one order")
	}
	plain := order{n: 3}
	c = Cursor{}
	if got := plain.take(&c, 5); !slices.Equal(got, []int{0, 1, 2, 0, 1}) {
		t.Errorf("without shuffling: %v", got)
	}
}
