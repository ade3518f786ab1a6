package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// swiglu: y = silu(gate) up. halves puts gate and up side by side in one buffer.
type swiglu struct {
	dtype             uint32
	rows, cols        int
	ldgate, ldup, ldy int
	halves            bool
	gate              gen
}

func (s swiglu) operands() []operand {
	k := kind(s.dtype)
	y := operand{name: "y", role: Out, kind: k, rows: s.rows, cols: s.cols, ld: s.ldy, perRow: true}
	if s.halves {
		return []operand{{name: "gate_up", kind: k, rows: s.rows, cols: 2 * s.cols, perRow: true, gen: s.gate}, y}
	}
	return []operand{
		{name: "gate", kind: k, rows: s.rows, cols: s.cols, ld: s.ldgate, perRow: true, gen: s.gate},
		{name: "up", kind: k, rows: s.rows, cols: s.cols, ld: s.ldup, perRow: true, gen: normal(1)},
		y,
	}
}

func (s swiglu) args(m Memory) any {
	a := &binding.SwiGLUArgs{DType: s.dtype, Gate: m.at("gate"), Up: m.at("up"), Y: m.at("y"), Rows: int64(s.rows), Cols: int64(s.cols),
		LdGate: int64(max(s.ldgate, s.cols)), LdUp: int64(max(s.ldup, s.cols)), LdY: int64(max(s.ldy, s.cols))}
	if s.halves {
		a.Gate = m.at("gate_up")
		a.Up = a.Gate + uint64(s.cols*binding.DTypeBytes(s.dtype))
		a.LdGate, a.LdUp = int64(2*s.cols), int64(2*s.cols)
	}
	return a
}

func (s swiglu) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s swiglu) reference(t tensors) {
	gate, up := t.values("gate"), t.values("up")
	if s.halves {
		for i := range s.rows {
			row := t.values("gate_up")[i*2*s.cols:]
			gate, up = append(gate, row[:s.cols]...), append(up, row[s.cols:2*s.cols]...)
		}
	}
	t.expect("y", refSwiGLU(widen(gate), widen(up)), refSwiGLU(gate, up))
}

// An exponential, 1 + it, a quotient and two products.
func (s swiglu) work() Work {
	n := float64(s.rows * s.cols)
	e := float64(binding.DTypeBytes(s.dtype))
	return Work{FLOPs: (expFLOPs(s.dtype) + 4) * n, Read: 2 * n * e, Written: n * e}
}

func swigluCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s swiglu, kv ...any) Case {
			s.dtype = dtype
			if s.gate == nil {
				s.gate = normal(2)
			}
			return newCase("swiglu", dtype, s, append([]any{"rows", s.rows, "cols", s.cols, "halves", s.halves}, kv...)...)
		}
		for _, cols := range []int{1, 7, 15, 16, 17, 33, 100, 212, 528} {
			cs = append(cs, c(swiglu{rows: 3, cols: cols}))
		}
		cs = append(cs,
			c(swiglu{rows: 0, cols: 16}),
			c(swiglu{rows: 37, cols: 100, halves: true}),
			c(swiglu{rows: 12, cols: 53, ldgate: 60, ldup: 55, ldy: 71}, "strided", true),
			c(swiglu{rows: 2, cols: 3000, gate: uniform(-110, 110)}, "gate", "large"),
			c(swiglu{rows: 1, cols: 24, gate: listed(0, 1, -1, 20, -20, 80, -80, 87, -87, 88, -88, 89, -89, 104, -104, 1e-20)}, "gate", "edges"),
			c(swiglu{rows: 1, cols: 24, gate: listed(1e4, -1e4, 1e20, -1e20)}, "gate", "huge"),
			c(swiglu{rows: 1, cols: 40, gate: listed(1, 2, 3, float32(math.NaN()), 4)}, "gate", "nan"),
			c(swiglu{rows: 5, cols: 32, gate: constant(0)}, "gate", "zeros"),
		)
		for _, rows := range []int{1, 8, 16, 240} {
			cs = append(cs, bench(c(swiglu{rows: rows, cols: 11008, halves: true})))
		}
		cs = append(cs, bench(c(swiglu{rows: 4096, cols: 3420})))
	}
	return cs
}
