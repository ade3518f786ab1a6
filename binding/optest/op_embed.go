package optest

import "github.com/thinker-vl/thinker/binding"

// embed: y[i][:] = W[ids[i]][:] from a packed W [n, k].
type embed struct {
	dtype        uint32
	m, n, k, ldy int
	ids          []int32
}

func (s embed) operands() []operand {
	return []operand{
		{name: "ids", kind: i32, rows: s.m, cols: 1, perRow: true, ints: s.ids},
		{name: "w", kind: kind(s.dtype), layout: panels, rows: s.n, cols: s.k, gen: normal(1)},
		{name: "y", role: Out, kind: kind(s.dtype), rows: s.m, cols: s.k, ld: s.ldy, perRow: true},
	}
}

func (s embed) args(m Memory) any {
	return &binding.EmbedArgs{DType: s.dtype, IDs: m.at("ids"), W: m.at("w"), Y: m.at("y"), M: int64(s.m), N: int64(s.n), K: int64(s.k), LdY: int64(max(s.ldy, s.k))}
}

func (s embed) slice(lo, hi int) spec { s.m, s.ids = hi-lo, s.ids[lo:hi]; return s }

func (s embed) reference(t tensors) {
	w, ids := t.values("w"), t["ids"].ints
	t.expectBits("y", func(i, j int) float32 { return w[int(ids[i])*s.k+j] })
}

// A row of W lies in one lane of each of a panel's k steps.
func (s embed) work() Work {
	e := binding.DTypeBytes(s.dtype)
	steps := (s.k*e + 3) / 4
	return Work{Read: float64(s.m * steps * line), Written: float64(s.m * s.k * e)}
}

func embedCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s embed, kv ...any) Case {
			s.dtype = dtype
			if s.ids == nil {
				s.ids = indices(uint64(s.m), s.m, s.n)
			}
			return newCase("embed", dtype, s, append([]any{"m", s.m, "n", s.n, "k", s.k}, kv...)...)
		}
		cs = append(cs,
			c(embed{m: 0, n: 33, k: 16}),
			c(embed{m: 1, n: 1, k: 1}),
			c(embed{m: 40, n: 640, k: 64}),
			c(embed{m: 37, n: 640, k: 385, ldy: 400}, "strided", true),
			c(embed{m: 6, n: 70, k: 31, ids: []int32{0, 69, 69, 32, 31, 64}}, "edges", true),
			// Pieces of rows; a panel's rows in several runs, and runs of several panels; ids of three bytes, and more rows than a batch.
			c(embed{m: 5, n: 40, k: 2500}),
			c(embed{m: 300, n: 70, k: 130}),
			c(embed{m: 4500, n: 1<<21 + 64, k: 1}),
			bench(c(embed{m: 1536, n: 32768, k: 2048})),
		)
	}
	return cs
}
