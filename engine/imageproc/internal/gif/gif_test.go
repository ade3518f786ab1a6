package gif

import (
	"bytes"
	"compress/lzw"
	"slices"
	"testing"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// TestInterlace compares the order of rows with the four passes written out.
func TestInterlace(t *testing.T) {
	for h := 1; h <= 40; h++ {
		var want, got []int
		for _, p := range [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
			for y := p[0]; y < h; y += p[1] {
				want = append(want, y)
			}
		}
		f := frame{height: h, interlaced: true}
		for i := range h {
			got = append(got, f.row(i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("height %d: %v, want %v", h, got, want)
		}
	}
}

// file makes a GIF file of a 2 by 2 frame of the colors 0, 1, 2, 3.
func file(sw, sh, x, y byte, global, local []byte, extension string) []byte {
	b := []byte("GIF89a")
	b = append(b, sw, 0, sh, 0)
	flags := func(p []byte) byte {
		if p == nil {
			return 0
		}
		return 0x81 // four colors
	}
	b = append(append(b, flags(global), 0, 0), global...)
	b = append(b, extension...)
	b = append(b, ',', x, 0, y, 0, 2, 0, 2, 0, flags(local))
	b = append(b, local...)
	var z bytes.Buffer
	w := lzw.NewWriter(&z, lzw.LSB, 2)
	w.Write([]byte{0, 1, 2, 3})
	w.Close()
	b = append(b, 2, byte(z.Len()))
	b = append(b, z.Bytes()...)
	return append(b, 0, ';')
}

func TestScreen(t *testing.T) {
	global := []byte{10, 0, 0, 20, 0, 0, 30, 0, 0, 40, 0, 0}
	local := []byte{50, 0, 0, 60, 0, 0, 70, 0, 0, 80, 0, 0}
	ramp := []byte{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3}
	const transparent2 = "!\xf9\x04\x01\x00\x00\x02\x00"
	for _, c := range []struct {
		name string
		data []byte
		w, h int
		red  []byte
	}{
		{"frame fills the screen", file(2, 2, 0, 0, global, nil, ""), 2, 2, []byte{10, 20, 30, 40}},
		{"local palette", file(2, 2, 0, 0, global, local, ""), 2, 2, []byte{50, 60, 70, 80}},
		{"no palette", file(2, 2, 0, 0, nil, nil, ""), 2, 2, []byte{0, 1, 2, 3}},
		{"gray local palette gives way", file(2, 2, 0, 0, global, ramp, ""), 2, 2, []byte{10, 20, 30, 40}},
		{"the rest is the first color", file(3, 2, 1, 0, global, nil, ""), 3, 2, []byte{10, 10, 20, 10, 30, 40}},
		{"the rest is the transparent color", file(3, 2, 1, 0, global, nil, transparent2), 3, 2, []byte{30, 10, 20, 30, 30, 40}},
		{"frame enlarges the screen", file(1, 1, 1, 0, global, nil, ""), 3, 2, []byte{10, 10, 20, 10, 30, 40}},
		{"extensions are skipped", file(2, 2, 0, 0, global, nil, "!\xfe\x03abc\x00!\xff\x01x\x02yz\x00"), 2, 2, []byte{10, 20, 30, 40}},
		{"garbage is skipped", file(2, 2, 0, 0, global, nil, "\x00\x00\x07"), 2, 2, []byte{10, 20, 30, 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode(c.data, raster.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var red []byte
			for i := 0; i < len(m.Pix); i += 3 {
				red = append(red, m.Pix[i])
			}
			if m.Width != c.w || m.Height != c.h || !bytes.Equal(red, c.red) {
				t.Errorf("%dx%d %v, want %dx%d %v", m.Width, m.Height, red, c.w, c.h, c.red)
			}
		})
	}
}
