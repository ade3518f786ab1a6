package grpo

import "math/rand/v2"

// A Cursor is how far a run has come through its data: Next examples of epoch Epoch have been taken.
type Cursor struct {
	Epoch uint64 `json:"epoch"`
	Next  int    `json:"next"`
}

// An order is the order of a data set of n examples: every epoch is a permutation that depends on the seed and the epoch alone, so a
// run that resumes at a cursor meets the very examples that it would have met.
type order struct {
	n       int
	seed    uint64
	shuffle bool

	epoch uint64
	perm  []int // of epoch; nil at first
}

// take returns the next k examples and moves the cursor past them, into later epochs where this one ends.
func (o *order) take(c *Cursor, k int) []int {
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

func (o *order) permutation(epoch uint64) []int {
	p := make([]int, o.n)
	for i := range p {
		p[i] = i
	}
	if o.shuffle {
		// Fisher and Yates. The remainder's bias is below n/2^64.
		r := rand.NewPCG(o.seed, epoch)
		for i := o.n - 1; i > 0; i-- {
			j := int(r.Uint64() % uint64(i+1))
			p[i], p[j] = p[j], p[i]
		}
	}
	return p
}
