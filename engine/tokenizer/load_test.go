package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// same fails unless two tokenizers have the same tokens, flags and merges.
func same(t *testing.T, got, want *Tokenizer) {
	t.Helper()
	for _, d := range []string{
		cmp.Diff(want.tokens, got.tokens), cmp.Diff(want.special, got.special), cmp.Diff(want.byteIDs, got.byteIDs),
		cmp.Diff(want.ids, got.ids), cmp.Diff(want.bytes, got.bytes),
	} {
		if d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	if got.merges.n != want.merges.n {
		t.Errorf("%d merges, want %d", got.merges.n, want.merges.n)
	}
	for _, e := range want.merges.entries {
		if e.rank >= 0 && got.merges.of(e.left, e.right) != e.merge {
			t.Errorf("merge of %d and %d is %v, want %v", e.left, e.right, got.merges.of(e.left, e.right), e.merge)
		}
	}
}

func TestReleased(t *testing.T) {
	tok := released(t)
	if got := tok.VocabSize(); got != 151665 {
		t.Errorf("VocabSize = %d", got)
	}
	if got := tok.merges.n; got != 151387 {
		t.Errorf("%d merges", got)
	}
	var specials []int32
	for id := int32(151643); id <= 151656; id++ {
		specials = append(specials, id)
	}
	if diff := cmp.Diff(specials, tok.Specials()); diff != "" {
		t.Errorf("Specials: (-want +got)\n%s", diff)
	}
	for _, test := range []struct {
		id      int32
		token   string
		special bool
	}{
		{0, "!", false}, {198, "Ċ", false}, {220, "Ġ", false}, {9707, "Hello", false}, {151643, "<|endoftext|>", true},
		{151645, "<|im_end|>", true}, {151655, "<|image_pad|>", true}, {151657, "<tool_call>", false}, {151664, "<|file_sep|>", false},
	} {
		if got, ok := tok.Token(test.id); got != test.token || !ok {
			t.Errorf("Token(%d) = %q, %t", test.id, got, ok)
		}
		if got, ok := tok.ID(test.token); got != test.id || !ok {
			t.Errorf("ID(%q) = %d, %t", test.token, got, ok)
		}
		if !tok.HasToken(test.id) || tok.IsSpecial(test.id) != test.special {
			t.Errorf("%d: HasToken %t, IsSpecial %t", test.id, tok.HasToken(test.id), tok.IsSpecial(test.id))
		}
	}
	for _, id := range []int32{-1, 151665, 151935, 1 << 30} {
		if _, ok := tok.Token(id); ok || tok.HasToken(id) || tok.IsSpecial(id) {
			t.Errorf("%d has a token", id)
		}
	}
	if _, ok := tok.ID("<think>"); ok {
		t.Error("<think> is a token")
	}
}

// TestForms loads the golden checkpoints' tokenizer from each form that its files
// can have.
func TestForms(t *testing.T) {
	for _, name := range []string{"tiny", "wide"} {
		dir := testdata.Path(t, "golden", name)
		read := func(file string) string {
			data, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		want := load(t, dir)
		if want.VocabSize() != 622 || want.merges.n != 344 || len(want.Specials()) != 14 {
			t.Errorf("%s: %d ids, %d merges, %d special tokens", name, want.VocabSize(), want.merges.n, len(want.Specials()))
		}
		tokenizerJSON, config := read("tokenizer.json"), read("tokenizer_config.json")

		var tree object
		if err := json.Unmarshal([]byte(tokenizerJSON), &tree); err != nil {
			t.Fatal(err)
		}
		model := tree["model"].(object)
		for i, m := range model["merges"].([]any) {
			model["merges"].([]any)[i] = fmt.Sprintf("%s %s", m.([]any)...)
		}
		asStrings := marshal(tree)
		added := make(map[string]int)
		for _, a := range tree["added_tokens"].([]any) {
			added[a.(object)["content"].(string)] = int(a.(object)["id"].(float64))
		}
		var cfg object
		if err := json.Unmarshal([]byte(config), &cfg); err != nil {
			t.Fatal(err)
		}
		delete(cfg, "added_tokens_decoder")
		oldConfig := marshal(cfg)
		specials := marshal(object{"eos_token": object{"content": "<|im_end|>"}, "pad_token": "<|endoftext|>"})
		merges := read("merges.txt")

		forms := map[string]map[string]string{
			"tokenizer.json":             {"tokenizer.json": tokenizerJSON},
			"merges as strings":          {"tokenizer.json": asStrings},
			"vocabulary":                 {"vocab.json": read("vocab.json"), "merges.txt": merges, "tokenizer_config.json": config},
			"added_tokens.json":          {"vocab.json": read("vocab.json"), "merges.txt": merges, "tokenizer_config.json": oldConfig, "added_tokens.json": marshal(added), "special_tokens_map.json": specials},
			"no header, CRLF, no end":    {"vocab.json": read("vocab.json"), "merges.txt": strings.ReplaceAll(strings.TrimSpace(merges[strings.Index(merges, "\n")+1:]), "\n", "\r\n"), "tokenizer_config.json": config},
			"added by the configuration": {"tokenizer.json": without(t, tokenizerJSON, 3), "tokenizer_config.json": config},
		}
		for form, files := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				got := load(t, writeFiles(t, files))
				same(t, got, want)
				text := "The <|im_start|>x<tool_call> <|file_sep|>\u00e9 12"
				if diff := cmp.Diff(want.Encode(text), got.Encode(text)); diff != "" {
					t.Errorf("Encode: (-want +got)\n%s", diff)
				}
			})
		}
	}
}

// without returns a tokenizer.json without its last n added tokens.
func without(t *testing.T, tokenizerJSON string, n int) string {
	t.Helper()
	var tree object
	if err := json.Unmarshal([]byte(tokenizerJSON), &tree); err != nil {
		t.Fatal(err)
	}
	added := tree["added_tokens"].([]any)
	tree["added_tokens"] = added[:len(added)-n]
	return marshal(tree)
}

// TestVariants loads tokenizer.json as other writers write the same pipeline.
func TestVariants(t *testing.T) {
	want := mini(t)
	pre := func(m object, i int) object {
		return m["pre_tokenizer"].(object)["pretokenizers"].([]any)[i].(object)
	}
	tests := map[string]func(object){
		"unchanged":                 func(object) {},
		"sequence of one":           func(m object) { m["normalizer"] = object{"type": "Sequence", "normalizers": []any{m["normalizer"]}} },
		"no trim_offsets":           func(m object) { delete(pre(m, 1), "trim_offsets") },
		"no invert":                 func(m object) { delete(pre(m, 0), "invert") },
		"no post_processor":         func(m object) { m["post_processor"] = nil },
		"template of the text":      func(m object) { m["post_processor"] = textTemplate() },
		"no model type":             func(m object) { delete(m["model"].(object), "type") },
		"null prefixes, unk_token":  func(m object) { setAll(m["model"].(object), nil, "continuing_subword_prefix", "end_of_word_suffix") },
		"unk_token":                 func(m object) { m["model"].(object)["unk_token"] = "<|endoftext|>" },
		"byte_fallback":             func(m object) { m["model"].(object)["byte_fallback"] = true },
		"dropout of zero":           func(m object) { m["model"].(object)["dropout"] = 0.0 },
		"truncation":                func(m object) { m["truncation"] = object{"max_length": 5} },
		"merges of a string":        func(m object) { m["model"].(object)["merges"].([]any)[3] = "he llo" },
		"without version, settings": func(m object) { delete(m, "version"); delete(m, "truncation"); delete(m, "padding") },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			m := miniJSON()
			change(m)
			same(t, load(t, writeFiles(t, map[string]string{"tokenizer.json": marshal(m)})), want)
		})
	}
	t.Run("vocabulary", func(t *testing.T) { same(t, load(t, writeFiles(t, miniFiles())), want) })
}

func textTemplate() object {
	return object{"type": "TemplateProcessing", "single": []any{object{"Sequence": object{"id": "A", "type_id": 0}}}, "pair": []any{}, "special_tokens": object{}}
}

func setAll(m object, v any, keys ...string) {
	for _, key := range keys {
		m[key] = v
	}
}

// wantError fails unless err is about all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !strings.HasPrefix(err.Error(), "tokenizer: ") || len(err.Error()) > 1000 {
		t.Errorf("error %q", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not name %q", err, word)
		}
	}
}

func TestBadTokenizerJSON(t *testing.T) {
	model := func(m object) object { return m["model"].(object) }
	vocab := func(m object) map[string]int { return model(m)["vocab"].(map[string]int) }
	pre := func(m object) []any { return m["pre_tokenizer"].(object)["pretokenizers"].([]any) }
	added := func(m object, content string, id any, flags ...string) {
		a := object{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}
		setAll(a, true, flags...)
		m["added_tokens"] = append(m["added_tokens"].([]any), a)
	}
	tests := []struct {
		name   string
		change func(object)
		words  []string
	}{
		{"another version", func(m object) { m["version"] = "2.0" }, []string{"version", "2.0"}},
		{"unknown key", func(m object) { m["extra"] = 1 }, []string{"extra"}},
		{"no normalizer", func(m object) { m["normalizer"] = nil }, []string{"normalizer"}},
		{"another normalizer", func(m object) { m["normalizer"] = object{"type": "NFKC"} }, []string{"normalizer", "NFKC", "NFC"}},
		{"two normalizers", func(m object) {
			m["normalizer"] = object{"type": "Sequence", "normalizers": []any{object{"type": "NFC"}, object{"type": "Lowercase"}}}
		}, []string{"normalizer", "Sequence"}},
		{"nested normalizers", func(m object) {
			m["normalizer"] = object{"type": "Sequence", "normalizers": []any{object{"type": "Sequence", "normalizers": []any{}}}}
		}, []string{"normalizer", "Sequence"}},
		{"normalizer of another kind", func(m object) { m["normalizer"] = "NFC" }, []string{"normalizer", `"NFC"`}},
		{"another expression", func(m object) {
			pre(m)[0].(object)["pattern"] = object{"Regex": strings.Replace(qwen2Pattern, `|\p{N}|`, `|\p{N}{1,3}|`, 1)}
		}, []string{"expression", "p{N}{1,3}"}},
		{"a string to split by", func(m object) { pre(m)[0].(object)["pattern"] = object{"String": " "} }, []string{"pattern"}},
		{"removed", func(m object) { pre(m)[0].(object)["behavior"] = "Removed" }, []string{"behavior", "Removed"}},
		{"inverted", func(m object) { pre(m)[0].(object)["invert"] = true }, []string{"invert", "true"}},
		{"space before", func(m object) { pre(m)[1].(object)["add_prefix_space"] = true }, []string{"add_prefix_space", "true"}},
		{"second expression", func(m object) { delete(pre(m)[1].(object), "use_regex") }, []string{"use_regex", "true"}},
		{"one step", func(m object) { m["pre_tokenizer"] = pre(m)[1] }, []string{"pre_tokenizer", "ByteLevel"}},
		{"three steps", func(m object) {
			m["pre_tokenizer"].(object)["pretokenizers"] = append(pre(m), object{"type": "Digits", "individual_digits": true})
		}, []string{"pre_tokenizer", "3"}},
		{"tokens added", func(m object) {
			p := textTemplate()
			p["single"] = append([]any{object{"SpecialToken": object{"id": "<s>", "type_id": 0}}}, p["single"].([]any)...)
			m["post_processor"] = p
		}, []string{"post_processor", "<s>"}},
		{"another decoder", func(m object) { m["decoder"] = object{"type": "WordPiece"} }, []string{"decoder", "WordPiece"}},
		{"no model", func(m object) { delete(m, "model") }, []string{"model"}},
		{"another model", func(m object) { model(m)["type"] = "Unigram" }, []string{"Unigram"}},
		{"no vocabulary", func(m object) { delete(model(m), "vocab") }, []string{"vocab"}},
		{"no merges", func(m object) { delete(model(m), "merges") }, []string{"merges"}},
		{"dropout", func(m object) { model(m)["dropout"] = 0.1 }, []string{"dropout", "0.1"}},
		{"suffix", func(m object) { model(m)["end_of_word_suffix"] = "</w>" }, []string{"end_of_word_suffix", "</w>"}},
		{"ignore_merges", func(m object) { model(m)["ignore_merges"] = true }, []string{"ignore_merges"}},
		{"vocabulary is a list", func(m object) { model(m)["vocab"] = []any{"a"} }, []string{"vocab", "object"}},
		{"negative id", func(m object) { vocab(m)["zzz"] = -1 }, []string{"zzz", "-1"}},
		{"huge id", func(m object) { vocab(m)["zzz"] = 1 << 20 }, []string{"zzz", "1048576", "1048575"}},
		{"id beyond 64 bits", func(m object) { model(m)["vocab"] = object{"zzz": 1e30} }, []string{"zzz", "1e+30"}},
		{"id of another type", func(m object) { model(m)["vocab"] = object{"zzz": "5"} }, []string{"zzz", `"5"`}},
		{"fraction", func(m object) { model(m)["vocab"] = object{"zzz": 1.5} }, []string{"zzz", "1.5"}},
		{"id twice", func(m object) { vocab(m)["zzz"] = 5 }, []string{"zzz", "id 5"}},
		{"empty token", func(m object) { vocab(m)[""] = 271 }, []string{"empty"}},
		{"a byte is missing", func(m object) { delete(vocab(m), "z") }, []string{`"z"`, "0x7a"}},
		{"merge of an unknown token", func(m object) { model(m)["merges"] = []any{[]any{"h", "zzz"}} }, []string{"zzz"}},
		{"merge into an unknown token", func(m object) { model(m)["merges"] = []any{[]any{"z", "z"}} }, []string{"zz"}},
		{"merge twice", func(m object) { model(m)["merges"] = []any{[]any{"h", "e"}, "h e"} }, []string{"twice", "number 1"}},
		{"merge of one", func(m object) { model(m)["merges"] = []any{[]any{"h"}} }, []string{"merge 1"}},
		{"merge of three", func(m object) { model(m)["merges"] = []any{"h e l"} }, []string{"merge 1", "h e l"}},
		{"merge of numbers", func(m object) { model(m)["merges"] = []any{[]any{1, 2}} }, []string{"a merge", "1"}},
		{"merge of an empty token", func(m object) { model(m)["merges"] = []any{[]any{"", "he"}} }, []string{"merge 1"}},
		{"added token without an id", func(m object) { added(m, "<x>", nil) }, []string{"<x>", "null"}},
		{"added token with a hole before", func(m object) { added(m, "<x>", 280) }, []string{"<x>", "280", "274"}},
		{"added token with a taken id", func(m object) { added(m, "<x>", 272) }, []string{"<x>", "272"}},
		{"added token of the vocabulary", func(m object) { added(m, "hello", 274) }, []string{"hello", "274", "259"}},
		{"added token twice", func(m object) { added(m, "<|im_end|>", 274) }, []string{"<|im_end|>", "twice"}},
		{"empty added token", func(m object) { added(m, "", 274) }, []string{"empty", "274"}},
		{"long added token", func(m object) { added(m, strings.Repeat("x", 1025), 274) }, []string{"1025", "1024"}},
		{"added token not in NFC", func(m object) { added(m, "e\u0301", 274, "normalized") }, []string{"NFC"}},
		{"added token without a flag", func(m object) {
			delete(m, "added_tokens")
			m["added_tokens"] = []any{object{"id": 271, "content": "<x>"}}
		}, []string{"<x>", "flag"}},
		{"holes before added tokens", func(m object) { delete(vocab(m), "hello"); model(m)["merges"] = []any{} }, []string{"<|endoftext|>", "270"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := miniJSON()
			test.change(m)
			_, err := Load(writeFiles(t, map[string]string{"tokenizer.json": marshal(m)}))
			wantError(t, err, append(test.words, "tokenizer.json:")...)
		})
	}
}

func TestBadFiles(t *testing.T) {
	replace := func(file, old, new string) func(map[string]string) {
		return func(files map[string]string) {
			if !strings.Contains(files[file], old) {
				panic(file + " has no " + old)
			}
			files[file] = strings.Replace(files[file], old, new, 1)
		}
	}
	set := func(file, content string) func(map[string]string) {
		return func(files map[string]string) { files[file] = content }
	}
	tests := []struct {
		name   string
		change func(map[string]string)
		words  []string
	}{
		{"no merges", func(f map[string]string) { delete(f, "merges.txt") }, []string{"merges.txt", "tokenizer.json"}},
		{"no added tokens", func(f map[string]string) { delete(f, "tokenizer_config.json") }, []string{"added_tokens_decoder", "added_tokens.json"}},
		{"truncated vocabulary", func(f map[string]string) { f["vocab.json"] = f["vocab.json"][:1000] }, []string{"vocab.json: not valid JSON at byte 1000"}},
		{"empty vocabulary file", set("vocab.json", ""), []string{"vocab.json: not valid JSON", "0 bytes"}},
		{"two values", set("vocab.json", "{} {}"), []string{"vocab.json: not valid JSON at byte 4"}},
		{"key that is no string", set("vocab.json", "{1: 2}"), []string{"vocab.json: not valid JSON at byte 2"}},
		{"not UTF-8", set("vocab.json", "{\n\"\xff\": 2}"), []string{"vocab.json:2", "0xff"}},
		{"empty vocabulary", set("vocab.json", "{}"), []string{"vocab.json:1", "0x00"}},
		{"token twice", replace("vocab.json", `"a": `, "\"a\": 300,\n \"a\": "), []string{"vocab.json:", `"a"`, "twice"}},
		{"unpaired surrogates", replace("vocab.json", `"a": `, `"\ud800": 300, "\udc00": 301, "a": `), []string{"vocab.json:", "twice"}},
		{"merge of one", replace("merges.txt", "h e\n", "he\n"), []string{"merges.txt:2", `"he"`}},
		{"merge of three", replace("merges.txt", "l l\n", "l l l\n"), []string{"merges.txt:3", "l l l"}},
		{"merge with two spaces", replace("merges.txt", "l l\n", "l  l\n"), []string{"merges.txt:3"}},
		{"merge of an unknown token", replace("merges.txt", "l l\n", "l zz\n"), []string{"merges.txt:3", "zz"}},
		{"second header", replace("merges.txt", "l l\n", "#version: 0.2\n"), []string{"merges.txt:3", "#version"}},
		{"comment", replace("merges.txt", "l l\n", "# a comment\n"), []string{"merges.txt:3", "# a comment"}},
		{"merges not UTF-8", replace("merges.txt", "l l\n", "l \xc3\n"), []string{"merges.txt:3", "0xc3"}},
		{"merge of long tokens", replace("merges.txt", "l l\n", strings.Repeat("x", 5000)+" l\n"), []string{"merges.txt:3"}},
		{"configuration is no object", set("tokenizer_config.json", "[]"), []string{"tokenizer_config.json:1"}},
		{"id that is no number", replace("tokenizer_config.json", `"273"`, `"x"`), []string{"tokenizer_config.json:8", `"x"`}},
		{"id with a sign", replace("tokenizer_config.json", `"273"`, `"+273"`), []string{"+273"}},
		{"ids with a hole", replace("tokenizer_config.json", `"273"`, `"275"`), []string{"tokenizer_config.json:8", "275", "273"}},
		{"huge id", replace("tokenizer_config.json", `"273"`, `"99999999999"`), []string{"99999999999"}},
		{"no content", replace("tokenizer_config.json", `"content": "<tool_call>", `, ``), []string{"content"}},
		{"flag of another type", replace("tokenizer_config.json", `"special": false`, `"special": 0`), []string{"special", "0"}},
		{"tokens split", replace("tokenizer_config.json", `"eos_token"`, `"split_special_tokens": true, "eos_token"`), []string{"split_special_tokens"}},
		{"first token added", replace("tokenizer_config.json", `"eos_token"`, `"add_bos_token": true, "eos_token"`), []string{"add_bos_token"}},
		{"key twice", replace("tokenizer_config.json", `"eos_token"`, `"pad_token": "x", "eos_token"`), []string{"pad_token", "twice"}},
		{"special token of another type", replace("tokenizer_config.json", `"<|im_end|>"`, `5`), []string{"eos_token", "5"}},
		{"another class", replace("tokenizer_config.json", "Qwen2Tokenizer", "GPT2Tokenizer"), []string{"GPT2Tokenizer"}},
		{"broken configuration beside tokenizer.json", func(f map[string]string) {
			f["tokenizer.json"] = marshal(miniJSON())
			f["tokenizer_config.json"] = "{"
		}, []string{"tokenizer_config.json: not valid JSON"}},
		{"configuration that disagrees with tokenizer.json", func(f map[string]string) {
			f["tokenizer.json"] = marshal(miniJSON())
			f["tokenizer_config.json"] = `{"added_tokens_decoder": {"300": {"content": "<tool_call>"}}}`
		}, []string{"tokenizer_config.json:1", "300", "273"}},
		{"deep nesting", set("tokenizer_config.json", strings.Repeat("[", 1<<20)), []string{"tokenizer_config.json: not valid JSON", "depth"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := miniFiles()
			test.change(files)
			_, err := Load(writeFiles(t, files))
			wantError(t, err, test.words...)
		})
	}
}

func TestMissing(t *testing.T) {
	for name, dir := range map[string]string{"empty folder": t.TempDir(), "no folder": filepath.Join(t.TempDir(), "none")} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(dir)
			wantError(t, err, dir, "tokenizer.json", "vocab.json", "merges.txt")
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is not fs.ErrNotExist", err)
			}
		})
	}
}

func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	wantError(t, err, "tokenizer.json", "regular")
	if runtime.GOOS != "linux" {
		return
	}
	dir = t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	wantError(t, err, "tokenizer.json", "regular")
}

func TestTooLarge(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, maxFile+1); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	wantError(t, err, "tokenizer.json", fmt.Sprint(maxFile))
}

// TestHoles loads a vocabulary in which ids have no token.
func TestHoles(t *testing.T) {
	m := miniJSON()
	model := m["model"].(object)
	vocab := model["vocab"].(map[string]int)
	vocab["far"] = 1000
	m["added_tokens"] = []any{}
	tok := load(t, writeFiles(t, map[string]string{"tokenizer.json": marshal(m)}))
	if tok.VocabSize() != 1001 || tok.HasToken(999) || !tok.HasToken(1000) {
		t.Errorf("VocabSize %d, HasToken(999) %t, HasToken(1000) %t", tok.VocabSize(), tok.HasToken(999), tok.HasToken(1000))
	}
	if got := tok.Decode([]int32{999, 1000}, false); got != "far" {
		t.Errorf("Decode = %q", got)
	}
}

// TestHeader reads a first line that begins with # but is a merge.
func TestHeader(t *testing.T) {
	files := miniFiles()
	lines := strings.Split(strings.TrimSpace(files["merges.txt"]), "\n")[1:]
	i := slices.Index(lines, "# #")
	lines[0], lines[i] = lines[i], lines[0]
	files["merges.txt"] = strings.Join(lines, "\n")
	tok := load(t, writeFiles(t, files))
	if tok.merges.n != len(miniMerges) {
		t.Errorf("%d merges, want %d", tok.merges.n, len(miniMerges))
	}
	id, _ := tok.ID("##")
	if diff := cmp.Diff([]int32{id}, tok.Encode("##")); diff != "" {
		t.Errorf("Encode: (-want +got)\n%s", diff)
	}
}

func TestAlphabet(t *testing.T) {
	a := newAlphabet()
	seen := make(map[rune]bool)
	for b, r := range a.char {
		seen[r] = true
		if got := a.decode(nil, string(r)); len(got) != 1 || got[0] != byte(b) {
			t.Errorf("%U decodes to %q, want %q", r, got, []byte{byte(b)})
		}
	}
	if n := len(slices.Collect(maps.Keys(seen))); n != 256 {
		t.Errorf("%d characters", n)
	}
	for token, want := range map[string]string{"Ġthe": " the", "Ċ": "\n", "Ã©": "é", "a b": "a b", "中": "中", "é 中": "é 中"} {
		if got := string(a.decode(nil, token)); got != want {
			t.Errorf("%q decodes to %q, want %q", token, got, want)
		}
	}
}
