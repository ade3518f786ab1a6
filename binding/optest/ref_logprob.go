package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// A fold is the state of a log-sum-exp and entropy over the columns seen so far: m their maximum, l the sum of e^(z-m), and t that of
// e^(z-m) (z-m).
type fold[T real] struct{ m, l, t T }

func exp[T real](x T) T { return T(math.Exp(float64(x))) }
func log[T real](x T) T { return T(math.Log(float64(x))) }

// refFold folds z, less the banned columns, in chunks that are merged left to right.
func refFold[T real](z []T, banned func(j int) bool) fold[T] {
	all := fold[T]{m: T(math.Inf(-1))}
	for from := 0; from < len(z); from += binding.VocabChunk {
		c := fold[T]{m: T(math.Inf(-1))}
		to := min(from+binding.VocabChunk, len(z))
		for j := from; j < to; j++ {
			if !banned(j) {
				c.m = max(c.m, z[j])
			}
		}
		if math.IsInf(float64(c.m), -1) {
			continue
		}
		for j := from; j < to; j++ {
			if p := exp(z[j] - c.m); !banned(j) && p > 0 {
				c.l += p
				c.t += T(p * (z[j] - c.m))
			}
		}
		all = all.merge(c)
	}
	return all
}

func (a fold[T]) merge(b fold[T]) fold[T] {
	if a.l == 0 {
		return b
	}
	m := max(a.m, b.m)
	scale := func(f fold[T]) (l, t T) {
		e := exp(f.m - m)
		return f.l * e, T(f.t+T(f.l*(f.m-m))) * e
	}
	al, at := scale(a)
	bl, bt := scale(b)
	return fold[T]{m, al + bl, at + bt}
}

func (f fold[T]) lse() T     { return f.m + log(f.l) }
func (f fold[T]) entropy() T { return log(f.l) - f.t/f.l }

// refLogProb is the log-probability of targets[i], the entropy and the log-sum-exp of z = inv (x wᵀ) over the columns that are not
// banned.
//
//	x [rows, k], w [n, k], targets [rows]; returns [rows] each
func refLogProb[T real](x, w []T, banned func(j int) bool, targets []int32, n, k int, inv T) (logprob, entropy, lse []T) {
	z := make([]T, n)
	for i, target := range targets {
		for j := range z {
			z[j] = inv * refDot(x[i*k:(i+1)*k], w[j*k:(j+1)*k])
		}
		f := refFold(z, banned)
		logprob = append(logprob, refLogProbOf(z, f, banned, int(target)))
		entropy = append(entropy, f.entropy())
		lse = append(lse, f.lse())
	}
	return logprob, entropy, lse
}

// refLogProbOf is the log-probability of column j.
func refLogProbOf[T real](z []T, f fold[T], banned func(j int) bool, j int) T {
	if banned(j) {
		return T(math.Inf(-1))
	}
	return z[j] - f.lse()
}
