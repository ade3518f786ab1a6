package mathverify

import (
	"math/big"
	"strconv"
	"strings"
)

// An Expr is a node of a parsed expression. Its types are the pointers to the structs of this file. Trees are never changed
// after parsing, so that they may be shared.
type Expr interface {
	// String returns the expression in plain notation, with brackets around everything that could bind otherwise.
	String() string
	write(*strings.Builder)
}

type (
	// A Num is an exact rational number. Decimal is set if it was written with a decimal point: such numbers
	// are compared after rounding.
	Num struct {
		Val     *big.Rat
		Decimal bool
	}
	// A Sym is a variable or a constant: pi, e and i are the constants.
	Sym struct{ Name string }
	// An Inf is infinity; -infinity is its Neg.
	Inf struct{}
	// A Neg is -X.
	Neg struct{ X Expr }
	// An Add is a sum.
	Add struct{ Terms []Expr }
	// A Mul is the product of Num over the product of Den, which may be empty.
	Mul struct{ Num, Den []Expr }
	// A Pow is Base^Exp. Roots are Calls of "root".
	Pow struct{ Base, Exp Expr }
	// A Call is a function of arguments: sin, ln, "log" (of x, or of x to the base of the second argument), root (of x, n),
	// abs, floor, ceil, fact, binom, conj, det, transpose, gcd, lcm, max, min, mod, and what the text names itself, as f.
	Call struct {
		Name string
		Args []Expr
	}
	// A PlusMinus stands for X+Y and X-Y (X may be nil). Minus is set for the sign that is minus first.
	PlusMinus struct {
		X, Y  Expr
		Minus bool
	}
	// A Percent is X %.
	Percent struct{ X Expr }
	// A Degree is X degrees.
	Degree struct{ X Expr }
	// A Quantity is a number with a unit that is understood. Units that are not are dropped by the parser.
	Quantity struct {
		X    Expr
		Unit Unit
	}
	// A Ratio is a:b or a:b:c.
	Ratio struct{ Parts []Expr }
	// A List is items with commas and no brackets of their own. Its order does not matter unless it is compared with a tuple.
	// Or is set if an "or" stands between them.
	List struct {
		Items []Expr
		Or    bool
	}
	// A Tuple is items in brackets: (1,2), [1,2), <1,2>. With two items it may also be an interval.
	Tuple struct {
		Items       []Expr
		Left, Right byte // one of ( [ ] <, and ) ] [ >
	}
	// A Set is items in braces.
	Set struct{ Items []Expr }
	// A Builder is a set of all Var with Cond.
	Builder struct{ Var, Cond Expr }
	// A NamedSet is R, Z, N, Q, C, or O for the empty set.
	NamedSet struct{ Name string }
	// A SetOp joins sets: Op is u (union), n (intersection) or \ (difference).
	SetOp struct {
		Op   byte
		X, Y Expr
	}
	// A Matrix is row by row. Bar is set for a determinant's bars.
	Matrix struct {
		Rows, Cols int
		Items      []Expr
	}
	// A Rel is a chain of relations: Items[0] Ops[0] Items[1] Ops[1] ... An op is one of = != < > <= >= ~ in notin == (congruent) ->.
	Rel struct {
		Items []Expr
		Ops   []string
	}
	// A Text is words: lower case, one space between them.
	Text struct{ Words string }
	// A BigOp is a sum, product, integral or limit: Op is sum, prod, int, lim. Var, Lo and Hi may be nil.
	BigOp struct {
		Op          string
		Var         string
		Lo, Hi, Sub Expr
		Body        Expr
	}
)

func number(n int64) *Num { return &Num{Val: big.NewRat(n, 1)} }

func (x *Num) write(b *strings.Builder) {
	if x.Decimal {
		b.WriteByte('~')
	}
	if x.Val.IsInt() {
		b.WriteString(x.Val.Num().String())
		return
	}
	b.WriteString(x.Val.String())
}
func (x *Sym) write(b *strings.Builder)      { b.WriteString(x.Name) }
func (x *Inf) write(b *strings.Builder)      { b.WriteString("oo") }
func (x *Neg) write(b *strings.Builder)      { b.WriteString("-"); group(b, x.X) }
func (x *NamedSet) write(b *strings.Builder) { b.WriteString("set" + x.Name) }
func (x *Text) write(b *strings.Builder)     { b.WriteString(strconv.Quote(x.Words)) }
func (x *Add) write(b *strings.Builder) {
	b.WriteByte('(')
	for i, t := range x.Terms {
		if n, ok := t.(*Neg); ok {
			b.WriteByte('-')
			group(b, n.X)
			continue
		}
		if i > 0 {
			b.WriteByte('+')
		}
		t.write(b)
	}
	b.WriteByte(')')
}
func (x *Mul) write(b *strings.Builder) {
	b.WriteByte('(')
	for i, t := range x.Num {
		if i > 0 {
			b.WriteByte('*')
		}
		group(b, t)
	}
	for _, t := range x.Den {
		b.WriteByte('/')
		group(b, t)
	}
	b.WriteByte(')')
}
func (x *Pow) write(b *strings.Builder) {
	group(b, x.Base)
	b.WriteByte('^')
	group(b, x.Exp)
}
func (x *Call) write(b *strings.Builder) {
	b.WriteString(x.Name)
	list(b, "(", x.Args, ")")
}
func (x *PlusMinus) write(b *strings.Builder) {
	b.WriteByte('(')
	if x.X != nil {
		x.X.write(b)
	}
	if x.Minus {
		b.WriteString("-+")
	} else {
		b.WriteString("+-")
	}
	group(b, x.Y)
	b.WriteByte(')')
}
func (x *Percent) write(b *strings.Builder)  { group(b, x.X); b.WriteByte('%') }
func (x *Degree) write(b *strings.Builder)   { group(b, x.X); b.WriteString("°") }
func (x *Quantity) write(b *strings.Builder) { group(b, x.X); b.WriteString(" " + x.Unit.Name) }
func (x *Ratio) write(b *strings.Builder) {
	for i, p := range x.Parts {
		if i > 0 {
			b.WriteByte(':')
		}
		group(b, p)
	}
}
func (x *List) write(b *strings.Builder)  { list(b, "", x.Items, "") }
func (x *Tuple) write(b *strings.Builder) { list(b, string(x.Left), x.Items, string(x.Right)) }
func (x *Set) write(b *strings.Builder)   { list(b, "{", x.Items, "}") }
func (x *Builder) write(b *strings.Builder) {
	b.WriteByte('{')
	x.Var.write(b)
	b.WriteByte('|')
	x.Cond.write(b)
	b.WriteByte('}')
}
func (x *SetOp) write(b *strings.Builder) {
	b.WriteByte('(')
	x.X.write(b)
	b.WriteString(" " + string(x.Op) + " ")
	x.Y.write(b)
	b.WriteByte(')')
}
func (x *Matrix) write(b *strings.Builder) {
	b.WriteByte('[')
	for r := range x.Rows {
		list(b, "[", x.Items[r*x.Cols:(r+1)*x.Cols], "]")
	}
	b.WriteByte(']')
}
func (x *Rel) write(b *strings.Builder) {
	for i, e := range x.Items {
		if i > 0 {
			b.WriteString(" " + x.Ops[i-1] + " ")
		}
		e.write(b)
	}
}
func (x *BigOp) write(b *strings.Builder) {
	b.WriteString(x.Op)
	args := []Expr{&Sym{x.Var}}
	for _, e := range []Expr{x.Lo, x.Hi, x.Sub, x.Body} {
		if e == nil {
			e = &Sym{"_"}
		}
		args = append(args, e)
	}
	list(b, "(", args, ")")
}

func list(b *strings.Builder, open string, items []Expr, end string) {
	b.WriteString(open)
	for i, e := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		e.write(b)
	}
	b.WriteString(end)
}

// group writes e with brackets around it unless it cannot be misread.
func group(b *strings.Builder, e Expr) {
	switch x := e.(type) {
	case *Num:
		if !x.Val.IsInt() || x.Val.Sign() < 0 {
			break
		}
		e.write(b)
		return
	case *Sym, *Inf, *Call, *Add, *Mul, *Tuple, *Set, *NamedSet, *Text, *Matrix:
		e.write(b)
		return
	}
	b.WriteByte('(')
	e.write(b)
	b.WriteByte(')')
}

func text(e Expr) string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (x *Num) String() string       { return text(x) }
func (x *Sym) String() string       { return text(x) }
func (x *Inf) String() string       { return text(x) }
func (x *Neg) String() string       { return text(x) }
func (x *Add) String() string       { return text(x) }
func (x *Mul) String() string       { return text(x) }
func (x *Pow) String() string       { return text(x) }
func (x *Call) String() string      { return text(x) }
func (x *PlusMinus) String() string { return text(x) }
func (x *Percent) String() string   { return text(x) }
func (x *Degree) String() string    { return text(x) }
func (x *Quantity) String() string  { return text(x) }
func (x *Ratio) String() string     { return text(x) }
func (x *List) String() string      { return text(x) }
func (x *Tuple) String() string     { return text(x) }
func (x *Set) String() string       { return text(x) }
func (x *Builder) String() string   { return text(x) }
func (x *NamedSet) String() string  { return text(x) }
func (x *SetOp) String() string     { return text(x) }
func (x *Matrix) String() string    { return text(x) }
func (x *Rel) String() string       { return text(x) }
func (x *Text) String() string      { return text(x) }
func (x *BigOp) String() string     { return text(x) }

// children returns the parts of e.
func children(e Expr) []Expr {
	switch x := e.(type) {
	case *Neg:
		return []Expr{x.X}
	case *Add:
		return x.Terms
	case *Mul:
		if len(x.Den) == 0 {
			return x.Num
		}
		return append(append(make([]Expr, 0, len(x.Num)+len(x.Den)), x.Num...), x.Den...)
	case *Pow:
		return []Expr{x.Base, x.Exp}
	case *Call:
		return x.Args
	case *PlusMinus:
		if x.X == nil {
			return []Expr{x.Y}
		}
		return []Expr{x.X, x.Y}
	case *Percent:
		return []Expr{x.X}
	case *Degree:
		return []Expr{x.X}
	case *Quantity:
		return []Expr{x.X}
	case *Ratio:
		return x.Parts
	case *List:
		return x.Items
	case *Tuple:
		return x.Items
	case *Set:
		return x.Items
	case *Builder:
		return []Expr{x.Var, x.Cond}
	case *SetOp:
		return []Expr{x.X, x.Y}
	case *Matrix:
		return x.Items
	case *Rel:
		return x.Items
	case *BigOp:
		var c []Expr
		for _, e := range []Expr{x.Lo, x.Hi, x.Sub, x.Body} {
			if e != nil {
				c = append(c, e)
			}
		}
		return c
	}
	return nil
}

// some reports whether e or a part of it fulfils f.
func some(e Expr, f func(Expr) bool) bool {
	if f(e) {
		return true
	}
	for _, c := range children(e) {
		if some(c, f) {
			return true
		}
	}
	return false
}

// rewrite returns e with f applied to every node, from the leaves up. f returns its argument where it changes nothing.
func rewrite(e Expr, f func(Expr) Expr) Expr {
	all := func(in []Expr) ([]Expr, bool) {
		var out []Expr
		for i, c := range in {
			d := rewrite(c, f)
			if d != c && out == nil {
				out = append(make([]Expr, 0, len(in)), in[:i]...)
			}
			if out != nil {
				out = append(out, d)
			}
		}
		if out == nil {
			return in, false
		}
		return out, true
	}
	one := func(c Expr) (Expr, bool) {
		if c == nil {
			return nil, false
		}
		d := rewrite(c, f)
		return d, d != c
	}
	switch x := e.(type) {
	case *Neg:
		if c, ok := one(x.X); ok {
			e = &Neg{c}
		}
	case *Add:
		if c, ok := all(x.Terms); ok {
			e = &Add{c}
		}
	case *Mul:
		n, ok1 := all(x.Num)
		d, ok2 := all(x.Den)
		if ok1 || ok2 {
			e = &Mul{n, d}
		}
	case *Pow:
		a, ok1 := one(x.Base)
		b, ok2 := one(x.Exp)
		if ok1 || ok2 {
			e = &Pow{a, b}
		}
	case *Call:
		if c, ok := all(x.Args); ok {
			e = &Call{x.Name, c}
		}
	case *PlusMinus:
		a, ok1 := one(x.X)
		b, ok2 := one(x.Y)
		if ok1 || ok2 {
			e = &PlusMinus{a, b, x.Minus}
		}
	case *Percent:
		if c, ok := one(x.X); ok {
			e = &Percent{c}
		}
	case *Degree:
		if c, ok := one(x.X); ok {
			e = &Degree{c}
		}
	case *Quantity:
		if c, ok := one(x.X); ok {
			e = &Quantity{c, x.Unit}
		}
	case *Ratio:
		if c, ok := all(x.Parts); ok {
			e = &Ratio{c}
		}
	case *List:
		if c, ok := all(x.Items); ok {
			e = &List{c, x.Or}
		}
	case *Tuple:
		if c, ok := all(x.Items); ok {
			e = &Tuple{c, x.Left, x.Right}
		}
	case *Set:
		if c, ok := all(x.Items); ok {
			e = &Set{c}
		}
	case *Builder:
		a, ok1 := one(x.Var)
		b, ok2 := one(x.Cond)
		if ok1 || ok2 {
			e = &Builder{a, b}
		}
	case *SetOp:
		a, ok1 := one(x.X)
		b, ok2 := one(x.Y)
		if ok1 || ok2 {
			e = &SetOp{x.Op, a, b}
		}
	case *Matrix:
		if c, ok := all(x.Items); ok {
			e = &Matrix{x.Rows, x.Cols, c}
		}
	case *Rel:
		if c, ok := all(x.Items); ok {
			e = &Rel{c, x.Ops}
		}
	case *BigOp:
		a, ok1 := one(x.Lo)
		b, ok2 := one(x.Hi)
		c, ok3 := one(x.Sub)
		d, ok4 := one(x.Body)
		if ok1 || ok2 || ok3 || ok4 {
			e = &BigOp{x.Op, x.Var, a, b, c, d}
		}
	}
	return f(e)
}
