package mathverify

import (
	"math/big"
	"slices"
)

// exact returns the last item of a chain of equations before the first ≈, or after it if there is no equation.
func exact(r *Rel) Expr {
	last := r.Items[0]
	for i, op := range r.Ops {
		if op == "~" && (i > 0 || !isName(r.Items[0])) {
			break
		}
		if op != "=" && op != "~" && op != "==" {
			break
		}
		last = r.Items[i+1]
	}
	return last
}

func equation(r *Rel) bool {
	for _, op := range r.Ops {
		if op != "=" && op != "~" {
			return false
		}
	}
	return true
}

// relationValue compares a relation with an answer that is none. gold says that the relation is the gold answer.
func (j *judge) relationValue(r *Rel, e Expr, gold bool, depth int) (bool, error) {
	compare := func(x Expr) (bool, error) {
		same := false
		var err error
		if gold {
			same, err = j.equal(x, e, depth+1)
		} else {
			same, err = j.equal(e, x, depth+1)
		}
		if err == nil && same {
			j.rule = RuleAssignment
		}
		return same, err
	}
	switch {
	case equation(r):
		// x = 5 is compared by its value. In a gold answer the left side must be a name: a + 3z = 0 is not 0.
		if gold && !isName(r.Items[0]) {
			if len(r.Items) == 2 && isName(r.Items[1]) && !free(r.Items[0]) {
				return compare(r.Items[0])
			}
			if free(r) {
				return j.say(RuleAssignment, false)
			}
			// 2 + 3 = 5
		}
		if len(r.Items) == 2 && !free(r.Items[0]) && isName(r.Items[1]) && !isName(r.Items[0]) {
			return compare(r.Items[0]) // 5 = x
		}
		same, err := compare(exact(r))
		if err != nil || same {
			return same, err
		}
		// 16 pi ≈ 50.27 says 50.27 as well, if that is what 16 pi rounds to.
		rule := j.rule
		if x := approximate(r); x != nil && j.roundsTo(exact(r), x) {
			if same, err := compare(x); err != nil || same {
				return same, err
			}
		}
		return j.say(rule, false)
	case r.Ops[0] == "in" && len(r.Ops) == 1:
		return compare(r.Items[1])
	case r.Ops[0] == "==" && len(r.Ops) == 2 && r.Ops[1] == "mod":
		return compare(r.Items[1])
	case isCollection(e):
		if !gold && j.opt.StrictSets {
			return j.say(RuleKind, false)
		}
		same, err := j.solutions(r, e)
		if t := between(r); err == nil && !same && t != nil {
			return compare(t)
		}
		return same, err
	}
	return j.say(RuleKind, false)
}

// between returns the interval of a < x <= b.
func between(r *Rel) Expr {
	if len(r.Ops) != 2 || !isName(r.Items[1]) {
		return nil
	}
	lo, hi, l, h := r.Items[0], r.Items[2], r.Ops[0], r.Ops[1]
	if l[0] == '>' {
		lo, hi, l, h = hi, lo, flip(h), flip(l)
	}
	if l[0] != '<' || h[0] != '<' {
		return nil
	}
	t := &Tuple{[]Expr{lo, hi}, '(', ')'}
	if l == "<=" {
		t.Left = '['
	}
	if h == "<=" {
		t.Right = ']'
	}
	return t
}

// approximate returns the decimal behind the last ≈ of a chain that has something before it.
func approximate(r *Rel) Expr {
	n := len(r.Ops)
	if r.Ops[n-1] != "~" || n == 1 && isName(r.Items[0]) {
		return nil
	}
	return r.Items[n]
}

// roundsTo reports whether the decimal d is x to as many digits as it has.
func (j *judge) roundsTo(x, d Expr) bool {
	for _, e := range [...]*Expr{&x, &d} {
		if q, ok := (*e).(*Quantity); ok {
			*e = q.X
		}
	}
	n, ok := d.(*Num)
	if !ok || free(x) || isCollection(x) {
		return false
	}
	v, err := (&evaluator{calc: j.low, a: j.a, real: true, at: point(0, false)}).eval(x)
	if err != nil || v.im != nil {
		return false
	}
	unit := big.NewRat(6, 10)
	for range 30 {
		if new(big.Rat).Mul(n.Val, new(big.Rat).Quo(big.NewRat(6, 10), unit)).IsInt() {
			break
		}
		unit.Quo(unit, big.NewRat(10, 1))
	}
	diff := j.low.new().Sub(v.re, j.low.new().SetRat(n.Val))
	return diff.Abs(diff).Cmp(j.low.new().SetRat(unit)) <= 0
}

// assignments takes (p,q) = (3,2) apart.
func assignments(r *Rel) []Expr {
	l, ok1 := r.Items[0].(*Tuple)
	v, ok2 := r.Items[len(r.Items)-1].(*Tuple)
	if !ok1 || !ok2 || len(l.Items) != len(v.Items) || !equation(r) {
		return nil
	}
	var out []Expr
	for i := range l.Items {
		out = append(out, &Rel{[]Expr{l.Items[i], v.Items[i]}, []string{"="}})
	}
	return out
}

// relations compares two relations.
func (j *judge) relations(g, e *Rel, depth int) (bool, error) {
	if equation(g) && equation(e) {
		return j.equations(g, e, depth)
	}
	if g.Ops[0] == "in" && e.Ops[0] == "in" && len(g.Ops) == 1 && len(e.Ops) == 1 {
		if g.Items[0].String() != e.Items[0].String() {
			return j.say(RuleRelation, false)
		}
		return j.equal(g.Items[1], e.Items[1], depth+1)
	}
	if g.Ops[0] == "==" && e.Ops[0] == "==" && len(g.Ops) == len(e.Ops) {
		return j.congruences(g, e)
	}
	if (g.Ops[0] == "in") != (e.Ops[0] == "in") {
		if len(g.Ops) == 1 && len(e.Ops) == 1 && (g.Ops[0] == "=" || e.Ops[0] == "=") {
			// x in {1, 2} against x = 1, 2
			if g.Items[0].String() != e.Items[0].String() {
				return j.say(RuleRelation, false)
			}
			return j.equal(g.Items[1], e.Items[1], depth+1)
		}
		// x in [1,2] against 1 <= x <= 2.
		if j.opt.StrictSets && g.Ops[0] == "in" {
			return j.say(RuleKind, false)
		}
		return j.solutions(g, e)
	}
	// Inequalities: the same conditions in any order, or the same solutions for the same unknown.
	same, err := j.sameConditions(g, e)
	if err != nil || same {
		return same, err
	}
	if unknown(g) != unknown(e) || unknown(g) == "" {
		return j.say(RuleRelation, false)
	}
	return j.solutions(g, e)
}

// solutions compares what g and e say as sets of real numbers.
func (j *judge) solutions(g, e Expr) (bool, error) {
	x, ok1, err := j.realSet(g)
	if isLimit(err) {
		return false, err
	}
	y, ok2, err := j.realSet(e)
	if isLimit(err) {
		return false, err
	}
	return j.say(RuleSet, ok1 && ok2 && j.sameSets(x, y))
}

// unknown returns the only variable of e.
func unknown(e Expr) string {
	name, many := "", false
	some(e, func(e Expr) bool {
		if s, ok := e.(*Sym); ok && s.Name != "pi" && s.Name != "e" {
			many = many || name != "" && name != s.Name
			name = s.Name
		}
		return false
	})
	if many {
		return ""
	}
	return name
}

func (j *judge) congruences(g, e *Rel) (bool, error) {
	for _, r := range [...]*Rel{g, e} {
		if len(r.Ops) != 2 || r.Ops[1] != "mod" {
			return j.say(RuleRelation, g.String() == e.String())
		}
	}
	if same, err := j.scalars(g.Items[0], e.Items[0]); err != nil || !same {
		return same, err
	}
	if same, err := j.scalars(g.Items[2], e.Items[2]); err != nil || !same {
		return same, err
	}
	return j.scalars(&Call{"mod", []Expr{g.Items[1], g.Items[2]}}, &Call{"mod", []Expr{e.Items[1], e.Items[2]}})
}

// equations compares l = r with l' = r': the sides, or all on one side up to a factor.
func (j *judge) equations(g, e *Rel, depth int) (bool, error) {
	switch gf, ef := free(g), free(e); {
	case !gf && ef:
		return j.relationValue(e, exact(g), false, depth)
	case gf && !ef:
		return j.relationValue(g, exact(e), true, depth)
	}
	g, e = dummy(g), dummy(e)
	gl, gr := g.Items[0], exact(g)
	el, er := e.Items[0], exact(e)
	if gl.String() == el.String() {
		if same, err := j.equal(gr, er, depth+1); err != nil || same || isName(gl) && isCollection(gr) {
			return same, err
		}
	}
	ga, ea := assignments(g), assignments(e)
	if ga != nil && ea != nil {
		return j.anyOrder(ga, ea, depth)
	}
	if isCollection(gr) || isCollection(er) || isCollection(gl) || isCollection(el) {
		return j.say(RuleRelation, false)
	}
	// The two sides of an assignment may have changed places.
	f, errF := j.side(gl, gr)
	h, errH := j.side(el, er)
	if isLimit(errF) {
		return false, errF
	}
	if isLimit(errH) {
		return false, errH
	}
	if errF != nil || errH != nil {
		same, err := j.matrixSides(gl, gr, el, er, depth)
		return same, err
	}
	fz, _ := j.a.isZero(f)
	hz, _ := j.a.isZero(h)
	if fz || hz {
		// 1 + 1 = 2 says nothing but its right side.
		if fz && hz {
			return j.equal(gr, er, depth+1)
		}
		return j.say(RuleRelation, false)
	}
	c, err := j.a.proportion(f.n, h.n)
	if isLimit(err) {
		return false, err
	}
	if err == nil && c != 0 {
		return j.say(RuleRelation, true)
	}
	x, y := Expr(&Add{[]Expr{gl, &Neg{gr}}}), Expr(&Add{[]Expr{el, &Neg{er}}})
	if _, sure := j.a.isZero(f); sure {
		if _, sure := j.a.isZero(h); sure && !hasDecimal(x) && !hasDecimal(y) {
			return j.say(RuleRelation, false)
		}
	}
	for range 2 {
		same, err := j.scalars(x, y)
		if err != nil || same {
			j.rule = RuleRelation
			return same, err
		}
		y = &Neg{y}
	}
	return j.say(RuleRelation, false)
}

// matrixSides compares equations between matrices, sets or words side by side.
func (j *judge) matrixSides(gl, gr, el, er Expr, depth int) (bool, error) {
	same, err := j.equal(gl, el, depth+1)
	if err != nil || !same {
		return same, err
	}
	return j.equal(gr, er, depth+1)
}

// side brings l - r into normal form.
func (j *judge) side(l, r Expr) (quot, error) {
	a, err := j.a.norm(l)
	if err != nil {
		return quot{}, err
	}
	b, err := j.a.norm(r)
	if err != nil {
		return quot{}, err
	}
	return j.a.difference(a, b)
}

// proportion returns the sign of c in p = c q m with a number c and a monomial m, or 0 if there is none. m must be 1 for a
// sign that counts; see ratio.
func (a *algebra) proportion(p, q poly) (int, error) {
	if len(p) != len(q) || len(p) == 0 {
		return 0, nil
	}
	pp, err := a.primitive(p)
	if err != nil {
		return 0, err
	}
	qq, err := a.primitive(q)
	if err != nil {
		return 0, err
	}
	var c *big.Rat
	for m, x := range pp {
		y, ok := qq[m]
		if !ok {
			return 0, nil
		}
		r := new(big.Rat).Quo(x, y)
		if c == nil {
			c = r
		} else if c.Cmp(r) != 0 {
			return 0, nil
		}
	}
	return c.Sign(), nil
}

// primitive divides a polynomial by the powers that all its terms have.
func (a *algebra) primitive(p poly) (poly, error) {
	if len(p) < 2 {
		return p, nil
	}
	keys := p.sorted()
	low := make(map[int]*big.Rat)
	count := make(map[int]int)
	for _, m := range keys {
		for i := range m.len() {
			f := m.at(i)
			e := big.NewRat(f.num, f.den)
			if old, ok := low[f.id]; !ok || e.Cmp(old) < 0 {
				low[f.id] = e
			}
			count[f.id]++
		}
	}
	var div []byte
	ids := make([]int, 0, len(low))
	for id := range low {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		e := low[id]
		if count[id] < len(keys) && e.Sign() > 0 || e.Sign() == 0 || a.atoms[id].kind != atomVar {
			continue
		}
		n, d, ok := rational(e)
		if !ok {
			continue
		}
		var err error
		if div, err = appendFactor(div, factor{id, -n, d}); err != nil {
			return nil, err
		}
	}
	if len(div) == 0 {
		return p, nil
	}
	return a.mul(p, poly{mono(div): big.NewRat(1, 1)})
}

// A condition is f < 0, f <= 0 or f != 0.
type condition struct {
	f  quot
	op string
}

func (j *judge) conditions(r *Rel) ([]condition, error) {
	var out []condition
	for i, op := range r.Ops {
		l, h := r.Items[i], r.Items[i+1]
		if op == ">" || op == ">=" {
			l, h, op = h, l, flip(op)
		}
		if infinite(l) != 0 || infinite(h) != 0 {
			continue
		}
		if op != "<" && op != "<=" && op != "!=" && op != "=" {
			return nil, errOpaque
		}
		f, err := j.side(l, h)
		if err != nil {
			return nil, err
		}
		out = append(out, condition{f, op})
	}
	return out, nil
}

// sameConditions compares chains of inequalities as sets of conditions.
func (j *judge) sameConditions(g, e *Rel) (bool, error) {
	x, err := j.conditions(g)
	if err != nil {
		if isLimit(err) {
			return false, err
		}
		return j.say(RuleRelation, g.String() == e.String())
	}
	y, err := j.conditions(e)
	if err != nil {
		if isLimit(err) {
			return false, err
		}
		return j.say(RuleRelation, false)
	}
	if len(x) != len(y) {
		return j.say(RuleRelation, false)
	}
	used := make([]bool, len(y))
	for _, p := range x {
		found := false
		for k, q := range y {
			if used[k] || p.op != q.op {
				continue
			}
			c, err := j.a.ratio(p.f.n, q.f.n)
			if err != nil {
				return false, err
			}
			if c > 0 || c != 0 && (p.op == "!=" || p.op == "=") {
				used[k], found = true, true
				break
			}
		}
		if !found {
			return j.say(RuleRelation, false)
		}
	}
	return j.say(RuleRelation, true)
}

// ratio returns the sign of c in p = c q, or 0 if there is none.
func (a *algebra) ratio(p, q poly) (int, error) {
	if len(p) != len(q) {
		return 0, nil
	}
	if len(p) == 0 {
		return 1, nil
	}
	var c *big.Rat
	for _, m := range p.sorted() {
		y, ok := q[m]
		if !ok {
			return 0, nil
		}
		if err := a.w.spendBits(bits(y)); err != nil {
			return 0, err
		}
		r := new(big.Rat).Quo(p[m], y)
		if c == nil {
			c = r
		} else if c.Cmp(r) != 0 {
			return 0, nil
		}
	}
	return c.Sign(), nil
}
