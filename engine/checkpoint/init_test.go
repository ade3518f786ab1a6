package checkpoint

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/internal/bf16"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// tokenizer makes a folder that passes for a tokenizer's beside the small model.
func tokenizer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"vocab.json": "{}", "merges.txt": "", "preprocessor_config.json": `{"patch_size":2}`, "generation_config.json": `{"eos_token_id":[36,35]}`,
		"config.json": "not copied", "README.md": "not copied",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// weights reads a checkpoint whole, in the order of Spec.
func weights(t *testing.T, dir string) []float32 {
	t.Helper()
	ck := open(t, dir)
	var all []float32
	for _, s := range ck.Tensors() {
		v := make([]float32, s.Elements())
		if err := ck.ReadF32(s.Name, v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v...)
	}
	return all
}

func TestInit(t *testing.T) {
	c := small()
	c.TieWordEmbeddings = false
	c.Text.VocabSize = 5000 // more than a piece
	tok := tokenizer(t)
	base := filepath.Join(t.TempDir(), "base")
	err := Init(t.Context(), base, c, InitOptions{Tokenizer: tok, Seed: 1, DType: safetensors.F32})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"config.json", "generation_config.json", "merges.txt", "model.safetensors", "preprocessor_config.json", "vocab.json"}
	if got := fileNames(t, base); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	ref := weights(t, base)

	// What transformers does: weights normal, biases 0, norms 1.
	ck := open(t, base)
	for _, s := range ck.Tensors() {
		v := make([]float32, s.Elements())
		if err := ck.ReadF32(s.Name, v); err != nil {
			t.Fatal(err)
		}
		std := 0.5
		if strings.HasPrefix(s.Name, "visual.") {
			std = 0.25
		}
		switch s.Role {
		case Bias, Norm:
			one := float32(0)
			if s.Role == Norm {
				one = 1
			}
			if slices.ContainsFunc(v, func(f float32) bool { return f != one }) {
				t.Errorf("%s: %v", s.Name, v[:4])
			}
		case Weight:
			sum, sq := 0., 0.
			for _, f := range v {
				sum += float64(f)
				sq += float64(f) * float64(f)
			}
			n := float64(len(v))
			if got := math.Sqrt(sq / n); math.Abs(got/std-1) > 5/math.Sqrt(2*n) || math.Abs(sum/n) > 5*std/math.Sqrt(n) {
				t.Errorf("%s: deviation %v, mean %v of %v elements, want %v", s.Name, got, sum/n, n, std)
			}
		}
	}

	// The same seed gives the same weights in any number of threads and shards.
	for _, tt := range []struct {
		name string
		opts InitOptions
		same bool
	}{
		{"one thread", InitOptions{Seed: 1, DType: safetensors.F32, Workers: 1}, true},
		{"many threads", InitOptions{Seed: 1, DType: safetensors.F32, Workers: 5}, true},
		{"shards, other names", InitOptions{Seed: 1, DType: safetensors.F32, MaxShardBytes: 200_000, Layout: Nested}, true},
		{"bfloat16", InitOptions{Seed: 1, DType: safetensors.BF16}, true},
		{"bfloat16 by default", InitOptions{Seed: 1}, true},
		{"another seed", InitOptions{Seed: 2, DType: safetensors.F32}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir() // an empty folder will do
			tt.opts.Tokenizer = tok
			if err := Init(t.Context(), dir, c, tt.opts); err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(ref)
			if tt.opts.DType != safetensors.F32 {
				for i := range want {
					want[i] = bf16.ToFloat32(bf16.FromFloat32(want[i]))
				}
			}
			if got := weights(t, dir); slices.Equal(got, want) != tt.same {
				t.Errorf("same weights: %v, want %v", !tt.same, tt.same)
			}
		})
	}
}

func TestInitRefuses(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	noMerges, stop, patch, large := tokenizer(t), tokenizer(t), tokenizer(t), tokenizer(t)
	os.Remove(filepath.Join(noMerges, "merges.txt"))
	os.WriteFile(filepath.Join(stop, "generation_config.json"), []byte(`{"eos_token_id":40}`), 0o666)
	os.WriteFile(filepath.Join(patch, "preprocessor_config.json"), []byte(`{"patch_size":14}`), 0o666)
	if err := os.Truncate(filepath.Join(large, "merges.txt"), maxCompanion+1); err != nil {
		t.Fatal(err)
	}
	folder := tokenizer(t)
	if err := os.Mkdir(filepath.Join(folder, "tokenizer.json"), 0o777); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, tokenizer, want string }{
		{"no tokenizer folder", absent, absent + " holds no tokenizer"},
		{"half a tokenizer", noMerges, "want tokenizer.json, or vocab.json and merges.txt"},
		{"stop id not in the vocabulary", stop, "eos_token_id: 40 is out of range"},
		{"other patches", patch, "patch_size is 14, but vision_config.patch_size of config.json is 2"},
		{"large file", large, "the limit is 268435456"},
		{"a folder for a file", folder, "a directory, not a regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			err := Init(t.Context(), filepath.Join(parent, "out"), small(), InitOptions{Tokenizer: tt.tokenizer})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if left := fileNames(t, parent); len(left) != 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
	for _, existing := range []string{config.FileName, "model.safetensors", "merges.txt"} {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, existing), []byte("old"), 0o666)
		err := Init(t.Context(), dir, small(), InitOptions{Tokenizer: tokenizer(t)})
		if err == nil || !strings.Contains(err.Error(), dir+" holds "+existing+" already") {
			t.Errorf("%s: %v", existing, err)
		}
		if got := fileNames(t, dir); !slices.Equal(got, []string{existing}) {
			t.Errorf("%s: the folder holds %q", existing, got)
		}
	}
	// What is in the way of nothing stays.
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o666)
	if err := Init(t.Context(), dir, small(), InitOptions{Tokenizer: tokenizer(t)}); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "notes.txt")); string(got) != "mine" {
		t.Error("a file that was there is gone")
	}
}

func TestInitCancelled(t *testing.T) {
	for _, existing := range []bool{false, true} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "out")
		if existing {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := Init(ctx, dir, small(), InitOptions{Tokenizer: tokenizer(t), MaxShardBytes: 2000, Progress: func(done, total int64) {
			if 2*done > total {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if existing {
			parent = dir
		}
		if left := fileNames(t, parent); len(left) != 0 {
			t.Errorf("%q is left", left)
		}
	}
}

func BenchmarkInit(b *testing.B) {
	c := small()
	c.Text.VocabSize = 1 << 20
	n := Parameters(c)
	source := randomSource(c, 1, safetensors.BF16)
	s := &saver{ctx: b.Context(), source: source, opts: SaveOptions{DType: safetensors.BF16, Workers: 2}, size: 2}
	b.SetBytes(2 * n)
	for b.Loop() {
		infos := []safetensors.Info{}
		for _, t := range Spec(c) {
			infos = append(infos, safetensors.Info{Name: t.Name, DType: safetensors.BF16, Shape: t.Shape})
		}
		w, err := safetensors.Create(filepath.Join(b.TempDir(), "x"), infos, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.fillParallel(Spec(c), w); err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mparam/s")
}
