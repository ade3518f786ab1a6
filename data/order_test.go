package data

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// An order gives every example once an epoch, in another order each time, and the same whatever the sizes in which it is taken.
func TestOrder(t *testing.T) {
	const n = 10
	all := func(sizes ...int) []int {
		o, c := NewOrder(n, 4, true), Cursor{}
		var got []int
		for len(got) < 3*n {
			for _, k := range sizes {
				got = append(got, o.Take(&c, k)...)
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
	o, c := NewOrder(n, 4, true), Cursor{}
	o.Take(&c, 13)
	fresh := NewOrder(n, 4, true)
	if got := fresh.Take(&c, 5); !slices.Equal(got, want[13:18]) {
		t.Errorf("resumed: %v, want %v", got, want[13:18])
	}
	if c != (Cursor{Epoch: 1, Next: 8}) {
		t.Errorf("the cursor is at %+v", c)
	}
	// A run of another seed, and one without shuffling.
	other := NewOrder(n, 5, true)
	if slices.Equal(other.permutation(0), o.permutation(0)) {
		t.Error("two seeds have one order")
	}
	plain := NewOrder(3, 0, false)
	c = Cursor{}
	if got := plain.Take(&c, 5); !slices.Equal(got, []int{0, 1, 2, 0, 1}) {
		t.Errorf("without shuffling: %v", got)
	}
}

// The permutations are part of what a run resumes to: these are the ones that runs have been saved with.
func TestOrderIsStable(t *testing.T) {
	var c Cursor
	got := NewOrder(8, 4, true).Take(&c, 24)
	if want := []int{3, 7, 6, 0, 2, 1, 4, 5, 4, 1, 6, 0, 5, 3, 2, 7, 2, 5, 3, 0, 1, 6, 4, 7}; !slices.Equal(got, want) {
		t.Errorf("%#v, want %v", got, want)
	}
	c.Next = 5
	if b, err := json.Marshal(c); err != nil || string(b) != `{"epoch":3,"next":5}` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestOrderRefuses(t *testing.T) {
	o := NewOrder(3, 0, true)
	for _, next := range []int{-1, 3, 4} {
		if err := o.Check(Cursor{Next: next}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("example %d of epoch 0", next)) {
			t.Errorf("a cursor at %d of 3: %v", next, err)
		}
	}
	if err := o.Check(Cursor{Epoch: 7, Next: 2}); err != nil {
		t.Error(err)
	}
	for name, f := range map[string]func(){
		"no examples":      func() { NewOrder(0, 0, true) },
		"a foreign cursor": func() { o.Take(&Cursor{Next: 3}, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
