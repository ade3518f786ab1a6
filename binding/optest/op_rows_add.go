package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// rowsAdd: y[dst[i]][:] += x[src[i]][:] in order; src or dst nil is the identity, a dst of -1 is left out.
type rowsAdd struct {
	rowsX, rowsY   int
	cols, ldx, ldy int
	n              int
	src, dst       []int32
	x              gen
}

func (s rowsAdd) operands() []operand {
	os := []operand{
		{name: "x", kind: f32, rows: s.rowsX, cols: s.cols, ld: s.ldx, gen: s.x},
		{name: "y", role: InOut, kind: f32, rows: s.rowsY, cols: s.cols, ld: s.ldy, gen: normal(1)},
	}
	if s.src != nil {
		os = append(os, operand{name: "src", kind: i32, rows: 1, cols: s.n, ints: s.src})
	}
	if s.dst != nil {
		os = append(os, operand{name: "dst", kind: i32, rows: 1, cols: s.n, ints: s.dst})
	}
	return os
}

func (s rowsAdd) args(m Memory) any {
	return &binding.RowsAddArgs{X: m.at("x"), Y: m.at("y"), Src: m.at("src"), Dst: m.at("dst"), N: int64(s.n), Cols: int64(s.cols),
		LdX: int64(max(s.ldx, s.cols)), LdY: int64(max(s.ldy, s.cols)), RowsX: int64(s.rowsX), RowsY: int64(s.rowsY)}
}

// float32 additions in a given order are defined to the bit.
func (s rowsAdd) reference(t tensors) {
	x, y := t.values("x"), append([]float32(nil), t.values("y")...)
	for i := range s.n {
		from, to := i, i
		if s.src != nil {
			from = int(s.src[i])
		}
		if s.dst != nil {
			to = int(s.dst[i])
		}
		if to == -1 {
			continue
		}
		for j := range s.cols {
			y[to*s.cols+j] += x[from*s.cols+j]
		}
	}
	t.expectBits("y", func(i, j int) float32 { return y[i*s.cols+j] })
}

func (s rowsAdd) work() Work {
	rows := s.n
	for _, to := range s.dst {
		if to == -1 {
			rows--
		}
	}
	n := float64(rows * s.cols)
	return Work{FLOPs: n, Read: 8 * n, Written: 4 * n}
}

// leftOut is p with one index in so many -1.
func leftOut(every int, p []int32) []int32 {
	for i := range p {
		if i%every == every-1 {
			p[i] = -1
		}
	}
	return p
}

func rowsAddCases() (cs []Case) {
	c := func(s rowsAdd, kv ...any) Case {
		if s.x == nil {
			s.x = normal(1)
		}
		return newCase("rows_add", binding.F32, s, append([]any{"n", s.n, "cols", s.cols}, kv...)...)
	}
	return []Case{
		c(rowsAdd{rowsX: 5, rowsY: 4, cols: 33, n: 0}),
		c(rowsAdd{rowsX: 1, rowsY: 1, cols: 1, n: 1}),
		c(rowsAdd{rowsX: 9, rowsY: 8, cols: 33, n: 7}, "identity", true),
		c(rowsAdd{rowsX: 300, rowsY: 300, cols: 161, n: 300}, "identity", true),
		c(rowsAdd{rowsX: 40, rowsY: 100, cols: 17, n: 100, src: indices(1, 100, 40)}, "gather", true),
		c(rowsAdd{rowsX: 100, rowsY: 7, cols: 80, n: 100, dst: indices(2, 100, 7)}, "scatter", true),
		c(rowsAdd{rowsX: 100, rowsY: 40, cols: 31, n: 100, dst: leftOut(3, indices(3, 100, 40))}, "scatter", true, "leftout", true),
		c(rowsAdd{rowsX: 6, rowsY: 4, cols: 15, n: 6, dst: leftOut(1, make([]int32, 6))}, "scatter", true, "leftout", "all"),
		c(rowsAdd{rowsX: 30, rowsY: 50, cols: 100, ldx: 121, ldy: 103, n: 30, src: permutation(3, 30), dst: permutation(4, 50)[:30]},
			"permute", true, "strided", true),
		c(rowsAdd{rowsX: 300, rowsY: 9, cols: 701, n: 300, src: indices(5, 300, 300), dst: leftOut(11, indices(6, 300, 9)), x: wide(20)}, "both", true),
		c(rowsAdd{rowsX: 4, rowsY: 3, cols: 20, n: 4, dst: []int32{0, 2, -1, 0}, x: listed(1, float32(math.Inf(1)), 2)}, "x", "infinite"),
		bench(c(rowsAdd{rowsX: 1536, rowsY: 1536, cols: 2048, n: 1536, dst: indices(7, 1536, 1536)}, "scatter", true)),
		bench(c(rowsAdd{rowsX: 1536, rowsY: 1536, cols: 2048, n: 1536}, "identity", true)),
	}
}
