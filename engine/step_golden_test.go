package engine

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// goldenStep reads the batch of a golden step.
func goldenStep(t *testing.T, e *Engine, elem ...string) []Sequence {
	t.Helper()
	type line struct {
		PromptIDs     []int32  `json:"prompt_ids"`
		Images        []string `json:"images"`
		CompletionIDs []int32  `json:"completion_ids"`
	}
	var batch []Sequence
	for _, l := range readLines[line](t, append(append([]string{"golden"}, elem...), "batch.jsonl")...) {
		var images []*imageproc.Image
		for _, path := range l.Images {
			m, err := e.Images().Load(testdata.Path(t, "golden", path))
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, m)
		}
		p, err := e.PromptFromIDs(l.PromptIDs, images)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, Sequence{p, l.CompletionIDs})
	}
	return batch
}

// tensorsOf reads a safetensors file, under the released names.
func tensorsOf(t *testing.T, path string) map[string][]float32 {
	t.Helper()
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

// TestSFTStepGolden takes three steps of supervised fine-tuning as the reference implementation took them: the gradients of every tensor,
// their norm, the loss, and the weights afterwards.
func TestSFTStepGolden(t *testing.T) {
	dir := testdata.Path(t, "golden", "tiny-cases", "step-sft")
	e := openGolden(t, "tiny", Options{DType: F32})
	tr := newTrainer(t, e, TrainOptions{})
	batch := goldenStep(t, e, "tiny-cases", "step-sft")
	tokens := 0
	for _, s := range batch {
		tokens += len(s.IDs)
	}
	before := tensorsOf(t, filepath.Join(dir, "after3.safetensors"))
	for name, p := range tr.tensors() {
		copy(before[name], p.master.Float32s()[p.first:])
	}
	for step, want := range []struct{ loss, norm float64 }{{10.853719711303711, 29.436603546142578}, {10.202313423156738, 28.237777709960938}, {9.61129093170166, 25.001646041870117}} {
		loss := 0.0
		err := tr.Gradients(context.Background(), batch, Scoring{Ban: BanNone}, func(_ int, logprobs, _, dlogprob, _ []float32) error {
			for i, lp := range logprobs {
				loss -= float64(lp) / float64(tokens)
				dlogprob[i] = float32(-1 / float64(tokens))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		norm, err := tr.GradNorm()
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(loss-want.loss) > 2e-4*want.loss || math.Abs(norm-want.norm) > 2e-4*want.norm {
			t.Errorf("step %d: loss %v and norm %v, want %v and %v", step+1, loss, norm, want.loss, want.norm)
		}
		if step == 0 {
			got := gradientBits(tr)
			for name, want := range tensorsOf(t, filepath.Join(dir, "grads.safetensors")) {
				g := make([]float32, len(got[name]))
				for i, b := range got[name] {
					g[i] = math.Float32frombits(b)
				}
				if err := relativeError(g, want); !(err < 1e-4) {
					t.Errorf("the gradient of %s is off by %.3g in norm", name, err)
				}
			}
		}
		if err := tr.Step(AdamW{LR: 1e-4, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1, MaxGradNorm: 1}, norm); err != nil {
			t.Fatal(err)
		}
	}
	var errs []float64
	for name, want := range tensorsOf(t, filepath.Join(dir, "after3.safetensors")) {
		p := tr.tensors()[name]
		got := p.master.Float32s()[p.first : p.first+len(want)]
		moved, off := 0.0, 0.0
		for i := range want {
			moved += math.Pow(float64(want[i])-float64(before[name][i]), 2)
			off += math.Pow(float64(want[i])-float64(got[i]), 2)
		}
		err := math.Sqrt(off / moved)
		errs = append(errs, err)
		if !(err < 1e-2) {
			t.Errorf("%s: three steps are off by %.3g of the update", name, err)
		}
	}
	slices.Sort(errs)
	if median := errs[len(errs)/2]; !(median < 1e-4) {
		t.Errorf("three steps are off by %.3g of the update in the median tensor", median)
	}
	t.Logf("updates: median error %.3g, worst %.3g of %d tensors", errs[len(errs)/2], errs[len(errs)-1], len(errs))
}
