package scratch_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/scratch"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

func Example() {
	texts := []string{"How many circles are there?", "How many squares are there?"}
	tok, err := tokenizer.Train(slices.Values(texts), tokenizer.TrainOptions{VocabSize: 265})
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := scratch.Config(tok, scratch.Sizes{Hidden: 32, Layers: 2, Heads: 4, KVHeads: 2, VisionHidden: 16, VisionDepth: 4, VisionHeads: 2})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "scratch")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	files, model := filepath.Join(dir, "files"), filepath.Join(dir, "model")
	if err := scratch.WriteCompanions(files, tok, cfg, scratch.Pixels{Max: 112 * 112}); err != nil {
		log.Fatal(err)
	}
	if err := checkpoint.Init(context.Background(), model, cfg, checkpoint.InitOptions{Tokenizer: files, Seed: 1}); err != nil {
		log.Fatal(err)
	}
	entries, err := os.ReadDir(model)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	// Output:
	// chat_template.json
	// config.json
	// generation_config.json
	// merges.txt
	// model.safetensors
	// preprocessor_config.json
	// tokenizer.json
	// tokenizer_config.json
	// vocab.json
}

func train(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{"abab abab"}), tokenizer.TrainOptions{VocabSize: 258})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestConfig(t *testing.T) {
	tok := train(t) // 258 tokens and 22 added ones
	c, err := scratch.Config(tok, scratch.Sizes{Hidden: 64, Layers: 3, Heads: 4, VisionHidden: 32, VisionDepth: 4, VisionHeads: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Text{
		HiddenSize: 64, Layers: 3, Heads: 4, KVHeads: 4, HeadDim: 16, IntermediateSize: 256, VocabSize: 320, RMSNormEps: 1e-6,
		RopeTheta: 1e6, MRopeSection: [3]int{2, 3, 3}, MaxPositionEmbeddings: 32768, InitializerRange: 0.02,
	}
	if c.Text != want {
		t.Errorf("decoder %+v\nwant    %+v", c.Text, want)
	}
	if v := &c.Vision; v.HeadDim != 16 || v.IntermediateSize != 128 || v.OutHiddenSize != 64 || v.WindowSize != 112 || !slices.Equal(v.FullAttnBlocks, []int{1, 3}) {
		t.Errorf("vision tower %+v", *v)
	}
	if !c.TieWordEmbeddings || c.DType != "bfloat16" {
		t.Errorf("tied %t, type %q", c.TieWordEmbeddings, c.DType)
	}
	for token, id := range map[string]int{
		"<|endoftext|>": c.BOSTokenID, "<|im_end|>": c.EOSTokenID, "<|image_pad|>": c.ImageTokenID, "<|video_pad|>": c.VideoTokenID,
		"<|vision_start|>": c.VisionStartTokenID, "<|vision_end|>": c.VisionEndTokenID, "<|vision_pad|>": c.VisionTokenID,
	} {
		if got, _ := tok.Token(int32(id)); got != token {
			t.Errorf("the id %d of %s is that of %q", id, token, got)
		}
	}

	// All that can be given.
	c, err = scratch.Config(tok, scratch.Sizes{
		Hidden: 48, Layers: 1, Heads: 6, KVHeads: 2, Intermediate: 20, VisionHidden: 24, VisionDepth: 3, VisionHeads: 3, VisionIntermediate: 10,
		Patch: 8, Merge: 3, Window: 96, FullAttention: []int{0}, Positions: 100, VocabMultiple: 100, InitializerRange: 0.5, Untied: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Text.VocabSize != 300 || c.Text.HeadDim != 8 || c.Text.MRopeSection != [3]int{1, 1, 2} || c.Text.MaxPositionEmbeddings != 100 || c.TieWordEmbeddings ||
		c.Text.InitializerRange != 0.5 || c.Vision.InitializerRange != 0.5 || c.Vision.PatchSize != 8 || c.Vision.SpatialMergeSize != 3 || c.Vision.WindowSize != 96 ||
		!slices.Equal(c.Vision.FullAttnBlocks, []int{0}) || c.Text.KVHeads != 2 || c.Text.IntermediateSize != 20 || c.Vision.IntermediateSize != 10 {
		t.Errorf("%+v", c)
	}
}

// The blocks with full attention and the sections are those of the released model
// where the sizes are.
func TestConfigReleased(t *testing.T) {
	c, err := scratch.Config(train(t), scratch.Sizes{Hidden: 2048, Layers: 36, Heads: 16, KVHeads: 2, VisionHidden: 1280, VisionDepth: 32, VisionHeads: 16})
	if err != nil {
		t.Fatal(err)
	}
	if c.Text.MRopeSection != [3]int{16, 24, 24} || !slices.Equal(c.Vision.FullAttnBlocks, []int{7, 15, 23, 31}) {
		t.Errorf("sections %v, full attention in %v", c.Text.MRopeSection, c.Vision.FullAttnBlocks)
	}
	for depth, want := range map[int][]int{1: {0}, 2: {1}, 3: {1, 2}, 5: {1, 3, 4}, 8: {1, 3, 5, 7}} {
		c, err := scratch.Config(train(t), scratch.Sizes{Hidden: 32, Layers: 1, Heads: 2, VisionHidden: 16, VisionDepth: depth, VisionHeads: 2})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.Vision.FullAttnBlocks, want) {
			t.Errorf("%d blocks: full attention in %v, want %v", depth, c.Vision.FullAttnBlocks, want)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	good := scratch.Sizes{Hidden: 64, Layers: 3, Heads: 4, VisionHidden: 32, VisionDepth: 4, VisionHeads: 2}
	for _, test := range []struct {
		want   string
		change func(*scratch.Sizes)
	}{
		{"hidden_size: 0", func(s *scratch.Sizes) { s.Hidden = 0 }},
		{"num_attention_heads: 0", func(s *scratch.Sizes) { s.Heads = 0 }},
		{"num_attention_heads: 3", func(s *scratch.Sizes) { s.Heads = 3 }},
		{"num_key_value_heads: 3", func(s *scratch.Sizes) { s.KVHeads = 3 }},
		{"num_hidden_layers: 0", func(s *scratch.Sizes) { s.Layers = 0 }},
		{"vision_config.num_heads", func(s *scratch.Sizes) { s.VisionHeads = 5 }},
		{"vision_config.depth", func(s *scratch.Sizes) { s.VisionDepth = 0 }},
		{"multiple of -1", func(s *scratch.Sizes) { s.VocabMultiple = -1 }},
		{"window_size", func(s *scratch.Sizes) { s.Window = 30 }},
	} {
		s := good
		test.change(&s)
		if _, err := scratch.Config(train(t), s); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", s, err, test.want)
		}
	}
}

func TestWriteCompanions(t *testing.T) {
	tok := train(t)
	c, err := scratch.Config(tok, scratch.Sizes{Hidden: 32, Layers: 1, Heads: 2, VisionHidden: 16, VisionDepth: 1, VisionHeads: 2, Patch: 8})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "files")
	if err := scratch.WriteCompanions(dir, tok, c, scratch.Pixels{Min: 300, Max: 4000}); err != nil {
		t.Fatal(err)
	}
	if err := chat.CheckTemplate(dir); err != nil {
		t.Error(err)
	}
	p, err := config.LoadPreprocessor(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.MinPixels != 300 || p.MaxPixels != 4000 {
		t.Errorf("preprocessor %+v", p)
	}
	if err := p.Check(&c.Vision); err != nil {
		t.Error(err)
	}
	stops, err := config.GenerationStops(dir, c)
	if want := []int{258, 260}; err != nil || !slices.Equal(stops, want) {
		t.Errorf("stop ids %v, %v, want %v", stops, err, want)
	}
	got, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := got.Encode("abab<|im_end|>"), tok.Encode("abab<|im_end|>"); !slices.Equal(a, b) {
		t.Errorf("ids %v, want %v", a, b)
	}

	for _, test := range []struct {
		dir  string
		px   scratch.Pixels
		want string
	}{
		{dir, scratch.Pixels{}, "exists"},
		{t.TempDir(), scratch.Pixels{Min: 500, Max: 400}, "500 to 400 pixels"},
		{t.TempDir(), scratch.Pixels{Min: 1, Max: 255}, "no token"},
		{t.TempDir(), scratch.Pixels{Min: -1}, "-1 to"},
	} {
		if err := scratch.WriteCompanions(test.dir, tok, c, test.px); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.px, err, test.want)
		}
	}
}
