package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func words(c *classTable, s string) []string {
	var out []string
	for len(s) > 0 {
		n := c.word(s)
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

// TestClasses holds the class of every code point against those that the regular
// expression of Hugging Face tokenizers 0.22.1 and 0.23.3 was seen to use.
func TestClasses(t *testing.T) {
	c := newClassTable()
	letters := [...]byte{classOther: 'o', classLetter: 'L', classNumber: 'N', classNewline: 'n', classSpace: 's'}
	all := make([]byte, utf8.MaxRune+1)
	for r := range all {
		all[r] = letters[c.of(rune(r))]
		if !utf8.ValidRune(rune(r)) {
			all[r] = '-'
		}
	}
	const want = "e1b79c860fb4e42ea99e0aee965624c8fe22c985112fdb7dbdbf3cf6d970e4f3"
	if got := sha256.Sum256(all); hex.EncodeToString(got[:]) != want {
		t.Errorf("sha256 of all classes = %x, want %s", got, want)
	}
	// What Go's tables know must be the same, unless they are newer.
	for r := range rune(utf8.MaxRune + 1) {
		got := c.of(r)
		if unicode.Version < "16.1" && (unicode.IsLetter(r) && got != classLetter || unicode.IsNumber(r) && got != classNumber) {
			t.Errorf("%U: class %d, unicode.IsLetter %t, unicode.IsNumber %t", r, got, unicode.IsLetter(r), unicode.IsNumber(r))
		}
		if (got == classSpace || got == classNewline) != unicode.IsSpace(r) {
			t.Errorf("%U: class %d, unicode.IsSpace %t", r, got, unicode.IsSpace(r))
		}
	}
}

func TestWords(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want []string
	}{
		{"contractions", "I'm they'LL we'Ve it'd", []string{"I", "'m", " they", "'LL", " we", "'Ve", " it", "'d"}},
		{"long s", "a'\u017fx", []string{"a", "'\u017f", "x"}},
		{"contraction before letters", "'tis 'rest", []string{"'t", "is", " '", "rest"}},
		{"no contraction", "'lx 'r x'", []string{"'lx", " '", "r", " x", "'"}},
		{"space taken by punctuation", "a 's", []string{"a", " '", "s"}},
		{"numbers", "x12½Ⅷ", []string{"x", "1", "2", "½", "Ⅷ"}},
		{"sign before letters", "(foo_bar)", []string{"(foo", "_bar", ")"}},
		{"punctuation with newlines", " !?\r\n\nx", []string{" !?\r\n\n", "x"}},
		{"no newline before letters", "\nx", []string{"\n", "x"}},
		{"space run before a word", "a   b", []string{"a", "  ", " b"}},
		{"space run before a number", "a   1", []string{"a", "  ", " ", "1"}},
		{"tab before a word", "\tx", []string{"\tx"}},
		{"tab before punctuation", "\t!", []string{"\t", "!"}},
		{"no-break space before a word", "a\u00a0b", []string{"a", "\u00a0b"}},
		{"zero-width space is no space", "\u200b \u200b", []string{"\u200b", " \u200b"}},
		{"spaces around newlines", " \n  \n  x", []string{" \n  \n", " ", " x"}},
		{"spaces at the end", "x  ", []string{"x", "  "}},
		{"next line", "\u0085\u0085a", []string{"\u0085", "\u0085a"}},
		{"separators are other", " \x1c\x1cb", []string{" \x1c\x1c", "b"}},
		{"letters of Unicode 16", "\u1c89\U000105c0!", []string{"\u1c89\U000105c0", "!"}},
	}
	c := newClassTable()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := words(c, test.in); !slices.Equal(got, test.want) {
				t.Errorf("words(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// slowWords returns a splitter of package regexp. Only the lookahead is written out.
func slowWords() func(string) []string {
	const space = `[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]`
	const notSpace = `[^\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\p{L}\p{N}]`
	first := regexp.MustCompile(`^(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?` + notSpace + `+[\r\n]*|` + space + `*[\r\n]+)`)
	run := regexp.MustCompile(`^` + space + `+`)
	return func(s string) []string {
		var out []string
		for len(s) > 0 {
			word := first.FindString(s)
			if word == "" {
				word = run.FindString(s)
				if _, n := utf8.DecodeLastRuneInString(word); len(word) < len(s) && n < len(word) {
					word = word[:len(word)-n] // \s+(?!\S)
				}
			}
			out = append(out, word)
			s = s[len(word):]
		}
		return out
	}
}

func TestWordsRandom(t *testing.T) {
	pieces := strings.Split("'|s|S|ſ|t|re|VE|ll|L|l|d|e|x|é|中|1|½|٣| |  |\t|\r|\n|\r\n|\u00a0|\u3000|\u2028|\u200b|!|_|\u0301|😀|\x00|\u0085|\x1c", "|")
	c, slow := newClassTable(), slowWords()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 10000 {
		var b strings.Builder
		for range rng.IntN(16) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		if got, want := words(c, b.String()), slow(b.String()); !slices.Equal(got, want) {
			t.Fatalf("words(%q) = %q, want %q", b.String(), got, want)
		}
	}
}
