package reward

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A box is [x1, y1, x2, y2].
type box [4]float64

// valid reports whether a box has its corners in order and an area, in numbers that pictures have.
func (b box) valid() error {
	for _, v := range b {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("the box %v is not finite", b)
		}
		if math.Abs(v) > maxCoordinate {
			return fmt.Errorf("the box %v has a coordinate beyond %g", b, float64(maxCoordinate))
		}
	}
	switch w, h := b[2]-b[0], b[3]-b[1]; {
	case w < 0 || h < 0:
		return fmt.Errorf("the box %v has its corners reversed", b)
	case w == 0 || h == 0 || w*h == 0:
		return fmt.Errorf("the box %v has no area", b)
	}
	return nil
}

func (b box) String() string {
	s := make([]string, len(b))
	for i, v := range b {
		s[i] = strconv.FormatFloat(v, 'g', 8, 64)
	}
	return "[" + strings.Join(s, ", ") + "]"
}

func (b box) area() float64 { return (b[2] - b[0]) * (b[3] - b[1]) }

// iou is the area that two valid boxes share over the area that they cover.
func (b box) iou(c box) float64 {
	w := min(b[2], c[2]) - max(b[0], c[0])
	h := min(b[3], c[3]) - max(b[1], c[1])
	if !(w > 0 && h > 0) {
		return 0
	}
	shared := w * h
	covered := b.area() + c.area() - shared
	if !(covered > 0) {
		return 0
	}
	return min(1, shared/covered)
}

const (
	maxCoordinate = 1e9
	maxBoxes      = 64
	maxNest       = 64 // brackets that are open at once
)

// parseBoxes reads the boxes in a text. It knows, in this order of preference,
//
//   - the values of JSON keys as bbox_2d, and those of x1, y1, x2, y2;
//   - four numbers in brackets of any kind, also where the text ends before the bracket;
//   - two points in brackets one after another, as (x1, y1), (x2, y2);
//   - four numbers in a row without brackets.
//
// Of these only the first kind that occurs counts. Numbers in quoted strings, in words and alone are none of a box's. NaN and infinities
// are numbers here, so that their boxes are seen and refused. A box that occurs twice counts once.
func parseBoxes(s string) ([]box, error) {
	s = strings.Trim(strings.ReplaceAll(s, "\u2212", "-"), " \t\r\n`")
	if n := len(s); n > 2 && s[0] == '"' && strings.IndexByte(s[1:], '"') == n-2 {
		s = s[1 : n-1]
	}
	if n := strings.Count(s, `\"`); n > 0 && n == strings.Count(s, `"`) { // JSON within a JSON string
		s = strings.ReplaceAll(s, `\"`, `"`)
	}
	p := &boxParser{s: s}
	p.scan()
	if p.err != nil {
		return nil, p.err
	}
	for _, boxes := range [][]box{p.keyed, p.grouped, p.paired, p.loose} {
		if len(boxes) > 0 {
			return boxes, nil
		}
	}
	return nil, nil
}

// A group is an open bracket and what has been read in it.
type group struct {
	numbers []float64
	points  []float64 // of groups of two numbers in it
	keys    [4]float64
	seen    [4]bool // of keys
	foreign bool    // it holds something else, too
	keyed   bool    // it is the value of a box's key
}

// A boxParser reads a text once, from left to right.
type boxParser struct {
	s     string
	stack []group
	key   string // the last key, while its value is awaited

	keyed, grouped, paired, loose []box
	unended                       int  // quotes without a match
	header                        bool // the word before was a coordinate's name in a list
	inner                         bool // it reads a string in a text
	err                           error
}

func (p *boxParser) scan() {
	p.stack = []group{{}}
	s := p.s
	for i := 0; i < len(s) && p.err == nil; {
		c := s[i]
		if n := spaceAt(s, i); n > 0 {
			i += n
			continue
		}
		switch {
		case c == '[' || c == '(' || c == '{':
			if len(p.stack) > maxNest {
				p.err = fmt.Errorf("brackets nest deeper than %d", maxNest)
				return
			}
			p.part()
			p.stack = append(p.stack, group{keyed: c != '{' && (boxKey(p.key) || p.top().keyed)})
			p.key = ""
			i++
		case c == ']' || c == ')' || c == '}':
			if len(p.stack) > 1 {
				p.close(true)
			}
			p.key = ""
			i++
		case c == '"' || c == '\'' && p.quotes(i):
			end := -1
			if p.unended < maxUnended { // each costs a look at all that follows
				end = stringEnd(s, i)
			}
			if end < 0 { // a quote without its match: the text was cut off in a string, or it means inches
				if p.unended++; len(p.stack) == 1 {
					i++
					continue
				}
				i = len(s)
				break
			}
			i = p.text(s[i+1:end-1], end)
		case isDigit(c) || (c == '-' || c == '+' || c == '.') && i+1 < len(s) && (isDigit(s[i+1]) || s[i+1] == '.' && i+2 < len(s) && isDigit(s[i+2]) ||
			c != '.' && infinite(s[i+1:]) > 0):
			i = p.number(i)
		case isLetter(c) || c == '_' || c >= 0x80:
			i = p.word(i)
		case c == ',' || c == ';' || c == '\\' || c == '$' || c == '`' || c == '*':
			i++
		default: // what parts numbers that do not belong together
			p.part()
			i++
		}
	}
	for len(p.stack) > 1 && p.err == nil {
		p.close(false)
	}
	if p.err == nil {
		p.part()
	}
}

func (p *boxParser) top() *group { return &p.stack[len(p.stack)-1] }

// quotes reports whether an apostrophe at i begins a string and is not one of a word's.
func (p *boxParser) quotes(i int) bool {
	t := strings.TrimRight(p.s[:i], " \t\r\n")
	return t == "" || strings.IndexByte("[({,:=", t[len(t)-1]) >= 0
}

// stringEnd returns where the string that begins at i ends, -1 where it does not.
func stringEnd(s string, i int) int {
	quote := s[i]
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case quote:
			return j + 1
		}
	}
	return -1
}

// text takes in a quoted string: a key, a number, a box as the value of a box's key, or a label. next is where the reading goes on.
func (p *boxParser) text(t string, next int) int {
	rest := strings.TrimLeft(p.s[next:], " \t\r\n")
	t = strings.TrimSpace(t)
	switch {
	case strings.HasPrefix(rest, ":"):
		p.part()
		p.key = t
	case p.key != "" && boxKey(p.key):
		p.key = ""
		inner := &boxParser{s: t, inner: true}
		if len(t) <= maxInner && !p.inner {
			inner.scan()
		}
		if p.err == nil {
			p.err = inner.err
		}
		for _, b := range append(inner.grouped, inner.loose...) {
			p.add(&p.keyed, b)
		}
	default:
		if v, err := strconv.ParseFloat(t, 64); len(t) <= maxNumber && len(p.stack) > 1 && (err == nil || isRange(err)) && !strings.ContainsAny(t, "xX_pP") {
			p.value(v)
		} else {
			p.key = ""
			p.foreign()
		}
	}
	return next
}

const (
	maxNumber  = 400
	maxInner   = 1 << 10 // bytes of a string that is read as a box
	maxUnended = 8
)

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

// boxKey reports whether a key's value is a box.
func boxKey(key string) bool {
	if key == "" || len(key) > 24 {
		return false
	}
	k := []byte(asciiLower(key))
	n := 0
	for _, c := range k {
		if c != '_' && c != '-' && c != ' ' {
			k[n], n = c, n+1
		}
	}
	switch string(k[:n]) {
	case "bbox", "bbox2d", "box", "box2d", "boxes", "bboxes", "boundingbox", "boundingboxes", "bndbox", "coordinates", "coords", "xyxy", "bboxes2d", "boxes2d":
		return true
	}
	return false
}

// coordinate returns which of x1, y1, x2, y2 a key names, -1 for none.
func coordinate(key string) int {
	switch asciiLower(cutAt(key, 16)) {
	case "x1", "xmin", "x_min", "x_1", "left", "x0":
		return 0
	case "y1", "ymin", "y_min", "y_1", "top", "y0":
		return 1
	case "x2", "xmax", "x_max", "x_2", "right":
		return 2
	case "y2", "ymax", "y_max", "y_2", "bottom":
		return 3
	}
	return -1
}

// number reads the number at i and returns where it ends.
func (p *boxParser) number(i int) int {
	s := p.s
	j := i
	if s[j] == '-' || s[j] == '+' {
		j++
		if n := infinite(s[j:]); n > 0 {
			p.value(math.Inf(1))
			return j + n
		}
	}
	for ; j < len(s) && isDigit(s[j]); j++ {
	}
	if j < len(s) && s[j] == '.' {
		for j++; j < len(s) && isDigit(s[j]); j++ {
		}
	}
	if j < len(s) && s[j]|0x20 == 'e' {
		k := j + 1
		if k < len(s) && (s[k] == '-' || s[k] == '+') {
			k++
		}
		if k < len(s) && isDigit(s[k]) {
			for j = k; j < len(s) && isDigit(s[j]); j++ {
			}
		}
	}
	end := j
	if s[j:min(len(s), j+2)] == "px" {
		j += 2
	}
	if j < len(s) && (isLetter(s[j]) || s[j] == '_' || s[j] == '%' || s[j] == '/' || s[j] == '^') { // 2D, 50%, 1/2: no coordinates
		for j++; j < len(s) && (isLetter(s[j]) || isDigit(s[j]) || s[j] == '_' || s[j] == '/'); j++ {
		}
		p.foreign()
		return j
	}
	if end-i > maxNumber {
		p.err = fmt.Errorf("a number has %d characters", end-i)
		return j
	}
	v, _ := strconv.ParseFloat(s[i:end], 64) // beyond the range it is an infinity
	p.value(v)
	return j
}

// infinite returns the length of the infinity or NaN that s begins with.
func infinite(s string) int {
	n := 0
	for n < len(s) && n < 9 && (isLetter(s[n]) || s[n] == '_' || isDigit(s[n])) {
		n++
	}
	switch asciiLower(s[:n]) {
	case "nan", "inf", "infinity":
		return n
	}
	return 0
}

// word reads a word at i: NaN and its like, a key without quotes, a box's tag, or text.
func (p *boxParser) word(i int) int {
	s := p.s
	if n := infinite(s[i:]); n > 0 {
		v := math.NaN()
		if s[i]|0x20 == 'i' {
			v = math.Inf(1)
		}
		p.value(v)
		return i + n
	}
	j := i
	for j < len(s) && (isLetter(s[j]) || isDigit(s[j]) || s[j] == '_' || s[j] >= 0x80) {
		j++
	}
	w := s[i:j]
	rest := strings.TrimLeft(s[j:], " \t")
	switch {
	case i > 0 && s[i-1] == '\\': // \left, \right, \boxed
	case strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "="):
		p.part()
		if p.key = w; p.header && coordinate(w) >= 0 { // x1, y1, x2, y2 = 0.1, 0.2, 0.3, 0.4
			p.key = ""
		}
		p.header = false
	case coordinate(w) >= 0 && strings.HasPrefix(rest, ","):
		p.header = true
		p.foreign()
	case len(p.stack) == 1 && (w == "and" || w == "to"):
	default:
		p.key = ""
		p.foreign()
	}
	return j
}

// foreign notes something in the open bracket that is no number.
func (p *boxParser) foreign() {
	p.part()
	p.top().foreign = true
}

// part ends a row of numbers outside brackets.
func (p *boxParser) part() {
	if len(p.stack) > 1 {
		return
	}
	g := p.top()
	if len(g.numbers) == 4 {
		p.add(&p.loose, box(g.numbers))
	}
	g.numbers = g.numbers[:0]
}

// value takes in a number.
func (p *boxParser) value(v float64) {
	g := p.top()
	if k := coordinate(p.key); k >= 0 {
		p.key = ""
		if g.seen[k] { // the next box begins
			g.seen = [4]bool{}
		}
		g.keys[k], g.seen[k] = v, true
		if g.seen == [4]bool{true, true, true, true} {
			p.add(&p.keyed, box(g.keys))
			g.seen = [4]bool{}
		}
		return
	}
	if p.key != "" && len(p.stack) > 1 { // another key's number
		p.key = ""
		g.foreign = true
		return
	}
	p.key = ""
	if len(g.numbers) < 5 { // more are no box, however many
		g.numbers = append(g.numbers, v)
	}
}

// close ends the open bracket. whole says that the text does.
func (p *boxParser) close(whole bool) {
	g := *p.top()
	p.stack = p.stack[:len(p.stack)-1]
	up := p.top()
	n := len(g.numbers)
	switch {
	case g.foreign:
		if n > 0 {
			p.point(up, nil)
		}
	case n == 4 && len(g.points) == 0:
		b := box(g.numbers)
		if g.keyed {
			p.add(&p.keyed, b)
		}
		p.add(&p.grouped, b)
		p.point(up, nil)
	case n == 2 && len(g.points) == 0 && whole:
		p.point(up, g.numbers)
	case n == 0 && len(g.points) == 2: // ((x, y)) or [[x1, y1], ...
		p.point(up, g.points)
	case n > 0:
		p.point(up, nil)
	}
}

// point takes in a point of a group, which with the one before makes a box. No point parts two that do not follow each other.
func (p *boxParser) point(up *group, xy []float64) {
	if xy == nil {
		up.points = up.points[:0]
		return
	}
	if up.points = append(up.points, xy...); len(up.points) == 4 {
		b := box(up.points)
		if up.keyed {
			p.add(&p.keyed, b)
		}
		p.add(&p.paired, b)
		up.points = up.points[:0]
	}
}

// add keeps a box that is new.
func (p *boxParser) add(to *[]box, b box) {
	if len(*to) == maxBoxes {
		p.err = fmt.Errorf("more than %d boxes", maxBoxes)
		return
	}
	for _, o := range *to {
		if o == b {
			return
		}
	}
	*to = append(*to, b)
}
