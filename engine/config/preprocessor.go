package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// Names of the files that hold the settings of image preprocessing.
const (
	PreprocessorFile = "preprocessor_config.json"
	ProcessorFile    = "processor_config.json" // of newer saves; the settings are under image_processor
)

const maxPixels = 1 << 30

// A Preprocessor holds the settings of image preprocessing. Pictures are always
// converted to RGB, resized by Pillow's bicubic filter, rescaled and normalised;
// a file that turns a step off is refused.
type Preprocessor struct {
	MinPixels         int // of a resized picture
	MaxPixels         int
	PatchSize         int
	TemporalPatchSize int
	MergeSize         int
	RescaleFactor     float64
	Mean              [3]float64 // RGB, after rescaling
	Std               [3]float64
}

// DefaultPreprocessor returns the defaults of transformers' class. Its MaxPixels
// is far below that of the released checkpoints.
func DefaultPreprocessor() *Preprocessor {
	return &Preprocessor{
		MinPixels:         56 * 56,
		MaxPixels:         28 * 28 * 1280,
		PatchSize:         14,
		TemporalPatchSize: 2,
		MergeSize:         2,
		RescaleFactor:     1.0 / 255,
		Mean:              [3]float64{0.48145466, 0.4578275, 0.40821073},
		Std:               [3]float64{0.26862954, 0.26130258, 0.27577711},
	}
}

// LoadPreprocessor reads preprocessor_config.json of a checkpoint folder, or
// where that is missing processor_config.json. Missing keys, and missing files,
// mean the class's defaults. min_pixels and max_pixels count before size.
func LoadPreprocessor(dir string) (*Preprocessor, error) {
	path := filepath.Join(dir, PreprocessorFile)
	data, err := regfile.ReadFile(path, maxFile)
	under := ""
	if errors.Is(err, fs.ErrNotExist) {
		path, under = filepath.Join(dir, ProcessorFile), "image_processor"
		data, err = regfile.ReadFile(path, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			return DefaultPreprocessor(), nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	p, err := parsePreprocessor(data, under)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	return p, nil
}

// ParsePreprocessor reads the text of a preprocessor_config.json. name stands for
// the file in errors.
func ParsePreprocessor(data []byte, name string) (*Preprocessor, error) {
	p, err := parsePreprocessor(data, "")
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	return p, nil
}

func parsePreprocessor(data []byte, under string) (*Preprocessor, error) {
	root, err := rawjson.Parse(data)
	if err != nil {
		return nil, err
	}
	k, err := newKeys("", root)
	if err != nil {
		return nil, err
	}
	p := DefaultPreprocessor()
	if under != "" {
		var ok bool
		if k, ok, err = k.object(under); err != nil || !ok {
			return p, err
		}
	}
	for _, key := range []string{"do_resize", "do_rescale", "do_normalize", "do_convert_rgb"} {
		if !k.has(key) {
			continue
		}
		if on, err := k.boolean(key); err != nil {
			return nil, err
		} else if !on {
			return nil, k.fail(key, errors.New("false is not supported"))
		}
	}
	if k.has("resample") {
		if _, err := k.integer("resample", 3, 3); err != nil { // PIL's BICUBIC
			return nil, err
		}
	}
	if size, ok, err := k.object("size"); err != nil {
		return nil, err
	} else if ok {
		for _, e := range []struct {
			key string
			dst *int
		}{{"shortest_edge", &p.MinPixels}, {"longest_edge", &p.MaxPixels}} {
			if *e.dst, err = size.integer(e.key, 1, maxPixels); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range []struct {
		key string
		dst *int
		hi  int64
	}{
		{"min_pixels", &p.MinPixels, maxPixels}, {"max_pixels", &p.MaxPixels, maxPixels}, {"patch_size", &p.PatchSize, maxPatch},
		{"temporal_patch_size", &p.TemporalPatchSize, maxMerge}, {"merge_size", &p.MergeSize, maxMerge},
	} {
		if k.has(e.key) {
			if *e.dst, err = k.integer(e.key, 1, e.hi); err != nil {
				return nil, err
			}
		}
	}
	if k.has("rescale_factor") {
		if p.RescaleFactor, err = k.number("rescale_factor", 1e-9, 1e9); err != nil {
			return nil, err
		}
	}
	if err := k.channels("image_mean", &p.Mean, -1e9, 1e9); err != nil {
		return nil, err
	}
	if err := k.channels("image_std", &p.Std, 1e-9, 1e9); err != nil {
		return nil, err
	}
	if p.MinPixels > p.MaxPixels {
		return nil, fmt.Errorf("min_pixels: %d is more than max_pixels %d", p.MinPixels, p.MaxPixels)
	}
	return p, nil
}

// channels reads three numbers, or one that stands for all three.
func (k keys) channels(key string, dst *[3]float64, lo, hi float64) error {
	v, ok := k.m[key]
	if !ok {
		return nil
	}
	if v.Kind() != rawjson.Array {
		f, err := k.number(key, lo, hi)
		*dst = [3]float64{f, f, f}
		return err
	}
	n := 0
	err := v.Elements(func(i int, v rawjson.Value) error {
		if n++; n > 3 {
			return errors.New("more than 3 elements")
		}
		f, err := v.Float64()
		if err == nil && !(f >= lo && f <= hi) {
			err = outOfRange(v.Short(), formatFloat(lo), formatFloat(hi))
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		dst[i] = f
		return nil
	})
	if err == nil && n < 3 {
		err = fmt.Errorf("it has %d elements, want 3: for red, green and blue", n)
	}
	if err != nil {
		return k.fail(key, err)
	}
	return nil
}

// Check verifies that the preprocessor makes what the vision tower reads.
func (p *Preprocessor) Check(v *Vision) error {
	for _, e := range []struct {
		key       string
		have      int
		modelKey  string
		modelHave int
	}{
		{"patch_size", p.PatchSize, "patch_size", v.PatchSize},
		{"temporal_patch_size", p.TemporalPatchSize, "temporal_patch_size", v.TemporalPatchSize},
		{"merge_size", p.MergeSize, "spatial_merge_size", v.SpatialMergeSize},
	} {
		if e.have != e.modelHave {
			return fmt.Errorf("config: %s: %s is %d, but vision_config.%s of %s is %d",
				PreprocessorFile, e.key, e.have, e.modelKey, FileName, e.modelHave)
		}
	}
	return nil
}
