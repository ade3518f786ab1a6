package tokenizer

import (
	"slices"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// tokenizer.json describes a pipeline of components. The functions below check
// that it is the one this package implements, in the forms in which the Qwen2
// family and transformers 4 and 5 write it.

// qwen2Pattern cuts text into words. See classTable.word.
const qwen2Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// component is an object with a type.
type component struct {
	value
	what    string
	kind    string
	members map[string]value
}

// parseComponent reads a component. A Sequence of one, its elements under the key
// list, is that one.
func parseComponent(v value, what, list string) (component, error) {
	c := component{value: v, what: what}
	var err error
	if c.members, err = v.members(what); err != nil {
		return c, err
	}
	kind, ok := c.members["type"]
	if !ok {
		return c, v.errorf("%s has no type", what)
	}
	if c.kind, err = kind.string(what + ".type"); err != nil {
		return c, err
	}
	if c.kind != "Sequence" || list == "" {
		return c, nil
	}
	elements, err := c.sequence(list)
	if err != nil || len(elements) != 1 {
		return c, err
	}
	return elements[0], nil
}

// sequence reads the components of a Sequence.
func (c *component) sequence(list string) ([]component, error) {
	v, ok := c.members[list]
	if !ok {
		return nil, c.errorf("%s has no %s", c.what, list)
	}
	var elements []component
	err := v.array(c.what+"."+list, func(_ int, v value) error {
		e, err := parseComponent(v, c.what, "")
		elements = append(elements, e)
		return err
	})
	return elements, err
}

// want refuses a component of another type.
func (c *component) want(kind string) error {
	if c.kind != kind {
		return c.errorf("%s is of type %s, which is not implemented: a Qwen2 tokenizer has %q", c.what, rawjson.Quote(c.kind), kind)
	}
	return nil
}

// flag refuses a component in which key does not have the value want. missing is
// what it means where it is absent.
func (c *component) flag(key string, want, missing bool) error {
	got := missing
	at := c.value
	if v, ok := c.members[key]; ok {
		var err error
		if got, err = v.bool(c.what + "." + key); err != nil {
			return err
		}
		at = v
	}
	if got != want {
		return at.errorf("%s (%s) has %s %t, which is not implemented: a Qwen2 tokenizer has %t", c.what, c.kind, key, got, want)
	}
	return nil
}

// only refuses a component with keys that are not known.
func (c *component) only(known ...string) error {
	return onlyKeys(c.what, c.members, known...)
}

func onlyKeys(what string, members map[string]value, known ...string) error {
	for key, v := range members {
		if !slices.Contains(known, key) {
			return v.errorf("%s has the key %s, which is not known", what, rawjson.Quote(key))
		}
	}
	return nil
}

func checkNormalizer(v value) error {
	c, err := parseComponent(v, "normalizer", "normalizers")
	if err != nil {
		return err
	}
	if err := c.want("NFC"); err != nil {
		return err
	}
	return c.only("type")
}

func checkPreTokenizer(v value) error {
	c, err := parseComponent(v, "pre_tokenizer", "pretokenizers")
	if err != nil {
		return err
	}
	if err := c.want("Sequence"); err != nil {
		return err
	}
	elements, err := c.sequence("pretokenizers")
	if err != nil {
		return err
	}
	if len(elements) != 2 {
		return c.errorf("pre_tokenizer has %d steps, which is not implemented: a Qwen2 tokenizer has Split and ByteLevel", len(elements))
	}
	return firstError(
		func() error { return checkSplit(&elements[0]) },
		func() error { return elements[1].want("ByteLevel") },
		func() error { return elements[1].only("type", "add_prefix_space", "trim_offsets", "use_regex") },
		func() error { return elements[1].flag("add_prefix_space", false, true) },
		func() error { return elements[1].flag("use_regex", false, true) },
	)
}

func checkSplit(c *component) error {
	if err := c.want("Split"); err != nil {
		return err
	}
	if err := c.only("type", "pattern", "behavior", "invert"); err != nil {
		return err
	}
	if err := c.flag("invert", false, false); err != nil {
		return err
	}
	behavior, ok := c.members["behavior"]
	if !ok {
		return c.errorf("pre_tokenizer (Split) has no behavior")
	}
	if s, err := behavior.string("pre_tokenizer.behavior"); err != nil {
		return err
	} else if s != "Isolated" {
		return behavior.errorf("pre_tokenizer (Split) has behavior %s, which is not implemented: a Qwen2 tokenizer has %q", rawjson.Quote(s), "Isolated")
	}
	pattern, ok := c.members["pattern"]
	if !ok {
		return c.errorf("pre_tokenizer (Split) has no pattern")
	}
	m, err := pattern.members("pre_tokenizer.pattern")
	if err != nil {
		return err
	}
	regex, ok := m["Regex"]
	if !ok || len(m) != 1 {
		return pattern.errorf("pre_tokenizer (Split) has the pattern %s, want a Regex", pattern.Short())
	}
	if s, err := regex.string("pre_tokenizer.pattern.Regex"); err != nil {
		return err
	} else if s != qwen2Pattern {
		return regex.errorf("pre_tokenizer splits by the expression %s, which is not implemented: Qwen2's is %q", regex.Short(), qwen2Pattern)
	}
	return nil
}

// checkPostProcessor accepts what adds no tokens: ByteLevel, which adjusts offsets
// only, and a template of the text alone, as transformers 5 writes it.
func checkPostProcessor(v value) error {
	c, err := parseComponent(v, "post_processor", "processors")
	if err != nil {
		return err
	}
	if c.kind == "ByteLevel" {
		return nil
	}
	if err := c.want("TemplateProcessing"); err != nil {
		return err
	}
	single, ok := c.members["single"]
	if !ok {
		return c.errorf("post_processor has no template")
	}
	return single.array("post_processor.single", func(_ int, piece value) error {
		m, err := piece.members("post_processor.single")
		if err != nil {
			return err
		}
		if _, ok := m["Sequence"]; !ok || len(m) != 1 {
			return piece.errorf("post_processor adds %s to the text, which is not implemented: a Qwen2 tokenizer adds nothing", piece.Short())
		}
		return nil
	})
}

func checkDecoder(v value) error {
	c, err := parseComponent(v, "decoder", "decoders")
	if err != nil {
		return err
	}
	return c.want("ByteLevel")
}

// checkModel checks all of the model but its vocabulary and merges. unk_token,
// fuse_unk and byte_fallback have no effect on a vocabulary with all bytes.
func checkModel(m map[string]value, model value) error {
	err := onlyKeys("model", m, "type", "vocab", "merges", "dropout", "unk_token", "continuing_subword_prefix",
		"end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges")
	if err != nil {
		return err
	}
	if v, ok := m["type"]; ok { // older files lack it
		if s, err := v.string("model.type"); err != nil {
			return err
		} else if s != "BPE" {
			return v.errorf("the model is of type %s, which is not implemented: a Qwen2 tokenizer has %q", rawjson.Quote(s), "BPE")
		}
	}
	if v, ok := m["dropout"]; ok && !v.isNull() && v.Short() != "0" && v.Short() != "0.0" {
		return v.errorf("model.dropout is %s, which is not implemented: a Qwen2 tokenizer has null", v.Short())
	}
	for _, key := range [...]string{"continuing_subword_prefix", "end_of_word_suffix"} {
		if v, ok := m[key]; ok && !v.isNull() {
			if s, err := v.string("model." + key); err != nil {
				return err
			} else if s != "" {
				return v.errorf("model.%s is %s, which is not implemented: a Qwen2 tokenizer has none", key, rawjson.Quote(s))
			}
		}
	}
	c := component{value: model, what: "model", kind: "BPE", members: m}
	return c.flag("ignore_merges", false, false)
}

// firstError runs steps until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
