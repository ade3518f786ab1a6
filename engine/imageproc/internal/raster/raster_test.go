package raster

import (
	"bytes"
	"math"
	"testing"
)

func TestCMYK(t *testing.T) {
	for c := range 256 {
		for k := range 256 {
			got := CMYK([]byte{byte(c), 0, 255, byte(k)})
			want := float64(255-k) - math.Floor(float64(c*(255-k))/255+0.5)
			if float64(got[0]) != want || int(got[1]) != 255-k || got[2] != 0 {
				t.Fatalf("C %d, K %d: %v, want red %v", c, k, got, want)
			}
		}
	}
}

func TestCompact(t *testing.T) {
	if got := Compact([]byte{1, 2, 3, 9, 4, 5, 6, 9, 7, 8, 9, 9}, 4); !bytes.Equal(got, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("Compact: %v", got)
	}
	if got := CompactHigh([]byte{1, 0, 2, 0, 3, 0, 9, 0, 4, 0, 5, 0, 6, 0, 9, 0}, 8); !bytes.Equal(got, []byte{1, 2, 3, 4, 5, 6}) {
		t.Errorf("CompactHigh: %v", got)
	}
}

func TestUnmultiply(t *testing.T) {
	p := []byte{10, 20, 30, 255, 10, 20, 30, 0, 10, 20, 30, 100, 200, 1, 0, 100}
	Unmultiply(p)
	if want := []byte{10, 20, 30, 255, 0, 0, 0, 0, 25, 51, 76, 100, 255, 2, 0, 100}; !bytes.Equal(p, want) {
		t.Errorf("%v, want %v", p, want)
	}
}

func TestCheckSize(t *testing.T) {
	for _, c := range []struct {
		name      string
		w, h, max int
		ok        bool
	}{
		{"at the limit", 10, 20, 200, true},
		{"over the limit", 10, 21, 200, false},
		{"no limit", 1 << 20, 1 << 20, 0, true},
		{"product overflows", math.MaxInt, math.MaxInt, 1 << 30, false},
		{"empty", 0, 5, 0, false},
		{"negative", 5, -5, 0, false},
	} {
		if err := (Options{MaxPixels: c.max}).CheckSize("x", c.w, c.h); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
