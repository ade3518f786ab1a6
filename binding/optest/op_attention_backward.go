package optest

import (
	"math"
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// attentionBackward: the gradients of attention over the same segments. fused takes q, k and v from one buffer of rows q, k, v, and puts
// dq, dk and dv into another. blind makes every seventh row and head one that saw no key.
type attentionBackward struct {
	attention
	lddo, lddq, lddk, lddv int
	blind                  bool
}

func (s attentionBackward) operands() []operand {
	k, rows, wq, wk := kind(s.dtype), s.rows(), s.heads*s.dim, s.kvHeads*s.dim
	cu := s.cu()
	os := []operand{
		{name: "cu", kind: i32, rows: 1, cols: len(cu), ints: cu},
		{name: "workspace", role: Scratch},
		{name: "out", kind: k, rows: rows, cols: wq, ld: s.ldo, gen: constant(0)},
		{name: "lse", kind: f32, rows: rows, cols: s.heads, gen: constant(0)},
		{name: "dout", kind: f32, rows: rows, cols: wq, ld: s.lddo, gen: normal(1)},
	}
	if s.prefix != nil {
		os = append(os, operand{name: "prefix", kind: i32, rows: 1, cols: len(s.prefix), ints: s.prefix})
	}
	if s.fused {
		return append(os,
			operand{name: "qkv", kind: k, rows: rows, cols: wq + 2*wk, gen: s.q},
			operand{name: "dqkv", role: Out, kind: f32, rows: rows, cols: wq + 2*wk})
	}
	return append(os,
		operand{name: "q", kind: k, rows: rows, cols: wq, ld: s.ldq, gen: s.q},
		operand{name: "k", kind: k, rows: rows, cols: wk, ld: s.ldk, gen: normal(1)},
		operand{name: "v", kind: k, rows: rows, cols: wk, ld: s.ldv, gen: normal(1)},
		operand{name: "dq", role: Out, kind: f32, rows: rows, cols: wq, ld: s.lddq},
		operand{name: "dk", role: Out, kind: f32, rows: rows, cols: wk, ld: s.lddk},
		operand{name: "dv", role: Out, kind: f32, rows: rows, cols: wk, ld: s.lddv})
}

func (s attentionBackward) scratch(d *binding.Device) (int, error) {
	a := binding.AttentionBackwardWorkspaceArgs{DType: s.dtype, Rows: int64(s.rows()), Keys: s.allKeys(),
		Heads: int64(s.heads), KVHeads: int64(s.kvHeads), Dim: int64(s.dim)}
	err := d.AttentionBackwardWorkspace(&a)
	return int(a.Bytes), err
}

func (s attentionBackward) args(m Memory) any {
	f := s.attention.args(m).(*binding.AttentionArgs)
	wq, wk := s.heads*s.dim, s.kvHeads*s.dim
	a := &binding.AttentionBackwardArgs{DType: s.dtype,
		Q: f.Q, K: f.K, V: f.V, Out: f.Out, LSE: f.LSE, Dout: m.at("dout"), Dq: m.at("dq"), Dk: m.at("dk"), Dv: m.at("dv"),
		Cu: f.Cu, Prefix: f.Prefix, Workspace: f.Workspace, WorkspaceBytes: f.WorkspaceBytes,
		Segments: f.Segments, Heads: f.Heads, KVHeads: f.KVHeads, Dim: f.Dim, LdQ: f.LdQ, LdK: f.LdK, LdV: f.LdV, LdO: f.LdO,
		LdDo: int64(max(s.lddo, wq)), LdDq: int64(max(s.lddq, wq)), LdDk: int64(max(s.lddk, wk)), LdDv: int64(max(s.lddv, wk)),
		Scale: f.Scale, Causal: f.Causal}
	if s.fused {
		a.Dq = m.at("dqkv")
		a.Dk = a.Dq + uint64(4*wq)
		a.Dv = a.Dk + uint64(4*wk)
		a.LdDq = int64(wq + 2*wk)
		a.LdDk, a.LdDv = a.LdDq, a.LdDq
	}
	return a
}

// fill makes out and lse those of the forward pass.
func (s attentionBackward) fill(t tensors, _ *rand.Rand) {
	q, k, v := s.split(t)
	var out, lse []float32
	s.sequences(q, k, v, func(i int, q, keys, values []float32, seen func(row int) int) {
		exact := func(p float64) float64 { return p }
		o, l := refAttention(widen(q), widen(keys), widen(values), s.lengths[i], s.heads, s.kvHeads, s.dim, float64(s.scale()), seen, exact)
		for _, x := range o {
			out = append(out, float32(x))
		}
		for _, x := range l {
			lse = append(lse, float32(x))
		}
	})
	for i := 0; s.blind && i < len(lse); i += 7 {
		lse[i] = float32(math.Inf(-1))
	}
	for name, x := range map[string][]float32{"out": out, "lse": lse} {
		o := t[name].operand
		o.gen = fixed(x)
		t[name] = newTensor(o, nil)
	}
}

// draws: the first keys of a causal segment take most of the weight, and the few rows that give it to one key alone cancel dout.v - D.
func (s attentionBackward) draws() int { return 16 }

// grads are the gradients of q, k and v, each dense.
type grads[T real] struct{ q, k, v []T }

func attentionGrads[T real](s attentionBackward, q, k, v, out, lse, dout []T) grads[T] {
	g := grads[T]{make([]T, len(q)), make([]T, len(k)), make([]T, len(v))}
	cu, wq, wk := s.cu(), s.heads*s.dim, s.kvHeads*s.dim
	for i, n := range s.lengths {
		prefix, own := s.keys(i)
		lead, row := 0, int(cu[i])
		if prefix > 0 {
			lead = int(cu[s.prefix[i]])
		}
		join := func(x []T) []T {
			return append(append([]T(nil), x[lead*wk:][:prefix*wk]...), x[row*wk:][:own*wk]...)
		}
		dk, dv := join(g.k), join(g.v)
		rows := func(x []T) []T { return x[row*wq:][:n*wq] }
		refAttentionBackward(rows(q), join(k), join(v), rows(out), lse[row*s.heads:][:n*s.heads], rows(dout), rows(g.q), dk, dv,
			n, s.heads, s.kvHeads, s.dim, T(s.scale()), s.seen(i))
		for _, x := range []struct{ from, to []T }{{dk, g.k}, {dv, g.v}} {
			copy(x.to[lead*wk:][:prefix*wk], x.from)
			copy(x.to[row*wk:][:own*wk], x.from[prefix*wk:])
		}
	}
	return g
}

func (s attentionBackward) reference(t tensors) {
	q, k, v := s.split(t)
	out, lse, dout := t.values("out"), t.values("lse"), t.values("dout")
	ref := attentionGrads(s, widen(q), widen(k), widen(v), widen(out), widen(lse), widen(dout))
	naive := attentionGrads(s, q, k, v, out, lse, dout)
	if s.fused {
		t.expect("dqkv", fuse(s, ref), fuse(s, naive))
		return
	}
	t.expect("dq", ref.q, naive.q)
	t.expect("dk", ref.k, naive.k)
	t.expect("dv", ref.v, naive.v)
}

// fuse puts the gradients of q, k and v side by side in rows.
func fuse[T real](s attentionBackward, g grads[T]) (rows []T) {
	wq, wk := s.heads*s.dim, s.kvHeads*s.dim
	for i := range s.rows() {
		rows = append(append(append(rows, g.q[i*wq:][:wq]...), g.k[i*wk:][:wk]...), g.v[i*wk:][:wk]...)
	}
	return rows
}

func (s attentionBackward) work() Work {
	forward := s.attention.work()
	rows := float64(s.rows())
	e := float64(binding.DTypeBytes(s.dtype))
	wq, wk := float64(s.heads*s.dim), float64(s.kvHeads*s.dim)
	return Work{FLOPs: forward.FLOPs / 4 * 10, // five products instead of two
		Read:    rows * (e*(2*wq+2*wk) + 4*wq + 4*float64(s.heads)),
		Written: rows * 4 * (wq + 2*wk)}
}

func attentionBackwardCases() (cs []Case) {
	repeat := func(n, v int) []int {
		x := make([]int, n)
		for i := range x {
			x[i] = v
		}
		return x
	}
	for _, dtype := range dtypes {
		with := func(s attentionBackward, kv ...any) Case {
			s.dtype = dtype
			if s.q == nil {
				s.q = normal(1)
			}
			return newCase("attention_backward", dtype, s, append([]any{"segments", len(s.lengths), "rows", s.rows(), "heads", s.heads,
				"kv_heads", s.kvHeads, "dim", s.dim, "causal", s.causal, "prefix", s.prefix != nil, "fused", s.fused}, kv...)...)
		}
		c := func(s attention, kv ...any) Case { return with(attentionBackward{attention: s}, kv...) }
		for _, n := range []int{1, 2, 3, 4, 16, 17, 63, 64, 65, 129, 150} {
			cs = append(cs, c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{n}, causal: true}),
				c(attention{heads: 2, kvHeads: 2, dim: 16, lengths: []int{n}}))
		}
		for _, dim := range []int{2, 6, 14, 18, 34, 48, 66, 80, 128, 250, 256} {
			cs = append(cs, c(attention{heads: 2, kvHeads: 1, dim: dim, lengths: []int{75}, causal: true}))
		}
		cs = append(cs,
			c(attention{heads: 2, kvHeads: 1, dim: 16, causal: true}, "empty", true),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{0, 3, 0, 70, 0}, causal: true}, "empty", true),
			// Windows of the vision tower: ragged at the edges, and whole.
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{64, 64, 48, 16, 64, 4, 12, 36, 64, 1}, fused: true}),
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{200}, fused: true}),
			// The decoder's.
			c(attention{heads: 8, kvHeads: 1, dim: 128, lengths: []int{70, 5}, causal: true, fused: true}),
			c(attention{heads: 3, kvHeads: 1, dim: 128, lengths: []int{33, 66}, causal: true, fused: true}),
			c(attention{heads: 66, kvHeads: 1, dim: 4, lengths: []int{70}, causal: true}), // more heads than a tile has rows
			c(attention{heads: 14, kvHeads: 2, dim: 16, lengths: []int{80, 5}, prefix: []int32{-1, 0}, causal: true}),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{100, 31, 64, 65}, causal: true, fused: true}),
			with(attentionBackward{attention: attention{heads: 4, kvHeads: 2, dim: 32, lengths: []int{75}, causal: true, ldq: 150, ldk: 67, ldv: 80, ldo: 131},
				lddo: 129, lddq: 133, lddk: 65, lddv: 71}, "strided", true),
			with(attentionBackward{attention: attention{heads: 2, kvHeads: 1, dim: 34, lengths: []int{70, 64}, ldq: 70, ldk: 37, ldv: 35, ldo: 71},
				lddo: 69, lddq: 73, lddk: 36, lddv: 39}, "strided", true),
			// Shared prefixes that end at, before and after a block's edge.
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{64, 20, 30, 1}, prefix: []int32{-1, 0, 0, 0}, causal: true, fused: true}),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{45, 40, 19, 64, 7, 80, 3}, prefix: []int32{-1, 0, 0, 0, -1, 4, 4}, causal: true, fused: true}),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{45, 70, 40, 19, 80, 3}, prefix: []int32{-1, -1, 0, 1, 0, 1}, causal: true}, "interleaved", true),
			c(attention{heads: 8, kvHeads: 1, dim: 128, lengths: []int{100, 30, 31}, prefix: []int32{-1, 0, 0}, causal: true, fused: true}),
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{70, 30, 5}, prefix: []int32{-1, 0, 0}}),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{0, 9, 70}, prefix: []int32{-1, 0, 0}, causal: true}, "empty", true),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{9, 0, 70, 0}, prefix: []int32{-1, 0, 0, -1}, causal: true}, "empty", true),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{90}, causal: true, q: normal(40)}, "q", "large"),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{70}, q: constant(0)}, "q", "zeros"),
			with(attentionBackward{attention: attention{heads: 3, kvHeads: 1, dim: 16, lengths: []int{70, 20}, prefix: []int32{-1, 0}, causal: true}, blind: true}, "lse", "-inf"),
		)
		if dtype == binding.BF16 {
			cs = append(cs,
				bench(c(attention{heads: 16, kvHeads: 2, dim: 128, lengths: []int{1024, 256, 256, 256, 256}, prefix: []int32{-1, 0, 0, 0, 0}, causal: true, fused: true})),
				bench(c(attention{heads: 16, kvHeads: 16, dim: 80, lengths: repeat(64, 64), fused: true})),
			)
		} else {
			cs = append(cs,
				bench(c(attention{heads: 16, kvHeads: 2, dim: 128, lengths: []int{1024}, causal: true, fused: true})),
				// So many gradients that they may bypass the caches.
				c(attention{heads: 16, kvHeads: 16, dim: 16, lengths: append(repeat(26, 50), 70, 130), causal: true, fused: true}),
			)
		}
	}
	return cs
}
