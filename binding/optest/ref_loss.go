package optest

import (
	"math"
	"slices"

	"github.com/thinker-vl/thinker/binding"
)

// refGroupAdvantage is (r - mean) / (std + epsilon) for each group's rewards that are not NaN (Shao et al. 2024, DeepSeekMath).
//
//	rewards, group [n]; returns advantages [n], mean, std [groups], count [groups]
func refGroupAdvantage(rewards []float64, group []int32, groups int, scale uint32, epsilon float64, lone bool) (advantages, mean, std []float64, count []int32) {
	n := len(rewards)
	advantages, mean, std, count = make([]float64, n), make([]float64, groups), make([]float64, groups), make([]int32, groups)
	var all []float64
	members := make([][]float64, groups)
	for i, r := range rewards {
		if !math.IsNaN(r) {
			all = append(all, r)
			members[group[i]] = append(members[group[i]], r)
		}
	}
	_, batch := refMoments(all)
	same := make([]bool, groups)
	for g, m := range members {
		count[g] = int32(len(m))
		mean[g], std[g] = refMoments(m)
		same[g] = len(m) > 0 && slices.Min(m) == slices.Max(m)
		if lone && len(m) == 1 {
			mean[g], std[g] = 0, 1
		}
	}
	for i, r := range rewards {
		alone := lone && count[group[i]] == 1
		if math.IsNaN(r) || !alone && same[group[i]] {
			continue
		}
		s := std[group[i]]
		if scale == binding.ScaleBatch && !alone {
			s = batch
		}
		advantages[i] = r - mean[group[i]]
		if scale == binding.ScaleNone {
			continue
		}
		if advantages[i] /= s + epsilon; s+epsilon == 0 {
			advantages[i] = 0
		}
	}
	return advantages, mean, std, count
}

// refMoments is the mean and the deviation (n - 1) of x.
func refMoments(x []float64) (mean, std float64) {
	if len(x) == 0 {
		return 0, 0
	}
	if slices.Min(x) == slices.Max(x) {
		return x[0], 0
	}
	var sum, squares exactSum
	for _, v := range x {
		sum.add(v)
	}
	mean = sum.value() / float64(len(x))
	for _, v := range x {
		squares.add((v - mean) * (v - mean))
	}
	return mean, math.Sqrt(squares.value() / float64(len(x)-1))
}

// refTokenLoss is a token's loss, without its weight, for log-ratio d: see policy_loss in the header.
func refTokenLoss(s policyLoss, d, logprob, ref, advantage float64, hasRef bool) float64 {
	var l float64
	x := math.Exp(d)
	switch {
	case s.kind == binding.LossNLL:
		l = -logprob
	case advantage == 0:
	case s.kind == binding.LossCISPO:
		l = -min(x, s.high) * advantage * logprob
	case s.kind == binding.LossCISPOClip:
		l = -min(max(x, 1-s.epsilon), 1+s.high) * advantage * logprob
	case s.kind == binding.LossSAPO:
		tau := s.tauNeg
		if advantage > 0 {
			tau = s.tauPos
		}
		l = -4 / tau * advantage / (1 + math.Exp(-tau*(x-1)))
	default:
		capped := x
		if s.delta > 0 {
			capped = min(x, s.delta)
		}
		l = max(-advantage*capped, -advantage*min(max(x, 1-s.epsilon), 1+s.high))
		if s.dual > 0 && advantage < 0 {
			l = min(l, -advantage*s.dual)
		}
	}
	if !hasRef || s.beta == 0 {
		return l
	}
	q := ref - logprob
	if s.clampKL {
		q = min(max(q, -20), 20)
	}
	var k float64
	switch s.kl {
	case binding.KLk1:
		k = -q
	case binding.KLk2:
		k = q * q / 2
	case binding.KLAbs:
		k = math.Abs(q)
	default:
		k = math.Expm1(q) - q
		if s.clampKL {
			k = min(max(k, -10), 10)
		}
	}
	return l + s.beta*k
}

// An exactSum is a sum of doubles whose rounding errors are summed beside it (Neumaier).
type exactSum struct{ sum, rest float64 }

func (s *exactSum) add(x float64) {
	t := s.sum + x
	if math.Abs(s.sum) < math.Abs(x) {
		s.sum, x = x, s.sum
	}
	s.rest += s.sum - t + x
	s.sum = t
}

func (s *exactSum) value() float64 {
	if v := s.sum + s.rest; v == v {
		return v
	}
	return s.sum // infinities leave no rest
}

// refPolicyLoss gives a sequence's loss and its gradient, the latter from the formulas' own cases: which terms are constant, and the
// derivative of what is left.
func refPolicyLoss(s policyLoss, logprob, old, ref, advantage []float64, weight float64) (loss float64, grad []float64, kl float64, low, high int32) {
	n := len(logprob)
	grad = make([]float64, n)
	d, free := make([]float64, n), make([]bool, n)
	var mean, losses, kls, slope exactSum
	for t := range n {
		if old != nil {
			d[t] = logprob[t] - old[t]
		}
		free[t] = !s.clampRatio || math.Abs(d[t]) <= 20
		if s.clampRatio {
			d[t] = min(max(d[t], -20), 20)
		}
		mean.add(d[t])
	}
	sequence := s.level == binding.LevelSequence
	slopes := make([]float64, n) // of the token losses by the log-ratio
	for t := range n {
		if sequence {
			d[t] = mean.value() / float64(n)
		}
		var r, a float64
		if ref != nil {
			r = ref[t]
			kls.add(math.Expm1(r-logprob[t]) - (r - logprob[t]))
		}
		if advantage != nil {
			a = advantage[t]
		}
		losses.add(refTokenLoss(s, d[t], logprob[t], r, a, ref != nil))
		x := math.Exp(d[t])
		if s.kind != binding.LossNLL {
			if x < 1-s.epsilon && a < 0 {
				low++
			}
			if x > 1+s.high && a > 0 {
				high++
			}
		}
		switch {
		case s.kind == binding.LossNLL:
			grad[t] = -1
		case a == 0:
		case s.kind == binding.LossCISPO:
			grad[t] = -min(x, s.high) * a
		case s.kind == binding.LossCISPOClip:
			grad[t] = -min(max(x, 1-s.epsilon), 1+s.high) * a
		case s.kind == binding.LossSAPO:
			tau := s.tauNeg
			if a > 0 {
				tau = s.tauPos
			}
			e := math.Exp(-tau * (x - 1))
			if g := -4 * a * x * e / (1 + e) / (1 + e); g == g {
				slopes[t] = g
			}
		default:
			capped := s.delta > 0 && x > s.delta && (a > 0 || x > 1+s.high) // a cap inside the clip leaves the clip's loss, if larger
			if !(a > 0 && x > 1+s.high || a < 0 && x < 1-s.epsilon || capped || s.dual > 0 && a < 0 && x > s.dual) {
				slopes[t] = -a * x
			}
		}
		if q := r - logprob[t]; ref != nil && !(s.clampKL && math.Abs(q) > 20) {
			switch s.kl {
			case binding.KLk1:
				grad[t] += s.beta
			case binding.KLk2:
				grad[t] -= s.beta * q
			case binding.KLAbs:
				if q != 0 {
					grad[t] -= s.beta * q / math.Abs(q)
				}
			default:
				if !(s.clampKL && math.Expm1(q)-q > 10) {
					grad[t] -= s.beta * math.Expm1(q)
				}
			}
		}
	}
	for _, g := range slopes {
		slope.add(g)
	}
	for t := range n {
		switch {
		case !free[t]:
		case sequence:
			grad[t] += slope.value() / float64(n)
		default:
			grad[t] += slopes[t]
		}
	}
	for t := range grad {
		grad[t] *= weight
		if weight == 0 {
			grad[t] = 0
		}
	}
	loss = losses.value() * weight
	if weight == 0 {
		loss = 0
	}
	return loss, grad, kls.value(), low, high
}
