package jpeg

import (
	"math"
	"math/rand/v2"
	"testing"
)

// referenceIDCT is the definition (T.81, A.3.3) in double precision.
func referenceIDCT(coef *[64]int16, quant *[64]int16) (out [64]float64) {
	c := func(k int) float64 {
		if k == 0 {
			return math.Sqrt2 / 2
		}
		return 1
	}
	var wave [8][8]float64
	for x := range 8 {
		for u := range 8 {
			wave[x][u] = c(u) / 2 * math.Cos(float64(2*x+1)*float64(u)*math.Pi/16)
		}
	}
	for y := range 8 {
		for x := range 8 {
			sum := 0.0
			for v := range 8 {
				for u := range 8 {
					sum += float64(coef[8*v+u]*quant[8*v+u]) * wave[x][u] * wave[y][v]
				}
			}
			out[8*y+x] = min(max(sum+128, 0), 255)
		}
	}
	return out
}

// TestIDCT checks blocks of different density. The two passes round to a
// quarter of a level and to one, which can miss the exact value by less than
// one level together.
func TestIDCT(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 1000 {
		var coef, quant [64]int16
		for i := range quant {
			quant[i] = int16(1 + rng.IntN(20))
		}
		coef[0] = int16(rng.IntN(101) - 50)
		last := 0
		for range n % 20 {
			k := 1 + rng.IntN(63)
			coef[zigzag[k]] = int16(rng.IntN(21) - 10)
			last = max(last, k)
		}
		want := referenceIDCT(&coef, &quant)
		var dst [7*11 + 8]byte
		idct(&coef, &quant, last, dst[:], 11)
		for i, w := range want {
			if got := float64(dst[i/8*11+i%8]); math.Abs(got-w) > 1 {
				t.Fatalf("block %d, sample %d: %v, want %.3f", n, i, got, w)
			}
		}
		// The short way for blocks of one coefficient is no approximation.
		var full [7*11 + 8]byte
		idct(&coef, &quant, 63, full[:], 11)
		if full != dst {
			t.Fatalf("block %d: the result depends on what is known to be zero", n)
		}
	}
}

// TestIDCTExtremes checks that out of range data is clipped, not wrapped.
func TestIDCTExtremes(t *testing.T) {
	for _, dc := range []int16{-32768, -2000, 2000, 32767} {
		var coef [64]int16
		quant := [64]int16{1}
		coef[0] = dc
		for _, last := range []int{0, 63} {
			var dst [64]byte
			idct(&coef, &quant, last, dst[:], 8)
			want := byte(0)
			if dc > 0 {
				want = 255
			}
			for i, v := range dst {
				if v != want {
					t.Fatalf("mean %d, last %d: sample %d is %d, want %d", dc, last, i, v, want)
				}
			}
		}
	}
}

func BenchmarkIDCT(b *testing.B) {
	var coef, quant [64]int16
	for i := range coef {
		coef[i], quant[i] = int16(i%7-3), 5
	}
	var dst [64]byte
	for b.Loop() {
		idct(&coef, &quant, 63, dst[:], 8)
	}
	b.SetBytes(64)
}
