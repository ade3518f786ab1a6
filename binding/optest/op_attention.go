package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// attention: segments of rows attend to themselves, after the keys of an earlier segment where prefix says so. fused takes q, k and
// v from one buffer of rows q, k, v.
type attention struct {
	dtype               uint32
	heads, kvHeads, dim int
	lengths             []int
	prefix              []int32
	causal, fused, lse  bool
	ldq, ldk, ldv, ldo  int
	q                   gen
}

func (s attention) scale() float32 { return float32(1 / math.Sqrt(float64(s.dim))) }

// cu are the segments' ends.
func (s attention) cu() []int32 {
	cu := []int32{0}
	for i, n := range s.lengths {
		cu = append(cu, cu[i]+int32(n))
	}
	return cu
}

func (s attention) rows() int { cu := s.cu(); return int(cu[len(cu)-1]) }

func (s attention) operands() []operand {
	k, rows, wq, wk := kind(s.dtype), s.rows(), s.heads*s.dim, s.kvHeads*s.dim
	cu := s.cu()
	os := []operand{
		{name: "cu", kind: i32, rows: 1, cols: len(cu), ints: cu},
		{name: "workspace", role: Scratch},
		{name: "out", role: Out, kind: k, rows: rows, cols: wq, ld: s.ldo},
	}
	if s.prefix != nil {
		os = append(os, operand{name: "prefix", kind: i32, rows: 1, cols: len(s.prefix), ints: s.prefix})
	}
	if s.lse {
		os = append(os, operand{name: "lse", role: Out, kind: f32, rows: rows, cols: s.heads})
	}
	if s.fused {
		return append(os, operand{name: "qkv", kind: k, rows: rows, cols: wq + 2*wk, gen: s.q})
	}
	return append(os,
		operand{name: "q", kind: k, rows: rows, cols: wq, ld: s.ldq, gen: s.q},
		operand{name: "k", kind: k, rows: rows, cols: wk, ld: s.ldk, gen: normal(1)},
		operand{name: "v", kind: k, rows: rows, cols: wk, ld: s.ldv, gen: normal(1)})
}

// keys of segment i: its prefix's and its own.
func (s attention) keys(i int) (prefix, own int) {
	if s.prefix != nil && s.prefix[i] >= 0 {
		prefix = s.lengths[s.prefix[i]]
	}
	return prefix, s.lengths[i]
}

// allKeys are the keys of all segments, in whole chunks.
func (s attention) allKeys() (keys int64) {
	for i := range s.lengths {
		p, n := s.keys(i)
		keys += int64((p + n + binding.Chunk - 1) / binding.Chunk * binding.Chunk)
	}
	return keys
}

// seen is how many keys a row of segment i sees.
func (s attention) seen(i int) func(row int) int {
	prefix, own := s.keys(i)
	return func(row int) int {
		if s.causal {
			return prefix + row + 1
		}
		return prefix + own
	}
}

// sequences calls f for each segment, with its queries and all of its keys and values, from dense q, k and v.
func (s attention) sequences(q, k, v []float32, f func(i int, q, keys, values []float32, seen func(row int) int)) {
	cu, wq, wk := s.cu(), s.heads*s.dim, s.kvHeads*s.dim
	for i, n := range s.lengths {
		var keys, values []float32
		prefix, own := s.keys(i)
		if prefix > 0 {
			from := int(cu[s.prefix[i]])
			keys, values = append(keys, k[from*wk:][:prefix*wk]...), append(values, v[from*wk:][:prefix*wk]...)
		}
		from := int(cu[i])
		keys, values = append(keys, k[from*wk:][:own*wk]...), append(values, v[from*wk:][:own*wk]...)
		f(i, q[from*wq:][:n*wq], keys, values, s.seen(i))
	}
}

func (s attention) scratch(d *binding.Device) (int, error) {
	a := binding.AttentionWorkspaceArgs{DType: s.dtype, Rows: int64(s.rows()), Keys: s.allKeys(), Heads: int64(s.heads), KVHeads: int64(s.kvHeads), Dim: int64(s.dim)}
	err := d.AttentionWorkspace(&a)
	return int(a.Bytes), err
}

func (s attention) args(m Memory) any {
	wq, wk := s.heads*s.dim, s.kvHeads*s.dim
	a := &binding.AttentionArgs{DType: s.dtype, Q: m.at("q"), K: m.at("k"), V: m.at("v"), Out: m.at("out"), LSE: m.at("lse"), Cu: m.at("cu"), Prefix: m.at("prefix"),
		Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"), Segments: int64(len(s.lengths)), Heads: int64(s.heads), KVHeads: int64(s.kvHeads), Dim: int64(s.dim),
		LdQ: int64(max(s.ldq, wq)), LdK: int64(max(s.ldk, wk)), LdV: int64(max(s.ldv, wk)), LdO: int64(max(s.ldo, wq)), Scale: s.scale()}
	if s.causal {
		a.Causal = 1
	}
	if s.fused {
		e := binding.DTypeBytes(s.dtype)
		a.Q = m.at("qkv")
		a.K = a.Q + uint64(wq*e)
		a.V = a.K + uint64(wk*e)
		a.LdQ = int64(wq + 2*wk)
		a.LdK, a.LdV = a.LdQ, a.LdQ
	}
	return a
}

// split returns q, k and v, each dense.
func (s attention) split(t tensors) (q, k, v []float32) {
	if !s.fused {
		return t.values("q"), t.values("k"), t.values("v")
	}
	wq, wk := s.heads*s.dim, s.kvHeads*s.dim
	for row := t.values("qkv"); len(row) > 0; row = row[wq+2*wk:] {
		q, k, v = append(q, row[:wq]...), append(k, row[wq:wq+wk]...), append(v, row[wq+wk:wq+2*wk]...)
	}
	return q, k, v
}

func (s attention) reference(t tensors) {
	a := attended{dtype: s.dtype, heads: s.heads, kvHeads: s.kvHeads, dim: s.dim, scale: s.scale()}
	q, k, v := s.split(t)
	s.sequences(q, k, v, func(i int, q, keys, values []float32, seen func(row int) int) {
		a.sequence(q, keys, values, s.lengths[i], seen)
	})
	a.expect(t)
}

func (s attention) work() Work {
	var w Work
	e := float64(binding.DTypeBytes(s.dtype))
	for i := range s.lengths {
		p, n := s.keys(i)
		pairs := float64(n) * float64(p+n)
		if s.causal {
			pairs = float64(n)*float64(p) + float64(n)*float64(n+1)/2
		}
		w.FLOPs += 4 * pairs * float64(s.heads*s.dim)
	}
	rows := float64(s.rows())
	w.Read = e * rows * float64((s.heads+2*s.kvHeads)*s.dim)
	w.Written = e * rows * float64(s.heads*s.dim)
	return w
}

func attentionCases() (cs []Case) {
	repeat := func(n, v int) []int {
		x := make([]int, n)
		for i := range x {
			x[i] = v
		}
		return x
	}
	for _, dtype := range dtypes {
		c := func(s attention, kv ...any) Case {
			s.dtype = dtype
			if s.q == nil {
				s.q = normal(1)
			}
			return newCase("attention", dtype, s, append([]any{"segments", len(s.lengths), "rows", s.rows(), "heads", s.heads, "kv_heads", s.kvHeads, "dim", s.dim,
				"causal", s.causal, "prefix", s.prefix != nil, "fused", s.fused}, kv...)...)
		}
		for _, n := range []int{1, 63, 64, 65, 129, 150} {
			cs = append(cs, c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{n}, causal: true, lse: true}), c(attention{heads: 2, kvHeads: 2, dim: 16, lengths: []int{n}, lse: true}))
		}
		cs = append(cs,
			c(attention{heads: 2, kvHeads: 1, dim: 16, causal: true}, "empty", true),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{0, 3, 0, 70, 0}, causal: true, lse: true}, "empty", true),
			// Windows of the vision tower: ragged at the edges, and whole.
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{64, 64, 48, 16, 64, 4, 12, 36, 64, 1}, fused: true}),
			c(attention{heads: 2, kvHeads: 2, dim: 16, lengths: []int{4, 8, 16, 24, 32, 40, 64, 64, 60}, fused: true, lse: true}),
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{200}, fused: true}),
			// The decoder's.
			c(attention{heads: 8, kvHeads: 1, dim: 128, lengths: []int{70, 5}, causal: true, fused: true, lse: true}),
			c(attention{heads: 3, kvHeads: 1, dim: 128, lengths: []int{33, 66}, causal: true, fused: true}),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{100, 31, 64, 65}, causal: true, fused: true, lse: true}),
			c(attention{heads: 4, kvHeads: 2, dim: 32, lengths: []int{75}, causal: true, ldq: 150, ldk: 67, ldv: 80, ldo: 131, lse: true}, "strided", true),
			c(attention{heads: 2, kvHeads: 1, dim: 34, lengths: []int{70}, causal: true, lse: true}),
			// More than a run of chunks; rows in tiles of several heights; maxima that rise late.
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{1100}, causal: true, lse: true}),
			c(attention{heads: 2, kvHeads: 1, dim: 128, lengths: []int{330}, causal: true, lse: true}),
			c(attention{heads: 7, kvHeads: 1, dim: 32, lengths: []int{45, 7}, causal: true, lse: true}),
			c(attention{heads: 17, kvHeads: 1, dim: 16, lengths: []int{9, 80}, lse: true}),
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{300}, q: normal(40), lse: true}, "q", "large"),
			c(attention{heads: 2, kvHeads: 1, dim: 128, lengths: []int{330}, q: normal(40), causal: true, lse: true}, "q", "large"),
			// Shared prefixes that end at, before and after a chunk's edge.
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{64, 20, 30, 1}, prefix: []int32{-1, 0, 0, 0}, causal: true, fused: true, lse: true}),
			c(attention{heads: 4, kvHeads: 2, dim: 16, lengths: []int{45, 40, 19, 64, 7, 80, 3}, prefix: []int32{-1, 0, 0, 0, -1, 4, 4}, causal: true, fused: true, lse: true}),
			c(attention{heads: 8, kvHeads: 1, dim: 128, lengths: []int{100, 30, 31}, prefix: []int32{-1, 0, 0}, causal: true, fused: true, lse: true}),
			c(attention{heads: 2, kvHeads: 2, dim: 80, lengths: []int{70, 30, 5}, prefix: []int32{-1, 0, 0}, lse: true}),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{0, 9, 70}, prefix: []int32{-1, 0, 0}, causal: true, lse: true}, "empty", true),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{90}, causal: true, q: normal(40), lse: true}, "q", "large"),
			c(attention{heads: 2, kvHeads: 1, dim: 16, lengths: []int{70}, q: constant(0), lse: true}, "q", "zeros"),
		)
		if dtype == binding.BF16 {
			cs = append(cs,
				bench(c(attention{heads: 16, kvHeads: 2, dim: 128, lengths: []int{1536}, causal: true, fused: true})),
				bench(c(attention{heads: 16, kvHeads: 16, dim: 80, lengths: []int{4096}, fused: true})),
				bench(c(attention{heads: 16, kvHeads: 16, dim: 80, lengths: repeat(64, 64), fused: true})),
				bench(c(attention{heads: 16, kvHeads: 2, dim: 128, lengths: []int{1024, 256, 256, 256, 256}, prefix: []int32{-1, 0, 0, 0, 0}, causal: true, fused: true})),
			)
		} else {
			cs = append(cs,
				bench(c(attention{heads: 16, kvHeads: 2, dim: 128, lengths: []int{512}, causal: true, fused: true})),
				bench(c(attention{heads: 16, kvHeads: 16, dim: 80, lengths: repeat(16, 64), fused: true})),
				// So many results that they may bypass the caches.
				c(attention{heads: 32, kvHeads: 32, dim: 16, lengths: append(repeat(80, 24), 70, 131), fused: true}),
			)
		}
	}
	return cs
}
