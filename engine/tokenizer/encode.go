package tokenizer

// Encode returns the ids of text. Added tokens in it, special ones included, become
// their ids; nothing is added before or after. The result is not nil.
func (t *Tokenizer) Encode(text string) []int32 {
	ids := newIDs(text)
	for part, id := range t.verbatim.split(validString(text)) {
		if id >= 0 {
			ids = append(ids, id)
			continue
		}
		for part, id := range t.normalized.split(t.normalizer.string(part)) {
			if id >= 0 {
				ids = append(ids, id)
			} else {
				ids = t.appendWords(ids, part)
			}
		}
	}
	return ids
}

// EncodeOrdinary returns the ids of text as if there were no added tokens: what
// looks like one is text like any other. The result is not nil.
func (t *Tokenizer) EncodeOrdinary(text string) []int32 {
	return t.appendWords(newIDs(text), t.normalizer.string(validString(text)))
}

// maxWord is where a word is cut, in bytes, for its offsets to fit 32 bits.
const maxWord = 1 << 30

func newIDs(text string) []int32 { return make([]int32, 0, len(text)/3+1) }

func (t *Tokenizer) appendWords(ids []int32, text string) []int32 {
	for len(text) > 0 {
		n := min(t.classes.word(text), maxWord)
		ids = t.appendWord(ids, text[:n])
		text = text[n:]
	}
	return ids
}
