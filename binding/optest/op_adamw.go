package optest

import (
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// adamw: a step of AdamW. zero: the state of step 1.
type adamw struct {
	n, step                                           int
	lr, beta1, beta2, epsilon, weightDecay, gradScale float64
	scale                                             float64 // of g and m, and in square of v
	zero                                              bool
	g                                                 gen
}

// defaults are those of the papers, but for a learning rate at which the update shows beside the weight.
func (s adamw) defaults() adamw {
	for _, d := range []struct {
		field *float64
		value float64
	}{{&s.lr, 0.1}, {&s.beta1, 0.9}, {&s.beta2, 0.999}, {&s.epsilon, 1e-8}, {&s.gradScale, 1}, {&s.scale, 1}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	s.step = max(s.step, 1)
	if s.g == nil {
		s.g = normal(s.scale)
	}
	return s
}

func (s adamw) operands() []operand {
	m, v := normal(s.scale), uniform(0, s.scale*s.scale)
	if s.zero {
		m, v = constant(0), constant(0)
	}
	return []operand{
		{name: "w", role: InOut, kind: f32, rows: 1, cols: s.n, gen: normal(1)},
		{name: "m", role: InOut, kind: f32, rows: 1, cols: s.n, gen: m},
		{name: "v", role: InOut, kind: f32, rows: 1, cols: s.n, gen: v},
		{name: "g", kind: f32, rows: 1, cols: s.n, gen: s.g},
	}
}

func (s adamw) args(m Memory) any {
	return &binding.AdamWArgs{W: m.at("w"), M: m.at("m"), V: m.at("v"), G: m.at("g"), N: int64(s.n), Step: int64(s.step),
		LR: s.lr, Beta1: s.beta1, Beta2: s.beta2, Epsilon: s.epsilon, WeightDecay: s.weightDecay, GradScale: s.gradScale}
}

func (s adamw) reference(t tensors) {
	w, m, v, g := t.values("w"), t.values("m"), t.values("v"), t.values("g")
	w1, m1, v1 := refAdamW(widen(w), widen(m), widen(v), widen(g), s.step, s.lr, s.beta1, s.beta2, s.epsilon, s.weightDecay, s.gradScale)
	naiveW, naiveM, naiveV := refAdamW(w, m, v, g, s.step, s.lr, s.beta1, s.beta2, s.epsilon, s.weightDecay, s.gradScale)
	t.expect("w", w1, naiveW)
	t.expect("m", m1, naiveM)
	t.expect("v", v1, naiveV)
}

func (s adamw) work() Work {
	n := float64(s.n)
	return Work{FLOPs: 15 * n, Read: 16 * n, Written: 12 * n}
}

func adamwCases() (cs []Case) {
	c := func(s adamw, kv ...any) Case {
		s = s.defaults()
		return newCase("adamw", binding.F32, s, append([]any{"n", s.n, "step", s.step}, kv...)...)
	}
	for _, n := range []int{0, 1, 7, 15, 16, 17, 33, 1000, 70001} {
		cs = append(cs, c(adamw{n: n, step: n%5 + 1, weightDecay: 0.1}))
	}
	return append(cs,
		c(adamw{n: 300, zero: true}, "state", "zero"),
		c(adamw{n: 300, step: 1000, weightDecay: 0.5, lr: 0.3}, "decay", true),
		c(adamw{n: 300, step: 1 << 40}, "late", true),
		c(adamw{n: 300, beta1: 0.5, beta2: 0.3}, "betas", "small"),
		c(adamw{n: 300, beta1: 0.25, beta2: 0.95, step: 3}, "betas", "smaller"),
		c(adamw{n: 300, epsilon: 1, step: 2}, "epsilon", "1"),
		c(adamw{n: 300, gradScale: 0.37, step: 2}, "gradscale", "0.37"),
		c(adamw{n: 300, zero: true, g: constant(0)}, "g", "zeros"), // only epsilon divides
		c(adamw{n: 300, step: 4, g: sparse(5, wide(20))}, "g", "wide"),
		c(adamw{n: 40, step: 2, g: listed(1, 2, float32(math.NaN()), 3)}, "g", "nan"),
		c(adamw{n: 300, step: 50, scale: 1e-3, lr: 1e-5, weightDecay: 0.01}, "as", "in training"),
		bench(c(adamw{n: 1 << 24, step: 10, weightDecay: 0.01})),
	)
}

// adamwProperties: elements do not depend on one another; gradients of any size give the same step; without momentum m is the gradient.
func adamwProperties() []Property {
	const n = 333
	good := adamw{n: n, step: 3, weightDecay: 0.01, lr: 1e-3}.defaults()
	same := func(what string, a, b *Result, by map[string]float32) error {
		for _, name := range []string{"w", "m", "v"} {
			for i := range n {
				if got, want := f32.get(b.memory[name], i), by[name]*f32.get(a.memory[name], i); got != want {
					return fmt.Errorf("%s: %s[%d] is %v, want %v", what, name, i, got, want)
				}
			}
		}
		return nil
	}
	// scaled is the problem p with s's factors and p's contents times powers of two.
	scaled := func(p *Problem, s adamw, by map[string]float32) *Problem {
		q := problem("adamw", binding.F32, s)
		for name, t := range p.tensors {
			x := append([]float32(nil), t.dense...)
			for i := range x {
				x[i] *= by[name]
			}
			o := t.operand
			o.gen = fixed(x)
			q.tensors[name] = newTensor(o, nil)
		}
		return q
	}
	return []Property{
		property("adamw/cut", func(d *binding.Device) error {
			p := problem("adamw", binding.F32, good)
			whole, err := p.Run(d)
			if err != nil {
				return err
			}
			for _, step := range []int64{1, 5, 8, 100} {
				parts, err := p.runWith(d, func(args any) error {
					a := *args.(*binding.AdamWArgs)
					for left := a.N; left > 0; left -= step {
						a.N = min(step, left)
						if err := d.AdamW(&a); err != nil {
							return err
						}
						by := uint64(4 * step)
						a.W, a.M, a.V, a.G = a.W+by, a.M+by, a.V+by, a.G+by
					}
					return nil
				})
				if err == nil {
					err = p.Same(whole, parts)
				}
				if err != nil {
					return fmt.Errorf("%d elements at a time: %w", step, err)
				}
			}
			return nil
		}),
		property("adamw/scale", func(d *binding.Device) error {
			p := problem("adamw", binding.F32, good)
			unscaled, err := p.Run(d)
			if err != nil {
				return err
			}
			small, by := good, map[string]float32{"w": 1, "m": 0x1p-20, "v": 0x1p-40, "g": 0x1p-20}
			small.epsilon *= 0x1p-20
			r, err := scaled(p, small, by).Run(d)
			if err != nil {
				return err
			}
			if err := same("gradients of 2^-20", unscaled, r, by); err != nil {
				return err
			}
			// grad_scale is applied to g alone, exactly where it is a power of two.
			half := good
			half.gradScale = 0x1p-3
			if r, err = scaled(p, half, map[string]float32{"w": 1, "m": 1, "v": 1, "g": 8}).Run(d); err != nil {
				return err
			}
			return same("grad_scale 1/8", unscaled, r, map[string]float32{"w": 1, "m": 1, "v": 1})
		}),
		property("adamw/beta1=0", func(d *binding.Device) error {
			s := good
			s.beta1 = 0
			p := problem("adamw", binding.F32, s)
			r, err := p.Run(d)
			if err != nil {
				return err
			}
			for i, g := range p.tensors["g"].dense {
				if got := f32.get(r.memory["m"], i); got != g {
					return fmt.Errorf("m[%d] is %v, want the gradient %v", i, got, g)
				}
			}
			return nil
		}),
	}
}
