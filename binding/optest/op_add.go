package optest

import "github.com/thinker-vl/thinker/binding"

// add: y[i] = a[i] + b[i]; inPlace is the operand that y is, "", "a" or "b".
type add struct {
	dtype   uint32
	n       int
	inPlace string
	gen     gen
}

func (s add) operands() []operand {
	k := kind(s.dtype)
	os := []operand{
		{name: "a", kind: k, rows: 1, cols: s.n, gen: s.gen},
		{name: "b", kind: k, rows: 1, cols: s.n, gen: s.gen},
		{name: "y", role: Out, kind: k, rows: 1, cols: s.n},
	}
	switch s.inPlace {
	case "a":
		os[0].role = InOut
		return os[:2]
	case "b":
		os[1].role = InOut
		return os[:2]
	}
	return os
}

func (s add) y() string {
	if s.inPlace != "" {
		return s.inPlace
	}
	return "y"
}

func (s add) args(m Memory) any {
	return &binding.AddArgs{DType: s.dtype, A: m.at("a"), B: m.at("b"), Y: m.at(s.y()), N: uint64(s.n)}
}

// One float32 addition, rounded once more for bf16, is defined to the bit.
func (s add) reference(t tensors) {
	a, b := t.values("a"), t.values("b")
	t.expectBits(s.y(), func(_, i int) float32 { return a[i] + b[i] })
}

func (s add) work() Work {
	n := float64(s.n * binding.DTypeBytes(s.dtype))
	return Work{FLOPs: float64(s.n), Read: 2 * n, Written: n}
}

func addCases() (cs []Case) {
	for _, dtype := range dtypes {
		for _, n := range []int{0, 1, 15, 16, 17, 33, 1000, 70001} {
			cs = append(cs, newCase("add", dtype, add{dtype, n, "", normal(1)}, "n", n))
		}
		cs = append(cs,
			newCase("add", dtype, add{dtype, 333, "a", normal(1)}, "n", 333, "y", "a"),
			newCase("add", dtype, add{dtype, 333, "b", normal(1)}, "n", 333, "y", "b"),
			newCase("add", dtype, add{dtype, 500, "", wide(40)}, "n", 500, "wide", true),
			newCase("add", dtype, add{dtype, 60, "", constant(0)}, "n", 60, "zeros", true),
			bench(newCase("add", dtype, add{dtype, 240 * 2048, "a", normal(1)}, "n", 240*2048, "y", "a")),
			bench(newCase("add", dtype, add{dtype, 4096 * 2048, "", normal(1)}, "n", 4096*2048)),
		)
	}
	return cs
}
