package optest

import (
	"math"
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// attention_paged: sequence s has nq[s] query rows at the end of its kvLen[s] keys, which lie in pages in an order that says nothing.
type attentionPaged struct {
	dtype               uint32
	heads, kvHeads, dim int
	nq, kvLen           []int
	ldq, ldo            int
	stride              int // bytes from page to page; 0 for a page's size
	lse                 bool
	unseen              float64 // magnitude of what slots past the end hold
	q                   gen
	k, v                [][]float32 // by sequence [kvLen, kvHeads, dim]; nil: random
}

func (s attentionPaged) page() kvPage    { return kvPage{kind(s.dtype), s.kvHeads, s.dim} }
func (s attentionPaged) pageStride() int { return max(s.stride, s.page().bytes()) }
func (s attentionPaged) scale() float32  { return float32(1 / math.Sqrt(float64(s.dim))) }

func (s attentionPaged) queries() (n int) {
	for _, q := range s.nq {
		n += q
	}
	return n
}

// tables are the page table [seqs, ld], its stride, and the number of pages, one of which belongs to nobody.
func (s attentionPaged) tables() (table []int32, ld, pages int) {
	need := func(n int) int { return (n + binding.Chunk - 1) / binding.Chunk }
	for _, n := range s.kvLen {
		ld = max(ld, need(n)+1)
		pages += need(n)
	}
	pages++
	order := permutation(uint64(pages), pages)
	for _, n := range s.kvLen {
		for i := range ld {
			if i >= need(n) {
				table = append(table, -1)
				continue
			}
			table = append(table, order[0])
			order = order[1:]
		}
	}
	return table, ld, pages
}

func (s attentionPaged) operands() []operand {
	k := kind(s.dtype)
	cu, kvLen := []int32{0}, []int32{}
	for i, n := range s.nq {
		cu = append(cu, cu[i]+int32(n))
		kvLen = append(kvLen, int32(s.kvLen[i]))
	}
	table, _, count := s.tables()
	rows := s.queries()
	os := []operand{
		{name: "q", kind: k, rows: rows, cols: s.heads * s.dim, ld: s.ldq, gen: s.q},
		{name: "pages", kind: k, layout: pages, rows: count, cols: s.page().bytes() / k.bytes(), ld: s.pageStride() / k.bytes()},
		{name: "cu_q", kind: i32, rows: 1, cols: len(cu), ints: cu},
		{name: "kv_len", kind: i32, rows: 1, cols: len(kvLen), ints: kvLen},
		{name: "block_table", kind: i32, rows: 1, cols: len(table), ints: table},
		{name: "workspace", role: Scratch},
		{name: "out", role: Out, kind: k, rows: rows, cols: s.heads * s.dim, ld: s.ldo},
	}
	if s.lse {
		os = append(os, operand{name: "lse", role: Out, kind: f32, rows: rows, cols: s.heads})
	}
	return os
}

func (s attentionPaged) scratch(d *binding.Device) (int, error) {
	a := binding.AttentionWorkspaceArgs{DType: s.dtype, Rows: int64(s.queries()), Heads: int64(s.heads), KVHeads: int64(s.kvHeads), Dim: int64(s.dim)}
	err := d.AttentionWorkspace(&a)
	return int(a.Bytes), err
}

func (s attentionPaged) args(m Memory) any {
	_, ld, count := s.tables()
	w := s.heads * s.dim
	return &binding.AttentionPagedArgs{DType: s.dtype, Q: m.at("q"), Out: m.at("out"), LSE: m.at("lse"), Pages: m.at("pages"),
		CuQ: m.at("cu_q"), KVLen: m.at("kv_len"), BlockTable: m.at("block_table"), Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"),
		Seqs: int64(len(s.nq)), Heads: int64(s.heads), KVHeads: int64(s.kvHeads), Dim: int64(s.dim), LdQ: int64(max(s.ldq, w)), LdO: int64(max(s.ldo, w)),
		LdTable: int64(ld), PageStride: int64(s.pageStride()), NumPages: int64(count), Scale: s.scale()}
}

// fill makes keys and values in the sequences' pages, numbers of magnitude unseen in the slots past their ends, and zeros where a
// page holds no element. Pages of nobody stay poison.
func (s attentionPaged) fill(t tensors, r *rand.Rand) {
	p, memory := s.page(), t["pages"].before
	table, ld, _ := s.tables()
	random := func(scale float64) []float32 {
		x := make([]float32, s.kvHeads*s.dim)
		for i := range x {
			x[i] = float32(scale * r.NormFloat64())
		}
		return x
	}
	for i, n := range s.kvLen {
		for j := range (n + binding.Chunk - 1) / binding.Chunk {
			page := int(table[i*ld+j])
			p.clear(memory, s.pageStride(), page)
			for offset := range binding.Chunk {
				slot, position := page*binding.Chunk+offset, j*binding.Chunk+offset
				switch {
				case position >= n:
					p.write(memory, s.pageStride(), slot, random(s.unseen), random(s.unseen))
				case s.k != nil:
					p.write(memory, s.pageStride(), slot, s.k[i][position*s.kvHeads*s.dim:], s.v[i][position*s.kvHeads*s.dim:])
				default:
					p.write(memory, s.pageStride(), slot, random(1), random(1))
				}
			}
		}
	}
}

// gather reads sequence i's keys and values [kvLen, kvHeads, dim] from the pages.
func (s attentionPaged) gather(t tensors, i int) (k, v []float32) {
	p, memory := s.page(), t["pages"].before
	table, ld, _ := s.tables()
	for j := range s.kvLen[i] {
		page := memory[int(table[i*ld+j/binding.Chunk])*s.pageStride():]
		for h := range s.kvHeads {
			for c := range s.dim {
				k = append(k, p.kind.get(page, p.key(j%binding.Chunk, h, c)))
				v = append(v, p.kind.get(page, p.value(j%binding.Chunk, h, c)))
			}
		}
	}
	return k, v
}

func (s attentionPaged) reference(t tensors) {
	a := attended{dtype: s.dtype, heads: s.heads, kvHeads: s.kvHeads, dim: s.dim, scale: s.scale()}
	w := s.heads * s.dim
	q := t.values("q")
	for i, nq := range s.nq {
		k, v := s.gather(t, i)
		a.sequence(q[:nq*w], k, v, nq, func(row int) int { return s.kvLen[i] - nq + row + 1 })
		q = q[nq*w:]
	}
	a.expect(t)
}

func (s attentionPaged) work() Work {
	e := float64(binding.DTypeBytes(s.dtype))
	var w Work
	for i, n := range s.nq {
		for r := range n {
			w.FLOPs += 4 * float64(s.kvLen[i]-n+r+1) * float64(s.heads*s.dim)
		}
		if n > 0 {
			w.Read += 2 * e * float64(s.kvLen[i]*s.kvHeads*s.dim)
		}
	}
	rows := float64(s.queries() * s.heads * s.dim)
	w.Read += e * rows
	w.Written = e * rows
	return w
}

// attended collects what attention ops must give, sequence by sequence.
type attended struct {
	dtype               uint32
	heads, kvHeads, dim int
	scale               float32
	out, lse            []float64
	naiveOut, naiveLSE  []float32
	roughLSE            []float32 // of bf16: with exponentials that are off by roughExp
}

// roughExp is what a kernel may make of an exponential whose weight is rounded to bf16: that rounding is a thousand times as much.
const roughExp = 0x1p-19

func (a *attended) sequence(q, k, v []float32, nq int, seen func(row int) int) {
	o, l := refAttention(widen(q), widen(k), widen(v), nq, a.heads, a.kvHeads, a.dim, float64(a.scale), seen, func(p float64) float64 { return p })
	a.out, a.lse = append(a.out, o...), append(a.lse, l...)
	no, nl := refAttention(q, k, v, nq, a.heads, a.kvHeads, a.dim, a.scale, seen, kind(a.dtype).round)
	a.naiveOut, a.naiveLSE = append(a.naiveOut, no...), append(a.naiveLSE, nl...)
	for _, lse := range nl {
		a.roughLSE = append(a.roughLSE, lse+roughExp)
	}
}

func (a *attended) expect(t tensors) {
	t.expect("out", a.out, a.naiveOut)
	t.expect("lse", a.lse, a.naiveLSE)
	if a.dtype == binding.BF16 {
		t.expectRough("lse", a.roughLSE)
	}
}

func attentionPagedCases() (cs []Case) {
	ones := func(n, v int) []int {
		x := make([]int, n)
		for i := range x {
			x[i] = v
		}
		return x
	}
	for _, dtype := range dtypes {
		c := func(s attentionPaged, kv ...any) Case {
			s.dtype = dtype
			if s.unseen == 0 {
				s.unseen = 1
			}
			if s.q == nil {
				s.q = normal(1)
			}
			longest := 0
			for _, n := range s.kvLen {
				longest = max(longest, n)
			}
			return newCase("attention_paged", dtype, s, append([]any{"seqs", len(s.nq), "q", s.queries(), "kv", longest, "heads", s.heads, "kv_heads", s.kvHeads, "dim", s.dim}, kv...)...)
		}
		for _, n := range []int{1, 2, 63, 64, 65, 128, 129, 200} { // one decode row
			cs = append(cs, c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{1}, kvLen: []int{n}, lse: true}))
		}
		cs = append(cs,
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16}, "empty", true),
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{0, 1, 0}, kvLen: []int{0, 70, 65}, lse: true}, "empty", true),
			c(attentionPaged{heads: 8, kvHeads: 1, dim: 128, nq: ones(5, 1), kvLen: []int{1, 64, 65, 130, 7}, lse: true}),
			c(attentionPaged{heads: 16, kvHeads: 2, dim: 128, nq: ones(3, 1), kvLen: []int{77, 5, 191}}),
			c(attentionPaged{heads: 2, kvHeads: 2, dim: 80, nq: []int{1, 1}, kvLen: []int{66, 3}, lse: true}),
			c(attentionPaged{heads: 3, kvHeads: 1, dim: 128, nq: []int{37}, kvLen: []int{37}, lse: true}),
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{150}, kvLen: []int{150}, lse: true}),
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{7, 1, 64, 3, 1}, kvLen: []int{90, 130, 64, 3, 1}, lse: true}),
			c(attentionPaged{heads: 4, kvHeads: 1, dim: 32, nq: []int{70, 2}, kvLen: []int{133, 65}, ldq: 140, ldo: 133, stride: 65536, lse: true}, "strided", true),
			c(attentionPaged{heads: 2, kvHeads: 1, dim: 34, nq: []int{5}, kvLen: []int{69}, lse: true}),
			// More than a run of chunks; rows in tiles of several heights.
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{3, 1, 40}, kvLen: []int{1100, 530, 560}, lse: true}),
			c(attentionPaged{heads: 2, kvHeads: 1, dim: 128, nq: []int{1}, kvLen: []int{1200}, lse: true}),
			c(attentionPaged{heads: 7, kvHeads: 1, dim: 80, nq: []int{9, 1}, kvLen: []int{200, 70}, lse: true}),
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{9, 1}, kvLen: []int{70, 65}, unseen: 1e30, lse: true}, "unseen", "1e30"),
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{40}, kvLen: []int{140}, q: normal(40), lse: true}, "q", "large"),
			c(attentionPaged{heads: 4, kvHeads: 2, dim: 16, nq: []int{40}, kvLen: []int{70}, q: constant(0), lse: true}, "q", "zeros"),
		)
		for _, n := range []int{1, 8, 16} {
			cs = append(cs, bench(c(attentionPaged{heads: 16, kvHeads: 2, dim: 128, nq: ones(n, 1), kvLen: ones(n, 2048)})))
		}
		cs = append(cs, bench(c(attentionPaged{heads: 16, kvHeads: 2, dim: 128, nq: []int{1536}, kvLen: []int{1536}})))
	}
	return cs
}
