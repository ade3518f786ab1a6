package optest

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// A sequence is one sequence's queries, keys and values, to be attended in several ways.
type sequence struct {
	dtype               uint32
	heads, kvHeads, dim int
	n                   int
	q, k, v             []float32 // [n, heads or kvHeads, dim]
	dout                []float32 // [n, heads, dim]
	out, lse            []byte    // of one causal segment
}

func newSequence(seed uint64, dtype uint32, heads, kvHeads, dim, n int) *sequence {
	return &sequence{dtype: dtype, heads: heads, kvHeads: kvHeads, dim: dim, n: n,
		q: floats(seed, dtype, n*heads*dim), k: floats(seed+1, dtype, n*kvHeads*dim), v: floats(seed+2, dtype, n*kvHeads*dim),
		dout: floats(seed+3, binding.F32, n*heads*dim)}
}

// segments attends causally, or fully, to segments whose rows are those of parts, each from a row of a sequence to another.
func (s *sequence) segments(d *binding.Device, causal bool, prefix []int32, parts ...part) (map[string][]byte, error) {
	a := attention{dtype: s.dtype, heads: s.heads, kvHeads: s.kvHeads, dim: s.dim, causal: causal, prefix: prefix, lse: true}
	var q, k, v []float32
	for _, p := range parts {
		wq, wk := s.heads*s.dim, s.kvHeads*s.dim
		q, k, v = append(q, p.q[p.from*wq:p.to*wq]...), append(k, p.k[p.from*wk:p.to*wk]...), append(v, p.v[p.from*wk:p.to*wk]...)
		a.lengths = append(a.lengths, p.to-p.from)
	}
	a.q = fixed(q)
	pr := problem("attention", s.dtype, a)
	for name, x := range map[string][]float32{"k": k, "v": v} {
		o := pr.tensors[name].operand
		o.gen = fixed(x)
		pr.tensors[name] = newTensor(o, nil)
	}
	r, err := pr.Run(d)
	if err != nil {
		return nil, err
	}
	return r.memory, nil
}

type part struct {
	*sequence
	from, to int
}

func (s *sequence) part(from, to int) part { return part{s, from, to} }

// paged attends to pages: each part's rows are the last ones of the keys up to part.to.
func (s *sequence) paged(d *binding.Device, unseen float64, parts ...part) (map[string][]byte, error) {
	a := attentionPaged{dtype: s.dtype, heads: s.heads, kvHeads: s.kvHeads, dim: s.dim, unseen: unseen, lse: true}
	var q []float32
	for _, p := range parts {
		a.nq, a.kvLen = append(a.nq, p.to-p.from), append(a.kvLen, p.to)
		a.k, a.v = append(a.k, p.k), append(a.v, p.v)
		q = append(q, p.q[p.from*s.heads*s.dim:p.to*s.heads*s.dim]...)
	}
	a.q = fixed(q)
	return run(d, "attention_paged", s.dtype, a)
}

// same holds rows of a result, from row i on, against the sequence's own rows of a part.
func (s *sequence) same(what string, got map[string][]byte, i int, p part) error {
	e := binding.DTypeBytes(s.dtype)
	if err := sameRows(what+", out", got["out"], i, p.out, p.from, p.to-p.from, s.heads*s.dim, e); err != nil {
		return err
	}
	return sameRows(what+", lse", got["lse"], i, p.lse, p.from, p.to-p.from, s.heads, 4)
}

// attentionProperties: one sequence's rows have the same bits however it is attended.
func attentionProperties() []Property {
	var ps []Property
	for _, shape := range []struct{ heads, kvHeads, dim, n int }{{4, 2, 16, 200}, {8, 1, 128, 135}, {2, 2, 80, 150}, {3, 1, 34, 130}} {
		for _, dtype := range dtypes {
			name := fmt.Sprintf("heads=%d/kv_heads=%d/dim=%d/dtype=%v", shape.heads, shape.kvHeads, shape.dim, kind(dtype))
			for _, way := range []struct {
				name  string
				check func(d *binding.Device, s, other *sequence) error
			}{
				{"batch", attendedInBatch},
				{"full", attendedFully},
				{"prefix", attendedAfterPrefix},
				{"paged", attendedPaged},
				{"decode", attendedDecoding},
			} {
				ps = append(ps, property("attention/"+way.name+"/"+name, func(d *binding.Device) error {
					s := newSequence(10, dtype, shape.heads, shape.kvHeads, shape.dim, shape.n)
					other := newSequence(20, dtype, shape.heads, shape.kvHeads, shape.dim, shape.n)
					for _, x := range []*sequence{s, other} {
						r, err := x.segments(d, true, nil, x.part(0, x.n))
						if err != nil {
							return err
						}
						x.out, x.lse = r["out"], r["lse"]
					}
					return way.check(d, s, other)
				}))
			}
		}
	}
	return ps
}

// attendedInBatch: between other segments.
func attendedInBatch(d *binding.Device, s, other *sequence) error {
	got, err := s.segments(d, true, nil, other.part(0, 31), s.part(0, s.n), other.part(0, 70), s.part(0, 1))
	if err != nil {
		return err
	}
	for _, x := range []struct {
		row int
		p   part
	}{{0, other.part(0, 31)}, {31, s.part(0, s.n)}, {31 + s.n, other.part(0, 70)}, {101 + s.n, s.part(0, 1)}} {
		if err := s.same("in a batch", got, x.row, x.p); err != nil {
			return err
		}
	}
	return nil
}

// attendedFully: a causal row sees what the last row of a full segment of that length sees.
func attendedFully(d *binding.Device, s, _ *sequence) error {
	for _, n := range []int{1, 2, 63, 64, 65, 100, 128, s.n} {
		got, err := s.segments(d, false, nil, s.part(0, n))
		if err == nil {
			err = s.same(fmt.Sprintf("full over %d keys", n), got, n-1, s.part(n-1, n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attendedAfterPrefix: a prefix that two suffixes share, one of them another sequence's rows over these keys.
func attendedAfterPrefix(d *binding.Device, s, other *sequence) error {
	for _, n := range []int{1, 45, 63, 64, 65, 100, 128, s.n - 1} {
		mixed := &sequence{dtype: s.dtype, heads: s.heads, kvHeads: s.kvHeads, dim: s.dim, n: s.n}
		wq, wk := s.heads*s.dim, s.kvHeads*s.dim
		join := func(a, b []float32, w int) []float32 { return append(append([]float32(nil), a[:n*w]...), b[n*w:]...) }
		mixed.q, mixed.k, mixed.v = join(s.q, other.q, wq), join(s.k, other.k, wk), join(s.v, other.v, wk)
		r, err := s.segments(d, true, nil, mixed.part(0, s.n))
		if err != nil {
			return err
		}
		mixed.out, mixed.lse = r["out"], r["lse"]
		got, err := s.segments(d, true, []int32{-1, -1, 1, 1, 1}, other.part(0, 9), s.part(0, n), s.part(n, s.n), mixed.part(n, s.n), s.part(n, n+1))
		if err != nil {
			return err
		}
		row := 0
		for _, p := range []part{other.part(0, 9), s.part(0, n), s.part(n, s.n), mixed.part(n, s.n), s.part(n, n+1)} {
			if err := s.same(fmt.Sprintf("behind a prefix of %d keys, segment at row %d", n, row), got, row, p); err != nil {
				return err
			}
			row += p.to - p.from
		}
	}
	return nil
}

// attendedPaged: from pages, at once and in chunks, when later keys have not been written or slots hold something else.
func attendedPaged(d *binding.Device, s, other *sequence) error {
	for _, chunk := range []int{s.n, 64, 63, 7} {
		for from := 0; from < s.n; from += chunk {
			p := s.part(from, min(from+chunk, s.n))
			for _, unseen := range []float64{0, 100} {
				got, err := s.paged(d, unseen, p)
				if err == nil {
					err = s.same(fmt.Sprintf("paged, chunk of %d at %d", chunk, from), got, 0, p)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	// Chunks of two sequences beside decode rows.
	parts := []part{s.part(60, 90), other.part(10, 11), other.part(0, 65), s.part(s.n-1, s.n), other.part(64, 66)}
	got, err := s.paged(d, 1, parts...)
	if err != nil {
		return err
	}
	row := 0
	for _, p := range parts {
		if err := s.same(fmt.Sprintf("paged, in a batch, at row %d", row), got, row, p); err != nil {
			return err
		}
		row += p.to - p.from
	}
	return nil
}

// attendedDecoding: every row by itself, all in one batch, and some in batches of one.
func attendedDecoding(d *binding.Device, s, _ *sequence) error {
	var parts []part
	for i := range s.n {
		parts = append(parts, s.part(i, i+1))
	}
	got, err := s.paged(d, 1, parts...)
	if err == nil {
		err = s.same("decoding in a batch", got, 0, s.part(0, s.n))
	}
	for i := 0; i < s.n && err == nil; i += 9 {
		if got, err = s.paged(d, 0, s.part(i, i+1)); err == nil {
			err = s.same("decoding", got, 0, s.part(i, i+1))
		}
	}
	return err
}
