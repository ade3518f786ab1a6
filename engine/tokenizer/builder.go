package tokenizer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

const (
	maxID      = 1<<20 - 1 // a table of all ids is kept
	maxContent = 1024      // bytes of an added token
)

// builder collects what the files hold and checks it.
type builder struct {
	ids    map[string]int32
	tokens []string // by id, "" for none
	merges *mergeTable
	base   int // tokens of the base vocabulary
	lastID int32
	added  []addedToken
	isAdd  map[string]bool

	letters    *alphabet
	normalizer *normalizer
}

func newBuilder(tokens int) *builder {
	return &builder{
		ids:    make(map[string]int32, tokens),
		tokens: make([]string, 0, tokens),
		merges: newMergeTable(tokens),
		lastID: -1,
		isAdd:  make(map[string]bool),

		letters:    newAlphabet(),
		normalizer: newNormalizer(),
	}
}

// parseVocabulary reads the base vocabulary: an object of tokens and ids.
func (b *builder) parseVocabulary(v value, what string) error {
	err := v.object(what, func(token string, id value) error {
		n, ok := id.int()
		switch {
		case !ok:
			return id.errorf("the id of %s is %s, want an integer from 0 to %d", rawjson.Quote(token), id.Short(), maxID)
		case token == "":
			return id.errorf("%s has an empty token (id %d)", what, n)
		case n > maxID:
			return id.errorf("the id of %s is %d, the largest that is read is %d", rawjson.Quote(token), n, maxID)
		}
		if int(n) < len(b.tokens) && b.tokens[n] != "" {
			return id.errorf("%s gives the id %d to both %s and %s", what, n, rawjson.Quote(b.tokens[n]), rawjson.Quote(token))
		}
		b.set(n, token)
		return nil
	})
	if err != nil {
		return err
	}
	b.base = len(b.ids)
	for i, r := range b.letters.char {
		if _, ok := b.ids[string(r)]; !ok {
			return v.errorf("%s is not byte-level: it has no token %q for the byte 0x%02x", what, string(r), i)
		}
	}
	return nil
}

func (b *builder) set(id int32, token string) {
	if n := int(id) + 1; n > len(b.tokens) {
		b.tokens = slices.Grow(b.tokens, n-len(b.tokens))[:n]
	}
	b.tokens[id] = token
	b.ids[token] = id
}

// addMerge appends a merge of lower priority than all before. The error lacks the
// place.
func (b *builder) addMerge(left, right string) error {
	l, ok := b.ids[left]
	if !ok {
		return fmt.Errorf("the merge %s %s names %s, which is not in the vocabulary", rawjson.Quote(left), rawjson.Quote(right), rawjson.Quote(left))
	}
	r, ok := b.ids[right]
	if !ok {
		return fmt.Errorf("the merge %s %s names %s, which is not in the vocabulary", rawjson.Quote(left), rawjson.Quote(right), rawjson.Quote(right))
	}
	id, ok := b.ids[left+right]
	if !ok {
		return fmt.Errorf("the merge %s %s makes %s, which is not in the vocabulary", rawjson.Quote(left), rawjson.Quote(right), rawjson.Quote(left+right))
	}
	if rank, ok := b.merges.add(l, r, id); !ok {
		return fmt.Errorf("the merge %s %s is there twice, first as number %d", rawjson.Quote(left), rawjson.Quote(right), rank+1)
	}
	return nil
}

// addToken appends an added token whose flags and id the file gave at v.
//
// Hugging Face tokenizers gives an added token the id that the base vocabulary has
// for it, else the one after all others, whatever the file says. Where the file
// says otherwise the reference would silently run the model with other ids.
func (b *builder) addToken(v value, t addedToken) error {
	want, known := b.ids[t.content]
	if !known {
		want = max(b.lastID+1, int32(b.base))
	}
	switch {
	case t.content == "":
		return v.errorf("the added token with id %d is empty", t.id)
	case len(t.content) > maxContent:
		return v.errorf("the added token with id %d has %d bytes, the most that is read is %d", t.id, len(t.content), maxContent)
	case b.isAdd[t.content]:
		return v.errorf("the added token %q is there twice, with ids %d and %d", t.content, b.ids[t.content], t.id)
	case t.id > maxID:
		return v.errorf("the id of the added token %q is %d, the largest that is read is %d", t.content, t.id, maxID)
	case t.id != want && known:
		return v.errorf("the added token %q has id %d, but the vocabulary gives it %d", t.content, t.id, want)
	case !known && int(want) < len(b.tokens) && b.tokens[want] != "":
		return v.errorf("the added token %q cannot have an id: the vocabulary has %d tokens but gives out the id %d already (%s), which the reference would use", t.content, b.base, want, rawjson.Quote(b.tokens[want]))
	case t.id != want:
		return v.errorf("the added token %q has id %d, but the next free id is %d: ids of added tokens must follow the vocabulary (%d tokens) one by one", t.content, t.id, want, b.base)
	}
	if t.normalized {
		// Versions of the reference decode such a token differently.
		if s := b.normalizer.string(t.content); s != t.content {
			return v.errorf("the added token %q is matched after normalization but is not in NFC itself: write it as %q", t.content, s)
		}
	}
	b.set(t.id, t.content)
	b.lastID = max(b.lastID, t.id)
	t.inBase = known
	b.added = append(b.added, t)
	b.isAdd[t.content] = true
	return nil
}

// tokenizer returns the finished tokenizer.
func (b *builder) tokenizer() *Tokenizer {
	t := &Tokenizer{
		tokens:     b.tokens,
		bytes:      make([]string, len(b.tokens)),
		special:    make([]bool, len(b.tokens)),
		ids:        b.ids,
		merges:     b.merges,
		classes:    newClassTable(),
		normalizer: b.normalizer,
		words:      newWordCache(),
	}
	for i, r := range b.letters.char {
		t.byteIDs[i] = b.ids[string(r)]
	}
	t.merges.indexBytes(&t.byteIDs)
	var all strings.Builder // one allocation for the bytes of all tokens
	ends := make([]int, len(b.tokens))
	var buf []byte
	for id, token := range b.tokens {
		buf = b.letters.decode(buf[:0], token)
		all.Write(buf)
		ends[id] = all.Len()
	}
	start := 0
	for id, end := range ends {
		t.bytes[id] = all.String()[start:end]
		start = end
	}

	var verbatim, normalized []addedToken
	for _, a := range b.added {
		t.special[a.id] = a.special
		if a.normalized {
			normalized = append(normalized, a)
		} else {
			verbatim = append(verbatim, a)
		}
	}
	t.verbatim = newMatcher(verbatim, t.classes)
	t.normalized = newMatcher(normalized, t.classes)
	return t
}
