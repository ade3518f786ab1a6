package config

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tdata "github.com/thinker-vl/thinker/engine/internal/testdata"
)

func TestLoadPreprocessorReleased(t *testing.T) {
	for dir, max := range map[string]int{"qwen2.5-vl-3b": 12845056, "golden/tiny": 100352} {
		p, err := LoadPreprocessor(tdata.Path(t, filepath.FromSlash(dir)))
		if err != nil {
			t.Fatal(err)
		}
		want := DefaultPreprocessor()
		want.MaxPixels = max
		if d := cmp.Diff(want, p); d != "" {
			t.Error(d)
		}
		if err := p.Check(&tiny.Vision); err != nil {
			t.Error(err)
		}
	}
}

func TestPreprocessor(t *testing.T) {
	tests := []struct {
		name, in string
		want     func(p *Preprocessor)
	}{
		{"empty", `{}`, func(p *Preprocessor) {}},
		{"as saved by the fast processor", `{"crop_size":null,"data_format":"channels_first","do_center_crop":null,"do_convert_rgb":true,"do_normalize":true,
			"do_rescale":true,"do_resize":true,"image_mean":[0.5,0.5,0.25],"image_std":[1,2,3],"max_pixels":200704,"merge_size":2,"min_pixels":3136,"patch_size":14,
			"resample":3,"rescale_factor":0.00392156862745098,"size":{"longest_edge":200704,"shortest_edge":3136},"temporal_patch_size":2}`,
			func(p *Preprocessor) {
				p.MaxPixels, p.Mean, p.Std = 200704, [3]float64{0.5, 0.5, 0.25}, [3]float64{1, 2, 3}
			}},
		{"size alone", `{"size":{"shortest_edge":100,"longest_edge":200}}`, func(p *Preprocessor) { p.MinPixels, p.MaxPixels = 100, 200 }},
		{"pixels before size", `{"size":{"shortest_edge":100,"longest_edge":200},"max_pixels":300}`, func(p *Preprocessor) { p.MinPixels, p.MaxPixels = 100, 300 }},
		{"nulls", `{"size":null,"min_pixels":null,"max_pixels":null,"image_mean":null,"resample":null}`, func(p *Preprocessor) {}},
		{"one number for all channels", `{"image_mean":0.5,"image_std":0.25}`, func(p *Preprocessor) {
			p.Mean, p.Std = [3]float64{0.5, 0.5, 0.5}, [3]float64{0.25, 0.25, 0.25}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePreprocessor([]byte(tt.in), "f")
			if err != nil {
				t.Fatal(err)
			}
			want := DefaultPreprocessor()
			tt.want(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPreprocessorRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"not JSON", `{`, "not valid JSON"},
		{"no object", `3`, "want an object"},
		{"no resize", `{"do_resize":false}`, "do_resize: false is not supported"},
		{"no normalisation", `{"do_normalize":false}`, "do_normalize: false is not supported"},
		{"other filter", `{"resample":2}`, "resample: 2 is out of range, allowed are 3 to 3"},
		{"size without an edge", `{"size":{"shortest_edge":1}}`, "size.longest_edge: the key is missing"},
		{"size of another kind", `{"size":{"height":1,"width":1}}`, "size.shortest_edge: the key is missing"},
		{"no pixels", `{"min_pixels":0}`, "min_pixels: 0 is out of range"},
		{"pixels absurd", `{"max_pixels":1e30}`, "max_pixels: 1e30 is out of range, allowed are 1 to 1073741824"},
		{"more than the most", `{"min_pixels":300,"max_pixels":200}`, "min_pixels: 300 is more than max_pixels 200"},
		{"patch absurd", `{"patch_size":100000}`, "patch_size: 100000"},
		{"two channels", `{"image_mean":[1,2]}`, "image_mean: it has 2 elements, want 3"},
		{"four channels", `{"image_std":[1,2,3,4]}`, "image_std: more than 3"},
		{"division by zero", `{"image_std":[1,0,1]}`, "image_std: element 1: 0 is out of range"},
		{"no number", `{"image_mean":[1,"2",3]}`, `image_mean: element 1: want a number, got "2"`},
		{"factor 0", `{"rescale_factor":0}`, "rescale_factor: 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParsePreprocessor([]byte(tt.in), "dir/f.json")
			if err == nil || !strings.HasPrefix(err.Error(), "config: dir/f.json: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	p := DefaultPreprocessor()
	p.MergeSize = 4
	if err := p.Check(&tiny.Vision); err == nil || !strings.Contains(err.Error(), "merge_size is 4, but vision_config.spatial_merge_size") {
		t.Errorf("Check: %v", err)
	}
}

func TestLoadPreprocessorFiles(t *testing.T) {
	dir := t.TempDir()
	load := func() int {
		t.Helper()
		p, err := LoadPreprocessor(dir)
		if err != nil {
			t.Fatal(err)
		}
		return p.MaxPixels
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got := load(); got != 1003520 {
		t.Errorf("no file: MaxPixels %d, want the class's default", got)
	}
	put(ProcessorFile, `{"image_processor":{"size":{"shortest_edge":100,"longest_edge":4000}},"processor_class":"Qwen2_5_VLProcessor"}`)
	if got := load(); got != 4000 {
		t.Errorf("%s: MaxPixels %d, want 4000", ProcessorFile, got)
	}
	put(PreprocessorFile, `{"max_pixels":5000}`)
	if got := load(); got != 5000 {
		t.Errorf("%s: MaxPixels %d, want 5000", PreprocessorFile, got)
	}
}

func TestPreprocessorFile(t *testing.T) {
	for _, want := range []*Preprocessor{
		DefaultPreprocessor(),
		{MinPixels: 1, MaxPixels: 1 << 30, PatchSize: 8, TemporalPatchSize: 1, MergeSize: 3, RescaleFactor: 1, Mean: [3]float64{-1, 0, 0.1}, Std: [3]float64{1, 0.5, 1e-9}},
	} {
		data, err := want.File()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParsePreprocessor(data, "file"); err != nil || *got != *want {
			t.Errorf("%s\nis read as %+v, %v, want %+v", data, got, err, want)
		}
	}
	if _, err := (&Preprocessor{RescaleFactor: math.NaN()}).File(); err == nil {
		t.Error("a factor that is no number was written")
	}
}

func TestGenerationStops(t *testing.T) {
	tests := []struct {
		name, file string // empty: no file
		want       []int
		err        string
	}{
		{"no file", "", []int{602}, ""},
		{"one", `{"eos_token_id":5}`, []int{5}, ""},
		{"several", `{"eos_token_id":[602,600,602],"temperature":1e-6,"repetition_penalty":1.05}`, []int{600, 602}, ""},
		{"none", `{"temperature":1}`, []int{602}, ""},
		{"null", `{"eos_token_id":null}`, []int{602}, ""},
		{"not in the vocabulary", `{"eos_token_id":[1,640]}`, nil, "eos_token_id: element 1: 640 is out of range, allowed are 0 to 639"},
		{"negative", `{"eos_token_id":-1}`, nil, "eos_token_id: -1"},
		{"no id", `{"eos_token_id":"<|im_end|>"}`, nil, "eos_token_id: want a number"},
		{"cut short", `{"eos_token_id":`, nil, "not valid JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, GenerationFile), []byte(tt.file), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			got, err := GenerationStops(dir, tiny)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), GenerationFile) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func FuzzPreprocessor(f *testing.F) {
	f.Add([]byte(`{"size":{"shortest_edge":100,"longest_edge":200},"image_mean":[0.5,0.5,0.25],"image_std":0.5,"resample":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePreprocessor(data, "fuzz")
		if err != nil {
			return
		}
		if p.MinPixels < 1 || p.MinPixels > p.MaxPixels || p.PatchSize < 1 || p.MergeSize < 1 || p.TemporalPatchSize < 1 || p.Std[0] <= 0 {
			t.Fatalf("%+v", p)
		}
	})
}
