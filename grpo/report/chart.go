package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Charts are drawn at the width of a phone and scaled by the page, so that their letters are as large there as on a desktop.
const (
	chartWidth  = 360
	chartHeight = 190
	maxLines    = 8 // of a chart, as many as there are colours
)

// A curve is a line of a chart.
type curve struct {
	Name   string
	Colour int // 1 to maxLines, a CSS class
	Last   string

	points []point
	raw    []point // faint behind it
	area   []bin   // from least to largest, faint; of a band x, y, min and max are not sums
	dots   bool
}

// A chart is a figure of the page.
type chart struct {
	Title, Unit, Note, Alt string
	Curves                 []*curve
	SVG                    template.HTML

	low, high *float64 // the range holds these
	whole     bool     // and nothing else
}

func at(v float64) *float64 { return &v }

// Colours that stand for classes of the page's style sheet: which, and the curve's colour.
const (
	asText = iota + 1
	asGrid
	asRaw
	asLine
	asArea
	asDot
)

func class(kind, colour int) color.Color { return color.NRGBA{0xA0, uint8(kind), uint8(colour), 0xFF} }

var classNames = [...]string{asText: "ct", asGrid: "cg", asRaw: "cr", asLine: "cl", asArea: "ca", asDot: "cd"}

var (
	styleAttribute = regexp.MustCompile(`\s+style="[^"]*"`)
	classColour    = regexp.MustCompile(`#A0(0[1-6])(0[0-8])`)
	placed         = regexp.MustCompile(` (d|x|y)="[^"]*"`)
	longNumber     = regexp.MustCompile(`(\d+\.\d)\d+`)
)

// draw draws the chart with gonum/plot.
func (c *chart) draw() error {
	p := plot.New()
	p.BackgroundColor = nil
	letters := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Tick.Label.Font, axis.Tick.Label.Color = letters, class(asText, 0)
		axis.Tick.Length, axis.LineStyle.Width, axis.Tick.LineStyle.Width = 0, 0, 0
		axis.Padding = 4
	}
	p.X.LineStyle.Width, p.X.LineStyle.Color = 1, class(asGrid, 0)
	c.frame(p)
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal = draw.LineStyle{Color: class(asGrid, 0), Width: 1}
	p.Add(grid)
	for _, u := range c.Curves {
		if len(u.area) > 1 {
			var around plotter.XYs
			for _, b := range u.area {
				around = append(around, plotter.XY{X: b.x, Y: min(b.max, p.Y.Max)})
			}
			for _, b := range slices.Backward(u.area) {
				around = append(around, plotter.XY{X: b.x, Y: max(b.min, p.Y.Min)})
			}
			area, err := plotter.NewPolygon(around)
			if err != nil {
				return err
			}
			area.Color, area.LineStyle.Width = class(asArea, u.Colour), 0
			p.Add(area)
		}
	}
	for _, u := range c.Curves {
		for _, l := range []struct {
			points []point
			kind   int
		}{{u.raw, asRaw}, {u.points, asLine}} {
			if len(l.points) < 2 {
				continue
			}
			line, err := plotter.NewLine(xys(l.points))
			if err != nil {
				return err
			}
			line.Color, line.Width = class(l.kind, u.Colour), 2
			p.Add(line)
		}
		if dots := u.points; u.dots && len(dots) <= 60 || len(dots) == 1 {
			marks, err := plotter.NewScatter(xys(dots))
			if err != nil {
				return err
			}
			marks.GlyphStyle = draw.GlyphStyle{Color: class(asDot, u.Colour), Radius: 3, Shape: draw.CircleGlyph{}}
			p.Add(marks)
		}
	}
	c.frame(p) // which Add has widened to the data
	canvas := vgsvg.New(chartWidth, chartHeight)
	p.Draw(draw.Crop(draw.New(canvas), 2, -6, 2, -6))
	var b strings.Builder
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	c.SVG = restyle(b.String())
	return nil
}

// restyle puts classes in the place of styles, and leaves out the svg element itself: the page writes its own.
func restyle(svg string) template.HTML {
	_, svg, _ = strings.Cut(svg, "<g ")
	svg = strings.TrimSuffix(strings.TrimSpace("<g "+svg), "</svg>")
	svg = styleAttribute.ReplaceAllStringFunc(svg, func(style string) string {
		m := classColour.FindStringSubmatch(style)
		if m == nil {
			return ` class="ct"` // text in the default colour, black, which has no attribute
		}
		kind, _ := strconv.Atoi(m[1])
		name := classNames[kind]
		if m[2] != "00" {
			name += " k" + m[2][1:]
		}
		return ` class="` + name + `"`
	})
	return template.HTML(placed.ReplaceAllStringFunc(svg, func(s string) string { return longNumber.ReplaceAllString(s, "$1") }))
}

func xys(p []point) plotter.XYs {
	out := make(plotter.XYs, len(p))
	for i, q := range p {
		out[i] = plotter.XY(q)
	}
	return out
}

// frame sets the ranges of the axes and their ticks.
func (c *chart) frame(p *plot.Plot) {
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	var all []float64
	take := func(x float64, ys ...float64) {
		x0, x1 = min(x0, x), max(x1, x)
		for _, y := range ys {
			y0, y1 = min(y0, y), max(y1, y)
			all = append(all, y)
		}
	}
	for _, u := range c.Curves {
		for _, q := range u.points {
			take(q.X, q.Y)
		}
		for _, q := range u.raw {
			take(q.X, q.Y)
		}
		for _, b := range u.area {
			take(b.x, b.min, b.max)
		}
	}
	// One value far above all others would press them flat.
	slices.Sort(all)
	if n := len(all); n >= 50 && c.high == nil {
		if p := all[n*98/100]; p > 0 && y1 > 6*p {
			over, _ := slices.BinarySearch(all, 2*p)
			c.Note = fmt.Sprintf("%s above the frame, up to %s", count(int64(n-over), "value"), format(y1))
			y1 = 2 * p
		}
	}
	if c.whole {
		y0, y1 = *c.low, *c.high
	} else {
		if c.low != nil {
			y0 = min(y0, *c.low)
		}
		if c.high != nil {
			y1 = max(y1, *c.high)
		}
		if y0 > 0 && y0 < 0.4*y1 {
			y0 = 0
		}
	}
	if flat := max(1e-9*max(math.Abs(y0), math.Abs(y1)), 1e-30); !(y1-y0 > flat) {
		pad := 0.1 * math.Abs(y0)
		y0, y1 = y0-pad, y1+pad
		if pad < 1e-12 {
			y0, y1 = 0, 1
		}
	}
	if !(x1 > x0) {
		x0, x1 = x0-0.5, x1+0.5
	}
	p.X.Tick.Marker = ticks{whole: true, most: 6}
	p.Y.Tick.Marker = ticks{most: 6}
	p.X.Min, p.X.Max = x0, x1
	p.Y.Min, p.Y.Max = y0, y1
	if !c.whole { // room above and below, but not below zero
		pad := 0.05 * (y1 - y0)
		p.Y.Max += pad
		if y0 != 0 {
			p.Y.Min -= pad
		}
	}
}

// ticks are at round numbers: 1, 2 or 5 times a power of ten.
type ticks struct {
	whole bool // numbers only
	most  int
}

func (t ticks) Ticks(low, high float64) (out []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(t.most))))
	for k := 0; k < 12 && math.Floor(high/step)-math.Ceil(low/step)+1 > float64(t.most); k++ {
		step *= [...]float64{2, 2.5, 2}[k%3]
	}
	if t.whole {
		step = max(step, 1)
	}
	for i := math.Ceil(low/step - 1e-9); i*step <= high+1e-9*step && len(out) <= t.most; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: format(i * step)})
	}
	// Ticks that differ late need more digits.
	for p := 4; p < 17; p++ {
		if len(slices.CompactFunc(slices.Clone(out), func(a, b plot.Tick) bool { return a.Label == b.Label })) == len(out) {
			break
		}
		for i := range out {
			out[i].Label = minus(strconv.FormatFloat(out[i].Value, 'g', p, 64))
		}
	}
	return out
}

// format writes a number with about three digits.
func format(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 0):
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "Inf", "∞", 1)
	case a == 0:
		return "0"
	case a >= 1e15 || a < 1e-4:
		s := strconv.FormatFloat(v, 'e', 2, 64)
		mantissa, exponent, _ := strings.Cut(s, "e")
		e, _ := strconv.Atoi(exponent)
		return minus(trimZeros(mantissa)) + "e" + minus(strconv.Itoa(e))
	}
	for _, u := range []struct {
		from   float64
		suffix string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if a >= u.from*0.9995 {
			if u.suffix == "k" {
				u.from = 1e3
			}
			return digits(v/u.from) + u.suffix
		}
	}
	return digits(v)
}

func digits(v float64) string {
	a := math.Abs(v)
	places := 3
	switch {
	case a >= 100:
		places = 0
	case a >= 10:
		places = 1
	case a >= 1:
		places = 2
	case a < 0.01:
		places = 5
	case a < 0.1:
		places = 4
	}
	return minus(trimZeros(strconv.FormatFloat(v, 'f', places, 64)))
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// minus writes the sign as wide as a plus.
func minus(s string) string {
	if s == "-0" {
		return "0"
	}
	return strings.Replace(s, "-", "−", 1)
}

// count writes a number with its noun.
func count(n int64, noun string) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && n >= 10000; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	if n == 1 {
		return s + " " + noun
	}
	return s + " " + noun + "s"
}

// line is a curve of a metric: smoothed over its raw points, or over the least and largest of every point's updates.
func (t *table) line(metric, name string, colour int) *curve {
	s := t.get(metric)
	if s == nil {
		return nil
	}
	raw := s.points()
	if len(raw) == 0 {
		return nil
	}
	u := &curve{Name: name, Colour: colour, points: raw, Last: format(s.last.Y)}
	if span(len(raw)) > 1 {
		u.points, u.raw = smooth(raw), raw
		u.Last = format(u.points[len(raw)-1].Y) // where the bold line ends
	}
	if t.width > 1 {
		u.raw = nil
		for _, b := range s.bins {
			if drawn(b.min) && drawn(b.max) {
				u.area = append(u.area, bin{x: b.x / float64(b.n), min: b.min, max: b.max})
			}
		}
	}
	return u
}

// plain is a curve that nothing is smoothed in.
func (t *table) plain(metric, name string, colour int) *curve {
	u := t.line(metric, name, colour)
	if u != nil {
		s := t.get(metric)
		u.points, u.raw, u.Last = s.points(), nil, format(s.last.Y)
	}
	return u
}

// dotted is a curve of a metric that few updates have.
func (t *table) dotted(metric, name string, colour int) *curve {
	u := t.plain(metric, name, colour)
	if u != nil {
		u.area, u.dots = nil, true
	}
	return u
}

// held is a curve of the evaluations, with its confidence intervals if band is set.
func held(list []*evaluation, metric, name string, colour int, band bool) *curve {
	u := &curve{Name: name, Colour: colour, dots: true}
	for _, e := range list {
		v := e.metric(metric)
		if !drawn(v) {
			continue
		}
		u.points = append(u.points, point{float64(e.Update), v})
		u.Last = format(v)
		if low, high, ok := e.interval(metric); band && ok && drawn(low) && drawn(high) {
			u.area = append(u.area, bin{x: float64(e.Update), y: v, min: low, max: high})
		}
	}
	if u.points == nil {
		return nil
	}
	return u
}

// describe says in words what a chart shows.
func (c *chart) describe() {
	var parts []string
	for _, u := range c.Curves {
		first, last := u.points[0], u.points[len(u.points)-1]
		parts = append(parts, fmt.Sprintf("%s from %s at update %.0f to %s at update %.0f", u.Name, format(first.Y), first.X, format(last.Y), last.X))
	}
	c.Alt = "Chart of " + strings.ToLower(c.Title) + ": " + strings.Join(parts, "; ")
}
