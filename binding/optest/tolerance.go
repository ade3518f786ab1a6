package optest

import (
	"fmt"
	"math"
)

// A tolerance is how far an output may be from the reference. See the package comment for the rule.
type tolerance struct {
	abs      float64 // 2 max |naive - ref|
	norm     float64 // 2 |naive - ref| / |ref|, in norm
	roundoff float64
}

// outputsNeeded is how many outputs the error of the naive loop is taken over.
const outputsNeeded = 64

// redrawWork bounds what is spent on redrawing, in FLOPs and 20 for each byte of memory.
const redrawWork = 30e6

// A skewed op's errors lie in few of its outputs, and those do not stand for the others: the error of its naive loop is taken over more
// draws.
type skewed interface{ draws() int }

// tolerance of output name, over this problem and as many redrawn ones as it takes.
func (p *Problem) tolerance(name string) tolerance {
	if tol, ok := p.scale[name]; ok {
		return tol
	}
	p.solve()
	t := p.tensors[name]
	tol := tolerance{roundoff: t.kind.roundoff()}
	outputs, draws, spent := 0, 1, 0.0
	if s, ok := p.spec.(skewed); ok {
		draws = s.draws()
	}
	for n := uint64(0); ; n++ {
		abs, norm := distance(t.naive, t.ref)
		tol.abs, tol.norm = max(tol.abs, 2*abs), max(tol.norm, 2*norm)
		if t.rough != nil {
			abs, norm = distance(t.rough, t.ref)
			tol.abs, tol.norm = max(tol.abs, 2*abs), max(tol.norm, 2*norm)
		}
		outputs += len(t.ref)
		spent += p.Work().FLOPs + 20*p.Work().Read
		if outputs == 0 || outputs >= outputsNeeded && n+1 >= uint64(draws) || spent > redrawWork {
			break
		}
		q := p.Case.draw(n + 1)
		q.solve()
		t = q.tensors[name]
	}
	if p.scale == nil {
		p.scale = map[string]tolerance{}
	}
	p.scale[name] = tol
	return tol
}

// distance is max |a - b| and |a - b| / |b| over the elements where both are finite.
func distance(a, b []float64) (abs, norm float64) {
	var diff, size float64
	for i := range a {
		if !finite(a[i]) || !finite(b[i]) {
			continue
		}
		e := math.Abs(a[i] - b[i])
		abs = max(abs, e)
		diff += e * e
		size += b[i] * b[i]
	}
	if size > 0 {
		norm = math.Sqrt(diff / size)
	}
	return abs, norm
}

func finite(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }

// checkValues holds every element of an output against the reference.
func (t *tensor) checkValues(memory []byte, tol tolerance) error {
	got := make([]float64, t.rows*t.cols)
	var largest float64
	for i := range t.rows {
		for j := range t.cols {
			got[i*t.cols+j] = t.kind.load(memory, t.index(i, j))
		}
	}
	if len(t.ref) != len(got) {
		return fmt.Errorf("%s: the reference has %d elements of %d", t.name, len(t.ref), len(got))
	}
	for _, v := range t.ref {
		if finite(v) {
			largest = max(largest, math.Abs(v))
		}
	}
	limit := tol.abs + 2*tol.roundoff*(largest+0.3)
	worst, at := 0.0, -1
	for i, want := range t.ref {
		g := got[i]
		if !finite(want) || !finite(t.naive[i]) || !finite(g) {
			// Not a number, infinite, or beyond the dtype's range: as the naive loop has it.
			if n := t.naive[i]; g != n && (g == g || n == n) {
				return fmt.Errorf("%s[%d %d] is %v, want %v", t.name, i/t.cols, i%t.cols, g, n)
			}
			continue
		}
		if e := math.Abs(g - want); e > worst {
			worst, at = e, i
		}
	}
	if worst > limit {
		return fmt.Errorf("%s[%d %d] is %.9g, want %.9g: off by %.3g, tolerance %.3g (naive: %.9g)", t.name, at/t.cols, at%t.cols, got[at], t.ref[at], worst, limit, t.naive[at])
	}
	if _, norm := distance(got, t.ref); norm > tol.norm+2*tol.roundoff {
		return fmt.Errorf("%s is off by %.3g in norm, tolerance %.3g", t.name, norm, tol.norm+2*tol.roundoff)
	}
	return nil
}

// checkBits holds an output against its exact bits. Any NaN is as good as another, and where the result is subnormal, 0 will do: the
// bf16 conversions of AVX-512 flush.
func (t *tensor) checkBits(memory []byte) error {
	e := t.kind.bytes()
	for i := range len(memory) / e {
		if string(memory[i*e:(i+1)*e]) == string(t.exact[i*e:(i+1)*e]) {
			continue
		}
		if t.kind.float() {
			g, w := t.kind.get(memory, i), t.kind.get(t.exact, i)
			before := string(t.before[i*e : (i+1)*e])
			written := string(t.exact[i*e:(i+1)*e]) != before && string(memory[i*e:(i+1)*e]) != before
			if g != g && w != w && written || g == 0 && w != 0 && math.Abs(float64(w)) < 0x1p-126 {
				continue
			}
			return fmt.Errorf("%s: element %d of its memory (row %d, column %d if row-major) is %v (%#x), want %v (%#x)", t.name, i, i/max(t.ld, 1), i%max(t.ld, 1), g, memory[i*e:(i+1)*e], w, t.exact[i*e:(i+1)*e])
		}
		return fmt.Errorf("%s: element %d is %v, want %v", t.name, i, t.show(memory, i), t.show(t.exact, i))
	}
	return nil
}
