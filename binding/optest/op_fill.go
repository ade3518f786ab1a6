package optest

import (
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// fill: x[0..n) = value.
type fill struct {
	dtype uint32
	n     int
	value float32
}

func (s fill) operands() []operand {
	return []operand{{name: "x", role: Out, kind: kind(s.dtype), rows: 1, cols: s.n}}
}

func (s fill) args(m Memory) any {
	return &binding.FillArgs{DType: s.dtype, X: m.at("x"), N: uint64(s.n), Value: s.value}
}

func (s fill) reference(t tensors) { t.expectBits("x", func(i, j int) float32 { return s.value }) }

func (s fill) work() Work { return Work{Written: float64(s.n * binding.DTypeBytes(s.dtype))} }

func fillCases() (cs []Case) {
	for _, dtype := range dtypes {
		for _, n := range []int{0, 1, 7, 16, 31, 33, 1000, 65537} {
			cs = append(cs, newCase("fill", dtype, fill{dtype, n, 3.14159}, "n", n))
		}
		past := 4<<20/binding.DTypeBytes(dtype) + 37 // the caches
		cs = append(cs, newCase("fill", dtype, fill{dtype, past, 0.1}, "n", past))
		for _, v := range []float32{0, -1.5, 1e30, float32(math.Inf(-1)), 0x1.01p0, 0x1.03p0} {
			cs = append(cs, newCase("fill", dtype, fill{dtype, 37, v}, "n", 37, "value", v))
		}
		cs = append(cs, bench(newCase("fill", dtype, fill{dtype, 64 << 20, 1}, "n", 64<<20)))
	}
	return cs
}
