package tokenizer

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// normalizer brings text into NFC as the reference does.
//
// The reference's library has the data of Unicode 9.0. Code points assigned
// later pass through it as characters that neither move nor combine, so the text
// is normalized between them. Text that is in NFC under a later version is so
// under 9.0 too, since the pieces between such code points are substrings of it
// and composition is stable.
type normalizer struct {
	known *unicode.RangeTable // assigned in Unicode 9.0
}

func newNormalizer() *normalizer {
	return &normalizer{known: rangetable.Assigned("9.0.0")}
}

// string returns s, which is valid UTF-8, in NFC.
func (n *normalizer) string(s string) string {
	i := norm.NFC.QuickSpanString(s)
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+len(s)/8), s[:i]...)
	var buf []byte
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r >= 0x80 && !unicode.Is(n.known, r) {
			out = append(out, s[i:i+size]...)
			i += size
			continue
		}
		// A segment ends before a character that nothing before it affects.
		end, runes := i+size, 1
		for end < len(s) {
			r, size := utf8.DecodeRuneInString(s[end:])
			if r < 0x80 || !unicode.Is(n.known, r) || norm.NFC.PropertiesString(s[end:]).BoundaryBefore() {
				break
			}
			end += size
			runes++
		}
		if segment := s[i:end]; runes <= safeRunes {
			buf = norm.NFC.AppendString(buf[:0], segment)
			out = append(out, buf...)
		} else {
			out = appendLongSegment(out, segment)
		}
		i = end
	}
	return string(out)
}

// safeRunes is a length that package norm normalizes as the standard says. From
// 31 non-starters in a row it inserts U+034F (the Stream-Safe Text Format), which
// the reference does not; a character decomposes into at most four.
const safeRunes = 7

// appendLongSegment appends the NFC of a segment with any number of combining
// characters: full decomposition, canonical ordering, canonical composition (The
// Unicode Standard, 3.11).
func appendLongSegment(dst []byte, segment string) []byte {
	type char struct {
		r   rune
		ccc uint8
	}
	var chars []char
	for _, r := range segment {
		for _, d := range norm.NFD.String(string(r)) {
			chars = append(chars, char{d, norm.NFD.PropertiesString(string(d)).CCC()})
		}
	}
	for i := 0; i < len(chars); {
		if chars[i].ccc == 0 {
			i++
			continue
		}
		j := i
		for j < len(chars) && chars[j].ccc != 0 {
			j++
		}
		slices.SortStableFunc(chars[i:j], func(a, b char) int { return int(a.ccc) - int(b.ccc) })
		i = j
	}
	kept := chars[:0]
	starter := -1
	for _, c := range chars {
		// A character is blocked from the starter by one between them that is
		// a starter or has no lower class.
		if starter >= 0 {
			if last := len(kept) - 1; last == starter || kept[last].ccc < c.ccc {
				if r, ok := compose(kept[starter].r, c.r); ok {
					kept[starter].r = r
					continue
				}
			}
		}
		if c.ccc == 0 {
			starter = len(kept)
		}
		kept = append(kept, c)
	}
	for _, c := range kept {
		dst = utf8.AppendRune(dst, c.r)
	}
	return dst
}

// compose returns the primary composite of a and b.
func compose(a, b rune) (rune, bool) {
	s := norm.NFC.String(string(a) + string(b))
	r, size := utf8.DecodeRuneInString(s)
	return r, size == len(s)
}
