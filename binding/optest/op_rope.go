package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// ropeTable: cos and sin [n, half] of positions times inverse frequencies; sections[j] pairs read axis j mod axes, in turn.
type ropeTable struct {
	axes, n, ldp int
	sections     []int
	restart      bool // the frequencies start anew with each section, as in the vision tower
	positions    func(axis, i int) int32
}

func (s ropeTable) half() int {
	half := 0
	for _, n := range s.sections {
		half += n
	}
	return half
}

func (s ropeTable) operands() []operand {
	ld := max(s.ldp, s.n)
	positions := make([]int32, max((s.axes-1)*ld+s.n, 0))
	for a := range s.axes {
		for i := range s.n {
			positions[a*ld+i] = s.positions(a, i)
		}
	}
	half := s.half()
	axis, inv := []int32{}, []float32{}
	for section, n := range s.sections {
		for j := range n {
			pair, of := len(inv), half
			if s.restart {
				pair, of = j, n
			}
			axis = append(axis, int32(section%s.axes))
			inv = append(inv, float32(math.Pow(1e6, -float64(pair)/float64(of))))
		}
	}
	return []operand{
		{name: "positions", kind: i32, rows: 1, cols: len(positions), ints: positions},
		{name: "axis", kind: i32, rows: 1, cols: half, ints: axis},
		{name: "inv_freq", kind: f32, rows: 1, cols: half, gen: listed(inv...)},
		{name: "cos", role: Out, kind: f32, rows: s.n, cols: half},
		{name: "sin", role: Out, kind: f32, rows: s.n, cols: half},
	}
}

func (s ropeTable) args(m Memory) any {
	return &binding.RopeTableArgs{Axes: uint32(s.axes), Positions: m.at("positions"), Axis: m.at("axis"), InvFreq: m.at("inv_freq"), Cos: m.at("cos"), Sin: m.at("sin"),
		N: int64(s.n), Half: int64(s.half()), LdP: int64(max(s.ldp, s.n))}
}

func (s ropeTable) reference(t tensors) {
	cos, sin := refRopeTable(t["positions"].ints, max(s.ldp, s.n), t["axis"].ints, t.values("inv_freq"), s.n)
	for name, ref := range map[string][]float64{"cos": cos, "sin": sin} {
		naive := make([]float32, len(ref))
		for i, v := range ref {
			naive[i] = float32(v)
		}
		t.expect(name, ref, naive)
	}
}

func (s ropeTable) work() Work {
	n := float64(s.n * s.half())
	return Work{FLOPs: (1 + sincosFLOPs) * n, Read: 4 * float64(s.axes*s.n+2*s.half()), Written: 8 * n}
}

func ropeTableCases() (cs []Case) {
	count := func(_, i int) int32 { return int32(i) }
	c := func(s ropeTable, kv ...any) Case {
		if s.positions == nil {
			s.positions = count
		}
		return newCase("rope_table", binding.F32, s, append([]any{"axes", s.axes, "n", s.n, "half", s.half()}, kv...)...)
	}
	far := []int32{0, 1, -1, 2, 710, 4095, 32767, 127999, 131071, 1 << 20, 1<<24 - 1}
	return append(cs,
		c(ropeTable{axes: 1, n: 0, sections: []int{8}}),
		c(ropeTable{axes: 1, n: 1, sections: []int{1}}),
		c(ropeTable{axes: 1, n: 300, sections: []int{64}}),
		c(ropeTable{axes: 3, n: 77, ldp: 80, sections: []int{16, 24, 24}, positions: func(a, i int) int32 { return int32(i/(a*3+1) + 5*a) }}, "mrope", true),
		c(ropeTable{axes: 3, n: 50, sections: []int{2, 3, 3}, positions: func(a, i int) int32 { return int32(i * (a + 1)) }}, "mrope", true),
		c(ropeTable{axes: 2, n: 64, sections: []int{20, 20}, restart: true, positions: func(a, i int) int32 { return int32([]int{i / 8, i % 8}[a]) }}, "vision", true),
		c(ropeTable{axes: 1, n: len(far), sections: []int{64}, positions: func(_, i int) int32 { return far[i] }}, "positions", "far"),
		bench(c(ropeTable{axes: 3, n: 1536, sections: []int{16, 24, 24}}, "mrope", true)),
		bench(c(ropeTable{axes: 2, n: 4096, sections: []int{20, 20}, restart: true}, "vision", true)),
	)
}

// rope: rotates x [rows, heads, dim] in place.
type rope struct {
	dtype                 uint32
	rows, heads, dim, ldx int
	inverse               bool
	x                     gen
}

func (s rope) operands() []operand {
	angles := func(f func(float64) float64) gen { // of one angle a pair, drawn alike for both tables
		values := make([]float32, 997)
		for i := range values {
			values[i] = float32(f(float64(i) * 0.37))
		}
		return listed(values...)
	}
	return []operand{
		{name: "x", role: InOut, kind: kind(s.dtype), rows: s.rows, cols: s.heads * s.dim, ld: s.ldx, perRow: true, gen: s.x},
		{name: "cos", kind: f32, rows: s.rows, cols: s.dim / 2, perRow: true, gen: angles(math.Cos)},
		{name: "sin", kind: f32, rows: s.rows, cols: s.dim / 2, perRow: true, gen: angles(math.Sin)},
	}
}

func (s rope) args(m Memory) any {
	a := &binding.RopeArgs{DType: s.dtype, X: m.at("x"), Cos: m.at("cos"), Sin: m.at("sin"), Rows: int64(s.rows), Heads: int64(s.heads), Dim: int64(s.dim), LdX: int64(max(s.ldx, s.heads*s.dim))}
	if s.inverse {
		a.Inverse = 1
	}
	return a
}

func (s rope) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s rope) reference(t tensors) {
	x, cos, sin := t.values("x"), t.values("cos"), t.values("sin")
	t.expect("x", refRope(widen(x), widen(cos), widen(sin), s.rows, s.heads, s.dim, s.inverse), refRope(x, cos, sin, s.rows, s.heads, s.dim, s.inverse))
}

func (s rope) work() Work {
	n := float64(s.rows * s.heads * s.dim)
	e := float64(binding.DTypeBytes(s.dtype))
	return Work{FLOPs: 3 * n, Read: n*e + float64(4*s.rows*s.dim), Written: n * e}
}

func ropeCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s rope, kv ...any) Case {
			s.dtype = dtype
			if s.x == nil {
				s.x = normal(1)
			}
			return newCase("rope", dtype, s, append([]any{"rows", s.rows, "heads", s.heads, "dim", s.dim, "inverse", s.inverse}, kv...)...)
		}
		for _, dim := range []int{2, 6, 16, 32, 34, 64, 80, 128} {
			cs = append(cs, c(rope{rows: 5, heads: 3, dim: dim}))
		}
		cs = append(cs,
			c(rope{rows: 0, heads: 2, dim: 16}),
			c(rope{rows: 1, heads: 1, dim: 128}),
			c(rope{rows: 37, heads: 18, dim: 128, ldx: 2560}, "strided", true),
			c(rope{rows: 9, heads: 2, dim: 80, ldx: 163}, "strided", true),
			c(rope{rows: 21, heads: 4, dim: 16, inverse: true}),
			c(rope{rows: 21, heads: 2, dim: 80, inverse: true, x: wide(20)}, "x", "wide"),
			c(rope{rows: 3, heads: 2, dim: 16, x: impulses}, "x", "impulses"),
			bench(c(rope{rows: 1536, heads: 18, dim: 128, ldx: 2560})),
			bench(c(rope{rows: 4096, heads: 32, dim: 80, ldx: 3840})),
			bench(c(rope{rows: 16, heads: 18, dim: 128, ldx: 2560})),
		)
	}
	return cs
}
