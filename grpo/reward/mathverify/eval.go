package mathverify

import (
	"math/big"
)

// A value is a complex number; im is nil for a real one.
type value struct{ re, im *big.Float }

// An evaluator computes the value of expressions at a point. In real mode it refuses to leave the real numbers, as a person
// who reads sqrt(x) takes x to be positive.
type evaluator struct {
	*calc
	a    *algebra
	real bool
	at   func(key string) *big.Float // the values of variables and of what cannot be computed
}

func (v *evaluator) num(x *big.Float) value { return value{re: x} }

func (v *evaluator) zero(x value) bool { return x.re.Sign() == 0 && (x.im == nil || x.im.Sign() == 0) }

func (v *evaluator) imag(x value) *big.Float {
	if x.im == nil {
		return v.new()
	}
	return x.im
}

func (v *evaluator) add(x, y value) value {
	out := value{re: v.new().Add(x.re, y.re)}
	if x.im != nil || y.im != nil {
		out.im = v.new().Add(v.imag(x), v.imag(y))
	}
	return out
}

func (v *evaluator) mul(x, y value) value {
	if x.im == nil && y.im == nil {
		return value{re: v.new().Mul(x.re, y.re)}
	}
	xi, yi := v.imag(x), v.imag(y)
	re := v.new().Mul(x.re, y.re)
	re.Sub(re, v.new().Mul(xi, yi))
	im := v.new().Mul(x.re, yi)
	return value{re, im.Add(im, v.new().Mul(xi, y.re))}
}

func (v *evaluator) neg(x value) value {
	out := value{re: v.new().Neg(x.re)}
	if x.im != nil {
		out.im = v.new().Neg(x.im)
	}
	return out
}

func (v *evaluator) inv(x value) (value, error) {
	if v.zero(x) {
		return x, errDomain
	}
	if x.im == nil {
		return value{re: v.new().Quo(v.int(1), x.re)}, nil
	}
	d := v.new().Mul(x.re, x.re)
	d.Add(d, v.new().Mul(x.im, x.im))
	im := v.new().Neg(x.im)
	return value{v.new().Quo(x.re, d), im.Quo(im, d)}, nil
}

func (v *evaluator) abs(x value) *big.Float {
	if x.im == nil {
		return v.new().Abs(x.re)
	}
	d := v.new().Mul(x.re, x.re)
	d.Add(d, v.new().Mul(x.im, x.im))
	return d.Sqrt(d)
}

func (v *evaluator) exp(x value) (value, error) {
	r, err := v.Exp(x.re)
	if err != nil || x.im == nil {
		return value{re: r}, err
	}
	s, c, err := v.SinCos(x.im)
	if err != nil {
		return value{}, err
	}
	return value{c.Mul(c, r), s.Mul(s, r)}, nil
}

// ln is the principal logarithm.
func (v *evaluator) ln(x value) (value, error) {
	if v.zero(x) {
		return x, errDomain
	}
	if x.im == nil && x.re.Sign() > 0 {
		r, err := v.Ln(x.re)
		return value{re: r}, err
	}
	if v.real {
		return x, errDomain
	}
	r, err := v.Ln(v.abs(x))
	if err != nil {
		return value{}, err
	}
	arg, err := v.atan2(v.imag(x), x.re)
	return value{r, arg}, err
}

func (v *evaluator) atan2(y, x *big.Float) (*big.Float, error) {
	pi := v.new().Set(v.Pi())
	if x.Sign() == 0 {
		switch y.Sign() {
		case 0:
			return nil, errDomain
		case 1:
			return pi.Quo(pi, v.int(2)), nil
		}
		return pi.Quo(pi, v.int(-2)), nil
	}
	t, err := v.Atan(v.new().Quo(y, x))
	if err != nil || x.Sign() > 0 {
		return t, err
	}
	if y.Sign() < 0 {
		return t.Sub(t, pi), nil
	}
	return t.Add(t, pi), nil
}

// pow is x^y; r is y where that is a rational number.
func (v *evaluator) pow(x, y value, r *big.Rat) (value, error) {
	if r != nil {
		num, den, ok := rational(r)
		if ok && den == 1 && num >= -100000 && num <= 100000 {
			return v.powInt(x, num)
		}
		if v.zero(x) {
			if r.Sign() > 0 {
				return v.num(v.new()), nil
			}
			return x, errDomain
		}
		if x.im == nil {
			neg := x.re.Sign() < 0
			switch {
			case ok && den == 2 && (!neg || !v.real):
				s := value{re: v.new().Sqrt(v.new().Abs(x.re))}
				if neg {
					s = value{v.new(), s.re}
				}
				return v.powInt(s, num)
			case neg && ok && den%2 == 1:
				// The real root of a negative number.
				p, err := v.pow(v.neg(x), y, r)
				if err == nil && num%2 != 0 {
					p = v.neg(p)
				}
				return p, err
			}
		}
	} else if v.zero(x) {
		if y.im == nil && y.re.Sign() > 0 {
			return v.num(v.new()), nil
		}
		return x, errDomain
	}
	if x.im == nil && x.re.Sign() < 0 && y.im == nil && y.re.IsInt() {
		// (-1)^n for whole n.
		p, err := v.pow(v.neg(x), y, nil)
		if err != nil {
			return p, err
		}
		n, _ := y.re.Int(nil)
		if n.Bit(0) == 1 {
			p = v.neg(p)
		}
		return p, nil
	}
	l, err := v.ln(x)
	if err != nil {
		return value{}, err
	}
	return v.exp(v.mul(l, y))
}

func (v *evaluator) powInt(x value, n int64) (value, error) {
	if n < 0 {
		inv, err := v.inv(x)
		if err != nil {
			return value{}, err
		}
		return v.powInt(inv, -n)
	}
	if n == 0 && v.zero(x) {
		return x, errDomain
	}
	if err := v.w.spend(1); err != nil {
		return x, err
	}
	out := v.num(v.int(1))
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			out = v.mul(out, x)
		}
		if n > 1 {
			x = v.mul(x, x)
		}
		if e := x.re.MantExp(nil); e > 1<<24 || e < -1<<24 {
			return out, errDomain
		}
	}
	return out, nil
}

// trig returns sine and cosine of a complex number.
func (v *evaluator) trig(x value) (s, c value, err error) {
	sr, cr, err := v.SinCos(x.re)
	if err != nil || x.im == nil {
		return value{re: sr}, value{re: cr}, err
	}
	e, err := v.Exp(x.im)
	if err != nil {
		return s, c, err
	}
	f := v.new().Quo(v.int(1), e)
	ch := v.new().Add(e, f)
	ch.Quo(ch, v.int(2))
	sh := v.new().Sub(e, f)
	sh.Quo(sh, v.int(2))
	s = value{v.new().Mul(sr, ch), v.new().Mul(cr, sh)}
	c = value{v.new().Mul(cr, ch), v.new().Neg(v.new().Mul(sr, sh))}
	return s, c, nil
}

// eval returns the value of e.
func (v *evaluator) eval(e Expr) (value, error) {
	if err := v.w.spend(1); err != nil {
		return value{}, err
	}
	switch x := e.(type) {
	case *Num:
		if bits(x.Val) > MaxBits {
			return value{}, &LimitError{"bits in a number", MaxBits}
		}
		return v.num(v.new().SetRat(x.Val)), nil
	case *Sym:
		switch x.Name {
		case "pi":
			return v.num(v.new().Set(v.Pi())), nil
		case "e":
			r, err := v.Exp(v.int(1))
			return v.num(r), err
		case "i":
			if v.real {
				return value{}, errDomain
			}
			return value{v.new(), v.int(1)}, nil
		}
		return v.num(v.new().Set(v.at("v" + x.Name))), nil
	case *Neg:
		y, err := v.eval(x.X)
		if err != nil {
			return y, err
		}
		return v.neg(y), nil
	case *Add:
		sum := v.num(v.new())
		for _, t := range x.Terms {
			y, err := v.eval(t)
			if err != nil {
				return y, err
			}
			sum = v.add(sum, y)
		}
		return sum, nil
	case *Mul:
		prod := v.num(v.int(1))
		for _, t := range x.Num {
			y, err := v.eval(t)
			if err != nil {
				return y, err
			}
			prod = v.mul(prod, y)
		}
		for _, t := range x.Den {
			y, err := v.eval(t)
			if err == nil {
				y, err = v.inv(y)
			}
			if err != nil {
				return y, err
			}
			prod = v.mul(prod, y)
		}
		return prod, nil
	case *Pow:
		return v.evalPow(x.Base, x.Exp, false)
	case *Percent:
		y, err := v.eval(x.X)
		if err != nil || v.a.percent {
			return y, err
		}
		return v.mul(y, v.num(v.new().SetRat(big.NewRat(1, 100)))), nil
	case *Degree:
		y, err := v.eval(x.X)
		if err != nil || !v.a.radians && v.a.inTrig == 0 {
			return y, err
		}
		f := v.new().Quo(v.Pi(), v.int(180))
		return v.mul(y, v.num(f)), nil
	case *Quantity:
		return v.eval(x.X)
	case *Ratio:
		if len(x.Parts) == 2 {
			return v.eval(&Mul{x.Parts[:1], x.Parts[1:]})
		}
	case *Call:
		return v.call(x)
	case *BigOp:
		return v.bigOp(x)
	}
	return value{}, errOpaque
}

// bigOp adds up a sum or product whose ends are whole numbers at this point.
func (v *evaluator) bigOp(x *BigOp) (value, error) {
	if x.Op != "sum" && x.Op != "prod" || x.Var == "" || x.Lo == nil || x.Hi == nil || indexed(x.Body, x.Var) {
		return v.unknown(x)
	}
	if infinite(x.Lo) != 0 || infinite(x.Hi) != 0 {
		return v.unknown(x)
	}
	lo, err := v.eval(x.Lo)
	if err != nil {
		return lo, err
	}
	hi, err := v.eval(x.Hi)
	if err != nil {
		return hi, err
	}
	if lo.im != nil || hi.im != nil || !lo.re.IsInt() || !hi.re.IsInt() || lo.re.MantExp(nil) > 30 || hi.re.MantExp(nil) > 30 {
		return lo, errDomain
	}
	l, _ := lo.re.Int64()
	h, _ := hi.re.Int64()
	if h-l > 200 {
		return lo, &LimitError{"terms of a sum", 200}
	}
	out := v.num(v.int(0))
	if x.Op == "prod" {
		out = v.num(v.int(1))
	}
	for k := l; k <= h; k++ {
		t, err := v.eval(substitute(x.Body, x.Var, number(k)))
		if err != nil {
			return t, err
		}
		if x.Op == "sum" {
			out = v.add(out, t)
		} else {
			out = v.mul(out, t)
		}
	}
	return out, nil
}

// unknown gives what cannot be computed a value that is the same for equal normal forms.
func (v *evaluator) unknown(e Expr) (value, error) {
	q, err := v.a.norm(e)
	if err != nil {
		return value{}, err
	}
	if c, ok := q.value(); ok {
		return v.num(v.new().SetRat(c)), nil
	}
	if len(q.n) == 1 && q.d == nil {
		return v.num(v.new().Set(v.at(q.key()))), nil
	}
	return value{}, errOpaque
}

func (v *evaluator) evalPow(base, exp Expr, root bool) (value, error) {
	// The normal form knows whether an exponent is rational.
	var r *big.Rat
	if q, err := v.a.norm(exp); err == nil {
		if c, ok := q.value(); ok {
			r = c
			if root {
				if c.Sign() == 0 {
					return value{}, errDomain
				}
				r = new(big.Rat).Inv(c)
			}
		}
	} else if _, limit := err.(*LimitError); limit {
		return value{}, err
	}
	if s, ok := base.(*Sym); ok && s.Name == "e" && !root {
		y, err := v.eval(exp)
		if err != nil {
			return y, err
		}
		return v.exp(y)
	}
	x, err := v.eval(base)
	if err != nil {
		return x, err
	}
	if r != nil {
		return v.pow(x, v.num(v.new().SetRat(r)), r)
	}
	y, err := v.eval(exp)
	if err == nil && root {
		y, err = v.inv(y)
	}
	if err != nil {
		return y, err
	}
	return v.pow(x, y, nil)
}

func (v *evaluator) call(x *Call) (value, error) {
	switch x.Name {
	case "root":
		return v.evalPow(x.Args[0], x.Args[1], true)
	case "det":
		m, err := v.a.matrix(x.Args[0])
		if err != nil {
			return value{}, err
		}
		d, err := determinant(m)
		if err != nil {
			return value{}, err
		}
		return v.eval(d)
	}
	if !builtin(x.Name) && x.Name != "conj" {
		return v.unknown(x)
	}
	switch x.Name {
	case "sin", "cos", "tan", "cot", "sec", "csc":
		v.a.inTrig++
		defer func() { v.a.inTrig-- }()
	}
	args := make([]value, len(x.Args))
	for i, e := range x.Args {
		var err error
		if args[i], err = v.eval(e); err != nil {
			return value{}, err
		}
	}
	y := args[0]
	switch x.Name {
	case "sin", "cos", "tan", "cot", "sec", "csc":
		s, c, err := v.trig(y)
		if err != nil {
			return value{}, err
		}
		switch x.Name {
		case "sin":
			return s, nil
		case "cos":
			return c, nil
		case "tan":
			return v.quo(s, c)
		case "cot":
			return v.quo(c, s)
		case "sec":
			return v.inv(c)
		}
		return v.inv(s)
	case "sinh", "cosh", "tanh", "coth", "sech", "csch":
		e, err := v.exp(y)
		if err != nil {
			return value{}, err
		}
		f, err := v.inv(e)
		if err != nil {
			return value{}, err
		}
		half := v.num(v.new().SetFloat64(0.5))
		s := v.mul(half, v.add(e, v.neg(f)))
		c := v.mul(half, v.add(e, f))
		switch x.Name {
		case "sinh":
			return s, nil
		case "cosh":
			return c, nil
		case "tanh":
			return v.quo(s, c)
		case "coth":
			return v.quo(c, s)
		case "sech":
			return v.inv(c)
		}
		return v.inv(s)
	case "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc":
		return v.arc(x.Name, y)
	case "arcsinh", "arccosh", "arctanh":
		return v.area(x.Name, y)
	case "ln":
		return v.ln(y)
	case "log":
		l, err := v.ln(y)
		if err != nil {
			return value{}, err
		}
		base := v.num(v.int(10))
		if len(args) == 2 {
			base = args[1]
		} else if !v.a.log10 {
			return l, nil
		}
		b, err := v.ln(base)
		if err != nil {
			return value{}, err
		}
		return v.quo(l, b)
	case "abs":
		return v.num(v.abs(y)), nil
	case "arg":
		t, err := v.atan2(v.imag(y), y.re)
		return value{re: t}, err
	case "conj":
		if y.im == nil {
			return y, nil
		}
		return value{y.re, v.new().Neg(y.im)}, nil
	}
	for _, z := range args {
		if z.im != nil {
			return value{}, errDomain
		}
	}
	switch x.Name {
	case "floor", "ceil":
		n, _ := y.re.Int(nil)
		if !y.re.IsInt() {
			if x.Name == "ceil" && y.re.Sign() > 0 {
				n.Add(n, big.NewInt(1))
			} else if x.Name == "floor" && y.re.Sign() < 0 {
				n.Sub(n, big.NewInt(1))
			}
		}
		if n.BitLen() > MaxBits {
			return value{}, errDomain
		}
		return v.num(v.new().SetInt(n)), nil
	case "max", "min":
		for _, z := range args[1:] {
			if (z.re.Cmp(y.re) > 0) == (x.Name == "max") {
				y = z
			}
		}
		return y, nil
	case "fact", "fact2", "binom", "gcd", "lcm", "mod":
		// Of whole numbers, exactly.
		q := make([]quot, len(args))
		for i, z := range args {
			if !z.re.IsInt() || z.re.MantExp(nil) > 64 {
				return value{}, errDomain
			}
			r, _ := z.re.Rat(nil)
			q[i] = quot{n: constant(r)}
		}
		r, err := v.a.apply(x.Name, q)
		if err != nil {
			return value{}, err
		}
		c, ok := r.value()
		if !ok {
			return value{}, errDomain
		}
		return v.num(v.new().SetRat(c)), nil
	}
	return v.unknown(x)
}

func (v *evaluator) quo(x, y value) (value, error) {
	inv, err := v.inv(y)
	if err != nil {
		return inv, err
	}
	return v.mul(x, inv), nil
}

// arc computes inverse trigonometric functions of real numbers.
func (v *evaluator) arc(name string, x value) (value, error) {
	if x.im != nil {
		return value{}, errDomain
	}
	pi := v.new().Set(v.Pi())
	half := v.new().Quo(pi, v.int(2))
	y := x.re
	switch name {
	case "arctan":
		t, err := v.Atan(y)
		return value{re: t}, err
	case "arccot":
		t, err := v.Atan(y)
		if err != nil {
			return value{}, err
		}
		return v.num(half.Sub(half, t)), nil
	case "arcsec", "arccsc":
		if y.Sign() == 0 {
			return value{}, errDomain
		}
		y = v.new().Quo(v.int(1), y)
	}
	d := v.new().Mul(y, y)
	d.Sub(v.int(1), d)
	if d.Sign() < 0 {
		return value{}, errDomain
	}
	t, err := v.atan2(y, d.Sqrt(d))
	if err != nil {
		return value{}, err
	}
	if name == "arccos" || name == "arcsec" {
		t = half.Sub(half, t)
	}
	return v.num(t), nil
}

// area computes inverse hyperbolic functions of real numbers.
func (v *evaluator) area(name string, x value) (value, error) {
	if x.im != nil {
		return value{}, errDomain
	}
	y := x.re
	var z *big.Float
	switch name {
	case "arctanh":
		d := v.new().Sub(v.int(1), y)
		if d.Sign() == 0 {
			return value{}, errDomain
		}
		z = v.new().Quo(v.new().Add(v.int(1), y), d)
		l, err := v.ln(value{re: z})
		if err != nil {
			return value{}, err
		}
		return v.mul(l, v.num(v.new().SetFloat64(0.5))), nil
	case "arcsinh":
		z = v.new().Mul(y, y)
		z.Add(z, v.int(1))
	default:
		z = v.new().Mul(y, y)
		z.Sub(z, v.int(1))
		if y.Sign() < 0 {
			return value{}, errDomain
		}
	}
	if z.Sign() < 0 {
		return value{}, errDomain
	}
	z.Sqrt(z)
	return v.ln(value{re: z.Add(z, y)})
}
