package optest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/thinker-vl/thinker/binding"
)

// sample: draws an id a row from logits [rows, n].
type sample struct {
	rows, n, ld int
	ban         func(j int) bool
	params      []binding.SampleRow
	entropy     bool
	logits      gen
}

const sampleRowBytes = 40

// sampleRowsBytes are rows as the ABI lays them out.
func sampleRowsBytes(rows []binding.SampleRow) []byte {
	var b []byte
	le := binary.LittleEndian
	for _, r := range rows {
		b = le.AppendUint64(b, r.Seed)
		for _, v := range []uint32{r.Step, r.Prompt, r.Sample, r.Token, math.Float32bits(r.Temperature), math.Float32bits(r.TopP), math.Float32bits(r.MinP), uint32(r.TopK)} {
			b = le.AppendUint32(b, v)
		}
	}
	return b
}

func (s sample) operands() []operand {
	os := []operand{
		{name: "logits", kind: f32, rows: s.rows, cols: s.n, ld: s.ld, perRow: true, gen: s.logits},
		{name: "params", kind: raw, rows: s.rows, cols: sampleRowBytes, perRow: true, raw: sampleRowsBytes(s.params)},
		{name: "workspace", role: Scratch},
		{name: "ids", role: Out, kind: i32, rows: s.rows, cols: 1, perRow: true},
		{name: "logprob", role: Out, kind: f32, rows: s.rows, cols: 1, perRow: true},
	}
	if s.ban != nil {
		os = append(os, operand{name: "ban", kind: i32, rows: 1, cols: (s.n + 31) / 32, ints: banBits(s.n, s.ban)})
	}
	if s.entropy {
		os = append(os, operand{name: "entropy", role: Out, kind: f32, rows: s.rows, cols: 1, perRow: true})
	}
	return os
}

func (s sample) scratch(d *binding.Device) (int, error) {
	a := binding.SampleWorkspaceArgs{Rows: int64(s.rows), N: int64(s.n)}
	err := d.SampleWorkspace(&a)
	return int(a.Bytes), err
}

func (s sample) args(m Memory) any {
	return &binding.SampleArgs{Logits: m.at("logits"), Params: m.at("params"), Ban: m.at("ban"), IDs: m.at("ids"), LogProb: m.at("logprob"), Entropy: m.at("entropy"),
		Workspace: m.at("workspace"), WorkspaceBytes: m.bytes("workspace"), Rows: int64(s.rows), N: int64(s.n), Ld: int64(max(s.ld, s.n))}
}

func (s sample) slice(lo, hi int) spec { s.rows, s.params = hi-lo, s.params[lo:hi]; return s }

// scaled is a row's z in the arithmetic of T.
func scaled[T real](logits []float32, inv float32) []T {
	z := make([]T, len(logits))
	for j, v := range logits {
		z[j] = T(v) * T(inv)
	}
	return z
}

// reference expects the log-probability of the first acceptable id; ids are checked first, and the log-probability is then held
// against that of the id drawn.
func (s sample) reference(t tensors) {
	ban := banned(s.ban)
	acceptable := make([]map[int32]bool, s.rows)
	var lp, h [][]float64 // double and float32, by row
	of := func(i int, id int32) (ref, naive float64) {
		z, zn := scaled[float64](s.row(t, i), inverse(s.params[i])), scaled[float32](s.row(t, i), inverse(s.params[i]))
		return refLogProbOf(z, refFold(z, ban), ban, int(id)), float64(refLogProbOf(zn, refFold(zn, ban), ban, int(id)))
	}
	for i, row := range s.params {
		logits := s.row(t, i)
		acceptable[i] = rank(logits, ban, inverse(row)).acceptable(row)
		ids := sortedKeys(acceptable[i])
		ref, naive := of(i, ids[0])
		lp = append(lp, []float64{ref, naive})
		h = append(h, []float64{
			refFold(scaled[float64](logits, inverse(row)), ban).entropy(),
			float64(refFold(scaled[float32](logits, inverse(row)), ban).entropy()),
		})
	}
	column := func(x [][]float64, j int) []float64 {
		y := make([]float64, len(x))
		for i := range x {
			y[i] = x[i][j]
		}
		return y
	}
	set := func(name string, x [][]float64) {
		if o := t[name]; o != nil {
			o.ref, o.naive = column(x, 0), column(x, 1)
		}
	}
	set("logprob", lp)
	set("entropy", h)
	drawn := make([]int32, s.rows)
	t["ids"].accept = func(got []byte) error {
		for i := range drawn {
			drawn[i] = int32(binary.LittleEndian.Uint32(got[4*i:]))
			if !acceptable[i][drawn[i]] {
				return fmt.Errorf("ids[%d] is %d, want one of %v (params %+v, u %v)", i, drawn[i], sortedKeys(acceptable[i]), s.params[i], uniformOf(s.params[i]))
			}
			if o := t["logprob"]; len(acceptable[i]) > 1 {
				o.ref[i], o.naive[i] = of(i, drawn[i])
			}
		}
		return nil
	}
}

func sortedKeys(m map[int32]bool) []int32 {
	var ids []int32
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// row is row i's logits.
func (s sample) row(t tensors, i int) []float32 { return t.values("logits")[i*s.n:][:s.n] }

// A filter needs no more arithmetic than the log-probability does.
func (s sample) work() Work {
	n := float64(s.rows) * float64(s.n)
	return Work{FLOPs: softmaxFLOPs(s.entropy) * n, Read: 4 * n, Written: 12 * float64(s.rows)}
}

// sampling makes n rows that go through the settings in turn, each row with counters of its own.
func sampling(n int, settings ...binding.SampleRow) []binding.SampleRow {
	rows := make([]binding.SampleRow, n)
	for i := range rows {
		r := settings[i%len(settings)]
		if r.TopP == 0 {
			r.TopP = 1
		}
		r.Seed, r.Step, r.Prompt, r.Sample, r.Token = 0x0123456789abcdef+uint64(i/7), uint32(i/5), uint32(i*3), uint32(i), uint32(100+i)
		rows[i] = r
	}
	return rows
}

// settings are the filters, alone and together.
func settings() []binding.SampleRow {
	return []binding.SampleRow{
		{Temperature: 1},
		{Temperature: 0},
		{Temperature: 0.8},
		{Temperature: 1, TopK: 20},
		{Temperature: 1.2, TopP: 0.9},
		{Temperature: 1, MinP: 0.1},
		{Temperature: 0.7, TopK: 50, TopP: 0.95, MinP: 0.02},
		{Temperature: 2, TopK: 5, TopP: 0.5},
		{Temperature: 0.05},
		{Temperature: 1, TopK: 1},
		{Temperature: 1, TopP: 1e-6},
		{Temperature: 1, MinP: 1},
		{Temperature: 1, TopK: 1 << 30, TopP: 0.999, MinP: 1e-9},
	}
}

func sampleCases() (cs []Case) {
	c := func(s sample, kv ...any) Case {
		if s.logits == nil {
			s.logits = normal(3)
		}
		if s.params == nil {
			s.params = sampling(s.rows, settings()...)
		}
		return newCase("sample", binding.F32, s, append([]any{"rows", s.rows, "n", s.n, "ban", s.ban != nil}, kv...)...)
	}
	inf := float32(math.Inf(-1))
	for _, n := range []int{1, 2, 31, 33, 640, 1023, 1024, 1025, 2100} {
		cs = append(cs, c(sample{rows: 13, n: n, entropy: true}))
	}
	one := func(r binding.SampleRow) []binding.SampleRow { return sampling(40, r) }
	cs = append(cs,
		c(sample{rows: 0, n: 640}),
		c(sample{rows: 1, n: 640}),
		c(sample{rows: 26, n: 640, ld: 701, entropy: true}, "strided", true),
		c(sample{rows: 26, n: 640, ban: func(j int) bool { return j >= 622 || j%7 == 2 }, entropy: true}, "banned", "some"),
		c(sample{rows: 13, n: 3000, ban: func(j int) bool { return j < 1024 }, entropy: true}, "banned", "first-chunk"),
		c(sample{rows: 13, n: 3000, ban: func(j int) bool { return j >= 1024 && j < 2048 }}, "banned", "middle-chunk"),
		c(sample{rows: 13, n: 3000, ban: func(j int) bool { return j != 2999 }, entropy: true}, "banned", "all-but-one"),
		c(sample{rows: 40, n: 100, params: one(binding.SampleRow{Temperature: 1, TopK: 10}), logits: ties(0, 1, 2), entropy: true}, "ties", "top-k"),
		c(sample{rows: 40, n: 100, params: one(binding.SampleRow{Temperature: 1, TopP: 0.5}), logits: ties(0, 1, 2), entropy: true}, "ties", "top-p"),
		c(sample{rows: 40, n: 100, params: one(binding.SampleRow{Temperature: 0}), logits: ties(0, 1, 2), entropy: true}, "ties", "greedy"),
		c(sample{rows: 40, n: 2100, params: one(binding.SampleRow{Temperature: 1, MinP: 1}), logits: ties(0, 1, 2), entropy: true}, "ties", "min-p"),
		c(sample{rows: 26, n: 50, logits: constant(-3), entropy: true}, "logits", "equal"),
		c(sample{rows: 26, n: 50, logits: listed(1, inf, 2, 0.5, inf, inf, 3), entropy: true}, "logits", "infinite"),
		c(sample{rows: 26, n: 1500, logits: normal(40), entropy: true}, "logits", "peaked"),
		c(sample{rows: 26, n: 1500, logits: around(1e4, 2), entropy: true}, "logits", "offset"),
		c(sample{rows: 7, n: 151936, entropy: true, params: sampling(7, settings()...)}),
		c(sample{rows: 4, n: 151936, params: sampling(4, binding.SampleRow{Temperature: 1, TopP: 0.8}, binding.SampleRow{Temperature: 1, TopK: 50, TopP: 0.9, MinP: 0.01})}, "filters", true),
	)
	for _, rows := range []int{1, 16} {
		cs = append(cs,
			bench(c(sample{rows: rows, n: 151936, params: sampling(rows, binding.SampleRow{Temperature: 1})})),
			bench(c(sample{rows: rows, n: 151936, params: sampling(rows, binding.SampleRow{Temperature: 0.8, TopK: 50, TopP: 0.95, MinP: 0.02})}, "filters", true)))
	}
	return cs
}
