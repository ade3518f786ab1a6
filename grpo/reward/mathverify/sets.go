package mathverify

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

func isCollection(e Expr) bool {
	switch e.(type) {
	case *List, *Tuple, *Set, *SetOp, *NamedSet, *Builder:
		return true
	}
	return false
}

// isInterval reports whether a tuple can only be an interval.
func isInterval(t *Tuple) bool {
	return len(t.Items) == 2 && t.Left != '<' && (t.Left == '[' || t.Right == ']') || len(t.Items) == 2 && t.Left == '(' && (infinite(t.Items[0]) != 0 || infinite(t.Items[1]) != 0)
}

// collections compares lists, tuples, sets and intervals.
func (j *judge) collections(g, e Expr, depth int) (bool, error) {
	// One item in braces or in a list is compared with a bare value.
	if s, ok := g.(*Set); ok && len(s.Items) == 1 && !isCollection(e) {
		return j.equal(s.Items[0], e, depth+1)
	}
	if s, ok := e.(*Set); ok && len(s.Items) == 1 && !isCollection(g) {
		return j.equal(g, s.Items[0], depth+1)
	}
	// "3/2 or 1.5" says one value twice.
	if l, ok := g.(*List); ok && !isCollection(e) {
		return j.allEqual(l, e, true, depth)
	}
	if l, ok := e.(*List); ok && !isCollection(g) {
		return j.allEqual(l, g, false, depth)
	}
	gt, g1 := g.(*Tuple)
	et, e1 := e.(*Tuple)
	switch {
	case g1 && e1:
		return j.tuples(gt, et, depth)
	case g1 && isVector(e):
		return j.vector(gt, e, depth)
	case e1 && isVector(g):
		return j.vector(et, g, depth)
	}
	gl, gItems, gOrdered := items(g)
	el, eItems, eOrdered := items(e)
	if gItems && eItems && !(gOrdered != eOrdered && (conditions(gl) || conditions(el))) {
		// A tuple fixes the order of a list, but a set is no tuple.
		if gOrdered || eOrdered {
			if !gOrdered || !eOrdered {
				if _, ok := g.(*Set); ok {
					return j.say(RuleKind, false)
				}
				if _, ok := e.(*Set); ok {
					return j.say(RuleKind, false)
				}
			}
			if gt != nil && isInterval(gt) || et != nil && isInterval(et) {
				return j.say(RuleKind, false)
			}
			return j.inOrder(gl, el, depth)
		}
		if ordered, ok := named(gl, el); ok && ordered {
			return j.inOrder(gl, el, depth)
		}
		same, err := j.anyOrder(gl, el, depth)
		if err != nil || same {
			return same, err
		}
		// Lists of intervals or of relations may still be one set.
		if _, ok := gl[0].(*Num); ok {
			return false, nil
		}
	}
	x, ok1, err := j.realSet(g)
	if isLimit(err) {
		return false, err
	}
	y, ok2, err := j.realSet(e)
	if isLimit(err) {
		return false, err
	}
	if ok1 && ok2 {
		return j.say(RuleSet, j.sameSets(x, y))
	}
	return j.structures(g, e, depth)
}

// allEqual reports whether every item of a list equals e.
func (j *judge) allEqual(l *List, e Expr, gold bool, depth int) (bool, error) {
	for _, x := range l.Items {
		a, b := x, e
		if !gold {
			a, b = e, x
		}
		if same, err := j.equal(a, b, depth+1); err != nil || !same {
			j.rule = RuleKind
			return false, err
		}
	}
	return j.say(RuleItems, true)
}

// conditions reports whether all items are inequalities.
func conditions(items []Expr) bool {
	for _, e := range items {
		r, ok := e.(*Rel)
		if !ok || r.Ops[0] == "=" {
			return false
		}
	}
	return true
}

// structures compares sets that are no sets of real numbers: part by part.
func (j *judge) structures(g, e Expr, depth int) (bool, error) {
	switch x := g.(type) {
	case *NamedSet:
		y, ok := e.(*NamedSet)
		return j.say(RuleSet, ok && x.Name == y.Name)
	case *SetOp:
		y, ok := e.(*SetOp)
		if !ok || x.Op != y.Op {
			return j.say(RuleKind, false)
		}
		if x.Op == '\\' {
			same, err := j.equal(x.X, y.X, depth+1)
			if err != nil || !same {
				return same, err
			}
			return j.equal(x.Y, y.Y, depth+1)
		}
		return j.anyOrder(operands(x, nil), operands(y, nil), depth)
	case *Builder:
		y, ok := e.(*Builder)
		if !ok {
			return j.say(RuleKind, false)
		}
		a, b := x, y
		if s, ok := a.Var.(*Sym); ok {
			a = &Builder{&Sym{"#x"}, substitute(a.Cond, s.Name, &Sym{"#x"})}
		}
		if s, ok := b.Var.(*Sym); ok {
			b = &Builder{&Sym{"#x"}, substitute(b.Cond, s.Name, &Sym{"#x"})}
		}
		if a.Var.String() != b.Var.String() {
			return j.say(RuleKind, false)
		}
		return j.equal(a.Cond, b.Cond, depth+1)
	}
	return j.say(RuleKind, false)
}

func operands(x *SetOp, out []Expr) []Expr {
	for _, e := range [...]Expr{x.X, x.Y} {
		if y, ok := e.(*SetOp); ok && y.Op == x.Op {
			out = operands(y, out)
		} else {
			out = append(out, e)
		}
	}
	return out
}

// items returns the items of what has some, and whether their order is fixed.
func items(e Expr) (list []Expr, ok, ordered bool) {
	switch x := e.(type) {
	case *List:
		return expandItems(x.Items), true, false
	case *Set:
		return expandItems(x.Items), true, false
	case *Tuple:
		return x.Items, true, true
	}
	return nil, false, false
}

// named reports whether one list gives names to its values and the other does not, and whether the names differ, so that
// they stand for an order.
func named(g, e []Expr) (ordered, ok bool) {
	count := func(l []Expr) (names map[string]bool, bare int) {
		names = make(map[string]bool)
		for _, e := range l {
			if r, ok := e.(*Rel); ok && isName(r.Items[0]) && r.Ops[0] == "=" {
				names[r.Items[0].String()] = true
			} else {
				bare++
			}
		}
		return names, bare
	}
	gn, gb := count(g)
	en, eb := count(e)
	switch {
	case len(gn) > 0 && gb == 0 && len(en) == 0:
		return len(gn) == len(g) && !numbered(gn), true
	case len(en) > 0 && eb == 0 && len(gn) == 0:
		return len(en) == len(e) && !numbered(en), true
	}
	return false, false
}

// numbered reports whether names are x_1, x_2, ...: solutions in any order.
func numbered(names map[string]bool) bool {
	head := ""
	for n := range names {
		h, sub, ok := strings.Cut(n, "_")
		k, err := strconv.Atoi(sub)
		if !ok || err != nil || k < 1 || k > len(names) || head != "" && h != head {
			return false
		}
		head = h
	}
	return true
}

func (j *judge) inOrder(g, e []Expr, depth int) (bool, error) {
	if len(g) != len(e) {
		return j.say(RuleItems, false)
	}
	for i := range g {
		same, err := j.equal(g[i], e[i], depth+1)
		if err != nil || !same {
			return same, err
		}
	}
	return j.say(RuleItems, true)
}

// anyOrder compares as sets do: every item of one must be in the other.
func (j *judge) anyOrder(g, e []Expr, depth int) (bool, error) {
	found := make([]bool, len(e))
	for _, x := range g {
		any := false
		for k, y := range e {
			if any && found[k] {
				continue
			}
			same, err := j.equal(x, y, depth+1)
			if err != nil {
				return false, err
			}
			if same {
				any, found[k] = true, true
			}
		}
		if !any {
			return j.say(RuleItems, false)
		}
	}
	return j.say(RuleItems, !slices.Contains(found, false))
}

func (j *judge) tuples(g, e *Tuple, depth int) (bool, error) {
	if len(g.Items) != len(e.Items) {
		return j.say(RuleItems, false)
	}
	if len(g.Items) == 2 {
		l, r := g.Left, g.Right
		if l == '<' {
			l, r = '(', ')'
		}
		l2, r2 := e.Left, e.Right
		if l2 == '<' {
			l2, r2 = '(', ')'
		}
		if l != l2 || r != r2 {
			return j.say(RuleBrackets, false)
		}
	}
	return j.inOrder(g.Items, e.Items, depth)
}

// isVector reports whether e is a matrix of one row or column.
func isVector(e Expr) bool {
	m, ok := e.(*Matrix)
	return ok && (m.Rows == 1 || m.Cols == 1)
}

func (j *judge) vector(t *Tuple, e Expr, depth int) (bool, error) {
	m := e.(*Matrix)
	if inner, ok := t.Items[0].(*Tuple); ok && inner.Left == '[' {
		x, err := j.a.matrix(t)
		if err != nil {
			return j.say(RuleKind, false)
		}
		return j.matrices(x, m, depth)
	}
	return j.inOrder(t.Items, m.Items, depth)
}

// A span is an interval of real numbers; a point is a closed one.
type span struct{ lo, hi bound }

// A bound is a number or an infinity. The decimal of a bound makes comparisons round.
type bound struct {
	inf     int
	v       *big.Float
	open    bool
	decimal bool
}

func (j *judge) cmp(a, b bound) int {
	if a.inf != 0 || b.inf != 0 {
		return a.inf - b.inf
	}
	if j.sameBound(a, b) {
		return 0
	}
	return a.v.Cmp(b.v)
}

func (j *judge) sameBound(a, b bound) bool {
	if a.inf != 0 || b.inf != 0 {
		return a.inf == b.inf
	}
	if a.v.Cmp(b.v) == 0 {
		return true
	}
	if a.decimal || b.decimal {
		return j.rounded(value{re: a.v}, value{re: b.v})
	}
	d, scale := distance(j.low, value{re: a.v}, value{re: b.v})
	return below(d, scale, lowPrec-60)
}

func (j *judge) sameSets(x, y []span) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].lo.open != y[i].lo.open || x[i].hi.open != y[i].hi.open || !j.sameBound(x[i].lo, y[i].lo) || !j.sameBound(x[i].hi, y[i].hi) {
			return false
		}
	}
	return true
}

// union sorts and joins spans.
func (j *judge) union(s []span) []span {
	s = slices.DeleteFunc(slices.Clone(s), func(p span) bool {
		c := j.cmp(p.lo, p.hi)
		return c > 0 || c == 0 && (p.lo.open || p.hi.open)
	})
	slices.SortFunc(s, func(a, b span) int {
		if c := j.cmp(a.lo, b.lo); c != 0 {
			return c
		}
		if a.lo.open != b.lo.open {
			if b.lo.open {
				return -1
			}
			return 1
		}
		return j.cmp(a.hi, b.hi)
	})
	var out []span
	for _, p := range s {
		if len(out) > 0 {
			last := &out[len(out)-1]
			if c := j.cmp(p.lo, last.hi); c < 0 || c == 0 && !(p.lo.open && last.hi.open) {
				if c := j.cmp(p.hi, last.hi); c > 0 || c == 0 && !p.hi.open {
					last.hi = p.hi
				}
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

func (j *judge) complement(s []span) []span {
	lo := bound{inf: -1, open: true}
	var out []span
	for _, p := range s {
		hi := p.lo
		hi.open = !hi.open
		out = append(out, span{lo, hi})
		lo = p.hi
		lo.open = !lo.open
	}
	out = append(out, span{lo, bound{inf: 1, open: true}})
	// Beyond infinity there is nothing.
	out = slices.DeleteFunc(out, func(p span) bool { return p.hi.inf < 0 || p.lo.inf > 0 })
	return j.union(out)
}

func (j *judge) intersection(a, b []span) []span {
	return j.complement(j.union(append(j.complement(a), j.complement(b)...)))
}

func allReals() []span { return []span{{bound{inf: -1, open: true}, bound{inf: 1, open: true}}} }

// bound computes an end of an interval.
func (j *judge) bound(e Expr, open bool) (bound, bool, error) {
	if n := infinite(e); n != 0 {
		return bound{inf: n, open: true}, true, nil
	}
	if q, ok := e.(*Quantity); ok {
		e = q.X
	}
	if free(e) || isCollection(e) {
		return bound{}, false, nil
	}
	v, err := (&evaluator{calc: j.low, a: j.a, real: true, at: point(0, false)}).eval(e)
	if err != nil {
		return bound{}, false, err
	}
	if v.im != nil {
		return bound{}, false, nil
	}
	return bound{v: v.re, open: open, decimal: hasDecimal(e)}, true, nil
}

// realSet computes the set of real numbers that e is.
func (j *judge) realSet(e Expr) ([]span, bool, error) {
	if err := j.w.spend(2); err != nil {
		return nil, false, err
	}
	switch x := canon(e).(type) {
	case *Tuple:
		if len(x.Items) != 2 || x.Left == '<' {
			return nil, false, nil
		}
		lo, ok, err := j.bound(x.Items[0], x.Left == '(')
		if err != nil || !ok {
			return nil, false, err
		}
		hi, ok, err := j.bound(x.Items[1], x.Right == ')')
		if err != nil || !ok {
			return nil, false, err
		}
		if j.cmp(lo, hi) > 0 {
			return nil, false, nil
		}
		return j.union([]span{{lo, hi}}), true, nil
	case *Set:
		var out []span
		for _, e := range expandItems(x.Items) {
			p, ok, err := j.bound(e, false)
			if err != nil || !ok || p.inf != 0 {
				return nil, false, err
			}
			out = append(out, span{p, p})
		}
		return j.union(out), true, nil
	case *NamedSet:
		zero := bound{v: j.low.new()}
		openZero := zero
		openZero.open = true
		top, bottom := bound{inf: 1, open: true}, bound{inf: -1, open: true}
		switch x.Name {
		case "R":
			return allReals(), true, nil
		case "O":
			return nil, true, nil
		case "R^+":
			return []span{{openZero, top}}, true, nil
		case "R^-":
			return []span{{bottom, openZero}}, true, nil
		}
	case *SetOp:
		a, ok, err := j.realSet(x.X)
		if err != nil || !ok {
			return nil, false, err
		}
		b, ok, err := j.realSet(x.Y)
		if err != nil || !ok {
			return nil, false, err
		}
		switch x.Op {
		case 'u':
			return j.union(append(slices.Clone(a), b...)), true, nil
		case 'n':
			return j.intersection(a, b), true, nil
		}
		return j.intersection(a, j.complement(b)), true, nil
	case *Builder:
		s, ok, err := j.realSet(x.Cond)
		if err != nil || !ok {
			return nil, false, err
		}
		if r, isRel := x.Var.(*Rel); isRel && r.Ops[0] == "in" {
			d, ok, err := j.realSet(r.Items[1])
			if err != nil || !ok {
				return nil, false, err
			}
			s = j.intersection(s, d)
		} else if _, isSym := x.Var.(*Sym); !isSym {
			return nil, false, nil
		}
		return s, true, nil
	case *Rel:
		return j.solve(x)
	case *List:
		// Conditions: all of them, or with "or" any of them. Intervals in a list are a union.
		var sets [][]span
		relations := true
		name := ""
		for i, e := range x.Items {
			if _, isRel := e.(*Rel); isRel {
				// Conditions on several variables are no set of numbers.
				n := unknown(e)
				if n == "" || i > 0 && n != name {
					return nil, false, nil
				}
				name = n
			}
			s, ok, err := j.realSet(e)
			if err != nil || !ok {
				return nil, false, err
			}
			r, isRel := e.(*Rel)
			relations = relations && isRel && r.Ops[0] != "="
			sets = append(sets, s)
		}
		if relations && !x.Or {
			all := sets[0]
			for _, s := range sets[1:] {
				all = j.intersection(all, s)
			}
			if len(all) > 0 {
				return all, true, nil
			}
		}
		var out []span
		for _, s := range sets {
			out = append(out, s...)
		}
		return j.union(out), true, nil
	}
	return nil, false, nil
}

// solve finds the real solutions of a chain of relations in one unknown: linear, quadratic, or an absolute value.
func (j *judge) solve(r *Rel) ([]span, bool, error) {
	out := allReals()
	for i, op := range r.Ops {
		var s []span
		var ok bool
		var err error
		switch op {
		case "in":
			if !isName(r.Items[i]) {
				return nil, false, nil
			}
			s, ok, err = j.realSet(r.Items[i+1])
		case "notin":
			if s, ok, err = j.realSet(r.Items[i+1]); ok {
				s = j.complement(s)
			}
		default:
			s, ok, err = j.solveOne(r.Items[i], op, r.Items[i+1], 0)
		}
		if err != nil || !ok {
			return nil, false, err
		}
		out = j.intersection(out, s)
	}
	return out, true, nil
}

func flip(op string) string {
	switch op {
	case "<":
		return ">"
	case ">":
		return "<"
	case "<=":
		return ">="
	case ">=":
		return "<="
	}
	return op
}

func (j *judge) solveOne(l Expr, op string, r Expr, depth int) ([]span, bool, error) {
	if infinite(l) != 0 || infinite(r) != 0 {
		// -oo < x says nothing.
		if op == "<" || op == ">" || op == "<=" || op == ">=" {
			return allReals(), true, nil
		}
		return nil, false, nil
	}
	if c, ok := r.(*Call); ok && c.Name == "abs" && !free(l) {
		l, op, r = r, flip(op), l
	}
	if c, ok := l.(*Call); ok && c.Name == "abs" && !free(r) && depth < 2 && free(c.Args[0]) {
		w := c.Args[0]
		pos, ok, err := j.solveOne(w, op, r, depth+1)
		if err != nil || !ok {
			return nil, false, err
		}
		neg, ok, err := j.solveOne(&Neg{w}, op, r, depth+1)
		if err != nil || !ok {
			return nil, false, err
		}
		switch op {
		case "<", "<=", "!=":
			return j.intersection(pos, neg), true, nil
		case ">", ">=":
			return j.union(append(slices.Clone(pos), neg...)), true, nil
		case "=":
			// Only if r is not negative; the sign is in both.
			b, ok, err := j.bound(r, false)
			if err != nil || !ok {
				return nil, false, err
			}
			if b.v.Sign() < 0 {
				return nil, true, nil
			}
			return j.union(append(slices.Clone(pos), neg...)), true, nil
		}
		return nil, false, nil
	}
	decimal := hasDecimal(l) || hasDecimal(r)
	ql, err := j.a.norm(l)
	if err != nil {
		return nil, false, err
	}
	qr, err := j.a.norm(r)
	if err != nil {
		return nil, false, err
	}
	if ql.d != nil || qr.d != nil {
		return nil, false, nil
	}
	f, err := j.a.difference(ql, qr)
	if err != nil {
		return nil, false, err
	}
	coef, ok, err := j.univariate(f.n)
	if err != nil || !ok {
		return nil, false, err
	}
	for len(coef) > 0 && coef[len(coef)-1].Sign() == 0 {
		coef = coef[:len(coef)-1]
	}
	if len(coef) < 2 || len(coef) > 3 {
		return nil, false, nil
	}
	if coef[len(coef)-1].Sign() < 0 {
		op = flip(op)
		for _, c := range coef {
			c.Neg(c)
		}
	}
	c := j.low
	var roots []*big.Float
	if len(coef) == 2 {
		x := c.new().Quo(coef[0], coef[1])
		roots = []*big.Float{x.Neg(x)}
	} else {
		// (-b -+ sqrt(b^2 - 4ac)) / 2a
		d := c.new().Mul(coef[1], coef[1])
		d.Sub(d, c.new().Mul(c.int(4), c.new().Mul(coef[0], coef[2])))
		if d.Sign() >= 0 {
			d.Sqrt(d)
			two := c.new().Mul(c.int(2), coef[2])
			lo := c.new().Neg(coef[1])
			hi := c.new().Neg(coef[1])
			lo.Quo(lo.Sub(lo, d), two)
			hi.Quo(hi.Add(hi, d), two)
			roots = []*big.Float{lo, hi}
			if lo.Cmp(hi) == 0 {
				roots = roots[:1]
			}
		}
	}
	point := func(i int, open bool) bound { return bound{v: roots[i], open: open, decimal: decimal} }
	top, bottom := bound{inf: 1, open: true}, bound{inf: -1, open: true}
	var at []span
	for i := range roots {
		at = append(at, span{point(i, false), point(i, false)})
	}
	var above []span // where the polynomial is positive
	switch {
	case len(coef) == 2:
		above = []span{{point(0, true), top}}
	case len(roots) == 0:
		above = allReals()
	case len(roots) == 1:
		above = []span{{bottom, point(0, true)}, {point(0, true), top}}
	default:
		above = []span{{bottom, point(0, true)}, {point(1, true), top}}
	}
	switch op {
	case "=":
		return j.union(at), true, nil
	case "!=":
		return j.complement(j.union(at)), true, nil
	case ">":
		return j.union(above), true, nil
	case ">=":
		return j.union(append(above, at...)), true, nil
	case "<":
		return j.complement(j.union(append(above, at...))), true, nil
	case "<=":
		return j.complement(j.union(above)), true, nil
	}
	return nil, false, nil
}

// univariate returns the coefficients of a polynomial in one unknown, lowest first.
func (j *judge) univariate(p poly) ([]*big.Float, bool, error) {
	unknown := -1
	coef := []*big.Float{j.low.new(), j.low.new(), j.low.new()}
	for _, m := range p.sorted() {
		c := j.low.new().SetRat(p[m])
		degree := int64(0)
		for i := range m.len() {
			f := m.at(i)
			switch at := &j.a.atoms[f.id]; at.kind {
			case atomPi:
				e := &evaluator{calc: j.low, a: j.a}
				v, err := e.pow(value{re: j.low.Pi()}, value{re: j.low.int(f.num)}, big.NewRat(f.num, f.den))
				if err != nil {
					return nil, false, err
				}
				c.Mul(c, v.re)
			case atomPrime:
				e := &evaluator{calc: j.low, a: j.a}
				r := big.NewRat(f.num, f.den)
				v, err := e.pow(value{re: j.low.new().SetInt(at.base)}, value{re: j.low.new().SetRat(r)}, r)
				if err != nil {
					return nil, false, err
				}
				c.Mul(c, v.re)
			case atomVar, atomOpaque:
				if unknown >= 0 && unknown != f.id || f.den != 1 || f.num < 0 || f.num > 2 {
					return nil, false, nil
				}
				unknown = f.id
				degree = f.num
			default:
				return nil, false, nil
			}
		}
		coef[degree].Add(coef[degree], c)
	}
	return coef, unknown >= 0, nil
}
