package data

import (
	"fmt"
	"math/rand/v2"
)

// A Cursor is how far a run has come through its data: Next examples of epoch Epoch have been taken. It is what a run saves in order to
// go on, and its JSON is stable.
type Cursor struct {
	Epoch uint64 `json:"epoch"`
	Next  int    `json:"next"`
}

// An Order is the order in which a run meets the n examples of a data set. Every epoch is a permutation that depends on the seed and the
// epoch alone, so a run that resumes at a cursor meets the very examples that it would have met. An Order may not be used by several
// goroutines at once.
type Order struct {
	n       int
	seed    uint64
	shuffle bool

	epoch uint64
	perm  []int // of epoch; nil at first
}

// NewOrder returns the order of n examples: their own, or shuffled anew in every epoch. An order of less than one example panics, for
// nothing could be taken from it.
func NewOrder(n int, seed uint64, shuffle bool) *Order {
	if n < 1 {
		panic(fmt.Sprintf("data: an order of %d examples", n))
	}
	return &Order{n: n, seed: seed, shuffle: shuffle}
}

// Len is the number of examples of an epoch.
func (o *Order) Len() int { return o.n }

// Check returns an error if c is no cursor of this order: one that was saved over more examples, or was not saved whole.
func (o *Order) Check(c Cursor) error {
	if c.Next < 0 || c.Next >= o.n {
		return fmt.Errorf("data: the cursor stands at example %d of epoch %d, and an epoch has %d examples: it was saved over other data", c.Next, c.Epoch, o.n)
	}
	return nil
}

// Take returns the next k examples and moves the cursor past them, into later epochs where this one ends. It panics at a cursor that
// Check refuses.
func (o *Order) Take(c *Cursor, k int) []int {
	if err := o.Check(*c); err != nil {
		panic(err)
	}
	taken := make([]int, 0, k)
	for len(taken) < k {
		if o.perm == nil || o.epoch != c.Epoch {
			o.epoch, o.perm = c.Epoch, o.permutation(c.Epoch)
		}
		m := min(k-len(taken), o.n-c.Next)
		taken = append(taken, o.perm[c.Next:c.Next+m]...)
		if c.Next += m; c.Next == o.n {
			*c = Cursor{Epoch: c.Epoch + 1}
		}
	}
	return taken
}

func (o *Order) permutation(epoch uint64) []int {
	p := make([]int, o.n)
	for i := range p {
		p[i] = i
	}
	if o.shuffle {
		shuffle(p, rand.NewPCG(o.seed, epoch))
	}
	return p
}

// shuffle is Fisher's and Yates'. The remainder's bias is below n/2^64.
func shuffle(p []int, r *rand.PCG) {
	for i := len(p) - 1; i > 0; i-- {
		j := int(r.Uint64() % uint64(i+1))
		p[i], p[j] = p[j], p[i]
	}
}
