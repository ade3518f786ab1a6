package grpo

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/thinker-vl/thinker/engine"
)

// An Episode is a completion that the policy learns from, with what it was worth.
type Episode struct {
	Sample
	Prompt      *engine.Prompt
	IDs         []int32
	OldLogProbs []float32 // of the policy that sampled; nil: the policy itself, the ratio is 1
	RefLogProbs []float32 // of the reference; nil: none
	Truncated   bool
}

// An Update is what one optimizer step did.
type Update struct {
	Metrics
	GradNorm     float64 // before clipping
	LearningRate float64
	Stats        SamplerStats
	Groups       []GroupStats // in the order of their first episodes; nil where the advantages were given
	Advantages   []float64    // one an episode, nil in loss type sft

	// NonFinite is set when a loss or the gradient has infinities or NaNs: the step is to be skipped. Of a loss it is a [*SampleError] of
	// a [*NonFiniteLossError], and the metrics are of no use; of the gradient an [engine.NonFiniteError].
	NonFinite error
}

// SamplerStats compare the policy's log-probs with those recorded when sampling, token by token.
type SamplerStats struct {
	Tokens   int64
	Same     int64   // equal to the bit
	MeanDiff float64 // of |log-prob - old log-prob|
	MaxDiff  float64
	MinRatio float64
	MaxRatio float64
}

// A Policy is what an update works on.
type Policy struct {
	Trainer *engine.Trainer
	Math    Math
}

// Gradients sets the trainer's gradients to those of the episodes' loss, and says what loss and metrics are; no weight changes. The
// order of the episodes changes no bit of anything but Update.Advantages and Update.Groups, which follow it. An error in an episode
// is a [*SampleError].
func (s *Settings) Gradients(ctx context.Context, p Policy, episodes []Episode) (*Update, error) {
	u := &Update{Stats: SamplerStats{MinRatio: math.Inf(1), MaxRatio: math.Inf(-1)}}
	values := make([]float64, len(episodes))
	if s.LossType != SFT {
		samples := make([]Sample, len(episodes))
		for i := range episodes {
			samples[i] = episodes[i].Sample
		}
		a, err := s.Advantages(p.Math, samples)
		if err != nil {
			return nil, err
		}
		values, u.Advantages, u.Groups = a.Values, a.Values, a.Groups
	}
	var n Normalizer
	order := make([]int, len(episodes))
	for i := range episodes {
		n.Add(s, len(episodes[i].IDs), episodes[i].Truncated)
		order[i] = i
	}
	// The engine orders sequences by prompt and ids. Episodes that are alike in both go by what else they hold.
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &episodes[i], &episodes[j]
		return cmp.Or(cmp.Compare(values[i], values[j]), slices.Compare(a.OldLogProbs, b.OldLogProbs), slices.Compare(a.RefLogProbs, b.RefLogProbs))
	})
	batch := make([]engine.Sequence, len(episodes))
	for k, i := range order {
		batch[k] = engine.Sequence{Prompt: episodes[i].Prompt, IDs: episodes[i].IDs}
	}
	var total Terms
	var failed error
	err := p.Trainer.Gradients(ctx, batch, engine.Scoring{Temperature: s.Temperature, Ban: s.Ban}, func(k int, logprobs, entropy, dlogprob, dentropy []float32) error {
		i := order[k]
		e := &episodes[i]
		u.Stats.add(logprobs, e.OldLogProbs)
		q := Sequence{Sample: e.Sample, LogProbs: wide(logprobs), OldLogProbs: wide(e.OldLogProbs), RefLogProbs: wide(e.RefLogProbs), Entropies: wide(entropy), Truncated: e.Truncated}
		t, g, err := s.Loss(p.Math, n, &q, values[i])
		if err != nil {
			failed = &SampleError{i, err}
			return failed
		}
		total.Add(t)
		narrow(dlogprob, g.LogProbs)
		narrow(dentropy, g.Entropies)
		return nil
	})
	if _, ok := errors.AsType[*NonFiniteLossError](failed); ok {
		u.NonFinite = failed
		u.Loss, u.GradNorm = math.NaN(), math.NaN()
		u.Stats.finish()
		return u, nil
	}
	if failed != nil {
		return nil, failed
	}
	if prompt, ok := errors.AsType[*engine.PromptError](err); ok {
		return nil, &SampleError{order[prompt.Prompt], prompt.Err}
	}
	if err != nil {
		return nil, err
	}
	u.Metrics = total.Metrics()
	u.Stats.finish()
	u.GradNorm, err = p.Trainer.GradNorm()
	if bad, ok := errors.AsType[*engine.NonFiniteError](err); ok {
		u.NonFinite, err = bad, nil
	}
	return u, err
}

// Update makes an optimizer step on the episodes' loss at this learning rate. A gradient that is not finite changes nothing: see
// Update.NonFinite.
func (s *Settings) Update(ctx context.Context, p Policy, episodes []Episode, learningRate float64) (*Update, error) {
	u, err := s.Gradients(ctx, p, episodes)
	if err != nil {
		return nil, err
	}
	u.LearningRate = learningRate
	if u.NonFinite != nil {
		return u, nil
	}
	return u, s.Step(p, u)
}

// Step makes the optimizer step that follows after Gradients.
func (s *Settings) Step(p Policy, u *Update) error {
	return p.Trainer.Step(engine.AdamW{LR: u.LearningRate, Beta1: s.AdamBeta1, Beta2: s.AdamBeta2, Epsilon: s.AdamEpsilon, WeightDecay: s.WeightDecay,
		MaxGradNorm: s.MaxGradNorm}, u.GradNorm)
}

func (t *SamplerStats) add(logprobs, old []float32) {
	for i := range old {
		t.Tokens++
		if math.Float32bits(logprobs[i]) == math.Float32bits(old[i]) {
			t.Same++
		}
		d := float64(logprobs[i]) - float64(old[i])
		t.MeanDiff += math.Abs(d)
		t.MaxDiff = max(t.MaxDiff, math.Abs(d))
		t.MinRatio, t.MaxRatio = min(t.MinRatio, math.Exp(d)), max(t.MaxRatio, math.Exp(d))
	}
}

func (t *SamplerStats) finish() {
	if t.Tokens == 0 {
		*t = SamplerStats{}
		return
	}
	t.MeanDiff /= float64(t.Tokens)
}

func wide(x []float32) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(y []float32, x []float64) {
	for i, v := range x {
		y[i] = float32(v)
	}
}
