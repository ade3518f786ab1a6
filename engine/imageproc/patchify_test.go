package imageproc

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// TestPatchesLayout compares with the reference's view and permutation,
// written out index by index: (t, T, C, gh/m, m, p, gw/m, m, p) to
// (t, gh/m, gw/m, m, m, C, T, p, p).
func TestPatchesLayout(t *testing.T) {
	for _, c := range []struct{ patch, merge, temporal, h, w int }{
		{14, 2, 2, 56, 84},
		{14, 2, 2, 28, 28},
		{7, 3, 1, 42, 63},
		{4, 1, 3, 12, 8},
		{16, 4, 2, 128, 64},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p := Processor{PatchSize: c.patch, MergeSize: c.merge, TemporalPatchSize: c.temporal, MinPixels: 1, Workers: 3}
			im, err := p.FromRGB(noise(c.h, c.w))
			if err != nil {
				t.Fatal(err)
			}
			if im.ResizedH != c.h || im.ResizedW != c.w {
				t.Fatalf("resized to %dx%d", im.ResizedH, im.ResizedW)
			}
			table := normalTable(1.0/255, clipMean, clipStd)
			var want []float32
			for by := range c.h / c.patch / c.merge {
				for bx := range c.w / c.patch / c.merge {
					for my := range c.merge {
						for mx := range c.merge {
							for ch := range 3 {
								for range c.temporal {
									for y := range c.patch {
										for x := range c.patch {
											row := (by*c.merge+my)*c.patch + y
											col := (bx*c.merge+mx)*c.patch + x
											want = append(want, table[ch][im.Pixels[3*(row*c.w+col)+ch]])
										}
									}
								}
							}
						}
					}
				}
			}
			got := im.AppendPatches([]float32{42})
			if got[0] != 42 || !slices.Equal(got[1:], want) {
				t.Error("patches differ")
			}
			if n := c.h / c.patch * c.w / c.patch; im.NumPatches() != n || im.PatchLen()*n != len(want) || im.Tokens() != n/c.merge/c.merge {
				t.Errorf("%d patches of %d, %d tokens", im.NumPatches(), im.PatchLen(), im.Tokens())
			}
		})
	}
}

// TestNormalTable checks the values against double precision.
func TestNormalTable(t *testing.T) {
	table := normalTable(1.0/255, clipMean, clipStd)
	for c := range table {
		for v, got := range table[c] {
			want := (float64(v)/255 - clipMean[c]) / clipStd[c]
			// Three roundings, the difference's error relative to its terms.
			if d := math.Abs(float64(got) - want); d > 0x1p-24/clipStd[c]*2.5+math.Abs(want)*0x1p-23 {
				t.Errorf("channel %d, byte %d: %v, want %v", c, v, got, want)
			}
		}
	}
}

func TestZeroImage(t *testing.T) {
	var im Image
	if im.Tokens() != 0 || len(im.Patches()) != 0 {
		t.Error("a zero Image has patches")
	}
}
