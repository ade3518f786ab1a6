package scenes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Kind is a kind of question.
type Kind string

// The kinds. Each has a verifier type.
const (
	Count    Kind = "count"    // digit: how many red shapes, circles, shapes there are
	Subtract Kind = "subtract" // digit: how many are left without the red ones
	Compare  Kind = "compare"  // mcq: more circles or more squares
	Choose   Kind = "choose"   // mcq: which colour or shape something has
	Fraction Kind = "fraction" // math: which share is red, in LaTeX
	Express  Kind = "express"  // math: the value of a LaTeX expression of counts
	Ground   Kind = "ground"   // iou: the box of a shape, as fractions of the picture
)

// Kinds are all kinds of questions, in order.
func Kinds() []Kind { return []Kind{Count, Subtract, Compare, Choose, Fraction, Express, Ground} }

// VerifierType is the verifier_type of a kind's records.
func (k Kind) VerifierType() string {
	switch k {
	case Count, Subtract:
		return "digit"
	case Compare, Choose:
		return "mcq"
	case Fraction, Express:
		return "math"
	case Ground:
		return "iou"
	}
	return ""
}

// Config says what scenes look like and what is asked. Zero fields have the defaults in the comments.
type Config struct {
	N    int    // scenes of a set
	Seed uint64 // of the scenes

	Width, Height int // of the pictures in pixels; 168 x 168
	Columns, Rows int // of the grid that shapes stand in, one to three each; 3 x 3
	MinShapes     int // 2
	MaxShapes     int // 5
	Colors        int // how many of [Colors] there are; 4
	Shapes        int // how many of [Shapes] there are; 3

	Kinds []Kind // one after another; all
	Noise int    // grain of the background: every channel of a pixel is moved by up to so much, as a photograph's are; 0

	NoTrace  bool // records without a response
	Untagged int  // of a hundred responses so many have no tags, as those of a model that was never told of them; 0
}

// The limits of a configuration.
const (
	MaxN    = 10_000_000
	minSide = 28
	maxSide = 8192
)

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		v *int
		d int
	}{{&c.Width, 168}, {&c.Height, 168}, {&c.Columns, 3}, {&c.Rows, 3}, {&c.MinShapes, 2}, {&c.MaxShapes, 5}, {&c.Colors, 4}, {&c.Shapes, 3}} {
		if *f.v == 0 {
			*f.v = f.d
		}
	}
	if len(c.Kinds) == 0 {
		c.Kinds = Kinds()
	}
	return c
}

// decimals is how many a box needs so that rounding moves its sides by less than a tenth of the smallest shape.
func (c *Config) decimals() int {
	smallest := 2 * 0.75 * leastRadius * c.side() / float64(max(c.Width, c.Height))
	n := 2
	for unit := 0.01; unit > smallest/10; unit /= 10 {
		n++
	}
	return n
}

// side is the shorter side of a cell.
func (c *Config) side() float64 {
	return min(float64(c.Width)/float64(c.Columns), float64(c.Height)/float64(c.Rows))
}

func (c *Config) check() error {
	within := func(name string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("scenes: %s is %d: want %d to %d", name, v, low, high)
		}
		return nil
	}
	for _, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) {
			return fmt.Errorf("scenes: the kind %q is not known: want some of %s", k, kindNames())
		}
	}
	cells := c.Columns * c.Rows
	return errors.Join(within("N", c.N, 0, MaxN), within("Width", c.Width, minSide, maxSide), within("Height", c.Height, minSide, maxSide),
		within("Columns", c.Columns, 1, 3), within("Rows", c.Rows, 1, 3), within("MinShapes", c.MinShapes, 1, cells),
		within("MaxShapes", c.MaxShapes, c.MinShapes, cells), within("Colors", c.Colors, 2, len(palette)), within("Shapes", c.Shapes, 2, len(outlines)),
		within("Noise", c.Noise, 0, 255), within("Untagged", c.Untagged, 0, 100))
}

func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
