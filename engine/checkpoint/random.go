package checkpoint

import (
	"hash/fnv"
	"math"
)

// Random weights are a function of (seed, tensor, element), so that any part of
// them can be made at any time, by any thread. Element i of a tensor is made of
// word i mod 4 of block i / 4 of Philox4x32-10 (Salmon et al., "Parallel Random
// Numbers: As Easy as 1, 2, 3", SC 2011), with the seed as the key, the block's
// number as the low half of the counter and a hash of the tensor's released name
// as the high half.

// A stream makes the random elements of one tensor.
type stream struct {
	key    [2]uint32
	tensor [2]uint32
}

func newStream(seed uint64, name string) stream {
	h := fnv.New64a()
	h.Write([]byte(name))
	t := h.Sum64()
	return stream{
		key:    [2]uint32{uint32(seed), uint32(seed >> 32)},
		tensor: [2]uint32{uint32(t), uint32(t >> 32)},
	}
}

// normals fills dst with elements first, first+1, ... of a normal distribution
// with mean 0 and this standard deviation. first must be a multiple of 4.
func (s *stream) normals(dst []float32, first int64, std float64) {
	n := len(dst) &^ 3
	for i := 0; i < n; i += 4 {
		a, b, c, d := s.block(uint64(first+int64(i)) / 4)
		dst[i+0] = float32(std * normal(a))
		dst[i+1] = float32(std * normal(b))
		dst[i+2] = float32(std * normal(c))
		dst[i+3] = float32(std * normal(d))
	}
	if n < len(dst) {
		a, b, c, _ := s.block(uint64(first+int64(n)) / 4)
		for i, u := range []uint32{a, b, c}[:len(dst)-n] {
			dst[n+i] = float32(std * normal(u))
		}
	}
}

func (s *stream) block(i uint64) (a, b, c, d uint32) {
	return philox(uint32(i), uint32(i>>32), s.tensor[0], s.tensor[1], s.key[0], s.key[1])
}

// normal maps a uniform word to a standard normal value by inverting the
// distribution function at the middle of the word's share of (0, 1). The largest
// value is 6.3.
func normal(u uint32) float64 {
	x := (float64(u)+0.5)*0x1p-31 - 1 // exact, within (-1, 1)
	// The sign apart, so that the branch on it in Erfinv is foreseeable.
	return math.Copysign(math.Sqrt2*math.Erfinv(math.Abs(x)), x)
}

// philox is Philox4x32 with ten rounds on the counter c and the key k.
func philox(c0, c1, c2, c3, k0, k1 uint32) (uint32, uint32, uint32, uint32) {
	for range 10 {
		p0 := uint64(c0) * 0xD2511F53
		p1 := uint64(c2) * 0xCD9E8D57
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += 0x9E3779B9
		k1 += 0xBB67AE85
	}
	return c0, c1, c2, c3
}
