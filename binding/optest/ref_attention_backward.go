package optest

import "math"

// refAttentionBackward adds one sequence's part to the gradients of refAttention: its rows' to dq, and what they give to its keys and
// values to dk and dv.
//
//	q, out, dout, dq [nq, heads, dim], k, v, dk, dv [nk, kvHeads, dim], lse [nq, heads]
func refAttentionBackward[T real](q, k, v, out, lse, dout, dq, dk, dv []T, nq, heads, kvHeads, dim int, scale T, seen func(i int) int) {
	for i := range nq {
		for h := range heads {
			row := (i*heads + h) * dim
			query, grad, sum := q[row:][:dim], dout[row:][:dim], dq[row:][:dim]
			norm := lse[i*heads+h]
			if math.IsInf(float64(norm), -1) {
				continue // sees no key
			}
			delta := refDot(grad, out[row:][:dim])
			for j := range seen(i) {
				at := (j*kvHeads + h/(heads/kvHeads)) * dim
				key := k[at:][:dim]
				p := T(math.Exp(float64(T(scale*refDot(query, key)) - norm)))
				ds := T(scale * p * (refDot(grad, v[at:][:dim]) - delta))
				for c := range dim {
					dv[at+c] += T(p * grad[c])
					dk[at+c] += T(ds * query[c])
					sum[c] += T(ds * key[c])
				}
			}
		}
	}
}
