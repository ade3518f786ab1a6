package mathverify

import "strings"

// environment reads a matrix, a system of cases, or aligned lines.
func (p *parser) environment() (Expr, error) {
	name := p.tok().s
	p.i++
	matrix := strings.HasSuffix(name, "matrix") || name == "array" || name == "tabular"
	defer p.restore(p.open())
	p.cells = matrix
	var items []Expr
	rows, cols, inRow := 0, 0, 0
	relations := false
	ragged := false
	endRow := func() {
		if inRow == 0 {
			return
		}
		rows++
		if rows == 1 {
			cols = inRow
		}
		ragged = ragged || inRow != cols
		inRow = 0
	}
	for {
		switch {
		case p.skip(tRow):
			endRow()
			continue
		case p.is('&'), p.is(','), p.is(';'), p.is('.'), p.is(tAnd):
			p.i++
			continue
		case p.is(tCond):
			// The condition of a case: keep the value only.
			for !p.is(tRow) && !p.is(tFinish) && !p.is(tEnd) {
				p.i++
			}
			continue
		}
		if p.is(tFinish) {
			p.i++
			break
		}
		if p.is(tEnd) {
			return nil, p.fail("an environment without its end")
		}
		var e Expr
		var err error
		if p.is(tRel) && len(items) > 0 && !matrix {
			// A line that goes on with "= ...".
			op := p.tok().s
			p.i++
			for p.is('&') {
				p.i++
			}
			if e, err = p.ratio(); err != nil {
				return nil, err
			}
			last := items[len(items)-1]
			if r, ok := last.(*Rel); ok {
				e = &Rel{append(append([]Expr{}, r.Items...), e), append(append([]string{}, r.Ops...), op)}
			} else {
				e = &Rel{[]Expr{last, e}, []string{op}}
			}
			items[len(items)-1] = e
			relations = true
			continue
		}
		e, err = p.relation()
		if err != nil {
			return nil, err
		}
		if _, ok := e.(*Rel); ok {
			relations = true
		}
		items = append(items, e)
		inRow++
		if len(items) > MaxItems {
			return nil, &LimitError{"entries of a matrix", MaxItems}
		}
		switch p.kind() {
		case '&', tRow, tFinish, ',', ';', '.', tCond, tRel, tAnd:
		default:
			return nil, p.fail("not understood in a matrix")
		}
	}
	endRow()
	if len(items) == 0 {
		return nil, p.fail("an empty matrix")
	}
	if matrix && !relations {
		if ragged {
			return nil, p.fail("rows of different length")
		}
		m := &Matrix{rows, cols, items}
		if name == "vmatrix" {
			return &Call{"det", []Expr{m}}, nil
		}
		return m, nil
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &List{items, false}, nil
}
