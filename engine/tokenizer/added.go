package tokenizer

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token found in the text before it is cut into words.
type addedToken struct {
	id         int32
	content    string
	special    bool
	singleWord bool // not next to a word character
	lstrip     bool // takes the white space before it
	rstrip     bool // takes the white space after it
	normalized bool // found after normalization
	inBase     bool // the base vocabulary has it too
}

// matcher finds added tokens: at the leftmost place, the longest. Its semantics are
// those of Hugging Face tokenizers' AddedVocabulary.
type matcher struct {
	tokens []addedToken // by content
	first  [257]int32   // tokens[first[b]:first[b+1]] begin with byte b
	class  *classTable
}

func newMatcher(tokens []addedToken, classes *classTable) matcher {
	m := matcher{
		tokens: slices.SortedFunc(slices.Values(tokens), func(a, b addedToken) int { return cmp.Compare(a.content, b.content) }),
		class:  classes,
	}
	for b := range 256 {
		n := m.first[b]
		for int(n) < len(m.tokens) && m.tokens[n].content[0] == byte(b) {
			n++
		}
		m.first[b+1] = n
	}
	return m
}

// find returns the first match in text at or after from.
func (m *matcher) find(text string, from int) (start int, token *addedToken) {
	for i := from; i < len(text); i++ {
		lo, hi := int(m.first[text[i]]), int(m.first[int(text[i])+1])
		if lo == hi {
			continue
		}
		// tokens[lo:hi] begin with text[i:i+n]; the shortest comes first.
		token = nil
		for n := 1; lo < hi; n++ {
			if len(m.tokens[lo].content) == n {
				token = &m.tokens[lo]
				lo++
			}
			if i+n == len(text) {
				break
			}
			b := text[i+n]
			rest := m.tokens[lo:hi]
			hi = lo + sort.Search(len(rest), func(k int) bool { return rest[k].content[n] > b })
			lo += sort.Search(len(rest), func(k int) bool { return rest[k].content[n] >= b })
		}
		if token != nil {
			return i, token
		}
	}
	return len(text), nil
}

// split yields the added tokens of text as their ids, and what lies between them
// with an id of -1.
func (m *matcher) split(text string) iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		done := 0 // text[:done] has been yielded
		from := 0
		for len(m.tokens) > 0 {
			start, token := m.find(text, from)
			if token == nil {
				break
			}
			end := start + len(token.content)
			from = end
			if token.singleWord && !m.standsAlone(text, start, end) {
				continue
			}
			if token.lstrip && done < start {
				start = done + len(strings.TrimRightFunc(text[done:start], m.isSpace))
			}
			if token.rstrip {
				// A token within the space that the last one took: it ends there.
				end = max(end, done)
				end = len(text) - len(strings.TrimLeftFunc(text[end:], m.isSpace))
			}
			if done < start && !yield(text[done:start], -1) {
				return
			}
			if !yield("", token.id) {
				return
			}
			done = end
		}
		if done < len(text) {
			yield(text[done:], -1)
		}
	}
}

// standsAlone reports whether no word character is next to text[start:end].
func (m *matcher) standsAlone(text string, start, end int) bool {
	before, n := utf8.DecodeLastRuneInString(text[:start])
	if n > 0 && m.isWord(before) {
		return false
	}
	after, n := utf8.DecodeRuneInString(text[end:])
	return n == 0 || !m.isWord(after)
}

// isWord reports whether r is \w as Unicode Technical Standard 18, annex C, defines
// it. Marks and digits are those of Go's tables, letters those of Unicode 16.0.
func (m *matcher) isWord(r rune) bool {
	return m.class.of(r) == classLetter || r == '\u200C' || r == '\u200D' ||
		unicode.In(r, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc)
}

// isSpace reports whether r is \s.
func (m *matcher) isSpace(r rune) bool {
	c := m.class.of(r)
	return c == classSpace || c == classNewline
}
