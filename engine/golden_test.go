package engine

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// A goldenCase is a line of golden/*-cases/cases.jsonl.
type goldenCase struct {
	Name        string         `json:"name"`
	Messages    []chat.Message `json:"messages"`
	Images      []string       `json:"images"`
	Text        string         `json:"text"`
	PromptIDs   []int32        `json:"prompt_ids"`
	Grids       []Grid         `json:"image_grid_thw"`
	Resized     [][2]int       `json:"resized"`
	RopeDelta   int32          `json:"rope_delta"`
	Completions []struct {
		IDs      []int32   `json:"ids"`
		LogProbs []float64 `json:"logprobs"`
		Entropy  []float64 `json:"entropy"`
		Cooler   []float64 `json:"logprobs_t0.8"`
		Banned   []float64 `json:"logprobs_ban"`
		BF16     []float64 `json:"logprobs_bf16"`
	} `json:"completions"`
	Greedy struct {
		IDs       []int32   `json:"ids"`
		LogProbs  []float64 `json:"logprobs"`
		MinMargin float64   `json:"min_margin"`
	} `json:"greedy"`
}

func goldenCases(t testing.TB, model string) []goldenCase {
	return readLines[goldenCase](t, "golden", model+"-cases", "cases.jsonl")
}

func openGolden(t testing.TB, model string, o Options) *Engine {
	t.Helper()
	dir := testdata.Path(t, "golden", model)
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	e, err := Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (c *goldenCase) prompt(t testing.TB, e *Engine) *Prompt {
	t.Helper()
	p, err := e.Prompt(c.Messages, testdata.Path(t, "golden"))
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	return p
}

// scoreAll scores the completions of a golden case.
func (c *goldenCase) scoreAll(t testing.TB, e *Engine, s Scoring) []*Score {
	t.Helper()
	p := c.prompt(t, e)
	var in []Completion
	for _, k := range c.Completions {
		in = append(in, Completion{p, k.IDs})
	}
	var out []*Score
	for sc, err := range e.Score(context.Background(), Completions(in...), s) {
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		out = append(out, sc)
	}
	if len(out) != len(in) {
		t.Fatalf("%s: %d scores of %d completions", c.Name, len(out), len(in))
	}
	return out
}

var goldenModels = []string{"tiny", "wide"}

// someModels are the golden checkpoints; with -short, the small one.
func someModels() []string {
	if testing.Short() {
		return goldenModels[:1]
	}
	return goldenModels
}

// relativeError is |got - want| / |want| in the Euclidean norm.
func relativeError(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var d, n float64
	for i := range got {
		e := float64(got[i]) - float64(want[i])
		d += e * e
		n += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(d / n)
}

func maxDifference(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var m float64
	for i := range got {
		m = max(m, math.Abs(float64(got[i])-want[i]))
	}
	return m
}

func TestPromptGolden(t *testing.T) {
	for _, name := range goldenModels {
		e := openGolden(t, name, Options{DType: F32})
		for _, c := range goldenCases(t, name) {
			p := c.prompt(t, e)
			if !slices.Equal(p.IDs, c.PromptIDs) {
				t.Errorf("%s/%s: ids %v, want %v", name, c.Name, p.IDs, c.PromptIDs)
			}
			for i, s := range p.Spans {
				if s.Grid != c.Grids[i] {
					t.Errorf("%s/%s: picture %d has grid %v, want %v", name, c.Name, i, s.Grid, c.Grids[i])
				}
			}
			if _, next := mropePositions(len(p.IDs), p.Spans, 2); next-int32(len(p.IDs)) != c.RopeDelta {
				t.Errorf("%s/%s: rope delta %d, want %d", name, c.Name, next-int32(len(p.IDs)), c.RopeDelta)
			}
		}
	}
}

// floats is a buffer of the model's dtype as f32.
func floats(m *model, b *binding.Buffer, n int) []float32 {
	if m.dtype == binding.F32 {
		return slices.Clone(b.Float32s()[:n])
	}
	f := make([]float32, n)
	for i, h := range b.Uint16s()[:n] {
		f[i] = math.Float32frombits(uint32(h) << 16)
	}
	return f
}

// TestStatesGolden holds the vision features, every layer's hidden states and the logits against the reference implementation's.
func TestStatesGolden(t *testing.T) {
	const bound = 2e-5
	for _, name := range someModels() {
		for _, isa := range isas(t) {
			e := openGolden(t, name, Options{DType: F32, ISA: isa})
			for _, c := range goldenCases(t, name) {
				t.Run(fmt.Sprintf("%s/%v/%s", name, isa, c.Name), func(t *testing.T) {
					f, err := safetensors.Open(testdata.Path(t, "golden", name+"-cases", c.Name+".safetensors"))
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					p := c.prompt(t, e)
					ids := append(slices.Clone(p.IDs), c.Completions[0].IDs...)
					s := stretch{kv: &kvSequence{cache: e.cache}, ids: ids, prompt: len(p.IDs)}
					s.kv.reserve(pagesFor(len(ids)))
					defer s.kv.release()
					s.pos, _ = mropePositions(len(ids), p.Spans, 2)
					if len(p.Images) > 0 {
						features, err := e.dec.encode(&e.sight, p.Images)
						if err != nil {
							t.Fatal(err)
						}
						defer features.Close()
						s.features = features
						compareGolden(t, f, "image_features", floats(e.dec.model, features, features.Len()/4), bound)
					}
					for i := max(0, len(ids)-64); i < len(ids); i++ {
						s.want = append(s.want, i)
					}
					hidden := e.cfg.Text.HiddenSize
					e.dec.trace = func(layer int, x *binding.Buffer, rows int) {
						compareGolden(t, f, fmt.Sprintf("hidden.%d", layer), floats(e.dec.model, x, rows*hidden), bound)
					}
					defer func() { e.dec.trace = nil }()
					n, err := e.dec.forward([]stretch{s})
					if err != nil {
						t.Fatal(err)
					}
					vocab := e.cfg.Text.VocabSize
					logits, err := e.d.Alloc(4 * n * vocab)
					if err != nil {
						t.Fatal(err)
					}
					defer logits.Close()
					err = e.d.MatMul(&binding.MatMulArgs{DType: e.dec.dtype, DTypeY: binding.F32, X: e.dec.hiddenRow(0), W: e.w.head.w.Addr(), Y: logits.Addr(),
						M: int64(n), N: int64(vocab), K: int64(hidden), LdX: int64(hidden), LdY: int64(vocab)})
					if err != nil {
						t.Fatal(err)
					}
					compareGolden(t, f, "logits", logits.Float32s(), bound)
					if _, ok := f.Lookup("position_ids"); ok {
						want, err := f.Int64s("position_ids")
						if err != nil {
							t.Fatal(err)
						}
						for i, w := range want {
							if got := s.pos[i/len(ids)][i%len(ids)]; int64(got) != w {
								t.Fatalf("position %d of axis %d is %d, want %d", i%len(ids), i/len(ids), got, w)
							}
						}
					}
				})
			}
		}
	}
}

// compareGolden compares with a tensor of the file, if it has it.
func compareGolden(t *testing.T, f *safetensors.File, name string, got []float32, bound float64) {
	t.Helper()
	if _, ok := f.Lookup(name); !ok {
		return
	}
	want, err := f.Float32s(name)
	if err != nil {
		t.Fatal(err)
	}
	if e := relativeError(got, want); !(e <= bound) {
		t.Errorf("%s: relative error %.2e over %d values, want at most %.0e", name, e, len(want), bound)
	}
}

// isas lists the instruction sets of this machine.
func isas(t testing.TB) []binding.ISA {
	t.Helper()
	d, err := binding.Open(binding.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	info, err := d.Info()
	if err != nil {
		t.Fatal(err)
	}
	var all []binding.ISA
	for i := binding.ISAScalar; i <= info.BestISA; i++ {
		all = append(all, i)
	}
	return all
}

func TestScoreGolden(t *testing.T) {
	const bound = 1e-4
	for _, name := range someModels() {
		e := openGolden(t, name, Options{DType: F32})
		for _, c := range goldenCases(t, name) {
			plain := c.scoreAll(t, e, Scoring{Ban: BanNone})
			for i, s := range plain {
				k := &c.Completions[i]
				if d := maxDifference(s.LogProbs, k.LogProbs); !(d <= bound) {
					t.Errorf("%s/%s/%d: log-probs differ by %.2e", name, c.Name, i, d)
				}
				if d := maxDifference(s.Entropy, k.Entropy); !(d <= bound) {
					t.Errorf("%s/%s/%d: entropies differ by %.2e", name, c.Name, i, d)
				}
			}
			for i, s := range c.scoreAll(t, e, Scoring{Ban: BanNone, Temperature: 0.8}) {
				if d := maxDifference(s.LogProbs, c.Completions[i].Cooler); !(d <= bound) {
					t.Errorf("%s/%s/%d: log-probs at temperature 0.8 differ by %.2e", name, c.Name, i, d)
				}
			}
			for i, s := range c.scoreAll(t, e, Scoring{}) {
				if d := maxDifference(s.LogProbs, c.Completions[i].Banned); !(d <= bound) {
					t.Errorf("%s/%s/%d: log-probs under the ban differ by %.2e", name, c.Name, i, d)
				}
			}
		}
	}
}

// In bf16 the error against the f32 reference is compared with the reference implementation's own bf16 error.
func TestScoreBF16Golden(t *testing.T) {
	e := openGolden(t, "wide", Options{})
	var ours, reference float64
	for _, c := range goldenCases(t, "wide") {
		for i, s := range c.scoreAll(t, e, Scoring{Ban: BanNone}) {
			k := &c.Completions[i]
			for j := range s.LogProbs {
				ours += math.Pow(float64(s.LogProbs[j])-k.LogProbs[j], 2)
				reference += math.Pow(k.BF16[j]-k.LogProbs[j], 2)
			}
		}
	}
	ratio := math.Sqrt(ours / reference)
	t.Logf("bf16 log-probs: %.3f of the reference's error against f32", ratio)
	if !(ratio <= 1.5) {
		t.Errorf("the error of bf16 log-probs is %.2f times the reference's, want at most 1.5", ratio)
	}
}

func TestGreedyGolden(t *testing.T) {
	for _, name := range goldenModels {
		e := openGolden(t, name, Options{DType: F32})
		cases := goldenCases(t, name)
		var prompts []*Prompt
		for _, c := range cases {
			prompts = append(prompts, c.prompt(t, e))
		}
		seen := 0
		for s, err := range e.Generate(context.Background(), Prompts(prompts...), Sampling{MaxTokens: 24}) {
			if err != nil {
				t.Fatal(err)
			}
			seen++
			c := cases[s.Prompt]
			want := c.Greedy.IDs
			if !slices.Equal(s.IDs, want) {
				t.Errorf("%s/%s: ids %v, want %v (smallest margin %g)", name, c.Name, s.IDs, want, c.Greedy.MinMargin)
				continue
			}
			if d := maxDifference(s.LogProbs, c.Greedy.LogProbs); !(d <= 1e-4) {
				t.Errorf("%s/%s: log-probs differ by %.2e", name, c.Name, d)
			}
		}
		if seen != len(cases) {
			t.Errorf("%s: %d samples of %d prompts", name, seen, len(cases))
		}
	}
}

func TestPixelValuesGolden(t *testing.T) {
	for _, name := range goldenModels {
		_, images, err := Frontend(testdata.Path(t, "golden", name), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range goldenCases(t, name) {
			var got []float32
			for i, path := range c.Images {
				var m *imageproc.Image
				if m, err = images.Load(filepath.Join(testdata.Path(t, "golden"), path)); err != nil {
					t.Fatal(err)
				}
				if m.ResizedH != c.Resized[i][0] || m.ResizedW != c.Resized[i][1] {
					t.Errorf("%s/%s: resized to %dx%d, want %v", name, c.Name, m.ResizedH, m.ResizedW, c.Resized[i])
				}
				got = append(got, m.Patches()...)
			}
			f, err := safetensors.Open(testdata.Path(t, "golden", name+"-cases", c.Name+".safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, f, "pixel_values", got, 0)
			f.Close()
		}
	}
}
