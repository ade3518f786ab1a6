package optest

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// backward runs attention over segments as segments does, and then its gradients.
func (s *sequence) backward(d *binding.Device, causal bool, prefix []int32, parts ...part) (map[string][]byte, error) {
	forward, err := s.segments(d, causal, prefix, parts...)
	if err != nil {
		return nil, err
	}
	a := attentionBackward{attention: attention{dtype: s.dtype, heads: s.heads, kvHeads: s.kvHeads, dim: s.dim, causal: causal, prefix: prefix}}
	values := map[string][]float32{}
	wq, wk := s.heads*s.dim, s.kvHeads*s.dim
	for _, p := range parts {
		values["q"], values["dout"] = append(values["q"], p.q[p.from*wq:p.to*wq]...), append(values["dout"], p.dout[p.from*wq:p.to*wq]...)
		values["k"], values["v"] = append(values["k"], p.k[p.from*wk:p.to*wk]...), append(values["v"], p.v[p.from*wk:p.to*wk]...)
		a.lengths = append(a.lengths, p.to-p.from)
	}
	for i := range a.rows() * wq {
		values["out"] = append(values["out"], kind(s.dtype).get(forward["out"], i))
	}
	for i := range a.rows() * s.heads {
		values["lse"] = append(values["lse"], f32.get(forward["lse"], i))
	}
	pr := &Problem{Case: newCase("attention_backward", s.dtype, a), tensors: tensors{}}
	for _, o := range a.operands() {
		if x := values[o.name]; x != nil {
			o.gen = fixed(x)
		}
		if o.role != Scratch {
			o.measure(a, nil)
		}
		pr.order = append(pr.order, o.name)
		pr.tensors[o.name] = newTensor(o, nil)
	}
	r, err := pr.Run(d)
	if err != nil {
		return nil, err
	}
	return r.memory, nil
}

// sameGrads compares count rows of two results' gradients, from rows i and j on.
func (s *sequence) sameGrads(what string, a map[string][]byte, i int, b map[string][]byte, j, count int) error {
	for name, heads := range map[string]int{"dq": s.heads, "dk": s.kvHeads, "dv": s.kvHeads} {
		if err := sameRows(what+", "+name, a[name], i, b[name], j, count, heads*s.dim, 4); err != nil {
			return err
		}
	}
	return nil
}

// attentionBackwardProperties: gradients have the same bits whatever else is in the call, and wherever a sequence is cut.
func attentionBackwardProperties() []Property {
	var ps []Property
	for _, shape := range []struct{ heads, kvHeads, dim, n int }{{4, 2, 16, 200}, {8, 1, 128, 135}, {2, 2, 80, 150}, {3, 1, 34, 130}} {
		for _, dtype := range dtypes {
			name := fmt.Sprintf("heads=%d/kv_heads=%d/dim=%d/dtype=%v", shape.heads, shape.kvHeads, shape.dim, kind(dtype))
			for _, way := range []struct {
				name  string
				check func(d *binding.Device, s, other *sequence) error
			}{
				{"batch", gradsInBatch},
				{"cut", gradsOfCut},
			} {
				ps = append(ps, property("attention_backward/"+way.name+"/"+name, func(d *binding.Device) error {
					s := newSequence(30, dtype, shape.heads, shape.kvHeads, shape.dim, shape.n)
					return way.check(d, s, newSequence(40, dtype, shape.heads, shape.kvHeads, shape.dim, shape.n))
				}))
			}
		}
	}
	return ps
}

// gradsInBatch: a prefix and its suffixes, alone and between other segments and another prefix's.
func gradsInBatch(d *binding.Device, s, other *sequence) error {
	for _, causal := range []bool{true, false} {
		p, a, b := s.part(0, 70), s.part(70, s.n), other.part(3, 30)
		alone, err := s.backward(d, causal, []int32{-1, 0, 0}, p, a, b)
		if err != nil {
			return err
		}
		parts := []part{other.part(0, 31), p, other.part(0, 66), other.part(0, 0), a, other.part(66, 67), b, other.part(7, 80)}
		among, err := s.backward(d, causal, []int32{-1, -1, -1, -1, 1, 2, 1, 2}, parts...)
		if err != nil {
			return err
		}
		row, at := 0, 0
		for _, x := range parts {
			n := x.to - x.from
			if x == p || x == a || x == b {
				if err := s.sameGrads(fmt.Sprintf("causal=%v, segment at row %d of a batch and %d alone", causal, row, at), among, row, alone, at, n); err != nil {
					return err
				}
				at += n
			}
			row += n
		}
	}
	return nil
}

// gradsOfCut: a causal sequence in one segment, and cut into a prefix and one suffix.
func gradsOfCut(d *binding.Device, s, _ *sequence) error {
	whole, err := s.backward(d, true, nil, s.part(0, s.n))
	if err != nil {
		return err
	}
	for _, n := range []int{1, 45, 63, 64, 65, 100, 128, s.n - 1} {
		cut, err := s.backward(d, true, []int32{-1, 0}, s.part(0, n), s.part(n, s.n))
		if err == nil {
			err = s.sameGrads(fmt.Sprintf("cut at row %d", n), cut, 0, whole, 0, s.n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
