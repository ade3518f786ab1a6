package mathverify

// list reads relations with commas, semicolons, "and" and "or" between them.
func (p *parser) list() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var groups [][]Expr
	var cur []Expr
	count, or := 0, false
	for {
		e, err := p.relation()
		if err != nil {
			return nil, err
		}
		cur = append(cur, e)
		if count++; count > MaxItems {
			return nil, &LimitError{"items in a list", MaxItems}
		}
		sep := byte(0)
		for {
			k := p.kind()
			if k != ',' && k != ';' && k != tAnd && k != tRow && k != '&' {
				break
			}
			if sep != ';' && k != '&' {
				sep = k
				if k == tRow {
					sep = ';'
				}
			}
			or = or || k == tAnd && p.tok().s == "or"
			p.i++
		}
		if sep == 0 || !p.startsItem() {
			break
		}
		if sep == ';' {
			groups = append(groups, cur)
			cur = nil
		}
	}
	groups = append(groups, cur)
	flat := true
	for _, g := range groups {
		flat = flat && len(g) == 1
	}
	var items []Expr
	switch {
	case len(groups) == 1:
		items = bind(groups[0])
	case flat:
		for _, g := range groups {
			items = append(items, g...)
		}
		items = bind(items)
	default:
		for _, g := range groups {
			g = bind(g)
			if len(g) == 1 {
				items = append(items, g[0])
			} else {
				items = append(items, &List{g, false})
			}
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &List{items, or}, nil
}

// bind gives the values of "n = 1, 2, 3" to n, and drops "k in Z" beside other items.
func bind(items []Expr) []Expr {
	if len(items) < 2 {
		return items
	}
	kept := items[:0:0]
	for _, e := range items {
		if r, ok := e.(*Rel); ok && len(r.Ops) == 1 && r.Ops[0] == "in" {
			if _, ok := r.Items[1].(*NamedSet); ok {
				continue
			}
		}
		kept = append(kept, e)
	}
	if len(kept) > 0 {
		items = kept
	}
	first, ok := items[0].(*Rel)
	if !ok || len(items) < 2 || first.Ops[len(first.Ops)-1] != "=" && first.Ops[len(first.Ops)-1] != "in" {
		return items
	}
	values := []Expr{first.Items[len(first.Items)-1]}
	for _, e := range items[1:] {
		if _, ok := e.(*Rel); ok {
			return items
		}
		values = append(values, e)
	}
	all := append([]Expr{}, first.Items[:len(first.Items)-1]...)
	return []Expr{&Rel{append(all, &List{values, false}), first.Ops}}
}

// startsItem reports whether an item of a list can begin here.
func (p *parser) startsItem() bool {
	switch p.kind() {
	case '-', '+', tPM, tRel:
		return true
	}
	return p.startsOperand()
}

func (p *parser) startsOperand() bool {
	switch p.kind() {
	case '[':
		switch p.kindAt(1) {
		case tEnd, '}', ')', ']', ',', ';', '.', tSetOp, tEndSet, tAnd, tRel, tFinish, '&', '|':
			return false // the end of [a, b[
		}
		return !p.outward
	case tNumber, tSymbol, tFunc, tWord, tText, '(', '{', tOpenSet, tOpenAng, tBegin, tInf, tNamed, tMoney, tDots, tUnit:
		return true
	case tCommand:
		s := p.tok().s
		return s != "rfloor" && s != "rceil" && s != "choose" && s != "over"
	case '|':
		return p.inBars == 0 && !p.noBar
	}
	return false
}

// relation reads a chain a = b < c.
func (p *parser) relation() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var items []Expr
	var ops []string
	if p.is(tRel) && p.tok().s != "=" && p.tok().s != "~" {
		// "< 5": the variable is understood.
		items = append(items, &Sym{"_"})
	} else {
		for p.is(tRel) {
			p.i++
		}
		e, err := p.ratio()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	for {
		for p.is('&') && !p.cells {
			p.i++
		}
		if !p.is(tRel) {
			break
		}
		op := p.tok().s
		p.i++
		for p.is('&') || p.is(tRel) && p.tok().s == "=" {
			p.i++
		}
		if !p.startsItem() && op != "->" {
			if len(ops) == 0 && (p.is(tEnd) || p.is('}')) && len(items) == 1 && op != "=" {
				return nil, p.fail("a relation without a right side")
			}
			break // "5 =": a trailing sign
		}
		if op == "->" && !p.startsItem() {
			break
		}
		e, err := p.ratio()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
		ops = append(ops, op)
		if len(ops) > MaxItems {
			return nil, &LimitError{"relations in a chain", MaxItems}
		}
	}
	// "a => b" says b.
	for k := len(ops) - 1; k >= 0; k-- {
		if ops[k] == "->" {
			if _, isInf := items[k+1].(*Inf); isInf || k == 0 && len(ops) == 1 && isName(items[0]) {
				break
			}
			items, ops = items[k+1:], ops[k+1:]
			break
		}
	}
	// (mod m)
	if p.is(tMod) || p.is('(') && p.kindAt(1) == tMod {
		inBrackets := p.skip('(')
		p.i++
		m, err := p.additive()
		if err != nil {
			return nil, err
		}
		if inBrackets && !p.skip(')') {
			return nil, p.fail("want )")
		}
		if len(ops) > 0 && (ops[len(ops)-1] == "==" || ops[len(ops)-1] == "=") {
			n := len(items)
			return &Rel{[]Expr{items[n-2], items[n-1], m}, []string{"==", "mod"}}, nil
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &Rel{items, ops}, nil
}

// ratio reads a:b:c.
func (p *parser) ratio() (Expr, error) {
	e, err := p.sets()
	if err != nil {
		return nil, err
	}
	if !p.is(':') || p.noColon {
		return e, nil
	}
	parts := []Expr{e}
	for p.is(':') {
		p.i++
		if !p.startsItem() || p.is(tRel) {
			p.i--
			break
		}
		e, err := p.sets()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, e); len(parts) > MaxDepth {
			return nil, &LimitError{"parts of a ratio", MaxDepth}
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	if t, ok := parts[0].(*Text); ok && t != nil {
		// "Answer: 5"
		if len(parts) == 2 {
			return parts[1], nil
		}
	}
	return &Ratio{parts}, nil
}

// sets reads unions, intersections and differences.
func (p *parser) sets() (Expr, error) {
	e, err := p.additive()
	for n := 0; err == nil && p.is(tSetOp); n++ {
		if err := deeper(n); err != nil {
			return nil, err
		}
		op := p.tok().s[0]
		p.i++
		var y Expr
		if y, err = p.additive(); err == nil {
			e = &SetOp{op, e, y}
		}
	}
	return e, err
}
