package scenes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A filter is a set of shapes by colour or form; the zero filter is all.
type filter struct{ color, form string }

func (f filter) has(s *Shape) bool {
	return (f.color == "" || s.Color == f.color) && (f.form == "" || s.Form == f.form)
}

// String names the set, in the plural.
func (f filter) String() string {
	switch {
	case f.color == "" && f.form == "":
		return "shapes"
	case f.form == "":
		return f.color + " shapes"
	case f.color == "":
		return plural(f.form)
	}
	return f.color + " " + plural(f.form)
}

func plural(form string) string {
	if strings.HasSuffix(form, "s") {
		return form + "es"
	}
	return form + "s"
}

func (s *Scene) count(f filter) int {
	n := 0
	for i := range s.Shapes {
		if f.has(&s.Shapes[i]) {
			n++
		}
	}
	return n
}

// some draws a colour or a form, of those in use.
func (s *Scene) some(r *rand.Rand) filter {
	if r.IntN(2) == 0 {
		return filter{color: palette[r.IntN(s.config.Colors)].name}
	}
	return filter{form: outlines[r.IntN(s.config.Shapes)].name}
}

// list says where everything is: what a reasoner looks at first.
func (s *Scene) list() string {
	var b strings.Builder
	for i := range s.Shapes {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %s", s.config.place(s.Shapes[i].Cell), &s.Shapes[i])
	}
	return b.String()
}

// ask fills question, answer and trace in. It reports whether the arrangement allows a question of the kind.
func (s *Scene) ask(r *rand.Rand) bool {
	s.Options = nil
	switch s.Kind {
	case Count:
		f := s.some(r)
		if r.IntN(6) == 0 {
			f = filter{}
		}
		n := s.count(f)
		s.Question = fmt.Sprintf("How many %v are there?", f)
		s.Gold, s.Answer = n, fmt.Sprint(n)
		s.Trace = fmt.Sprintf("%s. %v: %d.", s.list(), f, n)
	case Subtract:
		f := s.some(r)
		all, n := len(s.Shapes), s.count(f)
		if n == 0 {
			return false
		}
		s.Question = fmt.Sprintf("Subtract all %v. How many shapes are left?", f)
		s.Gold, s.Answer = all-n, fmt.Sprint(all-n)
		s.Trace = fmt.Sprintf("%s. %d - %d = %d.", s.list(), all, n, all-n)
	case Compare:
		f, g := s.some(r), s.some(r)
		n, m := s.count(f), s.count(g)
		if f == g || (f.color == "") != (g.color == "") || n+m == 0 {
			return false
		}
		s.Question = fmt.Sprintf("Are there more %v or more %v?", f, g)
		s.Options = []string{"more " + f.String(), "more " + g.String(), "equally many"}
		right := 2
		sign := "="
		if n > m {
			right, sign = 0, ">"
		} else if n < m {
			right, sign = 1, "<"
		}
		s.choose(right, fmt.Sprintf("%s. %v: %d, %v: %d, %d %s %d.", s.list(), f, n, g, m, n, sign, m)+" "+string(rune('A'+right))+".")
	case Choose:
		return s.askWhich(r)
	case Fraction:
		f := s.some(r)
		all, n := len(s.Shapes), s.count(f)
		if n == 0 {
			return false
		}
		s.Question = fmt.Sprintf("What fraction of the shapes are %v? Answer in LaTeX.", f)
		s.Answer = fmt.Sprintf(`\frac{%d}{%d}`, n, all)
		s.Gold = s.Answer
		s.Trace = fmt.Sprintf("%s. %d of %d.", s.list(), n, all)
	case Express:
		f, g := s.some(r), s.some(r)
		if f == g || (f.color == "") != (g.color == "") {
			return false
		}
		n, m, a := s.count(f), s.count(g), 2+r.IntN(2)
		s.Question = fmt.Sprintf(`Let $a$ be the number of %v and $b$ that of %v. What is $%d a + b$?`, f, g, a)
		s.Answer = fmt.Sprintf("$%d$", a*n+m)
		s.Gold = s.Answer
		s.Trace = fmt.Sprintf(`%s. $a = %d$, $b = %d$, $%d \cdot %d + %d = %d$.`, s.list(), n, m, a, n, m, a*n+m)
	case Ground:
		x := &s.Shapes[r.IntN(len(s.Shapes))]
		if s.count(filter{x.Color, x.Form}) != 1 {
			return false
		}
		s.Question = fmt.Sprintf("Where is the %v? Answer with its box [x1,y1,x2,y2] as fractions of the picture.", x)
		b, n := x.box(s.config), s.config.decimals()
		s.Answer = fmt.Sprintf("[%.*f,%.*f,%.*f,%.*f]", n, b[0], n, b[1], n, b[2], n, b[3])
		s.Gold = s.Answer
		s.Trace = fmt.Sprintf("%s. The %v is at the %s.", s.list(), x, s.config.place(x.Cell))
	}
	return true
}

// choose makes option number right of the options the answer.
func (s *Scene) choose(right int, trace string) {
	s.Question += "\nChoices:"
	for i, o := range s.Options {
		s.Question += fmt.Sprintf("\n%c: %s", 'A'+i, o)
	}
	s.Answer = string(rune('A' + right))
	s.Gold = s.Answer
	s.Trace = trace
}

// askWhich asks for the colour of the only shape of its form, or for the form of the only one of its colour.
func (s *Scene) askWhich(r *rand.Rand) bool {
	x := &s.Shapes[r.IntN(len(s.Shapes))]
	var answer string
	var others []string
	if r.IntN(2) == 0 {
		if s.count(filter{form: x.Form}) != 1 {
			return false
		}
		s.Question, answer = fmt.Sprintf("What color is the %s?", x.Form), x.Color
		for _, p := range palette[:s.config.Colors] {
			others = append(others, p.name)
		}
	} else {
		if s.count(filter{color: x.Color}) != 1 {
			return false
		}
		s.Question, answer = fmt.Sprintf("Which shape is %s?", x.Color), x.Form
		for _, o := range outlines[:s.config.Shapes] {
			others = append(others, o.name)
		}
	}
	others = slices.DeleteFunc(others, func(o string) bool { return o == answer })
	r.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	s.Options = append(others[:min(len(others), 3)], answer)
	right := r.IntN(len(s.Options))
	last := len(s.Options) - 1
	s.Options[right], s.Options[last] = s.Options[last], s.Options[right]
	trace := fmt.Sprintf("%s. The %s is %s.", s.list(), x.Form, x.Color)
	for i, o := range s.Options[:right+1] {
		verdict := "no"
		if i == right {
			verdict = "yes"
		}
		trace += fmt.Sprintf(" %c: %s, %s.", 'A'+i, o, verdict)
	}
	s.choose(right, trace)
	return true
}
