package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// matmul: y [m, n] = x [m, k] W [n, k]ᵀ + bias + residual.
type matmul struct {
	dtype, dtypeY uint32
	m, n, k       int
	ldx, ldr, ldy int
	bias          bool
	residual      string // "", "r" for one of its own, "y" for y itself
	x, w          gen
}

func (s matmul) operands() []operand {
	k := kind(s.dtype)
	os := []operand{
		{name: "x", kind: k, rows: s.m, cols: s.k, ld: s.ldx, perRow: true, gen: s.x},
		{name: "w", kind: k, layout: panels, rows: s.n, cols: s.k, gen: s.w},
	}
	y := operand{name: "y", role: Out, kind: kind(s.dtypeY), rows: s.m, cols: s.n, ld: s.ldy, perRow: true}
	if s.bias {
		os = append(os, operand{name: "bias", kind: f32, rows: 1, cols: s.n, gen: normal(1)})
	}
	switch s.residual {
	case "r":
		os = append(os, operand{name: "residual", kind: kind(s.dtypeY), rows: s.m, cols: s.n, ld: s.ldr, perRow: true, gen: normal(1)})
	case "y":
		y.role, y.gen = InOut, normal(1)
	}
	return append(os, y)
}

func (s matmul) args(m Memory) any {
	a := &binding.MatMulArgs{DType: s.dtype, DTypeY: s.dtypeY, X: m.at("x"), W: m.at("w"), Bias: m.at("bias"), Residual: m.at("residual"), Y: m.at("y"),
		M: int64(s.m), N: int64(s.n), K: int64(s.k), LdX: int64(max(s.ldx, s.k)), LdR: int64(max(s.ldr, s.n)), LdY: int64(max(s.ldy, s.n))}
	if s.residual == "y" {
		a.Residual, a.LdR = a.Y, a.LdY
	}
	return a
}

func (s matmul) slice(lo, hi int) spec { s.m = hi - lo; return s }

func (s matmul) reference(t tensors) {
	x, w, bias, residual := t.values("x"), t.values("w"), t.values("bias"), t.values("residual")
	if s.residual == "y" {
		residual = t.values("y")
	}
	t.expect("y", refMatMul(widen(x), widen(w), widen(bias), widen(residual), s.m, s.n, s.k), refMatMul(x, w, bias, residual, s.m, s.n, s.k))
}

func (s matmul) work() Work {
	e, ey := float64(binding.DTypeBytes(s.dtype)), float64(binding.DTypeBytes(s.dtypeY))
	m, n, k := float64(s.m), float64(s.n), float64(s.k)
	w := Work{FLOPs: 2 * m * n * k, Read: e * (m*k + n*k), Written: ey * m * n}
	if s.bias {
		w.Read += 4 * n
	}
	if s.residual != "" {
		w.Read += ey * m * n
	}
	return w
}

func matmulCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s matmul, kv ...any) Case {
			s.dtype = dtype
			if s.dtypeY == 0 {
				s.dtypeY = dtype
			}
			if s.x == nil {
				s.x = normal(1)
			}
			if s.w == nil {
				s.w = unit
			}
			kv = append([]any{"m", s.m, "n", s.n, "k", s.k, "bias", s.bias, "residual", s.residual}, kv...)
			if s.dtypeY != dtype {
				kv = append(kv, "y", kind(s.dtypeY))
			}
			return newCase("matmul", dtype, s, kv...)
		}
		// Rows around the tile's, columns around the panel's, odd and even depths.
		for _, m := range []int{1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 25, 48, 240} {
			cs = append(cs, c(matmul{m: m, n: 100, k: 37}), c(matmul{m: m, n: 64, k: 100, bias: true}))
		}
		for _, n := range []int{1, 15, 16, 17, 31, 32, 33, 129, 640} {
			cs = append(cs, c(matmul{m: 5, n: n, k: 64}))
		}
		for _, k := range []int{1, 2, 3, 15, 16, 17, 63, 129, 1023} {
			cs = append(cs, c(matmul{m: 14, n: 40, k: k}))
		}
		cs = append(cs,
			c(matmul{m: 0, n: 40, k: 33}),
			c(matmul{m: 1, n: 1, k: 1, bias: true, residual: "r"}),
			c(matmul{m: 13, n: 70, k: 53, ldx: 60, ldy: 77, ldr: 91, bias: true, residual: "r"}, "strided", true),
			c(matmul{m: 13, n: 70, k: 53, ldy: 77, residual: "y"}, "strided", true),
			c(matmul{m: 48, n: 33, k: 212, bias: true, residual: "y"}),
			// The small checkpoints' shapes.
			c(matmul{m: 37, n: 128, k: 64, bias: true}),
			c(matmul{m: 37, n: 64, k: 100, residual: "y"}),
			c(matmul{m: 21, n: 640, k: 384, bias: true}),
			c(matmul{m: 21, n: 1056, k: 384}),
			c(matmul{m: 12, n: 384, k: 528, residual: "r"}),
			c(matmul{m: 16, n: 424, k: 160, bias: true}),
			c(matmul{m: 16, n: 160, k: 212, bias: true, residual: "y"}),
			c(matmul{m: 3, n: 640, k: 384, dtypeY: binding.F32}),
			// Deeper than any block of K, wider than any block of N.
			c(matmul{m: 2, n: 40, k: 11008}),
			c(matmul{m: 13, n: 2560, k: 512}),
			c(matmul{m: 1, n: 5000, k: 300}),
			// More rows than a block has, and rows so long that few or none are laid out at a time.
			c(matmul{m: 290, n: 40, k: 70}),
			c(matmul{m: 130, n: 600, k: 1100}),
			c(matmul{m: 35, n: 5, k: 120001}),
			c(matmul{m: 3, n: 5, k: 131104}),
			// Structured contents.
			c(matmul{m: 5, n: 50, k: 40, x: constant(0)}, "x", "zeros"),
			c(matmul{m: 5, n: 50, k: 40, x: impulses}, "x", "impulses"),
			c(matmul{m: 5, n: 50, k: 41, w: impulses}, "w", "impulses"),
			c(matmul{m: 9, n: 50, k: 40, x: rowScales(normal(1e4))}, "x", "scaled"),
			c(matmul{m: 9, n: 50, k: 40, x: sparse(5, normal(1)), w: wide(10)}, "w", "wide"),
			c(matmul{m: 3, n: 34, k: 8, x: listed(1, 2, float32(math.Inf(1)), 4, 5, 6, 7, 8, 1, 1, 1, 1, 1, 1, 1, 1, float32(math.NaN())), w: uniform(1, 2)}, "x", "infinite"),
		)
		if dtype == binding.BF16 {
			// So large that results may go past the caches, and the same in rows that are not whole lines.
			cs = append(cs,
				c(matmul{m: 33, n: 2048, k: 1032, bias: true}),
				c(matmul{m: 17, n: 2048, k: 1032, dtypeY: binding.F32}),
				c(matmul{m: 33, n: 2048, k: 1032, ldy: 2049}, "strided", true),
				// Passes of rows that stay in L2, and more of them than do.
				c(matmul{m: 300, n: 100, k: 2050, ldx: 2060, bias: true, residual: "r", ldr: 110}, "strided", true),
				c(matmul{m: 175, n: 520, k: 3602}),
				c(matmul{m: 7, n: 40, k: 39, dtypeY: binding.F32, bias: true, residual: "r"}),
				c(matmul{m: 7, n: 40, k: 40, dtypeY: binding.F32, residual: "y"}))
		}

		// Benchmarks: the 3B decoder and vision tower, and a few samples being decoded.
		for _, m := range []int{2, 4} {
			cs = append(cs, bench(c(matmul{m: m, n: 11008, k: 2048})))
		}
		for _, m := range []int{1, 8, 16, 240} {
			cs = append(cs, bench(c(matmul{m: m, n: 2048, k: 2048})))
			if dtype == binding.BF16 {
				cs = append(cs,
					bench(c(matmul{m: m, n: 2560, k: 2048, bias: true})),
					bench(c(matmul{m: m, n: 11008, k: 2048})),
					bench(c(matmul{m: m, n: 2048, k: 11008, residual: "y"})))
				if m < 240 {
					cs = append(cs, bench(c(matmul{m: m, n: 151936, k: 2048, dtypeY: binding.F32})))
				}
			}
		}
		if dtype == binding.BF16 {
			cs = append(cs,
				bench(c(matmul{m: 1024, n: 3840, k: 1280, bias: true})),
				bench(c(matmul{m: 1024, n: 3420, k: 1280, bias: true})),
				bench(c(matmul{m: 1024, n: 1280, k: 3420, bias: true, residual: "y"})),
				bench(c(matmul{m: 256, n: 5120, k: 5120, bias: true})),
				bench(c(matmul{m: 256, n: 2048, k: 5120, bias: true})))
		}
	}
	return cs
}
