package optest

import (
	"math"
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// policyLoss: losses of packed sequences of log-probs, and their gradients.
type policyLoss struct {
	kind, level, kl     uint32
	cu                  []int32
	logprob, weight     []float64
	old, ref, advantage []float64 // nil: absent
	epsilon, high       float64
	delta, dual         float64
	beta                float64
	tauPos, tauNeg      float64
	clampRatio, clampKL bool
	metrics             bool
}

func (s policyLoss) lengths() []int {
	n := make([]int, len(s.weight))
	for i := range n {
		n[i] = int(s.cu[i+1] - s.cu[i])
	}
	return n
}

// sequence is the op over sequence i alone.
func (s policyLoss) sequence(i int) policyLoss {
	lo, hi := s.cu[i], s.cu[i+1]
	cut := func(x []float64) []float64 {
		if x == nil {
			return nil
		}
		return x[lo:hi]
	}
	s.logprob, s.old, s.ref, s.advantage = cut(s.logprob), cut(s.old), cut(s.ref), cut(s.advantage)
	s.weight, s.cu = s.weight[i:i+1], []int32{0, hi - lo}
	return s
}

func (s policyLoss) operands() []operand {
	n, sequences := len(s.logprob), len(s.weight)
	os := []operand{{name: "cu", kind: i32, rows: 1, cols: len(s.cu), ints: s.cu}}
	for _, o := range []struct {
		name   string
		values []float64
	}{{"logprob", s.logprob}, {"old", s.old}, {"ref", s.ref}, {"advantage", s.advantage}, {"weight", s.weight}} {
		if o.values != nil {
			os = append(os, operand{name: o.name, kind: f64, rows: 1, cols: len(o.values), doubles: o.values})
		}
	}
	os = append(os, operand{name: "loss", role: Out, kind: f64, rows: 1, cols: sequences}, operand{name: "grad", role: Out, kind: f64, rows: 1, cols: n})
	if s.metrics {
		if s.ref != nil {
			os = append(os, operand{name: "kl", role: Out, kind: f64, rows: 1, cols: sequences})
		}
		os = append(os, operand{name: "low", role: Out, kind: i32, rows: 1, cols: sequences}, operand{name: "high", role: Out, kind: i32, rows: 1, cols: sequences})
	}
	return os
}

func (s policyLoss) args(m Memory) any {
	return &binding.PolicyLossArgs{Kind: s.kind, Level: s.level, KlKind: s.kl, Cu: m.at("cu"), LogProb: m.at("logprob"), Old: m.at("old"), Ref: m.at("ref"),
		Advantage: m.at("advantage"), Weight: m.at("weight"), Loss: m.at("loss"), Grad: m.at("grad"), Kl: m.at("kl"), Low: m.at("low"), High: m.at("high"),
		Sequences: int64(len(s.weight)), Epsilon: s.epsilon, EpsilonHigh: s.high, Delta: s.delta, DualClip: s.dual, Beta: s.beta, TauPos: s.tauPos,
		TauNeg: s.tauNeg, ClampLogRatio: flag(s.clampRatio), ClampKl: flag(s.clampKL)}
}

func (s policyLoss) reference(t tensors) {
	var loss, grad, kl []float64
	var low, high []int32
	for i := range s.weight {
		q := s.sequence(i)
		l, g, k, lo, hi := refPolicyLoss(q, q.logprob, q.old, q.ref, q.advantage, q.weight[0])
		loss, grad, kl, low, high = append(loss, l), append(grad, g...), append(kl, k), append(low, lo), append(high, hi)
	}
	t.expectDoubles("loss", loss)
	t.expectDoubles("grad", grad)
	t.expectDoubles("kl", kl)
	t.expectInts("low", low)
	t.expectInts("high", high)
}

// policyLossExpFLOPs is e^x in double: as expFLOPs, with a polynomial of degree 11.
const policyLossExpFLOPs = 3 + 2*11 + 1

// An operation on doubles counts as two: it takes half a vector of f32. A token's loss and gradient are added to the sum and weighted (2).
// Its log-ratio is a difference and, at the level of sequences, a sum (2), else an exponential; the policy's two branches are products (2).
// KL is e^q - 1 - q (q, the exponential and 3) for k3 and in the metrics, its part of loss and gradient two multiply-adds, its sum 1.
func (s policyLoss) work() Work {
	n, sequences := float64(len(s.logprob)), float64(len(s.weight))
	each := 2.0
	switch {
	case s.kind == binding.LossNLL:
	case s.level == binding.LevelSequence || s.old == nil:
		each += 2 + 2
	default:
		each += 1 + policyLossExpFLOPs + 2
	}
	if s.kind == binding.LossSAPO {
		each += 2 + policyLossExpFLOPs + 4 // tau (x - 1), 1/(1 + e^), s (1 - s)
	}
	if k := s.metrics || s.kl == binding.KLk3; s.ref != nil && (k || s.beta > 0) {
		each++
		if k {
			each += policyLossExpFLOPs + 3
		}
		if s.beta > 0 {
			each += 4
		}
		if s.metrics {
			each++
		}
	}
	w := Work{FLOPs: 2 * each * n, Read: 8*n + 4*float64(len(s.cu)) + 8*sequences, Written: 8*n + 8*sequences}
	for _, x := range [][]float64{s.old, s.ref, s.advantage} {
		w.Read += 8 * float64(len(x))
	}
	return w
}

// somePolicyLoss draws sequences of the given lengths for a loss. Some tokens' ratios are far out, some at 1 exactly; the advantages are
// those of sequences, one in four 0.
func somePolicyLoss(seed uint64, lengths []int, s policyLoss) policyLoss {
	r := rand.New(rand.NewPCG(seed, 5))
	s.cu = []int32{0}
	s.logprob, s.old, s.ref, s.advantage, s.weight = []float64{}, []float64{}, []float64{}, []float64{}, []float64{}
	for i, n := range lengths {
		a := r.NormFloat64()
		if i%4 == 3 {
			a = 0
		}
		for range n {
			lp := -3 * r.ExpFloat64()
			d, q := 0.3*r.NormFloat64(), 0.3*r.NormFloat64()
			switch r.IntN(6) {
			case 0:
				d, q = 3*d, 10*q
			case 1:
				d, q = 0, 0
			}
			s.logprob, s.old, s.ref, s.advantage = append(s.logprob, lp), append(s.old, lp-d), append(s.ref, lp+q), append(s.advantage, a)
		}
		s.weight = append(s.weight, 0.01+r.Float64())
		s.cu = append(s.cu, int32(len(s.logprob)))
	}
	return s
}

func policyLossCases() (cs []Case) {
	kinds, levels, kls := []string{"clip", "cispo", "sapo", "nll", "cispo_clip"}, []string{"token", "sequence"}, []string{"", "k1", "k2", "k3", "abs"}
	c := func(s policyLoss, kv ...any) Case {
		return newCase("policy_loss", binding.F32, s, append([]any{"kind", kinds[s.kind], "level", levels[s.level], "kl", kls[s.kl],
			"sequences", len(s.weight), "tokens", len(s.logprob)}, kv...)...)
	}
	base := policyLoss{kl: binding.KLk3, epsilon: 0.2, high: 0.28, beta: 0.04, tauPos: 1, tauNeg: 1.05, metrics: true}
	lengths := []int{3, 5, 2, 0, 1, 40, 7}
	for kind := range uint32(5) {
		for level := range uint32(2) {
			s := base
			s.kind, s.level = kind, level
			cs = append(cs, c(somePolicyLoss(1, lengths, s)))
			s.kl, s.clampRatio, s.clampKL = 1+(kind+level)%4, true, true
			if kind == binding.LossCISPO {
				s.high = 5
			}
			cs = append(cs, c(somePolicyLoss(2, lengths, s), "clamp", true))
		}
	}
	for kl := binding.KLk1; kl <= binding.KLAbs; kl++ {
		for _, clamp := range []bool{false, true} {
			s := base
			s.kl, s.clampKL, s.clampRatio = kl, clamp, clamp
			s = somePolicyLoss(uint64(kl), []int{30, 30}, s)
			for i, d := range []float64{21, -21, 12, -12, 19.5, -19.5, 3, 2.5} { // beyond the clamps and within, of d, q and k3
				s.old[i], s.ref[i+8] = s.logprob[i]-d, s.logprob[i+8]-d
			}
			cs = append(cs, c(s, "clamp", clamp, "far", true))
		}
	}
	for _, level := range []uint32{binding.LevelToken, binding.LevelSequence} {
		with := func(name string, change func(s *policyLoss)) {
			s := base
			s.level = level
			s = somePolicyLoss(11, lengths, s)
			change(&s)
			cs = append(cs, c(s, "with", name))
		}
		with("delta", func(s *policyLoss) { s.delta = 1.5 })
		with("delta-inside", func(s *policyLoss) { s.delta = 1.1 })
		with("dual", func(s *policyLoss) { s.dual = 1.6 })
		with("no-ref", func(s *policyLoss) { s.ref = nil })
		with("no-old", func(s *policyLoss) { s.old = nil })
		with("no-metrics", func(s *policyLoss) { s.metrics = false })
		with("beta-0", func(s *policyLoss) { s.beta = 0 })
		with("advantage-a-token", func(s *policyLoss) {
			for i := range s.advantage {
				s.advantage[i] -= 0.1 * float64(i%7)
			}
		})
		with("masked", func(s *policyLoss) { // no weight, or no advantage: not even infinite ratios count
			s.beta, s.weight[0] = 0, 0
			for i := range 3 {
				s.logprob[i] = 800
			}
			for i := 3; i < 8; i++ {
				s.logprob[i], s.advantage[i] = 800, 0
			}
			s.ref = nil
		})
		with("nan", func(s *policyLoss) { s.logprob[4] = math.NaN() })
	}
	cs = append(cs, c(somePolicyLoss(1, nil, base)), c(somePolicyLoss(1, []int{0}, base)))
	nll := somePolicyLoss(1, lengths, base)
	nll.kind, nll.old, nll.ref, nll.advantage = binding.LossNLL, nil, nil, nil
	cs = append(cs, c(nll, "with", "nothing"))
	long := make([]int, 64)
	for i := range long {
		long[i] = 1024
	}
	for _, level := range []uint32{binding.LevelToken, binding.LevelSequence} { // shared out by sequences, and the long ones by blocks
		s := base
		s.level = level
		cs = append(cs, c(somePolicyLoss(13, []int{700, 5, 9001, 2050, 1024, 17000, 3}, s), "long", true))
	}
	return append(cs, bench(c(somePolicyLoss(1, long, base))))
}
