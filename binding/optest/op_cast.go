package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// cast: y[r][c] = dtype_y(x[r][c]).
type cast struct {
	from, to             uint32
	rows, cols, ldx, ldy int
	x                    gen
}

func (s cast) operands() []operand {
	return []operand{
		{name: "x", kind: kind(s.from), rows: s.rows, cols: s.cols, ld: s.ldx, perRow: true, gen: s.x},
		{name: "y", role: Out, kind: kind(s.to), rows: s.rows, cols: s.cols, ld: s.ldy, perRow: true},
	}
}

func (s cast) args(m Memory) any {
	return &binding.CastArgs{DTypeX: s.from, DTypeY: s.to, X: m.at("x"), Y: m.at("y"), Rows: int64(s.rows), Cols: int64(s.cols), LdX: int64(max(s.ldx, s.cols)), LdY: int64(max(s.ldy, s.cols))}
}

func (s cast) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s cast) reference(t tensors) {
	x := t.values("x")
	t.expectBits("y", func(i, j int) float32 { return x[i*s.cols+j] })
}

func (s cast) work() Work {
	n := float64(s.rows * s.cols)
	return Work{Read: n * float64(binding.DTypeBytes(s.from)), Written: n * float64(binding.DTypeBytes(s.to))}
}

func castCases() (cs []Case) {
	add := func(s cast, kv ...any) Case {
		return newCase("cast", s.to, s, append([]any{"rows", s.rows, "cols", s.cols, "from", kind(s.from)}, kv...)...)
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	// Halfway cases of rounding to bf16, the edges of its range, and what rounds to infinity.
	edges := listed(0, float32(math.Copysign(0, -1)), 1, -1, 0x1.01p0, 0x1.03p0, 0x1.010002p0, 0x1.00fffep0, -0x1.01p5, -0x1.03p5,
		math.MaxFloat32, -math.MaxFloat32, 0x1.fep127, 0x1.fefffep127, 0x1.ffp127, inf, -inf, nan, -nan, 0x1p-126, -0x1.8p-126, 65504, 1e-20)
	for _, from := range dtypes {
		for _, to := range dtypes {
			for _, n := range []int{0, 1, 15, 16, 17, 33, 1000} {
				cs = append(cs, add(cast{from, to, 1, n, 0, 0, wide(60)}))
			}
			cs = append(cs,
				add(cast{from, to, 0, 8, 0, 0, normal(1)}),
				add(cast{from, to, 7, 100, 111, 103, normal(1)}, "strided", true),
				add(cast{from, to, 3, 46, 0, 0, edges}, "edges", true),
				add(cast{from, to, 300, 257, 260, 0, wide(20)}),
			)
			if from != to {
				cs = append(cs, bench(add(cast{from, to, 4096, 2048, 0, 0, normal(1)})))
			}
		}
	}
	return cs
}
