package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Split parts a set into one to learn from and one of held records to be evaluated on, by the seed. Records that share a picture or an
// id stay on one side, and so do those that hang together by others; so fewer than held records are held out where the groups do not
// add up to it. Each side is in the order of the set. No side is ever empty: to hold none out is to keep the set as it is, and an error here.
func Split(s *Set, held int, seed uint64) (train, heldOut *Set, err error) {
	n := s.Len()
	switch {
	case n < 2:
		return nil, nil, fmt.Errorf("data: %s cannot be parted: want 2 or more", count(n, "record"))
	case held < 1 || held >= n:
		return nil, nil, fmt.Errorf("data: %d of %s are to be held out: want from 1 to %d", held, count(n, "record"), n-1)
	}
	number := map[int32]int{}
	var groups [][]int
	for i := range n {
		g := s.src.entries[s.entry(i)].group
		k, ok := number[g]
		if !ok {
			k = len(groups)
			number[g] = k
			groups = append(groups, nil)
		}
		groups[k] = append(groups[k], i)
	}
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	shuffle(order, rand.NewPCG(seed, math.MaxUint64)) // no epoch's
	var in, out []int
	for _, k := range order {
		if len(out)+len(groups[k]) <= held {
			out = append(out, groups[k]...)
		} else {
			in = append(in, groups[k]...)
		}
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("data: no %s can be held out: all groups of records that share pictures or ids are larger", count(held, "record"))
	}
	slices.Sort(in)
	slices.Sort(out)
	return s.Pick(in), s.Pick(out), nil
}
