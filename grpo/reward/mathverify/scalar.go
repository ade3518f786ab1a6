package mathverify

import (
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// norm brings an expression into normal form. errOpaque says that it is no scalar, errDomain that it has no value.
func (a *algebra) norm(e Expr) (quot, error) {
	if err := a.w.spend(1); err != nil {
		return quot{}, err
	}
	switch x := e.(type) {
	case *Num:
		if bits(x.Val) > MaxBits {
			return quot{}, &LimitError{"bits in a number", MaxBits}
		}
		return quot{n: constant(x.Val)}, nil
	case *Sym:
		return a.symbol(x.Name)
	case *Neg:
		q, err := a.norm(x.X)
		if err != nil {
			return q, err
		}
		q.n, err = a.scale(q.n, big.NewRat(-1, 1))
		return q, err
	case *Add:
		sum := quot{n: poly{}}
		for _, t := range x.Terms {
			q, err := a.norm(t)
			if err != nil {
				return quot{}, err
			}
			if sum, err = a.addQ(sum, q); err != nil {
				return quot{}, err
			}
		}
		return a.reduced(sum)
	case *Mul:
		prod := integer(1)
		for _, t := range x.Num {
			q, err := a.norm(t)
			if err != nil {
				return quot{}, err
			}
			if prod, err = a.mulQ(prod, q); err != nil {
				return quot{}, err
			}
		}
		for _, t := range x.Den {
			q, err := a.norm(t)
			if err != nil {
				return quot{}, err
			}
			if q, err = a.invQ(q); err != nil {
				return quot{}, err
			}
			if prod, err = a.mulQ(prod, q); err != nil {
				return quot{}, err
			}
		}
		return prod, nil
	case *Pow:
		b, err := a.norm(x.Base)
		if err != nil {
			return quot{}, err
		}
		p, err := a.norm(x.Exp)
		if err != nil {
			return quot{}, err
		}
		return a.pow(b, p)
	case *Percent:
		q, err := a.norm(x.X)
		if err != nil || a.percent {
			return q, err
		}
		q.n, err = a.scale(q.n, big.NewRat(1, 100))
		return q, err
	case *Degree:
		q, err := a.norm(x.X)
		if err != nil || !a.radians && a.inTrig == 0 {
			return q, err
		}
		pi, err := a.symbol("pi")
		if err != nil {
			return quot{}, err
		}
		if pi.n, err = a.scale(pi.n, big.NewRat(1, 180)); err != nil {
			return quot{}, err
		}
		return a.mulQ(q, pi)
	case *Quantity:
		return a.norm(x.X)
	case *Ratio:
		if len(x.Parts) != 2 {
			return quot{}, errOpaque
		}
		return a.norm(&Mul{x.Parts[:1], x.Parts[1:]})
	case *Call:
		return a.call(x)
	case *BigOp:
		return a.bigOp(x)
	}
	return quot{}, errOpaque
}

func (a *algebra) symbol(name string) (quot, error) {
	if !slices.Contains(a.bound, name) {
		switch name {
		case "pi":
			return a.single("pi", atom{kind: atomPi, sure: true}, 1, 1)
		case "i":
			return a.single("i", atom{kind: atomI, sure: true}, 1, 1)
		case "e":
			return a.single("^e|", atom{kind: atomPower, root: "e"}, 1, 1)
		}
	}
	return a.single("v"+name, atom{kind: atomVar, sure: true}, 1, 1)
}

// iPi returns the monomial i pi.
func (a *algebra) iPi() mono {
	i, err1 := a.symbol("i")
	pi, err2 := a.symbol("pi")
	if err1 != nil || err2 != nil {
		return ""
	}
	p, err := a.mul(i.n, pi.n)
	if err != nil || len(p) != 1 {
		return ""
	}
	return p.sorted()[0]
}

// cis returns e^(i pi c), if the package knows its sine and cosine.
func (a *algebra) cis(c *big.Rat) (quot, bool, error) {
	s, ok, err := a.sinPi(c)
	if err != nil || !ok {
		return quot{}, false, err
	}
	co, ok, err := a.sinPi(new(big.Rat).Add(c, big.NewRat(1, 2)))
	if err != nil || !ok {
		return quot{}, false, err
	}
	i, err := a.symbol("i")
	if err != nil {
		return quot{}, false, err
	}
	if s, err = a.mulQ(s, i); err != nil {
		return quot{}, false, err
	}
	q, err := a.addQ(co, s)
	return q, true, err
}

// sinPi returns sin(c pi) for multiples of pi/12.
func (a *algebra) sinPi(c *big.Rat) (quot, bool, error) {
	t := new(big.Rat).Mul(c, big.NewRat(12, 1))
	if !t.IsInt() {
		return quot{}, false, nil
	}
	k := int(new(big.Int).Mod(t.Num(), big.NewInt(24)).Int64())
	sign := int64(1)
	if k >= 12 {
		k -= 12
		sign = -1
	}
	if k > 6 {
		k = 12 - k
	}
	// sqrt(u)/d + s sqrt(2)/d
	u, s, d := int64(0), int64(0), int64(1)
	switch k {
	case 1:
		u, s, d = 6, -1, 4
	case 2:
		u, d = 1, 2
	case 3:
		u, d = 2, 2
	case 4:
		u, d = 3, 2
	case 5:
		u, s, d = 6, 1, 4
	case 6:
		u = 1
	}
	if u == 0 {
		return quot{n: poly{}}, true, nil
	}
	q, err := a.rootOf(big.NewRat(u, 1), 1, 2, true)
	if err != nil {
		return quot{}, false, err
	}
	if s != 0 {
		r, err := a.rootOf(big.NewRat(2, 1), 1, 2, true)
		if err != nil {
			return quot{}, false, err
		}
		if r.n, err = a.scale(r.n, big.NewRat(s, 1)); err != nil {
			return quot{}, false, err
		}
		if q, err = a.addQ(q, r); err != nil {
			return quot{}, false, err
		}
	}
	q.n, err = a.scale(q.n, big.NewRat(sign, d))
	return q, true, err
}

// piMultiple returns c if q is c pi.
func (a *algebra) piMultiple(q quot) (*big.Rat, bool) {
	if q.d != nil || len(q.n) > 1 {
		return nil, false
	}
	for m, c := range q.n {
		if m.len() != 1 {
			return nil, false
		}
		f := m.at(0)
		return c, a.atoms[f.id].kind == atomPi && f.num == 1 && f.den == 1
	}
	return new(big.Rat), true
}

func (a *algebra) call(x *Call) (quot, error) {
	args := make([]quot, len(x.Args))
	trig := false
	switch x.Name {
	case "sin", "cos", "tan", "cot", "sec", "csc":
		trig = true
	case "det":
		m, err := a.matrix(x.Args[0])
		if err != nil {
			return quot{}, err
		}
		d, err := determinant(m)
		if err != nil {
			return quot{}, err
		}
		return a.norm(d)
	case "transpose":
		return quot{}, errOpaque
	}
	if trig {
		a.inTrig++
	}
	var err error
	for i, e := range x.Args {
		if args[i], err = a.norm(e); err != nil {
			break
		}
	}
	if trig {
		a.inTrig--
	}
	if err != nil {
		return quot{}, err
	}
	q, err := a.apply(x.Name, args)
	if err == errOpaque {
		return a.opaqueCall(x.Name, args)
	}
	return q, err
}

func (a *algebra) opaqueCall(name string, args []quot) (quot, error) {
	var b strings.Builder
	b.WriteString(name)
	for _, q := range args {
		b.WriteByte('(')
		b.WriteString(q.key())
	}
	return a.opaque(b.String())
}

// negative reports whether the first term of q in the fixed order has a minus.
func negative(q quot) bool {
	if len(q.n) == 0 {
		return false
	}
	return q.n[q.n.sorted()[0]].Sign() < 0
}

func (a *algebra) minus(q quot) (quot, error) {
	n, err := a.scale(q.n, big.NewRat(-1, 1))
	return quot{n, q.d}, err
}

func (a *algebra) div(x, y quot) (quot, error) {
	inv, err := a.invQ(y)
	if err != nil {
		return quot{}, err
	}
	return a.mulQ(x, inv)
}

// apply computes a function of normal forms. errOpaque says that it is to be an atom.
func (a *algebra) apply(name string, args []quot) (quot, error) {
	x := args[0]
	switch name {
	case "sin":
		if c, ok := a.piMultiple(x); ok {
			if q, ok, err := a.sinPi(c); ok || err != nil {
				return q, err
			}
		}
		if negative(x) {
			y, err := a.minus(x)
			if err != nil {
				return quot{}, err
			}
			if y, err = a.opaqueCall("sin", []quot{y}); err != nil {
				return quot{}, err
			}
			return a.minus(y)
		}
	case "cos":
		if c, ok := a.piMultiple(x); ok {
			if q, ok, err := a.sinPi(new(big.Rat).Add(c, big.NewRat(1, 2))); ok || err != nil {
				return q, err
			}
		}
		if negative(x) {
			y, err := a.minus(x)
			if err != nil {
				return quot{}, err
			}
			return a.opaqueCall("cos", []quot{y})
		}
	case "tan", "cot", "sec", "csc":
		s, err := a.applied("sin", args)
		if err != nil {
			return quot{}, err
		}
		c, err := a.applied("cos", args)
		if err != nil {
			return quot{}, err
		}
		switch name {
		case "tan":
			return a.div(s, c)
		case "cot":
			return a.div(c, s)
		case "sec":
			return a.invQ(c)
		}
		return a.invQ(s)
	case "root":
		n, ok := args[1].value()
		if !ok {
			inv, err := a.invQ(args[1])
			if err != nil {
				return quot{}, err
			}
			return a.pow(x, inv)
		}
		if n.Sign() == 0 {
			return quot{}, errDomain
		}
		return a.pow(x, quot{n: constant(new(big.Rat).Inv(n))})
	case "ln":
		return a.ln(x)
	case "log":
		l, err := a.ln(x)
		if err != nil {
			return quot{}, err
		}
		if len(args) < 2 {
			if !a.log10 {
				return l, nil
			}
			args = []quot{x, integer(10)}
		}
		b, err := a.ln(args[1])
		if err != nil {
			return quot{}, err
		}
		return a.div(l, b)
	case "abs":
		if c, ok := x.value(); ok {
			return quot{n: constant(new(big.Rat).Abs(c))}, nil
		}
		if negative(x) {
			y, err := a.minus(x)
			if err != nil {
				return quot{}, err
			}
			return a.opaqueCall("abs", []quot{y})
		}
	case "conj":
		i, ok := a.index["i"]
		if !ok {
			i = -1
		}
		conjugated := func(p poly) (poly, bool) {
			out := make(poly, len(p))
			for m, c := range p {
				for k := range m.len() {
					f := m.at(k)
					if !a.atoms[f.id].sure || a.atoms[f.id].kind == atomVar {
						return nil, false
					}
					if f.id == i && f.num%2 != 0 {
						c = new(big.Rat).Neg(c)
					}
				}
				out[m] = c
			}
			return out, true
		}
		if n, ok := conjugated(x.n); ok {
			if x.d == nil {
				return quot{n: n}, nil
			}
			if d, ok := conjugated(x.d); ok {
				return quot{n, d}, nil
			}
		}
	case "floor", "ceil":
		if c, ok := x.value(); ok {
			n := new(big.Int)
			n.Div(c.Num(), c.Denom())
			if name == "ceil" && !c.IsInt() {
				n.Add(n, big.NewInt(1))
			}
			return quot{n: constant(new(big.Rat).SetInt(n))}, nil
		}
	case "fact", "fact2":
		n, ok := smallInt(x, 100000)
		if !ok {
			if c, isNumber := x.value(); isNumber {
				if c.IsInt() && c.Sign() > 0 {
					return quot{}, &LimitError{"bits in a number", MaxBits}
				}
				return quot{}, errDomain
			}
			break
		}
		step := int64(1)
		if name == "fact2" {
			step = 2
		}
		if n < 0 {
			return quot{}, errDomain
		}
		if n > 1600*step {
			return quot{}, &LimitError{"bits in a number", MaxBits}
		}
		if err := a.w.spend(int(n)); err != nil {
			return quot{}, err
		}
		v := big.NewInt(1)
		for ; n > 1; n -= step {
			v.Mul(v, big.NewInt(n))
		}
		return quot{n: constant(new(big.Rat).SetInt(v))}, nil
	case "binom":
		k, ok := smallInt(args[1], 100000)
		if n, isInt := smallInt(x, 100000); isInt && ok {
			if k < 0 || n < 0 || k > n {
				if k < 0 || n >= 0 {
					return integer(0), nil
				}
				return quot{}, errDomain
			}
			if min(k, n-k)*int64(big.NewInt(n).BitLen()) > MaxBits {
				return quot{}, &LimitError{"bits in a number", MaxBits}
			}
			if err := a.w.spend(int(min(k, n-k))); err != nil {
				return quot{}, err
			}
			return quot{n: constant(new(big.Rat).SetInt(new(big.Int).Binomial(n, k)))}, nil
		}
		if _, isNumber := x.value(); isNumber {
			if _, isNumber := args[1].value(); isNumber {
				return quot{}, &LimitError{"bits in a number", MaxBits}
			}
		}
		if ok && k >= 0 && k <= 12 {
			// n (n-1) ... / k!
			out := integer(1)
			for i := range k {
				f, err := a.addQ(x, integer(-i))
				if err != nil {
					return quot{}, err
				}
				if out, err = a.mulQ(out, f); err != nil {
					return quot{}, err
				}
				if out.n, err = a.scale(out.n, big.NewRat(1, i+1)); err != nil {
					return quot{}, err
				}
			}
			return out, nil
		}
	case "max", "min", "gcd", "lcm", "mod":
		return a.ofNumbers(name, args)
	}
	return quot{}, errOpaque
}

// applied is apply, with an atom where apply has no better.
func (a *algebra) applied(name string, args []quot) (quot, error) {
	q, err := a.apply(name, args)
	if err == errOpaque {
		return a.opaqueCall(name, args)
	}
	return q, err
}

func smallInt(q quot, most int64) (int64, bool) {
	c, ok := q.value()
	if !ok || !c.IsInt() || !c.Num().IsInt64() {
		return 0, false
	}
	n := c.Num().Int64()
	return n, n <= most && n >= -most
}

func (a *algebra) ofNumbers(name string, args []quot) (quot, error) {
	var out *big.Rat
	for _, q := range args {
		c, ok := q.value()
		if !ok {
			if name == "gcd" || name == "lcm" || name == "max" || name == "min" {
				slices.SortFunc(args, func(x, y quot) int { return strings.Compare(x.key(), y.key()) })
			}
			return quot{}, errOpaque
		}
		if err := a.w.spendBits(bits(c)); err != nil {
			return quot{}, err
		}
		switch {
		case (name == "gcd" || name == "lcm") && !c.IsInt():
			return quot{}, errDomain
		case out == nil:
			out = c
		case name == "max":
			if c.Cmp(out) > 0 {
				out = c
			}
		case name == "min":
			if c.Cmp(out) < 0 {
				out = c
			}
		case name == "gcd":
			out = new(big.Rat).SetInt(new(big.Int).GCD(nil, nil, new(big.Int).Abs(out.Num()), new(big.Int).Abs(c.Num())))
		case name == "lcm":
			g := new(big.Int).GCD(nil, nil, new(big.Int).Abs(out.Num()), new(big.Int).Abs(c.Num()))
			if g.Sign() == 0 {
				return integer(0), nil
			}
			l := new(big.Int).Mul(out.Num(), new(big.Int).Quo(c.Num(), g))
			if l.BitLen() > MaxBits {
				return quot{}, &LimitError{"bits in a number", MaxBits}
			}
			out = new(big.Rat).SetInt(l.Abs(l))
		case name == "mod":
			if c.Sign() == 0 {
				return quot{}, errDomain
			}
			// x - m floor(x/m)
			f := new(big.Rat).Quo(out, c)
			n := new(big.Int).Div(f.Num(), f.Denom())
			out = new(big.Rat).Sub(out, new(big.Rat).Mul(c, new(big.Rat).SetInt(n)))
		}
	}
	if out == nil {
		return quot{}, errDomain
	}
	return quot{n: constant(out)}, nil
}

// ln takes the logarithm of a product apart.
func (a *algebra) ln(x quot) (quot, error) {
	if x.d != nil || len(x.n) != 1 {
		if len(x.n) == 0 {
			return quot{}, errDomain
		}
		return a.opaqueCall("ln", []quot{x})
	}
	out := quot{n: poly{}}
	for m, c := range x.n {
		if c.Sign() < 0 {
			return a.opaqueCall("ln", []quot{x})
		}
		addLn := func(key string, num, den int64) error {
			l, err := a.opaque("ln:" + key)
			if err != nil {
				return err
			}
			if l.n, err = a.scale(l.n, big.NewRat(num, den)); err != nil {
				return err
			}
			out, err = a.addQ(out, l)
			return err
		}
		for i, part := range [...]*big.Int{c.Num(), c.Denom()} {
			sign := int64(1 - 2*i)
			if err := a.factors(part, func(p *big.Int, k int64, _ bool) error { return addLn("p"+p.String(), sign*k, 1) }); err != nil {
				return quot{}, err
			}
		}
		for i := range m.len() {
			f := m.at(i)
			switch at := &a.atoms[f.id]; at.kind {
			case atomI:
				return a.opaqueCall("ln", []quot{x})
			case atomPrime:
				if err := addLn("p"+at.base.String(), f.num, f.den); err != nil {
					return quot{}, err
				}
			case atomPower:
				l := quot{n: poly{at.exp: big.NewRat(f.num, f.den)}}
				var err error
				if at.root != "e" {
					b, err := a.opaque("ln:" + at.root)
					if err != nil {
						return quot{}, err
					}
					if l, err = a.mulQ(l, b); err != nil {
						return quot{}, err
					}
				}
				if out, err = a.addQ(out, l); err != nil {
					return quot{}, err
				}
			default:
				if err := addLn("a"+strconv.Itoa(f.id), f.num, f.den); err != nil {
					return quot{}, err
				}
			}
		}
	}
	return out, nil
}

// indexed reports whether a name has the variable in its subscript, so that putting a number for it changes the name.
func indexed(e Expr, name string) bool {
	return some(e, func(e Expr) bool {
		s, ok := e.(*Sym)
		if !ok {
			return false
		}
		_, sub, found := strings.Cut(s.Name, "_")
		return found && strings.Contains(sub, name)
	})
}

// substitute puts value for a variable.
func substitute(e Expr, name string, value Expr) Expr {
	return rewrite(e, func(e Expr) Expr {
		if s, ok := e.(*Sym); ok && s.Name == name {
			return value
		}
		return e
	})
}

// bigOp adds up sums and products between numbers; other big operators are atoms with a normal form inside.
func (a *algebra) bigOp(x *BigOp) (quot, error) {
	if (x.Op == "sum" || x.Op == "prod") && x.Var != "" && x.Lo != nil && x.Hi != nil && !indexed(x.Body, x.Var) {
		if _, infinite := x.Hi.(*Inf); !infinite {
			lo, err := a.norm(x.Lo)
			if err != nil {
				return quot{}, err
			}
			hi, err := a.norm(x.Hi)
			if err != nil {
				return quot{}, err
			}
			l, ok1 := smallInt(lo, 1<<40)
			h, ok2 := smallInt(hi, 1<<40)
			if ok1 && ok2 {
				if h-l > 2000 {
					return quot{}, &LimitError{"terms of a sum", 2000}
				}
				out := integer(0)
				if x.Op == "prod" {
					out = integer(1)
				}
				for k := l; k <= h; k++ {
					if err := a.w.spend(2); err != nil {
						return quot{}, err
					}
					t, err := a.norm(substitute(x.Body, x.Var, number(k)))
					if err != nil {
						return quot{}, err
					}
					if x.Op == "sum" {
						out, err = a.addQ(out, t)
					} else {
						out, err = a.mulQ(out, t)
					}
					if err != nil {
						return quot{}, err
					}
				}
				return out, nil
			}
		}
	}
	var b strings.Builder
	b.WriteString(x.Op)
	parts := []Expr{x.Lo, x.Hi, x.Sub, x.Body}
	if x.Var != "" {
		if !indexed(x.Body, x.Var) {
			// The name of the variable does not matter.
			depth := "#" + strconv.Itoa(len(a.bound))
			parts[3] = substitute(x.Body, x.Var, &Sym{depth})
			a.bound = append(a.bound, depth)
		} else {
			b.WriteString(x.Var)
			a.bound = append(a.bound, x.Var)
		}
		defer func() { a.bound = a.bound[:len(a.bound)-1] }()
	}
	for _, e := range parts {
		b.WriteByte('(')
		if e == nil {
			continue
		}
		q, err := a.norm(e)
		var limit *LimitError
		if errors.As(err, &limit) {
			return quot{}, err
		}
		if err != nil {
			b.WriteString(e.String())
			continue
		}
		b.WriteString(q.key())
	}
	return a.opaque(b.String())
}

// isZero reports whether q is certainly zero, or certainly not.
func (a *algebra) isZero(q quot) (zero, sure bool) {
	if len(q.n) == 0 {
		return true, true
	}
	for m := range q.n {
		for i := range m.len() {
			if !a.atoms[m.at(i).id].sure {
				return false, false
			}
		}
	}
	return false, true
}
