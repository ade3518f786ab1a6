package engine

import (
	"fmt"
	"math"
	"strings"

	"github.com/thinker-vl/thinker/binding"
)

// AdamW is the settings of one optimizer step (Loshchilov and Hutter, arXiv 1711.05101; as torch.optim.AdamW computes it).
type AdamW struct {
	LR           float64
	Beta1, Beta2 float64
	Epsilon      float64
	WeightDecay  float64 // of tensors of two or more dimensions
	MaxGradNorm  float64 // gradients are scaled down to this global norm; 0: not
}

func (a *AdamW) check() error {
	for _, v := range []struct {
		name  string
		value float64
		ok    bool
	}{
		{"LR", a.LR, a.LR >= 0}, {"Beta1", a.Beta1, a.Beta1 >= 0 && a.Beta1 < 1}, {"Beta2", a.Beta2, a.Beta2 >= 0 && a.Beta2 < 1},
		{"Epsilon", a.Epsilon, a.Epsilon >= 0}, {"WeightDecay", a.WeightDecay, a.WeightDecay >= 0}, {"MaxGradNorm", a.MaxGradNorm, a.MaxGradNorm >= 0},
	} {
		if !v.ok || math.IsInf(v.value, 0) {
			return fmt.Errorf("engine: adamw: %s is %v", v.name, v.value)
		}
	}
	return nil
}

// A NonFiniteError says that gradients are infinite or not numbers, and in which tensors.
type NonFiniteError struct {
	Tensors  []string
	Elements int64
}

func (e *NonFiniteError) Error() string {
	names := strings.Join(e.Tensors[:min(len(e.Tensors), 3)], ", ")
	if n := len(e.Tensors) - 3; n > 0 {
		names += fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("engine: the gradient has %d elements that are infinite or NaN, in %s", e.Elements, names)
}

// GradNorm is the global 2-norm of the gradients, over the tensors in the order of the checkpoint. Where an element is not finite, the
// error is a [*NonFiniteError].
func (t *Trainer) GradNorm() (float64, error) {
	unlock, err := t.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	sum := 0.0
	var bad NonFiniteError
	for i := range t.learners {
		l := &t.learners[i]
		a := binding.SquareSumArgs{X: t.grads.addr(l.buf), N: int64(l.n * l.k)}
		if err := t.e.d.SquareSum(&a); err != nil {
			return 0, err
		}
		if a.Nonfinite > 0 {
			bad.Elements += a.Nonfinite
			for _, p := range l.parts {
				bad.Tensors = append(bad.Tensors, p.name)
			}
		}
		sum += a.Sum
	}
	if bad.Elements > 0 {
		return math.Sqrt(sum), &bad
	}
	return math.Sqrt(sum), nil
}

// Step updates the weights by the gradients, whose global norm is norm, and gives them to the kernels. The engine's next call uses them.
func (t *Trainer) Step(a AdamW, norm float64) error {
	if err := a.check(); err != nil {
		return err
	}
	if math.IsNaN(norm) || math.IsInf(norm, 0) || norm < 0 {
		return fmt.Errorf("engine: adamw: the gradient's norm is %v", norm)
	}
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	scale := 1.0
	if a.MaxGradNorm > 0 {
		// As torch.nn.utils.clip_grad_norm_.
		scale = min(1, a.MaxGradNorm/(norm+1e-6))
	}
	t.step++
	for i := range t.learners {
		l := &t.learners[i]
		lr, decay := a.LR, a.WeightDecay
		if g := t.group(l.parts[0].name); g != nil {
			lr *= g.LRScale
			if g.WeightDecay != nil {
				decay = *g.WeightDecay
			}
		}
		if !l.decays {
			decay = 0
		}
		err := t.e.d.AdamW(&binding.AdamWArgs{W: l.master.Addr(), M: l.m.Addr(), V: l.v.Addr(), G: t.grads.addr(l.buf), N: int64(l.n * l.k), Step: t.step,
			LR: lr, Beta1: a.Beta1, Beta2: a.Beta2, Epsilon: a.Epsilon, WeightDecay: decay, GradScale: scale})
		if err != nil {
			return err
		}
		if err := t.publish(l); err != nil {
			return err
		}
	}
	return nil
}

// publish packs a learner's master for the kernels.
func (t *Trainer) publish(l *learner) error {
	if !l.packed {
		return nil
	}
	return t.e.d.Pack(&binding.PackArgs{DType: t.e.opts.DType.abi(), DTypeSrc: binding.F32, Src: l.master.Addr(), Packed: l.buf.Addr(),
		N: int64(l.n), K: int64(l.k), Rows: int64(l.n), Ld: int64(l.k)})
}

func (t *Trainer) group(name string) *ParameterGroup {
	for i := range t.opts.Groups {
		if strings.HasPrefix(name, t.opts.Groups[i].Prefix) {
			return &t.opts.Groups[i]
		}
	}
	return nil
}

// Steps is how many optimizer steps the trainer has made, those before a resumption included.
func (t *Trainer) Steps() int64 { return t.step }
