package optest

import (
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// squareBlock is how many elements are summed by themselves.
const squareBlock = 4096

// squareSum: the sum of the squares of x, and how many elements are not finite.
type squareSum struct {
	n int
	x gen
}

func (s squareSum) operands() []operand {
	return []operand{{name: "x", kind: f32, rows: 1, cols: s.n, gen: s.x}}
}

func (s squareSum) args(m Memory) any { return &binding.SquareSumArgs{X: m.at("x"), N: int64(s.n)} }

func (s squareSum) reference(tensors) {}

func (s squareSum) answers(args any) []float64 {
	a := args.(*binding.SquareSumArgs)
	return []float64{a.Sum, float64(a.Nonfinite)}
}

// expectAnswers: block by block, in order. The order within a block is the op's own; what it can change is at most 2^-53 of the sum for
// each addition, there and here.
func (s squareSum) expectAnswers(t tensors) (want, within []float64) {
	var sum, nonfinite float64
	x := t.values("x")
	for at := 0; at < len(x); at += squareBlock {
		var block float64
		for _, v := range x[at:min(at+squareBlock, len(x))] {
			if v := float64(v); finite(v) {
				block += v * v
			} else {
				nonfinite++
			}
		}
		sum += block
	}
	return []float64{sum, nonfinite}, []float64{sum * 2 * squareBlock * 0x1p-53, 0}
}

func (s squareSum) work() Work { return Work{FLOPs: 2 * float64(s.n), Read: 4 * float64(s.n)} }

func squareSumCases() (cs []Case) {
	c := func(s squareSum, kv ...any) Case {
		if s.x == nil {
			s.x = normal(1)
		}
		return newCase("square_sum", binding.F32, s, append([]any{"n", s.n}, kv...)...)
	}
	for _, n := range []int{0, 1, 3, 7, 8, 31, 32, 33, 64, 1000, 4095, 4096, 4097, 12291, 150001} {
		cs = append(cs, c(squareSum{n: n}))
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	return append(cs,
		c(squareSum{n: 600*squareBlock + 77, x: listed(1, -2, 3, 0.5)}), // more blocks than have their sums kept at a time
		c(squareSum{n: 600*squareBlock + 79, x: listed(append(make([]float32, 500*squareBlock), nan, 1, inf, 2)...)}, "x", "late nan"),
		c(squareSum{n: 70, x: wide(60)}, "x", "wide"),
		c(squareSum{n: 5000, x: constant(3e38)}, "x", "large"), // whose squares are beyond f32
		c(squareSum{n: 5000, x: constant(1e-30)}, "x", "small"),
		c(squareSum{n: 9001, x: listed(append(make([]float32, 99), nan, 1, 2, inf, 3, -inf)...)}, "x", "nonfinite"),
		c(squareSum{n: squareBlock * 2, x: constant(nan)}, "x", "nan"),
		bench(c(squareSum{n: 1 << 24})),
	)
}

// squareSumProperties: the sum is that of its blocks, each by itself, in order.
func squareSumProperties() []Property {
	return []Property{property("square_sum/blocks", func(d *binding.Device) error {
		const n = 600*squareBlock + 1234
		p := problem("square_sum", binding.F32, squareSum{n, normal(1)})
		var sum float64
		whole, err := p.runWith(d, func(args any) error {
			a := args.(*binding.SquareSumArgs)
			b := *a
			for left := a.N; left > 0; left -= squareBlock {
				b.N = min(squareBlock, left)
				if err := d.SquareSum(&b); err != nil {
					return err
				}
				sum += b.Sum
				b.X += 4 * squareBlock
			}
			return d.SquareSum(a)
		})
		if err == nil && whole.answers[0] != sum {
			err = fmt.Errorf("the sum is %v, of blocks one by one %v", whole.answers[0], sum)
		}
		return err
	})}
}
