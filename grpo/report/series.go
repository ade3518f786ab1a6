package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

const (
	maxBins  = 400 // points of a curve
	maxNames = 400 // metrics
)

// A bin is what some updates in a row have for a metric, NaN and infinities left out.
type bin struct {
	at             int64 // (update - first) / width
	n              int64
	x, y, min, max float64 // sums of the updates and of the values
}

// A series is a metric over the updates.
type series struct {
	bins        []bin
	first, last point
	min, max    float64
	n           int64 // values
	missing     int64 // that are not finite
}

type point struct{ X, Y float64 }

// A table is the metrics of a file of lines with steps, thinned while it is read: when the updates fill more than maxBins bins, these are
// joined two by two. So it takes the same memory for a run of any length.
type table struct {
	series map[string]*series
	begin  int64 // update of the first bin
	width  int64 // updates of a bin
	last   int64
	rows   int64
	began  bool
	lost   map[string]bool // names that were one too many
}

func newTable() *table {
	return &table{series: map[string]*series{}, width: 1, lost: map[string]bool{}}
}

// read takes a line in.
func (t *table) read(line []byte) error {
	var row map[string]json.RawMessage
	if err := json.Unmarshal(line, &row); err != nil {
		return err
	}
	var step int64
	if s, ok := row["step"]; !ok {
		return errors.New("it has no step")
	} else if err := json.Unmarshal(s, &step); err != nil || step < 0 || step > 1<<53 {
		return fmt.Errorf("the step %.20s is not a number of updates", s)
	}
	if t.began && step <= t.last {
		return fmt.Errorf("step %d comes after step %d", step, t.last)
	}
	delete(row, "step")
	if !t.began {
		t.begin, t.began = step, true
	}
	t.last = step
	t.rows++
	for (step-t.begin)/t.width >= maxBins {
		t.width *= 2
		for _, s := range t.series {
			s.halve()
		}
	}
	for name, raw := range row {
		var v number
		if v.UnmarshalJSON(raw) != nil {
			continue // what is not a number is no metric
		}
		s := t.series[name]
		if s == nil {
			if len(t.series) == maxNames || len(name) > 200 {
				if len(t.lost) < maxNames {
					t.lost[name] = true
				}
				continue
			}
			s = &series{min: math.Inf(1), max: math.Inf(-1)}
			t.series[name] = s
		}
		s.add((step-t.begin)/t.width, float64(step), float64(v))
	}
	return nil
}

func (s *series) add(at int64, x, y float64) {
	if !finite(y) {
		s.missing++
		return
	}
	if s.n == 0 {
		s.first = point{x, y}
	}
	s.n++
	s.last = point{x, y}
	s.min, s.max = min(s.min, y), max(s.max, y)
	if k := len(s.bins); k > 0 && s.bins[k-1].at == at {
		s.bins[k-1].join(bin{at, 1, x, y, y, y})
	} else {
		s.bins = append(s.bins, bin{at, 1, x, y, y, y})
	}
}

func (b *bin) join(c bin) {
	b.n += c.n
	b.x, b.y = b.x+c.x, b.y+c.y
	b.min, b.max = min(b.min, c.min), max(b.max, c.max)
}

// halve joins the bins two by two.
func (s *series) halve() {
	k := 0
	for _, b := range s.bins {
		b.at /= 2
		if k > 0 && s.bins[k-1].at == b.at {
			s.bins[k-1].join(b)
		} else {
			s.bins[k] = b
			k++
		}
	}
	s.bins = s.bins[:k]
}

// get returns a series, nil where there is none or where it has no value.
func (t *table) get(name string) *series {
	if s := t.series[name]; s != nil && s.n > 0 {
		return s
	}
	return nil
}

func (t *table) names() []string { return slices.Sorted(maps.Keys(t.series)) }

// points are the means of the bins.
func (s *series) points() []point {
	p := make([]point, 0, len(s.bins))
	for _, b := range s.bins {
		if q := (point{b.x / float64(b.n), b.y / float64(b.n)}); drawn(q.Y) {
			p = append(p, q)
		}
	}
	return p
}

// drawn reports whether a chart can show a value: sums and squares of those that it can do not overflow.
func drawn(v float64) bool { return math.Abs(v) < 1e100 }

// span is over how many points n points are smoothed; 1 is not at all.
func span(n int) int {
	if n < 12 {
		return 1
	}
	return max(2, min(n/16, 24))
}

// smooth is a moving average of points: at each, the line that fits those around it best, the nearer the more, by exponential weights. It
// follows a slope without a lag, at its ends, too.
func smooth(p []point) []point {
	n := span(len(p))
	keep := 1 - 2/float64(n+1)
	out := make([]point, len(p))
	for i, q := range p {
		var w, x, y, xx, xy float64 // sums, about q.X
		for j := max(i-6*n, 0); j < min(i+6*n+1, len(p)); j++ {
			k := math.Pow(keep, math.Abs(float64(i-j)))
			d := p[j].X - q.X
			w, x, y, xx, xy = w+k, x+k*d, y+k*p[j].Y, xx+k*d*d, xy+k*d*p[j].Y
		}
		out[i] = q
		if v := w*xx - x*x; n > 1 && v > 0 {
			out[i].Y = (xx*y - x*xy) / v
		}
	}
	return out
}
