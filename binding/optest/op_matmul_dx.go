package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// matmulDx: dx [m, k] = dy [m, n] W [n, k].
type matmulDx struct {
	dtype      uint32
	m, n, k    int
	lddy, lddx int
	dy, w      gen
}

func (s matmulDx) operands() []operand {
	return []operand{
		{name: "dy", kind: f32, rows: s.m, cols: s.n, ld: s.lddy, perRow: true, gen: s.dy},
		{name: "w", kind: kind(s.dtype), layout: panels, rows: s.n, cols: s.k, gen: s.w},
		{name: "workspace", role: Scratch},
		{name: "dx", role: Out, kind: f32, rows: s.m, cols: s.k, ld: s.lddx, perRow: true},
	}
}

// backwardScratch is the workspace of matmul_dx and matmul_dw.
func backwardScratch(d *binding.Device, dtype uint32, m, n, k int) (int, error) {
	a := binding.MatMulBackwardWorkspaceArgs{DType: dtype, M: int64(m), N: int64(n), K: int64(k)}
	err := d.MatMulBackwardWorkspace(&a)
	return int(a.Bytes), err
}

func (s matmulDx) scratch(d *binding.Device) (int, error) {
	return backwardScratch(d, s.dtype, s.m, s.n, s.k)
}

func (s matmulDx) args(m Memory) any {
	return &binding.MatMulDxArgs{DType: s.dtype, Dy: m.at("dy"), W: m.at("w"), Dx: m.at("dx"), Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"),
		M: int64(s.m), N: int64(s.n), K: int64(s.k), LdDy: int64(max(s.lddy, s.n)), LdDx: int64(max(s.lddx, s.k))}
}

func (s matmulDx) slice(lo, hi int) spec { s.m = hi - lo; return s }

func (s matmulDx) reference(t tensors) {
	dy, w := t.values("dy"), t.values("w")
	t.expect("dx", refMatMulDx(widen(dy), widen(w), s.m, s.n, s.k), refMatMulDx(dy, w, s.m, s.n, s.k))
}

func (s matmulDx) work() Work {
	m, n, k := float64(s.m), float64(s.n), float64(s.k)
	return Work{FLOPs: 2 * m * n * k, Read: 4*m*n + float64(binding.DTypeBytes(s.dtype))*n*k, Written: 4 * m * k}
}

func matmulDxCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s matmulDx, kv ...any) Case {
			s.dtype = dtype
			if s.dy == nil {
				s.dy = normal(1)
			}
			if s.w == nil {
				s.w = unit
			}
			return newCase("matmul_dx", dtype, s, append([]any{"m", s.m, "n", s.n, "k", s.k}, kv...)...)
		}
		// Rows around the tile's, sums around the panel's and the block's, columns around the vector's, the panel's and the group's.
		for _, m := range []int{0, 1, 2, 5, 12, 13, 49, 100} {
			cs = append(cs, c(matmulDx{m: m, n: 37, k: 70}))
		}
		for _, n := range []int{1, 2, 31, 32, 33, 63, 100, 511, 512, 513, 1100} {
			cs = append(cs, c(matmulDx{m: 5, n: n, k: 45}))
		}
		for _, k := range []int{1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 300, 600} {
			cs = append(cs, c(matmulDx{m: 7, n: 40, k: k}))
		}
		cs = append(cs,
			c(matmulDx{m: 1, n: 1, k: 1}),
			c(matmulDx{m: 53, n: 600, k: 47, lddy: 611, lddx: 53}, "strided", true),
			c(matmulDx{m: 13, n: 70, k: 320, lddy: 77, lddx: 333}, "strided", true),
			// The small checkpoints' shapes.
			c(matmulDx{m: 21, n: 640, k: 384}),
			c(matmulDx{m: 21, n: 1056, k: 384}),
			c(matmulDx{m: 12, n: 384, k: 528}),
			c(matmulDx{m: 16, n: 160, k: 212}),
			// Structured contents.
			c(matmulDx{m: 5, n: 50, k: 40, dy: constant(0)}, "dy", "zeros"),
			c(matmulDx{m: 5, n: 50, k: 40, dy: impulses}, "dy", "impulses"),
			c(matmulDx{m: 5, n: 50, k: 41, w: impulses}, "w", "impulses"),
			c(matmulDx{m: 9, n: 50, k: 40, dy: rowScales(normal(1e4))}, "dy", "scaled"),
			c(matmulDx{m: 9, n: 50, k: 40, dy: sparse(5, normal(1)), w: wide(10)}, "w", "wide"),
			c(matmulDx{m: 3, n: 34, k: 8, dy: listed(1, 2, float32(math.Inf(1)), 4, 5, 6, 7, 8, 1, 1, 1, 1, 1, 1, 1, 1, float32(math.NaN())), w: uniform(1, 2)}, "dy", "infinite"),
		)

		// Benchmarks: the 3B decoder's layers and the vision tower's.
		cs = append(cs, bench(c(matmulDx{m: 1024, n: 2048, k: 2048})))
		if dtype == binding.BF16 {
			cs = append(cs,
				bench(c(matmulDx{m: 1024, n: 11008, k: 2048})),
				bench(c(matmulDx{m: 1024, n: 2048, k: 11008})),
				bench(c(matmulDx{m: 1024, n: 3840, k: 1280})))
		}
	}
	return cs
}
