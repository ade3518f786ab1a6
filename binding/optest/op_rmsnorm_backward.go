package optest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// rmsnormBackward: dx = rstd (g - xh mean(g xh)) and dw += sum dy xh, with xh = x rstd and g = dy weight. rstd is that of x.
type rmsnormBackward struct {
	dtype                       uint32
	rows, cols, ldx, lddy, lddx int
	accumulate, dw              bool
	x                           gen
	eps                         float32 // of the forward pass
}

func (s rmsnormBackward) operands() []operand {
	alone := !s.dw // else a call's outputs belong to all of its rows
	dx := operand{name: "dx", role: Out, kind: f32, rows: s.rows, cols: s.cols, ld: s.lddx, perRow: alone}
	if s.accumulate {
		dx.role, dx.gen = InOut, normal(1)
	}
	os := []operand{
		{name: "x", kind: kind(s.dtype), rows: s.rows, cols: s.cols, ld: s.ldx, perRow: alone, gen: s.x},
		{name: "weight", kind: f32, rows: 1, cols: s.cols, gen: around(1, 0.3)},
		{name: "rstd", kind: f32, rows: s.rows, cols: 1, perRow: alone, gen: constant(1)},
		{name: "dy", kind: f32, rows: s.rows, cols: s.cols, ld: s.lddy, perRow: alone, gen: normal(1)},
		dx,
	}
	if s.dw {
		os = append(os, operand{name: "dw", role: InOut, kind: f32, rows: 1, cols: s.cols, gen: normal(1)})
	}
	return os
}

func (s rmsnormBackward) fill(t tensors, _ *rand.Rand) {
	_, rstd := refRMSNorm(widen(t.values("x")), make([]float64, s.cols), s.rows, s.cols, float64(s.eps))
	for i, v := range rstd {
		t["rstd"].dense[i] = float32(v)
		f32.put(t["rstd"].before, i, float32(v))
	}
}

func (s rmsnormBackward) args(m Memory) any {
	a := &binding.RMSNormBackwardArgs{DType: s.dtype, X: m.at("x"), Weight: m.at("weight"), Rstd: m.at("rstd"), Dy: m.at("dy"), Dx: m.at("dx"), Dw: m.at("dw"),
		Rows: int64(s.rows), Cols: int64(s.cols), LdX: int64(max(s.ldx, s.cols)), LdDy: int64(max(s.lddy, s.cols)), LdDx: int64(max(s.lddx, s.cols))}
	if s.accumulate {
		a.Accumulate = 1
	}
	return a
}

func (s rmsnormBackward) slice(lo, hi int) spec { s.rows = hi - lo; return s }

func (s rmsnormBackward) reference(t tensors) {
	x, weight, rstd, dy, dw0 := t.values("x"), t.values("weight"), t.values("rstd"), t.values("dy"), t.values("dw")
	dx0 := t.values("dx") // nil where it is overwritten
	dx, dw := refRMSNormBackward(widen(x), widen(weight), widen(rstd), widen(dy), widen(dx0), widen(dw0), s.rows, s.cols)
	naiveDx, naiveDw := refRMSNormBackward(x, weight, rstd, dy, dx0, dw0, s.rows, s.cols)
	t.expect("dx", dx, naiveDx)
	t.expect("dw", dw, naiveDw)
}

func (s rmsnormBackward) work() Work {
	n := float64(s.rows * s.cols)
	w := Work{FLOPs: 8 * n, Read: n*float64(binding.DTypeBytes(s.dtype)+4) + float64(4*s.cols), Written: 4 * n}
	if s.accumulate {
		w.Read += 4 * n
	}
	if s.dw {
		w.FLOPs += 2 * n
		w.Read, w.Written = w.Read+float64(4*s.cols), w.Written+float64(4*s.cols)
	}
	return w
}

func rmsnormBackwardCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s rmsnormBackward, kv ...any) Case {
			s.dtype = dtype
			if s.x == nil {
				s.x = normal(1)
			}
			if s.eps == 0 {
				s.eps = 1e-6
			}
			return newCase("rmsnorm_backward", dtype, s,
				append([]any{"rows", s.rows, "cols", s.cols, "accumulate", s.accumulate, "dw", s.dw}, kv...)...)
		}
		for i, cols := range []int{1, 2, 7, 15, 16, 17, 31, 33, 64, 127, 160, 257, 1280, 2051} {
			cs = append(cs, c(rmsnormBackward{rows: 5, cols: cols, dw: true, accumulate: i%2 == 0}), c(rmsnormBackward{rows: 3, cols: cols, accumulate: i%2 == 1}))
		}
		nan := float32(math.NaN())
		cs = append(cs,
			c(rmsnormBackward{rows: 0, cols: 64, dw: true}),
			c(rmsnormBackward{rows: 1, cols: 2048, dw: true, accumulate: true}),
			c(rmsnormBackward{rows: 33, cols: 160, ldx: 171, lddy: 163, lddx: 167, dw: true}, "strided", true),
			c(rmsnormBackward{rows: 33, cols: 161, ldx: 171, lddy: 163, lddx: 167, accumulate: true}, "strided", true),
			c(rmsnormBackward{rows: 700, cols: 1003, dw: true}), // several slabs, and several strips of columns
			c(rmsnormBackward{rows: 2, cols: 70001, dw: true}),  // a slab is a row
			c(rmsnormBackward{rows: 250, cols: 384}),
			c(rmsnormBackward{rows: 4, cols: 96, dw: true, x: constant(0)}, "x", "zeros"),
			c(rmsnormBackward{rows: 4, cols: 96, dw: true, x: impulses}, "x", "impulses"),
			c(rmsnormBackward{rows: 4, cols: 96, dw: true, x: normal(1e12)}, "x", "large"),
			c(rmsnormBackward{rows: 4, cols: 96, x: rowScales(normal(1))}, "x", "scaled"),
			c(rmsnormBackward{rows: 3, cols: 20, dw: true, x: listed(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, nan)}, "x", "nan"),
			bench(c(rmsnormBackward{rows: 1024, cols: 2048, dw: true})),
			bench(c(rmsnormBackward{rows: 1024, cols: 2048, dw: true, accumulate: true})),
		)
	}
	return cs
}

// rmsnormBackwardProperties: rows that are cut into calls give the same bits, and to accumulate is to add.
func rmsnormBackwardProperties() []Property {
	var ps []Property
	for _, dtype := range dtypes {
		s := rmsnormBackward{dtype: dtype, rows: 301, cols: 515, ldx: 520, dw: true, x: normal(1), eps: 1e-6}
		e := uint64(binding.DTypeBytes(dtype))
		ps = append(ps, property("rmsnorm_backward/cut/dtype="+kind(dtype).String(), func(d *binding.Device) error {
			p := problem("rmsnorm_backward", dtype, s)
			whole, err := p.Run(d)
			if err != nil {
				return err
			}
			for _, step := range []int64{1, 7, 100, 300} {
				parts, err := p.runWith(d, func(args any) error {
					a := *args.(*binding.RMSNormBackwardArgs)
					for left := a.Rows; left > 0; left -= step {
						a.Rows = min(step, left)
						if err := d.RMSNormBackward(&a); err != nil {
							return err
						}
						a.X += uint64(step*a.LdX) * e
						a.Rstd += uint64(step * 4)
						a.Dy += uint64(step * a.LdDy * 4)
						a.Dx += uint64(step * a.LdDx * 4)
					}
					return nil
				})
				if err == nil {
					err = p.Same(whole, parts)
				}
				if err != nil {
					return fmt.Errorf("in calls of %d rows: %w", step, err)
				}
			}
			return nil
		}), property("rmsnorm_backward/accumulate/dtype="+kind(dtype).String(), func(d *binding.Device) error {
			fresh := problem("rmsnorm_backward", dtype, s)
			sum := s
			sum.accumulate = true
			p := problem("rmsnorm_backward", dtype, sum)
			for name, t := range fresh.tensors {
				if name != "dx" {
					p.tensors[name] = t
				}
			}
			a, err := fresh.Run(d)
			if err != nil {
				return err
			}
			b, err := p.Run(d)
			if err != nil {
				return err
			}
			if !bytes.Equal(a.memory["dw"], b.memory["dw"]) {
				return errors.New("dw depends on what becomes of dx")
			}
			for i, held := range p.tensors["dx"].dense {
				if got, want := f32.get(b.memory["dx"], i), held+f32.get(a.memory["dx"], i); got != want {
					return fmt.Errorf("dx[%d] held %v and is %v, want %v", i, held, got, want)
				}
			}
			return nil
		}))
	}
	return ps
}
