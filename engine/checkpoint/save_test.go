package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
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

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSave(t *testing.T) {
	c := small()
	tests := []struct {
		name string
		opts SaveOptions
		tied bool
		want []string // files
	}{
		{"zero value", SaveOptions{}, true, []string{"config.json", "model.safetensors"}},
		{"float32, nested", SaveOptions{DType: safetensors.F32, Layout: Nested}, true, []string{"config.json", "model.safetensors"}},
		{"untied", SaveOptions{DType: safetensors.F32}, false, []string{"config.json", "model.safetensors"}},
		{"shards", SaveOptions{DType: safetensors.F32, MaxShardBytes: 10_000}, true, []string{"config.json", "model-00001-of-00003.safetensors",
			"model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"}},
		{"shards, several workers", SaveOptions{DType: safetensors.BF16, Layout: Nested, MaxShardBytes: 10_000, Workers: 3}, false, []string{"config.json",
			"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.TieWordEmbeddings = tt.tied
			dir := filepath.Join(t.TempDir(), "a", "b")
			dtype := tt.opts.DType
			if dtype == "" {
				dtype = safetensors.BF16
			}
			var last, total int64
			tt.opts.Progress = func(done, of int64) {
				if done <= last || done > of {
					t.Errorf("progress %d of %d after %d", done, of, last)
				}
				last, total = done, of
			}
			files, err := Save(t.Context(), dir, c, Float32Source(dtype, counting), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			size, _ := dtype.Size()
			if last != total || total != Parameters(c)*int64(size) {
				t.Errorf("progress ended at %d of %d", last, total)
			}
			if got := fileNames(t, dir); !slices.Equal(got, tt.want) {
				t.Errorf("files %q, want %q", got, tt.want)
			}
			for _, f := range files {
				data, err := os.ReadFile(filepath.Join(dir, f.Name))
				if err != nil {
					t.Fatal(err)
				}
				if f.Size != int64(len(data)) || f.CRC32C != crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) {
					t.Errorf("%+v, the file has %d bytes", f, len(data))
				}
			}
			ck := open(t, dir)
			if ck.Layout() != tt.opts.Layout || ck.Config.TieWordEmbeddings != tt.tied {
				t.Errorf("layout %v, tied %v", ck.Layout(), ck.Config.TieWordEmbeddings)
			}
			if want := map[safetensors.DType]string{safetensors.F32: "float32", safetensors.BF16: "bfloat16"}[dtype]; ck.Config.DType != want {
				t.Errorf("config.json says %q, want %q", ck.Config.DType, want)
			}
			for _, s := range Spec(c) {
				got, want := make([]float32, s.Elements()), make([]float32, s.Elements())
				counting(&s, 0, want)
				if dtype == safetensors.BF16 {
					for i := range want {
						want[i] = bf16.ToFloat32(bf16.FromFloat32(want[i]))
					}
				}
				if err := ck.ReadF32(s.Name, got); err != nil || !slices.Equal(got, want) || ck.DType(s.Name) != dtype {
					t.Errorf("%s of type %s: %v", s.Name, ck.DType(s.Name), err)
				}
			}
		})
	}
}

// A checkpoint that is read and saved again is the same bytes: weights, config.
func TestSaveAgain(t *testing.T) {
	for _, name := range []string{"tiny", "wide"} {
		src := open(t, testdata.Path(t, "golden", name))
		dtype := src.DType("model.norm.weight")
		dir := t.TempDir()
		_, err := Save(t.Context(), dir, src.Config, Float32Source(dtype, func(s *TensorSpec, first int64, dst []float32) error {
			whole := make([]float32, s.Elements())
			err := src.ReadF32(s.Name, whole)
			copy(dst, whole[first:])
			return err
		}), SaveOptions{DType: dtype, Layout: src.Layout()})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(filepath.Join(dir, config.FileName))
		if string(got) != string(src.Config.Raw) {
			t.Errorf("%s: config.json differs", name)
		}
		dst := open(t, dir)
		for _, s := range src.Tensors() {
			a, b := make([]float32, s.Elements()), make([]float32, s.Elements())
			if err := errors.Join(src.ReadF32(s.Name, a), dst.ReadF32(s.Name, b)); err != nil || !slices.Equal(a, b) {
				t.Errorf("%s: %s differs, %v", name, s.Name, err)
			}
		}
	}
}

func TestSaveIndex(t *testing.T) {
	dir := save(t, small(), SaveOptions{MaxShardBytes: 10_000})
	data, err := os.ReadFile(filepath.Join(dir, safetensors.IndexFile))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Metadata  map[string]int64  `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	n := Parameters(small())
	if index.Metadata["total_size"] != 4*n || index.Metadata["total_parameters"] != n || len(index.WeightMap) != len(Spec(small())) {
		t.Errorf("%v, %d tensors", index.Metadata, len(index.WeightMap))
	}
	for _, f := range []string{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"} {
		if fi, err := os.Stat(filepath.Join(dir, f)); err != nil || fi.Size() > 10_000+4096 {
			t.Errorf("%s: %v, %v", f, fi, err)
		}
	}
}

func TestSaveFails(t *testing.T) {
	boom := errors.New("boom")
	fail := func(at string) func(t *TensorSpec, first int64, dst []float32) error {
		return func(t *TensorSpec, first int64, dst []float32) error {
			if t.Name == at {
				return boom
			}
			return counting(t, first, dst)
		}
	}
	for _, workers := range []int{1, 4} {
		for _, at := range []string{"visual.patch_embed.proj.weight", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"} {
			parent := t.TempDir()
			dir := filepath.Join(parent, "x")
			_, err := Save(t.Context(), dir, small(), Float32Source(safetensors.F32, fail(at)), SaveOptions{DType: safetensors.F32, MaxShardBytes: 5000, Workers: workers})
			if !errors.Is(err, boom) || !strings.Contains(err.Error(), at) {
				t.Errorf("%d workers, %s: %v", workers, at, err)
			}
			if left := fileNames(t, parent); len(left) != 0 {
				t.Errorf("%d workers, %s: %q is left", workers, at, left)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		parent := t.TempDir()
		_, err := Save(ctx, filepath.Join(parent, "x"), small(), Float32Source(safetensors.F32, counting),
			SaveOptions{DType: safetensors.F32, MaxShardBytes: 5000, Workers: workers, Progress: func(done, total int64) {
				if done > total/2 {
					cancel()
				}
			}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d workers, cancelled: %v", workers, err)
		}
		if left := fileNames(t, parent); len(left) != 0 {
			t.Errorf("%d workers, cancelled: %q is left", workers, left)
		}
	}
}

func TestSaveRefuses(t *testing.T) {
	for _, existing := range []string{"model.safetensors", "x.safetensors", safetensors.IndexFile, config.FileName} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, existing), []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Save(t.Context(), dir, small(), Float32Source(safetensors.F32, counting), SaveOptions{})
		if err == nil || !strings.Contains(err.Error(), dir+" holds "+existing+" already") {
			t.Errorf("%s: %v", existing, err)
		}
		if got := fileNames(t, dir); !slices.Equal(got, []string{existing}) {
			t.Errorf("%s: the folder holds %q", existing, got)
		}
	}
	for name, opts := range map[string]SaveOptions{"type": {DType: safetensors.F16}, "layout": {Layout: Mixed}} {
		if _, err := Save(t.Context(), t.TempDir(), small(), Float32Source(safetensors.F32, counting), opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := Float32Source(safetensors.I8, counting)(&TensorSpec{}, 0, make([]byte, 4)); err == nil {
		t.Error("a source of I8 was accepted")
	}
	if _, ok := diskFree(t.TempDir()); ok {
		huge := small()
		huge.Text.VocabSize = 1 << 44
		_, err := Save(t.Context(), t.TempDir(), huge, Float32Source(safetensors.F32, counting), SaveOptions{})
		if err == nil || !strings.Contains(err.Error(), "free") {
			t.Errorf("more than the disk: %v", err)
		}
	}
}

func TestEncode(t *testing.T) {
	v := []float32{1, -2.5, float32(math.Inf(1)), 3.14159}
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.BF16} {
		size, _ := dtype.Size()
		b := make([]byte, size*len(v))
		encode(b, v, dtype)
		got := make([]float32, len(v))
		if err := safetensors.DecodeFloat32(got, b, dtype); err != nil {
			t.Fatal(err)
		}
		for i, f := range v {
			if dtype == safetensors.BF16 {
				f = bf16.ToFloat32(bf16.FromFloat32(f))
			}
			if got[i] != f {
				t.Errorf("%s: %v came back as %v", dtype, v[i], got[i])
			}
		}
	}
}
