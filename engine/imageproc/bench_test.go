package imageproc

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"runtime"
	"testing"
)

// photo returns a picture with something of everything: slopes, edges, noise.
func photo(h, w int) *RGB {
	p := &RGB{H: h, W: w, Pix: make([]byte, 3*h*w)}
	seed := uint32(1)
	for y := range h {
		for x := range w {
			seed = seed*1664525 + 1013904223
			v := 110 + 80*math.Sin(float64(x)/37)*math.Cos(float64(y)/23) + float64(seed>>28)
			c := p.Pix[3*(y*w+x):][:3]
			c[0], c[1], c[2] = uint8(v), uint8(v/2+float64(x*90/w)), uint8(255-v)
			if (x/64+y/48)%5 == 0 {
				c[0], c[1], c[2] = 250, 240, 20
			}
		}
	}
	return p
}

func (p *RGB) image() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, p.W, p.H))
	for y := range p.H {
		for x := range p.W {
			c := p.Pix[3*(y*p.W+x):]
			m.SetNRGBA(x, y, color.NRGBA{c[0], c[1], c[2], 255})
		}
	}
	return m
}

// workerCounts is one goroutine and one a CPU.
func workerCounts() map[string]int {
	return map[string]int{"workers=1": 1, "workers=all": runtime.GOMAXPROCS(0)}
}

func BenchmarkDecode(b *testing.B) {
	m := photo(1080, 1920).image()
	var jpg, pngData bytes.Buffer
	if err := jpeg.Encode(&jpg, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	if err := png.Encode(&pngData, m); err != nil {
		b.Fatal(err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"jpeg", jpg.Bytes()}, {"png", pngData.Bytes()}} {
		for name, workers := range workerCounts() {
			b.Run(f.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := decode(f.data, Limits{}, workers); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(1080*1920*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpixel/s")
			})
		}
	}
}

func BenchmarkResize(b *testing.B) {
	src := photo(1080, 1920)
	for _, size := range []struct {
		name string
		h, w int
	}{{"near", 1092, 1932}, {"half", 532, 952}, {"eighth", 140, 252}} {
		for name, workers := range workerCounts() {
			b.Run(size.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := Resize(src, size.h, size.w, workers); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(1080*1920*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpixel/s")
			})
		}
	}
}

func BenchmarkPatches(b *testing.B) {
	for name, workers := range workerCounts() {
		b.Run(name, func(b *testing.B) {
			p := Processor{Workers: workers}
			im, err := p.FromRGB(photo(1092, 1932))
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]float32, 0, im.NumPatches()*im.PatchLen())
			for b.Loop() {
				im.AppendPatches(dst)
			}
			b.SetBytes(int64(4 * cap(dst)))
		})
	}
}
