package optest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A scalarBlock is a pre-norm transformer block out of the scalar references, forward and backward in double precision.
type scalarBlock struct {
	name                               string
	rows, hidden, heads, kv, dim, wide int
	bias                               bool // on every projection, as in the vision tower; else on q, k and v alone
	cos, sin                           []float64
	segments                           []scalarSegment
	causal                             bool

	x, rstd1, y1, qkv, attn, lse, mid, rstd2, y2, gateUp, act []float64
}

// A scalarSegment is rows lo to hi, which see rows prefix[0] to prefix[1] and then their own.
type scalarSegment struct {
	lo, hi int
	prefix [2]int
}

// scalarParams are a model's parameters, or their gradients, by name.
type scalarParams map[string][]float64

func (p scalarParams) grow(r *rand.Rand, name string, n int, mean, scale float64) {
	p[name] = make([]float64, n)
	for i := range p[name] {
		p[name][i] = mean + scale*r.NormFloat64()
	}
}

func (b *scalarBlock) width() int { return (b.heads + 2*b.kv) * b.dim }

func (b *scalarBlock) parameters(r *rand.Rand, p scalarParams) {
	p.grow(r, b.name+"norm1", b.hidden, 1, 0.2)
	p.grow(r, b.name+"norm2", b.hidden, 1, 0.2)
	linear := func(name string, n, k int, bias bool) {
		p.grow(r, b.name+name, n*k, 0, 1/math.Sqrt(float64(k)))
		if bias {
			p.grow(r, b.name+name+".bias", n, 0, 0.3)
		}
	}
	linear("qkv", b.width(), b.hidden, true)
	linear("out", b.hidden, b.heads*b.dim, b.bias)
	linear("gate_up", 2*b.wide, b.hidden, b.bias)
	linear("down", b.hidden, b.wide, b.bias)
}

// columns cuts columns lo to hi out of rows of n.
func columns(x []float64, n, lo, hi int) []float64 {
	var y []float64
	for i := 0; i < len(x); i += n {
		y = append(y, x[i+lo:i+hi]...)
	}
	return y
}

// addColumns adds y to columns lo and on of rows of n.
func addColumns(x []float64, n, lo int, y []float64, w int) {
	for i := range len(x) / n {
		for j := range w {
			x[i*n+lo+j] += y[i*w+j]
		}
	}
}

// attend calls f for every segment with its rows, and the rows of its keys.
func (b *scalarBlock) attend(f func(s scalarSegment, keys []int, seen func(i int) int)) {
	for _, s := range b.segments {
		var keys []int
		for i := s.prefix[0]; i < s.prefix[1]; i++ {
			keys = append(keys, i)
		}
		before := len(keys)
		for i := s.lo; i < s.hi; i++ {
			keys = append(keys, i)
		}
		f(s, keys, func(i int) int {
			if b.causal {
				return before + i + 1
			}
			return len(keys)
		})
	}
}

// split is q, k and v of all rows.
func (b *scalarBlock) split(qkv []float64) (q, k, v []float64) {
	h, kv := b.heads*b.dim, b.kv*b.dim
	return columns(qkv, b.width(), 0, h), columns(qkv, b.width(), h, h+kv), columns(qkv, b.width(), h+kv, h+2*kv)
}

func take(x []float64, rows []int, n int) []float64 {
	var y []float64
	for _, i := range rows {
		y = append(y, x[i*n:(i+1)*n]...)
	}
	return y
}

// turn applies RoPE to q and k, which are the first heads of a row.
func (b *scalarBlock) turn(qkv []float64, inverse bool) []float64 {
	n := (b.heads + b.kv) * b.dim
	turned := refRope(columns(qkv, b.width(), 0, n), b.cos, b.sin, b.rows, b.heads+b.kv, b.dim, inverse)
	out := slices.Clone(qkv)
	for i := range b.rows {
		copy(out[i*b.width():], turned[i*n:(i+1)*n])
	}
	return out
}

func (b *scalarBlock) scale() float64 { return 1 / math.Sqrt(float64(b.dim)) }

func (b *scalarBlock) forward(p scalarParams, x []float64) []float64 {
	at := func(s string) []float64 { return p[b.name+s] }
	b.x = x
	b.y1, b.rstd1 = refRMSNorm(x, at("norm1"), b.rows, b.hidden, 1e-6)
	b.qkv = b.turn(refMatMul(b.y1, at("qkv"), at("qkv.bias"), nil, b.rows, b.width(), b.hidden), false)
	q, k, v := b.split(b.qkv)
	h, kv := b.heads*b.dim, b.kv*b.dim
	b.attn, b.lse = make([]float64, b.rows*h), make([]float64, b.rows*b.heads)
	b.attend(func(s scalarSegment, keys []int, seen func(i int) int) {
		out, lse := refAttention(q[s.lo*h:s.hi*h], take(k, keys, kv), take(v, keys, kv), s.hi-s.lo, b.heads, b.kv, b.dim, b.scale(), seen, func(x float64) float64 { return x })
		copy(b.attn[s.lo*h:], out)
		copy(b.lse[s.lo*b.heads:], lse)
	})
	b.mid = refMatMul(b.attn, at("out"), at("out.bias"), x, b.rows, b.hidden, h)
	b.y2, b.rstd2 = refRMSNorm(b.mid, at("norm2"), b.rows, b.hidden, 1e-6)
	b.gateUp = refMatMul(b.y2, at("gate_up"), at("gate_up.bias"), nil, b.rows, 2*b.wide, b.hidden)
	b.act = refSwiGLU(columns(b.gateUp, 2*b.wide, 0, b.wide), columns(b.gateUp, 2*b.wide, b.wide, 2*b.wide))
	return refMatMul(b.act, at("down"), at("down.bias"), b.mid, b.rows, b.hidden, b.wide)
}

// linearBackward adds a projection's gradients, and gives its input's.
func linearBackward(p, g scalarParams, name string, dy, x []float64, m, n, k int) []float64 {
	g[name], g[name+".bias"] = refMatMulDw(dy, x, g[name], g[name+".bias"], m, n, k)
	return refMatMulDx(dy, p[name], m, n, k)
}

func (b *scalarBlock) backward(p, g scalarParams, dx []float64) []float64 {
	norm := func(name string, x, rstd, dy, dx []float64) []float64 {
		out, dw := refRMSNormBackward(x, p[b.name+name], rstd, dy, dx, g[b.name+name], b.rows, b.hidden)
		g[b.name+name] = dw
		return out
	}
	h, kv := b.heads*b.dim, b.kv*b.dim
	dact := linearBackward(p, g, b.name+"down", dx, b.act, b.rows, b.hidden, b.wide)
	dgate, dup := refSwiGLUBackward(columns(b.gateUp, 2*b.wide, 0, b.wide), columns(b.gateUp, 2*b.wide, b.wide, 2*b.wide), dact)
	dgateUp := make([]float64, len(b.gateUp))
	addColumns(dgateUp, 2*b.wide, 0, dgate, b.wide)
	addColumns(dgateUp, 2*b.wide, b.wide, dup, b.wide)
	dx = norm("norm2", b.mid, b.rstd2, linearBackward(p, g, b.name+"gate_up", dgateUp, b.y2, b.rows, 2*b.wide, b.hidden), dx)
	dattn := linearBackward(p, g, b.name+"out", dx, b.attn, b.rows, b.hidden, h)
	q, k, v := b.split(b.qkv)
	dq, dk, dv := make([]float64, len(q)), make([]float64, len(k)), make([]float64, len(v))
	b.attend(func(s scalarSegment, keys []int, seen func(i int) int) {
		sk, sv := make([]float64, len(keys)*kv), make([]float64, len(keys)*kv)
		refAttentionBackward(q[s.lo*h:s.hi*h], take(k, keys, kv), take(v, keys, kv), b.attn[s.lo*h:s.hi*h], b.lse[s.lo*b.heads:], dattn[s.lo*h:s.hi*h],
			dq[s.lo*h:s.hi*h], sk, sv, s.hi-s.lo, b.heads, b.kv, b.dim, b.scale(), seen)
		for i, row := range keys {
			for c := range kv {
				dk[row*kv+c] += sk[i*kv+c]
				dv[row*kv+c] += sv[i*kv+c]
			}
		}
	})
	dqkv := make([]float64, len(b.qkv))
	addColumns(dqkv, b.width(), 0, dq, h)
	addColumns(dqkv, b.width(), h, dk, kv)
	addColumns(dqkv, b.width(), h+kv, dv, kv)
	dqkv = b.turn(dqkv, true)
	return norm("norm1", b.x, b.rstd1, linearBackward(p, g, b.name+"qkv", dqkv, b.y1, b.rows, b.width(), b.hidden), dx)
}

// A scalarModel is a small Qwen2.5-VL: a two-block vision tower over one picture, the merger, a two-layer decoder over a prompt with
// two completions that share it, and a loss over log-probs and entropies of the completions' ids.
type scalarModel struct {
	eyes, body []*scalarBlock
	pixels     []float64
	patch      int // values of one
	merged     int // a merged token's
	ids        []int32
	images     []int // rows of image tokens
	wanted     []int
	targets    []int32
	vocab      int
	inv        float64
	banned     func(j int) bool
	dlogprob   []float64
	dentropy   []float64
}

const (
	scalarPatches = 8 // of 2 merged tokens
	scalarHidden  = 6
)

func newScalarModel(r *rand.Rand) (*scalarModel, scalarParams) {
	m := &scalarModel{patch: 5, vocab: 11, inv: 1 / 0.8, banned: func(j int) bool { return j == 3 || j == 10 }}
	p := scalarParams{}
	vision := 4
	m.merged = 4 * vision
	table := func(rows, half, axes int, section []int32) (cos, sin []float64) {
		var positions []int32
		for range rows * axes {
			positions = append(positions, int32(r.IntN(9)))
		}
		inv := make([]float32, half)
		for i := range inv {
			inv[i] = float32(math.Pow(100, -float64(i)/float64(half)))
		}
		return refRopeTable(positions, rows, section, inv, rows)
	}
	for i := range 2 {
		b := &scalarBlock{name: fmt.Sprintf("eyes%d.", i), rows: scalarPatches, hidden: vision, heads: 2, kv: 2, dim: 2, wide: 5, bias: true}
		b.cos, b.sin = table(b.rows, 1, 2, []int32{i2(i)})
		b.segments = []scalarSegment{{lo: 0, hi: scalarPatches}}
		if i == 0 {
			b.segments = []scalarSegment{{lo: 0, hi: 5}, {lo: 5, hi: 8}} // windows
		}
		m.eyes = append(m.eyes, b)
	}
	m.ids = []int32{1, 2, 2, 5, 7 /* prompt */, 4, 6, 1, 7, 9 /* completions but for their last ids */}
	m.images = []int{1, 2}
	m.wanted = []int{4, 5, 6, 4, 7, 8, 9}
	m.targets = []int32{4, 6, 0, 1, 7, 9, 8}
	for i := range 2 {
		b := &scalarBlock{name: fmt.Sprintf("body%d.", i), rows: len(m.ids), hidden: scalarHidden, heads: 4, kv: 2, dim: 4, wide: 7, causal: true}
		b.cos, b.sin = table(b.rows, 2, 3, []int32{0, 2})
		b.segments = []scalarSegment{{lo: 0, hi: 5}, {lo: 5, hi: 7, prefix: [2]int{0, 5}}, {lo: 7, hi: 10, prefix: [2]int{0, 5}}}
		m.body = append(m.body, b)
	}
	for range scalarPatches * m.patch {
		m.pixels = append(m.pixels, r.NormFloat64())
	}
	for range m.targets {
		m.dlogprob = append(m.dlogprob, r.NormFloat64())
		m.dentropy = append(m.dentropy, r.NormFloat64())
	}
	p.grow(r, "patch", vision*m.patch, 0, 0.5)
	for _, b := range m.eyes {
		b.parameters(r, p)
	}
	p.grow(r, "ln_q", vision, 1, 0.2)
	p.grow(r, "merge1", m.merged*m.merged, 0, 0.3)
	p.grow(r, "merge1.bias", m.merged, 0, 0.3)
	p.grow(r, "merge2", scalarHidden*m.merged, 0, 0.3)
	p.grow(r, "merge2.bias", scalarHidden, 0, 0.3)
	p.grow(r, "embed", m.vocab*scalarHidden, 0, 0.7) // and the head
	for _, b := range m.body {
		b.parameters(r, p)
	}
	p.grow(r, "norm", scalarHidden, 1, 0.2)
	return m, p
}

func i2(i int) int32 { return int32(i % 2) }

// loss is the loss, and with g its gradient.
func (m *scalarModel) loss(p, g scalarParams) float64 {
	vision, tokens := m.eyes[0].hidden, len(m.images)
	x := refMatMul(m.pixels, p["patch"], nil, nil, scalarPatches, vision, m.patch)
	for _, b := range m.eyes {
		x = b.forward(p, x)
	}
	seen := x
	y, rstd := refRMSNorm(x, p["ln_q"], scalarPatches, vision, 1e-6)
	inner := refMatMul(y, p["merge1"], p["merge1.bias"], nil, tokens, m.merged, m.merged)
	act := refGELU(inner)
	features := refMatMul(act, p["merge2"], p["merge2.bias"], nil, tokens, scalarHidden, m.merged)

	x = nil
	for _, id := range m.ids {
		x = append(x, p["embed"][int(id)*scalarHidden:][:scalarHidden]...)
	}
	for i, row := range m.images {
		copy(x[row*scalarHidden:], features[i*scalarHidden:][:scalarHidden])
	}
	for _, b := range m.body {
		x = b.forward(p, x)
	}
	last := take(x, m.wanted, scalarHidden)
	n := len(m.wanted)
	hidden, rstdLast := refRMSNorm(last, p["norm"], n, scalarHidden, 1e-6)
	logprob, entropy, lse := refLogProb(hidden, p["embed"], m.banned, m.targets, m.vocab, scalarHidden, m.inv)
	loss := refDot(m.dlogprob, logprob) + refDot(m.dentropy, entropy)
	if g == nil {
		return loss
	}

	dhidden, dembed := refLogProbBackward(hidden, p["embed"], g["embed"], m.banned, scoreGradient[float64]{m.targets, lse, entropy, m.dlogprob, m.dentropy}, m.vocab, scalarHidden, m.inv, refDot)
	g["embed"] = dembed
	dlast, dnorm := refRMSNormBackward(last, p["norm"], rstdLast, dhidden, nil, g["norm"], n, scalarHidden)
	g["norm"] = dnorm
	dx := make([]float64, len(x))
	for i, row := range m.wanted {
		for c := range scalarHidden {
			dx[row*scalarHidden+c] += dlast[i*scalarHidden+c]
		}
	}
	for i := len(m.body) - 1; i >= 0; i-- {
		dx = m.body[i].backward(p, g, dx)
	}
	for i, id := range m.ids {
		if !slices.Contains(m.images, i) {
			for c := range scalarHidden {
				g["embed"][int(id)*scalarHidden+c] += dx[i*scalarHidden+c]
			}
		}
	}
	dfeatures := take(dx, m.images, scalarHidden)
	dact := linearBackward(p, g, "merge2", dfeatures, act, tokens, scalarHidden, m.merged)
	dy := linearBackward(p, g, "merge1", refGELUBackward(inner, dact), y, tokens, m.merged, m.merged)
	dx, dln := refRMSNormBackward(seen, p["ln_q"], rstd, dy, nil, g["ln_q"], scalarPatches, vision)
	g["ln_q"] = dln
	for i := len(m.eyes) - 1; i >= 0; i-- {
		dx = m.eyes[i].backward(p, g, dx)
	}
	linearBackward(p, g, "patch", dx, m.pixels, scalarPatches, vision, m.patch)
	return loss
}

// TestScalarReferencesByDifferences: the scalar references' gradients of a whole two-layer model are its differences, in every element
// of every parameter.
func TestScalarReferencesByDifferences(t *testing.T) {
	m, p := newScalarModel(rand.New(rand.NewPCG(1, 2)))
	g := scalarParams{}
	for name, w := range p {
		g[name] = make([]float64, len(w))
	}
	m.loss(p, g)
	for name, w := range p {
		for i := range w {
			old, step := w[i], 1e-4
			at := func(by float64) float64 {
				w[i] = old + by*step
				defer func() { w[i] = old }()
				return m.loss(p, nil)
			}
			// Five points: the error is of order step^4.
			slope := (8*(at(1)-at(-1)) - (at(2) - at(-2))) / (12 * step)
			if diff := math.Abs(slope - g[name][i]); diff > 1e-8*(1+math.Abs(slope)) {
				t.Errorf("%s[%d]: the gradient is %.12g, differences give %.12g", name, i, g[name][i], slope)
			}
		}
		if !slices.ContainsFunc(g[name], func(x float64) bool { return x != 0 }) {
			t.Errorf("%s: the gradient is zero", name)
		}
	}
}
