package bench

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// Ceilings are what a device can do at most, measured: FLOP/s of the f32 FMA and the bf16 dot product from registers, bytes/s
// read, and read plus written by a copy, over memory far larger than the caches.
type Ceilings struct {
	FMA, Dot, Read, Copy float64
}

// better keeps the larger of each ceiling: noise only ever lowers a measurement.
func (c Ceilings) better(o Ceilings) Ceilings {
	return Ceilings{max(c.FMA, o.FMA), max(c.Dot, o.Dot), max(c.Read, o.Read), max(c.Copy, o.Copy)}
}

// probe measures the ceilings once; memory is what Read and Copy go over.
func probe(d *binding.Device, memory *binding.Buffer) (Ceilings, error) {
	var c Ceilings
	for _, p := range []struct {
		kind    binding.Ceiling
		buf     *binding.Buffer
		repeats int
		to      *float64
	}{
		{binding.CeilingFMA, nil, 1 << 21, &c.FMA},
		{binding.CeilingDot, nil, 1 << 21, &c.Dot},
		{binding.CeilingRead, memory, 1, &c.Read},
		{binding.CeilingCopy, memory, 1, &c.Copy},
	} {
		v, err := d.Probe(p.kind, p.buf, p.repeats)
		if err != nil {
			return c, err
		}
		*p.to = v
	}
	return c, nil
}

// A Roof is the ceiling that binds an op, and the least time that it leaves.
type Roof struct {
	Name    string // "dot", "fma", "read" or "copy"
	Seconds float64
}

// RoofOf is the roofline model. Arithmetic runs at the dot-product peak where the op's definition is a product of bf16 operands, at
// the FMA peak elsewhere. Bytes that are only read move at the read bandwidth; bytes written, and as many of the bytes read beside
// them, at that of a copy. The later of arithmetic and bytes binds.
func RoofOf(c optest.Case, ceilings Ceilings) Roof {
	w := c.Work()
	peak, name := ceilings.FMA, "fma"
	if c.DType == binding.BF16 {
		switch c.Op {
		case "matmul", "patch_embed", "attention", "attention_paged", "logprob":
			peak, name = ceilings.Dot, "dot"
		}
	}
	compute := w.FLOPs / peak
	copied := 2 * min(w.Read, w.Written)
	if w.Written > w.Read { // the rest is written without a read: at the copy's rate too
		copied = w.Read + w.Written
	}
	memory := copied/ceilings.Copy + max(0, w.Read-w.Written)/ceilings.Read
	if compute > memory {
		return Roof{name, compute}
	}
	if copied > w.Read/2 {
		return Roof{"copy", memory}
	}
	return Roof{"read", memory}
}

// Rate formats what was done in seconds in the unit of the roof: GFLOP/s, or GB/s of operands.
func (r Roof) Rate(c optest.Case, seconds float64) (float64, string) {
	w := c.Work()
	if r.Name == "dot" || r.Name == "fma" {
		return w.FLOPs / seconds / 1e9, "GFLOP/s"
	}
	return (w.Read + w.Written) / seconds / 1e9, "GB/s"
}

func (c Ceilings) String() string {
	return fmt.Sprintf("fma %.0f GFLOP/s, dot %.0f GFLOP/s, read %.1f GB/s, copy %.1f GB/s", c.FMA/1e9, c.Dot/1e9, c.Read/1e9, c.Copy/1e9)
}
