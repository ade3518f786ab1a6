package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// matmulDw: dw [n, k] += dyᵀ [n, m] x [m, k], db [n] += the columns of dy.
type matmulDw struct {
	dtype           uint32
	m, n, k         int
	lddy, ldx, lddw int
	bias            bool
	dy, x, dw, db   gen
}

func (s matmulDw) operands() []operand {
	os := []operand{
		{name: "dy", kind: f32, rows: s.m, cols: s.n, ld: s.lddy, gen: s.dy},
		{name: "x", kind: kind(s.dtype), rows: s.m, cols: s.k, ld: s.ldx, gen: s.x},
		{name: "workspace", role: Scratch},
		{name: "dw", role: InOut, kind: f32, rows: s.n, cols: s.k, ld: s.lddw, gen: s.dw},
	}
	if s.bias {
		os = append(os, operand{name: "db", role: InOut, kind: f32, rows: 1, cols: s.n, gen: s.db})
	}
	return os
}

func (s matmulDw) scratch(d *binding.Device) (int, error) {
	return backwardScratch(d, s.dtype, s.m, s.n, s.k)
}

func (s matmulDw) args(m Memory) any {
	return &binding.MatMulDwArgs{DType: s.dtype, Dy: m.at("dy"), X: m.at("x"), Dw: m.at("dw"), Db: m.at("db"), Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"),
		M: int64(s.m), N: int64(s.n), K: int64(s.k), LdDy: int64(max(s.lddy, s.n)), LdX: int64(max(s.ldx, s.k)), LdDw: int64(max(s.lddw, s.k))}
}

func (s matmulDw) reference(t tensors) {
	dy, x, dw, db := t.values("dy"), t.values("x"), t.values("dw"), t.values("db")
	refDw, refDb := refMatMulDw(widen(dy), widen(x), widen(dw), widen(db), s.m, s.n, s.k)
	naiveDw, naiveDb := refMatMulDw(dy, x, dw, db, s.m, s.n, s.k)
	t.expect("dw", refDw, naiveDw)
	t.expect("db", refDb, naiveDb)
}

func (s matmulDw) work() Work {
	m, n, k := float64(s.m), float64(s.n), float64(s.k)
	return Work{FLOPs: 2 * m * n * k, Read: 4*m*n + float64(binding.DTypeBytes(s.dtype))*m*k + 4*n*k, Written: 4 * n * k}
}

func matmulDwCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s matmulDw, kv ...any) Case {
			s.dtype = dtype
			for _, g := range []*gen{&s.dy, &s.x, &s.dw, &s.db} {
				if *g == nil {
					*g = normal(1)
				}
			}
			return newCase("matmul_dw", dtype, s, append([]any{"m", s.m, "n", s.n, "k", s.k, "bias", s.bias}, kv...)...)
		}
		// Sums around the vector's length and the block's, rows of dw around the block's, columns around the panel's and the group's.
		for _, m := range []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 100, 511, 512, 513, 1100} {
			cs = append(cs, c(matmulDw{m: m, n: 21, k: 37, bias: m%2 == 1}))
		}
		for _, n := range []int{1, 2, 3, 7, 8, 9, 12, 13, 15, 16, 17, 47, 48, 49, 100, 200} {
			cs = append(cs, c(matmulDw{m: 19, n: n, k: 40, bias: true}))
		}
		for _, k := range []int{1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 300, 600} {
			cs = append(cs, c(matmulDw{m: 11, n: 14, k: k}))
		}
		cs = append(cs,
			c(matmulDw{m: 1, n: 1, k: 1, bias: true}),
			c(matmulDw{m: 530, n: 50, k: 47, lddy: 61, ldx: 50, lddw: 53, bias: true}, "strided", true),
			c(matmulDw{m: 13, n: 70, k: 320, lddy: 77, ldx: 331, lddw: 333}, "strided", true),
			// The small checkpoints' shapes.
			c(matmulDw{m: 21, n: 640, k: 384, bias: true}),
			c(matmulDw{m: 12, n: 384, k: 528}),
			c(matmulDw{m: 16, n: 160, k: 212, bias: true}),
			// Structured contents.
			c(matmulDw{m: 9, n: 50, k: 40, dw: constant(0)}, "dw", "zeros"),
			c(matmulDw{m: 9, n: 50, k: 40, dy: constant(0), bias: true}, "dy", "zeros"),
			c(matmulDw{m: 9, n: 50, k: 40, dy: impulses, bias: true}, "dy", "impulses"),
			c(matmulDw{m: 9, n: 50, k: 41, x: impulses}, "x", "impulses"),
			c(matmulDw{m: 9, n: 50, k: 40, dy: rowScales(normal(1e4)), bias: true}, "dy", "scaled"),
			c(matmulDw{m: 9, n: 50, k: 40, dy: sparse(5, normal(1)), x: wide(10)}, "x", "wide"),
			c(matmulDw{m: 3, n: 34, k: 8, dy: listed(1, 2, float32(math.Inf(1)), 4, 5, 6, 7, 8, 1, 1, 1, 1, 1, 1, 1, 1, float32(math.NaN())), x: uniform(1, 2), bias: true}, "dy", "infinite"),
		)

		// Benchmarks: the 3B decoder's layers and the vision tower's.
		cs = append(cs, bench(c(matmulDw{m: 1024, n: 2048, k: 2048, bias: true})))
		if dtype == binding.BF16 {
			cs = append(cs,
				bench(c(matmulDw{m: 1024, n: 11008, k: 2048})),
				bench(c(matmulDw{m: 1024, n: 2048, k: 11008})),
				bench(c(matmulDw{m: 1024, n: 3840, k: 1280, bias: true})))
		}
	}
	return cs
}
