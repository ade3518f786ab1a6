package scenes

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"golang.org/x/image/vector"
)

// palette has the colours of shapes, the first ones the easiest to tell apart.
var palette = [...]struct {
	name string
	rgb  color.RGBA
}{
	{"red", color.RGBA{222, 40, 40, 255}},
	{"blue", color.RGBA{30, 80, 225, 255}},
	{"green", color.RGBA{30, 165, 60, 255}},
	{"yellow", color.RGBA{250, 210, 30, 255}},
	{"purple", color.RGBA{130, 60, 170, 255}},
	{"orange", color.RGBA{245, 125, 20, 255}},
	{"black", color.RGBA{30, 30, 34, 255}},
	{"pink", color.RGBA{240, 130, 180, 255}},
}

// outlines has the forms, the first ones the easiest to tell apart: polygons around (0, 0) that fill the square from -1 to 1 in at least one direction. A circle has none.
var outlines = [...]struct {
	name   string
	points [][2]float64
}{
	{"circle", nil},
	{"star", star()},
	{"triangle", [][2]float64{{0, -1}, {1, 0.9}, {-1, 0.9}}},
	{"square", [][2]float64{{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}}},
	{"diamond", [][2]float64{{0, -1}, {0.75, 0}, {0, 1}, {-0.75, 0}}},
	{"cross", [][2]float64{{-0.35, -1}, {0.35, -1}, {0.35, -0.35}, {1, -0.35}, {1, 0.35}, {0.35, 0.35}, {0.35, 1}, {-0.35, 1}, {-0.35, 0.35}, {-1, 0.35}, {-1, -0.35}, {-0.35, -0.35}}},
}

func star() [][2]float64 {
	var p [][2]float64
	for i := range 10 {
		r := 1.0
		if i%2 == 1 {
			r = 0.42
		}
		a := float64(i) * math.Pi / 5
		p = append(p, [2]float64{r * math.Sin(a), -r * math.Cos(a)})
	}
	return p
}

func points(form string) [][2]float64 {
	for _, o := range outlines {
		if o.name == form {
			return o.points
		}
	}
	panic("scenes: no form " + form)
}

// extent is how far a form reaches, in x and in y.
func extent(form string) (x, y [2]float64) {
	p := points(form)
	if p == nil {
		return [2]float64{-1, 1}, [2]float64{-1, 1}
	}
	for _, q := range p {
		x[0], x[1] = min(x[0], q[0]), max(x[1], q[0])
		y[0], y[1] = min(y[0], q[1]), max(y[1], q[1])
	}
	return x, y
}

// Draw renders the picture.
func (s *Scene) Draw() *image.RGBA {
	c := s.config
	m := image.NewRGBA(image.Rect(0, 0, c.Width, c.Height))
	s.shade(m)
	if c.Noise > 0 {
		s.grain(m)
	}
	for _, x := range s.Shapes {
		for _, p := range palette {
			if p.name == x.Color {
				x.draw(m, p.rgb)
			}
		}
	}
	return m
}

// shade paints the background: a grey in the middle of the range, as the mean of photographs is, lit from the right and from below in
// different colours, so that every part of the canvas looks a little like its place.
func (s *Scene) shade(m *image.RGBA) {
	const fall = 56
	w, h := max(s.config.Width-1, 1), max(s.config.Height-1, 1)
	for y := range s.config.Height {
		for x := range s.config.Width {
			right, down := fall*x/w-fall/2, fall*y/h-fall/2
			m.SetRGBA(x, y, color.RGBA{uint8(s.back + right), uint8(s.back - (right+down)/2), uint8(s.back + down), 255})
		}
	}
}

// grain moves every channel of every pixel by a random amount.
func (s *Scene) grain(m *image.RGBA) {
	r := rand.New(rand.NewPCG(^s.config.Seed, uint64(s.number)))
	span := uint64(2*s.config.Noise + 1)
	for i := 0; i < len(m.Pix); i += 4 {
		bits := r.Uint64()
		for k := range 3 {
			v := int(m.Pix[i+k]) + int(bits>>(20*k)&0xfffff*span>>20) - s.config.Noise
			m.Pix[i+k] = uint8(min(max(v, 0), 255))
		}
	}
}

func (x *Shape) draw(m *image.RGBA, fill color.RGBA) {
	box := image.Rect(int(x.X-x.R)-1, int(x.Y-x.R)-1, int(x.X+x.R)+2, int(x.Y+x.R)+2).Intersect(m.Bounds())
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	at := func(px, py float64) (float32, float32) {
		return float32(x.X + px*x.R - float64(box.Min.X)), float32(x.Y + py*x.R - float64(box.Min.Y))
	}
	if p := points(x.Form); p != nil {
		z.MoveTo(at(p[0][0], p[0][1]))
		for _, q := range p[1:] {
			z.LineTo(at(q[0], q[1]))
		}
	} else {
		// Four cubic curves: their distance from a circle is below 0.03 % of the radius.
		const k = 0.5522847498
		z.MoveTo(at(1, 0))
		for _, q := range [][6]float64{{1, k, k, 1, 0, 1}, {-k, 1, -1, k, -1, 0}, {-1, -k, -k, -1, 0, -1}, {k, -1, 1, -k, 1, 0}} {
			bx, by := at(q[0], q[1])
			cx, cy := at(q[2], q[3])
			dx, dy := at(q[4], q[5])
			z.CubeTo(bx, by, cx, cy, dx, dy)
		}
	}
	z.ClosePath()
	z.Draw(m, box, image.NewUniform(fill), image.Point{})
}
