package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/internal/bf16"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// small is a model that is small enough to write in every test.
func small() *config.Config {
	return &config.Config{
		Text: config.Text{
			HiddenSize: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8, IntermediateSize: 12, VocabSize: 40,
			RMSNormEps: 1e-6, RopeTheta: 1e6, MRopeSection: [3]int{1, 1, 2}, MaxPositionEmbeddings: 64, InitializerRange: 0.5,
		},
		Vision: config.Vision{
			HiddenSize: 8, Depth: 2, Heads: 2, HeadDim: 4, IntermediateSize: 10, OutHiddenSize: 16, PatchSize: 2, SpatialMergeSize: 2,
			TemporalPatchSize: 2, WindowSize: 8, FullAttnBlocks: []int{1}, InChannels: 3, RMSNormEps: 1e-6, RopeTheta: 10000,
			TokensPerSecond: 2, InitializerRange: 0.25,
		},
		TieWordEmbeddings: true,
		ImageTokenID:      30, VideoTokenID: 31, VisionStartTokenID: 32, VisionEndTokenID: 33, VisionTokenID: 34,
		BOSTokenID: 35, EOSTokenID: 36, EOSTokenIDs: []int{36},
	}
}

// counting gives element i of a tensor the value i+1, signed by its role.
func counting(t *TensorSpec, first int64, dst []float32) error {
	for i := range dst {
		dst[i] = float32(first) + float32(i) + 1
		if t.Role == Bias {
			dst[i] = -dst[i]
		}
	}
	return nil
}

// save writes a checkpoint with counting weights.
func save(t *testing.T, c *config.Config, opts SaveOptions) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "checkpoint")
	if opts.DType == "" {
		opts.DType = safetensors.F32
	}
	if _, err := Save(t.Context(), dir, c, Float32Source(opts.DType, counting), opts); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tensors reads the file that holds all weights of a folder.
func tensors(t *testing.T, dir string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, safetensors.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []safetensors.Tensor
	for _, name := range f.Names() {
		info, _ := f.Lookup(name)
		data := make([]byte, info.Bytes())
		if err := f.ReadTensor(name, data); err != nil {
			t.Fatal(err)
		}
		out = append(out, safetensors.Tensor{Name: name, DType: info.DType, Shape: info.Shape, Data: data})
	}
	return out
}

// change rewrites the weights of a folder: f returns what a tensor becomes.
func change(t *testing.T, dir string, f func(x safetensors.Tensor) []safetensors.Tensor) {
	t.Helper()
	var out []safetensors.Tensor
	for _, x := range tensors(t, dir) {
		out = append(out, f(x)...)
	}
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleFile), out, nil); err != nil {
		t.Fatal(err)
	}
}

// changeConfig sets keys of config.json; nil removes one.
func changeConfig(t *testing.T, dir string, keys map[string]any) {
	t.Helper()
	path := filepath.Join(dir, config.FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for k, v := range keys {
		if v == nil {
			delete(doc, k)
		} else {
			doc[k] = v
		}
	}
	if data, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Checkpoint {
	t.Helper()
	ck, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	return ck
}

// The released 3B checkpoint's index names exactly the tensors of Spec, and its
// total is their size in bfloat16.
func TestSpecOfReleased3B(t *testing.T) {
	dir := testdata.Path(t, "qwen2.5-vl-3b")
	c, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, safetensors.IndexFile))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		}
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	specs := Spec(c)
	if len(specs) != 824 || len(index.WeightMap) != 824 {
		t.Errorf("%d tensors, the index names %d, want 824", len(specs), len(index.WeightMap))
	}
	for _, s := range specs {
		if _, ok := index.WeightMap[s.Name]; !ok {
			t.Errorf("%s is not in the index", s.Name)
		}
		delete(index.WeightMap, s.Name)
	}
	for name := range index.WeightMap {
		t.Errorf("%s is not in Spec", name)
	}
	if n := Parameters(c); n != 3_754_622_976 || 2*n != index.Metadata.TotalSize {
		t.Errorf("%d parameters, the index has %d bytes, want 3754622976", n, index.Metadata.TotalSize)
	}
	// The counts by part are those of the reference document.
	parts := make(map[Part]int64)
	for _, s := range specs {
		parts[s.Part] += s.Elements()
	}
	for part, want := range map[Part]int64{
		Embedding: 311_164_928, DecoderLayers: 36 * 77_076_992, FinalNorm: 2048, VisionBlocks: 32 * 19_702_200, Head: 0,
	} {
		if parts[part] != want {
			t.Errorf("%s: %d parameters, want %d", part, parts[part], want)
		}
	}
	if v := parts[PatchEmbedding] + parts[VisionBlocks] + parts[Merger]; v != 668_684_288 {
		t.Errorf("vision: %d parameters, want 668684288", v)
	}
	c.TieWordEmbeddings = false
	if untied := Spec(c); len(untied) != 825 || untied[824].Name != "lm_head.weight" || untied[824].Part != Head {
		t.Errorf("untied: %d tensors, the last is %v", len(untied), untied[len(untied)-1])
	}
}

func TestGoldenCheckpoints(t *testing.T) {
	tests := []struct {
		name   string
		layout Layout
		dtype  safetensors.DType
		shards int
	}{
		{"tiny", Released, safetensors.F32, 2},
		{"wide", Nested, safetensors.BF16, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := testdata.Path(t, "golden", tt.name)
			ck := open(t, dir)
			if ck.Layout() != tt.layout || ck.Dir() != dir {
				t.Errorf("layout %v of %s", ck.Layout(), ck.Dir())
			}
			set, err := safetensors.OpenDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			if n := len(set.Names()); n != len(ck.Tensors()) {
				t.Errorf("%d tensors in the files, %d in the model", n, len(ck.Tensors()))
			}
			for _, s := range ck.Tensors() {
				want, err := set.Float32s(tt.layout.spell(s.Name))
				if err != nil {
					t.Fatal(err)
				}
				got := make([]float32, s.Elements())
				if err := ck.ReadF32(s.Name, got); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: float32 differs, %v", s.Name, err)
				}
				bits, wantBits := make([]uint16, len(want)), make([]uint16, len(want))
				bf16.Narrow(wantBits, want)
				if err := ck.ReadBF16(s.Name, bits); err != nil || !slices.Equal(bits, wantBits) {
					t.Errorf("%s: bfloat16 differs, %v", s.Name, err)
				}
				if ck.DType(s.Name) != tt.dtype {
					t.Errorf("%s is %s, want %s", s.Name, ck.DType(s.Name), tt.dtype)
				}
			}
			sum := ck.Summary()
			if sum.Parameters != Parameters(ck.Config) || sum.Tensors != len(ck.Tensors()) || len(sum.Shards) != tt.shards ||
				len(sum.DTypes) != 1 || sum.DTypes[0].DType != tt.dtype || !sum.Tied || sum.Layout != tt.layout.String() {
				t.Errorf("%+v", sum)
			}
		})
	}
}

func TestReadRows(t *testing.T) {
	c := small()
	c.Text.VocabSize, c.Text.HiddenSize = 1100, 64 // more than a piece
	c.Text.HeadDim, c.Text.MRopeSection, c.Vision.OutHiddenSize = 32, [3]int{4, 6, 6}, 64
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16} {
		dir := save(t, c, SaveOptions{})
		change(t, dir, func(x safetensors.Tensor) []safetensors.Tensor {
			for i := 0; i < len(x.Data)/4; i++ { // values that are exact in every type
				switch f := float32(i%251) - 100; dtype {
				case safetensors.F32:
					binary.LittleEndian.PutUint32(x.Data[4*i:], math.Float32bits(f))
				case safetensors.BF16:
					binary.LittleEndian.PutUint16(x.Data[2*i:], bf16.FromFloat32(f))
				case safetensors.F16:
					binary.LittleEndian.PutUint16(x.Data[2*i:], halfBits(int(f)))
				}
			}
			if dtype != safetensors.F32 {
				x.Data = x.Data[:len(x.Data)/2]
			}
			x.DType = dtype
			return []safetensors.Tensor{x}
		})
		ck := open(t, dir)
		const name, width = "model.embed_tokens.weight", 64
		for _, r := range [][2]int{{0, 1100}, {0, 0}, {1100, 0}, {1099, 1}, {17, 1050}, {0, 1}} {
			n := r[1] * width
			wide, bits := make([]float32, n), make([]uint16, n)
			if err := ck.ReadRowsF32(name, r[0], r[1], wide); err != nil {
				t.Fatal(err)
			}
			if err := ck.ReadRowsBF16(name, r[0], r[1], bits); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				want := float32((r[0]*width+i)%251) - 100
				if wide[i] != want || bf16.ToFloat32(bits[i]) != want {
					t.Fatalf("%s rows %v, element %d: %v and %v, want %v", dtype, r, i, wide[i], bf16.ToFloat32(bits[i]), want)
				}
			}
		}
		for what, err := range map[string]error{
			"unknown tensor":         ck.ReadF32("model.embed_tokens", make([]float32, 1)),
			"destination too small":  ck.ReadF32(name, make([]float32, 1100*width-1)),
			"rows past the end":      ck.ReadRowsF32(name, 1099, 2, make([]float32, 2*width)),
			"row past the end":       ck.ReadRowsBF16(name, 1101, 0, nil),
			"negative row":           ck.ReadRowsBF16(name, -1, 1, make([]uint16, width)),
			"negative rows":          ck.ReadRowsF32(name, 0, -1, nil),
			"destination of a row":   ck.ReadRowsBF16(name, 0, 1, make([]uint16, width+1)),
			"name in another layout": ck.ReadBF16("model.language_model.norm.weight", make([]uint16, 64)),
		} {
			if err == nil || !strings.HasPrefix(err.Error(), "checkpoint: "+dir) {
				t.Errorf("%s: error %v", what, err)
			}
		}
	}
}

// halfBits returns a small integer as an IEEE 754 binary16.
func halfBits(n int) uint16 {
	sign := uint16(0)
	if n < 0 {
		sign, n = 0x8000, -n
	}
	if n == 0 {
		return sign
	}
	exp := 0
	for n>>(exp+1) > 0 {
		exp++
	}
	return sign | uint16(exp+15)<<10 | uint16(n<<(10-exp))&0x3ff
}

func TestOpenLayouts(t *testing.T) {
	c := small()
	rename := func(f func(string) string) func(x safetensors.Tensor) []safetensors.Tensor {
		return func(x safetensors.Tensor) []safetensors.Tensor {
			x.Name = f(x.Name)
			return []safetensors.Tensor{x}
		}
	}
	tests := []struct {
		name   string
		change func(x safetensors.Tensor) []safetensors.Tensor
		want   Layout
	}{
		{"released", rename(func(s string) string { return s }), Released},
		{"nested", rename(Nested.spell), Nested},
		{"vision nested alone", rename(func(s string) string {
			if strings.HasPrefix(s, "visual.") {
				return "model." + s
			}
			return s
		}), Mixed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, tied := range []bool{true, false} {
				c.TieWordEmbeddings = tied
				dir := save(t, c, SaveOptions{})
				change(t, dir, tt.change)
				ck := open(t, dir)
				if ck.Layout() != tt.want {
					t.Errorf("layout %v, want %v", ck.Layout(), tt.want)
				}
				for _, s := range Spec(c) {
					got, want := make([]float32, s.Elements()), make([]float32, s.Elements())
					counting(&s, 0, want)
					if err := ck.ReadF32(s.Name, got); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: %v", s.Name, err)
					}
				}
			}
		})
	}
}

func TestOpenTolerates(t *testing.T) {
	c := small()
	dir := save(t, c, SaveOptions{})
	change(t, dir, func(x safetensors.Tensor) []safetensors.Tensor {
		out := []safetensors.Tensor{x}
		switch x.Name {
		case embedName:
			x.Name = headName
			out = append(out, x)
		case "model.norm.weight":
			for _, name := range []string{"model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "model.visual.rotary_pos_emb.inv_freq"} {
				out = append(out, safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: []int64{1}, Data: make([]byte, 4)})
			}
		}
		return out
	})
	ck := open(t, dir)
	want := []string{headName, "model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "model.visual.rotary_pos_emb.inv_freq"}
	if got := ck.Summary().Ignored; !slices.Equal(got, want) {
		t.Errorf("ignored %q, want %q", got, want)
	}
	if err := ck.ReadF32(headName, make([]float32, 640)); err == nil {
		t.Error("a head that is not part of the model was read")
	}
}

func TestOpenRefuses(t *testing.T) {
	replace := func(name string, f func(x *safetensors.Tensor)) func(x safetensors.Tensor) []safetensors.Tensor {
		return func(x safetensors.Tensor) []safetensors.Tensor {
			if x.Name == name {
				f(&x)
			}
			return []safetensors.Tensor{x}
		}
	}
	drop := func(names ...string) func(x safetensors.Tensor) []safetensors.Tensor {
		return func(x safetensors.Tensor) []safetensors.Tensor {
			if slices.Contains(names, x.Name) {
				return nil
			}
			return []safetensors.Tensor{x}
		}
	}
	also := func(of string, f func(x *safetensors.Tensor)) func(x safetensors.Tensor) []safetensors.Tensor {
		return func(x safetensors.Tensor) []safetensors.Tensor {
			out := []safetensors.Tensor{x}
			if x.Name == of {
				y := x
				y.Data, y.Shape = slices.Clone(x.Data), slices.Clone(x.Shape)
				f(&y)
				out = append(out, y)
			}
			return out
		}
	}
	tests := []struct {
		name   string
		tied   bool
		change func(x safetensors.Tensor) []safetensors.Tensor
		keys   map[string]any
		want   string
	}{
		{"tensor missing", true, drop("model.layers.1.mlp.up_proj.weight"), nil, `tensor "model.layers.1.mlp.up_proj.weight" is missing`},
		{"tensors missing", true, drop("visual.blocks.0.norm1.weight", "model.norm.weight"), nil, `tensor "visual.blocks.0.norm1.weight" (and 1 others) is missing`},
		{"bias missing", true, drop("model.layers.0.self_attn.q_proj.bias"), nil, `q_proj.bias" is missing`},
		{"untied without a head", false, drop(headName), nil, `tensor "lm_head.weight" is missing, and config.json unties the embeddings (tie_word_embeddings is false): the embedding is not taken for the head`},
		{"tie not said, without a head", true, nil, map[string]any{"tie_word_embeddings": nil}, "(tie_word_embeddings is false (missing keys took transformers' defaults: tie_word_embeddings=false))"},
		{"transposed", true, replace("model.layers.0.mlp.down_proj.weight", func(x *safetensors.Tensor) { slices.Reverse(x.Shape) }), nil,
			`tensor "model.layers.0.mlp.down_proj.weight" in model.safetensors has shape [12 16], config.json calls for [16 12]`},
		{"flattened", true, replace("visual.patch_embed.proj.weight", func(x *safetensors.Tensor) { x.Shape = []int64{8, 24} }), nil, "has shape [8 24], config.json calls for [8 3 2 2 2]"},
		{"type", true, replace("model.norm.weight", func(x *safetensors.Tensor) { x.DType, x.Data = safetensors.F64, make([]byte, 128) }), nil, `"model.norm.weight" in model.safetensors is of type F64`},
		{"integers", true, replace("model.norm.weight", func(x *safetensors.Tensor) { x.DType = safetensors.I32 }), nil, "is of type I32"},
		{"unknown tensor", true, also("model.norm.weight", func(x *safetensors.Tensor) { x.Name = "model.norm.bias" }), nil, `tensor "model.norm.bias" in model.safetensors is not part of the model`},
		{"unknown prefix", true, also("model.norm.weight", func(x *safetensors.Tensor) { x.Name = "base_model.norm.weight" }), nil, `"base_model.norm.weight" in model.safetensors is not part`},
		{"two names for one", true, also("model.norm.weight", func(x *safetensors.Tensor) { x.Name = "model.language_model.norm.weight" }), nil, "are the same tensor by two names"},
		{"more layers in the file", true, nil, map[string]any{"num_hidden_layers": 1}, `tensor "model.layers.1.input_layernorm.weight" in model.safetensors is not part of the model`},
		{"more layers in the config", true, nil, map[string]any{"num_hidden_layers": 3}, `tensor "model.layers.2.self_attn.q_proj.weight" (and 11 others) is missing`},
		{"default size", true, nil, map[string]any{"intermediate_size": nil}, "missing keys took transformers' defaults: intermediate_size=29568"},
		{"tied with another head", true, also(embedName, func(x *safetensors.Tensor) { x.Name = headName; x.Data[5] ^= 1 }), nil, `tensor "lm_head.weight" in model.safetensors differs in value from "model.embed_tokens.weight", but config.json ties them`},
		{"tied with a head of another shape", true, also(embedName, func(x *safetensors.Tensor) { x.Name = headName; slices.Reverse(x.Shape) }), nil, "differs in shape"},
		{"tied with a head of another type", true, also(embedName, func(x *safetensors.Tensor) { x.Name, x.DType = headName, safetensors.I32 }), nil, "differs in type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := small()
			c.TieWordEmbeddings = tt.tied
			dir := save(t, c, SaveOptions{})
			if tt.change != nil {
				change(t, dir, tt.change)
			}
			changeConfig(t, dir, tt.keys)
			ck, err := Open(dir)
			if err == nil {
				ck.Close()
				t.Fatal("accepted")
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "checkpoint: "+dir+": ") || !strings.Contains(msg, tt.want) {
				t.Errorf("error %q\nwant %q", msg, tt.want)
			}
		})
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	empty := t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	noWeights := save(t, small(), SaveOptions{})
	os.Remove(filepath.Join(noWeights, safetensors.SingleFile))
	cut := save(t, small(), SaveOptions{})
	if err := os.Truncate(filepath.Join(cut, safetensors.SingleFile), 5000); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, dir, want string }{
		{"absent", filepath.Join(empty, "absent"), "no such file"},
		{"a file", file, "is not a folder"},
		{"empty", empty, "the folder holds no checkpoint"},
		{"no weights", noWeights, "no model.safetensors.index.json, model.safetensors or other"},
		{"weights cut short", cut, "cut short"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ck, err := Open(tt.dir)
			if err == nil {
				ck.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.dir) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want the folder and %q", err, tt.want)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct {
		file, want string
		layout     Layout
		ok         bool
	}{
		{"model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight", Released, true},
		{"visual.merger.ln_q.weight", "visual.merger.ln_q.weight", Released, true},
		{"model.language_model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight", Nested, true},
		{"model.visual.merger.ln_q.weight", "visual.merger.ln_q.weight", Nested, true},
		{"lm_head.weight", "lm_head.weight", Released, false},
		{"other", "other", Released, false},
	}
	for _, tt := range tests {
		got, layout, ok := canonical(tt.file)
		if got != tt.want || layout != tt.layout || ok != tt.ok {
			t.Errorf("canonical(%q) = %q, %v, %v", tt.file, got, layout, ok)
		}
		if back := layout.spell(got); back != tt.file {
			t.Errorf("%v.spell(%q) = %q, want %q", layout, got, back, tt.file)
		}
	}
}
