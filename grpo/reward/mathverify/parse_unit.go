package mathverify

import (
	"math/big"
	"strings"
)

// compound adds the smaller units of "1 hour 30 minutes".
func (p *parser) compound(q *Quantity) (Expr, error) {
	for n := 0; p.is(tNumber) && n < 4; n++ {
		k := p.i + 1
		if k < len(p.t) && p.t[k].k != tUnit && p.t[k].k != tText && p.t[k].k != tWord {
			return q, nil
		}
		x := p.tok().num
		p.i++
		e, _, err := p.units(x)
		if err != nil {
			return nil, err
		}
		small, ok := e.(*Quantity)
		if !ok || !small.Unit.same(q.Unit) {
			return nil, p.fail("two numbers side by side")
		}
		ratio := new(big.Rat).Quo(small.Unit.Scale, q.Unit.Scale)
		q = &Quantity{&Add{[]Expr{q.X, &Mul{[]Expr{small.X, &Num{ratio, false}}, nil}}}, q.Unit}
	}
	return q, nil
}

// minutes adds the minutes and seconds of an angle: 45°30'15”.
func (p *parser) minutes(e Expr) Expr {
	d, ok := e.(*Degree)
	if !ok || !p.is(tNumber) || p.kindAt(1) != '\'' {
		return e
	}
	sum := []Expr{d.X}
	for unit := int64(60); unit <= 3600 && p.is(tNumber) && p.kindAt(1) == '\''; unit *= 60 {
		if unit == 3600 && p.kindAt(2) != '\'' {
			break
		}
		sum = append(sum, &Num{new(big.Rat).Quo(p.tok().num.Val, big.NewRat(unit, 1)), p.tok().num.Decimal})
		p.i += 2
		if unit == 3600 {
			p.i++
		}
	}
	return &Degree{&Add{sum}}
}

// units reads the unit or the words behind e. It refuses words behind bare variables: those are prose.
func (p *parser) units(e Expr) (Expr, bool, error) {
	if !some(e, func(e Expr) bool {
		switch x := e.(type) {
		case *Num, *Tuple, *Set, *Matrix, *Inf:
			return true
		case *Sym:
			return x.Name == "pi"
		}
		return false
	}) {
		if !p.is(tText) && !p.is(tMoney) {
			return nil, false, nil
		}
	}
	var b strings.Builder
	inWords := false
	for {
		switch p.kind() {
		case tSymbol, tFunc, '\'':
			if inWords && !p.latex {
				p.i++
				continue
			}
		case tText, tUnit, tWord, tMoney:
			inWords = inWords || p.is(tWord)
			b.WriteString(p.tok().s)
			b.WriteByte(' ')
			p.i++
			continue
		case '^':
			// cm^2, cm^{2}
			if b.Len() == 0 {
				break
			}
			if p.kindAt(1) == tNumber {
				b.WriteString("^" + p.t[p.i+1].s + " ")
				p.i += 2
				continue
			}
			if p.kindAt(1) == '{' && p.kindAt(2) == tNumber && p.kindAt(3) == '}' {
				s := p.t[p.i+2].s
				if s == "" && p.t[p.i+2].num != nil { // a raised digit
					s = p.t[p.i+2].num.Val.Num().String()
				}
				b.WriteString("^" + s + " ")
				p.i += 4
				continue
			}
		case '/':
			if n := p.kindAt(1); n == tText || n == tUnit || n == tWord {
				b.WriteString("/ ")
				p.i++
				continue
			}
			if p.kindAt(1) == tSymbol && b.Len() > 0 {
				if _, ok := unitNamed(p.t[p.i+1].s); ok {
					b.WriteString("/ " + p.t[p.i+1].s + " ")
					p.i += 2
					continue
				}
			}
		case '.':
			// "ft."
			if n := p.kindAt(1); n == tText || n == tUnit {
				p.i++
				continue
			}
		case '*':
			if n := p.kindAt(1); n == tUnit || n == tText {
				p.i++
				continue
			}
		}
		break
	}
	phrase := b.String()
	switch strings.ToLower(strings.Trim(phrase, " .")) {
	case "hundred":
		return &Mul{[]Expr{e, number(100)}, nil}, true, nil
	case "thousand":
		return &Mul{[]Expr{e, number(1000)}, nil}, true, nil
	case "million":
		return &Mul{[]Expr{e, number(1_000_000)}, nil}, true, nil
	case "billion":
		return &Mul{[]Expr{e, number(1_000_000_000)}, nil}, true, nil
	case "dozen":
		return &Mul{[]Expr{e, number(12)}, nil}, true, nil
	case "percent", "per cent":
		return &Percent{e}, true, nil
	}
	if _, ok := e.(*Quantity); ok {
		return e, true, nil
	}
	if u, ok := unitPhrase(phrase); ok {
		return &Quantity{e, u}, true, nil
	}
	return e, true, nil
}
