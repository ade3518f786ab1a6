package mathverify

import (
	"math/big"
	"strings"
)

// additive reads a sum.
func (p *parser) additive() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var terms []Expr
	sum := func() Expr {
		if len(terms) == 1 {
			return terms[0]
		}
		return &Add{terms}
	}
	nested := 0
	for first := true; ; first = false {
		sign, pm := byte('+'), ""
		switch k := p.kind(); k {
		case '+', '-':
			sign = k
			p.i++
			// Signs may follow each other: 3 - -2.
			for p.is('+') || p.is('-') {
				if p.is('-') {
					sign = '+' + '-' - sign
				}
				p.i++
			}
		case tPM:
			pm = p.tok().s
			p.i++
		case tSetOp:
			// In numbers a backslash as a minus does not occur; the caller reads it.
			if !first {
				return sum(), nil
			}
		default:
			if !first {
				return sum(), nil
			}
		}
		if !first && !p.startsOperand() {
			if p.is(tEnd) || p.is('}') || p.is(')') || p.is(',') {
				return nil, p.fail("a sum without its last term")
			}
		}
		e, err := p.product()
		if err != nil {
			return nil, err
		}
		switch {
		case pm != "" && len(terms) == 0:
			terms = []Expr{&PlusMinus{nil, e, pm == "-"}}
		case pm != "":
			if nested++; nested > 4 {
				return nil, &LimitError{"signs ±", 4}
			}
			terms = []Expr{&PlusMinus{sum(), e, pm == "-"}}
		case sign == '-':
			if n, ok := e.(*Num); ok && n.Val.Sign() >= 0 {
				terms = append(terms, &Num{new(big.Rat).Neg(n.Val), n.Decimal})
			} else {
				terms = append(terms, &Neg{e})
			}
		default:
			terms = append(terms, e)
		}
		if pm != "" {
			terms = append(make([]Expr, 0, 4), terms...)
		}
	}
}

// product reads factors with or without signs between them, and the unit behind them.
func (p *parser) product() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.factor()
	if err != nil {
		return nil, err
	}
	num, den := []Expr{e}, []Expr(nil)
	done := func() Expr {
		if len(num) == 1 && den == nil {
			return num[0]
		}
		return &Mul{num, den}
	}
	for {
		prev := p.t[p.i-1].k
		switch k := p.kind(); {
		case k == '*':
			p.i++
			if !p.startsOperand() && !p.is('-') && !p.is('+') {
				if p.is(tEnd) {
					return done(), nil // the stars of bold text
				}
				return nil, p.fail("a product without its last factor")
			}
			e, err := p.factor()
			if err != nil {
				return nil, err
			}
			num = append(num, e)
		case k == '/':
			p.i++
			e, err := p.factor()
			if err != nil {
				return nil, err
			}
			den = append(den, e)
		case k == tMod && p.tok().s == "":
			if prev == '(' || !(p.kindAt(1) == tNumber || p.kindAt(1) == tSymbol || p.kindAt(1) == '(') {
				return done(), nil
			}
			p.i++
			m, err := p.factor()
			if err != nil {
				return nil, err
			}
			num, den = []Expr{&Call{"mod", []Expr{done(), m}}}, nil
		case k == tText, k == tUnit, k == tWord, k == tMoney:
			e, ok, err := p.units(done())
			if err != nil {
				return nil, err
			}
			if !ok {
				if k == tWord || k == tText {
					return nil, p.fail("words in a formula")
				}
				return done(), nil
			}
			num, den = []Expr{e}, nil
			if q, isQuantity := e.(*Quantity); isQuantity {
				return p.compound(q)
			}
			if !p.is('*') && !p.is('/') {
				return e, nil
			}
		case k == '{' && (p.kindAt(1) == tWord || p.kindAt(1) == tUnit || p.kindAt(1) == tText) && p.kindAt(2) == '}':
			// 8\sqrt{3}{squareinches}
			p.i++
			e, ok, err := p.units(done())
			if err != nil || !ok {
				return nil, p.fail("words in a formula")
			}
			p.skip('}')
			return e, nil
		case k == '(' && p.kindAt(1) == tMod:
			return done(), nil
		case p.startsOperand():
			if k == tNumber && prev == tNumber {
				return nil, p.fail("two numbers side by side")
			}
			if k == tDots {
				return nil, p.fail("dots inside a formula")
			}
			e, err := p.factor()
			if err != nil {
				return nil, err
			}
			num = append(num, e)
		default:
			return done(), nil
		}
		if len(num)+len(den) > MaxItems {
			return nil, &LimitError{"factors", MaxItems}
		}
	}
}

// factor reads a signed power.
func (p *parser) factor() (Expr, error) {
	neg := false
	for p.is('-') || p.is('+') {
		neg = neg != p.is('-')
		p.i++
	}
	e, err := p.power()
	if err != nil {
		return nil, err
	}
	if neg {
		return &Neg{e}, nil
	}
	return e, nil
}

// power reads a primary with what stands behind and above it.
func (p *parser) power() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(e)
}

func (p *parser) postfix(e Expr) (Expr, error) {
	for n := 0; ; n++ {
		if err := deeper(n); err != nil {
			return nil, err
		}
		switch p.kind() {
		case '^':
			p.i++
			// Degrees and primes.
			if p.is(tDegree) || p.is('{') && p.kindAt(1) == tDegree && p.kindAt(2) == '}' {
				if p.is('{') {
					p.i += 2
				}
				p.i++
				e = p.minutes(&Degree{e})
				p.scale()
				continue
			}
			if p.is('\'') || p.is('{') && p.kindAt(1) == '\'' {
				braces := p.skip('{')
				for p.skip('\'') {
					e = prime(e)
				}
				if braces && !p.skip('}') {
					return nil, p.fail("want }")
				}
				continue
			}
			if _, ok := e.(*Matrix); ok {
				if s := p.superscript(); s == "T" || s == "t" {
					e = &Call{"transpose", []Expr{e}}
					continue
				}
			}
			x, err := p.exponent()
			if err != nil {
				return nil, err
			}
			e = &Pow{e, x}
		case '_':
			if n, ok := e.(*Num); ok && p.t[p.i-1].k == tNumber {
				b, err := p.based(n)
				if err != nil {
					return nil, err
				}
				e = b
				continue
			}
			p.i++
			sub, err := p.subscript()
			if err != nil {
				return nil, err
			}
			switch x := e.(type) {
			case *Sym:
				e = &Sym{x.Name + "_" + sub}
				if c, ok, err := p.call(e.(*Sym)); err != nil {
					return nil, err
				} else if ok {
					e = c
				}
			case *NamedSet:
				e = &NamedSet{x.Name + sub}
			default:
				return nil, p.fail("a subscript here means nothing")
			}
		case '!':
			name := "fact"
			p.i++
			if p.is('!') && !p.tok().sp {
				p.i++
				name = "fact2"
			}
			e = &Call{name, []Expr{e}}
		case '%':
			p.i++
			e = &Percent{e}
		case tDegree:
			p.i++
			e = p.minutes(&Degree{e})
			p.scale()
		case '{':
			if p.kindAt(1) != tDegree || p.kindAt(2) != '}' {
				return e, nil
			}
			p.i += 3
			e = &Degree{e}
		case '\'':
			switch e.(type) {
			case *Sym, *Call:
				p.i++
				e = prime(e)
			default:
				return e, nil
			}
		default:
			return e, nil
		}
	}
}

// superscript takes a raised T for a transpose, if that is what follows.
func (p *parser) superscript() string {
	if p.is(tSymbol) {
		s := p.tok().s
		if s == "T" || s == "t" {
			p.i++
			return s
		}
	}
	if p.is('{') && p.kindAt(1) == tSymbol && p.kindAt(2) == '}' {
		s := p.t[p.i+1].s
		if s == "T" || s == "t" {
			p.i += 3
			return s
		}
	}
	return ""
}

// scale passes over the C or F of a temperature.
func (p *parser) scale() {
	if p.is(tSymbol) && (p.tok().s == "C" || p.tok().s == "F") {
		p.i++
	}
}

func prime(e Expr) Expr {
	switch x := e.(type) {
	case *Sym:
		return &Sym{x.Name + "'"}
	case *Call:
		return &Call{x.Name + "'", x.Args}
	}
	return e
}

// exponent reads what stands behind ^: a group, or one factor with its own exponent.
func (p *parser) exponent() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.is('-') || p.is('+') {
		neg := p.is('-')
		p.i++
		e, err := p.exponent()
		if err != nil || !neg {
			return e, err
		}
		return &Neg{e}, nil
	}
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	if p.is('^') {
		p.i++
		x, err := p.exponent()
		if err != nil {
			return nil, err
		}
		return &Pow{e, x}, nil
	}
	return e, nil
}

// subscript returns the text of what stands behind _.
func (p *parser) subscript() (string, error) {
	start := p.i
	if !p.is('{') {
		t := p.tok()
		switch t.k {
		case tNumber, tSymbol, tText, tWord, tFunc, tInf, tNamed, tUnit:
			p.i++
			if t.num != nil && t.s == "" {
				return t.num.Val.RatString(), nil
			}
			return strings.TrimSpace(t.s), nil
		}
		return "", p.fail("a subscript is missing")
	}
	// Equal indices should be equal texts: read it as an expression if it is one.
	e, err := p.primary()
	if err == nil {
		s := strings.Trim(text(e), `()"`)
		return strings.ReplaceAll(s, " ", ""), nil
	}
	p.i = start
	depth := 0
	var b strings.Builder
	for ; !p.is(tEnd); p.i++ {
		switch t := p.tok(); t.k {
		case '{':
			depth++
		case '}':
			depth--
		default:
			b.WriteByte(t.k)
			b.WriteString(t.s)
		}
		if depth == 0 {
			p.i++
			return b.String(), nil
		}
	}
	return "", p.fail("want }")
}

// based reads 2012_3, the digits of a number in a base.
func (p *parser) based(n *Num) (Expr, error) {
	digits := p.t[p.i-1].s
	p.i++
	base := 0
	sub, err := p.subscript()
	if err != nil {
		return nil, err
	}
	for _, c := range strings.TrimSpace(sub) {
		if c < '0' || c > '9' || base > 36 {
			base = 0
			break
		}
		base = base*10 + int(c-'0')
	}
	if base == 0 {
		switch sub {
		case "two":
			base = 2
		case "ten":
			base = 10
		case "eight":
			base = 8
		}
	}
	if base < 2 || base > 36 || n.Decimal {
		return nil, p.fail("a number with a subscript that is no base")
	}
	clean := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, digits)
	v, ok := new(big.Int).SetString(clean, base)
	if !ok {
		return nil, p.fail("digits that the base does not have")
	}
	return &Num{new(big.Rat).SetInt(v), false}, nil
}
