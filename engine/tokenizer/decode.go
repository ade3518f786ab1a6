package tokenizer

// Decode returns the text of ids, without the special tokens if skipSpecial is
// set. The tokens' bytes are joined before they are read as UTF-8; each maximal
// subpart of an ill-formed sequence becomes U+FFFD. An id without a token (a hole
// of the vocabulary, an id out of range, a negative one) adds nothing.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	n := 0
	for _, id := range ids {
		n += len(t.tokenBytes(id, skipSpecial))
	}
	text := make([]byte, 0, n)
	for _, id := range ids {
		text = append(text, t.tokenBytes(id, skipSpecial)...)
	}
	return lossyString(text)
}

func (t *Tokenizer) tokenBytes(id int32, skipSpecial bool) string {
	if id < 0 || int(id) >= len(t.bytes) || skipSpecial && t.special[id] {
		return ""
	}
	return t.bytes[id]
}

// A Decoder decodes ids one by one. What it returns, joined, is what
// [Tokenizer.Decode] returns for all of them. It is not safe for concurrent use.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	pending     []byte // begins a character, or is empty
	text        []byte
}

// NewDecoder returns a Decoder at the start of a text.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial}
}

// Next returns the text that id completes. The bytes of a character whose end is
// still to come are held back.
func (d *Decoder) Next(id int32) string {
	d.pending = append(d.pending, d.t.tokenBytes(id, d.skipSpecial)...)
	text, n := appendLossy(d.text[:0], d.pending, true)
	d.text = text
	d.pending = append(d.pending[:0], d.pending[n:]...)
	return string(text)
}

// Flush returns the text of what was held back, U+FFFD for a character that was
// not completed, and sets the Decoder back to the start of a text.
func (d *Decoder) Flush() string {
	text := lossyString(d.pending)
	d.pending = d.pending[:0]
	return text
}
