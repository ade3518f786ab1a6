package optest

import "math"

// A scoreGradient is what refLogProbBackward takes of each row: the targets, what logprob said, and the gradients with respect to it.
// entropy and dentropy may be nil.
type scoreGradient[T real] struct {
	targets                          []int32
	lse, entropy, dlogprob, dentropy []T
}

// refLogProbBackward is the gradients of refLogProb: that of x, and that of w added to dw. dot makes the logits.
//
//	x [rows, k], w [n, k], dw [n, k] or nil; returns dx [rows, k] and dw
func refLogProbBackward[T real](x, w, dw []T, banned func(j int) bool, g scoreGradient[T], n, k int, inv T, dot func(a, b []T) T) (dx, dwAfter []T) {
	dw = append([]T(nil), dw...)
	dx = make([]T, len(x))
	for i, target := range g.targets {
		row := x[i*k : (i+1)*k]
		for j := range n {
			if banned(j) {
				continue
			}
			lnp := T(inv*dot(row, w[j*k:(j+1)*k])) - g.lse[i]
			p := exp(lnp)
			dz := -T(g.dlogprob[i] * p)
			if j == int(target) {
				dz = g.dlogprob[i] * (1 - p)
			}
			if g.dentropy != nil {
				dz -= T(T(g.dentropy[i]*p) * (lnp + g.entropy[i]))
			}
			dz *= inv
			refAddProducts(dx[i*k:(i+1)*k], []T{dz}, w[j*k:(j+1)*k])
			if len(dw) > 0 {
				refAddProducts(dw[j*k:(j+1)*k], []T{dz}, row)
			}
		}
	}
	return dx, dw
}

// roughDot is the sum of a[i] b[i], off by what roundings make of one in f32.
//
// The error of a logit enters through exp, times p dlogprob and the like, which is large in the one or two columns of a row that share its
// weight. So the largest error of a gradient is that of very few sums, and what the naive loop happens to do in these says little of what
// another order does: in bf16, where products are exact, a sum of k terms is off by 0 or by a few units of its last place, by accident.
// ISAs that add in increasing k share that accident; vdpbf16ps, which begins with the high half of a pair, has its own.
//
// The bound that holds for every order is statistical. Each addition rounds a partial sum s by at most u |s|, by u |s| / sqrt(3) at the root of
// the mean square, independently of the others: all k together by u sqrt(sum s^2 / 3). roughDot is off by sqrt(3) of these standard
// deviations, and a tolerance of twice that is 3.5 of them. The partial sums are those in increasing k: another order's are as large.
func roughDot(a, b []float32) float32 {
	var sum, squares float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
		squares += sum * sum
	}
	off := f32.roundoff() * math.Sqrt(squares)
	if float64(float32(sum)) < sum { // either way
		off = -off
	}
	return float32(sum + off)
}
