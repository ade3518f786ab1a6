package webp

import (
	"image"
	"testing"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// TestToRGB checks the conversion of plain gray, the clipping of its extremes,
// and the weights of the four nearest samples of chroma.
func TestToRGB(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 4, 4), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = 126
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 128, 128
	}
	dst := raster.New(4, 4)
	toRGB(dst, m, 1)
	for i, v := range dst.Pix {
		if v != 128 {
			t.Fatalf("byte %d is %d, want 128", i, v)
		}
	}
	for v, want := range map[uint8]byte{0: 0, 16: 0, 235: 255, 255: 255} {
		m.Y[5] = v
		if toRGB(dst, m, 2); dst.Pix[15] != want {
			t.Errorf("luma %d is %d, want %d", v, dst.Pix[15], want)
		}
	}

	near, next := [2]int32{0, 160}, [2]int32{16, 80}
	l, r := pair(near[0], near[1], next[0], next[1])
	// (9a + 3b + 3c + d)/16 of the nearest, the two beside it and the last.
	if l != (9*0+3*160+3*16+80)/16 || r != (9*160+3*0+3*80+16)/16 {
		t.Errorf("%d and %d", l, r)
	}
}
