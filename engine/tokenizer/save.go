package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/atomicfile"
)

// Save writes the tokenizer to the folder dir, which is made if it is missing, in
// the files that released checkpoints have: vocab.json, merges.txt, tokenizer.json
// and tokenizer_config.json. [Load], transformers and Hugging Face tokenizers read
// the same tokenizer from them. tokenizer_config.json holds chatTemplate unless that
// is empty. A folder that has one of the files is refused.
//
// In tokenizer_config.json the end of a text is <|im_end|> and what pads it
// <|endoftext|>, where the tokenizer has these tokens; nothing is kept of the
// tokenizer_config.json that the tokenizer may have been read with.
func (t *Tokenizer) Save(dir, chatTemplate string) error {
	vocab, merges := t.base(), t.mergeList()
	files := []struct {
		name   string
		indent string
		v      any
	}{
		{"vocab.json", "", vocab},
		{"merges.txt", "", "#version: 0.2\n" + strings.Join(merges, "\n") + "\n"},
		{"tokenizer.json", "  ", t.fileJSON(vocab, merges)},
		{"tokenizer_config.json", "  ", t.configJSON(chatTemplate)},
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("tokenizer: %s exists: choose another folder, nothing is overwritten", name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tokenizer: %w", err)
		}
	}
	for _, f := range files {
		data, err := fileText(f.v, f.indent)
		if err == nil {
			err = atomicfile.WriteFile(filepath.Join(dir, f.name), data)
		}
		if err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
	}
	return nil
}

// fileText returns a string as it is and anything else as JSON.
func fileText(v any, indent string) ([]byte, error) {
	if text, ok := v.(string); ok {
		return []byte(text), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return b.Bytes(), err
}

// ordered is a JSON object whose members stay in order.
type ordered []member

type member struct {
	key   string
	value any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(m.key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// base returns the tokens of the base vocabulary and their ids, in the order of the
// ids.
func (t *Tokenizer) base() ordered {
	alone := make(map[int32]bool) // in no base vocabulary
	for _, a := range t.added() {
		alone[a.id] = !a.inBase
	}
	vocab := make(ordered, 0, len(t.tokens))
	for id, token := range t.tokens {
		if token != "" && !alone[int32(id)] {
			vocab = append(vocab, member{token, id})
		}
	}
	return vocab
}

// added returns the added tokens in the order of their ids.
func (t *Tokenizer) added() []addedToken {
	return slices.SortedFunc(slices.Values(slices.Concat(t.verbatim.tokens, t.normalized.tokens)),
		func(a, b addedToken) int { return cmp.Compare(a.id, b.id) })
}

// mergeList returns the merges in order, their two tokens with a space between them.
func (t *Tokenizer) mergeList() []string {
	list := make([]string, t.merges.n)
	for _, e := range t.merges.entries {
		if e.rank >= 0 {
			list[e.rank] = t.tokens[e.left] + " " + t.tokens[e.right]
		}
	}
	return list
}

// fileJSON returns tokenizer.json.
func (t *Tokenizer) fileJSON(vocab ordered, merges []string) ordered {
	added := []ordered{} // not null
	for _, a := range t.added() {
		added = append(added, append(ordered{{"id", a.id}}, a.json()...))
	}
	return ordered{
		{"version", "1.0"},
		{"truncation", nil},
		{"padding", nil},
		{"added_tokens", added},
		{"normalizer", ordered{{"type", "NFC"}}},
		{"pre_tokenizer", ordered{{"type", "Sequence"}, {"pretokenizers", []ordered{
			{{"type", "Split"}, {"pattern", ordered{{"Regex", qwen2Pattern}}}, {"behavior", "Isolated"}, {"invert", false}},
			byteLevelJSON(),
		}}}},
		{"post_processor", byteLevelJSON()},
		{"decoder", byteLevelJSON()},
		{"model", ordered{
			{"type", "BPE"},
			{"dropout", nil},
			{"unk_token", nil},
			{"continuing_subword_prefix", ""},
			{"end_of_word_suffix", ""},
			{"fuse_unk", false},
			{"byte_fallback", false},
			{"ignore_merges", false},
			{"vocab", vocab},
			{"merges", merges},
		}},
	}
}

func byteLevelJSON() ordered {
	return ordered{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}
}

// json returns the token's content and flags.
func (a *addedToken) json() ordered {
	return ordered{{"content", a.content}, {"single_word", a.singleWord}, {"lstrip", a.lstrip}, {"rstrip", a.rstrip},
		{"normalized", a.normalized}, {"special", a.special}}
}

// configJSON returns tokenizer_config.json.
func (t *Tokenizer) configJSON(chatTemplate string) ordered {
	decoder, additional := ordered{}, []string{}
	named := map[string]any{"<|im_end|>": nil, "<|endoftext|>": nil}
	for _, a := range t.added() {
		decoder = append(decoder, member{strconv.Itoa(int(a.id)), a.json()})
		if _, ok := named[a.content]; ok {
			named[a.content] = a.content
		}
		if a.special && a.content != "<|endoftext|>" {
			additional = append(additional, a.content)
		}
	}
	c := ordered{
		{"tokenizer_class", "Qwen2Tokenizer"},
		{"add_bos_token", false},
		{"add_prefix_space", false},
		{"added_tokens_decoder", decoder},
		{"additional_special_tokens", additional},
		{"bos_token", nil},
		{"eos_token", named["<|im_end|>"]},
		{"pad_token", named["<|endoftext|>"]},
		{"unk_token", nil},
		{"clean_up_tokenization_spaces", false},
		{"errors", "replace"},
		{"model_max_length", 131072},
		{"split_special_tokens", false},
	}
	if chatTemplate != "" {
		c = append(c, member{"chat_template", chatTemplate})
	}
	return c
}
