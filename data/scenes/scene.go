package scenes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// A Shape is one thing of a scene.
type Shape struct {
	Color string
	Form  string // circle, square, ...
	Cell  int    // of the grid, row by row

	X, Y, R float64 // centre, and half the side of the square that it fills, in pixels
}

// box is the shape's bounding box [x1, y1, x2, y2], as fractions of the picture.
func (s *Shape) box(c *Config) [4]float64 {
	x, y := extent(s.Form)
	w, h := float64(c.Width), float64(c.Height)
	return [4]float64{(s.X + x[0]*s.R) / w, (s.Y + y[0]*s.R) / h, (s.X + x[1]*s.R) / w, (s.Y + y[1]*s.R) / h}
}

func (s *Shape) String() string { return s.Color + " " + s.Form }

// A Scene is a picture with a question about it.
type Scene struct {
	ID       string
	Kind     Kind
	Shapes   []Shape // by cell
	Question string
	Options  []string // of mcq
	Gold     any      // a string, or an int for digit
	Answer   string   // as a good response gives it
	Trace    string   // the reasoning to it

	config   *Config
	untagged bool
	back     int // grey of the background
	number   int
}

// Response is the completion to imitate.
func (s *Scene) Response() string {
	if s.untagged {
		return s.Trace + " The answer is " + s.Answer + "."
	}
	return "<think>" + s.Trace + "</think> <answer>" + s.Answer + "</answer>"
}

// A Generator makes scenes. Its methods may be called by many goroutines at once.
type Generator struct{ config Config }

// New checks a configuration.
func New(c Config) (*Generator, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Generator{c}, nil
}

// Scene makes scene i, which may be any number from 0 on.
func (g *Generator) Scene(i int) *Scene {
	c := &g.config
	s := &Scene{Kind: c.Kinds[i%len(c.Kinds)], config: c, number: i}
	s.ID = fmt.Sprintf("scene-%d-%d", c.Seed, i)
	r := rand.New(rand.NewPCG(c.Seed, uint64(i)))
	s.untagged = r.IntN(100) < c.Untagged
	// Not every arrangement allows every question: another one is drawn until it does. Two colours and two forms at least, and every
	// cell's own chance, make that some hundred draws in the mean where it takes longest: one of two colours among nine shapes.
	for {
		s.arrange(r)
		if s.ask(r) {
			return s
		}
	}
}

// leastRadius is that of a shape, of its cell's side.
const leastRadius = 0.34

// arrange puts shapes into cells.
func (s *Scene) arrange(r *rand.Rand) {
	c := s.config
	cells := r.Perm(c.Columns * c.Rows)[:c.MinShapes+r.IntN(c.MaxShapes-c.MinShapes+1)]
	slices.Sort(cells)
	s.Shapes = s.Shapes[:0]
	w, h := float64(c.Width)/float64(c.Columns), float64(c.Height)/float64(c.Rows)
	side := c.side()
	for _, cell := range cells {
		x := Shape{Color: palette[r.IntN(c.Colors)].name, Form: outlines[r.IntN(c.Shapes)].name, Cell: cell}
		x.R = side * (leastRadius + 0.08*r.Float64())
		room := 0.47*side - x.R
		x.X = (float64(cell%c.Columns)+0.5)*w + room*(2*r.Float64()-1)
		x.Y = (float64(cell/c.Columns)+0.5)*h + room*(2*r.Float64()-1)
		// Whole pixels, so that a box says where the shape is drawn.
		x.X, x.Y, x.R = math.Round(x.X), math.Round(x.Y), math.Round(x.R)
		s.Shapes = append(s.Shapes, x)
	}
	s.back = 108 + r.IntN(16)
}

// place names a cell.
func (c *Config) place(cell int) string {
	row, column := "", ""
	if c.Rows > 1 {
		row = []string{"top", "middle", "bottom"}[cell/c.Columns*2/(c.Rows-1)]
	}
	if c.Columns > 1 {
		column = []string{"left", "center", "right"}[cell%c.Columns*2/(c.Columns-1)]
	}
	switch {
	case row == "":
		if column == "" {
			return "center"
		}
		return column
	case column == "":
		return row
	case row == "middle" && column == "center":
		return "center"
	}
	return row + " " + column
}
