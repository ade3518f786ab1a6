package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// releasedTokens is the size of Qwen2.5's vocabulary, a hint for allocations.
const releasedTokens = 152_000

// Load reads the tokenizer of a checkpoint folder. Errors name the file, the line
// and the value that is wrong; where the folder has no tokenizer they wrap
// [fs.ErrNotExist].
func Load(dir string) (*Tokenizer, error) {
	cfg, err := loadConfig(dir)
	if err != nil {
		return nil, err
	}
	f, err := readFile(filepath.Join(dir, "tokenizer.json"))
	switch {
	case err == nil:
		return fromTokenizerJSON(f, cfg)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	vocab, err := readFile(filepath.Join(dir, "vocab.json"))
	if err != nil {
		return nil, missing(dir, err)
	}
	merges, err := readFile(filepath.Join(dir, "merges.txt"))
	if err != nil {
		return nil, missing(dir, err)
	}
	added, err := loadAdded(dir, cfg)
	if err != nil {
		return nil, err
	}
	return fromVocabulary(vocab, merges, added)
}

// missing explains an error about a file that a folder without tokenizer.json must
// have.
func missing(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; %s must hold tokenizer.json, or vocab.json and merges.txt: copy them from the checkpoint that the model was made from", err, dir)
	}
	return err
}

// optional reads a file that may be absent: then it is nil.
func optional(dir, name string) (*file, error) {
	f, err := readFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// loadConfig reads tokenizer_config.json. It is empty where there is none.
func loadConfig(dir string) (*config, error) {
	f, err := optional(dir, "tokenizer_config.json")
	if err != nil {
		return nil, err
	}
	if f == nil {
		return &config{specials: make(map[string][]string)}, nil
	}
	return parseConfig(f)
}

// loadAdded returns the added tokens of a folder without tokenizer.json. The
// special tokens of one with added_tokens.json are those that its configuration
// or, with priority, special_tokens_map.json names.
func loadAdded(dir string, cfg *config) ([]fileToken, error) {
	switch cfg.class {
	case "", "Qwen2Tokenizer", "Qwen2TokenizerFast":
	default:
		return nil, fmt.Errorf("tokenizer: %s has tokenizer_class %s, which is not implemented without a tokenizer.json that describes it: want Qwen2Tokenizer",
			filepath.Join(dir, "tokenizer_config.json"), rawjson.Quote(cfg.class))
	}
	if cfg.hasAdded {
		return cfg.added, nil
	}
	f, err := optional(dir, "added_tokens.json")
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("tokenizer: %s has vocab.json but neither added_tokens_decoder in tokenizer_config.json nor added_tokens.json: without them special tokens such as <|im_end|> have no ids", dir)
	}
	special, err := optional(dir, "special_tokens_map.json")
	if err != nil {
		return nil, err
	}
	if special != nil {
		root, err := special.json()
		if err != nil {
			return nil, err
		}
		m, err := root.members("the file")
		if err != nil {
			return nil, err
		}
		if err := cfg.addSpecials(m); err != nil {
			return nil, err
		}
	}
	return parseAddedTokens(f, cfg.names())
}

// fromVocabulary makes a tokenizer of vocab.json, merges.txt and added tokens.
func fromVocabulary(vocab, merges *file, added []fileToken) (*Tokenizer, error) {
	root, err := vocab.json()
	if err != nil {
		return nil, err
	}
	b := newBuilder(min(releasedTokens, len(vocab.data)/8))
	if err := b.parseVocabulary(root, "the vocabulary"); err != nil {
		return nil, err
	}
	if err := b.parseMerges(merges); err != nil {
		return nil, err
	}
	for _, t := range added {
		if err := b.addToken(t.at, t.addedToken); err != nil {
			return nil, err
		}
	}
	return b.tokenizer(), nil
}

// fromTokenizerJSON makes a tokenizer of tokenizer.json. Tokens that only
// added_tokens_decoder lists are added, as transformers does; one that both list
// must have the same id, and its flags are those of tokenizer.json.
func fromTokenizerJSON(f *file, cfg *config) (*Tokenizer, error) {
	root, err := f.json()
	if err != nil {
		return nil, err
	}
	m, err := root.members("the file")
	if err != nil {
		return nil, err
	}
	// Truncation and padding are settings of a call, which transformers replaces.
	err = onlyKeys("the file", m, "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
		"post_processor", "decoder", "model")
	if err != nil {
		return nil, err
	}
	if v, ok := m["version"]; ok {
		if s, err := v.string("version"); err != nil {
			return nil, err
		} else if s != "1.0" {
			return nil, v.errorf("version is %s, want %q", rawjson.Quote(s), "1.0")
		}
	}
	components := []struct {
		key      string
		check    func(value) error
		optional bool
	}{
		{"normalizer", checkNormalizer, false},
		{"pre_tokenizer", checkPreTokenizer, false},
		{"post_processor", checkPostProcessor, true},
		{"decoder", checkDecoder, false},
	}
	for _, c := range components {
		v, ok := m[c.key]
		if !ok || v.isNull() {
			if c.optional {
				continue
			}
			return nil, root.errorf("there is no %s, which is not implemented: a Qwen2 tokenizer has one", c.key)
		}
		if err := c.check(v); err != nil {
			return nil, err
		}
	}
	model, ok := m["model"]
	if !ok {
		return nil, root.errorf("there is no model")
	}
	b := newBuilder(min(releasedTokens, len(f.data)/16))
	if err := b.parseModel(model); err != nil {
		return nil, err
	}
	if v, ok := m["added_tokens"]; ok {
		err := v.array("added_tokens", func(_ int, v value) error {
			t, err := parseAddedToken(v, true)
			if err != nil {
				return err
			}
			return b.addToken(v, t)
		})
		if err != nil {
			return nil, err
		}
	}
	for _, t := range cfg.added {
		if !b.isAdd[t.content] {
			if err := b.addToken(t.at, t.addedToken); err != nil {
				return nil, err
			}
		} else if id := b.ids[t.content]; id != t.id {
			return nil, t.at.errorf("the added token %q has id %d, but %s gives it %d", t.content, t.id, f.name, id)
		}
	}
	return b.tokenizer(), nil
}

// parseModel reads the model of tokenizer.json: the vocabulary and the merges, each
// of these a string with a space between two tokens or a list of two.
func (b *builder) parseModel(model value) error {
	m, err := model.members("model")
	if err != nil {
		return err
	}
	if err := checkModel(m, model); err != nil {
		return err
	}
	vocab, ok := m["vocab"]
	if !ok {
		return model.errorf("the model has no vocab")
	}
	merges, ok := m["merges"]
	if !ok {
		return model.errorf("the model has no merges")
	}
	if err := b.parseVocabulary(vocab, "model.vocab"); err != nil {
		return err
	}
	parts := make([]string, 0, 3)
	return merges.array("model.merges", func(i int, v value) error {
		parts = parts[:0]
		if text, err := v.Text(); err == nil {
			if left, right, ok := splitMerge(text); ok {
				parts = append(parts, left, right)
			}
		} else {
			err := v.array("a merge", func(_ int, v value) error {
				s, err := v.string("a token of a merge")
				parts = append(parts, s)
				return err
			})
			if err != nil {
				return err
			}
		}
		if len(parts) != 2 || slices.Contains(parts, "") {
			return v.errorf("merge %d is %s, want two tokens", i+1, v.Short())
		}
		if err := b.addMerge(parts[0], parts[1]); err != nil {
			return v.errorf("%w", err)
		}
		return nil
	})
}
