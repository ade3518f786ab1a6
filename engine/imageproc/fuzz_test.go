package imageproc

import (
	"os"
	"slices"
	"testing"
)

// FuzzDecode decodes arbitrary bytes. They give an error or a whole picture,
// the same with any number of workers.
func FuzzDecode(f *testing.F) {
	for _, p := range pillowPictures(f) {
		data, err := os.ReadFile(p.file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, data := range hostile() {
		f.Add(data)
	}
	limits := Limits{MaxPixels: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decode(data, limits, 1)
		q, err2 := decode(data, limits, 3)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("with one worker %v, with three %v", err, err2)
		}
		if err != nil {
			return
		}
		if p.H <= 0 || p.W <= 0 || p.H*p.W > limits.MaxPixels || len(p.Pix) != 3*p.H*p.W {
			t.Fatalf("%dx%d with %d bytes", p.H, p.W, len(p.Pix))
		}
		if p.H != q.H || p.W != q.W || !slices.Equal(p.Pix, q.Pix) {
			t.Fatal("the result depends on the number of workers")
		}
	})
}

// FuzzProcess resizes and cuts pictures of arbitrary sizes.
func FuzzProcess(f *testing.F) {
	f.Add(uint16(1), uint16(90), uint16(3136), uint16(18816))
	f.Add(uint16(13), uint16(400), uint16(784), uint16(15680))
	f.Add(uint16(42), uint16(70), uint16(1), uint16(1))
	f.Add(uint16(690), uint16(1542), uint16(60000), uint16(65535))
	f.Fuzz(func(t *testing.T, h, w, minPixels, maxPixels uint16) {
		h, w = h%1000+1, w%1000+1
		p := Processor{MinPixels: int(minPixels), MaxPixels: int(maxPixels), Workers: 2}
		im, err := p.FromRGB(noise(int(h), int(w)))
		if err != nil {
			if max(h, w) > maxAspect*min(h, w) {
				return
			}
			t.Fatal(err)
		}
		if im.Grid[1]*14 != im.ResizedH || im.Grid[2]*14 != im.ResizedW || im.Grid[1]%2 != 0 || im.Grid[2]%2 != 0 {
			t.Fatalf("grid %v of %dx%d", im.Grid, im.ResizedH, im.ResizedW)
		}
		if len(im.Pixels) != 3*im.ResizedH*im.ResizedW || len(im.Patches()) != im.NumPatches()*im.PatchLen() {
			t.Fatalf("%d bytes, %d patches", len(im.Pixels), im.NumPatches())
		}
	})
}
