package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

func newTrainer(t testing.TB, e *Engine, o TrainOptions) *Trainer {
	t.Helper()
	tr, err := e.NewTrainer(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// rollout draws n samples of every golden prompt, as a batch to learn from.
func rollout(t testing.TB, e *Engine, model string, n, tokens int) (batch []Sequence, samples []*Sample) {
	t.Helper()
	var prompts []*Prompt
	for _, c := range goldenCases(t, model) {
		prompts = append(prompts, c.prompt(t, e))
	}
	sampling := Sampling{N: n, Temperature: 0.8, MaxTokens: tokens, Seed: 3, IgnoreEOS: true}
	for s, err := range e.Generate(context.Background(), Prompts(prompts...), sampling) {
		if err != nil {
			t.Fatal(err)
		}
		// Completions of different lengths, of one id too.
		s.IDs = s.IDs[:1+(7*s.Prompt+3*s.Sample)%tokens]
		s.LogProbs = s.LogProbs[:len(s.IDs)]
		batch = append(batch, Sequence{prompts[s.Prompt], s.IDs})
		samples = append(samples, s)
	}
	return batch, samples
}

// coefficients is a loss over log-probs and entropies whose derivatives depend on the sequence's ids alone.
func coefficients(batch []Sequence) Objective {
	return func(i int, _, _, dlogprob, dentropy []float32) error {
		h := uint64(len(batch[i].Prompt.IDs))
		for _, id := range batch[i].IDs {
			h = h*1099511628211 + uint64(id)
		}
		r := rand.New(rand.NewPCG(h, 1))
		for j := range dlogprob {
			dlogprob[j] = float32(r.NormFloat64()) / 64
			dentropy[j] = float32(r.NormFloat64()) / 256
		}
		return nil
	}
}

var trained = Scoring{Temperature: 0.8}

// gradientBits are the gradients of every tensor, by name.
func gradientBits(tr *Trainer) map[string][]uint32 {
	all := map[string][]uint32{}
	for name, p := range tr.tensors() {
		n := 0
		for _, s := range checkpoint.Spec(tr.e.cfg) {
			if s.Name == name {
				n = int(s.Elements())
			}
		}
		all[name] = bits(tr.grads.of[p.buf].Float32s()[p.first : p.first+n])
	}
	return all
}

// TestTrainerIsSampler is the first law from the trainer's side: the log-probs that it computes are the sampler's, bit for bit.
func TestTrainerIsSampler(t *testing.T) {
	for _, model := range someModels() {
		for _, dtype := range []DType{F32, BF16} {
			t.Run(model+"/"+dtype.String(), func(t *testing.T) {
				t.Parallel()
				e := openGolden(t, model, Options{DType: dtype})
				batch, samples := rollout(t, e, model, 3, 40)
				for _, o := range []TrainOptions{{}, {MicroBatchRows: 1}, {Freeze: []string{"visual."}, Recompute: true}} {
					tr := newTrainer(t, e, o)
					seen := 0
					err := tr.Gradients(context.Background(), batch, trained, func(i int, logprobs, entropy, _, _ []float32) error {
						seen++
						s := samples[i]
						if !slices.Equal(bits(logprobs), bits(s.LogProbs)) {
							return fmt.Errorf("sequence %d has log-probs %v, the sampler gave %v", i, logprobs, s.LogProbs)
						}
						if !slices.Equal(bits(entropy), bits(s.Entropy[:len(entropy)])) {
							return fmt.Errorf("sequence %d has entropies %v, the sampler gave %v", i, entropy, s.Entropy)
						}
						return nil
					})
					if err != nil {
						t.Fatalf("%+v: %v", o, err)
					}
					if seen != len(batch) {
						t.Fatalf("%+v: the objective saw %d sequences of %d", o, seen, len(batch))
					}
					tr.Close()
				}
			})
		}
	}
}

// TestScoreBatch: the scorer of batches gives the sampler's numbers, too.
func TestScoreBatch(t *testing.T) {
	for _, model := range someModels() {
		e := openGolden(t, model, Options{})
		batch, samples := rollout(t, e, model, 3, 40)
		for _, rows := range []int{0, 1, 300} {
			seen := 0
			err := e.ScoreBatch(context.Background(), batch, trained, rows, func(i int, logprobs, entropy []float32) error {
				seen++
				if s := samples[i]; !slices.Equal(bits(logprobs), bits(s.LogProbs)) || !slices.Equal(bits(entropy), bits(s.Entropy[:len(entropy)])) {
					return fmt.Errorf("sequence %d has log-probs %v, the sampler gave %v", i, logprobs, s.LogProbs)
				}
				return nil
			})
			if err != nil || seen != len(batch) {
				t.Errorf("%s in passes of %d rows: %d sequences of %d, %v", model, rows, seen, len(batch), err)
			}
		}
	}
}

// TestGradientBits: neither micro-batches, nor the order of the batch, recomputation or threads change a bit of any gradient.
func TestGradientBits(t *testing.T) {
	type how struct {
		TrainOptions
		threads int
		shuffle bool
	}
	all := []how{
		{threads: 1},
		{TrainOptions{MicroBatchRows: 300, Recompute: true}, 3, true},
		{TrainOptions{MicroBatchRows: 1}, 2, false},
		{TrainOptions{Recompute: true}, 2, true},
	}
	if testing.Short() {
		all = all[:2]
	}
	for _, model := range someModels() {
		for _, dtype := range []DType{F32, BF16} {
			t.Run(model+"/"+dtype.String(), func(t *testing.T) {
				t.Parallel()
				var want map[string][]uint32
				for i, o := range all {
					e := openGolden(t, model, Options{DType: dtype, Threads: o.threads})
					batch, _ := rollout(t, e, model, 3, 40)
					if o.shuffle {
						rand.New(rand.NewPCG(5, uint64(i))).Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
					}
					tr := newTrainer(t, e, o.TrainOptions)
					if err := tr.Gradients(context.Background(), batch, trained, coefficients(batch)); err != nil {
						t.Fatal(err)
					}
					got := gradientBits(tr)
					if want == nil {
						want = got
						for name, g := range got {
							if !slices.ContainsFunc(g, func(b uint32) bool { return b<<1 != 0 }) && !strings.HasSuffix(name, "k_proj.bias") {
								t.Errorf("the gradient of %s is all zeros", name)
							}
						}
					}
					for name, g := range got {
						if !slices.Equal(g, want[name]) {
							t.Errorf("%+v: the gradient of %s is of other bits", o, name)
						}
					}
					if err := errors.Join(tr.Close(), e.Close()); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// TestKeptMemory: what a pass finds in the memory that earlier ones have left changes no bit, and the memory that is kept is bounded and
// given back.
func TestKeptMemory(t *testing.T) {
	for _, model := range someModels() {
		for _, o := range []TrainOptions{{}, {Recompute: true, MicroBatchRows: 300}, {Freeze: []string{"visual."}}} {
			t.Run(fmt.Sprintf("%s/%+v", model, o), func(t *testing.T) {
				e := openGolden(t, model, Options{DType: BF16})
				fresh, err := e.Device()
				if err != nil {
					t.Fatal(err)
				}
				batch, samples := rollout(t, e, model, 3, 40)
				tr := newTrainer(t, e, o)
				ctx := context.Background()
				if err := tr.Gradients(ctx, batch, trained, coefficients(batch)); err != nil {
					t.Fatal(err)
				}
				want := gradientBits(tr)
				poison := func() {
					for _, a := range []*arena{&e.sight, &e.lessons} {
						if a.kept == nil {
							continue
						}
						b := a.kept.Bytes()
						b[0] = 0xff // NaNs
						for n := 1; n < len(b); n *= 2 {
							copy(b[n:], b[:n])
						}
					}
				}
				if poison(); e.lessons.kept == nil || e.sight.kept == nil {
					t.Fatal("nothing is kept")
				}
				err = tr.Gradients(ctx, batch, trained, func(i int, logprobs, entropy, dlogprob, dentropy []float32) error {
					if !zeros(dlogprob) || !zeros(dentropy) {
						return errors.New("the derivatives do not come zeroed")
					}
					return coefficients(batch)(i, logprobs, entropy, dlogprob, dentropy)
				})
				if err != nil {
					t.Fatal(err)
				}
				for name, g := range gradientBits(tr) {
					if !slices.Equal(g, want[name]) {
						t.Errorf("the gradient of %s depends on what the memory held", name)
					}
				}
				poison()
				_, again := rollout(t, e, model, 3, 40)
				for i, s := range again {
					if !slices.Equal(s.IDs, samples[i].IDs) || !slices.Equal(bits(s.LogProbs), bits(samples[i].LogProbs)) {
						t.Errorf("sample %d depends on what the memory held", i)
					}
				}
				poison()
				err = e.ScoreBatch(ctx, batch, trained, 0, func(i int, logprobs, _ []float32) error {
					if !slices.Equal(bits(logprobs), bits(samples[i].LogProbs)) {
						return fmt.Errorf("score %d depends on what the memory held", i)
					}
					return nil
				})
				if err = errors.Join(err, tr.Close()); err != nil {
					t.Fatal(err)
				}
				after, err := e.Device()
				if err != nil {
					t.Fatal(err)
				}
				if more := int64(after.Allocated) - int64(fresh.Allocated); more > int64(e.sight.kept.Len())+256 || more > keepBytes {
					t.Errorf("%d bytes are held after the trainer", more)
				}
			})
		}
	}
}

// TestArena: an arena keeps what was taken last, as far as that is little.
func TestArena(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	a := &arena{d: e.d}
	take := func(sizes ...int) *scratch {
		s, err := a.scratch(func(s *scratch) {
			for _, n := range sizes {
				if b := s.alloc(n); !s.count {
					if b.Len() != n || n > 0 && b.Addr()%64 != 0 {
						t.Errorf("a buffer of %d bytes at %#x, want %d", b.Len(), b.Addr(), n)
					}
					clear(b.Bytes())
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		sizes []int
		kept  int
	}{
		{[]int{100, 0, 64}, 192},
		{[]int{1}, 192},
		{[]int{1 << 20, 3}, 1<<20 + 64},
		{[]int{keepBytes, 1}, 0},
		{[]int{5}, 64},
	} {
		if err := take(c.sizes...).Close(); err != nil {
			t.Fatal(err)
		}
		if a.kept == nil && c.kept != 0 || a.kept != nil && a.kept.Len() != c.kept {
			t.Errorf("after %v: %v is kept, want %d bytes", c.sizes, a.kept, c.kept)
		}
	}
	// What a plan takes beyond its count is memory of its own.
	s := take(64)
	if b := s.alloc(1 << 16); b.Len() != 1<<16 || s.err != nil || len(s.bufs) != 1 {
		t.Errorf("beyond the count: %d bytes, %v", b.Len(), s.err)
	}
	if err := errors.Join(s.Close(), a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	if _, err := a.scratch(func(s *scratch) { s.alloc(1 << 50) }); !errors.Is(err, binding.ErrInvalid) {
		t.Errorf("2^50 bytes: %v", err)
	}
}

// TestGradientsByDifferences compares gradients with differences of the loss, along random directions in every tensor.
func TestGradientsByDifferences(t *testing.T) {
	e := openGolden(t, "tiny", Options{DType: F32})
	batch, _ := rollout(t, e, "tiny", 2, 12)
	batch = batch[:8]
	tr := newTrainer(t, e, TrainOptions{})
	objective := coefficients(batch)
	if err := tr.Gradients(context.Background(), batch, trained, objective); err != nil {
		t.Fatal(err)
	}
	gradients := gradientBits(tr)
	loss := func() float64 {
		sum := 0.0
		if err := tr.Gradients(context.Background(), batch, trained, func(i int, lp, h, dlp, dh []float32) error {
			if err := objective(i, lp, h, dlp, dh); err != nil {
				return err
			}
			for j := range lp {
				sum += float64(dlp[j])*float64(lp[j]) + float64(dh[j])*float64(h[j])
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	for i, name := range slices.Sorted(maps.Keys(tr.tensors())) {
		if testing.Short() && i%8 != 0 {
			continue
		}
		p, g := tr.tensors()[name], gradients[name]
		norm := 0.0
		for _, b := range g {
			f := float64(math.Float32frombits(b))
			norm += f * f
		}
		norm = math.Sqrt(norm)
		w := p.master.Float32s()[p.first : p.first+len(g)]
		size := 0.0
		for _, x := range w {
			size += float64(x) * float64(x)
		}
		// Along the gradient itself the loss must rise by its norm. The step is small beside the tensor.
		step := 1e-3 * (math.Sqrt(size) + 0.01*math.Sqrt(float64(len(g))))
		old := slices.Clone(w)
		at := func(sign float64) float64 {
			for i := range w {
				w[i] = old[i]
				if norm > 0 {
					w[i] += float32(sign * step * float64(math.Float32frombits(g[i])) / norm)
				}
			}
			if err := tr.publish(p.learner); err != nil {
				t.Fatal(err)
			}
			return loss()
		}
		slope := (at(1) - at(-1)) / (2 * step)
		at(0)
		if diff := math.Abs(slope - norm); diff > 2e-2*norm+2e-5/step*1e-1 {
			t.Errorf("%s: the loss rises by %.6g along the gradient, whose norm is %.6g", name, slope, norm)
		}
	}
}

// TestTrainerState: a trainer that goes on from a saved state writes the same weights as one that went on by itself.
func TestTrainerState(t *testing.T) {
	adamw := AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1, MaxGradNorm: 1}
	dir := t.TempDir()
	train := func(tr *Trainer, steps int) {
		t.Helper()
		batch, _ := rollout(t, tr.e, "tiny", 2, 12)
		for range steps {
			if err := tr.Gradients(context.Background(), batch, trained, coefficients(batch)); err != nil {
				t.Fatal(err)
			}
			norm, err := tr.GradNorm()
			if err != nil {
				t.Fatal(err)
			}
			if err := tr.Step(adamw, norm); err != nil {
				t.Fatal(err)
			}
		}
	}
	save := func(tr *Trainer, name string) map[string][]float32 {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := tr.SaveState(path); err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all := map[string][]float32{}
		for _, name := range f.Names() {
			if all[name], err = f.Float32s(name); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	dtypes := []DType{F32, BF16}
	if testing.Short() {
		dtypes = dtypes[:1]
	}
	for _, dtype := range dtypes {
		straight := newTrainer(t, openGolden(t, "tiny", Options{DType: dtype}), TrainOptions{})
		train(straight, 2)
		save(straight, "two"+dtype.String())
		model := filepath.Join(dir, "model"+dtype.String())
		if err := straight.SaveModel(context.Background(), model, nil); err != nil {
			t.Fatal(err)
		}
		train(straight, 2)
		want := save(straight, "four"+dtype.String())

		resumed := newTrainer(t, openGolden(t, "tiny", Options{DType: dtype}), TrainOptions{})
		if err := resumed.LoadState(filepath.Join(dir, "two"+dtype.String())); err != nil {
			t.Fatal(err)
		}
		if resumed.Steps() != 2 {
			t.Errorf("the resumed trainer has made %d steps, want 2", resumed.Steps())
		}
		train(resumed, 2)
		for name, g := range save(resumed, "again"+dtype.String()) {
			if !slices.Equal(bits(g), bits(want[name])) {
				t.Errorf("%v: %s is of other bits after a resumption", dtype, name)
			}
		}
		if dtype == F32 {
			// tiny is stored in f32: the saved folder is the very model.
			e, err := Open(context.Background(), model, Options{DType: F32, CacheBytes: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			again := newTrainer(t, e, TrainOptions{})
			if err := again.LoadState(filepath.Join(dir, "twof32")); err != nil {
				t.Fatal(err)
			}
			train(again, 2)
			for name, g := range save(again, "moved") {
				if !slices.Equal(bits(g), bits(want[name])) {
					t.Errorf("%s is of other bits from the saved model on", name)
				}
			}
			again.Close()
			e.Close()
		}
	}
}

// TestFrozen: frozen tensors stay, and have no gradient; a loss without gradient moves nothing.
func TestFrozen(t *testing.T) {
	e := openGolden(t, "wide", Options{})
	tr := newTrainer(t, e, TrainOptions{Freeze: []string{"visual."}, Groups: []ParameterGroup{{Prefix: "model.norm", LRScale: 0}}})
	batch, _ := rollout(t, e, "wide", 2, 8)
	step := func(f Objective) {
		t.Helper()
		if err := tr.Gradients(context.Background(), batch, trained, f); err != nil {
			t.Fatal(err)
		}
		norm, err := tr.GradNorm()
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Step(AdamW{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, MaxGradNorm: 1}, norm); err != nil {
			t.Fatal(err)
		}
	}
	before := modelFile(t, tr, "before")
	step(func(int, []float32, []float32, []float32, []float32) error { return nil })
	for name, w := range modelFile(t, tr, "still") {
		if !slices.Equal(bits(w), bits(before[name])) {
			t.Errorf("%s moved without a gradient", name)
		}
	}
	step(coefficients(batch))
	for name, w := range modelFile(t, tr, "after") {
		frozen := strings.HasPrefix(name, "visual.") || strings.HasPrefix(name, "model.norm")
		if moved := !slices.Equal(bits(w), bits(before[name])); moved == frozen {
			t.Errorf("%s: moved is %v, frozen is %v", name, moved, frozen)
		}
	}
}

// modelFile saves a trainer's model and reads it back.
func modelFile(t *testing.T, tr *Trainer, name string) map[string][]float32 {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := tr.SaveModel(context.Background(), dir, nil); err != nil {
		t.Fatal(err)
	}
	ck, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	all := map[string][]float32{}
	for _, s := range ck.Tensors() {
		all[s.Name] = make([]float32, s.Elements())
		if err := ck.ReadF32(s.Name, all[s.Name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestTrainerRefuses lists requests that a trainer must refuse.
func TestTrainerRefuses(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	for name, o := range map[string]TrainOptions{
		"no such tensor":         {Freeze: []string{"vision."}},
		"are one matrix":         {Freeze: []string{"model.layers.0.self_attn.k_proj"}},
		"nothing is left":        {Freeze: []string{"model.", "visual."}},
		"MicroBatchRows is":      {MicroBatchRows: -1},
		"finite and not negativ": {Groups: []ParameterGroup{{Prefix: "model.", LRScale: math.NaN()}}},
	} {
		if tr, err := e.NewTrainer(context.Background(), o); err == nil {
			tr.Close()
			t.Errorf("%+v was accepted", o)
		} else if name != "no such tensor" && !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want %q", o, err, name)
		}
	}
	tr := newTrainer(t, e, TrainOptions{})
	p := goldenCases(t, "tiny")[0].prompt(t, e)
	none := func(int, []float32, []float32, []float32, []float32) error { return nil }
	for name, f := range map[string]func() error{
		"is forbidden by the ban": func() error {
			return tr.Gradients(context.Background(), []Sequence{{p, []int32{int32(e.cfg.ImageTokenID)}}}, Scoring{}, none)
		},
		"outside the vocabulary": func() error {
			return tr.Gradients(context.Background(), []Sequence{{p, []int32{1 << 20}}}, Scoring{}, none)
		},
		"Temperature": func() error { return tr.Gradients(context.Background(), nil, Scoring{Temperature: -1}, none) },
		"Beta1":       func() error { return tr.Step(AdamW{Beta1: 1}, 1) },
		"norm":        func() error { return tr.Step(AdamW{}, math.NaN()) },
		"no such file": func() error {
			return tr.LoadState(filepath.Join(t.TempDir(), "none.safetensors"))
		},
		"no optimizer state": func() error { return tr.LoadState(testdata.Path(t, "golden", "tiny-cases", "text.safetensors")) },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error is %v, want %q", err, name)
		}
	}
}

// TestTrainPlan: the plan is the memory that the trainer takes, and not by chance.
func TestTrainPlan(t *testing.T) {
	for _, model := range someModels() {
		for _, o := range []TrainOptions{{}, {Recompute: true}, {Freeze: []string{"visual."}}, {MicroBatchRows: 200}} {
			e := openGolden(t, model, Options{Threads: 2})
			batch, _ := rollout(t, e, model, 4, 12)
			shape := FamilyShape{CompletionTokens: 12, Completions: 4}
			for _, s := range batch {
				shape.Grow(s.Prompt)
			}
			plan, err := e.PlanTraining(o, shape)
			if err != nil {
				t.Fatal(err)
			}
			before, err := e.Device()
			if err != nil {
				t.Fatal(err)
			}
			tr := newTrainer(t, e, o)
			if err := tr.Gradients(context.Background(), batch, trained, coefficients(batch)); err != nil {
				t.Fatal(err)
			}
			after, err := e.Device()
			if err != nil {
				t.Fatal(err)
			}
			// Sampling has not taken more than that before, and pictures of several prompts may share a micro-batch.
			took := int64(after.Peak) - int64(before.Allocated)
			if took > plan.Total+plan.Total/4 || took < plan.Total/8 {
				t.Errorf("%s %+v: took %d bytes, the plan is %v = %d", model, o, took, plan, plan.Total)
			}
			if err := errors.Join(tr.Close(), e.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := openGolden(t, "wide", Options{})
	shape := FamilyShape{PromptTokens: 10, CompletionTokens: 10, Completions: 2}
	small, err := e.PlanTraining(TrainOptions{}, shape)
	if err != nil {
		t.Fatal(err)
	}
	shape.Pictures = 1 << 50
	if p, err := e.PlanTraining(TrainOptions{}, shape); p.Pictures != 1<<50 || p.Total != small.Total+1<<50 || err == nil || !strings.Contains(err.Error(), "+ pictures 1048576.00 GiB = ") {
		t.Errorf("%v, with pictures %v: %v", small, p, err)
	}
	if _, err := e.PlanTraining(TrainOptions{}, FamilyShape{PromptTokens: 1 << 16, CompletionTokens: 1 << 16, Completions: 64}); err == nil || !strings.Contains(err.Error(), "GiB free") {
		t.Errorf("a plan of 2^22 tokens: %v", err)
	}
}
