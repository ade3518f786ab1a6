package optest

import (
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// logprobBackward: the gradients of logprob. Its lse and entropy are those of the contents of x and w.
type logprobBackward struct {
	dtype              uint32
	rows, n, k         int
	ldx, lddx, lddw    int
	inv                float32
	ban                func(j int) bool
	targets            []int32
	entropy, dx, dw    bool
	x, w               gen
	dlogprob, dentropy gen
	dwBefore           gen
}

func (s logprobBackward) operands() []operand {
	column := func(name string, g gen) operand {
		return operand{name: name, kind: f32, rows: s.rows, cols: 1, perRow: true, gen: g}
	}
	os := []operand{
		{name: "x", kind: kind(s.dtype), rows: s.rows, cols: s.k, ld: s.ldx, perRow: true, gen: s.x},
		{name: "w", kind: kind(s.dtype), layout: panels, rows: s.n, cols: s.k, gen: s.w},
		{name: "targets", kind: i32, rows: s.rows, cols: 1, perRow: true, ints: s.targets},
		column("lse", constant(0)),
		column("dlogprob", s.dlogprob),
		{name: "workspace", role: Scratch},
	}
	if s.ban != nil {
		os = append(os, operand{name: "ban", kind: i32, rows: 1, cols: (s.n + 31) / 32, ints: banBits(s.n, s.ban)})
	}
	if s.entropy {
		os = append(os, column("entropy", constant(0)), column("dentropy", s.dentropy))
	}
	if s.dx {
		os = append(os, operand{name: "dx", role: Out, kind: f32, rows: s.rows, cols: s.k, ld: s.lddx, perRow: true})
	}
	if s.dw {
		os = append(os, operand{name: "dw", role: InOut, kind: f32, rows: s.n, cols: s.k, ld: s.lddw, gen: s.dwBefore})
	}
	return os
}

// fill puts in lse and entropy what logprob says, rounded from double precision.
func (s logprobBackward) fill(t tensors, _ *rand.Rand) {
	_, entropy, lse := refLogProb(widen(t.values("x")), widen(t.values("w")), banned(s.ban), s.targets, s.n, s.k, float64(s.inv))
	for name, values := range map[string][]float64{"lse": lse, "entropy": entropy} {
		if o := t[name]; o != nil {
			for i, v := range values {
				o.dense[i] = float32(v)
				f32.put(o.before, o.index(i, 0), o.dense[i])
			}
		}
	}
}

func (s logprobBackward) scratch(d *binding.Device) (int, error) {
	a := binding.LogProbBackwardWorkspaceArgs{DType: s.dtype, Rows: int64(s.rows), N: int64(s.n), K: int64(s.k)}
	err := d.LogProbBackwardWorkspace(&a)
	return int(a.Bytes), err
}

func (s logprobBackward) args(m Memory) any {
	return &binding.LogProbBackwardArgs{DType: s.dtype, X: m.at("x"), W: m.at("w"), Ban: m.at("ban"), Targets: m.at("targets"), LSE: m.at("lse"), Entropy: m.at("entropy"),
		Dlogprob: m.at("dlogprob"), Dentropy: m.at("dentropy"), Dx: m.at("dx"), Dw: m.at("dw"), Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"),
		Rows: int64(s.rows), N: int64(s.n), K: int64(s.k), LdX: int64(max(s.ldx, s.k)), LdDx: int64(max(s.lddx, s.k)), LdDw: int64(max(s.lddw, s.k)), InvTemperature: s.inv}
}

func (s logprobBackward) reference(t tensors) {
	x, w, dw, ban := t.values("x"), t.values("w"), t.values("dw"), banned(s.ban)
	lse, entropy, dlogprob, dentropy := t.values("lse"), t.values("entropy"), t.values("dlogprob"), t.values("dentropy")
	targets := t["targets"].ints
	dx, after := refLogProbBackward(widen(x), widen(w), widen(dw), ban,
		scoreGradient[float64]{targets, widen(lse), widen(entropy), widen(dlogprob), widen(dentropy)}, s.n, s.k, float64(s.inv), refDot)
	g := scoreGradient[float32]{targets, lse, entropy, dlogprob, dentropy}
	naiveDx, naiveAfter := refLogProbBackward(x, w, dw, ban, g, s.n, s.k, s.inv, refDot)
	t.expect("dx", dx, naiveDx)
	t.expect("dw", after, naiveAfter)
	roughDx, roughAfter := refLogProbBackward(x, w, dw, ban, g, s.n, s.k, s.inv, roughDot)
	t.expectRough("dx", roughDx)
	t.expectRough("dw", roughAfter)
}

func (s logprobBackward) work() Work {
	e := float64(binding.DTypeBytes(s.dtype))
	m, n, k := float64(s.rows), float64(s.n), float64(s.k)
	w := Work{FLOPs: 2 * m * n * k, Read: e * (m*k + n*k)}
	if s.dx {
		w.FLOPs += 2 * m * n * k
		w.Written += 4 * m * k
	}
	if s.dw {
		w.FLOPs += 2 * m * n * k
		w.Read += 4 * n * k
		w.Written += 4 * n * k
	}
	return w
}

// logprobBackwardRows is logprobBackward without dw: its rows are their own.
type logprobBackwardRows struct{ logprobBackward }

func (s logprobBackwardRows) slice(lo, hi int) spec {
	s.rows, s.targets = hi-lo, s.targets[lo:hi]
	return s
}

func logprobBackwardCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s logprobBackward, kv ...any) Case {
			s = s.complete(dtype)
			kv = append([]any{"rows", s.rows, "n", s.n, "k", s.k, "ban", s.ban != nil, "inv", s.inv, "entropy", s.entropy, "dx", s.dx, "dw", s.dw}, kv...)
			if s.dw {
				return newCase("logprob_backward", dtype, s, kv...)
			}
			return newCase("logprob_backward", dtype, logprobBackwardRows{s}, kv...)
		}
		for _, n := range []int{1, 2, 31, 33, 640, 1023, 1024, 1025, 2100} {
			cs = append(cs, c(logprobBackward{rows: 5, n: n, k: 16, entropy: true, dx: true}), c(logprobBackward{rows: 5, n: n, k: 16, dw: true}))
		}
		for _, rows := range []int{0, 1, 2, 12, 13, 48, 100} {
			cs = append(cs, c(logprobBackward{rows: rows, n: 640, k: 65, ldx: 70, lddx: 71, lddw: 72, entropy: rows%2 == 0, dx: true, dw: true}))
		}
		for _, k := range []int{1, 31, 33, 300} {
			cs = append(cs, c(logprobBackward{rows: 14, n: 100, k: k, entropy: true, dx: true, dw: true}))
		}
		first := func(j int) bool { return j < 1024 }
		last := func(j int) bool { return j >= 2048 }
		only := func(j int) bool { return j != 1500 }
		cs = append(cs,
			c(logprobBackward{rows: 9, n: 640, k: 384, inv: 1 / float32(0.8), entropy: true, dx: true, dw: true}),
			c(logprobBackward{rows: 7, n: 640, k: 64, inv: 20, entropy: true, dx: true, dw: true}),
			c(logprobBackward{rows: 7, n: 640, k: 64, inv: 0.01, entropy: true, dx: true}),
			c(logprobBackward{rows: 6, n: 640, k: 64, ban: func(j int) bool { return j >= 622 || j%5 == 3 }, entropy: true, dx: true, dw: true}, "banned", "some"),
			c(logprobBackward{rows: 6, n: 2100, k: 16, ban: first, entropy: true, dx: true, dw: true}, "banned", "first-chunk"),
			c(logprobBackward{rows: 6, n: 2100, k: 16, ban: last, entropy: true, dx: true, dw: true}, "banned", "last-chunk"),
			c(logprobBackward{rows: 6, n: 2100, k: 16, ban: only, entropy: true, dx: true, dw: true}, "banned", "all-but-one"),
			c(logprobBackward{rows: 4, n: 100, k: 16, targets: []int32{0, 99, 31, 32}, dx: true, dw: true}, "targets", "edges"),
			c(logprobBackward{rows: 4, n: 1500, k: 16, x: constant(0), entropy: true, dx: true, dw: true}, "x", "zeros"),
			c(logprobBackward{rows: 4, n: 1500, k: 16, x: normal(100), entropy: true, dx: true, dw: true}, "x", "large"),
			c(logprobBackward{rows: 4, n: 1500, k: 16, dlogprob: constant(0), dx: true, dw: true}, "dlogprob", "zeros"),
			c(logprobBackward{rows: 9, n: 300, k: 16, dlogprob: constant(0), entropy: true, dx: true}, "dlogprob", "zeros"),
			c(logprobBackward{rows: 9, n: 300, k: 16, dlogprob: rowScales(normal(1)), entropy: true, dx: true, dw: true}, "dlogprob", "scaled"),
			c(logprobBackward{rows: 2, n: 40, k: 16}),
			c(logprobBackward{rows: 2, n: 20000, k: 16, entropy: true, dx: true, dw: true}),
			// More rows than a batch.
			c(logprobBackward{rows: 1100, n: 50, k: 24, entropy: true, dx: true, dw: true}),
		)
		// Benchmarks: the 3B model's vocabulary, and as much of it as a gradient fits in memory for.
		if dtype == binding.BF16 {
			cs = append(cs, bench(c(logprobBackward{rows: 240, n: 151936, k: 2048, entropy: true, dx: true})))
		}
		cs = append(cs, bench(c(logprobBackward{rows: 240, n: 65536, k: 2048, entropy: true, dx: true, dw: true})))
	}
	return cs
}

// complete is s with everything that it leaves open.
func (s logprobBackward) complete(dtype uint32) logprobBackward {
	s.dtype = dtype
	if s.inv == 0 {
		s.inv = 1
	}
	if s.x == nil {
		s.x = normal(1)
	}
	if s.w == nil {
		s.w = normal(0.5)
	}
	for _, g := range []*gen{&s.dlogprob, &s.dentropy, &s.dwBefore} {
		if *g == nil {
			*g = normal(1)
		}
	}
	if s.targets == nil {
		s.targets = indices(uint64(s.n), s.rows, s.n)
		ban := banned(s.ban)
		for i, target := range s.targets {
			for ban(int(target)) {
				target = (target + 1) % int32(s.n)
			}
			s.targets[i] = target
		}
	}
	return s
}
