package tokenizer

// candidates is a heap of four children a node with the least key at its root:
// the next pair to merge. Keys differ: a pair at the same place comes twice only
// with another rank.
type candidates []candidate

const children = 4

// init makes a heap of a slice in any order.
func (h candidates) init() {
	for i := (len(h)+children-2)/children - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *candidates) push(c candidate) {
	*h = append(*h, c)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / children
		if s[parent].key <= c.key {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = c
}

func (h *candidates) pop() candidate {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	if last > 0 {
		s.down(0)
	}
	return top
}

// down moves element i to its place below.
func (h candidates) down(i int) {
	c := h[i]
	for {
		first := children*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for k := first + 1; k < min(first+children, len(h)); k++ {
			if h[k].key < h[least].key {
				least = k
			}
		}
		if c.key <= h[least].key {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = c
}
