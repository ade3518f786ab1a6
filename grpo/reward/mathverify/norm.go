package mathverify

import (
	"encoding/binary"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// The normal form is a quotient of two polynomials over Q. Their unknowns are atoms: variables, primes under roots (with
// exponents between 0 and 1), i, pi, powers with a variable in the exponent, roots of sums, and what cannot be taken apart,
// such as sin(x). Primes, i, pi and variables are independent of each other: if nothing else occurs in the difference of two
// expressions, it is zero only if it has no terms. Otherwise [algebra.equal] goes on with numbers.

type atomKind uint8

const (
	atomVar   atomKind = iota // a variable, or e
	atomPrime                 // base^(p/q), 0 < p/q < 1
	atomI
	atomPi
	atomPower  // base^(a monomial)
	atomRoot   // a polynomial under a root
	atomOpaque // anything else
)

type atom struct {
	kind atomKind
	base *big.Int // of atomPrime
	poly poly     // of atomRoot
	root string   // key of the base of atomPower
	exp  mono     // exponent of atomPower
	sure bool     // independent of all other sure atoms
}

// A mono is a product of powers of atoms: eight bytes each, the atom's number, the exponent's numerator and denominator.
type mono string

type factor struct {
	id       int
	num, den int64
}

func (m mono) len() int { return len(m) / 8 }

func (m mono) at(i int) factor {
	b := m[8*i : 8*i+8]
	return factor{
		id:  int(b[0])<<8 | int(b[1]),
		num: int64(int32(uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5]))),
		den: int64(b[6])<<8 | int64(b[7]),
	}
}

func appendFactor(b []byte, f factor) ([]byte, error) {
	if f.num > 1<<30 || f.num < -1<<30 || f.den > 1<<15 {
		return nil, &LimitError{"in an exponent", 1 << 30}
	}
	b = binary.BigEndian.AppendUint16(b, uint16(f.id))
	b = binary.BigEndian.AppendUint32(b, uint32(int32(f.num)))
	return binary.BigEndian.AppendUint16(b, uint16(f.den)), nil
}

type poly map[mono]*big.Rat

// A quot is n/d; d is nil for 1.
type quot struct{ n, d poly }

func constant(r *big.Rat) poly {
	if r.Sign() == 0 {
		return poly{}
	}
	return poly{"": r}
}

func integer(n int64) quot { return quot{n: constant(big.NewRat(n, 1))} }

// value returns the number that p is, if it is one.
func (p poly) value() (*big.Rat, bool) {
	switch len(p) {
	case 0:
		return new(big.Rat), true
	case 1:
		if r, ok := p[""]; ok {
			return r, true
		}
	}
	return nil, false
}

func (q quot) value() (*big.Rat, bool) {
	if q.d != nil {
		return nil, false
	}
	return q.n.value()
}

// An algebra holds the atoms of the expressions that are compared with each other.
type algebra struct {
	w       *work
	atoms   []atom
	index   map[string]int
	log10   bool // log without a base is to the base 10
	radians bool // 180 degrees are pi everywhere; else degrees count as a unit except in functions
	inTrig  int
	percent bool // a percent sign is a unit
	bound   []string
}

func newAlgebra(w *work) *algebra { return &algebra{w: w, index: make(map[string]int)} }

func (a *algebra) atom(key string, at atom) (int, error) {
	if id, ok := a.index[key]; ok {
		return id, nil
	}
	if len(a.atoms) >= 1000 {
		return 0, &LimitError{"different parts", 1000}
	}
	a.atoms = append(a.atoms, at)
	a.index[key] = len(a.atoms) - 1
	return len(a.atoms) - 1, nil
}

// single returns the atom with an exponent as a quotient.
func (a *algebra) single(key string, at atom, num, den int64) (quot, error) {
	id, err := a.atom(key, at)
	if err != nil {
		return quot{}, err
	}
	return a.powered(id, num, den)
}

func (a *algebra) powered(id int, num, den int64) (quot, error) {
	if num == 0 {
		return integer(1), nil
	}
	b, err := appendFactor(nil, factor{id, num, den})
	if err != nil {
		return quot{}, err
	}
	return quot{n: poly{mono(b): big.NewRat(1, 1)}}, nil
}

func (a *algebra) opaque(key string) (quot, error) {
	return a.single("?"+key, atom{kind: atomOpaque}, 1, 1)
}

func gcd64(a, b int64) int64 {
	if a < 0 {
		a = -a
	}
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// mulMono multiplies two monomials. coef is a number that comes out of roots and of i, rest a polynomial that comes out of
// roots of sums; both may be nil.
func (a *algebra) mulMono(x, y mono) (m mono, coef *big.Rat, rest poly, err error) {
	if x == "" {
		return y, nil, nil, nil
	}
	if y == "" {
		return x, nil, nil, nil
	}
	b := make([]byte, 0, len(x)+len(y))
	i, j := 0, 0
	for i < x.len() || j < y.len() {
		var f factor
		switch {
		case j >= y.len() || i < x.len() && x.at(i).id < y.at(j).id:
			f = x.at(i)
			i++
		case i >= x.len() || y.at(j).id < x.at(i).id:
			f = y.at(j)
			j++
		default:
			f = x.at(i)
			g := y.at(j)
			i++
			j++
			f.num, f.den = f.num*g.den+g.num*f.den, f.den*g.den
			if d := gcd64(f.num, f.den); d > 1 {
				f.num /= d
				f.den /= d
			}
			switch at := &a.atoms[f.id]; at.kind {
			case atomPrime:
				if k := floorDiv(f.num, f.den); k != 0 {
					f.num -= k * f.den
					c, err := a.powRat(new(big.Rat).SetInt(at.base), k)
					if err != nil {
						return "", nil, nil, err
					}
					coef = mulCoef(coef, c)
				}
			case atomI:
				if f.den == 1 {
					n := ((f.num % 4) + 4) % 4
					if n >= 2 {
						coef = mulCoef(coef, big.NewRat(-1, 1))
					}
					f.num = n % 2
				}
			case atomRoot:
				if f.num >= f.den && f.num/f.den <= 64 {
					k := f.num / f.den
					f.num -= k * f.den
					r, err := a.powInt(quot{n: at.poly}, k)
					if err != nil {
						return "", nil, nil, err
					}
					if rest == nil {
						rest = r.n
					} else if rest, err = a.mul(rest, r.n); err != nil {
						return "", nil, nil, err
					}
				}
			}
			if f.num == 0 {
				continue
			}
		}
		if b, err = appendFactor(b, f); err != nil {
			return "", nil, nil, err
		}
	}
	return mono(b), coef, rest, nil
}

func mulCoef(a, b *big.Rat) *big.Rat {
	if a == nil {
		return b
	}
	return new(big.Rat).Mul(a, b)
}

// bits returns the length of a number, for the accounts.
func bits(r *big.Rat) int { return r.Num().BitLen() + r.Denom().BitLen() }

func (a *algebra) addTerm(p poly, m mono, c *big.Rat) error {
	if err := a.w.spendBits(bits(c)); err != nil {
		return err
	}
	if bits(c) > 4*MaxBits {
		return &LimitError{"bits in a number", MaxBits}
	}
	old, ok := p[m]
	if !ok {
		if c.Sign() != 0 {
			if len(p) >= MaxTerms {
				return &LimitError{"terms", MaxTerms}
			}
			p[m] = c
		}
		return nil
	}
	sum := new(big.Rat).Add(old, c)
	if sum.Sign() == 0 {
		delete(p, m)
	} else {
		p[m] = sum
	}
	return nil
}

func (a *algebra) add(x, y poly) (poly, error) {
	if len(x) < len(y) {
		x, y = y, x
	}
	out := make(poly, len(x)+len(y))
	if err := a.w.spend(1 + len(x)/8); err != nil {
		return nil, err
	}
	for m, c := range x {
		out[m] = c
	}
	for _, m := range y.sorted() {
		if err := a.addTerm(out, m, y[m]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sorted returns the monomials in a fixed order: maps have none, and the work done should not depend on chance.
func (p poly) sorted() []mono {
	keys := make([]mono, 0, len(p))
	for m := range p {
		keys = append(keys, m)
	}
	if len(keys) > 1 {
		slices.Sort(keys)
	}
	return keys
}

func (a *algebra) mul(x, y poly) (poly, error) {
	if r, ok := x.value(); ok {
		return a.scale(y, r)
	}
	if r, ok := y.value(); ok {
		return a.scale(x, r)
	}
	out := make(poly, len(x)*len(y))
	ym := y.sorted()
	for _, m := range x.sorted() {
		for _, n := range ym {
			if err := a.w.spendBits(bits(x[m]) + bits(y[n])); err != nil {
				return nil, err
			}
			prod, coef, rest, err := a.mulMono(m, n)
			if err != nil {
				return nil, err
			}
			c := new(big.Rat).Mul(x[m], y[n])
			if coef != nil {
				c.Mul(c, coef)
			}
			if rest == nil {
				err = a.addTerm(out, prod, c)
			} else {
				var t poly
				if t, err = a.mul(poly{prod: c}, rest); err == nil {
					out, err = a.add(out, t)
				}
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (a *algebra) scale(p poly, r *big.Rat) (poly, error) {
	if r.Sign() == 0 {
		return poly{}, nil
	}
	if r.IsInt() && r.Num().IsInt64() && r.Num().Int64() == 1 {
		return p, nil
	}
	out := make(poly, len(p))
	for m, c := range p {
		if err := a.w.spendBits(bits(c) + bits(r)); err != nil {
			return nil, err
		}
		out[m] = new(big.Rat).Mul(c, r)
	}
	return out, nil
}

func (a *algebra) addQ(x, y quot) (quot, error) {
	if x.d == nil && y.d == nil {
		n, err := a.add(x.n, y.n)
		return quot{n: n}, err
	}
	xd, yd := x.d, y.d
	if xd == nil {
		xd = constant(big.NewRat(1, 1))
	}
	if yd == nil {
		yd = constant(big.NewRat(1, 1))
	}
	if equalPoly(xd, yd) {
		n, err := a.add(x.n, y.n)
		return quot{n, xd}, err
	}
	l, err := a.mul(x.n, yd)
	if err != nil {
		return quot{}, err
	}
	r, err := a.mul(y.n, xd)
	if err != nil {
		return quot{}, err
	}
	n, err := a.add(l, r)
	if err != nil {
		return quot{}, err
	}
	d, err := a.mul(xd, yd)
	return quot{n, d}, err
}

func equalPoly(x, y poly) bool {
	if len(x) != len(y) {
		return false
	}
	for m, c := range x {
		if d, ok := y[m]; !ok || c.Cmp(d) != 0 {
			return false
		}
	}
	return true
}

func (a *algebra) mulQ(x, y quot) (quot, error) {
	n, err := a.mul(x.n, y.n)
	if err != nil {
		return quot{}, err
	}
	switch {
	case x.d == nil:
		return a.reduced(quot{n, y.d})
	case y.d == nil:
		return a.reduced(quot{n, x.d})
	}
	d, err := a.mul(x.d, y.d)
	if err != nil {
		return quot{}, err
	}
	return a.reduced(quot{n, d})
}

// reduced takes a denominator of one term into the numerator, and cancels equal polynomials.
func (a *algebra) reduced(q quot) (quot, error) {
	if q.d == nil {
		return q, nil
	}
	if len(q.n) == 0 {
		return quot{n: q.n}, nil
	}
	if len(q.d) == 1 {
		inv, err := a.invert(q.d)
		if err != nil {
			return quot{}, err
		}
		n, err := a.mul(q.n, inv)
		return quot{n: n}, err
	}
	if len(q.n) == len(q.d) {
		// A common factor in all terms of both.
		first := q.d.sorted()[0]
		if c, ok := q.n[first]; ok {
			r := new(big.Rat).Quo(c, q.d[first])
			s, err := a.scale(q.d, r)
			if err != nil {
				return quot{}, err
			}
			if equalPoly(s, q.n) {
				return quot{n: constant(r)}, nil
			}
		}
	}
	return q, nil
}

// invert returns 1/p for a polynomial of one term.
func (a *algebra) invert(p poly) (poly, error) {
	for m, c := range p {
		out := poly{"": new(big.Rat).Inv(c)}
		for i := range m.len() {
			f := m.at(i)
			one, err := a.powered(f.id, -f.num, f.den)
			if err != nil {
				return nil, err
			}
			switch at := &a.atoms[f.id]; at.kind {
			case atomPrime:
				// p^(-a/b) is p^(1-a/b) / p
				if one, err = a.powered(f.id, f.den-f.num, f.den); err != nil {
					return nil, err
				}
				one.n, err = a.scale(one.n, new(big.Rat).SetFrac(big.NewInt(1), at.base))
			case atomI:
				one, err = a.powered(f.id, f.num, f.den)
				if f.num%2 != 0 && err == nil {
					one.n, err = a.scale(one.n, big.NewRat(-1, 1))
				}
			}
			if err != nil {
				return nil, err
			}
			if out, err = a.mul(out, one.n); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, errDomain
}

func (a *algebra) invQ(x quot) (quot, error) {
	if len(x.n) == 0 {
		return quot{}, errDomain
	}
	d := x.d
	if d == nil {
		d = constant(big.NewRat(1, 1))
	}
	return a.reduced(quot{d, x.n})
}

// powRat returns r^k, if it is not too long.
func (a *algebra) powRat(r *big.Rat, k int64) (*big.Rat, error) {
	if r.Sign() == 0 {
		if k <= 0 {
			return nil, errDomain
		}
		return r, nil
	}
	if r.IsInt() && r.Num().IsInt64() {
		switch r.Num().Int64() {
		case 1:
			return r, nil
		case -1:
			return big.NewRat(1-2*(k&1), 1), nil
		}
	}
	n := k
	if n < 0 {
		n = -n
	}
	if n > MaxBits || int64(max(r.Num().BitLen(), r.Denom().BitLen()))*n > MaxBits {
		return nil, &LimitError{"bits in a number", MaxBits}
	}
	if err := a.w.spendBits(int(int64(bits(r)) * n)); err != nil {
		return nil, err
	}
	e := big.NewInt(n)
	out := new(big.Rat).SetFrac(new(big.Int).Exp(r.Num(), e, nil), new(big.Int).Exp(r.Denom(), e, nil))
	if k < 0 {
		out.Inv(out)
	}
	return out, nil
}

func (a *algebra) powInt(x quot, k int64) (quot, error) {
	if k == 0 {
		if len(x.n) == 0 {
			return quot{}, errDomain
		}
		return integer(1), nil
	}
	if k < 0 {
		inv, err := a.invQ(x)
		if err != nil {
			return quot{}, err
		}
		return a.powInt(inv, -k)
	}
	if r, ok := x.value(); ok {
		c, err := a.powRat(r, k)
		if err != nil {
			return quot{}, err
		}
		return quot{n: constant(c)}, nil
	}
	if x.d == nil && len(x.n) == 1 {
		return a.powTerm(x.n, k, 1)
	}
	if k > 64 {
		return quot{}, &LimitError{"in the exponent of a sum", 64}
	}
	out := integer(1)
	var err error
	for base := x; k > 0; k >>= 1 {
		if k&1 == 1 {
			if out, err = a.mulQ(out, base); err != nil {
				return quot{}, err
			}
		}
		if k > 1 {
			if base, err = a.mulQ(base, base); err != nil {
				return quot{}, err
			}
		}
	}
	return out, nil
}

// powTerm raises a polynomial of one term to num/den. errOpaque says that the power cannot be taken apart.
func (a *algebra) powTerm(p poly, num, den int64) (quot, error) {
	for m, c := range p {
		out := integer(1)
		var err error
		if den == 1 {
			var v *big.Rat
			if v, err = a.powRat(c, num); err != nil {
				return quot{}, err
			}
			out.n = constant(v)
		} else {
			if out, err = a.rootOf(c, num, den, m == ""); err != nil {
				return quot{}, err
			}
		}
		for i := range m.len() {
			f := m.at(i)
			if den%2 == 0 && f.num%2 == 0 {
				return quot{}, errOpaque // the root of a square is an absolute value
			}
			if f.num > 1<<24 || f.num < -1<<24 || num > 1<<24 || num < -1<<24 || den > 1<<12 {
				return quot{}, &LimitError{"in an exponent", 1 << 24}
			}
			n, d := f.num*num, f.den*den
			if g := gcd64(n, d); g > 1 {
				n /= g
				d /= g
			}
			var one quot
			switch at := &a.atoms[f.id]; at.kind {
			case atomI:
				if den != 1 || d != 1 {
					return quot{}, errOpaque
				}
				k := ((n % 4) + 4) % 4
				if one, err = a.powered(f.id, k%2, 1); err == nil && k >= 2 {
					one.n, err = a.scale(one.n, big.NewRat(-1, 1))
				}
			case atomPrime:
				one, err = a.primePower(at.base, n, d, at.sure)
			case atomRoot:
				if one, err = a.powered(f.id, 1, 1); err == nil {
					k := int64(0)
					if n > 0 {
						k = n / d
					}
					if k > 64 {
						return quot{}, &LimitError{"in the exponent of a sum", 64}
					}
					if one, err = a.powered(f.id, n-k*d, d); err == nil && k > 0 {
						var r quot
						if r, err = a.powInt(quot{n: at.poly}, k); err == nil {
							one, err = a.mulQ(one, r)
						}
					}
				}
			default:
				one, err = a.powered(f.id, n, d)
			}
			if err != nil {
				return quot{}, err
			}
			if out, err = a.mulQ(out, one); err != nil {
				return quot{}, err
			}
		}
		return out, nil
	}
	if num > 0 {
		return quot{n: poly{}}, nil
	}
	return quot{}, errDomain
}

// primePower returns base^(num/den).
func (a *algebra) primePower(base *big.Int, num, den int64, sure bool) (quot, error) {
	k := floorDiv(num, den)
	c, err := a.powRat(new(big.Rat).SetInt(base), k)
	if err != nil {
		return quot{}, err
	}
	num -= k * den
	if num == 0 {
		return quot{n: constant(c)}, nil
	}
	q, err := a.single("p"+base.String(), atom{kind: atomPrime, base: base, sure: sure}, num, den)
	if err != nil {
		return quot{}, err
	}
	q.n, err = a.scale(q.n, c)
	return q, err
}

// rootOf returns c^(num/den) for a number. alone says that no variables stand beside it.
func (a *algebra) rootOf(c *big.Rat, num, den int64, alone bool) (quot, error) {
	out := integer(1)
	var err error
	if c.Sign() < 0 {
		switch {
		case den%2 == 1:
			out = integer(1 - 2*(num&1))
		case den == 2 && alone:
			// (-1)^(num/2) = i^num
			k := ((num % 4) + 4) % 4
			if out, err = a.single("i", atom{kind: atomI, sure: true}, k%2, 1); err != nil {
				return quot{}, err
			}
			if k >= 2 {
				out.n, err = a.scale(out.n, big.NewRat(-1, 1))
			}
		default:
			return quot{}, errOpaque
		}
	}
	for i, part := range [...]*big.Int{c.Num(), c.Denom()} {
		sign := int64(1 - 2*i)
		err2 := a.factors(part, func(p *big.Int, k int64, sure bool) error {
			f, err := a.primePower(p, sign*k*num, den, sure)
			if err == nil {
				out, err = a.mulQ(out, f)
			}
			return err
		})
		if err2 != nil {
			return quot{}, err2
		}
	}
	return out, err
}

// factors calls f for every prime power of |n|. What is left after division by small primes is given whole; it is not sure to
// be prime.
func (a *algebra) factors(n *big.Int, f func(p *big.Int, k int64, sure bool) error) error {
	rest := new(big.Int).Abs(n)
	if rest.BitLen() > 2048 {
		return &LimitError{"bits under a root", 2048}
	}
	one := big.NewInt(1)
	const small = 1000
	if rest.IsUint64() {
		v := rest.Uint64()
		if err := a.w.spend(4); err != nil {
			return err
		}
		for p := uint64(2); p < small && p*p <= v; p++ {
			k := int64(0)
			for v%p == 0 {
				v /= p
				k++
			}
			if k > 0 {
				if err := f(new(big.Int).SetUint64(p), k, true); err != nil {
					return err
				}
			}
		}
		if v == 1 {
			return nil
		}
		rest.SetUint64(v)
		if v < small*small {
			return f(rest, 1, true)
		}
	} else {
		if err := a.w.spend(100); err != nil {
			return err
		}
		var q, r big.Int
		for p := int64(2); p < small; p++ {
			d := big.NewInt(p)
			k := int64(0)
			for q.QuoRem(rest, d, &r); r.Sign() == 0; q.QuoRem(rest, d, &r) {
				rest.Set(&q)
				k++
			}
			if k > 0 {
				if err := f(d, k, true); err != nil {
					return err
				}
			}
		}
	}
	if rest.Cmp(one) == 0 {
		return nil
	}
	k := int64(1)
	for _, e := range [...]int64{2, 3, 5, 7} {
		for {
			r := intRoot(rest, e)
			if r == nil {
				break
			}
			rest = r
			k *= e
		}
	}
	return f(rest, k, false)
}

// intRoot returns the e-th root of n if that is an integer.
func intRoot(n *big.Int, e int64) *big.Int {
	if e == 2 {
		r := new(big.Int).Sqrt(n)
		if new(big.Int).Mul(r, r).Cmp(n) == 0 {
			return r
		}
		return nil
	}
	// Newton from above.
	x := new(big.Int).Lsh(big.NewInt(1), uint(int64(n.BitLen())/e+1))
	exp, less := big.NewInt(e), big.NewInt(e-1)
	for {
		y := new(big.Int).Exp(x, less, nil)
		y.Quo(n, y)
		y.Add(y, new(big.Int).Mul(less, x))
		y.Quo(y, exp)
		if y.Cmp(x) >= 0 {
			break
		}
		x = y
	}
	if new(big.Int).Exp(x, exp, nil).Cmp(n) == 0 {
		return x
	}
	return nil
}

// key returns a text that is equal for equal normal forms.
func (q quot) key() string {
	var b strings.Builder
	write := func(p poly) {
		for _, m := range p.sorted() {
			b.WriteString(p[m].RatString())
			b.WriteByte('*')
			b.WriteString(string(m))
			b.WriteByte('+')
		}
	}
	write(q.n)
	if q.d != nil {
		b.WriteByte('/')
		write(q.d)
	}
	return b.String()
}

// rational returns the exponent of small numerator and denominator that r is.
func rational(r *big.Rat) (num, den int64, ok bool) {
	if !r.Num().IsInt64() || !r.Denom().IsInt64() {
		return 0, 0, false
	}
	num, den = r.Num().Int64(), r.Denom().Int64()
	if num > 1<<24 || num < -1<<24 || den > 1<<10 {
		return 0, 0, false
	}
	return num, den, true
}

// pow returns x^y.
func (a *algebra) pow(x, y quot) (quot, error) {
	if r, ok := y.value(); ok {
		num, den, ok := rational(r)
		if !ok {
			if c, isNumber := x.value(); isNumber && r.IsInt() && c.IsInt() && c.Num().IsInt64() {
				// 1, 0 and -1 stay small.
				switch c.Num().Int64() {
				case 1:
					return x, nil
				case 0:
					if r.Sign() > 0 {
						return x, nil
					}
				case -1:
					return integer(1 - 2*int64(r.Num().Bit(0))), nil
				}
			}
			return quot{}, &LimitError{"in an exponent", 1 << 24}
		}
		if den == 1 {
			return a.powInt(x, num)
		}
		if x.d == nil && len(x.n) <= 1 {
			q, err := a.powTerm(x.n, num, den)
			if err != errOpaque {
				return q, err
			}
		} else if x.d == nil {
			return a.rootOfSum(x.n, num, den)
		} else if len(x.d) > 0 && len(x.n) > 0 {
			// Both under a root of their own.
			n, err := a.pow(quot{n: x.n}, y)
			if err != nil {
				return quot{}, err
			}
			d, err := a.pow(quot{n: x.d}, y)
			if err != nil {
				return quot{}, err
			}
			d, err = a.invQ(d)
			if err != nil {
				return quot{}, err
			}
			return a.mulQ(n, d)
		}
		if len(x.n) == 0 && num > 0 {
			return x, nil
		}
		return a.opaque("root" + strconv.FormatInt(num, 10) + "/" + strconv.FormatInt(den, 10) + ":" + x.key())
	}
	// A variable in the exponent: the base falls apart into factors, the exponent into terms.
	if y.d != nil || x.d != nil || len(x.n) != 1 || len(y.n) > 16 {
		return a.opaque("pow" + x.key() + "^" + y.key())
	}
	out := integer(1)
	for m, c := range x.n {
		for _, t := range y.n.sorted() {
			var err error
			raise := func(key string, id int, num, den int64) error {
				// (id^(num/den))^(c t)
				e := new(big.Rat).Mul(y.n[t], big.NewRat(num, den))
				en, ed, ok := rational(e)
				if !ok {
					return &LimitError{"in an exponent", 1 << 24}
				}
				if t == "" && id >= 0 {
					q, err := a.powTerm(poly{a.monoOf(id): big.NewRat(1, 1)}, en, ed)
					if err == nil {
						out, err = a.mulQ(out, q)
					}
					return err
				}
				exp := t
				root := key
				if id >= 0 && a.atoms[id].kind == atomPower {
					// (b^m)^t = b^(m t)
					prod, coef, rest, err := a.mulMono(a.atoms[id].exp, t)
					if err != nil {
						return err
					}
					if coef != nil || rest != nil {
						q, err := a.opaque("pow" + x.key() + "^" + y.key())
						if err == nil {
							out, err = a.mulQ(out, q)
						}
						return err
					}
					exp, root = prod, a.atoms[id].root
				}
				if root == "e" && exp == a.iPi() {
					// Euler: e^(i pi c)
					q, ok, err := a.cis(e)
					if err != nil {
						return err
					}
					if ok {
						out, err = a.mulQ(out, q)
						return err
					}
				}
				q, err := a.single("^"+root+"|"+string(exp), atom{kind: atomPower, root: root, exp: exp}, en, ed)
				if err == nil {
					out, err = a.mulQ(out, q)
				}
				return err
			}
			if c.Sign() < 0 {
				if r := y.n[t]; t == "" && r.IsInt() {
					if r.Num().Bit(0) == 1 {
						out, err = a.mulQ(out, integer(-1))
					}
				} else {
					err = raise("-1", -1, 1, 1)
				}
			}
			for i, part := range [...]*big.Int{c.Num(), c.Denom()} {
				if err != nil {
					break
				}
				sign := int64(1 - 2*i)
				err = a.factors(part, func(p *big.Int, k int64, sure bool) error {
					if t == "" {
						n, d, ok := rational(y.n[t])
						if !ok {
							return &LimitError{"in an exponent", 1 << 24}
						}
						q, err := a.primePower(p, sign*k*n, d, sure)
						if err == nil {
							out, err = a.mulQ(out, q)
						}
						return err
					}
					return raise("p"+p.String(), -1, sign*k, 1)
				})
			}
			for i := 0; i < m.len() && err == nil; i++ {
				f := m.at(i)
				if a.atoms[f.id].kind == atomI {
					return a.opaque("pow" + x.key() + "^" + y.key())
				}
				err = raise("a"+strconv.Itoa(f.id), f.id, f.num, f.den)
			}
			if err == errOpaque {
				return a.opaque("pow" + x.key() + "^" + y.key())
			}
			if err != nil {
				return quot{}, err
			}
		}
	}
	return out, nil
}

func (a *algebra) monoOf(id int) mono {
	b, _ := appendFactor(nil, factor{id, 1, 1})
	return mono(b)
}

// rootOfSum returns p^(num/den) for a polynomial of several terms: its content comes out, the rest is an atom.
func (a *algebra) rootOfSum(p poly, num, den int64) (quot, error) {
	content := new(big.Rat)
	for _, m := range p.sorted() {
		c := new(big.Rat).Abs(p[m])
		if content.Sign() == 0 {
			content = c
			continue
		}
		g := new(big.Int).GCD(nil, nil, new(big.Int).Mul(content.Num(), c.Denom()), new(big.Int).Mul(c.Num(), content.Denom()))
		content = new(big.Rat).SetFrac(g, new(big.Int).Mul(content.Denom(), c.Denom()))
		if err := a.w.spendBits(bits(content)); err != nil {
			return quot{}, err
		}
	}
	base, err := a.scale(p, new(big.Rat).Inv(content))
	if err != nil {
		return quot{}, err
	}
	out, err := a.rootOf(content, num, den, true)
	if err != nil {
		return quot{}, err
	}
	k := int64(0)
	if num > 0 {
		k = num / den
	}
	if k > 64 {
		return quot{}, &LimitError{"in the exponent of a sum", 64}
	}
	q, err := a.single("r"+quot{n: base}.key(), atom{kind: atomRoot, poly: base}, num-k*den, den)
	if err != nil {
		return quot{}, err
	}
	if out, err = a.mulQ(out, q); err != nil || k == 0 {
		return out, err
	}
	w, err := a.powInt(quot{n: base}, k)
	if err != nil {
		return quot{}, err
	}
	return a.mulQ(out, w)
}
