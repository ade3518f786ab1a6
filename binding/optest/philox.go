package optest

import "github.com/thinker-vl/thinker/binding"

// philox is Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011).
func philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57
		w0, w1 = 0x9E3779B9, 0xBB67AE85
	)
	for range 10 {
		p0, p1 := uint64(m0)*uint64(counter[0]), uint64(m1)*uint64(counter[2])
		counter = [4]uint32{uint32(p1>>32) ^ counter[1] ^ key[0], uint32(p1), uint32(p0>>32) ^ counter[3] ^ key[1], uint32(p0)}
		key[0] += w0
		key[1] += w1
	}
	return counter
}

// uniform is the variate in [0, 1) that the ABI gives a row: the first two words, the first one high, as a 53-bit fraction.
func uniformOf(r binding.SampleRow) float64 {
	w := philox([4]uint32{r.Step, r.Prompt, r.Sample, r.Token}, [2]uint32{uint32(r.Seed), uint32(r.Seed >> 32)})
	return float64((uint64(w[0])<<32|uint64(w[1]))>>11) * 0x1p-53
}
