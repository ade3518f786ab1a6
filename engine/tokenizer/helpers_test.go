package tokenizer

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests below the reference data use a vocabulary of their own: the 256 bytes
// in the order of the alphabet, these merges, and three added tokens.
var (
	miniMerges = [][2]string{
		{"h", "e"}, {"l", "l"}, {"ll", "o"}, {"he", "llo"}, {"Ġ", "w"}, {"o", "r"}, {"Ġw", "or"}, {"l", "d"},
		{"Ġwor", "ld"}, {"#", "#"}, {"#", "v"}, {"Ã", "©"}, {"a", "a"}, {"aa", "a"}, {"aa", "aa"},
	}
	miniAdded = []miniToken{
		{ID: 271, Content: "<|endoftext|>", Special: true},
		{ID: 272, Content: "<|im_end|>", Special: true},
		{ID: 273, Content: "<tool_call>"},
	}
)

type miniToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

func miniVocabulary() map[string]int {
	vocab := make(map[string]int)
	for _, r := range newAlphabet().char {
		vocab[string(r)] = 0
	}
	// Ids in the order of the characters, as released vocabularies have them.
	for i, s := range slices.Sorted(maps.Keys(vocab)) {
		vocab[s] = i
	}
	for _, m := range miniMerges {
		vocab[m[0]+m[1]] = len(vocab)
	}
	return vocab
}

// object is a JSON object.
type object = map[string]any

// miniJSON returns a tokenizer.json to change and write.
func miniJSON() object {
	var merges, added []any
	for _, m := range miniMerges {
		merges = append(merges, []any{m[0], m[1]})
	}
	for _, t := range miniAdded {
		added = append(added, t)
	}
	return object{
		"version":      "1.0",
		"truncation":   nil,
		"padding":      nil,
		"added_tokens": added,
		"normalizer":   object{"type": "NFC"},
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []any{
			object{"type": "Split", "pattern": object{"Regex": qwen2Pattern}, "behavior": "Isolated", "invert": false},
			object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
		}},
		"post_processor": object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
		"decoder":        object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": object{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "",
			"end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": miniVocabulary(), "merges": merges},
	}
}

// miniFiles returns the files of a folder without tokenizer.json.
func miniFiles() map[string]string {
	merges := "#version: 0.2\n"
	for _, m := range miniMerges {
		merges += m[0] + " " + m[1] + "\n"
	}
	return map[string]string{
		"vocab.json": marshal(miniVocabulary()),
		"merges.txt": merges,
		"tokenizer_config.json": `{
  "tokenizer_class": "Qwen2Tokenizer",
  "eos_token": "<|im_end|>",
  "pad_token": {"content": "<|endoftext|>", "lstrip": false},
  "added_tokens_decoder": {
    "272": {"content": "<|im_end|>", "special": true},
    "271": {"content": "<|endoftext|>", "special": true},
    "273": {"content": "<tool_call>", "special": false, "normalized": false}
  }
}`,
	}
}

func marshal(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

// writeFiles writes a folder.
func writeFiles(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// mini loads the small tokenizer with more added tokens.
func mini(tb testing.TB, more ...miniToken) *Tokenizer {
	tb.Helper()
	m := miniJSON()
	added := m["added_tokens"].([]any)
	for i, t := range more {
		t.ID = 274 + i
		added = append(added, t)
	}
	m["added_tokens"] = added
	return load(tb, writeFiles(tb, map[string]string{"tokenizer.json": marshal(m)}))
}
