package imageproc

import (
	"math"
	"testing"
)

func TestSmartResize(t *testing.T) {
	const released = 12845056
	for _, c := range []struct {
		name         string
		h, w         int
		maxPixels    int
		wantH, wantW int
	}{
		{"unchanged", 448, 448, released, 448, 448},
		{"rounded", 480, 640, released, 476, 644},
		{"full HD", 1080, 1920, released, 1092, 1932},
		{"half to even, down", 42, 70, released, 56, 56},
		{"half to even, up", 70, 126, released, 56, 112},
		{"tiny", 14, 14, released, 56, 56},
		{"one cell", 28, 28, released, 56, 56},
		{"flat", 13, 400, released, 28, 336},
		{"flat, at the minimum", 31, 639, released, 28, 644},
		{"flat, over the maximum", 31, 639, 20 * 784, 28, 560},
		{"large", 4000, 3000, released, 4004, 2996},
		{"half a cell over", 98, 98, released, 112, 112},
		{"the most below the least, over it", 200, 300, 784, 28, 28},
		{"the most below the least, not over it", 20, 20, 784, 56, 56},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, w, err := SmartResize(c.h, c.w, 28, 3136, c.maxPixels)
			if err != nil || h != c.wantH || w != c.wantW {
				t.Errorf("%dx%d, %v; want %dx%d", h, w, err, c.wantH, c.wantW)
			}
		})
	}
	for _, c := range []struct {
		name                 string
		h, w, factor, mn, mx int
	}{
		{"no height", 0, 5, 28, 1, 100},
		{"negative width", 5, -1, 28, 1, 100},
		{"too flat", 690, 690*200 + 1, 28, 3136, released},
		{"too tall", 401, 2, 28, 3136, released},
		{"no factor", 5, 5, 0, 1, 100},
		{"no maximum", 5, 5, 28, 1, 0},
		{"absurd minimum", 5, 5, 28, 1 << 50, 1 << 51},
		{"largest sides", math.MaxInt, math.MaxInt, 28, 3136, math.MaxInt},
	} {
		t.Run(c.name, func(t *testing.T) {
			if h, w, err := SmartResize(c.h, c.w, c.factor, c.mn, c.mx); err == nil {
				t.Errorf("%dx%d, want an error", h, w)
			}
		})
	}
}

// TestSmartResizeBounds checks for all kinds of sizes that a result is made of
// whole cells and keeps the bounds where that is possible.
func TestSmartResizeBounds(t *testing.T) {
	const factor, minPixels, maxPixels = 28, 3136, 100352
	for h := 1; h <= 4000; h += 13 {
		for w := 1; w <= 4000; w += 17 {
			h2, w2, err := SmartResize(h, w, factor, minPixels, maxPixels)
			flat := max(h, w) > maxAspect*min(h, w)
			if flat != (err != nil) {
				t.Fatalf("%dx%d: %v", h, w, err)
			}
			if err != nil {
				continue
			}
			if h2 < factor || w2 < factor || h2%factor != 0 || w2%factor != 0 {
				t.Fatalf("%dx%d: %dx%d", h, w, h2, w2)
			}
			if p := h2 * w2; p < minPixels || p > maxPixels && h2 > factor && w2 > factor {
				t.Fatalf("%dx%d: %dx%d has %d pixels", h, w, h2, w2, p)
			}
		}
	}
}
