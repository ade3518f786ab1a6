package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// The released form, key by key in the order in which they are written.
type released struct {
	Architectures         []string       `json:"architectures"`
	ModelType             string         `json:"model_type"`
	BOSTokenID            *int           `json:"bos_token_id,omitempty"`
	EOSTokenID            any            `json:"eos_token_id,omitempty"` // an int or several
	VisionStartTokenID    int            `json:"vision_start_token_id"`
	VisionEndTokenID      int            `json:"vision_end_token_id"`
	VisionTokenID         *int           `json:"vision_token_id,omitempty"`
	ImageTokenID          int            `json:"image_token_id"`
	VideoTokenID          int            `json:"video_token_id"`
	HiddenAct             string         `json:"hidden_act"`
	HiddenSize            int            `json:"hidden_size"`
	InitializerRange      pyFloat        `json:"initializer_range"`
	IntermediateSize      int            `json:"intermediate_size"`
	MaxPositionEmbeddings int            `json:"max_position_embeddings"`
	Heads                 int            `json:"num_attention_heads"`
	Layers                int            `json:"num_hidden_layers"`
	KVHeads               int            `json:"num_key_value_heads"`
	RMSNormEps            pyFloat        `json:"rms_norm_eps"`
	RopeTheta             pyFloat        `json:"rope_theta"`
	TieWordEmbeddings     bool           `json:"tie_word_embeddings"`
	TorchDType            string         `json:"torch_dtype,omitempty"`
	UseSlidingWindow      bool           `json:"use_sliding_window"`
	Vision                releasedVision `json:"vision_config"`
	RopeScaling           releasedRope   `json:"rope_scaling"`
	VocabSize             int            `json:"vocab_size"`
}

type releasedVision struct {
	Depth             int     `json:"depth"`
	HiddenAct         string  `json:"hidden_act"`
	HiddenSize        int     `json:"hidden_size"`
	InitializerRange  pyFloat `json:"initializer_range"`
	IntermediateSize  int     `json:"intermediate_size"`
	Heads             int     `json:"num_heads"`
	InChans           int     `json:"in_chans"`
	InChannels        int     `json:"in_channels"` // what transformers reads
	OutHiddenSize     int     `json:"out_hidden_size"`
	PatchSize         int     `json:"patch_size"`
	SpatialMergeSize  int     `json:"spatial_merge_size"`
	SpatialPatchSize  int     `json:"spatial_patch_size"`
	WindowSize        int     `json:"window_size"`
	FullAttnBlocks    []int   `json:"fullatt_block_indexes"`
	TokensPerSecond   number  `json:"tokens_per_second"`
	TemporalPatchSize int     `json:"temporal_patch_size"`
}

type releasedRope struct {
	Type    string `json:"type"`
	Section [3]int `json:"mrope_section"`
}

// A pyFloat is written so that Python reads a float: with a point or an exponent.
type pyFloat float64

func (f pyFloat) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return nil, fmt.Errorf("%v is no number for a configuration", float64(f))
	}
	s := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return []byte(s), nil
}

// A number is written as an integer where it is one.
type number float64

func (f number) MarshalJSON() ([]byte, error) {
	if f == number(math.Trunc(float64(f))) && math.Abs(float64(f)) < 1<<53 {
		return strconv.AppendInt(nil, int64(f), 10), nil
	}
	return pyFloat(f).MarshalJSON()
}

// MarshalReleased returns a config.json in the released, flat form. [Parse] reads
// from it a Config equal to c, Raw aside. Keys of Raw that the Config does not
// hold are not in it.
func (c *Config) MarshalReleased() ([]byte, error) {
	t, v := &c.Text, &c.Vision
	r := released{
		Architectures:         []string{"Qwen2_5_VLForConditionalGeneration"},
		ModelType:             ModelType,
		BOSTokenID:            present(c.BOSTokenID),
		VisionStartTokenID:    c.VisionStartTokenID,
		VisionEndTokenID:      c.VisionEndTokenID,
		VisionTokenID:         present(c.VisionTokenID),
		ImageTokenID:          c.ImageTokenID,
		VideoTokenID:          c.VideoTokenID,
		HiddenAct:             "silu",
		HiddenSize:            t.HiddenSize,
		InitializerRange:      pyFloat(t.InitializerRange),
		IntermediateSize:      t.IntermediateSize,
		MaxPositionEmbeddings: t.MaxPositionEmbeddings,
		Heads:                 t.Heads,
		Layers:                t.Layers,
		KVHeads:               t.KVHeads,
		RMSNormEps:            pyFloat(t.RMSNormEps),
		RopeTheta:             pyFloat(t.RopeTheta),
		TieWordEmbeddings:     c.TieWordEmbeddings,
		TorchDType:            c.DType,
		Vision: releasedVision{
			Depth:             v.Depth,
			HiddenAct:         "silu",
			HiddenSize:        v.HiddenSize,
			InitializerRange:  pyFloat(v.InitializerRange),
			IntermediateSize:  v.IntermediateSize,
			Heads:             v.Heads,
			InChans:           v.InChannels,
			InChannels:        v.InChannels,
			OutHiddenSize:     v.OutHiddenSize,
			PatchSize:         v.PatchSize,
			SpatialMergeSize:  v.SpatialMergeSize,
			SpatialPatchSize:  v.PatchSize,
			WindowSize:        v.WindowSize,
			FullAttnBlocks:    append([]int{}, v.FullAttnBlocks...), // never null
			TokensPerSecond:   number(v.TokensPerSecond),
			TemporalPatchSize: v.TemporalPatchSize,
		},
		RopeScaling: releasedRope{"mrope", t.MRopeSection},
		VocabSize:   t.VocabSize,
	}
	switch ids := c.EOSTokenIDs; {
	case len(ids) > 1:
		r.EOSTokenID = ids
	case len(ids) == 1:
		r.EOSTokenID = ids[0]
	case c.EOSTokenID >= 0:
		r.EOSTokenID = c.EOSTokenID
	}
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return append(out, '\n'), nil
}

// File returns the bytes of a preprocessor_config.json for p. [ParsePreprocessor]
// reads from it a Preprocessor equal to p.
func (p *Preprocessor) File() ([]byte, error) {
	out, err := json.MarshalIndent(struct {
		MinPixels          int        `json:"min_pixels"`
		MaxPixels          int        `json:"max_pixels"`
		PatchSize          int        `json:"patch_size"`
		TemporalPatchSize  int        `json:"temporal_patch_size"`
		MergeSize          int        `json:"merge_size"`
		RescaleFactor      pyFloat    `json:"rescale_factor"`
		Mean               [3]pyFloat `json:"image_mean"`
		Std                [3]pyFloat `json:"image_std"`
		ImageProcessorType string     `json:"image_processor_type"`
		ProcessorClass     string     `json:"processor_class"`
	}{p.MinPixels, p.MaxPixels, p.PatchSize, p.TemporalPatchSize, p.MergeSize, pyFloat(p.RescaleFactor),
		[3]pyFloat{pyFloat(p.Mean[0]), pyFloat(p.Mean[1]), pyFloat(p.Mean[2])}, [3]pyFloat{pyFloat(p.Std[0]), pyFloat(p.Std[1]), pyFloat(p.Std[2])},
		"Qwen2VLImageProcessor", "Qwen2_5_VLProcessor"}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return append(out, '\n'), nil
}

func present(id int) *int {
	if id < 0 {
		return nil
	}
	return &id
}

// WithDType returns a copy of c that says that the weights are of type dtype
// ("float32", "bfloat16"). In Raw, the values of dtype and torch_dtype are
// replaced, and nothing else.
func (c *Config) WithDType(dtype string) *Config {
	d := *c
	d.DType = dtype
	if c.Raw == nil {
		return &d
	}
	root, err := rawjson.Parse(c.Raw)
	if err != nil { // not what Parse has read
		d.Raw = nil
		return &d
	}
	type span struct{ begin, end int }
	var spans []span
	find := func(v rawjson.Value) {
		v.Members(func(key string, v rawjson.Value) error {
			if (key == "dtype" || key == "torch_dtype") && v.Kind() == rawjson.String {
				i := root.Offset(v)
				spans = append(spans, span{i, i + len(v)})
			}
			return nil
		})
	}
	find(root)
	root.Members(func(key string, v rawjson.Value) error {
		if key == "text_config" || key == "vision_config" {
			find(v)
		}
		return nil
	})
	slices.SortFunc(spans, func(a, b span) int { return a.begin - b.begin })
	var out bytes.Buffer
	done := 0
	for _, s := range spans {
		out.Write(root[done:s.begin])
		fmt.Fprintf(&out, "%q", dtype)
		done = s.end
	}
	out.Write(root[done:])
	d.Raw = out.Bytes()
	return &d
}

// File returns the bytes of a config.json for c: Raw, or the released form where
// there is none.
func (c *Config) File() ([]byte, error) {
	if c.Raw != nil {
		return slices.Clone(c.Raw), nil
	}
	return c.MarshalReleased()
}
