package optest

import "math"

// refAttention is softmax(scale q kᵀ) v for the rows of one sequence. Row i sees keys 0 to seen(i)-1; query head h reads key head
// h / (heads / kvHeads). p is rounded by roundP before its product with v, as a dtype's kernel stores it.
//
//	q [nq, heads, dim], k, v [nk, kvHeads, dim]; returns out like q and lse [nq, heads]
func refAttention[T real](q, k, v []T, nq, heads, kvHeads, dim int, scale T, seen func(i int) int, roundP func(T) T) (out, lse []T) {
	out, lse = make([]T, nq*heads*dim), make([]T, nq*heads)
	for i := range nq {
		n := seen(i)
		p := make([]T, n)
		for h := range heads {
			query := q[(i*heads+h)*dim:][:dim]
			at := func(j int) int { return (j*kvHeads + h/(heads/kvHeads)) * dim }
			m := T(math.Inf(-1))
			for j := range p {
				p[j] = scale * refDot(query, k[at(j):][:dim])
				m = max(m, p[j])
			}
			var l T
			o := out[(i*heads+h)*dim:][:dim]
			for j := range p {
				e := T(math.Exp(float64(p[j] - m)))
				l += e
				e = roundP(e)
				for c, x := range v[at(j):][:dim] {
					o[c] += T(e * x)
				}
			}
			for c := range o {
				o[c] /= l
			}
			lse[i*heads+h] = m + T(math.Log(float64(l)))
		}
	}
	return out, lse
}
