package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// FileName is the name of the configuration file in a checkpoint folder.
const FileName = "config.json"

// maxFile is the limit of a configuration file's size in bytes.
const maxFile = 4 << 20

// A Config is the configuration of a Qwen2.5-VL model. One that [Load] or
// [Parse] returned is consistent: every size is positive and fits the others.
type Config struct {
	Text   Text
	Vision Vision

	// TieWordEmbeddings says that the output head is the embedding.
	TieWordEmbeddings bool

	// DType is the type that the weights were saved in, as transformers spells
	// it (float32, bfloat16, float16), or empty if the file does not say. The
	// tensors' own types decide.
	DType string

	// Ids of the tokens that stand for pictures and videos.
	ImageTokenID       int
	VideoTokenID       int
	VisionStartTokenID int
	VisionEndTokenID   int
	VisionTokenID      int // <|vision_pad|>; -1 if there is none

	BOSTokenID  int   // -1 if there is none
	EOSTokenID  int   // the first of EOSTokenIDs; -1 if there is none
	EOSTokenIDs []int // in the order of the file

	// Raw is the file as it was read. A checkpoint that is derived from this
	// one is saved with the same bytes. It is nil in a Config made by hand.
	Raw []byte

	defaulted []string
}

// Text is the decoder.
type Text struct {
	HiddenSize            int
	Layers                int
	Heads                 int // of queries
	KVHeads               int // of keys and values; divides Heads
	HeadDim               int // HiddenSize / Heads
	IntermediateSize      int // of the MLP
	VocabSize             int // rows of the embedding, used or not
	RMSNormEps            float64
	RopeTheta             float64
	MRopeSection          [3]int // rotary pairs that turn with time, height, width; their sum is HeadDim / 2
	MaxPositionEmbeddings int
	InitializerRange      float64 // standard deviation of random weights
}

// Vision is the vision tower and the merger behind it.
type Vision struct {
	HiddenSize        int
	Depth             int // blocks
	Heads             int
	HeadDim           int // HiddenSize / Heads
	IntermediateSize  int // of the MLP
	OutHiddenSize     int // of the merger's output: Text.HiddenSize
	PatchSize         int // pixels
	SpatialMergeSize  int // patches a side that become one token
	TemporalPatchSize int // frames
	WindowSize        int // pixels a side of an attention window

	// FullAttnBlocks are the blocks, ascending, that attend to the whole frame.
	// The file may name blocks beyond Depth, as the class default does for a
	// shallow tower; like transformers, which never reaches them, they are left
	// out.
	FullAttnBlocks []int

	InChannels       int
	RMSNormEps       float64 // 1e-6: fixed in the reference implementation
	RopeTheta        float64 // 10000: fixed in the reference implementation
	TokensPerSecond  float64 // temporal positions a second of video
	InitializerRange float64 // standard deviation of random weights
}

// PatchDim returns the number of values of one patch: the vision tower's input
// width.
func (v *Vision) PatchDim() int {
	return v.InChannels * v.TemporalPatchSize * v.PatchSize * v.PatchSize
}

// MergedSize returns the width of the merger's input: the patches of one token,
// side by side.
func (v *Vision) MergedSize() int {
	return v.HiddenSize * v.SpatialMergeSize * v.SpatialMergeSize
}

// Load reads the config.json of a checkpoint folder.
func Load(dir string) (*Config, error) {
	return LoadFile(filepath.Join(dir, FileName))
}

// LoadFile reads a configuration from the file at path.
func LoadFile(path string) (*Config, error) {
	data, err := regfile.ReadFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(data, path)
}

// Parse reads a configuration from the text of a config.json. name stands for
// the file in errors.
func Parse(data []byte, name string) (*Config, error) {
	c, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	c.Raw = slices.Clone(data)
	return c, nil
}

// Defaulted returns the keys that were missing and took the default of
// transformers' class, with the values taken, as "text_config.hidden_size=8192".
func (c *Config) Defaulted() []string {
	return slices.Clone(c.defaulted)
}

// DefaultedSizes says, for an error, which of these keys may be why: " (missing keys took transformers' defaults: ...)", or nothing.
func (c *Config) DefaultedSizes() string {
	var d []string
	for _, key := range c.defaulted {
		if !strings.Contains(key, "initializer_range") {
			d = append(d, key)
		}
	}
	if len(d) == 0 {
		return ""
	}
	return " (missing keys took transformers' defaults: " + strings.Join(d, ", ") + ")"
}

func (c *Config) withDefaults(err error) error {
	return fmt.Errorf("%w%s", err, c.DefaultedSizes())
}
