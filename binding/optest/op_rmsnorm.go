package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// rmsnorm: y = x / sqrt(mean x² + eps) * weight.
type rmsnorm struct {
	dtype                uint32
	rows, cols, ldx, ldy int
	eps                  float32
	rstd                 bool
	x                    gen
}

func (s rmsnorm) operands() []operand {
	os := []operand{
		{name: "x", kind: kind(s.dtype), rows: s.rows, cols: s.cols, ld: s.ldx, perRow: true, gen: s.x},
		{name: "weight", kind: f32, rows: 1, cols: s.cols, gen: around(1, 0.3)},
		{name: "y", role: Out, kind: kind(s.dtype), rows: s.rows, cols: s.cols, ld: s.ldy, perRow: true},
	}
	if s.rstd {
		os = append(os, operand{name: "rstd", role: Out, kind: f32, rows: s.rows, cols: 1, perRow: true})
	}
	return os
}

func (s rmsnorm) args(m Memory) any {
	return &binding.RMSNormArgs{DType: s.dtype, X: m.at("x"), Weight: m.at("weight"), Y: m.at("y"), Rstd: m.at("rstd"),
		Rows: int64(s.rows), Cols: int64(s.cols), LdX: int64(max(s.ldx, s.cols)), LdY: int64(max(s.ldy, s.cols)), Eps: s.eps}
}

func (s rmsnorm) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s rmsnorm) reference(t tensors) {
	x, weight := t.values("x"), t.values("weight")
	y, rstd := refRMSNorm(widen(x), widen(weight), s.rows, s.cols, float64(s.eps))
	naiveY, naiveRstd := refRMSNorm(x, weight, s.rows, s.cols, s.eps)
	t.expect("y", y, naiveY)
	t.expect("rstd", rstd, naiveRstd)
}

func (s rmsnorm) work() Work {
	n := float64(s.rows * s.cols)
	e := float64(binding.DTypeBytes(s.dtype))
	return Work{FLOPs: 4 * n, Read: n*e + float64(4*s.cols), Written: n * e}
}

func rmsnormCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s rmsnorm, kv ...any) Case {
			s.dtype = dtype
			if s.x == nil {
				s.x = normal(1)
			}
			if s.eps == 0 {
				s.eps = 1e-6
			}
			return newCase("rmsnorm", dtype, s, append([]any{"rows", s.rows, "cols", s.cols, "rstd", s.rstd}, kv...)...)
		}
		for _, cols := range []int{1, 2, 15, 16, 17, 31, 33, 64, 127, 160, 257, 384, 1280, 2048, 2051} {
			cs = append(cs, c(rmsnorm{rows: 5, cols: cols, rstd: cols%2 == 0}))
		}
		cs = append(cs,
			c(rmsnorm{rows: 0, cols: 64, rstd: true}),
			c(rmsnorm{rows: 1, cols: 2048, rstd: true}),
			c(rmsnorm{rows: 240, cols: 384}),
			c(rmsnorm{rows: 33, cols: 160, ldx: 171, ldy: 163, rstd: true}, "strided", true),
			c(rmsnorm{rows: 4, cols: 96, rstd: true, x: constant(0)}, "x", "zeros"),
			c(rmsnorm{rows: 4, cols: 96, rstd: true, x: impulses}, "x", "impulses"),
			c(rmsnorm{rows: 4, cols: 96, rstd: true, x: normal(1e12)}, "x", "large"),
			c(rmsnorm{rows: 4, cols: 96, rstd: true, x: normal(1e-5), eps: 1e-5}, "x", "small"),
			c(rmsnorm{rows: 4, cols: 96, x: rowScales(normal(1))}, "x", "scaled"),
			c(rmsnorm{rows: 3, cols: 20, rstd: true, x: listed(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, float32(math.NaN()))}, "x", "nan"),
		)
		for _, rows := range []int{1, 8, 16, 240, 4096} {
			cs = append(cs, bench(c(rmsnorm{rows: rows, cols: 2048})))
		}
		cs = append(cs, bench(c(rmsnorm{rows: 4096, cols: 1280})))
	}
	return cs
}
