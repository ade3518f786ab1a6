package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// swigluBackward: the gradients of silu(gate) up. halves puts gate and up side by side in one buffer, and dgate and dup in another.
type swigluBackward struct {
	dtype                              uint32
	rows, cols                         int
	ldgate, ldup, lddy, lddgate, lddup int
	halves                             bool
	gate                               gen
}

func (s swigluBackward) operands() []operand {
	k := kind(s.dtype)
	dy := operand{name: "dy", kind: f32, rows: s.rows, cols: s.cols, ld: s.lddy, perRow: true, gen: normal(1)}
	if s.halves {
		return []operand{
			{name: "gate_up", kind: k, rows: s.rows, cols: 2 * s.cols, perRow: true, gen: s.gate},
			dy,
			{name: "dgate_dup", role: Out, kind: f32, rows: s.rows, cols: 2 * s.cols, perRow: true},
		}
	}
	return []operand{
		{name: "gate", kind: k, rows: s.rows, cols: s.cols, ld: s.ldgate, perRow: true, gen: s.gate},
		{name: "up", kind: k, rows: s.rows, cols: s.cols, ld: s.ldup, perRow: true, gen: normal(1)},
		dy,
		{name: "dgate", role: Out, kind: f32, rows: s.rows, cols: s.cols, ld: s.lddgate, perRow: true},
		{name: "dup", role: Out, kind: f32, rows: s.rows, cols: s.cols, ld: s.lddup, perRow: true},
	}
}

func (s swigluBackward) args(m Memory) any {
	ld := func(v int) int64 { return int64(max(v, s.cols)) }
	a := &binding.SwiGLUBackwardArgs{DType: s.dtype, Gate: m.at("gate"), Up: m.at("up"), Dy: m.at("dy"), Dgate: m.at("dgate"), Dup: m.at("dup"),
		Rows: int64(s.rows), Cols: int64(s.cols), LdGate: ld(s.ldgate), LdUp: ld(s.ldup), LdDy: ld(s.lddy), LdDgate: ld(s.lddgate), LdDup: ld(s.lddup)}
	if s.halves {
		a.Gate, a.Dgate = m.at("gate_up"), m.at("dgate_dup")
		a.Up, a.Dup = a.Gate+uint64(s.cols*binding.DTypeBytes(s.dtype)), a.Dgate+uint64(4*s.cols)
		a.LdGate, a.LdUp, a.LdDgate, a.LdDup = int64(2*s.cols), int64(2*s.cols), int64(2*s.cols), int64(2*s.cols)
	}
	return a
}

func (s swigluBackward) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s swigluBackward) reference(t tensors) {
	gate, up, dy := t.values("gate"), t.values("up"), t.values("dy")
	if !s.halves {
		dgate, dup := refSwiGLUBackward(widen(gate), widen(up), widen(dy))
		naiveDgate, naiveDup := refSwiGLUBackward(gate, up, dy)
		t.expect("dgate", dgate, naiveDgate)
		t.expect("dup", dup, naiveDup)
		return
	}
	var ref []float64
	var naive []float32
	for i := range s.rows {
		row, dy := t.values("gate_up")[i*2*s.cols:], dy[i*s.cols:][:s.cols]
		gate, up := row[:s.cols], row[s.cols:2*s.cols]
		dgate, dup := refSwiGLUBackward(widen(gate), widen(up), widen(dy))
		ref = append(append(ref, dgate...), dup...)
		naiveDgate, naiveDup := refSwiGLUBackward(gate, up, dy)
		naive = append(append(naive, naiveDgate...), naiveDup...)
	}
	t.expect("dgate_dup", ref, naive)
}

// With the exponential: s = 1/(1 + e^-gate) (2) and 1 - s (1), gate s and its product with dy (2), s + gate s (1 - s) (2) and its
// product with dy up (2). The gradients are f32 always.
func (s swigluBackward) work() Work {
	n := float64(s.rows * s.cols)
	return Work{FLOPs: (expFLOPs(binding.F32) + 9) * n, Read: n * float64(2*binding.DTypeBytes(s.dtype)+4), Written: 8 * n}
}

func swigluBackwardCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s swigluBackward, kv ...any) Case {
			s.dtype = dtype
			if s.gate == nil {
				s.gate = normal(2)
			}
			return newCase("swiglu_backward", dtype, s, append([]any{"rows", s.rows, "cols", s.cols, "halves", s.halves}, kv...)...)
		}
		for _, cols := range []int{1, 7, 15, 16, 17, 33, 100, 528} {
			cs = append(cs, c(swigluBackward{rows: 3, cols: cols}))
		}
		cs = append(cs,
			c(swigluBackward{rows: 0, cols: 16}),
			c(swigluBackward{rows: 300, cols: 101, halves: true}), // shared out by rows
			c(swigluBackward{rows: 2, cols: 20003}),               // and by columns
			c(swigluBackward{rows: 12, cols: 53, ldgate: 60, ldup: 55, lddy: 71, lddgate: 54, lddup: 57}, "strided", true),
			c(swigluBackward{rows: 2, cols: 3000, gate: uniform(-110, 110)}, "gate", "large"),
			c(swigluBackward{rows: 1, cols: 24, gate: listed(0, 1, -1, 20, -20, 80, -80, 87, -87, 88, -88, 89, -89, 100, -100, 104, -104, 1e-20)}, "gate", "edges"),
			c(swigluBackward{rows: 1, cols: 24, gate: listed(1e4, -1e4, 1e20, -1e20, 3e38, -3e38)}, "gate", "huge"),
			c(swigluBackward{rows: 1, cols: 40, gate: listed(1, 2, 3, float32(math.NaN()), 4)}, "gate", "nan"),
			c(swigluBackward{rows: 5, cols: 32, gate: constant(0)}, "gate", "zeros"),
			bench(c(swigluBackward{rows: 1024, cols: 11008, halves: true})),
		)
	}
	return cs
}
