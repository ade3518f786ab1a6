package tokenizer

import "math"

// Byte-pair encoding of one word: of all neighbouring pairs that the merge list
// holds, the one of lowest rank is merged, the leftmost of equals, until none is
// left. (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
// Subword Units", with ranks as in GPT-2 and the order of Hugging Face tokenizers.)

// merge is what two neighbouring tokens become.
type merge struct {
	rank int32 // the position in the merge list
	id   int32
}

const noRank = math.MaxInt32

// maxShort is the longest word, in bytes, that is merged by searching all pairs at
// every step, and is cached. Above it a heap is faster.
const maxShort = 48

// appendWord appends the ids of a word, which is not empty.
func (t *Tokenizer) appendWord(ids []int32, word string) []int32 {
	if len(word) == 1 {
		return append(ids, t.byteIDs[word[0]])
	}
	if len(word) > maxShort {
		return t.appendLong(ids, word)
	}
	slot := t.words.slot(word)
	if e := slot.Load(); e != nil && e.word == word {
		return append(ids, e.ids...)
	}
	start := len(ids)
	ids = t.appendShort(ids, word)
	slot.Store(newCachedWord(word, ids[start:]))
	return ids
}

// appendShort merges a word of at most maxShort bytes.
func (t *Tokenizer) appendShort(ids []int32, word string) []int32 {
	var symbols [maxShort]int32
	var merges [maxShort]merge // of symbol i and the next
	n := len(word)
	for i := range n {
		symbols[i] = t.byteIDs[word[i]]
	}
	for i := range n - 1 {
		merges[i] = t.merges.ofBytes(word[i], word[i+1])
	}
	merges[n-1].rank = noRank
	for {
		best := 0
		for i := 1; i < n; i++ {
			if merges[i].rank < merges[best].rank {
				best = i
			}
		}
		if merges[best].rank == noRank {
			return append(ids, symbols[:n]...)
		}
		symbols[best] = merges[best].id
		copy(symbols[best+1:n-1], symbols[best+2:n])
		copy(merges[best+1:n-1], merges[best+2:n])
		n--
		merges[best].rank = noRank
		if best+1 < n {
			merges[best] = t.merges.of(symbols[best], symbols[best+1])
		}
		if best > 0 {
			merges[best-1] = t.merges.of(symbols[best-1], symbols[best])
		}
	}
}

// symbol is a node of the list that appendLong merges. Its index is the offset of
// its first byte.
type symbol struct {
	id         int32 // -1 once merged into its left neighbour
	prev, next int32 // -1 before the first, the length of the word after the last
}

// candidate is a pair that may be merged.
type candidate struct {
	key uint64 // rank << 32 | offset of the left symbol
	id  int32  // what the pair becomes
	end int32  // offset after the right symbol
}

// appendLong merges a word of any length with a heap of candidates over a linked
// list: n log n steps.
func (t *Tokenizer) appendLong(ids []int32, word string) []int32 {
	n := int32(len(word))
	symbols := make([]symbol, n)
	heap := make(candidates, 0, n)
	for i := range n {
		symbols[i] = symbol{t.byteIDs[word[i]], i - 1, i + 1}
		if i+1 < n {
			if m := t.merges.ofBytes(word[i], word[i+1]); m.rank != noRank {
				heap = append(heap, candidate{uint64(m.rank)<<32 | uint64(i), m.id, i + 2})
			}
		}
	}
	heap.init()
	consider := func(i int32) {
		j := symbols[i].next
		if j == n {
			return
		}
		if m := t.merges.of(symbols[i].id, symbols[j].id); m.rank != noRank {
			heap.push(candidate{uint64(m.rank)<<32 | uint64(i), m.id, symbols[j].next})
		}
	}
	for len(heap) > 0 {
		c := heap.pop()
		i := int32(uint32(c.key))
		s := &symbols[i]
		// Symbols only grow: where the two still end at the same offset they
		// are those that were considered.
		if s.id < 0 || s.next == n || symbols[s.next].next != c.end {
			continue
		}
		symbols[s.next].id = -1
		s.id, s.next = c.id, c.end
		if s.next < n {
			symbols[s.next].prev = i
		}
		consider(i)
		if s.prev >= 0 {
			consider(s.prev)
		}
	}
	for i := int32(0); i < n; i = symbols[i].next {
		ids = append(ids, symbols[i].id)
	}
	return ids
}
