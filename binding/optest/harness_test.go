package optest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// answer is a result that holds what p's outputs must be, with the naive loop's rounding.
func answer(p *Problem) *Result {
	p.solve()
	r := &Result{memory: map[string][]byte{}}
	for _, name := range p.outputs() {
		t := p.tensors[name]
		if t.exact != nil {
			r.memory[name] = append([]byte(nil), t.exact...)
			continue
		}
		b := append([]byte(nil), t.before...)
		for i, v := range t.naive {
			t.kind.store(b, t.index(i/t.cols, i%t.cols), v)
		}
		r.memory[name] = b
	}
	return r
}

// TestCheck: the naive loop's own results pass; an element that was never written, or one that is off by more than the tolerance,
// fails.
func TestCheck(t *testing.T) {
	if !checked {
		t.Skip("there are no references in this build")
	}
	if testing.Short() {
		t.Skip("the references alone, which call nothing that others do")
	}
	for _, cases := range byOp(tested()) {
		t.Run(cases[0].Op, func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				if c.Op == "sample" || c.Work().FLOPs > 2e6 {
					continue // the naive loop draws nothing; the large cases are as the small ones
				}
				checkRefuses(t, c)
			}
		})
	}
}

// checkRefuses: a case's right answer passes, and fails once an element of an output is NaN or off.
func checkRefuses(t *testing.T, c Case) {
	p := c.New()
	if err := p.Check(answer(p)); err != nil {
		t.Error(err)
	}
	p.solve()
	for _, name := range p.outputs() {
		o := p.tensors[name]
		n := o.rows * o.cols
		if n == 0 || o.exact != nil && string(o.exact) == string(o.before) {
			continue
		}
		i := n / 2
		r := answer(p)
		at := o.index(i/o.cols, i%o.cols)
		got := o.kind.load(r.memory[name], at)
		if got != got || math.IsInf(got, 0) {
			continue
		}
		o.kind.store(r.memory[name], at, math.NaN())
		if p.Check(r) == nil {
			t.Errorf("%s: NaN in %s[%d] passes", c, name, i)
		}
		step := tolerance{roundoff: o.kind.roundoff()}
		if o.exact == nil {
			step = p.tolerance(name)
		}
		var largest float64
		for _, v := range o.ref {
			if finite(v) {
				largest = max(largest, math.Abs(v))
			}
		}
		off := got + 3*step.abs + 10*step.roundoff*(largest+math.Abs(got)+0.3)
		o.kind.store(r.memory[name], at, off)
		if p.Check(r) == nil {
			t.Errorf("%s: %s[%d] of %v instead of %v passes", c, name, i, off, got)
		}
	}
}

// TestCheckAnswers: what an op answers in its args struct is checked too.
func TestCheckAnswers(t *testing.T) {
	if !checked {
		t.Skip("there are no references in this build")
	}
	p := problem("square_sum", binding.F32, squareSum{5000, listed(1, 2, float32(math.NaN()))})
	const good = 1667*1 + 1667*4.0
	for _, tc := range []struct {
		sum, nonfinite float64
		ok             bool
	}{{good, 1666, true}, {good, 1667, false}, {good + 1e-6, 1666, false}, {good - 1, 1666, false}, {math.NaN(), 1666, false}} {
		r := &Result{memory: map[string][]byte{"x": p.tensors["x"].before}, answers: []float64{tc.sum, tc.nonfinite}}
		if err := p.Check(r); (err == nil) != tc.ok {
			t.Errorf("%v and %v: %v", tc.sum, tc.nonfinite, err)
		}
		if err := p.Same(r, &Result{memory: r.memory, answers: []float64{good, 1666}}); (err == nil) != tc.ok {
			t.Errorf("%v and %v are the same as the right answers: %v", tc.sum, tc.nonfinite, err)
		}
	}
}

// TestCheckRefusesMutants: what a wrong kernel would give fails.
func TestCheckRefusesMutants(t *testing.T) {
	for _, tc := range []struct {
		name string
		good func(dtype uint32) spec
		bad  func(dtype uint32, t tensors) spec // may change the contents too; nil is the good one
	}{
		{"matmul without its last k", func(d uint32) spec {
			return matmul{dtype: d, dtypeY: d, m: 13, n: 100, k: 129, x: normal(1), w: unit}
		}, func(d uint32, t tensors) spec {
			for i := range 13 {
				t["x"].dense[i*129+128] = 0
			}
			return nil
		}},
		{"matmul with the next column's bias", func(d uint32) spec {
			return matmul{dtype: d, dtypeY: d, m: 3, n: 100, k: 40, bias: true, x: normal(1), w: unit}
		}, func(d uint32, t tensors) spec {
			b := t["bias"].dense
			copy(b, append(append([]float32(nil), b[1:]...), b[0]))
			return nil
		}},
		{"rmsnorm without eps", func(d uint32) spec {
			return rmsnorm{dtype: d, rows: 4, cols: 96, eps: 1e-6, rstd: true, x: normal(1e-3)}
		}, func(d uint32, t tensors) spec {
			return rmsnorm{dtype: d, rows: 4, cols: 96, eps: 1e-30, rstd: true, x: normal(1e-3)}
		}},
		{"gelu by tanh", func(d uint32) spec { return gelu{dtype: binding.F32, rows: 4, cols: 200, x: normal(2)} }, func(d uint32, t tensors) spec {
			for i, x := range t["x"].dense { // the argument for which the exact form gives the approximation
				v := float64(x)
				want := v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
				if v > 0 {
					t["x"].dense[i] += float32(want - v/2*(1+math.Erf(v/math.Sqrt2)))
				}
			}
			return nil
		}},
		{"rope turned back", func(d uint32) spec { return rope{dtype: d, rows: 5, heads: 2, dim: 16, x: normal(1)} }, func(d uint32, t tensors) spec {
			return rope{dtype: d, rows: 5, heads: 2, dim: 16, inverse: true, x: normal(1)}
		}},
		{"attention that sees the next key", func(d uint32) spec {
			return attention{dtype: d, heads: 2, kvHeads: 1, dim: 16, lengths: []int{90}, causal: true, lse: true, q: normal(1)}
		}, func(d uint32, t tensors) spec {
			return attention{dtype: d, heads: 2, kvHeads: 1, dim: 16, lengths: []int{90}, causal: false, lse: true, q: normal(1)}
		}},
		{"attention's gradients where the next key is seen", func(d uint32) spec {
			return attentionBackward{attention: attention{dtype: d, heads: 2, kvHeads: 1, dim: 16, lengths: []int{90}, causal: true, q: normal(1)}}
		}, func(d uint32, t tensors) spec {
			return attentionBackward{attention: attention{dtype: d, heads: 2, kvHeads: 1, dim: 16, lengths: []int{90}, q: normal(1)}}
		}},
		{"attention's gradients without a suffix's part in its prefix", func(d uint32) spec {
			return attentionBackward{attention: attention{dtype: d, heads: 2, kvHeads: 1, dim: 16, lengths: []int{90, 3}, prefix: []int32{-1, 0}, causal: true, q: normal(1)}}
		}, func(d uint32, t tensors) spec {
			return attentionBackward{attention: attention{dtype: d, heads: 2, kvHeads: 1, dim: 16, lengths: []int{90, 3}, prefix: []int32{-1, -1}, causal: true, q: normal(1)}}
		}},
		{"paged attention without its first key", func(d uint32) spec {
			return attentionPaged{dtype: d, heads: 2, kvHeads: 1, dim: 16, nq: []int{1}, kvLen: []int{130}, lse: true, unseen: 1, q: normal(1)}
		}, func(d uint32, t tensors) spec {
			s := attentionPaged{dtype: d, heads: 2, kvHeads: 1, dim: 16, nq: []int{1}, kvLen: []int{130}}
			table, _, _ := s.tables()
			for c := range 16 {
				s.page().kind.put(t["pages"].before[int(table[0])*s.pageStride():], s.page().key(0, 0, c), -10)
			}
			return nil
		}},
		{"logprob of a banned chunk", func(d uint32) spec {
			return logprob{dtype: d, rows: 3, n: 2100, k: 16, inv: 1, ban: func(j int) bool { return j < 1024 }, targets: []int32{1500, 1600, 1700}, entropy: true, lse: true, x: normal(1), w: normal(0.5)}
		}, func(d uint32, t tensors) spec {
			return logprob{dtype: d, rows: 3, n: 2100, k: 16, inv: 1, ban: func(j int) bool { return j < 1023 }, targets: []int32{1500, 1600, 1700}, entropy: true, lse: true, x: normal(1), w: normal(0.5)}
		}},
		{"logprob at another temperature", func(d uint32) spec {
			return logprob{dtype: d, rows: 3, n: 640, k: 16, inv: 1.25, targets: []int32{1, 2, 3}, entropy: true, lse: true, x: normal(1), w: normal(0.5)}
		}, func(d uint32, t tensors) spec {
			return logprob{dtype: d, rows: 3, n: 640, k: 16, inv: 1.2501, targets: []int32{1, 2, 3}, entropy: true, lse: true, x: normal(1), w: normal(0.5)}
		}},
	} {
		for _, dtype := range dtypes {
			t.Run(fmt.Sprintf("%s/%v", tc.name, kind(dtype)), func(t *testing.T) {
				good := problem("mutant", dtype, tc.good(dtype))
				mutant := problem("mutant", dtype, tc.good(dtype))
				if s := tc.bad(dtype, mutant.tensors); s != nil {
					mutant.spec = s
				}
				if err := good.Check(answer(mutant)); err == nil {
					t.Error("the mutant passes")
				} else {
					t.Log(err)
				}
			})
		}
	}
}

// TestReadFindsWrites: what is written outside the outputs is found.
func TestReadFindsWrites(t *testing.T) {
	d := open(t, binding.ISAAuto, 1)
	for _, tc := range []struct {
		name, operand string
		at            func(t *tensor) int // byte from the operand's start
		want          string
	}{
		{"before", "y", func(*tensor) int { return -1 }, "before y"},
		{"after", "y", func(o *tensor) int { return o.size() }, "after y"},
		{"gap", "y", func(o *tensor) int { return o.cols * 4 }, "gap after row 0"},
		{"input", "x", func(*tensor) int { return 5 }, "x was written"},
		{"input's gap", "x", func(o *tensor) int { return o.cols * 4 }, "x was written"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := problem("gelu", binding.F32, gelu{dtype: binding.F32, rows: 3, cols: 5, ldx: 7, ldy: 8, x: normal(1)})
			l, err := p.place(d)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			at := l.memory[tc.operand].Addr + uint64(tc.at(p.tensors[tc.operand]))
			if err := copyBytes(d, at, []byte{1}, true); err != nil {
				t.Fatal(err)
			}
			if _, err := l.read(false); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestPackedIndex holds the layouts' formulas against the header's words: lanes of 32 bits, panels of 32 columns.
func TestPackedIndex(t *testing.T) {
	const n, k = 70, 9
	for _, kd := range []kind{f32, bf16} {
		per := 4 / kd.bytes() // elements a lane
		steps := (k + per - 1) / per
		for i := range n {
			for j := range k {
				lane := (i/32*steps+j/per)*32 + i%32
				if got, want := packedIndex(kd, k, i, j), lane*per+j%per; got != want {
					t.Fatalf("%v: W[%d][%d] is at %d, want %d", kd, i, j, got, want)
				}
			}
		}
		p := kvPage{kd, 3, 22}
		for h := range 3 {
			tile := h * 4 * ((22/per)*64 + 64/per*32) / kd.bytes()
			for offset := range 64 {
				for c := range 22 {
					if got, want := p.key(offset, h, c), tile+(c/per*64+offset)*per+c%per; got != want {
						t.Fatalf("%v: key %d, head %d, element %d is at %d, want %d", kd, offset, h, c, got, want)
					}
					if got, want := p.value(offset, h, c), tile+22/per*64*per+(offset/per*32+c)*per+offset%per; got != want {
						t.Fatalf("%v: value %d, head %d, element %d is at %d, want %d", kd, offset, h, c, got, want)
					}
				}
			}
		}
	}
}

// TestChiSquare: a fair die passes, a loaded one and an impossible face do not.
func TestChiSquare(t *testing.T) {
	expected := []float64{100, 100, 100, 100, 100, 100, 0}
	if err := chiSquare([]int{105, 93, 110, 88, 99, 105, 0}, expected); err != nil {
		t.Error(err)
	}
	if chiSquare([]int{180, 80, 85, 85, 85, 85, 0}, expected) == nil {
		t.Error("a loaded die passes")
	}
	if chiSquare([]int{100, 100, 100, 100, 100, 99, 1}, expected) == nil {
		t.Error("an impossible face passes")
	}
}
