package optest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// A Property is something that must hold to the bit, of each device by itself and whatever its number of threads.
type Property struct {
	Name  string
	Check func(ds ...*binding.Device) error
}

// Properties returns what must hold.
func Properties() []Property {
	var ps []Property
	for _, c := range Cases() {
		if s, ok := c.spec.(rowwise); ok && !c.Bench && rowsOf(s) > 1 {
			ps = append(ps, Property{c.String() + "/rows", func(ds ...*binding.Device) error { return rowsAlone(c, ds) }})
		}
	}
	ps = append(ps, matmulProperties()...)
	ps = append(ps, rmsnormBackwardProperties()...)
	ps = append(ps, adamwProperties()...)
	ps = append(ps, squareSumProperties()...)
	ps = append(ps, backwardProperties()...)
	ps = append(ps, lossProperties()...)
	ps = append(ps, attentionProperties()...)
	ps = append(ps, attentionBackwardProperties()...)
	return append(ps, vocabularyProperties()...)
}

// property is one that is checked on each device anew.
func property(name string, check func(d *binding.Device) error) Property {
	return Property{name, func(ds ...*binding.Device) error {
		for _, d := range ds {
			if err := check(d); err != nil {
				return on(d, err)
			}
		}
		return nil
	}}
}

// on says which device err is of.
func on(d *binding.Device, err error) error {
	info, e := d.Info()
	return errors.Join(fmt.Errorf("%s %v: %w", info.Backend, info.ISA, err), e)
}

// rowsOf is the number of a rowwise op's rows.
func rowsOf(s spec) int {
	for _, o := range s.operands() {
		if o.perRow {
			return o.rows
		}
	}
	return 0
}

// rowsAlone holds the rows of a batch against the same rows in smaller batches, down to one, and against a batch whose other rows are
// NaN.
func rowsAlone(c Case, ds []*binding.Device) error {
	type span struct {
		lo, hi int
		*Problem
	}
	p := c.New()
	n := rowsOf(p.spec)
	spans := []span{{lo: 0, hi: n - 1}, {lo: 1, hi: min(n, 4)}, {lo: n / 3, hi: n - n/4}}
	step := max(1, n/6)
	if c.Op == "matmul" && n == 240 {
		step = 1
	}
	for i := 0; i < n; i += step {
		spans = append(spans, span{lo: i, hi: i + 1})
	}
	for i, s := range spans {
		spans[i].Problem = p.rows(s.lo, s.hi)
	}
	row := n / 2
	spoilt := p.spoil(row)
	check := func(d *binding.Device) error {
		whole, err := p.Run(d)
		if err != nil {
			return err
		}
		for _, s := range spans {
			part, err := s.Run(d)
			if err == nil {
				err = s.Same(p.cut(whole, s.lo, s.hi), part)
			}
			if err != nil {
				return fmt.Errorf("rows %d to %d of %d, in the batch and alone: %w", s.lo, s.hi, n, err)
			}
		}
		if c.Op == "sample" {
			return nil // refuses NaN
		}
		r, err := spoilt.Run(d)
		if err == nil {
			err = p.rows(row, row+1).Same(p.cut(whole, row, row+1), p.cut(r, row, row+1))
		}
		if err != nil {
			return fmt.Errorf("row %d, all others NaN: %w", row, err)
		}
		return nil
	}
	for _, d := range ds {
		if err := check(d); err != nil {
			return on(d, err)
		}
	}
	return nil
}

// cut is the part of a result that belongs to rows lo to hi.
func (p *Problem) cut(r *Result, lo, hi int) *Result {
	out := &Result{memory: map[string][]byte{}}
	for _, name := range p.outputs() {
		t := p.tensors[name]
		o := t.operand
		o.rows = hi - lo
		out.memory[name] = r.memory[name][lo*t.ld*t.kind.bytes():][:o.size()]
	}
	return out
}

// spoil is the problem with NaN in every row but one.
func (p *Problem) spoil(row int) *Problem {
	q := &Problem{Case: p.Case, order: p.order, tensors: maps.Clone(p.tensors)}
	for name, t := range p.tensors {
		if !t.perRow || !t.kind.float() || t.role == Out {
			continue
		}
		s := *t
		s.before = bytes.Clone(t.before)
		e := t.kind.bytes()
		for i := range t.rows {
			if i != row {
				t.kind.poison(s.before[i*t.ld*e:][:t.cols*e])
			}
		}
		q.tensors[name] = &s
	}
	return q
}

// problem is a case that is in no table.
func problem(op string, dtype uint32, s spec, keyValues ...any) *Problem {
	return newCase(op, dtype, s, keyValues...).New()
}

// run runs a problem and returns the memory of its outputs.
func run(d *binding.Device, op string, dtype uint32, s spec) (map[string][]byte, error) {
	r, err := problem(op, dtype, s).Run(d)
	if err != nil {
		return nil, err
	}
	return r.memory, nil
}

// floats draws n normal values as an operand of dtype holds them.
func floats(seed uint64, dtype uint32, n int) []float32 {
	x := normal(1)(rand.New(rand.NewPCG(seed, 3)), 1, n)
	for i := range x {
		x[i] = kind(dtype).round(x[i])
	}
	return x
}

// matmulProperties: columns do not depend on one another, and an op that is made of others equals them.
func matmulProperties() []Property {
	var ps []Property
	for _, dtype := range dtypes {
		ps = append(ps, property("matmul/columns/dtype="+kind(dtype).String(), func(d *binding.Device) error {
			const m, n, k = 14, 200, 75
			x, w := floats(1, dtype, m*k), floats(2, dtype, n*k)
			whole, err := run(d, "matmul", dtype, matmul{dtype: dtype, dtypeY: binding.F32, m: m, n: n, k: k, x: fixed(x), w: fixed(w)})
			if err != nil {
				return err
			}
			for _, part := range []int{1, 16, 31, 32, 33, 100, 199} {
				got, err := run(d, "matmul", dtype, matmul{dtype: dtype, dtypeY: binding.F32, m: m, n: part, k: k, x: fixed(x), w: fixed(w)})
				if err != nil {
					return err
				}
				for i := range m {
					if !bytes.Equal(got["y"][i*part*4:][:part*4], whole["y"][i*n*4:][:part*4]) {
						return fmt.Errorf("row %d: the first %d columns of %d are not what %d columns give", i, part, n, part)
					}
				}
			}
			return nil
		}), property("matmul/store/dtype="+kind(dtype).String(), func(d *binding.Device) error {
			// The sum is rounded once, when it is stored.
			s := matmul{dtype: dtype, dtypeY: binding.F32, m: 14, n: 75, k: 63, bias: true, x: normal(1), w: unit}
			p := problem("matmul", dtype, s)
			wide, err := p.Run(d)
			if err != nil {
				return err
			}
			s.dtypeY = dtype
			q := problem("matmul", dtype, s)
			for name, t := range p.tensors {
				if t.role == In {
					q.tensors[name] = t
				}
			}
			narrow, err := q.Run(d)
			if err != nil {
				return err
			}
			for i := range s.m * s.n {
				want := kind(dtype).round(f32.get(wide.memory["y"], i))
				if got := kind(dtype).get(narrow.memory["y"], i); got != want {
					return fmt.Errorf("element %d is %v, and in f32 %v", i, got, want)
				}
			}
			return nil
		}), property("pack/unpack/dtype="+kind(dtype).String(), func(d *binding.Device) error {
			const n, k = 77, 39
			w := floats(3, dtype, n*k)
			src := problem("pack", dtype, pack{dtype: dtype, dtypeSrc: binding.F32, n: n, k: k, rows: n})
			src.tensors["src"] = newTensor(operand{name: "src", kind: f32, rows: n, cols: k, ld: k, gen: fixed(w)}, nil)
			r, err := src.Run(d)
			if err != nil {
				return err
			}
			back := problem("unpack", dtype, pack{inverse: true, dtype: dtype, dtypeSrc: binding.F32, n: n, k: k, rows: n})
			back.tensors["packed"].before = r.memory["packed"]
			u, err := back.Run(d)
			if err != nil {
				return err
			}
			for i, want := range w {
				if got := f32.get(u.memory["src"], i); got != want {
					return fmt.Errorf("element %d is %v after pack and unpack, was %v", i, got, want)
				}
			}
			return nil
		}))
	}
	return ps
}

// sameRows compares rows of n elements of e bytes: got's from row i on, want's from row j on.
func sameRows(what string, got []byte, i int, want []byte, j, count, n, e int) error {
	a, b := got[i*n*e:(i+count)*n*e], want[j*n*e:(j+count)*n*e]
	if at := firstDiff(a, b); at < len(a) {
		return fmt.Errorf("%s: differs from row %d on", what, j+at/(n*e))
	}
	return nil
}
