package optest

// A scoreGradient is what refLogProbBackward takes of each row: the targets, what logprob said, and the gradients with respect to it.
// entropy and dentropy may be nil.
type scoreGradient[T real] struct {
	targets                          []int32
	lse, entropy, dlogprob, dentropy []T
}

// refLogProbBackward is the gradients of refLogProb: that of x, and that of w added to dw.
//
//	x [rows, k], w [n, k], dw [n, k] or nil; returns dx [rows, k] and dw
func refLogProbBackward[T real](x, w, dw []T, banned func(j int) bool, g scoreGradient[T], n, k int, inv T) (dx, dwAfter []T) {
	dw = append([]T(nil), dw...)
	dx = make([]T, len(x))
	for i, target := range g.targets {
		row := x[i*k : (i+1)*k]
		for j := range n {
			if banned(j) {
				continue
			}
			lnp := T(inv*refDot(row, w[j*k:(j+1)*k])) - g.lse[i]
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
