package tokenizer

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// specialKeys are the keys of tokenizer_config.json and special_tokens_map.json
// that name special tokens, one or a list each.
var specialKeys = [...]string{
	"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
	"additional_special_tokens",
}

// config is what tokenizer_config.json says about tokens.
type config struct {
	class    string              // tokenizer_class, "" where absent
	hasAdded bool                // added_tokens_decoder is there
	added    []fileToken         // by id
	specials map[string][]string // special tokens by key
}

// fileToken is an added token and the place where it is written.
type fileToken struct {
	addedToken
	at value
}

// parseConfig reads tokenizer_config.json. Keys that have nothing to do with ids
// are ignored; those that would change ids in ways that are not implemented are
// refused.
func parseConfig(f *file) (*config, error) {
	root, err := f.json()
	if err != nil {
		return nil, err
	}
	m, err := root.members("the file")
	if err != nil {
		return nil, err
	}
	for _, key := range [...]string{"split_special_tokens", "add_prefix_space", "add_bos_token", "add_eos_token"} {
		if v, ok := m[key]; ok && !v.isNull() {
			if set, err := v.bool(key); err != nil {
				return nil, err
			} else if set {
				return nil, v.errorf("%s is true, which is not implemented: Qwen2 tokenizers have false", key)
			}
		}
	}
	c := &config{specials: make(map[string][]string)}
	if v, ok := m["tokenizer_class"]; ok && !v.isNull() {
		if c.class, err = v.string("tokenizer_class"); err != nil {
			return nil, err
		}
	}
	if err := c.addSpecials(m); err != nil {
		return nil, err
	}
	v, ok := m["added_tokens_decoder"]
	if !ok || v.isNull() {
		return c, nil
	}
	c.hasAdded = true
	named := c.names()
	err = v.object("added_tokens_decoder", func(key string, member value) error {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil || id < 0 || strconv.FormatInt(id, 10) != key {
			return member.errorf("added_tokens_decoder has the key %s, want an id", rawjson.Quote(key))
		}
		t, err := parseAddedToken(member, false)
		if err != nil {
			return err
		}
		t.id = int32(id)
		t.special = t.special || named[t.content]
		c.added = append(c.added, fileToken{t, member})
		return nil
	})
	sortByID(c.added)
	return c, err
}

// addSpecials collects the tokens that specialKeys name in an object.
func (c *config) addSpecials(m map[string]value) error {
	for _, key := range specialKeys {
		v, ok := m[key]
		if !ok || v.isNull() {
			continue
		}
		var tokens []string
		add := func(v value) error {
			if v.Kind() == rawjson.Object {
				m, err := v.members(key)
				if err != nil {
					return err
				}
				if content, ok := m["content"]; ok {
					v = content
				}
			}
			s, err := v.string(key)
			tokens = append(tokens, s)
			return err
		}
		var err error
		if v.Kind() == rawjson.Array {
			err = v.array(key, func(_ int, v value) error { return add(v) })
		} else {
			err = add(v)
		}
		if err != nil {
			return err
		}
		c.specials[key] = tokens
	}
	return nil
}

// names returns the special tokens that the keys name.
func (c *config) names() map[string]bool {
	names := make(map[string]bool)
	for _, tokens := range c.specials {
		for _, token := range tokens {
			names[token] = true
		}
	}
	return names
}

// parseAddedToken reads an added token with its flags. In tokenizer.json all of
// them are required, as is the id; in tokenizer_config.json they default to false,
// but a token that is not special is matched after normalization.
func parseAddedToken(v value, strict bool) (addedToken, error) {
	var t addedToken
	m, err := v.members("an added token")
	if err != nil {
		return t, err
	}
	content, ok := m["content"]
	if !ok {
		return t, v.errorf("the added token %s has no content", v.Short())
	}
	if t.content, err = content.string("the content of an added token"); err != nil {
		return t, err
	}
	if id, ok := m["id"]; strict {
		if !ok {
			return t, v.errorf("the added token %s has no id", rawjson.Quote(t.content))
		}
		if t.id, ok = id.int(); !ok {
			return t, id.errorf("the id of the added token %s is %s, want an integer from 0 to %d", rawjson.Quote(t.content), id.Short(), maxID)
		}
	}
	flags := []struct {
		key  string
		flag *bool
	}{
		{"special", &t.special}, {"single_word", &t.singleWord}, {"lstrip", &t.lstrip}, {"rstrip", &t.rstrip},
		{"normalized", &t.normalized},
	}
	for _, f := range flags {
		switch flag, ok := m[f.key]; {
		case ok:
			if *f.flag, err = flag.bool(f.key); err != nil {
				return t, err
			}
		case strict:
			return t, v.errorf("the added token %s has no flag %q", rawjson.Quote(t.content), f.key)
		case f.key == "normalized":
			t.normalized = !t.special
		}
	}
	return t, nil
}

// parseAddedTokens reads added_tokens.json, an object of tokens and ids: those that
// special names are special.
func parseAddedTokens(f *file, special map[string]bool) ([]fileToken, error) {
	root, err := f.json()
	if err != nil {
		return nil, err
	}
	var tokens []fileToken
	err = root.object("the file", func(key string, member value) error {
		id, ok := member.int()
		if !ok {
			return member.errorf("the id of the added token %s is %s, want an integer from 0 to %d", rawjson.Quote(key), member.Short(), maxID)
		}
		t := addedToken{id: id, content: key, special: special[key], normalized: !special[key]}
		tokens = append(tokens, fileToken{t, member})
		return nil
	})
	sortByID(tokens)
	return tokens, err
}

func sortByID(tokens []fileToken) {
	slices.SortStableFunc(tokens, func(a, b fileToken) int { return cmp.Compare(a.id, b.id) })
}
