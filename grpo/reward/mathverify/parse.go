package mathverify

import (
	"errors"
	"strings"
)

// Parse reads one expression, LaTeX or plain. What it cannot read but is made of words becomes a [Text]. The error is a
// [*SyntaxError] or a [*LimitError].
func Parse(src string) (Expr, error) {
	e, _, err := read(src, false, false, 0)
	return e, err
}

// read parses src and reports whether a comma was taken for a separator of thousands. math says that src stood between the
// delimiters of LaTeX, noGroups that commas separate.
func read(src string, math, noGroups bool, nested int) (e Expr, grouped bool, err error) {
	src = strings.TrimSpace(src)
	if src == "" {
		return nil, false, syntaxError(src, 0, "empty")
	}
	if v := plainNumber(src); v != nil {
		return v, false, nil
	}
	if n, ok := numeral(src); ok {
		return number(n), false, nil
	}
	if nested > 0 && onlyLetters(src) {
		return &Text{words(src)}, false, nil
	}
	t, err := tokenize(src, math, noGroups)
	if err == nil {
		if s, ok := onlyText(t.out); ok {
			if nested < 3 {
				return read(s, math, noGroups, nested+1)
			}
			return &Text{words(src)}, false, nil
		}
		p := &parser{src: src, t: t.out, latex: t.latex}
		e, err = p.answer()
		if err == nil {
			return e, t.grouped, nil
		}
	}
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		if w, ok := prose(src); ok {
			return &Text{w}, false, nil
		}
	}
	return nil, false, err
}

type parser struct {
	src   string
	t     []token
	i     int
	depth int
	latex bool
	within
}

// within is what the innermost brackets make of some characters.
type within struct {
	inBars  int  // open | | brackets
	cells   bool // a & separates (in a matrix)
	outward bool // a [ closes (in ]a,b[)
	noBar   bool // a | separates (in a set before its condition)
	noColon bool
}

// open begins new brackets and returns what restore needs at their end.
func (p *parser) open() within {
	w := p.within
	p.within = within{}
	return w
}

func (p *parser) restore(w within) { p.within = w }

func (p *parser) tok() *token { return &p.t[p.i] }

func (p *parser) kind() byte { return p.t[p.i].k }

func (p *parser) is(k byte) bool { return p.t[p.i].k == k }

func (p *parser) kindAt(n int) byte {
	if p.i+n < len(p.t) {
		return p.t[p.i+n].k
	}
	return tEnd
}

func (p *parser) skip(k byte) bool {
	if p.is(k) {
		p.i++
		return true
	}
	return false
}

func (p *parser) fail(reason string) error { return syntaxError(p.src, int(p.tok().pos), reason) }

func (p *parser) enter() error {
	p.depth++
	if p.depth > 6*MaxDepth {
		return &LimitError{"levels of nesting", MaxDepth}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// deeper guards the loops that nest nodes without recursion.
func deeper(n int) error {
	if n > MaxDepth {
		return &LimitError{"levels of nesting", MaxDepth}
	}
	return nil
}

// answer reads the whole input.
func (p *parser) answer() (Expr, error) {
	for {
		switch p.kind() {
		case ':', '.', ',', ';', tAnd, tRow, '"', '*', '`', '#':
			p.i++
			continue
		case tRel:
			// "= 5", "≈ 5"
			if s := p.tok().s; s == "=" || s == "~" || s == "->" {
				p.i++
				continue
			}
		}
		break
	}
	e, err := p.list()
	if err != nil {
		return nil, err
	}
	for {
		switch p.kind() {
		case '.', ',', ';', ':', '"', '`', '?', '*', '#', tRow, tAnd, tText, '&', '\'':
			p.i++
			continue
		case '}', tEndSet:
			// An answer cut out of a longer formula may end with brackets that it did not open.
			p.i++
			continue
		case tFinish:
			p.i++
			continue
		case tWord, tCond:
			return e, nil // "5 for all n", "5 ways"
		case tEnd:
			return e, nil
		}
		return nil, p.fail("not understood")
	}
}
