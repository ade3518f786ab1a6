package tokenizer

import (
	"math/bits"
	"math/rand/v2"
)

// mergeTable finds the merge of a pair of tokens. It is a hash table with linear
// probing, at most half full; pairs of single bytes, which every word begins with,
// have a table of their own.
type mergeTable struct {
	n       int
	entries []mergeEntry // a power of two
	factor  uint64       // odd and random, so that no file can choose what collides
	shift   uint
	bytes   *[256][256]merge
}

type mergeEntry struct {
	left, right int32
	merge       // rank -1: empty
}

// newMergeTable returns an empty table with room for n merges.
func newMergeTable(n int) *mergeTable {
	size := bits.Len(uint(2*n + 1))
	t := &mergeTable{
		entries: make([]mergeEntry, 1<<size),
		factor:  rand.Uint64() | 1,
		shift:   uint(64 - size),
	}
	for i := range t.entries {
		t.entries[i].rank = -1
	}
	return t
}

// add adds the merge of a pair, or returns the rank that the pair has already.
func (t *mergeTable) add(left, right, id int32) (rank int32, ok bool) {
	e := t.slot(left, right)
	if e.rank >= 0 {
		return e.rank, false
	}
	*e = mergeEntry{left, right, merge{int32(t.n), id}}
	if t.n++; 2*t.n >= len(t.entries) {
		larger := newMergeTable(2 * t.n)
		for _, e := range t.entries {
			if e.rank >= 0 {
				*larger.slot(e.left, e.right) = e
			}
		}
		t.entries, t.factor, t.shift = larger.entries, larger.factor, larger.shift
	}
	return int32(t.n - 1), true
}

// slot returns the entry of a pair, or the empty one where it would be.
func (t *mergeTable) slot(left, right int32) *mergeEntry {
	key := uint64(uint32(left))<<32 | uint64(uint32(right))
	i := int((key ^ key>>29) * t.factor >> t.shift)
	for {
		e := &t.entries[i&(len(t.entries)-1)]
		if e.rank < 0 || e.left == left && e.right == right {
			return e
		}
		i++
	}
}

// of returns the merge of a pair, with rank noRank if there is none.
func (t *mergeTable) of(left, right int32) merge {
	if e := t.slot(left, right); e.rank >= 0 {
		return e.merge
	}
	return merge{rank: noRank}
}

// indexBytes fills the table of pairs of bytes, once all merges are there.
func (t *mergeTable) indexBytes(ids *[256]int32) {
	t.bytes = new([256][256]merge)
	for i := range 256 {
		for j := range 256 {
			t.bytes[i][j] = t.of(ids[i], ids[j])
		}
	}
}

// ofBytes is of for the tokens of two bytes.
func (t *mergeTable) ofBytes(left, right byte) merge { return t.bytes[left][right] }
