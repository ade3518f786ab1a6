package checkpoint

import (
	"math"
	"slices"
	"testing"
)

// Known answers of the Random123 library (kat_vectors, philox4x32 10).
func TestPhilox(t *testing.T) {
	tests := []struct{ in, want [6]uint32 }{
		{[6]uint32{}, [6]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[6]uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, [6]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[6]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0}, [6]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	}
	for _, tt := range tests {
		var got [6]uint32
		got[0], got[1], got[2], got[3] = philox(tt.in[0], tt.in[1], tt.in[2], tt.in[3], tt.in[4], tt.in[5])
		if got != tt.want {
			t.Errorf("philox(%x) = %x, want %x", tt.in, got, tt.want)
		}
	}
}

// Elements do not depend on how they are asked for.
func TestNormalsByPieces(t *testing.T) {
	s := newStream(7, "some.tensor")
	whole := make([]float32, 1003)
	s.normals(whole, 0, 0.5)
	for _, step := range []int{4, 8, 100, 1000} {
		pieces := make([]float32, len(whole))
		for i := 0; i < len(pieces); i += step {
			s.normals(pieces[i:min(i+step, len(pieces))], int64(i), 0.5)
		}
		if !slices.Equal(pieces, whole) {
			t.Errorf("pieces of %d differ", step)
		}
	}
	for _, other := range []stream{newStream(8, "some.tensor"), newStream(7+1<<32, "some.tensor"), newStream(7, "some.tensos")} {
		b := make([]float32, len(whole))
		other.normals(b, 0, 0.5)
		same := 0
		for i := range b {
			if b[i] == whole[i] {
				same++
			}
		}
		if same > 2 {
			t.Errorf("another seed or tensor shares %d of %d elements", same, len(b))
		}
	}
	// Beyond 2^34 elements the block's number takes the second word.
	far := make([]float32, 8)
	s.normals(far, 1<<34, 0.5)
	if slices.Equal(far, whole[:8]) {
		t.Error("elements repeat after 2^34")
	}
}

// The extremes and the middle of the map, against the distribution function.
func TestNormal(t *testing.T) {
	for _, u := range []uint32{0, 1, 1000, 1 << 20, 1 << 29, 1<<31 - 1, 1 << 31, 3 << 30, 1<<32 - 2, 1<<32 - 1} {
		p := (float64(u) + 0.5) / (1 << 32)
		z := normal(u)
		if got := 0.5 * math.Erfc(-z/math.Sqrt2); math.Abs(got-p) > 1e-12*math.Min(1, 1e3*p) {
			t.Errorf("normal(%d) = %v, where the distribution function is %v, want %v", u, z, got, p)
		}
		if normal(1<<32-1-u) != -z {
			t.Errorf("normal(%d) is not the negative of normal(%d)", 1<<32-1-u, u)
		}
	}
}

// Moments and a chi-square test over 64 bins of equal probability.
func TestNormalsDistribution(t *testing.T) {
	const n, std, bins = 1 << 18, 0.02, 64
	s := newStream(42, "model.embed_tokens.weight")
	v := make([]float32, n)
	s.normals(v, 0, std)
	var m1, m2, m4, lag float64
	var count [bins]int
	for i, f := range v {
		z := float64(f) / std
		m1 += z
		m2 += z * z
		m4 += z * z * z * z
		if i > 0 {
			lag += z * float64(v[i-1]) / std
		}
		count[min(bins-1, int(bins*0.5*math.Erfc(-z/math.Sqrt2)))]++
	}
	// Five standard errors each.
	for name, x := range map[string][2]float64{
		"mean":            {m1 / n, 5 / math.Sqrt(n)},
		"variance":        {m2/n - 1, 5 * math.Sqrt(2./n)},
		"fourth moment":   {m4/n - 3, 5 * math.Sqrt(96./n)},
		"autocorrelation": {lag / n, 5 / math.Sqrt(n)},
	} {
		if math.Abs(x[0]) > x[1] {
			t.Errorf("%s is off by %v, want at most %v", name, x[0], x[1])
		}
	}
	chi := 0.
	for _, c := range count {
		d := float64(c) - n/bins
		chi += d * d / (n / bins)
	}
	if limit := bins - 1 + 5*math.Sqrt(2*(bins-1)); chi > limit {
		t.Errorf("chi-square %v over %d bins, want at most %v", chi, bins, limit)
	}
}

func BenchmarkNormals(b *testing.B) {
	s := newStream(1, "x")
	dst := make([]float32, 4096)
	for b.Loop() {
		s.normals(dst, 0, 0.02)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/element")
}
