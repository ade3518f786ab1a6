package tokenizer

// A Tokenizer turns text into token ids and back. It does not change after
// [Load] and is safe for concurrent use.
type Tokenizer struct {
	tokens  []string         // by id, as in the vocabulary; "" where an id has no token
	bytes   []string         // by id, the bytes that the token stands for
	special []bool           // by id
	ids     map[string]int32 // by token

	byteIDs [256]int32
	merges  *mergeTable

	classes    *classTable
	normalizer *normalizer
	verbatim   matcher // added tokens found in the text as it is
	normalized matcher // added tokens found after normalization
	words      *wordCache
}

// VocabSize returns the number of ids: one more than the largest. A model may
// have more rows than that.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// HasToken reports whether id stands for a token.
func (t *Tokenizer) HasToken(id int32) bool {
	return id >= 0 && int(id) < len(t.tokens) && t.tokens[id] != ""
}

// Token returns the token of an id as the vocabulary writes it: bytes in the
// byte-level alphabet ("Ġthe" for " the") for the base vocabulary, plain text for
// added tokens. It reports false where the id has no token.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if !t.HasToken(id) {
		return "", false
	}
	return t.tokens[id], true
}

// ID returns the id of a token written as [Tokenizer.Token] returns it.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// IsSpecial reports whether id is a special token, such as <|im_end|>. Added
// tokens that are not special, such as <tool_call>, are part of the decoded text.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < len(t.special) && t.special[id]
}

// Specials returns the ids of all special tokens in ascending order.
func (t *Tokenizer) Specials() []int32 {
	var ids []int32
	for id, special := range t.special {
		if special {
			ids = append(ids, int32(id))
		}
	}
	return ids
}
