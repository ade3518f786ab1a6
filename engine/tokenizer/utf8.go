package tokenizer

import "unicode/utf8"

const replacement = "\uFFFD"

// subpart returns the length of what s, which is not empty, begins with: a
// character, or the maximal subpart of an ill-formed sequence, which is what one
// U+FFFD replaces (The Unicode Standard, 3.9, "U+FFFD Substitution of Maximal
// Subparts", as Rust's from_utf8_lossy and Python's errors="replace" do it). If s
// ends within a sequence that more bytes could complete, partial is set.
func subpart(s []byte) (n int, valid, partial bool) {
	lo, hi := byte(0x80), byte(0xBF) // of the second byte
	var need int
	switch b := s[0]; {
	case b < 0x80:
		return 1, true, false
	case b < 0xC2:
		return 1, false, false
	case b < 0xE0:
		need = 2
	case b < 0xF0:
		need = 3
		if b == 0xE0 {
			lo = 0xA0 // shorter forms exist
		} else if b == 0xED {
			hi = 0x9F // surrogates
		}
	case b < 0xF5:
		need = 4
		if b == 0xF0 {
			lo = 0x90 // shorter forms exist
		} else if b == 0xF4 {
			hi = 0x8F // above U+10FFFF
		}
	default:
		return 1, false, false
	}
	for i := 1; i < need; i++ {
		if i == len(s) {
			return i, false, true
		}
		if s[i] < lo || s[i] > hi {
			return i, false, false
		}
		lo, hi = 0x80, 0xBF
	}
	return need, true, false
}

// appendLossy appends s to dst with U+FFFD for each ill-formed subpart. If keep
// is set it stops before a sequence that more bytes could complete. It returns
// the number of bytes of s that it took.
func appendLossy(dst, s []byte, keep bool) ([]byte, int) {
	for i := 0; i < len(s); {
		n, valid, partial := subpart(s[i:])
		switch {
		case valid:
			dst = append(dst, s[i:i+n]...)
		case partial && keep:
			return dst, i
		default:
			dst = append(dst, replacement...)
		}
		i += n
	}
	return dst, len(s)
}

// lossyString returns s with U+FFFD for each ill-formed subpart.
func lossyString(s []byte) string {
	if utf8.Valid(s) {
		return string(s)
	}
	out, _ := appendLossy(make([]byte, 0, len(s)+len(s)/2), s, false)
	return string(out)
}

// validString is lossyString for a string.
func validString(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return lossyString([]byte(s))
}
