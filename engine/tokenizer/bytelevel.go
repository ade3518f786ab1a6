package tokenizer

// The byte-level alphabet of GPT-2 writes every byte as one printable character:
// printable bytes of Latin-1 as themselves, the other 68 in ascending order as
// U+0100 and up.
//
// Source: openai/gpt-2, encoder.py, bytes_to_unicode.

// printable reports whether the alphabet writes b as itself.
func printable(b byte) bool {
	return b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE
}

// alphabet maps bytes to characters and back.
type alphabet struct {
	char [256]rune
	byte [0x144]int16 // -1 where the character is not of the alphabet
}

func newAlphabet() *alphabet {
	a := new(alphabet)
	for i := range a.byte {
		a.byte[i] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !printable(byte(b)) {
			r = next
			next++
		}
		a.char[b] = r
		a.byte[r] = int16(b)
	}
	return a
}

// decode appends the bytes that a token stands for. A token with a character
// outside the alphabet, as an added token may have, stands for its own text.
func (a *alphabet) decode(dst []byte, token string) []byte {
	start := len(dst)
	for _, r := range token {
		if int(r) >= len(a.byte) || a.byte[r] < 0 {
			return append(dst[:start], token...)
		}
		dst = append(dst, byte(a.byte[r]))
	}
	return dst
}
