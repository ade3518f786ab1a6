package mathverify

import (
	"math/big"
	"strings"
)

func (p *parser) command() (Expr, error) {
	name := p.tok().s
	p.i++
	switch name {
	case "frac":
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		b, err := p.argument()
		if err != nil {
			return nil, err
		}
		if x, ok := a.(*Num); ok && !x.Decimal {
			if y, ok := b.(*Num); ok && !y.Decimal && y.Val.Sign() != 0 {
				return &Num{new(big.Rat).Quo(x.Val, y.Val), false}, nil
			}
		}
		return &Mul{[]Expr{a}, []Expr{b}}, nil
	case "sqrt":
		n := Expr(number(2))
		if p.is('[') {
			p.i++
			e, err := p.additive()
			if err != nil {
				return nil, err
			}
			if !p.skip(']') {
				return nil, p.fail("want ]")
			}
			n = e
		}
		return p.root(n)
	case "cbrt":
		return p.root(number(3))
	case "binom":
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		b, err := p.argument()
		if err != nil {
			return nil, err
		}
		return &Call{"binom", []Expr{a, b}}, nil
	case "overline":
		e, err := p.argument()
		if err != nil {
			return nil, err
		}
		switch x := e.(type) {
		case *Sym:
			if len(x.Name) == 1 && 'A' <= x.Name[0] && x.Name[0] <= 'Z' {
				return e, nil
			}
		case *Mul:
			if isName(x) {
				return e, nil
			}
		}
		return &Call{"conj", []Expr{e}}, nil
	case "lfloor", "lceil":
		saved := p.inBars
		p.inBars = 0
		e, err := p.relation()
		p.inBars = saved
		if err != nil {
			return nil, err
		}
		if !p.is(tCommand) || p.tok().s != "r"+name[1:] {
			return nil, p.fail("want \\r" + name[1:])
		}
		p.i++
		return &Call{strings.TrimSuffix(name[1:], "ing"), []Expr{e}}, nil
	case "sum", "prod", "int", "lim", "oint", "iint":
		return p.bigOp(name)
	}
	return nil, p.fail("\\" + name + " does not belong here")
}

func (p *parser) root(n Expr) (Expr, error) {
	var x Expr
	var err error
	if p.is(tNumber) {
		x = p.tok().num
		p.i++
	} else {
		x, err = p.primary()
	}
	if err != nil {
		return nil, err
	}
	return &Call{"root", []Expr{x, n}}, nil
}

func (p *parser) bigOp(name string) (Expr, error) {
	b := &BigOp{Op: name}
	for range 2 {
		switch {
		case p.skip('_'):
			if !p.is('{') {
				e, err := p.argument()
				if err != nil {
					return nil, err
				}
				b.Lo = e
				break
			}
			e, err := p.primary()
			if err != nil {
				return nil, err
			}
			if r, ok := e.(*Rel); ok && len(r.Ops) == 1 && (r.Ops[0] == "=" || r.Ops[0] == "->") {
				if s, ok := r.Items[0].(*Sym); ok {
					b.Var, b.Lo = s.Name, r.Items[1]
					break
				}
			}
			if name == "int" {
				b.Lo = e
			} else {
				b.Sub = e
			}
		case p.skip('^'):
			e, err := p.argument()
			if err != nil {
				return nil, err
			}
			b.Hi = e
		}
	}
	e, err := p.product()
	if err != nil {
		return nil, err
	}
	b.Body = e
	return b, nil
}

// function reads a named function with its exponent, base and argument.
func (p *parser) function() (Expr, error) {
	name := p.tok().s
	p.i++
	var exp, base Expr
	for range 2 {
		if p.is('^') && exp == nil {
			p.i++
			e, err := p.exponentDigit()
			if err != nil {
				return nil, err
			}
			exp = e
		} else if p.is('_') && base == nil {
			p.i++
			e, err := p.argument()
			if err != nil {
				return nil, err
			}
			base = e
		}
	}
	var args []Expr
	switch {
	case p.is('(') || p.is('['):
		e, err := p.brackets()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
		if t, ok := e.(*Tuple); ok {
			args = t.Items
		}
	case p.is('{'), p.is(tOpenSet):
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
		switch x := e.(type) {
		case *Set:
			args = x.Items
		case *List:
			args = x.Items
		}
	case name == "sqrt" || name == "cbrt":
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
	default:
		e, err := p.bareArgument()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
	}
	e, err := p.apply(name, base, args)
	if err != nil {
		return nil, err
	}
	if exp != nil {
		if isMinusOne(exp) {
			if inv := functionNamed("arc" + name); inv != "" {
				return &Call{inv, args}, nil
			}
		}
		return &Pow{e, exp}, nil
	}
	return e, nil
}

func isMinusOne(e Expr) bool {
	if x, ok := e.(*Num); ok {
		return x.Val.Cmp(big.NewRat(-1, 1)) == 0
	}
	n, ok := e.(*Neg)
	if !ok {
		return false
	}
	x, ok := n.X.(*Num)
	return ok && x.Val.Cmp(big.NewRat(1, 1)) == 0
}

// exponentDigit reads the exponent of \sin^2x, one digit unless it is in braces.
func (p *parser) exponentDigit() (Expr, error) {
	if p.is('-') {
		p.i++
		e, err := p.argument()
		if err != nil {
			return nil, err
		}
		return &Neg{e}, nil
	}
	return p.argument()
}

// bareArgument reads the argument of a function written without brackets: factors up to the next function or sign.
func (p *parser) bareArgument() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	neg := false
	if p.is('-') {
		neg = true
		p.i++
	}
	if p.is(tFunc) {
		return p.function()
	}
	var f []Expr
	for p.startsOperand() && !p.is(tFunc) && !p.is(tText) && !p.is(tWord) && !p.is(tUnit) || len(f) == 0 {
		if len(f) > 0 && (p.is('(') || p.is('[') || p.is(tBegin) || p.is(tNumber) && p.t[p.i-1].k == tNumber) {
			break
		}
		e, err := p.power()
		if err != nil {
			return nil, err
		}
		if f = append(f, e); len(f) > MaxDepth {
			return nil, &LimitError{"factors", MaxDepth}
		}
	}
	e := f[0]
	if len(f) > 1 {
		e = &Mul{f, nil}
	}
	if neg {
		e = &Neg{e}
	}
	return e, nil
}

func (p *parser) apply(name string, base Expr, args []Expr) (Expr, error) {
	want := func(n int) error {
		if len(args) != n {
			return p.fail(name + " of too many or too few arguments")
		}
		return nil
	}
	switch name {
	case "sqrt", "cbrt":
		if err := want(1); err != nil {
			return nil, err
		}
		n := int64(2)
		if name == "cbrt" {
			n = 3
		}
		return &Call{"root", []Expr{args[0], number(n)}}, nil
	case "exp":
		if err := want(1); err != nil {
			return nil, err
		}
		return &Pow{&Sym{"e"}, args[0]}, nil
	case "lg":
		return &Call{"log", []Expr{args[0], number(10)}}, want(1)
	case "log":
		if base != nil {
			return &Call{"log", []Expr{args[0], base}}, want(1)
		}
		if len(args) == 2 {
			return &Call{"log", args}, nil
		}
	case "max", "min", "gcd", "lcm":
		return &Call{name, args}, nil
	case "binom":
		return &Call{name, args}, want(2)
	case "factorial":
		return &Call{"fact", args}, want(1)
	case "cis":
		i := &Mul{[]Expr{&Sym{"i"}, &Call{"sin", args}}, nil}
		return &Add{[]Expr{&Call{"cos", args}, i}}, want(1)
	}
	return &Call{name, args}, want(1)
}

// isName reports whether e only names something: x, AB, W(n), |AB|, A:B, NO/BO, (p, q).
func isName(e Expr) bool {
	switch x := e.(type) {
	case *Sym:
		return x.Name != "pi" && x.Name != "..."
	case *Text:
		return true
	case *Mul:
		for _, f := range children(x) {
			if !isName(f) {
				return false
			}
		}
		return true
	case *Call:
		if builtin(x.Name) {
			return isName(x.Args[0]) // |AB|, sin A, det M
		}
		return true
	case *Ratio:
		for _, f := range x.Parts {
			if !isName(f) {
				return false
			}
		}
		return true
	case *Tuple:
		for _, f := range x.Items {
			if !isName(f) {
				return false
			}
		}
		return true
	case *List:
		for _, f := range x.Items {
			if !isName(f) {
				return false
			}
		}
		return true
	case *Pow:
		// The inverse of a function, and the variance.
		s, ok := x.Base.(*Sym)
		return ok && (s.Name == "sigma" || strings.Contains("fgh", s.Name) && isMinusOne(x.Exp))
	}
	return false
}

// builtin reports whether the package computes a function.
func builtin(name string) bool {
	switch name {
	case "root", "fact", "fact2", "mod", "transpose":
		return true
	}
	return functionNamed(name) != ""
}
