package tokenizer

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

const cacheSlots = 1 << 14

// wordCache remembers the ids of words of at most maxShort bytes. Each word has one
// slot, which it shares with others: the last one stays. Entries do not change once
// stored, so readers and writers need no lock, and there are few megabytes of them
// at most.
type wordCache struct {
	seed  maphash.Seed
	slots [cacheSlots]atomic.Pointer[cachedWord]
}

type cachedWord struct {
	word string
	ids  []int32
}

func newWordCache() *wordCache { return &wordCache{seed: maphash.MakeSeed()} }

func (c *wordCache) slot(word string) *atomic.Pointer[cachedWord] {
	return &c.slots[maphash.String(c.seed, word)%cacheSlots]
}

// newCachedWord copies what it is given: word is part of a text that may be large.
func newCachedWord(word string, ids []int32) *cachedWord {
	return &cachedWord{strings.Clone(word), slices.Clone(ids)}
}
