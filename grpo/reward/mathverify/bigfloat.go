package mathverify

import (
	"math"
	"math/big"
)

// precision of the evaluation in bits: 77 decimal digits, and twice that where a difference could be cancellation.
const (
	lowPrec  = 256
	highPrec = 512
)

// A calc computes elementary functions of real numbers to prec bits.
type calc struct {
	prec uint
	w    *work
	pi   *big.Float
	ln2  *big.Float
}

func (c *calc) new() *big.Float { return new(big.Float).SetPrec(c.prec) }

func (c *calc) int(n int64) *big.Float { return c.new().SetInt64(n) }

// fixed returns x as an integer over 2^bits.
func fixed(x *big.Float, bits uint) *big.Int {
	y := new(big.Float).SetPrec(x.Prec()).SetMantExp(x, int(bits))
	n, _ := y.Int(nil)
	return n
}

func (c *calc) float(n *big.Int, bits uint) *big.Float {
	f := new(big.Float).SetPrec(c.prec + 64).SetInt(n)
	return c.new().SetMantExp(f, -int(bits))
}

// atanInverse returns atan(1/n) times 2^bits.
func atanInverse(n int64, bits uint, hyperbolic bool) *big.Int {
	t := new(big.Int).Lsh(big.NewInt(1), bits)
	t.Quo(t, big.NewInt(n))
	sum := new(big.Int).Set(t)
	sq := big.NewInt(n * n)
	var q big.Int
	for k := int64(3); t.Sign() != 0; k += 2 {
		t.Quo(t, sq)
		q.Quo(t, big.NewInt(k))
		if k%4 == 3 && !hyperbolic {
			sum.Sub(sum, &q)
		} else {
			sum.Add(sum, &q)
		}
	}
	return sum
}

// Pi is 16 atan(1/5) - 4 atan(1/239).
func (c *calc) Pi() *big.Float {
	if c.pi == nil {
		bits := c.prec + 128
		s := new(big.Int).Mul(big.NewInt(16), atanInverse(5, bits, false))
		s.Sub(s, new(big.Int).Mul(big.NewInt(4), atanInverse(239, bits, false)))
		f := new(big.Float).SetPrec(bits).SetInt(s)
		c.pi = f.SetMantExp(f, -int(bits))
	}
	return c.pi
}

// Ln2 is 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749).
func (c *calc) Ln2() *big.Float {
	if c.ln2 == nil {
		bits := c.prec + 128
		s := new(big.Int).Mul(big.NewInt(18), atanInverse(26, bits, true))
		s.Sub(s, new(big.Int).Mul(big.NewInt(2), atanInverse(4801, bits, true)))
		s.Add(s, new(big.Int).Mul(big.NewInt(8), atanInverse(8749, bits, true)))
		f := new(big.Float).SetPrec(bits).SetInt(s)
		c.ln2 = f.SetMantExp(f, -int(bits))
	}
	return c.ln2
}

// cost charges an elementary function.
func (c *calc) cost() error {
	n := 20
	if c.prec > lowPrec {
		n = 60
	}
	return c.w.spend(n)
}

// Exp returns e^x. Arguments beyond 10^6 have no value here.
func (c *calc) Exp(x *big.Float) (*big.Float, error) {
	if err := c.cost(); err != nil {
		return nil, err
	}
	if x.Sign() == 0 {
		return c.int(1), nil
	}
	if x.MantExp(nil) > 20 {
		return nil, errDomain
	}
	if x.MantExp(nil) < -int(c.prec)-8 {
		return c.int(1), nil
	}
	// x = k ln2 + r, and r halved eight times.
	bits := c.prec + 64
	q := new(big.Float).SetPrec(64).Quo(x, c.Ln2())
	f, _ := q.Float64()
	k := int64(math.Round(f))
	r := new(big.Float).SetPrec(bits + 32)
	r.Mul(c.Ln2(), new(big.Float).SetPrec(64).SetInt64(k))
	r.Sub(x, r)
	const halve = 8
	fx := fixed(r, bits)
	fx.Rsh(fx, halve)
	one := new(big.Int).Lsh(big.NewInt(1), bits)
	sum := new(big.Int).Set(one)
	t := new(big.Int).Set(one)
	var n big.Int
	for i := int64(1); ; i++ {
		t.Mul(t, fx)
		t.Rsh(t, bits)
		t.Quo(t, n.SetInt64(i))
		if t.Sign() == 0 || t.BitLen() <= 1 {
			break
		}
		sum.Add(sum, t)
	}
	for range halve {
		sum.Mul(sum, sum)
		sum.Rsh(sum, bits)
	}
	y := c.float(sum, bits)
	return y.SetMantExp(y, int(k)), nil
}

// Ln returns the logarithm of a positive number.
func (c *calc) Ln(x *big.Float) (*big.Float, error) {
	if err := c.cost(); err != nil {
		return nil, err
	}
	if x.Sign() <= 0 || x.IsInf() {
		return nil, errDomain
	}
	m := new(big.Float)
	e := x.MantExp(m)
	f, _ := m.Float64()
	if f < 0.75 {
		m.SetMantExp(m, 1)
		f *= 2
		e--
	}
	// Newton with a cubic step: y + 2 (m - e^y) / (m + e^y).
	y := c.new().SetFloat64(math.Log(f))
	for good := uint(48); good < c.prec; good *= 3 {
		ey, err := c.Exp(y)
		if err != nil {
			return nil, err
		}
		d := c.new().Sub(m, ey)
		d.Quo(d, c.new().Add(m, ey))
		y.Add(y, d.Add(d, d))
	}
	k := c.new().SetInt64(int64(e))
	return y.Add(y, k.Mul(k, c.Ln2())), nil
}

// SinCos returns the sine and cosine of a number below 2^40.
func (c *calc) SinCos(x *big.Float) (s, co *big.Float, err error) {
	if err := c.cost(); err != nil {
		return nil, nil, err
	}
	if x.Sign() == 0 {
		return c.new(), c.int(1), nil
	}
	if x.MantExp(nil) > 40 {
		return nil, nil, errDomain
	}
	// x = k pi/2 + r
	bits := c.prec + 64
	half := new(big.Float).SetPrec(bits+64).Quo(c.Pi(), big.NewFloat(2))
	q := new(big.Float).SetPrec(bits).Quo(x, half)
	q.Add(q, big.NewFloat(0.5))
	k, _ := q.Int(nil)
	if q.Sign() < 0 && !q.IsInt() {
		k.Sub(k, big.NewInt(1))
	}
	r := new(big.Float).SetPrec(bits + 64).SetInt(k)
	r.Mul(r, half)
	r.Sub(new(big.Float).SetPrec(bits+64).Set(x), r)
	fx := fixed(r, bits)
	one := new(big.Int).Lsh(big.NewInt(1), bits)
	sin, cos := new(big.Int), new(big.Int)
	t := new(big.Int).Set(one)
	var n big.Int
	for i := int64(0); t.BitLen() > 1; i++ {
		switch i % 4 {
		case 0:
			cos.Add(cos, t)
		case 1:
			sin.Add(sin, t)
		case 2:
			cos.Sub(cos, t)
		case 3:
			sin.Sub(sin, t)
		}
		t.Mul(t, fx)
		t.Rsh(t, bits)
		t.Quo(t, n.SetInt64(i+1))
		if t.Sign() < 0 && t.BitLen() <= 1 {
			break
		}
	}
	s, co = c.float(sin, bits), c.float(cos, bits)
	switch new(big.Int).And(k, big.NewInt(3)).Int64() {
	case 1:
		s, co = co, s.Neg(s)
	case 2:
		s, co = s.Neg(s), co.Neg(co)
	case 3:
		s, co = co.Neg(co), s
	}
	return s, co, nil
}

// Atan returns the arc tangent.
func (c *calc) Atan(x *big.Float) (*big.Float, error) {
	if err := c.cost(); err != nil {
		return nil, err
	}
	if x.Sign() == 0 {
		return c.new(), nil
	}
	neg := x.Sign() < 0
	y := new(big.Float).SetPrec(c.prec + 64).Abs(x)
	one := new(big.Float).SetPrec(c.prec + 64).SetInt64(1)
	inv := y.Cmp(one) > 0
	if inv {
		y.Quo(one, y)
	}
	// Four times the half angle: y / (1 + sqrt(1 + y^2)).
	const halve = 4
	for range halve {
		r := new(big.Float).SetPrec(c.prec+64).Mul(y, y)
		r.Sqrt(r.Add(r, one))
		y.Quo(y, r.Add(r, one))
	}
	bits := c.prec + 64
	fx := fixed(y, bits)
	sq := new(big.Int).Mul(fx, fx)
	sq.Rsh(sq, bits)
	sum := new(big.Int)
	t := fx
	var q, n big.Int
	for k := int64(1); t.Sign() != 0; k += 2 {
		q.Quo(t, n.SetInt64(k))
		if k%4 == 1 {
			sum.Add(sum, &q)
		} else {
			sum.Sub(sum, &q)
		}
		t.Mul(t, sq)
		t.Rsh(t, bits)
	}
	out := c.float(sum, bits)
	out.SetMantExp(out, halve)
	if inv {
		h := c.new().Quo(c.Pi(), big.NewFloat(2))
		out.Sub(h, out)
	}
	if neg {
		out.Neg(out)
	}
	return out, nil
}
