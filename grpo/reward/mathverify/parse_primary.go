package mathverify

import (
	"math/big"
	"strings"
)

// primary reads an operand.
func (p *parser) primary() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.tok()
	switch t.k {
	case tNumber:
		p.i++
		return p.mixed(t.num), nil
	case tSymbol:
		p.i++
		s := &Sym{t.s}
		if c, ok, err := p.call(s); ok || err != nil {
			return c, err
		}
		return s, nil
	case tFunc:
		return p.function()
	case '(', '[', tOpenAng:
		return p.brackets()
	case ']':
		// ]0,1[ is an open interval.
		return p.brackets()
	case tOpenSet:
		return p.set()
	case '{':
		p.i++
		if p.skip('}') {
			return p.primary()
		}
		saved := p.open()
		e, err := p.list()
		p.restore(saved)
		if err != nil {
			return nil, err
		}
		if p.is(tCommand) && (p.tok().s == "choose" || p.tok().s == "over") {
			op := p.tok().s
			p.i++
			d, err := p.list()
			if err != nil {
				return nil, err
			}
			if op == "over" {
				e = &Mul{[]Expr{e}, []Expr{d}}
			} else {
				e = &Call{"binom", []Expr{e, d}}
			}
		}
		for p.is('.') || p.is(',') {
			p.i++
		}
		if p.is(tCond) {
			// Conditions behind the value say nothing that is compared.
			for depth := 0; !p.is(tEnd) && (depth > 0 || !p.is('}')); p.i++ {
				switch p.kind() {
				case '{':
					depth++
				case '}':
					depth--
				}
			}
		}
		if !p.skip('}') && !p.is(tEnd) {
			return nil, p.fail("want }")
		}
		return e, nil
	case '|':
		if p.inBars > 0 || p.noBar {
			return nil, p.fail("a bar")
		}
		p.i++
		p.inBars++
		colon := p.noColon
		p.noColon = false
		e, err := p.list()
		p.inBars--
		p.noColon = colon
		if err != nil {
			return nil, err
		}
		if !p.skip('|') {
			return nil, p.fail("want |")
		}
		if m, ok := e.(*Matrix); ok {
			return &Call{"det", []Expr{m}}, nil
		}
		return &Call{"abs", []Expr{e}}, nil
	case tCommand:
		return p.command()
	case tBegin:
		return p.environment()
	case tInf:
		p.i++
		return &Inf{}, nil
	case tNamed:
		p.i++
		if p.is('^') && p.kindAt(1) != tEnd {
			// R^+, R^*, R^2
			p.i++
			sup := string(rune(p.kind()))
			if p.skip('{') {
				sup = string(rune(p.kind()))
				for !p.is('}') && !p.is(tEnd) {
					p.i++
				}
			}
			if p.tok().k == tNumber {
				sup = p.tok().s
			}
			if !p.is(tEnd) {
				p.i++
			}
			return &NamedSet{t.s + "^" + sup}, nil
		}
		return &NamedSet{t.s}, nil
	case tText, tWord:
		p.i++
		// Words before a value are noise; before a relation they are its name.
		w := words(t.s)
		for p.is(tText) || p.is(tWord) {
			w += " " + words(p.tok().s)
			p.i++
		}
		if t.k == tText && p.startsOperand() {
			return p.primary()
		}
		return &Text{strings.TrimSpace(w)}, nil
	case tMoney:
		p.i++
		e, err := p.power()
		if err != nil {
			return nil, err
		}
		u, _ := unitNamed(t.s)
		return &Quantity{e, u}, nil
	case tDots:
		p.i++
		return &Sym{"..."}, nil
	case tUnit:
		p.i++
		return &Sym{t.s}, nil
	}
	return nil, p.fail("an operand is missing")
}

// mixed reads the fraction behind a whole number: 4\frac{1}{4} or 4 1/4.
func (p *parser) mixed(n *Num) Expr {
	if n.Decimal || !n.Val.IsInt() {
		return n
	}
	var a, b *big.Rat
	width := 0
	switch {
	case p.is(tCommand) && p.tok().s == "frac":
		if p.kindAt(1) == '{' && p.kindAt(2) == tNumber && p.kindAt(3) == '}' {
			a = p.t[p.i+2].num.Val
			switch {
			case p.kindAt(4) == '{' && p.kindAt(5) == tNumber && p.kindAt(6) == '}':
				b, width = p.t[p.i+5].num.Val, 7
			case p.kindAt(4) == tNumber && len(p.t[p.i+4].s) == 1:
				b, width = p.t[p.i+4].num.Val, 5
			}
		} else if p.kindAt(1) == tNumber && len(p.t[p.i+1].s) == 2 && isDigit(p.t[p.i+1].s[0]) && isDigit(p.t[p.i+1].s[1]) {
			s := p.t[p.i+1].s
			a, b, width = big.NewRat(int64(s[0]-'0'), 1), big.NewRat(int64(s[1]-'0'), 1), 2
		}
	case p.is(tNumber) && p.tok().sp && p.kindAt(1) == '/' && p.kindAt(2) == tNumber:
		a, b, width = p.tok().num.Val, p.t[p.i+2].num.Val, 3
	}
	if a == nil || b == nil || !a.IsInt() || !b.IsInt() || b.Sign() == 0 || a.Cmp(b) >= 0 {
		return n
	}
	p.i += width
	v := new(big.Rat).Quo(a, b)
	return &Num{v.Add(v, n.Val), false}
}

// call reads f(x) behind a name that may be a function, and the point of A(1,2).
func (p *parser) call(s *Sym) (Expr, bool, error) {
	if !p.is('(') || p.kindAt(1) == tMod {
		return nil, false, nil
	}
	head := s.Name[0]
	letter := len(s.Name) == 1 || s.Name[1] == '_' || s.Name[1] == '\''
	known := letter && strings.IndexByte("fghFGH", head) >= 0
	upper := letter && 'A' <= head && head <= 'Z' && p.kindAt(1) == tSymbol && p.kindAt(2) == ')'
	comma, relation := p.inside()
	upper = upper || relation && letter && 'A' <= head && head <= 'Z'
	if !known && !upper && !comma {
		return nil, false, nil // a product
	}
	e, err := p.brackets()
	if err != nil {
		return nil, false, err
	}
	t, tuple := e.(*Tuple)
	switch {
	case !tuple:
		return &Call{s.Name, []Expr{e}}, true, nil
	case !known && letter && 'A' <= head && head <= 'Z':
		return t, true, nil // a point with its name
	}
	return &Call{s.Name, t.Items}, true, nil
}

// inside reports whether the bracket that opens here holds a comma or a relation of its own.
func (p *parser) inside() (comma, relation bool) {
	depth := 0
	for i := p.i; i < len(p.t); i++ {
		switch p.t[i].k {
		case '(', '[', '{', tOpenSet, tOpenAng:
			depth++
		case ')', ']', '}', tEndSet, tEndAng:
			if depth--; depth <= 0 {
				return comma, relation
			}
		case ',':
			comma = comma || depth == 1
		case tRel, '|', tSetOp:
			relation = relation || depth == 1
		}
	}
	return comma, relation
}

// brackets reads (a), (a,b), [a,b), <a,b> and ]a,b[.
func (p *parser) brackets() (Expr, error) {
	left := p.kind()
	p.i++
	defer p.restore(p.open())
	p.outward = left == ']'
	var items []Expr
	var rows []int // where semicolons stand
	or := false
	for {
		e, err := p.relation()
		if err != nil {
			return nil, err
		}
		if items = append(items, e); len(items) > MaxItems {
			return nil, &LimitError{"items in brackets", MaxItems}
		}
		sep := false
		for p.is(',') || p.is(';') || p.is(tAnd) {
			or = or || p.is(tAnd) && p.tok().s == "or"
			if p.is(';') {
				rows = append(rows, len(items))
			}
			p.i++
			sep = true
		}
		if !sep {
			break
		}
	}
	p.skip('.')
	right := p.kind()
	switch right {
	case ')', ']', tEndAng:
	case '[':
		if left != ']' && len(items) != 2 {
			return nil, p.fail("want a closing bracket")
		}
	default:
		return nil, p.fail("want a closing bracket")
	}
	p.i++
	if left == tOpenAng || right == tEndAng {
		return &Tuple{items, '<', '>'}, nil
	}
	if left == ']' {
		left = '('
	}
	if right == '[' {
		right = ')'
	}
	if len(items) == 1 {
		if (left == '(') != (right == ')') {
			return nil, p.fail("brackets that do not fit")
		}
		return items[0], nil
	}
	if or {
		return &List{items, true}, nil
	}
	if left == '[' && len(rows) > 0 && rows[0] > 1 && len(items) == (len(rows)+1)*rows[0] {
		// [1, 2; 3, 4]
		even := true
		for i, r := range rows {
			even = even && r == (i+1)*rows[0]
		}
		if even {
			return &Matrix{len(rows) + 1, rows[0], items}, nil
		}
	}
	return &Tuple{items, left, right}, nil
}

// set reads {a, b} and {x | condition}.
func (p *parser) set() (Expr, error) {
	p.i++
	if p.skip(tEndSet) || p.skip('}') {
		return &NamedSet{"O"}, nil
	}
	defer p.restore(p.open())
	p.noBar, p.noColon = true, true
	var items []Expr
	for {
		if p.is('|') {
			p.noBar = false // the first thing is an absolute value
		}
		e, err := p.relation()
		if err != nil {
			return nil, err
		}
		p.noBar = true
		if items = append(items, e); len(items) > MaxItems {
			return nil, &LimitError{"items in a set", MaxItems}
		}
		if len(items) == 1 && (p.is('|') || p.is(':') || p.is(tCond)) {
			p.i++
			p.noBar, p.noColon = false, false
			for p.is(tWord) || p.is(tSymbol) && p.t[p.i].s == "that" {
				p.i++
			}
			cond, err := p.list()
			if err != nil {
				return nil, err
			}
			if !p.skip(tEndSet) && !p.skip('}') {
				return nil, p.fail("want }")
			}
			return &Builder{items[0], cond}, nil
		}
		sep := false
		for p.is(',') || p.is(';') || p.is(tAnd) {
			p.i++
			sep = true
		}
		if !sep {
			break
		}
	}
	p.skip('.')
	if !p.skip(tEndSet) {
		if !p.skip('}') && !p.is(tEnd) {
			return nil, p.fail("want }")
		}
		if l, ok := items[0].(*List); ok && len(items) == 1 {
			return l, nil // the left brace of a system
		}
	}
	return &Set{items}, nil
}

// argument reads what a command applies to: a group, or one token, of a number one digit.
func (p *parser) argument() (Expr, error) {
	if p.is(tNumber) {
		t := p.tok()
		if len(t.s) > 1 && digitsAt(t.s, 0) == len(t.s) {
			d := number(int64(t.s[0] - '0'))
			rest := t.s[1:]
			v, _ := new(big.Rat).SetString(rest)
			t.s, t.num = rest, &Num{Val: v}
			return d, nil
		}
		p.i++
		return t.num, nil
	}
	if p.is(tSymbol) {
		p.i++
		return &Sym{p.t[p.i-1].s}, nil
	}
	return p.primary()
}
