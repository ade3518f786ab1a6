package optest

import (
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// kv_write: token i of k, v [n, kvHeads, dim] goes to slots[i] of pages. fused takes k and v from one buffer of rows q, k, v.
type kvWrite struct {
	dtype           uint32
	n, kvHeads, dim int
	ldk, ldv        int
	pages, stride   int // stride in bytes; 0 for a page's size
	slots           []int32
	fused           int // width of q before k and v in a fused row; 0: k and v are apart
}

func (s kvWrite) page() kvPage { return kvPage{kind(s.dtype), s.kvHeads, s.dim} }

func (s kvWrite) pageStride() int { return max(s.stride, s.page().bytes()) }

func (s kvWrite) operands() []operand {
	k, w := kind(s.dtype), s.kvHeads*s.dim
	os := []operand{
		{name: "slots", kind: i32, rows: 1, cols: s.n, ints: s.slots},
		{name: "pages", role: InOut, kind: k, layout: pages, rows: s.pages, cols: s.page().bytes() / k.bytes(), ld: s.pageStride() / k.bytes()},
	}
	if s.fused > 0 {
		return append(os, operand{name: "qkv", kind: k, rows: s.n, cols: s.fused + 2*w, gen: normal(1)})
	}
	return append(os,
		operand{name: "k", kind: k, rows: s.n, cols: w, ld: s.ldk, gen: normal(1)},
		operand{name: "v", kind: k, rows: s.n, cols: w, ld: s.ldv, gen: normal(1)})
}

func (s kvWrite) args(m Memory) any {
	w := s.kvHeads * s.dim
	a := &binding.KVWriteArgs{DType: s.dtype, K: m.at("k"), V: m.at("v"), Slots: m.at("slots"), Pages: m.at("pages"), N: int64(s.n), KVHeads: int64(s.kvHeads), Dim: int64(s.dim),
		LdK: int64(max(s.ldk, w)), LdV: int64(max(s.ldv, w)), PageStride: int64(s.pageStride()), NumPages: int64(s.pages)}
	if s.fused > 0 {
		e := binding.DTypeBytes(s.dtype)
		a.K = m.at("qkv") + uint64(s.fused*e)
		a.V = a.K + uint64(w*e)
		a.LdK, a.LdV = int64(s.fused+2*w), int64(s.fused+2*w)
	}
	return a
}

// fill makes the pages: zero where a page has no element of a key or value, poison where it has.
func (s kvWrite) fill(t tensors, _ *rand.Rand) {
	pages, p := t["pages"], s.page()
	for i := range s.pages {
		p.clear(pages.before, s.pageStride(), i)
		row := pages.before[i*s.pageStride():]
		for offset := range binding.Chunk {
			for h := range s.kvHeads {
				for c := range s.dim {
					e := p.kind.bytes()
					p.kind.poison(row[p.key(offset, h, c)*e:][:e])
					p.kind.poison(row[p.value(offset, h, c)*e:][:e])
				}
			}
		}
	}
}

func (s kvWrite) reference(t tensors) {
	w := s.kvHeads * s.dim
	pages := t["pages"]
	pages.exact = append([]byte(nil), pages.before...)
	for i, slot := range s.slots {
		k, v := t.values("k"), t.values("v")
		if s.fused > 0 {
			row := t.values("qkv")[i*(s.fused+2*w):]
			k, v = row[s.fused:s.fused+w], row[s.fused+w:s.fused+2*w]
		} else {
			k, v = k[i*w:][:w], v[i*w:][:w]
		}
		s.page().write(pages.exact, s.pageStride(), int(slot), k, v)
	}
}

// A key's elements lie in one lane of each k step of its page, whose lines hold 16 keys; a value's lie side by side, with those of the
// other value of a lane. A line that is written in part is read too: the rest of it stays.
func (s kvWrite) work() Work {
	e := binding.DTypeBytes(s.dtype)
	keys, values := map[int32]int{}, map[int32]int{}
	for _, slot := range s.slots {
		keys[slot/16]++
		values[slot/int32(4/e)]++
	}
	read, written := 0, 0 // lines
	count := func(filled map[int32]int, full, lines int) {
		for _, n := range filled {
			written += lines
			if n < full {
				read += lines
			}
		}
	}
	count(keys, 16, (s.dim*e+3)/4)
	count(values, 4/e, (s.dim+15)/16)
	return Work{Read: float64(2*s.n*s.kvHeads*s.dim*e + read*s.kvHeads*line), Written: float64(written * s.kvHeads * line)}
}

func kvWriteCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s kvWrite, kv ...any) Case {
			s.dtype = dtype
			if s.slots == nil {
				s.slots = permutation(uint64(s.n), s.pages*binding.Chunk)[:s.n]
			}
			return newCase("kv_write", dtype, s, append([]any{"n", s.n, "kv_heads", s.kvHeads, "dim", s.dim, "fused", s.fused > 0}, kv...)...)
		}
		run := func(from, n int) (slots []int32) { // consecutive slots
			for i := range n {
				slots = append(slots, int32(from+i))
			}
			return slots
		}
		cs = append(cs,
			c(kvWrite{n: 0, kvHeads: 1, dim: 16, pages: 1}),
			c(kvWrite{n: 1, kvHeads: 2, dim: 16, pages: 2}),
			c(kvWrite{n: 37, kvHeads: 2, dim: 16, pages: 3}),
			c(kvWrite{n: 128, kvHeads: 1, dim: 80, pages: 2}),
			c(kvWrite{n: 70, kvHeads: 2, dim: 128, pages: 2, ldk: 300, ldv: 260}, "strided", true),
			c(kvWrite{n: 65, kvHeads: 1, dim: 34, pages: 4, stride: 24576}, "strided", true),
			c(kvWrite{n: 150, kvHeads: 2, dim: 128, pages: 4, fused: 512, slots: run(31, 150)}, "slots", "run"),
			c(kvWrite{n: 9, kvHeads: 2, dim: 16, pages: 1, slots: run(3, 9)}, "slots", "run"),
			bench(c(kvWrite{n: 1536, kvHeads: 2, dim: 128, pages: 24, fused: 2048, slots: run(0, 1536)}, "slots", "run")),
			bench(c(kvWrite{n: 16, kvHeads: 2, dim: 128, pages: 64, fused: 2048})),
		)
	}
	return cs
}
