package optest

import (
	"github.com/thinker-vl/thinker/binding"
)

// logprob: log-probability of a target, entropy and log-sum-exp of inv (x Wᵀ), row by row.
type logprob struct {
	dtype           uint32
	rows, n, k, ldx int
	inv             float32
	ban             func(j int) bool
	targets         []int32
	entropy, lse    bool
	x, w            gen
}

// banBits are the ABI's bits for a ban.
func banBits(n int, ban func(j int) bool) []int32 {
	bits := make([]int32, (n+31)/32)
	for j := range n {
		if ban(j) {
			bits[j/32] |= 1 << (j % 32)
		}
	}
	return bits
}

// banned is ban, or nothing.
func banned(ban func(j int) bool) func(int) bool {
	if ban == nil {
		return func(int) bool { return false }
	}
	return ban
}

func (s logprob) operands() []operand {
	os := []operand{
		{name: "x", kind: kind(s.dtype), rows: s.rows, cols: s.k, ld: s.ldx, perRow: true, gen: s.x},
		{name: "w", kind: kind(s.dtype), layout: panels, rows: s.n, cols: s.k, gen: s.w},
		{name: "targets", kind: i32, rows: s.rows, cols: 1, perRow: true, ints: s.targets},
		{name: "workspace", role: Scratch},
		{name: "logprob", role: Out, kind: f32, rows: s.rows, cols: 1, perRow: true},
	}
	if s.ban != nil {
		os = append(os, operand{name: "ban", kind: i32, rows: 1, cols: (s.n + 31) / 32, ints: banBits(s.n, s.ban)})
	}
	if s.entropy {
		os = append(os, operand{name: "entropy", role: Out, kind: f32, rows: s.rows, cols: 1, perRow: true})
	}
	if s.lse {
		os = append(os, operand{name: "lse", role: Out, kind: f32, rows: s.rows, cols: 1, perRow: true})
	}
	return os
}

func (s logprob) scratch(d *binding.Device) (int, error) {
	a := binding.LogProbWorkspaceArgs{DType: s.dtype, Rows: int64(s.rows), N: int64(s.n), K: int64(s.k)}
	err := d.LogProbWorkspace(&a)
	return int(a.Bytes), err
}

func (s logprob) args(m Memory) any {
	return &binding.LogProbArgs{DType: s.dtype, X: m.at("x"), W: m.at("w"), Ban: m.at("ban"), Targets: m.at("targets"), LogProb: m.at("logprob"), Entropy: m.at("entropy"), LSE: m.at("lse"),
		Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"), Rows: int64(s.rows), N: int64(s.n), K: int64(s.k), LdX: int64(max(s.ldx, s.k)), InvTemperature: s.inv}
}

func (s logprob) slice(lo, hi int) spec { s.rows, s.targets = hi-lo, s.targets[lo:hi]; return s }

func (s logprob) reference(t tensors) {
	x, w, targets := t.values("x"), t.values("w"), t["targets"].ints
	ban := banned(s.ban)
	lp, h, lse := refLogProb(widen(x), widen(w), ban, targets, s.n, s.k, float64(s.inv))
	naiveLP, naiveH, naiveLSE := refLogProb(x, w, ban, targets, s.n, s.k, s.inv)
	t.expect("logprob", lp, naiveLP)
	t.expect("entropy", h, naiveH)
	t.expect("lse", lse, naiveLSE)
}

func (s logprob) work() Work {
	e := float64(binding.DTypeBytes(s.dtype))
	m, n, k := float64(s.rows), float64(s.n), float64(s.k)
	return Work{FLOPs: m * n * (2*k + softmaxFLOPs(s.entropy)), Read: e * (m*k + n*k), Written: 4 * m}
}

func logprobCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s logprob, kv ...any) Case {
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
			if s.targets == nil {
				s.targets = indices(uint64(s.n), s.rows, s.n)
			}
			return newCase("logprob", dtype, s, append([]any{"rows", s.rows, "n", s.n, "k", s.k, "ban", s.ban != nil, "inv", s.inv}, kv...)...)
		}
		for _, n := range []int{1, 2, 31, 33, 640, 1023, 1024, 1025, 2100} {
			cs = append(cs, c(logprob{rows: 5, n: n, k: 16, entropy: true, lse: true}))
		}
		for _, rows := range []int{0, 1, 2, 12, 13, 48, 100} {
			cs = append(cs, c(logprob{rows: rows, n: 640, k: 65, ldx: 70, entropy: rows%2 == 0, lse: rows%3 != 0}))
		}
		first := func(j int) bool { return j < 1024 }
		last := func(j int) bool { return j >= 2048 }
		only := func(j int) bool { return j != 1500 }
		cs = append(cs,
			c(logprob{rows: 9, n: 640, k: 384, inv: 1 / float32(0.8), entropy: true}),
			c(logprob{rows: 7, n: 640, k: 64, inv: 20, entropy: true, lse: true}),
			c(logprob{rows: 7, n: 640, k: 64, inv: 0.01, entropy: true, lse: true}),
			c(logprob{rows: 6, n: 640, k: 64, ban: func(j int) bool { return j >= 622 || j%5 == 3 }, entropy: true, lse: true}, "banned", "some"),
			c(logprob{rows: 6, n: 2100, k: 16, ban: first, entropy: true, lse: true}, "banned", "first-chunk"),
			c(logprob{rows: 6, n: 2100, k: 16, ban: last, entropy: true, lse: true}, "banned", "last-chunk"),
			c(logprob{rows: 6, n: 2100, k: 16, ban: only, targets: []int32{1500, 1500, 1, 1500, 2099, 1500}, entropy: true, lse: true}, "banned", "all-but-one"),
			c(logprob{rows: 4, n: 100, k: 16, targets: []int32{0, 99, 31, 32}, entropy: true, lse: true}, "targets", "edges"),
			c(logprob{rows: 4, n: 1500, k: 16, x: constant(0), entropy: true, lse: true}, "x", "zeros"),
			c(logprob{rows: 4, n: 1500, k: 16, x: normal(100), entropy: true, lse: true}, "x", "large"),
			c(logprob{rows: 3, n: 151936, k: 16, entropy: true, lse: true}),
		)
		if dtype == binding.BF16 {
			for _, rows := range []int{1, 16, 240} {
				cs = append(cs, bench(c(logprob{rows: rows, n: 151936, k: 2048, entropy: true})))
			}
		} else {
			cs = append(cs, bench(c(logprob{rows: 16, n: 32768, k: 2048, entropy: true})))
		}
	}
	return cs
}
