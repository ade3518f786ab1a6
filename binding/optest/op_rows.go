package optest

import "github.com/thinker-vl/thinker/binding"

// rows: y[dst[i]][:] = x[src[i]][:]; src or dst nil is the identity.
type rows struct {
	dtype          uint32
	rowsX, rowsY   int
	cols, ldx, ldy int
	n              int
	src, dst       []int32
}

func (s rows) operands() []operand {
	os := []operand{
		{name: "x", kind: kind(s.dtype), rows: s.rowsX, cols: s.cols, ld: s.ldx, gen: normal(1)},
		{name: "y", role: Out, kind: kind(s.dtype), rows: s.rowsY, cols: s.cols, ld: s.ldy},
	}
	if s.src != nil {
		os = append(os, operand{name: "src", kind: i32, rows: 1, cols: s.n, ints: s.src})
	}
	if s.dst != nil {
		os = append(os, operand{name: "dst", kind: i32, rows: 1, cols: s.n, ints: s.dst})
	}
	return os
}

func (s rows) args(m Memory) any {
	return &binding.RowsArgs{DType: s.dtype, X: m.at("x"), Y: m.at("y"), Src: m.at("src"), Dst: m.at("dst"), N: int64(s.n), Cols: int64(s.cols),
		LdX: int64(max(s.ldx, s.cols)), LdY: int64(max(s.ldy, s.cols)), RowsX: int64(s.rowsX), RowsY: int64(s.rowsY)}
}

func (s rows) reference(t tensors) {
	x, y := t["x"], t["y"]
	y.exact = append([]byte(nil), y.before...)
	for i := range s.n {
		from, to := i, i
		if s.src != nil {
			from = int(s.src[i])
		}
		if s.dst != nil {
			to = int(s.dst[i])
		}
		for j := range s.cols {
			y.kind.put(y.exact, y.index(to, j), x.dense[from*s.cols+j])
		}
	}
}

func (s rows) work() Work {
	n := float64(s.n * s.cols * binding.DTypeBytes(s.dtype))
	return Work{Read: n, Written: n}
}

func rowsCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s rows, kv ...any) Case {
			s.dtype = dtype
			return newCase("rows", dtype, s, append([]any{"n", s.n, "cols", s.cols}, kv...)...)
		}
		cs = append(cs,
			c(rows{rowsX: 5, rowsY: 4, cols: 33, n: 0}),
			c(rows{rowsX: 1, rowsY: 1, cols: 1, n: 1}),
			c(rows{rowsX: 9, rowsY: 8, cols: 33, n: 7}, "identity", true),
			c(rows{rowsX: 40, rowsY: 100, cols: 17, n: 100, src: indices(1, 100, 40)}, "gather", true),
			c(rows{rowsX: 64, rowsY: 64, cols: 80, n: 64, dst: permutation(2, 64)}, "scatter", true),
			c(rows{rowsX: 30, rowsY: 50, cols: 100, ldx: 121, ldy: 103, n: 30, src: permutation(3, 30), dst: permutation(4, 50)[:30]}, "permute", true, "strided", true),
			c(rows{rowsX: 300, rowsY: 300, cols: 1281, n: 300, src: permutation(5, 300)}, "gather", true),
			bench(c(rows{rowsX: 4096, rowsY: 4096, cols: 1280, n: 4096, src: permutation(6, 4096)}, "gather", true)),
		)
	}
	return cs
}
