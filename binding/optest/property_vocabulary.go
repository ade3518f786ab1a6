package optest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/binding"
)

// vocabularyProperties: what the sampler says of an id is what the scorer says, and a draw depends on its own row and counters only.
func vocabularyProperties() []Property {
	var ps []Property
	for _, dtype := range dtypes {
		for _, n := range []int{640, 1025, 3000} {
			for _, ban := range []func(int) bool{nil, func(j int) bool { return j%6 == 1 || j >= 1024 && j < 2048 }} {
				name := fmt.Sprintf("logprob/sample/n=%d/ban=%v/dtype=%v", n, ban != nil, kind(dtype))
				ps = append(ps, property(name, func(d *binding.Device) error { return samplerIsScorer(d, dtype, n, ban) }))
			}
		}
	}
	for i, row := range settings() {
		if row.Temperature > 0 {
			ps = append(ps, property(fmt.Sprintf("sample/distribution/temperature=%v/top_k=%d/top_p=%v/min_p=%v", row.Temperature, row.TopK, row.TopP, row.MinP),
				func(d *binding.Device) error { return drawsFit(d, uint64(i), row) }))
		}
	}
	return append(ps,
		property("sample/batch", drawsAlone),
		property("sample/counters", countersCount),
	)
}

// samplerIsScorer draws ids from the logits that matmul gives and scores them with logprob, at several temperatures.
func samplerIsScorer(d *binding.Device, dtype uint32, n int, ban func(int) bool) error {
	const rows, k = 17, 48
	x, w := floats(30, dtype, rows*k), floats(31, dtype, n*k)
	for i := range w {
		w[i] = kind(dtype).round(w[i] / 2)
	}
	logits, err := run(d, "matmul", dtype, matmul{dtype: dtype, dtypeY: binding.F32, m: rows, n: n, k: k, x: fixed(x), w: fixed(w)})
	if err != nil {
		return err
	}
	z := make([]float32, rows*n)
	for i := range z {
		z[i] = f32.get(logits["y"], i)
	}
	for _, temperature := range []float32{1, 0, 0.8, 0.3, 1.7} {
		row := binding.SampleRow{Temperature: temperature, TopP: 1}
		drawn, err := run(d, "sample", binding.F32, sample{rows: rows, n: n, ban: ban, params: sampling(rows, row), entropy: true, logits: fixed(z)})
		if err != nil {
			return err
		}
		ids := make([]int32, rows)
		for i := range ids {
			ids[i] = int32(binary.LittleEndian.Uint32(drawn["ids"][4*i:]))
		}
		for _, count := range []int{rows, 1, 5} {
			scored, err := run(d, "logprob", dtype, logprob{dtype: dtype, rows: count, n: n, k: k, inv: inverse(row), ban: ban, targets: ids[:count], entropy: true, x: fixed(x), w: fixed(w)})
			if err != nil {
				return err
			}
			for _, name := range []string{"logprob", "entropy"} {
				if a, b := drawn[name][:4*count], scored[name]; !bytes.Equal(a, b) {
					i := firstDiff(a, b) / 4
					return fmt.Errorf("temperature %v, %s of row %d of %d: the sampler says %v, the scorer %v", temperature, name, i, count, f32.get(a, i), f32.get(b, i))
				}
			}
		}
	}
	return nil
}

// drawsAlone: the same rows in another order and among others draw the same ids.
func drawsAlone(d *binding.Device) error {
	const rows, n = 26, 1500
	params, z := sampling(rows, settings()...), floats(40, binding.F32, rows*n)
	first, err := run(d, "sample", binding.F32, sample{rows: rows, n: n, params: params, logits: fixed(z)})
	if err != nil {
		return err
	}
	var order []int32
	for range 2 {
		order = append(order, permutation(41, rows)...)
	}
	var p2 []binding.SampleRow
	var z2 []float32
	for _, i := range order {
		p2, z2 = append(p2, params[i]), append(z2, z[int(i)*n:][:n]...)
	}
	second, err := run(d, "sample", binding.F32, sample{rows: len(order), n: n, params: p2, logits: fixed(z2)})
	if err != nil {
		return err
	}
	for at, i := range order {
		for _, name := range []string{"ids", "logprob"} {
			if a, b := first[name][4*i:][:4], second[name][4*at:][:4]; !bytes.Equal(a, b) {
				return fmt.Errorf("row %d, later row %d: %s changed from %x to %x", i, at, name, a, b)
			}
		}
	}
	return nil
}

// countersCount: each word of the key and the counter changes the draws, and nothing else does.
func countersCount(d *binding.Device) error {
	const rows, n = 64, 2000
	draw := func(change func(r *binding.SampleRow)) ([]byte, error) {
		params := sampling(rows, binding.SampleRow{Temperature: 1})
		for i := range params {
			change(&params[i])
		}
		r, err := run(d, "sample", binding.F32, sample{rows: rows, n: n, params: params, logits: constant(0)})
		return r["ids"], err
	}
	same, err := draw(func(*binding.SampleRow) {})
	if err != nil {
		return err
	}
	for name, change := range map[string]func(r *binding.SampleRow){
		"low word of the seed":  func(r *binding.SampleRow) { r.Seed ^= 1 },
		"high word of the seed": func(r *binding.SampleRow) { r.Seed ^= 1 << 40 },
		"step":                  func(r *binding.SampleRow) { r.Step++ },
		"prompt":                func(r *binding.SampleRow) { r.Prompt++ },
		"sample":                func(r *binding.SampleRow) { r.Sample++ },
		"token":                 func(r *binding.SampleRow) { r.Token++ },
	} {
		other, err := draw(change)
		if err != nil {
			return err
		}
		equal := 0
		for i := range rows {
			if bytes.Equal(other[4*i:4*i+4], same[4*i:4*i+4]) {
				equal++
			}
		}
		if equal > 4 { // 64 pairs of 2000 values: more than 4 has a probability below 1e-8
			return fmt.Errorf("with another %s %d of %d draws are the same", name, equal, rows)
		}
	}
	return nil
}

// drawsFit draws from one distribution many times and holds the counts against it with Pearson's chi-square test.
func drawsFit(d *binding.Device, seed uint64, row binding.SampleRow) error {
	const rows, calls, n = 2500, 4, 60
	ban := func(j int) bool { return j%11 == 3 }
	row = sampling(1, row)[0]
	z := make([]float32, n)
	for i, v := range floats(50+seed, binding.F32, n) {
		z[i] = 2 * v
	}
	var logits []float32
	for range rows {
		logits = append(logits, z...)
	}
	counts := make([]int, n)
	for call := range calls {
		params := make([]binding.SampleRow, rows)
		for i := range params {
			params[i] = row
			params[i].Step, params[i].Prompt, params[i].Sample, params[i].Token = uint32(call), uint32(i/100), uint32(i%100/10), uint32(i%10)
		}
		r, err := run(d, "sample", binding.F32, sample{rows: rows, n: n, ban: ban, params: params, logits: fixed(logits)})
		if err != nil {
			return err
		}
		for i := range rows {
			id := binary.LittleEndian.Uint32(r["ids"][4*i:])
			if id >= n {
				return fmt.Errorf("row %d drew %d of %d ids", i, int32(id), n)
			}
			counts[id]++
		}
	}
	ranked := rank(z, ban, inverse(row))
	expected := make([]float64, n)
	ranked.shares(ranked.filter(int(row.TopK), float64(row.TopP), float64(row.MinP), false), func(j int32, share float64) {
		expected[j] = share * rows * calls
	})
	return chiSquare(counts, expected)
}

// chiSquare refuses counts that differ from what is expected more than chance does once in 10^9. Bins that expect fewer than 5 are
// taken together.
func chiSquare(counts []int, expected []float64) error {
	var x, restCount, restExpected float64
	bins := 0
	add := func(count, want float64) {
		x += (count - want) * (count - want) / want
		bins++
	}
	for j, want := range expected {
		switch count := float64(counts[j]); {
		case want == 0 && count > 0:
			return fmt.Errorf("%v draws of id %d, which is filtered out or banned", count, j)
		case want < 5:
			restCount, restExpected = restCount+count, restExpected+want
		default:
			add(count, want)
		}
	}
	if restExpected >= 5 {
		add(restCount, restExpected)
	}
	k := float64(bins - 1)
	if k < 1 {
		return nil
	}
	// Wilson and Hilferty: the cube root of chi-square over k is nearly normal.
	deviation := (math.Cbrt(x/k) - (1 - 2/(9*k))) / math.Sqrt(2/(9*k))
	if deviation > 6 {
		return fmt.Errorf("chi-square %.1f with %v degrees of freedom, %.1f standard deviations from what is expected", x, k, deviation)
	}
	return nil
}
