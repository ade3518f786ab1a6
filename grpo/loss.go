package grpo

import (
	"errors"
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/engine"
)

// A Sequence is a completion with its tokens' log-probs.
type Sequence struct {
	Sample
	LogProbs    []float64 // of the policy that is trained
	OldLogProbs []float64 // of the policy that sampled; nil: the same, the ratio is 1
	RefLogProbs []float64 // of the reference; nil: none
	Entropies   []float64 // of the policy's distributions; nil: not known
	Truncated   bool      // it ended at the length limit; see Settings.MaskTruncatedCompletions
}

// A Normalizer counts what a batch's loss is divided by. The zero value has counted nothing.
type Normalizer struct {
	Sequences int
	Tokens    int64 // of completions that are not masked
}

// Add counts a sequence of so many tokens. One that is masked, or empty, counts among the sequences, with no token; in verl not at all.
func (n *Normalizer) Add(s *Settings, tokens int, truncated bool) {
	if s.masked(tokens, truncated) {
		if s.Dialect != VeRL {
			n.Sequences++
		}
		return
	}
	n.Sequences++
	n.Tokens += int64(tokens)
}

func (s *Settings) masked(tokens int, truncated bool) bool {
	return tokens == 0 || truncated && s.MaskTruncatedCompletions
}

// Weight is what a token's loss counts in the batch's, in a sequence of so many tokens that is not masked.
func (s *Settings) Weight(n Normalizer, tokens int) float64 {
	sequences, all, own, most := float64(max(n.Sequences, 1)), float64(max(n.Tokens, 1)), float64(max(tokens, 1)), float64(max(s.MaxCompletionLength, 1))
	switch s.Aggregation {
	case SequenceMean:
		return 1 / sequences / own
	case SequenceSum:
		return 1 / sequences
	case FixedLength:
		if s.Dialect == VeRL {
			return 1 / most
		}
		return 1 / sequences / most
	}
	return 1 / all
}

// Terms are a sequence's part in the loss and the metrics of its batch. They add up.
type Terms struct {
	Loss          float64
	Tokens        int64
	Low, High     int64   // tokens whose ratio is outside the clip, on the side where that matters
	K3            float64 // sum of k3, over the RefTokens
	RefTokens     int64
	Entropy       float64 // sum, over the EntropyTokens
	EntropyTokens int64
}

// Add adds u.
func (t *Terms) Add(u Terms) {
	t.Loss += u.Loss
	t.Tokens += u.Tokens
	t.Low += u.Low
	t.High += u.High
	t.K3 += u.K3
	t.RefTokens += u.RefTokens
	t.Entropy += u.Entropy
	t.EntropyTokens += u.EntropyTokens
}

// Metrics of a batch, by TRL's definitions: means over all completion tokens that are not masked.
type Metrics struct {
	Loss       float64
	NumTokens  int64
	ClipLow    float64  // clip_ratio/low_mean
	ClipHigh   float64  // clip_ratio/high_mean
	ClipRegion float64  // clip_ratio/region_mean
	KL         *float64 // kl: k3, nil without references
	Entropy    *float64 // nil where entropies are not known
}

// Metrics are the means of what t sums.
func (t *Terms) Metrics() Metrics {
	share := func(x float64, n int64) float64 { return x / float64(max(n, 1)) }
	m := Metrics{Loss: t.Loss, NumTokens: t.Tokens, ClipLow: share(float64(t.Low), t.Tokens), ClipHigh: share(float64(t.High), t.Tokens),
		ClipRegion: share(float64(t.Low+t.High), t.Tokens)}
	if t.RefTokens > 0 {
		kl := share(t.K3, t.RefTokens)
		m.KL = &kl
	}
	if t.EntropyTokens > 0 {
		h := share(t.Entropy, t.EntropyTokens)
		m.Entropy = &h
	}
	return m
}

// A Gradient is that of the batch's loss by a sequence's log-probs and entropies.
type Gradient struct {
	LogProbs  []float64
	Entropies []float64 // nil without an entropy bonus
}

// Loss is the part of one sequence, with its advantage, in the loss of the batch that n has counted. The advantage counts for nothing in
// loss type sft.
func (s *Settings) Loss(m Math, n Normalizer, q *Sequence, advantage float64) (Terms, Gradient, error) {
	tokens := len(q.LogProbs)
	g := Gradient{LogProbs: make([]float64, tokens)}
	if s.EntropyCoef != 0 {
		g.Entropies = make([]float64, tokens)
	}
	if err := s.checkSequence(q); err != nil {
		return Terms{}, Gradient{}, err
	}
	if s.masked(tokens, q.Truncated) {
		return Terms{}, g, nil
	}
	w := s.Weight(n, tokens)
	a := engine.PolicyLoss{
		SequenceLevel: s.SequenceLevel, KL: s.KL, LogProbs: q.LogProbs, Old: q.OldLogProbs, Ref: q.RefLogProbs, Weight: w,
		Epsilon: s.Epsilon, EpsilonHigh: s.EpsilonHigh, Delta: s.Delta, DualClip: s.DualClip, TauPos: s.SAPOPos, TauNeg: s.SAPONeg,
		ClampLogRatio: s.ClampLogRatio, ClampKL: s.ClampKL,
	}
	switch s.LossType {
	case CISPO:
		a.Kind = engine.LossCISPO
		if s.twoSided() {
			a.Kind = engine.LossCISPOClip
		}
	case SAPO:
		a.Kind = engine.LossSAPO
	case SFT:
		a.Kind = engine.LossNLL
	}
	if s.LossType != SFT {
		a.Advantages = s.tokenAdvantages(q, advantage)
	}
	if !s.KLInReward {
		a.Beta = s.Beta
		if s.Dialect == OpenRLHF && s.Beta > 0 { // adds the mean over all tokens to whatever mean the policy's part has
			a.Beta *= 1 / float64(max(n.Tokens, 1)) / w
		}
	}
	if err := m.PolicyLoss(&a); err != nil {
		return Terms{}, Gradient{}, err
	}
	t := Terms{Loss: a.Loss, Tokens: int64(tokens), Low: int64(a.Low), High: int64(a.High)}
	g.LogProbs = a.Grad
	if q.RefLogProbs != nil {
		t.K3, t.RefTokens = a.K3, int64(tokens)
	}
	if q.Entropies != nil {
		t.EntropyTokens = int64(tokens)
		for _, h := range q.Entropies {
			t.Entropy += h
		}
		t.Loss -= s.EntropyCoef * w * t.Entropy
	}
	for i := range g.Entropies {
		g.Entropies[i] = -s.EntropyCoef * w
	}
	return t, g, finiteLoss(t, g, q)
}

// checkSequence refuses log-probs that are no numbers, or not as many as the others.
func (s *Settings) checkSequence(q *Sequence) error {
	if s.Beta > 0 && q.RefLogProbs == nil {
		return fmt.Errorf("no ref_logprobs, which beta = %v needs", s.Beta)
	}
	if s.EntropyCoef != 0 && q.Entropies == nil {
		return fmt.Errorf("no entropies, which entropy_coef = %v needs", s.EntropyCoef)
	}
	for _, x := range []struct {
		name   string
		values []float64
	}{{"logprobs", q.LogProbs}, {"old_logprobs", q.OldLogProbs}, {"ref_logprobs", q.RefLogProbs}, {"entropies", q.Entropies}} {
		if x.values != nil && len(x.values) != len(q.LogProbs) {
			return fmt.Errorf("%s has %d numbers, logprobs %d", x.name, len(x.values), len(q.LogProbs))
		}
		for i, v := range x.values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%s[%d] is %v", x.name, i, v)
			}
		}
	}
	return nil
}

// tokenAdvantages are the advantages of q's tokens. With KL in the reward each is less by the coefficient times the sum of k1 over the
// tokens from it on: a return without discount.
func (s *Settings) tokenAdvantages(q *Sequence, advantage float64) []float64 {
	a := make([]float64, len(q.LogProbs))
	sampled := q.OldLogProbs
	if sampled == nil {
		sampled = q.LogProbs
	}
	penalty := 0.0
	for t := len(a) - 1; t >= 0; t-- {
		if s.KLInReward && s.Beta > 0 {
			penalty += sampled[t] - q.RefLogProbs[t]
		}
		a[t] = advantage - s.Beta*penalty
	}
	return a
}

// A NonFiniteLossError says that a sequence's loss or its gradient is infinite or not a number, and which log-probs are the furthest
// apart.
type NonFiniteLossError struct {
	Token int
	Other string // old_logprobs or ref_logprobs
	Apart float64
}

func (e *NonFiniteLossError) Error() string {
	return fmt.Sprintf("the loss or its gradient is not finite: logprobs[%d] and %s[%d] differ by %v", e.Token, e.Other, e.Token, e.Apart)
}

// finiteLoss refuses what a ratio beyond the range of numbers has made.
func finiteLoss(t Terms, g Gradient, q *Sequence) error {
	bad := math.IsNaN(t.Loss) || math.IsInf(t.Loss, 0)
	for _, v := range g.LogProbs {
		bad = bad || math.IsNaN(v) || math.IsInf(v, 0)
	}
	if !bad {
		return nil
	}
	worst, at, name := 0.0, 0, "old_logprobs"
	for i, lp := range q.LogProbs {
		if q.OldLogProbs != nil && math.Abs(lp-q.OldLogProbs[i]) > worst {
			worst, at, name = math.Abs(lp-q.OldLogProbs[i]), i, "old_logprobs"
		}
		if q.RefLogProbs != nil && math.Abs(lp-q.RefLogProbs[i]) > worst {
			worst, at, name = math.Abs(lp-q.RefLogProbs[i]), i, "ref_logprobs"
		}
	}
	return &NonFiniteLossError{at, name, worst}
}

// A Batch is a loss with all that belongs to it.
type Batch struct {
	Loss       float64
	Advantages Advantages // without Values in loss type sft
	Gradients  []Gradient // one a sequence
	Metrics    Metrics
}

// Batch computes the loss of a whole batch. Errors in a sequence are of type [*SampleError].
func (s *Settings) Batch(m Math, sequences []Sequence) (*Batch, error) {
	if len(sequences) == 0 {
		return nil, errors.New("no sequences")
	}
	b := &Batch{}
	var n Normalizer
	samples := make([]Sample, len(sequences))
	for i := range sequences {
		q := &sequences[i]
		if err := s.checkSequence(q); err != nil {
			return nil, &SampleError{i, err}
		}
		n.Add(s, len(q.LogProbs), q.Truncated)
		samples[i] = q.Sample
	}
	if s.LossType != SFT {
		a, err := s.Advantages(m, samples)
		if err != nil {
			return nil, err
		}
		b.Advantages = *a
	}
	var total Terms
	for i := range sequences {
		advantage := 0.0
		if s.LossType != SFT {
			advantage = b.Advantages.Values[i]
		}
		t, g, err := s.Loss(m, n, &sequences[i], advantage)
		if err != nil {
			return nil, &SampleError{i, err}
		}
		total.Add(t)
		b.Gradients = append(b.Gradients, g)
	}
	b.Loss, b.Metrics = total.Loss, total.Metrics()
	return b, nil
}
