package engine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// resave writes the golden checkpoint in another form: its config as change leaves it, its tensors in the given layout and shards.
// The head of an untied form is the embedding, scaled.
func resave(t *testing.T, model string, headScale float32, layout checkpoint.Layout, shardBytes int64, change func(c map[string]any)) string {
	t.Helper()
	from := testdata.Path(t, "golden", model)
	ck, err := checkpoint.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	var raw map[string]any
	if err := json.Unmarshal(ck.Config.Raw, &raw); err != nil {
		t.Fatal(err)
	}
	change(raw)
	data, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(data, "config.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole := map[string][]float32{}
	source := checkpoint.Float32Source(safetensors.F32, func(s *checkpoint.TensorSpec, first int64, dst []float32) error {
		name, scale := s.Name, float32(1)
		if name == "lm_head.weight" {
			name, scale = "model.embed_tokens.weight", headScale
		}
		if whole[name] == nil {
			whole[name] = make([]float32, s.Elements())
			if err := ck.ReadF32(name, whole[name]); err != nil {
				return err
			}
		}
		for i := range dst {
			dst[i] = scale * whole[name][first+int64(i)]
		}
		return nil
	})
	if _, err := checkpoint.Save(context.Background(), dir, cfg, source, checkpoint.SaveOptions{DType: safetensors.F32, Layout: layout, MaxShardBytes: shardBytes}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "preprocessor_config.json", "generation_config.json", "chat_template.json"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// nest moves the text keys of a released config under text_config, as transformers saves them.
func nest(c map[string]any) {
	text := map[string]any{"model_type": "qwen2_5_vl_text"}
	for _, k := range []string{"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size", "rms_norm_eps",
		"rope_theta", "rope_scaling", "max_position_embeddings", "use_sliding_window", "sliding_window", "max_window_layers", "hidden_act", "initializer_range"} {
		text[k] = c[k]
		delete(c, k)
	}
	c["text_config"] = text
	c["dtype"] = "float32"
	delete(c, "torch_dtype")
	v := c["vision_config"].(map[string]any)
	v["in_channels"] = v["in_chans"]
	delete(v, "in_chans")
}

// TestForms scores one case with the same weights in every form that a folder may have: the numbers are the same bits.
func TestForms(t *testing.T) {
	for _, model := range someModels() {
		c := goldenCases(t, model)[1]
		want := c.scoreAll(t, openGolden(t, model, Options{DType: F32}), Scoring{})
		same := func(name string, dir string) {
			t.Helper()
			e, err := Open(context.Background(), dir, Options{DType: F32, CacheBytes: 64 << 20})
			if err != nil {
				t.Errorf("%s: %s: %v", model, name, err)
				return
			}
			defer e.Close()
			for i, s := range c.scoreAll(t, e, Scoring{}) {
				if !slices.Equal(bits(s.LogProbs), bits(want[i].LogProbs)) {
					t.Errorf("%s: %s: completion %d differs", model, name, i)
				}
			}
		}
		plain := func(map[string]any) {}
		same("released names, three shards", resave(t, model, 1, checkpoint.Released, shardOf(t, model, 3), plain))
		same("nested names and config", resave(t, model, 1, checkpoint.Nested, 0, nest))
		same("untied, with the embedding as head", resave(t, model, 1, checkpoint.Released, 0, func(c map[string]any) { c["tie_word_embeddings"] = false }))

		// Another head gives other numbers: half the logits are those of temperature 2.
		dir := resave(t, model, 0.5, checkpoint.Nested, shardOf(t, model, 2), func(c map[string]any) { c["tie_word_embeddings"] = false; nest(c) })
		e, err := Open(context.Background(), dir, Options{DType: F32, CacheBytes: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		hot := c.scoreAll(t, openGolden(t, model, Options{DType: F32}), Scoring{Temperature: 2})
		for i, s := range c.scoreAll(t, e, Scoring{}) {
			if !slices.Equal(bits(s.LogProbs), bits(hot[i].LogProbs)) {
				t.Errorf("%s: half the head is not temperature 2 in completion %d", model, i)
			}
		}
		e.Close()
	}
}

// shardOf is a size of shards that cuts the golden checkpoint in about n.
func shardOf(t *testing.T, model string, n int64) int64 {
	ck, err := checkpoint.Open(testdata.Path(t, "golden", model))
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	return 4*checkpoint.Parameters(ck.Config)/n + 1
}
