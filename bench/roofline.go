package bench

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// A Roof is what limits an op.
type Roof uint8

// The roofs, in the order of binding's ceilings.
const (
	RoofFMA  Roof = Roof(binding.CeilingFMA)  // f32 multiply-adds, FLOP/s
	RoofDot  Roof = Roof(binding.CeilingDot)  // bf16 dot products, FLOP/s
	RoofRead Roof = Roof(binding.CeilingRead) // bytes/s read
	RoofCopy Roof = Roof(binding.CeilingCopy) // bytes/s read and written
	RoofTile Roof = Roof(binding.CeilingTile) // bf16 products on tiles, FLOP/s; 0 where there are none
)

func (r Roof) String() string {
	names := [...]string{"none", "fma", "dot", "read", "copy", "tile"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("Roof(%d)", uint8(r))
}

// Memory reports whether the roof is the memory's bandwidth.
func (r Roof) Memory() bool { return r == RoofRead || r == RoofCopy }

// Ceilings are the heights of the roofs, in FLOP/s or bytes/s, by Roof.
type Ceilings [RoofTile + 1]float64

// arithmetic is the compute roof that an op stands under: that of the instructions that do its products.
func arithmetic(c optest.Case, at Ceilings) Roof {
	if c.DType == binding.BF16 {
		switch c.Op {
		case "matmul", "patch_embed", "attention", "attention_paged", "logprob":
			if at[RoofTile] > 0 {
				return RoofTile
			}
			return RoofDot
		}
	}
	return RoofFMA
}

// traffic splits an op's bytes: those written, and as many of those read, move as in a copy; the rest is only read. An op that
// writes more than it reads is a copy throughout.
func traffic(w optest.Work) (copied, read float64) {
	if w.Written > w.Read {
		return w.Read + w.Written, 0
	}
	return 2 * w.Written, w.Read - w.Written
}

// Floor is the least time in seconds that a case can take under the ceilings, and the roof that says so: the later of the FLOPs at
// their peak and the bytes at the bandwidths (Williams, Waterman and Patterson, "Roofline", 2009; the two are taken to overlap
// perfectly, and every operand to move once). Of the memory's roofs it names the one that more of the bytes stand under.
func Floor(c optest.Case, at Ceilings) (Roof, float64) {
	w := c.Work()
	copied, read := traffic(w)
	compute, memory := arithmetic(c, at), RoofRead
	if copied > read {
		memory = RoofCopy
	}
	tc, tm := w.FLOPs/at[compute], copied/at[RoofCopy]+read/at[RoofRead]
	if tc >= tm {
		return compute, tc
	}
	return memory, tm
}
