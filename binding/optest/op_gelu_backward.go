package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// geluBackward: dx = dy gelu'(x); inPlace: dx is dy.
type geluBackward struct {
	dtype                       uint32
	rows, cols, ldx, lddy, lddx int
	inPlace                     bool
	x                           gen
}

func (s geluBackward) operands() []operand {
	x := operand{name: "x", kind: kind(s.dtype), rows: s.rows, cols: s.cols, ld: s.ldx, perRow: true, gen: s.x}
	dy := operand{name: "dy", kind: f32, rows: s.rows, cols: s.cols, ld: s.lddy, perRow: true, gen: normal(1)}
	if s.inPlace {
		dy.role = InOut
		return []operand{x, dy}
	}
	return []operand{x, dy, {name: "dx", role: Out, kind: f32, rows: s.rows, cols: s.cols, ld: s.lddx, perRow: true}}
}

func (s geluBackward) args(m Memory) any {
	a := &binding.GELUBackwardArgs{DType: s.dtype, X: m.at("x"), Dy: m.at("dy"), Dx: m.at("dx"), Rows: int64(s.rows), Cols: int64(s.cols),
		LdX: int64(max(s.ldx, s.cols)), LdDy: int64(max(s.lddy, s.cols)), LdDx: int64(max(s.lddx, s.cols))}
	if s.inPlace {
		a.Dx, a.LdDx = a.Dy, a.LdDy
	}
	return a
}

func (s geluBackward) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s geluBackward) reference(t tensors) {
	x, dy, dx := t.values("x"), t.values("dy"), "dx"
	if s.inPlace {
		dx = "dy"
	}
	t.expect(dx, refGELUBackward(widen(x), widen(dy)), refGELUBackward(x, dy))
}

// With a = |x|, e^(-a^2/2) (1 and the exponential) is a factor of the density and of the tail: F(-a) = e t p(t) with t = 1/(1 + c a) (3) and p
// of degree 4 (8 + 1; Abramowitz and Stegun 7.1.26). The difference from a / sqrt(2 pi) (2), times e, from 1, times dy (3). dx is f32 always.
func (s geluBackward) work() Work {
	n := float64(s.rows * s.cols)
	return Work{FLOPs: (1 + expFLOPs(binding.F32) + 3 + 9 + 2 + 3) * n, Read: n * float64(binding.DTypeBytes(s.dtype)+4), Written: 4 * n}
}

func geluBackwardCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s geluBackward, kv ...any) Case {
			s.dtype = dtype
			if s.x == nil {
				s.x = normal(2)
			}
			return newCase("gelu_backward", dtype, s, append([]any{"rows", s.rows, "cols", s.cols, "inplace", s.inPlace}, kv...)...)
		}
		for _, cols := range []int{1, 7, 15, 16, 17, 33, 128, 640} {
			cs = append(cs, c(geluBackward{rows: 3, cols: cols}))
		}
		cs = append(cs,
			c(geluBackward{rows: 0, cols: 16}),
			c(geluBackward{rows: 12, cols: 53, ldx: 60, lddy: 71, lddx: 57}, "strided", true),
			c(geluBackward{rows: 12, cols: 53, ldx: 60, lddy: 55, inPlace: true}, "strided", true),
			c(geluBackward{rows: 300, cols: 129, inPlace: true}), // shared out by rows
			c(geluBackward{rows: 2, cols: 20003}),                // and by columns
			c(geluBackward{rows: 2, cols: 4000, x: uniform(-14, 14)}, "x", "tails"),
			c(geluBackward{rows: 2, cols: 4000, x: uniform(-1e-3, 1e-3)}, "x", "small"),
			c(geluBackward{rows: 1, cols: 24, x: listed(0, 1, -1, 3, -3, 5, -5, 6, -6, 9, -9, 13, -13, 1e-20, -1e-20)}, "x", "edges"),
			c(geluBackward{rows: 1, cols: 24, x: listed(100, -100, 1e20, -1e20, 3e38, -3e38)}, "x", "huge"),
			c(geluBackward{rows: 1, cols: 40, x: listed(1, 2, float32(math.NaN()), 3)}, "x", "nan"),
			bench(c(geluBackward{rows: 1024, cols: 5120})),
		)
	}
	return cs
}
