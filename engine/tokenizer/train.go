package tokenizer

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Training of a byte-level BPE vocabulary (Sennrich et al. 2016): the pair of
// neighbouring tokens that occurs most often in the words of a corpus becomes a
// token, again and again. Counts of pairs are kept up to date instead of counted
// anew, and a heap finds the largest.

// TrainOptions says what [Train] makes.
type TrainOptions struct {
	// VocabSize is the number of tokens before the added ones: the 256 bytes and
	// one for each merge.
	VocabSize int

	// MinCount is how often a pair must occur to become a token. Zero means 2.
	MinCount int

	// Fewer accepts a vocabulary smaller than VocabSize where the corpus has no
	// more pairs. Otherwise that is a [*ShortCorpusError].
	Fewer bool
}

// A ShortCorpusError says that a corpus has too few pairs for a vocabulary.
type ShortCorpusError struct {
	VocabSize int // asked for
	Tokens    int // what the corpus gives
	MinCount  int // of a pair
}

func (e *ShortCorpusError) Error() string {
	return fmt.Sprintf("tokenizer: the corpus gives %d tokens of the %d asked for: no other pair occurs %d times; train on more text, or ask for fewer tokens",
		e.Tokens, e.VocabSize, e.MinCount)
}

// Train makes a tokenizer of the Qwen2 family for the texts of a corpus. Texts are
// read as [Tokenizer.Encode] reads them: added tokens stand apart, the rest is
// normalized and cut into words, and no merge crosses a word's edge.
//
// Ids are given out as in Qwen2.5's vocabulary: 0 to 255 are the bytes in the order
// of their characters in the byte-level alphabet, 256+i is what merge i makes, and
// Qwen2.5's 22 added tokens, <|endoftext|> first, follow directly.
//
// The next merge is always the pair of tokens that occurs most often; of equals,
// that with the lower left id, then the lower right id. Overlapping occurrences, as
// in "aaa", all count. Every merge makes a new token, because a text whose edges no
// merge has crossed is cut alike wherever it occurs. The result is a function of the
// words and of how often each occurs; the order of the texts does not matter.
func Train(corpus iter.Seq[string], o TrainOptions) (*Tokenizer, error) {
	const most = maxID + 1 - len(qwen2Added)
	switch {
	case o.VocabSize < 256:
		return nil, fmt.Errorf("tokenizer: a vocabulary of %d tokens does not hold the 256 bytes", o.VocabSize)
	case o.VocabSize > most:
		return nil, fmt.Errorf("tokenizer: a vocabulary of %d tokens is too large: at most %d and %d added ones are read", o.VocabSize, most, len(qwen2Added))
	case o.MinCount < 0:
		return nil, fmt.Errorf("tokenizer: pairs cannot occur %d times: MinCount must be 0 or more", o.MinCount)
	case o.MinCount == 0:
		o.MinCount = 2
	}
	b := newByteBuilder()
	words := countWords(b, corpus)
	if len(words) == 0 {
		return nil, errors.New("tokenizer: the corpus is empty: there is nothing to train on")
	}
	t := newTrainer(b, words)
	for b.base < o.VocabSize {
		p, ok := t.next(int64(o.MinCount))
		if !ok {
			break
		}
		t.merge(p)
	}
	if b.base < o.VocabSize && !o.Fewer {
		return nil, &ShortCorpusError{VocabSize: o.VocabSize, Tokens: b.base, MinCount: o.MinCount}
	}
	b.added = qwen2Tokens(b.base)
	for _, t := range b.added {
		b.set(t.id, t.content)
	}
	return b.tokenizer(), nil
}

// qwen2Added are the contents of Qwen2.5's added tokens in the order of their ids.
// The first qwen2Specials are special.
var qwen2Added = [...]string{
	"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
	"<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
	"<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
}

const qwen2Specials = 14

// qwen2Tokens returns the added tokens behind a base vocabulary.
func qwen2Tokens(base int) []addedToken {
	tokens := make([]addedToken, len(qwen2Added))
	for i, content := range qwen2Added {
		tokens[i] = addedToken{id: int32(base + i), content: content, special: i < qwen2Specials}
	}
	return tokens
}

// newByteBuilder returns a builder whose vocabulary is the 256 bytes.
func newByteBuilder() *builder {
	b := newBuilder(1 << 12)
	for i, r := range slices.Sorted(slices.Values(b.letters.char[:])) {
		b.set(int32(i), string(r))
	}
	b.base = len(b.ids)
	return b
}

// trainWord is a word of the corpus: the tokens that it is made of so far.
type trainWord struct {
	ids   []int32
	count int64
}

// countWords returns the words of a corpus that differ, each made of bytes.
func countWords(b *builder, corpus iter.Seq[string]) []trainWord {
	classes := newClassTable()
	added := newMatcher(qwen2Tokens(b.base), classes)
	index := make(map[string]int)
	var words []trainWord
	add := func(word string) {
		i, ok := index[word]
		if !ok {
			i = len(words)
			index[strings.Clone(word)] = i // word is part of a text that may be large
			ids := make([]int32, len(word))
			for k := range ids {
				ids[k] = b.ids[string(b.letters.char[word[k]])]
			}
			words = append(words, trainWord{ids: ids})
		}
		words[i].count++
	}
	for text := range corpus {
		for part, id := range added.split(validString(text)) {
			if id >= 0 {
				continue
			}
			for part = b.normalizer.string(part); len(part) > 0; {
				n := min(classes.word(part), maxWord)
				add(part[:n])
				part = part[n:]
			}
		}
	}
	return words
}

// trainPair is a pair of neighbouring tokens.
type trainPair struct {
	left, right int32
	count       int64   // occurrences in the corpus
	words       []int32 // where it occurred when it was new, ascending
}

// trainer is the state of a training.
type trainer struct {
	b     *builder
	words []trainWord
	pairs map[[2]int32]*trainPair
	queue pairQueue
	fresh []*trainPair // pairs that the last merge has made
}

func newTrainer(b *builder, words []trainWord) *trainer {
	t := &trainer{b: b, words: words, pairs: make(map[[2]int32]*trainPair)}
	for i, w := range words {
		for k := 1; k < len(w.ids); k++ {
			t.add(w.ids[k-1], w.ids[k], int32(i))
		}
	}
	t.enqueue()
	return t
}

// enqueue puts the pairs that are new into the queue.
func (t *trainer) enqueue() {
	for _, p := range t.fresh {
		heap.Push(&t.queue, queued{p, p.count})
	}
	t.fresh = t.fresh[:0]
}

// add counts a pair once more in a word. All occurrences of a pair come about in
// one merge, the one that makes the younger of its tokens, word by word.
func (t *trainer) add(left, right, word int32) {
	key := [2]int32{left, right}
	p := t.pairs[key]
	if p == nil {
		p = &trainPair{left: left, right: right}
		t.pairs[key] = p
		t.fresh = append(t.fresh, p)
	}
	p.count += t.words[word].count
	if n := len(p.words); n == 0 || p.words[n-1] != word {
		p.words = append(p.words, word)
	}
}

// remove counts a pair once less in a word.
func (t *trainer) remove(left, right, word int32) {
	t.pairs[[2]int32{left, right}].count -= t.words[word].count
}

// next takes the pair to merge from the queue: that with the highest count, which
// must be at least least. Counts of pairs in the queue only fall, so that one whose
// count is still the one it was queued with is the first of all.
func (t *trainer) next(least int64) (*trainPair, bool) {
	for len(t.queue) > 0 {
		e := &t.queue[0]
		switch p := e.pair; {
		case p.count != e.count: // it has lost occurrences since
			e.count = p.count
			heap.Fix(&t.queue, 0)
		case p.count < least:
			return nil, false
		default:
			heap.Pop(&t.queue)
			return p, true
		}
	}
	return nil, false
}

// merge makes a token of a pair, in the vocabulary and in all words.
func (t *trainer) merge(p *trainPair) {
	id := int32(t.b.base)
	t.b.set(id, t.b.tokens[p.left]+t.b.tokens[p.right])
	t.b.base++
	t.b.merges.add(p.left, p.right, id)
	for _, i := range p.words {
		t.mergeWord(i, p, id)
	}
	delete(t.pairs, [2]int32{p.left, p.right}) // it occurs no more
	t.enqueue()
}

// mergeWord replaces the pair by id in a word, from left to right. After each
// replacement the counts are those of the word as it stands.
func (t *trainer) mergeWord(i int32, p *trainPair, id int32) {
	ids := t.words[i].ids
	n := 0 // ids[:n] is done
	for k := 0; k < len(ids); k++ {
		if ids[k] != p.left || k+1 == len(ids) || ids[k+1] != p.right {
			ids[n] = ids[k]
			n++
			continue
		}
		k++
		t.remove(p.left, p.right, i)
		if n > 0 {
			t.remove(ids[n-1], p.left, i)
			t.add(ids[n-1], id, i)
		}
		if k+1 < len(ids) {
			t.remove(p.right, ids[k+1], i)
			t.add(id, ids[k+1], i)
		}
		ids[n] = id
		n++
	}
	t.words[i].ids = ids[:n]
}

// queued is a pair and the count that it had when it was queued or looked at last.
type queued struct {
	pair  *trainPair
	count int64
}

// pairQueue is a heap of pairs, the next one to merge first.
type pairQueue []queued

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q pairQueue) Less(i, j int) bool {
	a, b := &q[i], &q[j]
	return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.pair.left, b.pair.left), cmp.Compare(a.pair.right, b.pair.right)) < 0
}

func (q *pairQueue) Push(x any) { *q = append(*q, x.(queued)) }

func (q *pairQueue) Pop() any {
	s := *q
	last := s[len(s)-1]
	*q = s[:len(s)-1]
	return last
}
