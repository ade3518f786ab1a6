package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// ModelType is the model_type of the models that this package reads.
const ModelType = "qwen2_5_vl"

// Bounds of what a configuration may ask for. They are far above every model of
// the family; what they keep out is nonsense.
const (
	maxHidden       = 1 << 16
	maxIntermediate = 1 << 20
	maxLayers       = 1024
	maxHeads        = 1024
	maxVocab        = 1 << 24
	maxPositions    = 1 << 24
	maxPatch        = 256
	maxMerge        = 16
	maxWindow       = 1 << 16
)

// A parser reads the keys of a config.json. The first error stays.
type parser struct {
	top    keys
	text   keys // text_config, or top in the flat form
	vision keys
	nested bool
	c      *Config
	err    error
}

func parse(data []byte) (*Config, error) {
	root, err := rawjson.Parse(data)
	if err != nil {
		return nil, err
	}
	p := &parser{c: new(Config)}
	if p.top, err = newKeys("", root); err != nil {
		return nil, err
	}
	if !p.top.has("model_type") {
		return nil, fmt.Errorf("model_type: the key is missing, want %q", ModelType)
	}
	if m, err := p.top.text("model_type"); err != nil {
		return nil, err
	} else if m != ModelType {
		return nil, fmt.Errorf("model_type: %s is not supported, want %q", rawjson.Quote(m), ModelType)
	}
	if p.text, p.nested, err = p.top.object("text_config"); err != nil {
		return nil, err
	}
	if !p.nested {
		p.text = p.top
	}
	var haveVision bool
	if p.vision, haveVision, err = p.top.object("vision_config"); err != nil {
		return nil, err
	}
	if !haveVision {
		p.vision = keys{prefix: "vision_config."}
	}
	for _, step := range []func(){p.unsupported, p.decoder, p.rope, p.tower, p.tokens, p.others} {
		if step(); p.err != nil {
			return nil, p.c.withDefaults(p.err)
		}
	}
	if err := p.c.check(); err != nil {
		return nil, p.c.withDefaults(err)
	}
	return p.c, nil
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *parser) tookDefault(k keys, key string, value any) {
	p.c.defaulted = append(p.c.defaulted, fmt.Sprintf("%s%s=%v", k.prefix, key, value))
}

// unsupported refuses what would be another model than the one that is computed.
func (p *parser) unsupported() {
	if p.top.has("quantization_config") {
		p.fail(errors.New("quantization_config: quantised checkpoints are not supported, use the float checkpoint"))
		return
	}
	places := []keys{p.text}
	if p.nested {
		places = append(places, p.top)
	}
	for _, k := range places {
		if !k.has("use_sliding_window") {
			continue
		}
		if on, err := k.boolean("use_sliding_window"); err != nil {
			p.fail(err)
		} else if on {
			p.fail(k.fail("use_sliding_window", errors.New("true is not supported, the decoder attends to the whole sequence")))
		}
	}
	p.onlySilu(p.text)
	p.onlySilu(p.vision)
	if v, ok := p.text.m["layer_types"]; ok {
		err := v.Elements(func(i int, v rawjson.Value) error {
			s, err := v.Text()
			if err == nil && s != "full_attention" {
				err = fmt.Errorf("%s is not supported, only full_attention", rawjson.Quote(s))
			}
			if err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
			return nil
		})
		if err != nil {
			p.fail(p.text.fail("layer_types", err))
		}
	}
}

func (p *parser) onlySilu(k keys) {
	if !k.has("hidden_act") {
		return
	}
	if act, err := k.text("hidden_act"); err != nil {
		p.fail(err)
	} else if act != "silu" {
		p.fail(k.fail("hidden_act", fmt.Errorf("%s is not supported, only silu", rawjson.Quote(act))))
	}
}

// integer reads an integer, or takes the class default.
func (p *parser) integer(k keys, key string, def int, lo, hi int64) int {
	if !k.has(key) {
		p.tookDefault(k, key, def)
		return def
	}
	n, err := k.integer(key, lo, hi)
	if err != nil {
		p.fail(err)
	}
	return n
}

func (p *parser) number(k keys, key string, def, lo, hi float64) float64 {
	if !k.has(key) {
		p.tookDefault(k, key, formatFloat(def))
		return def
	}
	f, err := k.number(key, lo, hi)
	if err != nil {
		p.fail(err)
	}
	return f
}

// size reads an integer of the decoder that fixes a shape: in the nested form
// the top level must agree with it.
func (p *parser) size(key string, def int, hi int64) int {
	n := p.integer(p.text, key, def, 1, hi)
	if p.nested && p.top.has(key) {
		if t, err := p.top.integer(key, 1, hi); err != nil {
			p.fail(err)
		} else if t != n {
			p.disagree(key, n, t)
		}
	}
	return n
}

func (p *parser) disagree(key string, text, top any) {
	how := "is"
	if !p.text.has(key) {
		how = "is missing and so, by transformers' default,"
	}
	p.fail(fmt.Errorf("%s: it %s %v in text_config and %v at the top level, they must agree", key, how, text, top))
}

func (p *parser) decoder() {
	t := &p.c.Text
	t.HiddenSize = p.size("hidden_size", 8192, maxHidden)
	t.Layers = p.size("num_hidden_layers", 80, maxLayers)
	t.Heads = p.size("num_attention_heads", 64, maxHeads)
	t.IntermediateSize = p.size("intermediate_size", 29568, maxIntermediate)
	t.VocabSize = p.size("vocab_size", 152064, maxVocab)
	// A null here means as many as there are query heads; a missing key, 8.
	kv := 8
	if p.nullKVHeads() {
		kv = t.Heads
	}
	t.KVHeads = p.size("num_key_value_heads", kv, maxHeads)
	t.MaxPositionEmbeddings = p.integer(p.text, "max_position_embeddings", 32768, 1, maxPositions)
	t.InitializerRange = p.number(p.text, "initializer_range", 0.02, 0, 100)
	t.RMSNormEps = p.number(p.text, "rms_norm_eps", 1e-5, 1e-30, 1)
	if p.nested && p.top.has("rms_norm_eps") {
		if eps, err := p.top.number("rms_norm_eps", 1e-30, 1); err != nil {
			p.fail(err)
		} else if eps != t.RMSNormEps {
			p.disagree("rms_norm_eps", t.RMSNormEps, eps)
		}
	}
	if p.err != nil {
		return
	}
	if t.HiddenSize%t.Heads != 0 {
		p.fail(fmt.Errorf("%snum_attention_heads: %d does not divide hidden_size %d", p.text.prefix, t.Heads, t.HiddenSize))
		return
	}
	t.HeadDim = t.HiddenSize / t.Heads
	for _, k := range []keys{p.text, p.top} {
		if !k.has("head_dim") {
			continue
		}
		if d, err := k.integer("head_dim", 1, maxHidden); err != nil {
			p.fail(err)
		} else if d != t.HeadDim {
			p.fail(k.fail("head_dim", fmt.Errorf("%d is not hidden_size / num_attention_heads = %d / %d = %d", d, t.HiddenSize, t.Heads, t.HeadDim)))
		}
	}
}

func (p *parser) nullKVHeads() bool {
	return slices.Contains(p.text.nulls, "num_key_value_heads")
}

// rope gathers what all rope keys say of the base and the sections.
func (p *parser) rope() {
	t := &p.c.Text
	var theta, section found
	places := []keys{p.text}
	if p.nested {
		places = append(places, p.top)
	}
	for _, k := range places {
		p.theta(k, &theta)
		for _, key := range []string{"rope_parameters", "rope_scaling"} {
			r, ok, err := k.object(key)
			if err != nil {
				p.fail(err)
			}
			if !ok {
				continue
			}
			p.ropeType(r, "mrope", "default")
			p.theta(r, &theta)
			p.wholeHeads(r)
			if !r.has("mrope_section") {
				continue
			}
			s, err := r.integers("mrope_section", 3, 0, maxHidden)
			if err == nil && len(s) != 3 {
				err = r.fail("mrope_section", fmt.Errorf("it has %d elements, want 3: for time, height and width", len(s)))
			}
			if err != nil {
				p.fail(err)
				return
			}
			p.merge(&section, r.prefix+"mrope_section", [3]int(s))
		}
		p.wholeHeads(k)
	}
	if section.value == nil {
		p.fail(fmt.Errorf("%srope_scaling.mrope_section: the key is missing (so is rope_parameters.mrope_section): the model needs M-RoPE sections for time, height and width", p.text.prefix))
		return
	}
	t.MRopeSection = section.value.([3]int)
	if theta.value == nil {
		t.RopeTheta = 1e6
		p.tookDefault(p.text, "rope_theta", 1000000)
		return
	}
	t.RopeTheta = theta.value.(float64)
}

// found is a value and the key that gave it.
type found struct {
	key   string
	value any
}

// merge keeps the first value and refuses another one.
func (p *parser) merge(f *found, key string, value any) {
	if f.value == nil {
		*f = found{key, value}
	} else if f.value != value {
		p.fail(fmt.Errorf("%s: it is %v, but %s is %v, they must agree", key, value, f.key, f.value))
	}
}

func (p *parser) theta(k keys, f *found) {
	if !k.has("rope_theta") {
		return
	}
	v, err := k.number("rope_theta", 1, 1e15)
	if err == nil && v == 1 {
		err = k.fail("rope_theta", errors.New("1 turns every pair alike, want more than 1"))
	}
	if err != nil {
		p.fail(err)
		return
	}
	p.merge(f, k.prefix+"rope_theta", v)
}

// wholeHeads refuses RoPE on a part of each head.
func (p *parser) wholeHeads(k keys) {
	if k.has("partial_rotary_factor") {
		if _, err := k.number("partial_rotary_factor", 1, 1); err != nil {
			p.fail(err)
		}
	}
}

// ropeType refuses other kinds of RoPE than those named.
func (p *parser) ropeType(k keys, kinds ...string) {
	for _, key := range []string{"rope_type", "type"} {
		if !k.has(key) {
			continue
		}
		if s, err := k.text(key); err != nil {
			p.fail(err)
		} else if !slices.Contains(kinds, s) {
			p.fail(k.fail(key, fmt.Errorf("%s is not supported, only %s", rawjson.Quote(s), strings.Join(kinds, " and "))))
		}
	}
}

func (p *parser) tower() {
	v := &p.c.Vision
	k := p.vision
	v.RMSNormEps = 1e-6
	v.RopeTheta = 10000
	v.Depth = p.integer(k, "depth", 32, 1, maxLayers)
	v.HiddenSize = p.integer(k, "hidden_size", 3584, 1, maxHidden)
	v.IntermediateSize = p.integer(k, "intermediate_size", 3420, 1, maxIntermediate)
	v.Heads = p.integer(k, "num_heads", 16, 1, maxHeads)
	v.PatchSize = p.integer(k, "patch_size", 14, 1, maxPatch)
	v.SpatialMergeSize = p.integer(k, "spatial_merge_size", 2, 1, maxMerge)
	v.TemporalPatchSize = p.integer(k, "temporal_patch_size", 2, 1, maxMerge)
	v.WindowSize = p.integer(k, "window_size", 112, 1, maxWindow)
	v.OutHiddenSize = p.integer(k, "out_hidden_size", 3584, 1, maxHidden)
	v.TokensPerSecond = p.number(k, "tokens_per_second", 4, 1e-3, 1e6)
	v.InitializerRange = p.number(k, "initializer_range", 0.02, 0, 100)

	const channels = 3 // pictures are RGB
	v.InChannels = channels
	if !k.has("in_channels") && !k.has("in_chans") {
		p.tookDefault(k, "in_channels", channels)
	}
	for _, key := range []string{"in_channels", "in_chans"} {
		if k.has(key) {
			if _, err := k.integer(key, channels, channels); err != nil {
				p.fail(err)
			}
		}
	}

	full := []int{7, 15, 23, 31}
	if !k.has("fullatt_block_indexes") {
		p.tookDefault(k, "fullatt_block_indexes", full)
	} else {
		var err error
		if full, err = k.integers("fullatt_block_indexes", maxLayers, 0, maxLayers-1); err != nil {
			p.fail(err)
		}
	}
	slices.Sort(full)
	full = slices.Compact(full)
	v.FullAttnBlocks = slices.DeleteFunc(full, func(i int) bool { return i >= v.Depth })

	if r, ok, err := k.object("rope_parameters"); err != nil {
		p.fail(err)
	} else if ok {
		p.ropeType(r, "axial", "default")
		if r.has("rope_theta") {
			if _, err := r.number("rope_theta", v.RopeTheta, v.RopeTheta); err != nil {
				p.fail(err)
			}
		}
	}
	if p.err == nil && v.HiddenSize%v.Heads != 0 {
		p.fail(k.fail("num_heads", fmt.Errorf("%d does not divide hidden_size %d", v.Heads, v.HiddenSize)))
		return
	}
	if p.err == nil {
		v.HeadDim = v.HiddenSize / v.Heads
	}
}

// tokens reads the token ids: from the top level, else from text_config.
func (p *parser) tokens() {
	c := p.c
	c.ImageTokenID = p.token("image_token_id", 151655)
	c.VideoTokenID = p.token("video_token_id", 151656)
	c.VisionStartTokenID = p.token("vision_start_token_id", 151652)
	c.VisionEndTokenID = p.token("vision_end_token_id", 151653)
	c.VisionTokenID = p.optionalToken("vision_token_id", 151654)
	c.BOSTokenID = p.optionalToken("bos_token_id", 151643)
	c.EOSTokenID = -1
	const eos = "eos_token_id"
	if k := p.place(eos); k.has(eos) && k.m[eos].Kind() == rawjson.Array {
		ids, err := k.integers(eos, 1024, 0, int64(c.Text.VocabSize)-1)
		if err != nil {
			p.fail(err)
		}
		c.EOSTokenIDs = ids
	} else if id := p.optionalToken(eos, 151645); id >= 0 {
		c.EOSTokenIDs = []int{id}
	}
	if len(c.EOSTokenIDs) > 0 {
		c.EOSTokenID = c.EOSTokenIDs[0]
	}
}

func (p *parser) place(key string) keys {
	if p.top.has(key) {
		return p.top
	}
	return p.text
}

// token reads an id that the model cannot do without.
func (p *parser) token(key string, def int) int {
	k := p.place(key)
	if !k.has(key) {
		if def >= p.c.Text.VocabSize {
			p.fail(fmt.Errorf("%s: the key is missing, and transformers' default %d is not in the vocabulary of %d", key, def, p.c.Text.VocabSize))
		}
		p.tookDefault(p.top, key, def)
		return def
	}
	id, err := k.integer(key, 0, int64(p.c.Text.VocabSize)-1)
	if err != nil {
		p.fail(err)
	}
	return id
}

// optionalToken reads an id that may be absent. The default counts only where it
// is in the vocabulary.
func (p *parser) optionalToken(key string, def int) int {
	k := p.place(key)
	if k.has(key) {
		return p.token(key, def)
	}
	if slices.Contains(p.top.nulls, key) || slices.Contains(p.text.nulls, key) || def >= p.c.Text.VocabSize {
		return -1
	}
	p.tookDefault(p.top, key, def)
	return def
}

func (p *parser) others() {
	// A key that is missing at the top level is read from text_config, where
	// some versions save it; missing in both, it is false.
	const tie = "tie_word_embeddings"
	if k := p.place(tie); k.has(tie) {
		var err error
		if p.c.TieWordEmbeddings, err = k.boolean(tie); err != nil {
			p.fail(err)
		}
	} else {
		p.tookDefault(p.top, tie, false)
	}
	for _, k := range []keys{p.top, p.text} {
		for _, key := range []string{"dtype", "torch_dtype"} {
			if p.c.DType != "" || !k.has(key) {
				continue
			}
			s, err := k.text(key)
			if err != nil {
				p.fail(err)
			}
			p.c.DType = strings.TrimPrefix(s, "torch.")
		}
	}
}
