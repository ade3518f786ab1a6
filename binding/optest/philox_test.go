package optest

import (
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// TestPhilox holds the generator against the known answers of the Random123 distribution (philox4x32, 10 rounds).
func TestPhilox(t *testing.T) {
	const f = 0xffffffff
	for _, tc := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(tc.counter, tc.key); got != tc.want {
			t.Errorf("philox(%#x, %#x) = %#x, want %#x", tc.counter, tc.key, got, tc.want)
		}
	}
	// The variate of the last answer: 0xd16cfe0994fdcceb / 2^64, cut to 53 bits.
	r := binding.SampleRow{Seed: 0x299f31d0a4093822, Step: 0x243f6a88, Prompt: 0x85a308d3, Sample: 0x13198a2e, Token: 0x03707344}
	if got, want := uniformOf(r), float64(uint64(0xd16cfe0994fdcceb)>>11)/(1<<53); got != want {
		t.Errorf("uniformOf = %v, want %v", got, want)
	}
}

// TestDrawsFromKnownVariates draws from a uniform distribution over 1000 ids, where the id is the variate itself.
func TestDrawsFromKnownVariates(t *testing.T) {
	rows := sampling(8, binding.SampleRow{Temperature: 1})
	p := newCase("sample", binding.F32, sample{rows: 8, n: 1000, params: rows, logits: constant(0.25)}).New()
	for _, isa := range isas(t) {
		r, err := p.Run(open(t, isa, 1))
		if err != nil {
			t.Errorf("%v: %v", isa, err)
			continue
		}
		for i, row := range rows {
			id := p.tensors["ids"].show(r.memory["ids"], i).(int32)
			if want := int32(uniformOf(row) * 1000); id != want {
				t.Errorf("%v: row %d drew %d, its variate is %v", isa, i, id, uniformOf(row))
			}
		}
	}
}
