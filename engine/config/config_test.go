package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	tdata "github.com/thinker-vl/thinker/engine/internal/testdata"
)

// sameModel compares configurations by what they say of the model.
var sameModel = cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmpopts.IgnoreFields(Config{}, "Raw")}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseFile(t testing.TB, name string) *Config {
	t.Helper()
	c, err := Parse(read(t, name), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// edit returns the file with members changed: paths are joined by dots, a nil
// value removes the member, and null stands for JSON's null.
type edit map[string]any

var null = json.RawMessage("null")

func (e edit) apply(t testing.TB, data []byte) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for path, value := range e {
		at := doc
		elems := strings.Split(path, ".")
		for _, el := range elems[:len(elems)-1] {
			next, ok := at[el].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[el] = next
			}
			at = next
		}
		if last := elems[len(elems)-1]; value == nil {
			delete(at, last)
		} else {
			at[last] = value
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tiny is the model of testdata.
var tiny = &Config{
	Text: Text{
		HiddenSize: 64, Layers: 3, Heads: 4, KVHeads: 2, HeadDim: 16, IntermediateSize: 100, VocabSize: 640,
		RMSNormEps: 1e-6, RopeTheta: 1e6, MRopeSection: [3]int{2, 3, 3}, MaxPositionEmbeddings: 4096, InitializerRange: 0.02,
	},
	Vision: Vision{
		HiddenSize: 32, Depth: 4, Heads: 2, HeadDim: 16, IntermediateSize: 52, OutHiddenSize: 64, PatchSize: 14, SpatialMergeSize: 2,
		TemporalPatchSize: 2, WindowSize: 112, FullAttnBlocks: []int{1, 3}, InChannels: 3, RMSNormEps: 1e-6, RopeTheta: 10000,
		TokensPerSecond: 2, InitializerRange: 0.02,
	},
	TieWordEmbeddings: true,
	DType:             "float32",
	ImageTokenID:      612, VideoTokenID: 613, VisionStartTokenID: 609, VisionEndTokenID: 610, VisionTokenID: 611,
	BOSTokenID: 600, EOSTokenID: 602, EOSTokenIDs: []int{602},
}

// The same model as released and as two versions of transformers save it again.
func TestForms(t *testing.T) {
	for _, name := range []string{"released.json", "transformers-4.57.3.json", "transformers-5.23.0.json"} {
		t.Run(name, func(t *testing.T) {
			c := parseFile(t, name)
			if d := cmp.Diff(tiny, c, sameModel); d != "" {
				t.Error(d)
			}
			if string(c.Raw) != string(read(t, name)) {
				t.Error("Raw is not the file")
			}
		})
	}
}

func TestReleased3B(t *testing.T) {
	c, err := Load(tdata.Path(t, "qwen2.5-vl-3b"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Text: Text{
			HiddenSize: 2048, Layers: 36, Heads: 16, KVHeads: 2, HeadDim: 128, IntermediateSize: 11008, VocabSize: 151936,
			RMSNormEps: 1e-6, RopeTheta: 1e6, MRopeSection: [3]int{16, 24, 24}, MaxPositionEmbeddings: 128000, InitializerRange: 0.02,
		},
		Vision: Vision{
			HiddenSize: 1280, Depth: 32, Heads: 16, HeadDim: 80, IntermediateSize: 3420, OutHiddenSize: 2048, PatchSize: 14, SpatialMergeSize: 2,
			TemporalPatchSize: 2, WindowSize: 112, FullAttnBlocks: []int{7, 15, 23, 31}, InChannels: 3, RMSNormEps: 1e-6, RopeTheta: 10000,
			TokensPerSecond: 2, InitializerRange: 0.02,
		},
		TieWordEmbeddings: true,
		DType:             "bfloat16",
		ImageTokenID:      151655, VideoTokenID: 151656, VisionStartTokenID: 151652, VisionEndTokenID: 151653, VisionTokenID: 151654,
		BOSTokenID: 151643, EOSTokenID: 151645, EOSTokenIDs: []int{151645},
	}
	if d := cmp.Diff(want, c, sameModel); d != "" {
		t.Error(d)
	}
	if c.Vision.PatchDim() != 1176 || c.Vision.MergedSize() != 5120 {
		t.Errorf("PatchDim %d, MergedSize %d, want 1176, 5120", c.Vision.PatchDim(), c.Vision.MergedSize())
	}
	if d := c.Defaulted(); !slices.Equal(d, []string{"vision_config.initializer_range=0.02"}) {
		t.Errorf("Defaulted: %q", d)
	}
}

// What is left when nothing but the required keys is there: the class defaults
// of transformers (configuration_qwen2_5_vl.py, versions 4.57.3 and 5.23.0).
func TestClassDefaults(t *testing.T) {
	const minimal = `{"model_type":"qwen2_5_vl","rope_scaling":{"type":"mrope","mrope_section":[16,24,24]},"vision_config":{"out_hidden_size":8192}}`
	c, err := Parse([]byte(minimal), "minimal")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Text: Text{
			HiddenSize: 8192, Layers: 80, Heads: 64, KVHeads: 8, HeadDim: 128, IntermediateSize: 29568, VocabSize: 152064,
			RMSNormEps: 1e-5, RopeTheta: 1e6, MRopeSection: [3]int{16, 24, 24}, MaxPositionEmbeddings: 32768, InitializerRange: 0.02,
		},
		Vision: Vision{
			HiddenSize: 3584, Depth: 32, Heads: 16, HeadDim: 224, IntermediateSize: 3420, OutHiddenSize: 8192, PatchSize: 14, SpatialMergeSize: 2,
			TemporalPatchSize: 2, WindowSize: 112, FullAttnBlocks: []int{7, 15, 23, 31}, InChannels: 3, RMSNormEps: 1e-6, RopeTheta: 10000,
			TokensPerSecond: 4, InitializerRange: 0.02,
		},
		ImageTokenID: 151655, VideoTokenID: 151656, VisionStartTokenID: 151652, VisionEndTokenID: 151653, VisionTokenID: 151654,
		BOSTokenID: 151643, EOSTokenID: 151645, EOSTokenIDs: []int{151645},
	}
	if d := cmp.Diff(want, c, sameModel); d != "" {
		t.Error(d)
	}
	for _, key := range []string{"hidden_size=8192", "rms_norm_eps=1e-05", "rope_theta=1000000", "vision_config.tokens_per_second=4",
		"vision_config.fullatt_block_indexes=[7 15 23 31]", "image_token_id=151655", "tie_word_embeddings=false"} {
		if !slices.Contains(c.Defaulted(), key) {
			t.Errorf("Defaulted lacks %q: %q", key, c.Defaulted())
		}
	}
}

// Each case starts from one of the three forms and says what becomes of the
// configuration.
func TestReads(t *testing.T) {
	const flat, v4, v5 = "released.json", "transformers-4.57.3.json", "transformers-5.23.0.json"
	tests := []struct {
		name string
		form string
		edit edit
		want func(c *Config)
	}{
		{"unknown keys", flat, edit{"whatever": []int{1}, "vision_config.embed_dim": 7}, func(c *Config) {}},
		{"kv heads missing", flat, edit{"num_key_value_heads": nil, "num_attention_heads": 16, "hidden_size": 256, "vision_config.out_hidden_size": 256},
			func(c *Config) {
				c.Text.Heads, c.Text.KVHeads, c.Text.HiddenSize, c.Vision.OutHiddenSize = 16, 8, 256, 256
			}},
		{"kv heads null", flat, edit{"num_key_value_heads": null}, func(c *Config) { c.Text.KVHeads = 4 }},
		{"text_config null is flat", flat, edit{"text_config": null}, func(c *Config) {}},
		{"head_dim given", flat, edit{"head_dim": 16}, func(c *Config) {}},
		{"eps missing", flat, edit{"rms_norm_eps": nil}, func(c *Config) { c.Text.RMSNormEps = 1e-5 }},
		{"theta missing", flat, edit{"rope_theta": nil}, func(c *Config) {}},
		{"theta an integer", flat, edit{"rope_theta": 10000}, func(c *Config) { c.Text.RopeTheta = 10000 }},
		{"theta within the rope keys", flat, edit{"rope_theta": nil, "rope_scaling.rope_theta": 5e5}, func(c *Config) { c.Text.RopeTheta = 5e5 }},
		{"rope_parameters in the flat form", flat, edit{"rope_scaling": nil, "rope_parameters.rope_type": "default", "rope_parameters.mrope_section": []int{2, 3, 3}, "rope_parameters.rope_theta": 1e6},
			func(c *Config) {}},
		{"both rope keys", flat, edit{"rope_parameters.mrope_section": []int{2, 3, 3}}, func(c *Config) {}},
		{"no rope type", flat, edit{"rope_scaling.type": nil}, func(c *Config) {}},
		{"other sections", flat, edit{"rope_scaling.mrope_section": []int{0, 8, 0}}, func(c *Config) { c.Text.MRopeSection = [3]int{0, 8, 0} }},
		{"tie missing is untied", flat, edit{"tie_word_embeddings": nil}, func(c *Config) { c.TieWordEmbeddings = false }},
		{"untied", flat, edit{"tie_word_embeddings": false}, func(c *Config) { c.TieWordEmbeddings = false }},
		{"dtype", flat, edit{"torch_dtype": nil, "dtype": "bfloat16"}, func(c *Config) { c.DType = "bfloat16" }},
		{"dtype with module", flat, edit{"torch_dtype": "torch.float16"}, func(c *Config) { c.DType = "float16" }},
		{"dtype before torch_dtype", flat, edit{"dtype": "bfloat16"}, func(c *Config) { c.DType = "bfloat16" }},
		{"dtype missing", flat, edit{"torch_dtype": nil}, func(c *Config) { c.DType = "" }},
		{"in_channels alone", flat, edit{"vision_config.in_chans": nil, "vision_config.in_channels": 3}, func(c *Config) {}},
		{"channels missing", flat, edit{"vision_config.in_chans": nil}, func(c *Config) {}},
		{"blocks missing, shallow tower", flat, edit{"vision_config.fullatt_block_indexes": nil}, func(c *Config) { c.Vision.FullAttnBlocks = []int{} }},
		{"blocks unsorted and beyond the depth", flat, edit{"vision_config.fullatt_block_indexes": []int{31, 2, 0, 2}}, func(c *Config) { c.Vision.FullAttnBlocks = []int{0, 2} }},
		{"tokens_per_second fractional", flat, edit{"vision_config.tokens_per_second": 2.5}, func(c *Config) { c.Vision.TokensPerSecond = 2.5 }},
		{"eos list", flat, edit{"eos_token_id": []int{602, 600}}, func(c *Config) { c.EOSTokenIDs = []int{602, 600} }},
		{"eos null", flat, edit{"eos_token_id": null, "bos_token_id": null}, func(c *Config) { c.BOSTokenID, c.EOSTokenID, c.EOSTokenIDs = -1, -1, nil }},
		{"eos missing, default not in the vocabulary", flat, edit{"eos_token_id": nil, "bos_token_id": nil}, func(c *Config) { c.BOSTokenID, c.EOSTokenID, c.EOSTokenIDs = -1, -1, nil }},
		{"vision_token_id missing", flat, edit{"vision_token_id": nil}, func(c *Config) { c.VisionTokenID = -1 }},
		{"sliding_window inert", flat, edit{"sliding_window": 7, "max_window_layers": 1}, func(c *Config) {}},

		{"nested: tie at the top wins", v4, edit{"tie_word_embeddings": false}, func(c *Config) { c.TieWordEmbeddings = false }},
		{"nested: tie at the top alone", v4, edit{"tie_word_embeddings": true, "text_config.tie_word_embeddings": nil}, func(c *Config) {}},
		{"nested: tie at the top against text_config", v4, edit{"tie_word_embeddings": true, "text_config.tie_word_embeddings": false}, func(c *Config) {}},
		{"nested: tie nowhere", v5, edit{"tie_word_embeddings": nil}, func(c *Config) { c.TieWordEmbeddings = false }},
		{"nested: ids at the top win", v4, edit{"text_config.image_token_id": 5, "text_config.eos_token_id": 6}, func(c *Config) {}},
		{"nested: ids in text_config alone", v4, edit{"image_token_id": nil, "text_config.image_token_id": 5}, func(c *Config) { c.ImageTokenID = 5 }},
		{"nested: inert keys may differ", v4, edit{"sliding_window": 1, "text_config.sliding_window": 2, "max_position_embeddings": 7, "initializer_range": 0.5, "hidden_act": "gelu", "use_cache": false}, func(c *Config) {}},
		{"nested: sizes at the top missing", v4, edit{"hidden_size": nil, "vocab_size": nil, "rope_theta": nil, "rope_scaling": nil, "rms_norm_eps": nil}, func(c *Config) {}},
		{"nested: rope at the top alone", v4, edit{"text_config.rope_scaling": nil, "text_config.rope_theta": nil}, func(c *Config) {}},
		{"nested: dtype at the top first", v5, edit{"dtype": "bfloat16"}, func(c *Config) { c.DType = "bfloat16" }},
		{"nested: dtype in text_config", v5, edit{"dtype": nil}, func(c *Config) {}},
		{"nested: eps missing in both", v5, edit{"text_config.rms_norm_eps": nil}, func(c *Config) { c.Text.RMSNormEps = 1e-5 }},
		{"nested: type mrope", v5, edit{"text_config.rope_parameters.rope_type": "mrope"}, func(c *Config) {}},
		{"nested: type default", v5, edit{"text_config.rope_parameters.type": "default"}, func(c *Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(tt.edit.apply(t, read(t, tt.form)), tt.form)
			if err != nil {
				t.Fatal(err)
			}
			want := *tiny
			want.Vision.FullAttnBlocks = slices.Clone(tiny.Vision.FullAttnBlocks)
			want.EOSTokenIDs = slices.Clone(tiny.EOSTokenIDs)
			tt.want(&want)
			want.Text.HeadDim = want.Text.HiddenSize / want.Text.Heads
			if d := cmp.Diff(&want, c, sameModel); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	const flat, v4, v5 = "released.json", "transformers-4.57.3.json", "transformers-5.23.0.json"
	tests := []struct {
		name string
		form string
		edit edit
		want string
	}{
		{"no model_type", flat, edit{"model_type": nil}, `model_type: the key is missing, want "qwen2_5_vl"`},
		{"other model", flat, edit{"model_type": "qwen2_vl"}, `"qwen2_vl" is not supported, want "qwen2_5_vl"`},
		{"model_type no string", flat, edit{"model_type": 5}, "model_type: want a string, got 5"},
		{"no sections", flat, edit{"rope_scaling.mrope_section": nil}, "rope_scaling.mrope_section: the key is missing"},
		{"no rope_scaling", flat, edit{"rope_scaling": nil}, "rope_scaling.mrope_section: the key is missing"},
		{"rope_scaling null", flat, edit{"rope_scaling": null}, "mrope_section: the key is missing"},
		{"no sections, nested", v5, edit{"text_config.rope_parameters.mrope_section": nil}, "text_config.rope_scaling.mrope_section: the key is missing"},
		{"two sections", flat, edit{"rope_scaling.mrope_section": []int{4, 4}}, "it has 2 elements, want 3"},
		{"four sections", flat, edit{"rope_scaling.mrope_section": []int{2, 2, 2, 2}}, "more than 3 elements"},
		{"negative section", flat, edit{"rope_scaling.mrope_section": []int{-1, 4, 5}}, "element 0: -1 is out of range"},
		{"sections do not add up", flat, edit{"rope_scaling.mrope_section": []int{2, 3, 4}}, "[2 3 4] adds up to 9, want 8"},
		{"yarn", flat, edit{"rope_scaling.type": "yarn"}, `rope_scaling.type: "yarn" is not supported`},
		{"linear", v5, edit{"text_config.rope_parameters.rope_type": "linear"}, `text_config.rope_parameters.rope_type: "linear" is not supported`},
		{"part of the heads turned", flat, edit{"partial_rotary_factor": 0.5}, "partial_rotary_factor: 0.5 is out of range"},
		{"theta 1", flat, edit{"rope_theta": 1}, "rope_theta: 1 turns"},
		{"theta negative", flat, edit{"rope_theta": -10000.0}, "rope_theta: -10000 is out of range"},
		{"theta a string", flat, edit{"rope_theta": "1e6"}, `rope_theta: want a number, got "1e6"`},
		{"theta given twice", flat, edit{"rope_scaling.rope_theta": 5e5}, "rope_scaling.rope_theta: it is 500000, but rope_theta is 1e+06, they must agree"},

		{"hidden_size 0", flat, edit{"hidden_size": 0}, "hidden_size: 0 is out of range, allowed are 1 to 65536"},
		{"hidden_size negative", flat, edit{"hidden_size": -64}, "hidden_size: -64 is out of range"},
		{"hidden_size absurd", flat, edit{"hidden_size": 1e15}, "hidden_size: 1000000000000000 is out of range"},
		{"hidden_size past 64 bits", flat, edit{"hidden_size": 1e30}, "hidden_size: 1e+30 is out of range"},
		{"hidden_size no integer", flat, edit{"hidden_size": 64.5}, "hidden_size: want an integer"},
		{"hidden_size a string", flat, edit{"hidden_size": "64"}, `hidden_size: want a number, got "64"`},
		{"hidden_size a list", flat, edit{"hidden_size": []int{64}}, "hidden_size: want a number, got an array"},
		{"layers absurd", flat, edit{"num_hidden_layers": 1 << 40}, "num_hidden_layers: 1099511627776 is out of range, allowed are 1 to 1024"},
		{"no layers", flat, edit{"num_hidden_layers": 0}, "num_hidden_layers: 0"},
		{"vocabulary absurd", flat, edit{"vocab_size": 1 << 33}, "vocab_size: 8589934592 is out of range"},
		{"MLP absurd", flat, edit{"intermediate_size": 1 << 33}, "intermediate_size: 8589934592 is out of range"},
		{"heads 0", flat, edit{"num_attention_heads": 0}, "num_attention_heads: 0"},
		{"heads do not divide", flat, edit{"num_attention_heads": 3}, "num_attention_heads: 3 does not divide hidden_size 64"},
		{"kv heads 0", flat, edit{"num_key_value_heads": 0}, "num_key_value_heads: 0"},
		{"kv heads do not divide", flat, edit{"num_key_value_heads": 3}, "num_key_value_heads: 3 does not divide num_attention_heads 4"},
		{"more kv heads", flat, edit{"num_key_value_heads": 8}, "num_key_value_heads: 8 does not divide"},
		{"odd heads", flat, edit{"num_attention_heads": 64, "num_key_value_heads": 64, "rope_scaling.mrope_section": []int{0, 0, 0}}, "makes heads of 1, which is odd"},
		{"head_dim of its own", flat, edit{"head_dim": 32}, "head_dim: 32 is not hidden_size / num_attention_heads = 64 / 4 = 16"},
		{"positions 0", flat, edit{"max_position_embeddings": 0}, "max_position_embeddings: 0"},
		{"eps 0", flat, edit{"rms_norm_eps": 0}, "rms_norm_eps: 0 is out of range"},
		{"eps out of float range", flat, edit{"rms_norm_eps": json.RawMessage("1e999")}, "rms_norm_eps: want a number, got 1e999"},
		{"initializer negative", flat, edit{"initializer_range": -0.1}, "initializer_range: -0.1 is out of range"},
		{"other activation", flat, edit{"hidden_act": "gelu"}, `hidden_act: "gelu" is not supported`},
		{"sliding window", flat, edit{"use_sliding_window": true}, "use_sliding_window: true is not supported"},
		{"sliding layers", flat, edit{"layer_types": []string{"full_attention", "sliding_attention"}}, `layer_types: element 1: "sliding_attention" is not supported`},
		{"tie no boolean", flat, edit{"tie_word_embeddings": 1}, "tie_word_embeddings: want a boolean, got 1"},
		{"quantised", flat, edit{"quantization_config.quant_method": "awq"}, "quantization_config: quantised checkpoints are not supported"},
		{"dtype no string", flat, edit{"torch_dtype": 16}, "torch_dtype: want a string"},

		{"image id missing, default not in the vocabulary", flat, edit{"image_token_id": nil}, "image_token_id: the key is missing, and transformers' default 151655 is not in the vocabulary of 640"},
		{"image id not in the vocabulary", flat, edit{"image_token_id": 640}, "image_token_id: 640 is out of range, allowed are 0 to 639"},
		{"image id negative", flat, edit{"image_token_id": -1}, "image_token_id: -1"},
		{"eos not in the vocabulary", flat, edit{"eos_token_id": 640}, "eos_token_id: 640"},
		{"eos in a list not in the vocabulary", flat, edit{"eos_token_id": []int{1, 640}}, "eos_token_id: element 1: 640"},
		{"one id for two tokens", flat, edit{"image_token_id": 613}, "video_token_id: 613 is also image_token_id"},

		{"vision_config no object", flat, edit{"vision_config": 5}, "vision_config: want an object, got 5"},
		{"text_config no object", flat, edit{"text_config": []int{}}, "text_config: want an object, got an array"},
		{"vision missing", flat, edit{"vision_config": nil}, "vision_config.out_hidden_size: 3584 is not the decoder's hidden_size 64"},
		{"depth absurd", flat, edit{"vision_config.depth": 1 << 40}, "vision_config.depth: 1099511627776"},
		{"vision heads do not divide", flat, edit{"vision_config.num_heads": 5}, "vision_config.num_heads: 5 does not divide hidden_size 32"},
		{"vision heads no multiple of 4", flat, edit{"vision_config.num_heads": 16}, "makes heads of 2, want a multiple of 4"},
		{"vision output", flat, edit{"vision_config.out_hidden_size": 32}, "vision_config.out_hidden_size: 32 is not the decoder's hidden_size 64"},
		{"window", flat, edit{"vision_config.window_size": 100}, "window_size: 100 is not a multiple of patch_size * spatial_merge_size = 14 * 2 = 28"},
		{"patch 0", flat, edit{"vision_config.patch_size": 0}, "vision_config.patch_size: 0"},
		{"merge absurd", flat, edit{"vision_config.spatial_merge_size": 1 << 20}, "vision_config.spatial_merge_size: 1048576"},
		{"frames absurd", flat, edit{"vision_config.temporal_patch_size": 1 << 20}, "vision_config.temporal_patch_size: 1048576"},
		{"channels", flat, edit{"vision_config.in_chans": 4}, "vision_config.in_chans: 4 is out of range, allowed are 3 to 3"},
		{"channels disagree", flat, edit{"vision_config.in_channels": 1}, "vision_config.in_channels: 1"},
		{"block negative", flat, edit{"vision_config.fullatt_block_indexes": []int{-1}}, "fullatt_block_indexes: element 0: -1"},
		{"block absurd", flat, edit{"vision_config.fullatt_block_indexes": []int{1 << 20}}, "fullatt_block_indexes: element 0: 1048576"},
		{"blocks no list", flat, edit{"vision_config.fullatt_block_indexes": 3}, "fullatt_block_indexes: want an array, got 3"},
		{"vision activation", flat, edit{"vision_config.hidden_act": "quick_gelu"}, `vision_config.hidden_act: "quick_gelu"`},
		{"tokens_per_second 0", flat, edit{"vision_config.tokens_per_second": 0}, "tokens_per_second: 0"},
		{"vision theta", v5, edit{"vision_config.rope_parameters.rope_theta": 5000}, "vision_config.rope_parameters.rope_theta: 5000"},
		{"vision rope", v5, edit{"vision_config.rope_parameters.rope_type": "yarn"}, `"yarn" is not supported, only axial and default`},

		{"hidden_size disagrees", v4, edit{"hidden_size": 128}, "hidden_size: it is 64 in text_config and 128 at the top level, they must agree"},
		{"hidden_size missing in text_config", v4, edit{"text_config.hidden_size": nil}, "hidden_size: it is missing and so, by transformers' default, 8192 in text_config and 64 at the top level"},
		{"layers disagree", v4, edit{"num_hidden_layers": 4}, "num_hidden_layers: it is 3"},
		{"heads disagree", v4, edit{"num_attention_heads": 8}, "num_attention_heads: it is 4"},
		{"kv heads disagree", v4, edit{"num_key_value_heads": 4}, "num_key_value_heads: it is 2"},
		{"MLP disagrees", v4, edit{"intermediate_size": 104}, "intermediate_size: it is 100"},
		{"vocabulary disagrees", v4, edit{"vocab_size": 641}, "vocab_size: it is 640"},
		{"eps disagrees", v4, edit{"rms_norm_eps": 1e-5}, "rms_norm_eps: it is 1e-06 in text_config and 1e-05 at the top level"},
		{"theta disagrees", v4, edit{"rope_theta": 1e4}, "rope_theta: it is 10000, but text_config.rope_theta is 1e+06"},
		{"sections disagree", v4, edit{"rope_scaling.mrope_section": []int{4, 2, 2}}, "rope_scaling.mrope_section: it is [4 2 2], but text_config.rope_scaling.mrope_section is [2 3 3]"},
		{"sliding window at the top", v4, edit{"use_sliding_window": true}, "use_sliding_window: true"},
		{"sliding window in text_config", v4, edit{"text_config.use_sliding_window": true}, "text_config.use_sliding_window: true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.edit.apply(t, read(t, tt.form)), "dir/config.json")
			if err == nil {
				t.Fatal("accepted")
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "config: dir/config.json: ") || !strings.Contains(msg, tt.want) {
				t.Errorf("error %q\nwant  %q", msg, tt.want)
			}
		})
	}
}

func TestRefusesText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "not valid JSON"},
		{"not JSON", "model_type: qwen2_5_vl", "not valid JSON at byte 1"},
		{"no object", "[]", "want an object, got an array"},
		{"NaN", `{"model_type":"qwen2_5_vl","rms_norm_eps":NaN}`, "not valid JSON"},
		{"trailing", `{} {}`, "not valid JSON"},
		{"key twice", `{"model_type":"qwen2_5_vl","hidden_size":64,"hidden_size":65}`, `"hidden_size" occurs twice`},
		{"deep", `{"model_type":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "not valid JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.in), "f"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, FileName)) {
		t.Errorf("no file: %v", err)
	}
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "the limit is 4194304") {
		t.Errorf("large file: %v", err)
	}
	if _, err := LoadFile(os.DevNull); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("device: %v", err)
	}
}

func TestMarshalReleased(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(c *Config)
	}{
		{"as it is", func(c *Config) {}},
		{"several stops", func(c *Config) { c.EOSTokenIDs = []int{602, 600} }},
		{"no optional ids", func(c *Config) { c.BOSTokenID, c.EOSTokenID, c.EOSTokenIDs, c.VisionTokenID = -1, -1, nil, -1 }},
		{"no full attention", func(c *Config) { c.Vision.FullAttnBlocks = []int{} }},
		{"fractions", func(c *Config) {
			c.Vision.TokensPerSecond, c.Text.RopeTheta, c.Text.InitializerRange = 2.5, 12345.678, 1e-7
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := *tiny
			tt.edit(&want)
			data, err := want.MarshalReleased()
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(data, "marshalled")
			if err != nil {
				t.Fatalf("%v\n%s", err, data)
			}
			if want.EOSTokenID < 0 { // the default is not in the vocabulary
				want.EOSTokenIDs = nil
			}
			if d := cmp.Diff(&want, got, sameModel); d != "" {
				t.Error(d)
			}
			if d := got.Defaulted(); len(d) > 0 {
				t.Errorf("keys are missing: %q", d)
			}
		})
	}
	bad := *tiny
	bad.Text.RMSNormEps = math.NaN()
	if _, err := bad.MarshalReleased(); err == nil {
		t.Error("NaN was written")
	}
}

// Every key that the released file has and that is not inert is written with
// the same value.
func TestMarshalReleasedKeys(t *testing.T) {
	data, err := parseFile(t, "released.json").MarshalReleased()
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read(t, "released.json"), &want); err != nil {
		t.Fatal(err)
	}
	for _, inert := range []string{"attention_dropout", "max_window_layers", "sliding_window", "transformers_version", "use_cache"} {
		delete(want, inert)
	}
	vision := want["vision_config"].(map[string]any)
	vision["in_channels"], vision["initializer_range"] = 3., 0.02
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(data), `"rope_theta": 1000000.0`) && !strings.Contains(string(data), `"rope_theta": 1e+06`) {
		t.Errorf("rope_theta is no float for Python:\n%s", data)
	}
}

func TestWithDType(t *testing.T) {
	for _, form := range []string{"released.json", "transformers-4.57.3.json", "transformers-5.23.0.json"} {
		c := parseFile(t, form)
		d := c.WithDType("bfloat16")
		if c.DType != "float32" || string(c.Raw) != string(read(t, form)) {
			t.Errorf("%s: the original has changed", form)
		}
		again, err := Parse(d.Raw, form)
		if err != nil {
			t.Fatal(err)
		}
		want := *tiny
		want.DType = "bfloat16"
		if diff := cmp.Diff(&want, again, sameModel); diff != "" {
			t.Errorf("%s: %s", form, diff)
		}
		// Nothing else has changed.
		back := strings.ReplaceAll(string(d.Raw), `"bfloat16"`, `"float32"`)
		if strings.TrimSpace(back) != strings.TrimSpace(string(c.Raw)) {
			t.Errorf("%s: Raw is\n%s", form, d.Raw)
		}
	}
	byHand := *tiny
	if d := byHand.WithDType("bfloat16"); d.Raw != nil || d.DType != "bfloat16" {
		t.Errorf("without Raw: %+v", d)
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range []string{"released.json", "transformers-4.57.3.json", "transformers-5.23.0.json"} {
		f.Add(read(f, form))
	}
	f.Add([]byte(`{"model_type":"qwen2_5_vl","rope_scaling":{"mrope_section":[16,24,24]},"vision_config":{"out_hidden_size":8192}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, "fuzz")
		if err != nil {
			return
		}
		// What is accepted can be written, and reads the same.
		out, err := c.MarshalReleased()
		if err != nil {
			t.Fatal(err)
		}
		d, err := Parse(out, "fuzz")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		// An id that null has turned off takes its default again.
		c.BOSTokenID, c.EOSTokenID, c.EOSTokenIDs, c.VisionTokenID = d.BOSTokenID, d.EOSTokenID, d.EOSTokenIDs, d.VisionTokenID
		c.Raw, d.Raw, c.defaulted, d.defaulted = nil, nil, nil, nil
		if !reflect.DeepEqual(c, d) {
			t.Fatalf("got %+v\nwant %+v", d, c)
		}
	})
}
