package scratch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/internal/atomicfile"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

// Sizes are the sizes of a model. Those that may be zero say what that means.
type Sizes struct {
	Hidden       int // of the decoder
	Layers       int
	Heads        int // divide Hidden
	KVHeads      int // divide Heads; 0: Heads
	Intermediate int // of the MLP; 0: 4 times Hidden

	VisionHidden       int // of the vision tower
	VisionDepth        int // blocks
	VisionHeads        int // divide VisionHidden
	VisionIntermediate int // 0: 4 times VisionHidden

	Patch  int // pixels a side of a patch; 0: 14
	Merge  int // patches a side of a token; 0: 2
	Window int // pixels a side of an attention window; 0: 4 tokens a side

	// FullAttention are the vision blocks that attend to the whole picture. None
	// means the last of each quarter of the blocks, as in the released models, but
	// not more than every second block, and the last one.
	FullAttention []int

	Positions        int     // max_position_embeddings; 0: 32768
	VocabMultiple    int     // the embedding's rows are a multiple of it; 0: 64
	InitializerRange float64 // standard deviation of random weights; 0: 0.02
	RopeTheta        float64 // base of the rotary positions; 0: 1e6. Small pictures and short texts are told apart by a small one
	Untied           bool    // the output head is not the embedding
}

// Config returns the configuration of a model of these sizes with a tokenizer's
// vocabulary. All else is as in the released models: epsilon and RoPE's base, two
// frames a patch, heads whose rotary pairs turn a quarter with time and the rest
// with height and width. What does not fit together is an error that names the key
// of config.json.
func Config(tok *tokenizer.Tokenizer, s Sizes) (*config.Config, error) {
	s.KVHeads = cmp.Or(s.KVHeads, s.Heads)
	s.Intermediate = cmp.Or(s.Intermediate, 4*s.Hidden)
	s.VisionIntermediate = cmp.Or(s.VisionIntermediate, 4*s.VisionHidden)
	s.Patch = cmp.Or(s.Patch, 14)
	s.Merge = cmp.Or(s.Merge, 2)
	s.Window = cmp.Or(s.Window, 4*s.Patch*s.Merge)
	s.Positions = cmp.Or(s.Positions, 32768)
	s.VocabMultiple = cmp.Or(s.VocabMultiple, 64)
	s.InitializerRange = cmp.Or(s.InitializerRange, 0.02)
	s.RopeTheta = cmp.Or(s.RopeTheta, 1e6)
	if s.VocabMultiple < 0 {
		return nil, fmt.Errorf("scratch: the vocabulary cannot be a multiple of %d", s.VocabMultiple)
	}
	if s.FullAttention == nil {
		s.FullAttention = fullAttention(s.VisionDepth)
	}
	rows := (tok.VocabSize() + s.VocabMultiple - 1) / s.VocabMultiple * s.VocabMultiple
	c := &config.Config{
		Text: config.Text{
			HiddenSize: s.Hidden, Layers: s.Layers, Heads: s.Heads, KVHeads: s.KVHeads, IntermediateSize: s.Intermediate, VocabSize: rows,
			RMSNormEps: 1e-6, RopeTheta: s.RopeTheta, MaxPositionEmbeddings: s.Positions, InitializerRange: s.InitializerRange,
		},
		Vision: config.Vision{
			HiddenSize: s.VisionHidden, Depth: s.VisionDepth, Heads: s.VisionHeads, IntermediateSize: s.VisionIntermediate,
			OutHiddenSize: s.Hidden, PatchSize: s.Patch, SpatialMergeSize: s.Merge, TemporalPatchSize: 2, WindowSize: s.Window,
			FullAttnBlocks: s.FullAttention, InChannels: 3, TokensPerSecond: 2, InitializerRange: s.InitializerRange,
		},
		TieWordEmbeddings: !s.Untied,
		DType:             "bfloat16",
	}
	if s.Heads > 0 {
		c.Text.MRopeSection = mropeSection(s.Hidden / s.Heads)
	}
	for _, e := range []struct {
		token string
		id    *int
	}{
		{"<|endoftext|>", &c.BOSTokenID}, {"<|im_end|>", &c.EOSTokenID}, {"<|image_pad|>", &c.ImageTokenID}, {"<|video_pad|>", &c.VideoTokenID},
		{"<|vision_start|>", &c.VisionStartTokenID}, {"<|vision_end|>", &c.VisionEndTokenID}, {"<|vision_pad|>", &c.VisionTokenID},
	} {
		id, ok := tok.ID(e.token)
		if !ok {
			return nil, fmt.Errorf("scratch: the tokenizer has no %s: want one that tokenizer.Train has made, or a released one", e.token)
		}
		*e.id = int(id)
	}
	c.EOSTokenIDs = []int{c.EOSTokenID}
	// What is written is what is read: the parser checks it and derives the rest.
	file, err := c.MarshalReleased()
	if err == nil {
		c, err = config.Parse(file, config.FileName)
	}
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	return c, nil
}

// mropeSection divides the rotary pairs of a head of dim values between time, height
// and width as the released models do: 16, 24 and 24 of 64.
func mropeSection(dim int) [3]int {
	pairs := dim / 2
	time := pairs / 4
	height := (pairs - time) / 2
	return [3]int{time, height, pairs - time - height}
}

// fullAttention returns the blocks of a vision tower that attend to all of it.
func fullAttention(depth int) []int {
	var blocks []int
	every := max(2, depth/4)
	for i := every - 1; i < depth; i += every {
		blocks = append(blocks, i)
	}
	if n := len(blocks); depth > 0 && (n == 0 || blocks[n-1] != depth-1) {
		blocks = append(blocks, depth-1)
	}
	return blocks
}

// Pixels limits the area of pictures after resizing.
type Pixels struct {
	Min int // 0: one token
	Max int // 0: 1280 tokens
}

// WriteCompanions writes the files that a checkpoint has beside its weights and
// config.json to the folder dir, which is made if it is missing: the tokenizer's
// files with the chat template of Qwen2.5-VL, chat_template.json,
// preprocessor_config.json for the vision tower of c, and generation_config.json,
// whose stop ids are <|im_end|> and <|endoftext|>. checkpoint.Init takes the folder
// as its Tokenizer. A folder that has one of the files is refused.
func WriteCompanions(dir string, tok *tokenizer.Tokenizer, c *config.Config, px Pixels) error {
	token := c.Vision.PatchSize * c.Vision.SpatialMergeSize
	p := config.DefaultPreprocessor()
	p.MinPixels = cmp.Or(px.Min, token*token)
	p.MaxPixels = cmp.Or(px.Max, 1280*token*token)
	p.PatchSize, p.MergeSize, p.TemporalPatchSize = c.Vision.PatchSize, c.Vision.SpatialMergeSize, c.Vision.TemporalPatchSize
	if p.MinPixels < 1 || p.MaxPixels < p.MinPixels {
		return fmt.Errorf("scratch: pictures cannot have %d to %d pixels", p.MinPixels, p.MaxPixels)
	}
	if p.MaxPixels < token*token {
		return fmt.Errorf("scratch: pictures of at most %d pixels have no token: it is %d x %d pixels", p.MaxPixels, token, token)
	}
	preprocessor, err := p.File()
	if err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	template, err := json.Marshal(struct {
		ChatTemplate string `json:"chat_template"`
	}{chat.Template})
	if err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	end, ok := tok.ID("<|endoftext|>")
	if !ok || c.EOSTokenID < 0 {
		return errors.New("scratch: the tokenizer has no <|endoftext|> or the configuration no eos_token_id")
	}
	generation, err := json.MarshalIndent(struct {
		BOSTokenID  int32   `json:"bos_token_id"`
		PadTokenID  int32   `json:"pad_token_id"`
		EOSTokenIDs []int32 `json:"eos_token_id"`
		DoSample    bool    `json:"do_sample"`
	}{end, end, []int32{int32(c.EOSTokenID), end}, true}, "", "  ")
	if err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	files := []struct {
		name string
		data []byte
	}{
		{"chat_template.json", append(template, '\n')}, {config.PreprocessorFile, preprocessor}, {config.GenerationFile, append(generation, '\n')},
	}
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("scratch: %s exists: choose another folder, nothing is overwritten", name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("scratch: %w", err)
		}
	}
	if err := tok.Save(dir, chat.Template); err != nil {
		return err
	}
	for _, f := range files {
		if err := atomicfile.WriteFile(filepath.Join(dir, f.name), f.data); err != nil {
			return fmt.Errorf("scratch: %w", err)
		}
	}
	return nil
}
