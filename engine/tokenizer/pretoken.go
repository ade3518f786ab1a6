package tokenizer

import "unicode/utf8"

// class is what the pre-tokenizer's expression tells characters apart by.
type class uint8

const (
	classOther   class = iota // [^\s\p{L}\p{N}]
	classLetter               // \p{L}
	classNumber               // \p{N}
	classNewline              // [\r\n]
	classSpace                // the rest of \s
)

// spaceRanges holds White_Space without the carriage return and the line feed.
var spaceRanges = [...][2]rune{
	{0x09, 0x09}, {0x0B, 0x0C}, {0x20, 0x20}, {0x85, 0x85}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A},
	{0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
}

const (
	pageBits = 7
	pageSize = 1 << pageBits
)

// classTable holds the class of every code point: equal pages are stored once.
type classTable struct {
	ascii [utf8.RuneSelf]class
	page  [(utf8.MaxRune + 1) / pageSize]uint16
	pages [][pageSize]class
}

func newClassTable() *classTable {
	all := make([]class, utf8.MaxRune+1)
	set := func(ranges [][2]rune, c class) {
		for _, r := range ranges {
			for i := r[0]; i <= r[1]; i++ {
				all[i] = c
			}
		}
	}
	set(letterRanges[:], classLetter)
	set(numberRanges[:], classNumber)
	set(spaceRanges[:], classSpace)
	all['\r'], all['\n'] = classNewline, classNewline

	t := new(classTable)
	copy(t.ascii[:], all)
	index := make(map[[pageSize]class]uint16)
	for i := range t.page {
		page := [pageSize]class(all[i*pageSize:])
		n, ok := index[page]
		if !ok {
			n = uint16(len(t.pages))
			t.pages = append(t.pages, page)
			index[page] = n
		}
		t.page[i] = n
	}
	return t
}

// of returns the class of r, which is a valid code point.
func (t *classTable) of(r rune) class {
	return t.pages[t.page[r>>pageBits]][r&(pageSize-1)]
}

// first returns the class of the first character of s and its length.
func (t *classTable) first(s string) (class, int) {
	if b := s[0]; b < utf8.RuneSelf {
		return t.ascii[b], 1
	}
	r, n := utf8.DecodeRuneInString(s)
	return t.of(r), n
}

// span returns the length of the run of characters of class c that s begins with.
func (t *classTable) span(s string, c class) int {
	i := 0
	for i < len(s) {
		k, n := t.first(s[i:])
		if k != c {
			break
		}
		i += n
	}
	return i
}

// word returns the length of the first match of the pre-tokenizer's expression in
// s, which is valid UTF-8 and not empty. The matches of the expression leave no
// gaps. The alternatives are tried in its order.
func (t *classTable) word(s string) int {
	// (?i:'s|'t|'re|'ve|'m|'ll|'d)
	if s[0] == '\'' {
		if n := contraction(s); n > 0 {
			return n
		}
	}
	c, n := t.first(s)
	// [^\r\n\p{L}\p{N}]?\p{L}+ and \p{N}
	switch c {
	case classLetter:
		return n + t.span(s[n:], classLetter)
	case classNumber:
		return n
	case classOther, classSpace:
		if letters := t.span(s[n:], classLetter); letters > 0 {
			return n + letters
		}
	}
	// ` ?[^\s\p{L}\p{N}]+[\r\n]*`
	i := 0
	if s[0] == ' ' {
		i = 1
	}
	if others := t.span(s[i:], classOther); others > 0 {
		i += others
		return i + t.span(s[i:], classNewline)
	}
	// Here s begins with white space.
	// \s*[\r\n]+ ends after the last newline of the run; \s+(?!\S) is the run
	// without its last character unless the text ends with it; \s+ is a run of
	// one character before something else.
	end, last, newline := 0, 0, 0
	for end < len(s) {
		c, n := t.first(s[end:])
		if c != classSpace && c != classNewline {
			break
		}
		last = end
		end += n
		if c == classNewline {
			newline = end
		}
	}
	switch {
	case newline > 0:
		return newline
	case end == len(s) || last == 0:
		return end
	}
	return last
}

// contraction returns the length of the English contraction that s, which begins
// with an apostrophe, begins with, or 0. U+017F folds to s.
func contraction(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && s[2]|0x20 == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && s[2]|0x20 == 'l' {
			return 3
		}
	}
	const longS = "'\u017F"
	if len(s) >= len(longS) && s[:len(longS)] == longS {
		return len(longS)
	}
	return 0
}
