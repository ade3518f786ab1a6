package tokenizer

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// sameTokenizer compares all that encoding and decoding depend on.
func sameTokenizer(t *testing.T, got, want *Tokenizer) {
	t.Helper()
	if !slices.Equal(got.tokens, want.tokens) || !slices.Equal(got.bytes, want.bytes) || !slices.Equal(got.special, want.special) {
		t.Error("the tokens differ")
	}
	if !maps.Equal(got.ids, want.ids) || got.byteIDs != want.byteIDs {
		t.Error("the ids differ")
	}
	if !slices.Equal(got.mergeList(), want.mergeList()) {
		t.Error("the merges differ")
	}
	if g, w := got.added(), want.added(); !slices.Equal(g, w) {
		t.Errorf("added tokens %+v, want %+v", g, w)
	}
}

func TestSave(t *testing.T) {
	texts := []string{"the thin thing <is> \"this\"\\ & it's\nthere é é 的的 <|im_end|>"}
	for name, tok := range map[string]*Tokenizer{
		"trained":   train(t, texts, TrainOptions{VocabSize: 280, Fewer: true}),
		"no merges": train(t, texts, TrainOptions{VocabSize: 256}),
		"flags": mini(t, miniToken{Content: "<x>", LStrip: true, RStrip: true}, miniToken{Content: "é\"<", Normalized: true, SingleWord: true},
			miniToken{Content: "<\u2028>", Special: true, Normalized: true}),
		"golden": load(t, testdata.Path(t, "golden", "tiny")),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "folder")
			const template = "{% if a < b %}\n\"<|im_start|>\"{% endif %}"
			if err := tok.Save(dir, template); err != nil {
				t.Fatal(err)
			}
			sameTokenizer(t, load(t, dir), tok)

			// Without tokenizer.json the other three say the same.
			if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
				t.Fatal(err)
			}
			sameTokenizer(t, load(t, dir), tok)
			f, err := readFile(filepath.Join(dir, "tokenizer_config.json"))
			if err != nil {
				t.Fatal(err)
			}
			root, err := f.json()
			if err != nil {
				t.Fatal(err)
			}
			m, err := root.members("the file")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := m["chat_template"].string("chat_template"); err != nil || got != template {
				t.Errorf("chat template %q, %v", got, err)
			}
			if got, err := m["eos_token"].string("eos_token"); err != nil || got != "<|im_end|>" {
				t.Errorf("eos_token %q, %v", got, err)
			}

			// What is there is kept.
			before, err := os.ReadFile(filepath.Join(dir, "vocab.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := train(t, texts, TrainOptions{VocabSize: 260}).Save(dir, ""); err == nil || !strings.Contains(err.Error(), "vocab.json exists") {
				t.Errorf("error %v", err)
			}
			if after, err := os.ReadFile(filepath.Join(dir, "vocab.json")); err != nil || string(after) != string(before) {
				t.Errorf("vocab.json was replaced (%v)", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err == nil {
				t.Error("tokenizer.json was written")
			}
		})
	}
}

// A token that is in the base vocabulary and an added one stays both.
func TestSaveTokenOfBoth(t *testing.T) {
	m := miniJSON()
	m["added_tokens"] = append(m["added_tokens"].([]any), miniToken{ID: 256 + 3, Content: "hello", Special: true})
	tok := load(t, writeFiles(t, map[string]string{"tokenizer.json": marshal(m)}))
	dir := t.TempDir()
	if err := tok.Save(dir, ""); err != nil {
		t.Fatal(err)
	}
	sameTokenizer(t, load(t, dir), tok)
}

func TestSaveHasNowhereToGo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mini(t).Save(name, ""); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("error %v", err)
	}
}
