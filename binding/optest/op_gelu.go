package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// gelu: y = x/2 (1 + erf(x / sqrt 2)).
type gelu struct {
	dtype                uint32
	rows, cols, ldx, ldy int
	inPlace              bool
	x                    gen
}

func (s gelu) operands() []operand {
	x := operand{name: "x", kind: kind(s.dtype), rows: s.rows, cols: s.cols, ld: s.ldx, perRow: true, gen: s.x}
	if s.inPlace {
		x.role = InOut
		return []operand{x}
	}
	return []operand{x, {name: "y", role: Out, kind: kind(s.dtype), rows: s.rows, cols: s.cols, ld: s.ldy, perRow: true}}
}

func (s gelu) args(m Memory) any {
	a := &binding.GELUArgs{DType: s.dtype, X: m.at("x"), Y: m.at("y"), Rows: int64(s.rows), Cols: int64(s.cols), LdX: int64(max(s.ldx, s.cols)), LdY: int64(max(s.ldy, s.cols))}
	if s.inPlace {
		a.Y, a.LdY = a.X, a.LdX
	}
	return a
}

func (s gelu) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s gelu) reference(t tensors) {
	x, y := t.values("x"), "y"
	if s.inPlace {
		y = "x"
	}
	t.expect(y, refGELU(widen(x)), refGELU(x))
}

// x / sqrt 2, the error function, 1 + it, and the product with x/2.
func (s gelu) work() Work {
	n := float64(s.rows * s.cols)
	e := float64(binding.DTypeBytes(s.dtype))
	return Work{FLOPs: (1 + erfFLOPs(s.dtype) + 3) * n, Read: n * e, Written: n * e}
}

func geluCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s gelu, kv ...any) Case {
			s.dtype = dtype
			if s.x == nil {
				s.x = normal(2)
			}
			return newCase("gelu", dtype, s, append([]any{"rows", s.rows, "cols", s.cols, "inplace", s.inPlace}, kv...)...)
		}
		for _, cols := range []int{1, 7, 15, 16, 17, 33, 128, 640} {
			cs = append(cs, c(gelu{rows: 3, cols: cols}))
		}
		cs = append(cs,
			c(gelu{rows: 0, cols: 16}),
			c(gelu{rows: 12, cols: 53, ldx: 60, ldy: 71}, "strided", true),
			c(gelu{rows: 12, cols: 53, ldx: 60, inPlace: true}, "strided", true),
			c(gelu{rows: 40, cols: 128, inPlace: true}),
			c(gelu{rows: 2, cols: 4000, x: uniform(-14, 14)}, "x", "tails"),
			c(gelu{rows: 2, cols: 4000, x: uniform(-1e-3, 1e-3)}, "x", "small"),
			c(gelu{rows: 1, cols: 24, x: listed(0, 1, -1, 3, -3, 5, -5, 6, -6, 9, -9, 13, -13, 1e-20, -1e-20)}, "x", "edges"),
			c(gelu{rows: 1, cols: 24, x: listed(100, -100, 1e20, -1e20)}, "x", "huge"),
			c(gelu{rows: 1, cols: 40, x: listed(1, 2, float32(math.NaN()), 3)}, "x", "nan"),
		)
		cs = append(cs, bench(c(gelu{rows: 256, cols: 5120})), bench(c(gelu{rows: 1024, cols: 5120, inPlace: true})))
	}
	return cs
}
