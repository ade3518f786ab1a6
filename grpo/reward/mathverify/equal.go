package mathverify

import (
	"errors"
	"math/big"
	"strings"
)

// A judge compares parsed expressions under one reading of what is ambiguous in them.
type judge struct {
	w    *work
	a    *algebra
	opt  *Options
	low  *calc
	high *calc
	rule Rule // what decided last
}

func newJudge(w *work, opt *Options) *judge {
	return &judge{w: w, a: newAlgebra(w), opt: opt, low: &calc{prec: lowPrec, w: w}, high: &calc{prec: highPrec, w: w}}
}

func (j *judge) say(r Rule, equal bool) (bool, error) {
	j.rule = r
	return equal, nil
}

// isLimit reports whether err ends the work; the others only say that one way of comparing does not apply.
func isLimit(err error) bool {
	var l *LimitError
	return errors.As(err, &l)
}

func hasDecimal(e Expr) bool {
	return some(e, func(e Expr) bool { n, ok := e.(*Num); return ok && n.Decimal })
}

// free reports whether e has variables or functions without a value.
func free(e Expr) bool {
	return some(e, func(e Expr) bool {
		switch x := e.(type) {
		case *Sym:
			return x.Name != "pi" && x.Name != "e" && x.Name != "i"
		case *Call:
			return !builtin(x.Name)
		case *BigOp:
			return true
		}
		return false
	})
}

// scalars decides whether two numbers or terms are equal.
func (j *judge) scalars(x, y Expr) (bool, error) {
	if a, ok := x.(*Num); ok {
		if b, ok := y.(*Num); ok {
			if a.Val.Cmp(b.Val) == 0 {
				return j.say(RuleNumber, true)
			}
			if a.Decimal || b.Decimal {
				return j.say(RuleRounded, j.rounded(value{re: j.low.new().SetRat(a.Val)}, value{re: j.low.new().SetRat(b.Val)}))
			}
			return j.say(RuleNumber, false)
		}
	}
	if x.String() == y.String() {
		// Whatever it is worth, it is the same.
		return j.say(RuleSame, true)
	}
	undecided := error(nil)
	qx, errX := j.a.norm(x)
	qy, errY := j.a.norm(y)
	if errX == errOpaque || errY == errOpaque {
		return j.say(RuleKind, false)
	}
	if errX == errDomain || errY == errDomain {
		return j.say(RuleUndefined, false)
	}
	decimal := hasDecimal(x) || hasDecimal(y)
	constants := !free(x) && !free(y)
	switch {
	case errX != nil:
		undecided = errX
	case errY != nil:
		undecided = errY
	default:
		d, err := j.a.difference(qx, qy)
		if err != nil {
			undecided = err
			break
		}
		zero, sure := j.a.isZero(d)
		if zero {
			return j.say(RuleNormalForm, true)
		}
		if !decimal && sure {
			return j.say(RuleNormalForm, false)
		}
		if decimal && !constants && qx.d == nil && qy.d == nil {
			if j.coefficients(qx.n, qy.n) {
				return j.say(RuleRounded, true)
			}
			if sure {
				return j.say(RuleNormalForm, false)
			}
		}
	}
	if undecided != nil && j.w.used > j.w.max {
		return false, undecided
	}
	eq, err := j.numeric(x, y, decimal && constants, constants)
	if err != nil {
		if undecided != nil {
			err = undecided
		}
		if isLimit(err) {
			return false, err
		}
		return j.say(RuleUndefined, false)
	}
	if eq && undecided != nil && !(decimal && constants) {
		return false, undecided // equal to so many digits, but the numbers are longer than that
	}
	return eq, nil
}

func (a *algebra) difference(x, y quot) (quot, error) {
	if x.d == nil && y.d == nil {
		m, err := a.scale(y.n, big.NewRat(-1, 1))
		if err != nil {
			return quot{}, err
		}
		n, err := a.add(x.n, m)
		return quot{n: n}, err
	}
	one := constant(big.NewRat(1, 1))
	xd, yd := x.d, y.d
	if xd == nil {
		xd = one
	}
	if yd == nil {
		yd = one
	}
	l, err := a.mul(x.n, yd)
	if err != nil {
		return quot{}, err
	}
	r, err := a.mul(y.n, xd)
	if err != nil {
		return quot{}, err
	}
	if r, err = a.scale(r, big.NewRat(-1, 1)); err != nil {
		return quot{}, err
	}
	n, err := a.add(l, r)
	return quot{n: n}, err
}

// coefficients compares two polynomials with rounded coefficients.
func (j *judge) coefficients(x, y poly) bool {
	if len(x) != len(y) {
		return false
	}
	for m, c := range x {
		d, ok := y[m]
		if !ok || !j.rounded(value{re: j.low.new().SetRat(c)}, value{re: j.low.new().SetRat(d)}) {
			return false
		}
	}
	return true
}

// rounded compares two numbers of which one is a decimal: to the digits of the options behind the point, but never with a
// relative error above 10^-(digits/2), so that small numbers do not all equal zero.
func (j *judge) rounded(x, y value) bool {
	digits := j.opt.digits()
	one := func(a, b *big.Float) bool {
		d := j.low.new().Sub(a, b)
		d.Abs(d)
		if d.Sign() == 0 {
			return true
		}
		big10 := j.low.new().SetInt(pow10(digits))
		// Both rounded, or nearer than half a unit of the last digit.
		ra, rb := j.low.new().Mul(a, big10), j.low.new().Mul(b, big10)
		near := j.low.new().Mul(d, big10).Cmp(big.NewFloat(0.5)) <= 0
		if !near && !sameRounded(ra, rb) {
			return false
		}
		most := j.low.new().Abs(a)
		if m := j.low.new().Abs(b); m.Cmp(most) > 0 {
			most = m
		}
		most.Quo(most, j.low.new().SetInt(pow10((digits+1)/2)))
		return d.Cmp(most) <= 0
	}
	if !one(x.re, y.re) {
		return false
	}
	if x.im == nil && y.im == nil {
		return true
	}
	zero := j.low.new()
	xi, yi := x.im, y.im
	if xi == nil {
		xi = zero
	}
	if yi == nil {
		yi = zero
	}
	return one(xi, yi)
}

func sameRounded(a, b *big.Float) bool {
	round := func(x *big.Float) *big.Int {
		y := new(big.Float).SetPrec(x.Prec()).Abs(x)
		y.Add(y, big.NewFloat(0.5))
		n, _ := y.Int(nil)
		if x.Sign() < 0 {
			n.Neg(n)
		}
		return n
	}
	return round(a).Cmp(round(b)) == 0
}

// mix is one step of a fixed pseudo-random sequence.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// point returns the values of the variables in one trial. The points are the same in every run.
func point(trial int, whole bool) func(key string) *big.Float {
	return func(key string) *big.Float {
		h := uint64(trial)*0x2545f4914f6cdd1d + 0x1234567
		for i := range len(key) {
			h = mix(h ^ uint64(key[i]))
		}
		if whole {
			return big.NewFloat(float64(1 + h%11))
		}
		f := float64(h>>33) / (1 << 31)
		odd := len(key) > 0 && key[len(key)-1]%2 == 1
		switch trial % wantPoints {
		case 0:
			f = 0.1 + 2.9*f
		case 1:
			f = -0.1 - 2.9*f
		case 2:
			f = 0.03 + 0.94*f
		case 3, 4:
			// Different signs for neighbours in the alphabet.
			f = 0.2 + 2.5*f
			if odd == (trial%wantPoints == 3) {
				f = -f
			}
		case 5:
			f = -4 + 8*f
		default:
			f = 1 + 7*f
		}
		return big.NewFloat(f)
	}
}

const (
	wantPoints = 7  // that many agreeing points make two terms equal
	maxTrials  = 21 // of each sort
)

// numeric compares two terms by their values: at one point if they are constants, else at several.
func (j *judge) numeric(x, y Expr, decimal, constants bool) (bool, error) {
	agreed := 0
	for stage := range 3 {
		// Real points, whole numbers, and at last complex values.
		trials := maxTrials
		if constants {
			trials = 1
			if stage == 1 {
				continue
			}
		}
		for t := range trials {
			at := point(t, stage == 1)
			v, w, err := j.both(j.low, x, y, at, stage != 2)
			if isLimit(err) {
				return false, err
			}
			if err != nil {
				continue
			}
			if decimal {
				j.rule = RuleRounded
				return j.rounded(v, w), nil
			}
			same, err := j.close(x, y, v, w, at, stage != 2)
			if err != nil {
				return false, err
			}
			j.rule = RuleNumeric
			if !same {
				return false, nil
			}
			if agreed++; agreed >= wantPoints || constants {
				return true, nil
			}
		}
		if agreed >= 3 {
			return true, nil
		}
		if agreed > 0 && stage == 0 {
			continue
		}
	}
	if agreed > 0 {
		return true, nil
	}
	return false, errDomain
}

func (j *judge) both(c *calc, x, y Expr, at func(string) *big.Float, real bool) (v, w value, err error) {
	e := &evaluator{calc: c, a: j.a, real: real, at: at}
	if v, err = e.eval(x); err != nil {
		return v, w, err
	}
	w, err = e.eval(y)
	return v, w, err
}

// close reports whether two values are equal as far as the precision goes. Where that may be an effect of cancellation it
// computes again with twice the digits: a true difference stays, an error shrinks.
func (j *judge) close(x, y Expr, v, w value, at func(string) *big.Float, real bool) (bool, error) {
	d, scale := distance(j.low, v, w)
	if d.Sign() == 0 || below(d, scale, lowPrec-60) {
		return true, nil
	}
	unit := scale
	if unit.Cmp(big.NewFloat(1)) < 0 {
		unit = big.NewFloat(1)
	}
	if !below(d, unit, 64) {
		return false, nil
	}
	v2, w2, err := j.both(j.high, x, y, at, real)
	if err != nil {
		return false, err
	}
	d2, scale2 := distance(j.high, v2, w2)
	return d2.Sign() == 0 || below(d2, scale2, highPrec-80) || below(d2, d, 160), nil
}

func distance(c *calc, v, w value) (d, scale *big.Float) {
	e := &evaluator{calc: c}
	d = e.abs(e.add(v, e.neg(w)))
	scale = e.abs(v)
	if s := e.abs(w); s.Cmp(scale) > 0 {
		scale = s
	}
	return d, scale
}

// below reports whether d < scale / 2^bits.
func below(d, scale *big.Float, bits int) bool {
	return d.Cmp(new(big.Float).SetMantExp(scale, -bits)) < 0
}

// expand replaces signs ± in e: first every ± by + and ∓ by -, then the other way.
func expand(e Expr) []Expr {
	has := func(e Expr) bool { _, ok := e.(*PlusMinus); return ok }
	if !some(e, has) {
		return []Expr{e}
	}
	out := make([]Expr, 0, 2)
	for _, plus := range [...]bool{true, false} {
		out = append(out, rewrite(e, func(e Expr) Expr {
			x, ok := e.(*PlusMinus)
			if !ok {
				return e
			}
			y := x.Y
			if x.Minus == plus {
				y = &Neg{y}
			}
			if x.X == nil {
				return y
			}
			return &Add{[]Expr{x.X, y}}
		}))
	}
	return out
}

// expandItems expands each item of a list.
func expandItems(items []Expr) []Expr {
	var out []Expr
	for _, e := range items {
		switch e.(type) {
		case *Tuple, *Rel:
			// Pairs with ± in them stand for two pairs.
		}
		out = append(out, expand(e)...)
	}
	return out
}

// canon brings an answer into the shape that equal compares: no brackets of one item, ± as lists, words for sets as sets.
func canon(e Expr) Expr {
	switch x := e.(type) {
	case *Set:
		if items := expandItems(x.Items); len(items) != len(x.Items) {
			return &Set{items}
		}
	case *List:
		items := expandItems(x.Items)
		if len(items) == 1 {
			return canon(items[0])
		}
		// x=1, x=2 is x = 1, 2.
		var lhs Expr
		var values []Expr
		for i, e := range items {
			r, ok := e.(*Rel)
			if !ok || len(r.Ops) != 1 || r.Ops[0] != "=" || !isName(r.Items[0]) || i > 0 && dummy(r).Items[0].String() != dummy(lhs.(*Rel)).Items[0].String() {
				values = nil
				break
			}
			if i == 0 {
				lhs = r
			}
			values = append(values, dummy(r).Items[1])
		}
		if values != nil {
			return &Rel{[]Expr{dummy(lhs.(*Rel)).Items[0], &List{values, x.Or}}, []string{"="}}
		}
		if len(items) != len(x.Items) {
			return &List{items, x.Or}
		}
	case *Text:
		switch x.Words {
		case "all real numbers", "all reals", "real numbers", "the set of all real numbers", "r":
			return &NamedSet{"R"}
		case "empty set", "the empty set":
			return &NamedSet{"O"}
		case "infinity":
			return &Inf{}
		}
		if n, ok := numeral(x.Words); ok {
			return number(n)
		}
	case *Rel, *Builder:
	case *Add:
		// R - {0}
		if len(x.Terms) == 2 && isCollection(x.Terms[0]) {
			if n, ok := x.Terms[1].(*Neg); ok && isCollection(n.X) {
				return &SetOp{'\\', x.Terms[0], n.X}
			}
		}
		if alt := expand(e); len(alt) > 1 {
			return &List{alt, false}
		}
	default:
		if alt := expand(e); len(alt) > 1 {
			return &List{alt, false}
		}
	}
	return e
}

// numeral knows the number words up to twenty.
func numeral(s string) (int64, bool) {
	if len(s) < 3 || len(s) > 10 || !isLetter(s[0]) {
		return 0, false
	}
	for i, w := range strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty") {
		if strings.EqualFold(strings.TrimSuffix(s, "."), w) {
			return int64(i), true
		}
	}
	return 0, false
}

// dummy renames the argument of f(x) = ... so that the name does not matter.
func dummy(r *Rel) *Rel {
	c, ok := r.Items[0].(*Call)
	if !ok || builtin(c.Name) || len(c.Args) != 1 {
		return r
	}
	s, ok := c.Args[0].(*Sym)
	if !ok || s.Name == "pi" || s.Name == "e" || s.Name == "i" {
		return r
	}
	items := make([]Expr, len(r.Items))
	for i, e := range r.Items {
		items[i] = substitute(e, s.Name, &Sym{"#x"})
	}
	return &Rel{items, r.Ops}
}

// equal decides whether two answers are equal. g is the gold answer.
func (j *judge) equal(g, e Expr, depth int) (bool, error) {
	if depth > 8 {
		return false, &LimitError{"levels of nested lists", 8}
	}
	if err := j.w.spend(1); err != nil {
		return false, err
	}
	g, e = canon(g), canon(e)
	// Units.
	gq, g1 := g.(*Quantity)
	eq, e1 := e.(*Quantity)
	switch {
	case g1 && e1:
		if !gq.Unit.same(eq.Unit) {
			return j.say(RuleUnit, false)
		}
		if gq.Unit.Scale.Cmp(eq.Unit.Scale) == 0 {
			return j.equal(gq.X, eq.X, depth+1)
		}
		return j.equal(&Mul{[]Expr{gq.X, &Num{gq.Unit.Scale, false}}, nil}, &Mul{[]Expr{eq.X, &Num{eq.Unit.Scale, false}}, nil}, depth+1)
	case g1:
		return j.equal(gq.X, e, depth+1)
	case e1:
		return j.equal(g, eq.X, depth+1)
	}
	if noSolution(g) && noSolution(e) {
		return j.say(RuleWords, true)
	}
	if t, ok := g.(*Text); ok {
		u, ok := e.(*Text)
		return j.say(RuleWords, ok && sameWords(t.Words, u.Words))
	}
	if _, ok := e.(*Text); ok {
		return j.say(RuleWords, false)
	}
	gr, gIsRel := g.(*Rel)
	er, eIsRel := e.(*Rel)
	switch {
	case gIsRel && eIsRel:
		return j.relations(gr, er, depth)
	case gIsRel:
		return j.relationValue(gr, e, true, depth)
	case eIsRel:
		return j.relationValue(er, g, false, depth)
	}
	hasMatrix := func(e Expr) bool { _, ok := e.(*Matrix); return ok }
	m1, m2 := isRows(e) && some(g, hasMatrix), isRows(g) && some(e, hasMatrix)
	if rows := m1 || m2; !rows && (isCollection(g) || isCollection(e)) {
		return j.collections(g, e, depth)
	}
	mx, errX := j.a.matrix(g)
	my, errY := j.a.matrix(e)
	switch {
	case isLimit(errX):
		return false, errX
	case isLimit(errY):
		return false, errY
	case errX == nil && errY == nil:
		return j.matrices(mx, my, depth)
	case errX == nil || errY == nil:
		return j.say(RuleKind, false)
	}
	gi, ei := infinite(g), infinite(e)
	if gi != 0 || ei != 0 {
		return j.say(RuleNumber, gi == ei)
	}
	if a, ok := g.(*Ratio); ok && len(a.Parts) > 2 {
		b, ok := e.(*Ratio)
		return j.ratios(a, b, ok, depth)
	}
	if _, ok := e.(*Ratio); ok && len(e.(*Ratio).Parts) > 2 {
		return j.say(RuleKind, false)
	}
	return j.scalars(g, e)
}

// noSolution reports whether e is the empty set or says so.
func noSolution(e Expr) bool {
	switch x := e.(type) {
	case *NamedSet:
		return x.Name == "O"
	case *Text:
		switch x.Words {
		case "no solution", "no solutions", "no real solution", "no real solutions", "none", "there is no solution", "there are no solutions", "does not exist", "dne":
			return true
		}
	}
	return false
}

// isRows reports whether e is [[a,b],[c,d]].
func isRows(e Expr) bool {
	t, ok := e.(*Tuple)
	if !ok || t.Left != '[' {
		return false
	}
	for _, r := range t.Items {
		if r, ok := r.(*Tuple); !ok || r.Left != '[' || r.Right != ']' {
			return false
		}
	}
	return true
}

func sameWords(a, b string) bool {
	trim := func(s string) string {
		for _, w := range [...]string{"the ", "a ", "an "} {
			s = strings.TrimPrefix(s, w)
		}
		return strings.ReplaceAll(s, " ", "")
	}
	return trim(a) == trim(b)
}

// infinite returns 1 or -1 for an infinity.
func infinite(e Expr) int {
	switch x := e.(type) {
	case *Inf:
		return 1
	case *Neg:
		return -infinite(x.X)
	}
	return 0
}

// ratios compares a:b:c part by part, up to a common factor.
func (j *judge) ratios(x, y *Ratio, ok bool, _ int) (bool, error) {
	if !ok || len(x.Parts) != len(y.Parts) {
		return j.say(RuleKind, false)
	}
	for i := range x.Parts {
		same, err := j.scalars(&Mul{[]Expr{x.Parts[i], y.Parts[0]}, nil}, &Mul{[]Expr{y.Parts[i], x.Parts[0]}, nil})
		if err != nil || !same {
			return same, err
		}
	}
	return j.say(RuleItems, true)
}

func (j *judge) matrices(x, y *Matrix, depth int) (bool, error) {
	if x.Rows != y.Rows || x.Cols != y.Cols {
		return j.say(RuleItems, false)
	}
	for i := range x.Items {
		same, err := j.equal(x.Items[i], y.Items[i], depth+1)
		if err != nil || !same {
			return same, err
		}
	}
	return j.say(RuleItems, true)
}
