package imageproc

import (
	"image"
	"image/color"
	"math"
	"strings"
	"testing"
)

func TestProcessorDefaults(t *testing.T) {
	var p Processor
	im, err := p.FromRGB(noise(30, 50))
	if err != nil {
		t.Fatal(err)
	}
	if im.Grid != [3]int{1, 4, 6} || im.PatchLen() != 1176 || im.Tokens() != 6 {
		t.Errorf("grid %v, patches of %d, %d tokens", im.Grid, im.PatchLen(), im.Tokens())
	}
	if im.OrigH != 30 || im.OrigW != 50 {
		t.Errorf("original size %dx%d", im.OrigH, im.OrigW)
	}
}

func TestProcessorErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Processor
		want string
	}{
		{"negative patch", Processor{PatchSize: -1}, "PatchSize"},
		{"negative pixels", Processor{MaxPixels: -5}, "MaxPixels"},
		{"absurd patch", Processor{PatchSize: 1 << 20}, "patches"},
		{"one std", Processor{Std: [3]float64{1, 0, 1}}, "Std"},
		{"std not a number", Processor{Std: [3]float64{1, 1, math.NaN()}}, "Std"},
		{"absurd minimum", Processor{MinPixels: 1 << 40, MaxPixels: 1 << 41}, "lower the minimum"},
		{"over the limit", Processor{MinPixels: 20000, MaxPixels: 40000, Limits: Limits{MaxPixels: 10000}}, "limit of 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.p.FromRGB(noise(20, 20))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "imageproc: ") {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

func TestHash(t *testing.T) {
	var p Processor
	load := func(rgb *RGB) *Image {
		im, err := p.FromRGB(rgb)
		if err != nil {
			t.Fatal(err)
		}
		return im
	}
	a, b := load(noise(56, 84)), load(noise(56, 84))
	if a.Hash() != b.Hash() {
		t.Error("equal pictures have different hashes")
	}
	b.Pixels[100]++
	if a.Hash() == b.Hash() {
		t.Error("different pictures have the same hash")
	}
	// The same bytes in another shape.
	c := noise(84, 56)
	if a.Hash() == load(c).Hash() {
		t.Error("pictures of different shapes have the same hash")
	}
}

func TestBoxes(t *testing.T) {
	im := &Image{OrigH: 100, OrigW: 400, ResizedH: 112, ResizedW: 392}
	b := Box{40, 10, 400, 100}
	r := im.ToResized(b)
	if want := (Box{39.2, 11.2, 392, 112}); !boxesEqual(r, want) {
		t.Errorf("%v, want %v", r, want)
	}
	if back := im.ToOriginal(r); !boxesEqual(back, b) {
		t.Errorf("%v, want %v", back, b)
	}
}

func boxesEqual(a, b Box) bool {
	near := func(x, y float64) bool { return math.Abs(x-y) < 1e-9 }
	return near(a.X0, b.X0) && near(a.Y0, b.Y0) && near(a.X1, b.X1) && near(a.Y1, b.Y1)
}

// TestFromImage checks that alpha is dropped from straight colors and that
// every kind of picture gives the right bytes.
func TestFromImage(t *testing.T) {
	r := image.Rect(3, 5, 5, 6) // two pixels, not at the origin
	at := image.Pt(4, 5)        // the second
	set := func(m interface {
		image.Image
		Set(x, y int, c color.Color)
	}, c color.Color) image.Image {
		m.Set(at.X, at.Y, c)
		return m
	}
	ycc := image.NewYCbCr(r, image.YCbCrSubsampleRatio444)
	ycc.Y[1], ycc.Cb[1], ycc.Cr[1] = 149, 43, 21
	for _, c := range []struct {
		name string
		m    image.Image
		want [3]byte
	}{
		{"NRGBA", set(image.NewNRGBA(r), color.NRGBA{200, 100, 50, 10}), [3]byte{200, 100, 50}},
		{"NRGBA64", set(image.NewNRGBA64(r), color.NRGBA64{0xc8ff, 0x64ff, 0x32ff, 0x8000}), [3]byte{200, 100, 50}},
		{"RGBA opaque", set(image.NewRGBA(r), color.RGBA{200, 100, 50, 255}), [3]byte{200, 100, 50}},
		{"RGBA half", set(image.NewRGBA(r), color.RGBA{100, 50, 25, 128}), [3]byte{199, 99, 49}},
		{"RGBA64", set(image.NewRGBA64(r), color.RGBA64{0xc8ff, 0x64ff, 0x32ff, 0xffff}), [3]byte{200, 100, 50}},
		{"Gray", set(image.NewGray(r), color.Gray{77}), [3]byte{77, 77, 77}},
		{"Gray16", set(image.NewGray16(r), color.Gray16{0x4dff}), [3]byte{77, 77, 77}},
		{"CMYK", set(image.NewCMYK(r), color.CMYK{55, 155, 205, 0}), [3]byte{200, 100, 50}},
		{"Paletted", set(image.NewPaletted(r, color.Palette{color.Black, color.NRGBA{200, 100, 50, 10}}), color.NRGBA{200, 100, 50, 10}), [3]byte{200, 100, 50}},
		{"YCbCr", ycc, [3]byte{0, 255, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := FromImage(c.m)
			if err != nil {
				t.Fatal(err)
			}
			if p.H != 1 || p.W != 2 || len(p.Pix) != 6 {
				t.Fatalf("%dx%d, %d bytes", p.H, p.W, len(p.Pix))
			}
			if got := [3]byte(p.Pix[3:]); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if _, err := FromImage(image.NewGray(image.Rect(0, 0, 0, 5))); err == nil {
		t.Error("no error for an empty picture")
	}
	if _, err := new(Processor).FromImage(image.NewGray(image.Rect(0, 0, 60, 60))); err != nil {
		t.Error(err)
	}
}
