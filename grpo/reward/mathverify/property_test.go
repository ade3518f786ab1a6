package mathverify

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A family makes one value in several spellings, and values that differ from it, known from the way they are made.
type family struct {
	name string
	make func(r *rand.Rand) (same, other []string)
}

func pick(r *rand.Rand, lo, hi int) int { return lo + r.IntN(hi-lo+1) }

// grouped writes an integer with a separator between groups of three digits.
func grouped(n int, sep string) string {
	s := strconv.Itoa(n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + sep + s[i:]
	}
	return sign + s
}

func frac(a, b int) string { return fmt.Sprintf(`\frac{%d}{%d}`, a, b) }

// signed writes +b or -b.
func signed(b int) string {
	if b < 0 {
		return strconv.Itoa(b)
	}
	return "+" + strconv.Itoa(b)
}

func reduce(a, b int) (int, int) {
	g := int(new(big.Int).GCD(nil, nil, big.NewInt(int64(max(a, -a))), big.NewInt(int64(b))).Int64())
	return a / g, b / g
}

func shuffled(r *rand.Rand, s []string) []string {
	s = slices.Clone(s)
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

func distinct(r *rand.Rand, n, lo, hi int) []int {
	var out []int
	for len(out) < n {
		if k := pick(r, lo, hi); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func texts(n []int) []string {
	var out []string
	for _, k := range n {
		out = append(out, strconv.Itoa(k))
	}
	return out
}

func families() []family {
	return []family{
		{"integer", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1000, 99_999_999)
			return []string{strconv.Itoa(n), grouped(n, ","), grouped(n, "{,}"), grouped(n, `\,`), grouped(n, " "), grouped(n, `,\!`), strconv.Itoa(n) + ".0", strconv.Itoa(n) + "."},
				[]string{strconv.Itoa(n + 1), strconv.Itoa(-n), strconv.Itoa(n * 10), grouped(n+1000, ",")}
		}},
		{"negative", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1, 999)
			return []string{strconv.Itoa(-n), fmt.Sprintf("−%d", n), fmt.Sprintf("-(%d)", n), fmt.Sprintf("0-%d", n), fmt.Sprintf("- %d", n)}, []string{strconv.Itoa(n), strconv.Itoa(-n - 1)}
		}},
		{"decimal", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1, 99999)
			d := fmt.Sprintf("%d.%03d", n/1000, n%1000)
			a, b := reduce(n, 1000)
			return []string{d, d + "0", frac(a, b), fmt.Sprintf("%d/1000", n), fmt.Sprintf(`%d \times 10^{-3}`, n), fmt.Sprintf("%de-3", n), fmt.Sprintf(`%d\cdot10^{-3}`, n)},
				[]string{fmt.Sprintf("%d.%03d", (n+1)/1000, (n+1)%1000), strconv.Itoa(n), "-" + d}
		}},
		{"scientific", func(r *rand.Rand) (s, o []string) {
			m, e := pick(r, 11, 99), pick(r, 3, 12)
			return []string{fmt.Sprintf("%d.%de%d", m/10, m%10, e), fmt.Sprintf(`%d.%d \times 10^{%d}`, m/10, m%10, e), fmt.Sprintf(`%d.%d\cdot 10^%s`, m/10, m%10, braced(e)), fmt.Sprintf("%d.%dE+%d", m/10, m%10, e),
					strconv.Itoa(m) + strings.Repeat("0", e-1), fmt.Sprintf(`%d.%d × 10^{%d}`, m/10, m%10, e), fmt.Sprintf(`%d.%d*10^%d`, m/10, m%10, e)},
				[]string{fmt.Sprintf("%d.%de%d", m/10, m%10, e+1), fmt.Sprintf(`%d.%d \times 10^{-%d}`, m/10, m%10, e)}
		}},
		{"fraction", func(r *rand.Rand) (s, o []string) {
			a, b := reduce(pick(r, 1, 60), pick(r, 2, 40))
			k := pick(r, 2, 9)
			return []string{frac(a, b), fmt.Sprintf(`\dfrac{%d}{%d}`, a, b), fmt.Sprintf(`\tfrac{%d}{%d}`, a*k, b*k), fmt.Sprintf("%d/%d", a, b), fmt.Sprintf(`%d \div %d`, a, b), fmt.Sprintf(`\left(\frac{%d}{%d}\right)`, a, b), fmt.Sprintf(`\frac{-%d}{-%d}`, a, b), fmt.Sprintf(`{%d \over %d}`, a, b)},
				[]string{frac(a+b, b), frac(-a, b), frac(a*k+1, b*k)}
		}},
		{"short fraction", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 9), pick(r, 2, 9)
			return []string{fmt.Sprintf(`\frac%d%d`, a, b), fmt.Sprintf(`\frac{%d}%d`, a, b), fmt.Sprintf(`\frac %d %d`, a, b), fmt.Sprintf(`\frac%d{%d}`, a, b), frac(a, b)}, []string{frac(a, b+1)}
		}},
		{"mixed", func(r *rand.Rand) (s, o []string) {
			w, b := pick(r, 1, 20), pick(r, 2, 12)
			a := pick(r, 1, b-1)
			return []string{fmt.Sprintf(`%d\frac{%d}{%d}`, w, a, b), fmt.Sprintf("%d %d/%d", w, a, b), frac(w*b+a, b), fmt.Sprintf(`%d+\frac{%d}{%d}`, w, a, b), fmt.Sprintf(`%d \dfrac{%d}{%d}`, w, a, b)},
				[]string{frac(w*a, b*w+1), frac(w*b+a+1, b), fmt.Sprintf(`-%d\frac{%d}{%d}`, w, a, b)}
		}},
		{"percent", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1, 99)
			return []string{fmt.Sprintf(`%d\%%`, n), fmt.Sprintf("%d%%", n), fmt.Sprintf("%d percent", n), fmt.Sprintf(`%d \text{ percent}`, n), fmt.Sprintf(`%d.0\%%`, n)}, []string{fmt.Sprintf(`%d\%%`, n+1), fmt.Sprintf(`0.%d\%%`, n)}
		}},
		{"percent as number", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 10, 99)
			return []string{fmt.Sprintf(`%d\%%`, n), fmt.Sprintf("0.%d", n)}, []string{fmt.Sprintf("0.%d", n%90+10), fmt.Sprintf("%d", n+1)}
		}},
		{"repeating", func(r *rand.Rand) (s, o []string) {
			d := pick(r, 1, 8)
			return []string{fmt.Sprintf(`0.\overline{%d}`, d), fmt.Sprintf("0.(%d)", d), frac(d, 9), fmt.Sprintf(`0.\dot{%d}`, d), fmt.Sprintf("0.%d%d%d...", d, d, d), fmt.Sprintf(`0.\bar{%d}`, d), fmt.Sprintf(`0.%d\overline{%d}`, d, d)},
				[]string{fmt.Sprintf(`0.\overline{%d}`, d+1), fmt.Sprintf("0.%d", d), fmt.Sprintf(`0.0\overline{%d}`, d)}
		}},
		{"repeating block", func(r *rand.Rand) (s, o []string) {
			n, h := pick(r, 10, 98), pick(r, 0, 9)
			return []string{fmt.Sprintf(`0.%d\overline{%d}`, h, n), fmt.Sprintf("0.%d(%d)", h, n), frac(h*99+n, 990)}, []string{fmt.Sprintf(`0.%d\overline{%d}`, h, n+1), fmt.Sprintf(`0.%d\overline{%d}`, (h+1)%10, n)}
		}},
		{"root", func(r *rand.Rand) (s, o []string) {
			k, p := pick(r, 2, 12), []int{2, 3, 5, 6, 7, 10, 11, 15, 30}[r.IntN(9)]
			return []string{fmt.Sprintf(`%d\sqrt{%d}`, k, p), fmt.Sprintf(`\sqrt{%d}`, k*k*p), fmt.Sprintf("%d*sqrt(%d)", k, p), fmt.Sprintf("%d√%d", k, p), fmt.Sprintf(`\frac{%d}{\sqrt{%d}}`, k*p, p), fmt.Sprintf(`%d\cdot %d^{1/2}`, k, p), fmt.Sprintf(`%d \times \sqrt %d`, k, p)},
				[]string{fmt.Sprintf(`%d\sqrt{%d}`, k+1, p), fmt.Sprintf(`\sqrt{%d}`, k*p), fmt.Sprintf(`-%d\sqrt{%d}`, k, p), fmt.Sprintf(`%d\sqrt{%d}`, k, p+1)}
		}},
		{"cube root", func(r *rand.Rand) (s, o []string) {
			k, p := pick(r, 2, 6), pick(r, 2, 7)
			return []string{fmt.Sprintf(`%d\sqrt[3]{%d}`, k, p), fmt.Sprintf(`\sqrt[3]{%d}`, k*k*k*p), fmt.Sprintf(`%d\cdot %d^{\frac13}`, k, p), fmt.Sprintf("%d*%d^(1/3)", k, p), fmt.Sprintf("%d*cbrt(%d)", k, p)},
				[]string{fmt.Sprintf(`%d\sqrt{%d}`, k, p), fmt.Sprintf(`%d\sqrt[3]{%d}`, k, p+1)}
		}},
		{"sum of roots", func(r *rand.Rand) (s, o []string) {
			a, b, p := pick(r, -9, 9), pick(r, 1, 9), []int{2, 3, 5, 7}[r.IntN(4)]
			return []string{fmt.Sprintf(`%d+%d\sqrt{%d}`, a, b, p), fmt.Sprintf(`\sqrt{%d}%s`, b*b*p, signed(a)), fmt.Sprintf(`\frac{%d+%d\sqrt{%d}}{2}`, 2*a, 2*b, p), fmt.Sprintf("%d*sqrt(%d)%s", b, p, signed(a))},
				[]string{fmt.Sprintf(`%d-%d\sqrt{%d}`, a, b, p), fmt.Sprintf(`%d+%d\sqrt{%d}`, a+1, b, p)}
		}},
		{"rationalized", func(r *rand.Rand) (s, o []string) {
			a, p := pick(r, 3, 9), []int{2, 3, 5, 7}[r.IntN(4)]
			d := a*a - p
			return []string{fmt.Sprintf(`\frac{1}{%d+\sqrt{%d}}`, a, p), fmt.Sprintf(`\frac{%d-\sqrt{%d}}{%d}`, a, p, d)}, []string{fmt.Sprintf(`\frac{1}{%d-\sqrt{%d}}`, a, p), fmt.Sprintf(`\frac{%d-\sqrt{%d}}{%d}`, a, p, d+1)}
		}},
		{"nested root", func(r *rand.Rand) (s, o []string) {
			a, p := pick(r, 1, 9), []int{2, 3, 5, 7}[r.IntN(4)]
			return []string{fmt.Sprintf(`\sqrt{%d+%d\sqrt{%d}}`, a*a+p, 2*a, p), fmt.Sprintf(`%d+\sqrt{%d}`, a, p)}, []string{fmt.Sprintf(`\sqrt{%d+%d\sqrt{%d}}`, a*a+p+1, 2*a, p)}
		}},
		{"power", func(r *rand.Rand) (s, o []string) {
			b, e := pick(r, 2, 9), pick(r, 2, 8)
			v := new(big.Int).Exp(big.NewInt(int64(b)), big.NewInt(int64(e)), nil)
			return []string{fmt.Sprintf("%d^%d", b, e), fmt.Sprintf("%d^{%d}", b, e), fmt.Sprintf("%d**%d", b, e), v.String(), fmt.Sprintf(`\frac{1}{%d^{-%d}}`, b, e), fmt.Sprintf(`%d \cdot %d^{%d}`, b, b, e-1)},
				[]string{fmt.Sprintf("%d^%d", b, e+1), fmt.Sprintf("%d", b*e+1)}
		}},
		{"large power", func(r *rand.Rand) (s, o []string) {
			e := pick(r, 100, 1000)
			return []string{fmt.Sprintf("2^{%d}", e), fmt.Sprintf("4^{%d}", e/2) + `\cdot ` + strconv.Itoa(1+e%2), fmt.Sprintf(`\frac{2^{%d}+2^{%d}}{2}`, e, e)}, []string{fmt.Sprintf("2^{%d}+1", e), fmt.Sprintf("2^{%d}-1", e)}
		}},
		{"pi", func(r *rand.Rand) (s, o []string) {
			a, b := reduce(pick(r, 1, 30), pick(r, 2, 12))
			return []string{fmt.Sprintf(`\frac{%d\pi}{%d}`, a, b), fmt.Sprintf("%d*pi/%d", a, b), fmt.Sprintf(`\frac{%d}{%d}\pi`, a, b), fmt.Sprintf("%dπ/%d", a, b), fmt.Sprintf(`%d\pi/%d`, a, b)}, []string{frac(a, b), fmt.Sprintf(`\frac{%d\pi}{%d}`, a+1, b), fmt.Sprintf(`\frac{%d}{%d\pi}`, a, b)}
		}},
		{"polynomial", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, -9, 9), pick(r, -9, 9)
			return []string{fmt.Sprintf("(x%s)(x%s)", signed(a), signed(b)), fmt.Sprintf("x^2%sx%s", signed(a+b), signed(a*b)), fmt.Sprintf("x**2%s*x%s", signed(a+b), signed(a*b)), fmt.Sprintf(`x^{2}+x\cdot(%d)+%d`, a+b, a*b), fmt.Sprintf("x²%sx%s", signed(a+b), signed(a*b))},
				[]string{fmt.Sprintf("x^2%sx%s", signed(a+b), signed(a*b+1)), fmt.Sprintf("x^2%sx%s", signed(a+b+1), signed(a*b)), fmt.Sprintf("y^2%sy%s", signed(a+b), signed(a*b))}
		}},
		{"two variables", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 9), pick(r, 1, 9)
			return []string{fmt.Sprintf("(%da+%db)^2", a, b), fmt.Sprintf("%da^2+%dab+%db^2", a*a, 2*a*b, b*b), fmt.Sprintf("%db^{2}+%dba+%da^{2}", b*b, 2*a*b, a*a)}, []string{fmt.Sprintf("%da^2+%db^2", a*a, b*b), fmt.Sprintf("(%da-%db)^2", a, b)}
		}},
		{"rational function", func(r *rand.Rand) (s, o []string) {
			a := pick(r, 1, 9)
			b := a + pick(r, 1, 5)
			return []string{fmt.Sprintf(`\frac{1}{x+%d}-\frac{1}{x+%d}`, a, b), fmt.Sprintf(`\frac{%d}{(x+%d)(x+%d)}`, b-a, a, b), fmt.Sprintf(`%d/((x+%d)*(x+%d))`, b-a, a, b)}, []string{fmt.Sprintf(`\frac{%d}{(x+%d)(x+%d)}`, b-a+1, a, b), fmt.Sprintf(`\frac{1}{x+%d}+\frac{1}{x+%d}`, a, b)}
		}},
		{"cancelled", func(r *rand.Rand) (s, o []string) {
			a := pick(r, 1, 9)
			return []string{fmt.Sprintf(`\frac{x^2-%d}{x-%d}`, a*a, a), fmt.Sprintf(`x+%d`, a), fmt.Sprintf(`\frac{2x+%d}{2}`, 2*a)}, []string{fmt.Sprintf(`x-%d`, a)}
		}},
		{"variable roots", func(r *rand.Rand) (s, o []string) {
			k := pick(r, 2, 9)
			return []string{fmt.Sprintf(`\sqrt{%dx}`, k*k), fmt.Sprintf(`%d\sqrt{x}`, k), fmt.Sprintf(`%dx^{1/2}`, k), fmt.Sprintf("%d*sqrt(x)", k), fmt.Sprintf(`\frac{%dx}{\sqrt{x}}`, k)}, []string{fmt.Sprintf(`\sqrt{%dx}`, k), fmt.Sprintf(`%dx`, k)}
		}},
		{"sine of special angles", func(r *rand.Rand) (s, o []string) {
			v := [...]struct {
				deg int
				sin string
			}{{30, `\frac12`}, {45, `\frac{\sqrt2}{2}`}, {60, `\frac{\sqrt{3}}{2}`}, {90, "1"}, {150, "0.5"}, {210, `-\frac{1}{2}`}, {15, `\frac{\sqrt{6}-\sqrt{2}}{4}`}, {75, `\frac{\sqrt{6}+\sqrt{2}}{4}`}, {18, `\frac{\sqrt5-1}{4}`}}[r.IntN(9)]
			a, b := reduce(v.deg, 180)
			return []string{v.sin, fmt.Sprintf("sin %d°", v.deg), fmt.Sprintf(`\sin %d^\circ`, v.deg), fmt.Sprintf(`\sin(%d^{\circ})`, v.deg), fmt.Sprintf(`\sin\frac{%d\pi}{%d}`, a, b), fmt.Sprintf("sin(%d*pi/%d)", a, b), fmt.Sprintf(`\cos(%d^\circ)`, 90-v.deg), fmt.Sprintf(`\sin\left(%d^\circ\right)`, v.deg+360)},
				[]string{fmt.Sprintf("sin %d", v.deg), fmt.Sprintf("sin %d°", v.deg+1), fmt.Sprintf(`-\sin %d^\circ`, v.deg)}
		}},
		{"trigonometric identity", func(r *rand.Rand) (s, o []string) {
			k := pick(r, 1, 6)
			a := fmt.Sprintf("%dx", k)
			switch r.IntN(6) {
			case 0:
				return []string{`\sin(` + fmt.Sprint(2*k) + "x)", `2\sin(` + a + `)\cos(` + a + ")", fmt.Sprintf("2*sin(%d*x)*cos(%d*x)", k, k), `\frac{2\tan(` + a + `)}{1+\tan^2(` + a + ")}"}, []string{`2\sin(` + a + ")", `\cos(` + fmt.Sprint(2*k) + "x)"}
			case 1:
				return []string{`\cos(` + fmt.Sprint(2*k) + "x)", `1-2\sin^2(` + a + ")", `2\cos^2 ` + a + "-1", `\cos^2(` + a + `)-\sin^2(` + a + ")"}, []string{`1-\sin^2(` + a + ")"}
			case 2:
				return []string{"1", `\sin^2 ` + a + `+\cos^2 ` + a, fmt.Sprintf("sin(%d*x)^2+cos(%d*x)^2", k, k), `\sec^2 ` + a + `-\tan^2 ` + a}, []string{"0", `\sin ` + a + `+\cos ` + a}
			case 3:
				return []string{`\sin(x+` + fmt.Sprint(k) + "y)", `\sin x\cos(` + fmt.Sprint(k) + `y)+\cos x\sin(` + fmt.Sprint(k) + "y)"}, []string{`\sin x+\sin(` + fmt.Sprint(k) + "y)"}
			case 4:
				return []string{`\sin(` + fmt.Sprint(3*k) + "x)", `3\sin(` + a + `)-4\sin^3(` + a + ")"}, []string{`3\sin(` + a + `)-3\sin^3(` + a + ")"}
			}
			return []string{`\tan(` + fmt.Sprint(2*k) + "x)", `\frac{2\tan ` + a + `}{1-\tan^2 ` + a + "}"}, []string{`2\tan ` + a}
		}},
		{"inverse functions", func(r *rand.Rand) (s, o []string) {
			v := [...][]string{{`\arcsin\frac12`, `\frac{\pi}{6}`, `\sin^{-1}(0.5)`, "asin(1/2)"}, {`\arctan 1`, `\frac{\pi}{4}`, `\tan^{-1} 1`, "pi/4"}, {`\arccos(-1)`, `\pi`, "acos(-1)"}, {`\arctan\sqrt3`, `\pi/3`, `\arccos\frac12`}, {`\arctan 2+\arctan 3`, `\frac{3\pi}{4}`}}[r.IntN(5)]
			return v, []string{`\frac{\pi}{5}`, `\frac{2\pi}{7}`}
		}},
		{"logarithm", func(r *rand.Rand) (s, o []string) {
			b, e := pick(r, 2, 9), pick(r, 2, 6)
			v := new(big.Int).Exp(big.NewInt(int64(b)), big.NewInt(int64(e)), nil)
			return []string{strconv.Itoa(e), fmt.Sprintf(`\log_{%d} %s`, b, v), fmt.Sprintf(`\log_%d(%s)`, b, v), fmt.Sprintf("log(%s, %d)", v, b), fmt.Sprintf(`\frac{\ln %s}{\ln %d}`, v, b)}, []string{fmt.Sprintf(`\log_{%d} %s`, b+1, v), strconv.Itoa(e + 1)}
		}},
		{"sum of logarithms", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 2, 30), pick(r, 2, 30)
			return []string{fmt.Sprintf(`\ln %d+\ln %d`, a, b), fmt.Sprintf(`\ln(%d)`, a*b), fmt.Sprintf("ln(%d)", a*b), fmt.Sprintf(`2\ln\sqrt{%d}`, a*b), fmt.Sprintf(`\ln %d - \ln\frac{1}{%d}`, a, b)}, []string{fmt.Sprintf(`\ln %d`, a*b+1), fmt.Sprintf(`\ln(%d+%d)`, a*b, b)}
		}},
		{"exponential", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 2, 9), pick(r, 2, 9)
			return []string{fmt.Sprintf("e^{%dx}e^{%dx}", a, b), fmt.Sprintf("e^{%dx}", a+b), fmt.Sprintf("exp(%d*x)", a+b), fmt.Sprintf("(e^{x})^{%d}", a+b), fmt.Sprintf(`\frac{e^{%dx}}{e^{%dx}}`, 2*a+b, a)}, []string{fmt.Sprintf("e^{%dx}", a*b+a+b+1), fmt.Sprintf("e^{%dx}+e^{%dx}", a, b)}
		}},
		{"factorial", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 3, 9)
			v := new(big.Int).MulRange(1, int64(n))
			return []string{fmt.Sprintf("%d!", n), v.String(), fmt.Sprintf(`%d \cdot %d!`, n, n-1), fmt.Sprintf(`\frac{%d!}{%d}`, n+1, n+1)}, []string{fmt.Sprintf("%d!", n+1), fmt.Sprint(n)}
		}},
		{"binomial", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 4, 20)
			k := pick(r, 2, n-2)
			v := new(big.Int).Binomial(int64(n), int64(k))
			return []string{fmt.Sprintf(`\binom{%d}{%d}`, n, k), fmt.Sprintf(`\dbinom{%d}{%d}`, n, n-k), v.String(), fmt.Sprintf(`{%d \choose %d}`, n, k), fmt.Sprintf(`\frac{%d!}{%d!%d!}`, n, k, n-k), fmt.Sprintf("binom(%d, %d)", n, k)}, []string{fmt.Sprintf(`\binom{%d}{%d}`, n+1, k)}
		}},
		{"complex", func(r *rand.Rand) (s, o []string) {
			a, b, c, d := pick(r, 1, 9), pick(r, 1, 9), pick(r, 1, 9), pick(r, 1, 9)
			re, im := a*c-b*d, a*d+b*c
			return []string{fmt.Sprintf("(%d+%di)(%d+%di)", a, b, c, d), fmt.Sprintf("%d+%di", re, im), fmt.Sprintf("%di%s", im, signed(re)), fmt.Sprintf("%d%s*i", re, signed(im)), fmt.Sprintf("(%d+%di)*(%d+%d*i)", c, d, a, b)}, []string{fmt.Sprintf("%d-%di", re, im), fmt.Sprintf("%d+%di", re+1, im), fmt.Sprint(re)}
		}},
		{"complex quotient", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 9), pick(r, 1, 9)
			n := a*a + b*b
			return []string{fmt.Sprintf(`\frac{1}{%d+%di}`, a, b), fmt.Sprintf(`\frac{%d-%di}{%d}`, a, b, n), fmt.Sprintf(`\frac{%d}{%d}-\frac{%d}{%d}i`, a, n, b, n)}, []string{fmt.Sprintf(`\frac{%d+%di}{%d}`, a, b, n)}
		}},
		{"powers of i", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 0, 40)*4 + 2
			return []string{"-1", fmt.Sprintf("i^{%d}", n), "i^2", `e^{i\pi}`, `i \cdot i`}, []string{"i", "1", fmt.Sprintf("i^{%d}", n+1)}
		}},
		{"polar", func(r *rand.Rand) (s, o []string) {
			k := pick(r, 1, 9)
			return []string{fmt.Sprintf(`%de^{i\pi/3}`, 2*k), fmt.Sprintf(`%d+%d\sqrt{3}i`, k, k), fmt.Sprintf(`%d(\cos 60^\circ+i\sin 60^\circ)`, 2*k), fmt.Sprintf(`%d\left(\cos\frac{\pi}{3}+i\sin\frac{\pi}{3}\right)`, 2*k)}, []string{fmt.Sprintf(`%de^{i\pi/4}`, 2*k)}
		}},
		{"absolute value, floor", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 2, 40)
			return []string{fmt.Sprint(n), fmt.Sprintf("|-%d|", n), fmt.Sprintf(`\lfloor %d.7 \rfloor`, n), fmt.Sprintf(`\lceil %d.2 \rceil`, n-1), fmt.Sprintf(`\left|%d-%d\right|`, n, 2*n), fmt.Sprintf("abs(-%d)", n), fmt.Sprintf("floor(%d.5)", n)}, []string{fmt.Sprint(n + 1), fmt.Sprintf(`\lceil %d.7 \rceil`, n)}
		}},
		{"interval", func(r *rand.Rand) (s, o []string) {
			a := pick(r, -20, 20)
			b := a + pick(r, 1, 20)
			return []string{fmt.Sprintf("[%d,%d)", a, b), fmt.Sprintf(`\left[%d, %d\right)`, a, b), fmt.Sprintf(`x \in [%d,%d)`, a, b), fmt.Sprintf(`%d \le x < %d`, a, b), fmt.Sprintf(`%d > x \geq %d`, b, a), fmt.Sprintf(`\{x \mid %d \leq x < %d\}`, a, b), fmt.Sprintf("[%d,%d[", a, b), fmt.Sprintf("[%d.0, %d)", a, b)},
				[]string{fmt.Sprintf("(%d,%d)", a, b), fmt.Sprintf("[%d,%d]", a, b), fmt.Sprintf("[%d,%d)", a, b+1), fmt.Sprintf("(%d,%d]", a, b)}
		}},
		{"union", func(r *rand.Rand) (s, o []string) {
			a := pick(r, -20, 0)
			b := a + pick(r, 1, 9)
			return []string{fmt.Sprintf(`(-\infty,%d)\cup(%d,\infty)`, a, b), fmt.Sprintf(`(%d,+\infty) \cup (-\infty,%d)`, b, a), fmt.Sprintf(`x<%d \text{ or } x>%d`, a, b), fmt.Sprintf(`x \in (-\infty, %d) \cup (%d, \infty)`, a, b), fmt.Sprintf(`\mathbb{R} \setminus [%d,%d]`, a, b), fmt.Sprintf("(-oo, %d) U (%d, oo)", a, b)},
				[]string{fmt.Sprintf(`(-\infty,%d]\cup(%d,\infty)`, a, b), fmt.Sprintf("(%d,%d)", a, b), fmt.Sprintf(`(-\infty,%d)\cup(%d,\infty)`, a, b+1)}
		}},
		{"absolute inequality", func(r *rand.Rand) (s, o []string) {
			c, d := pick(r, -9, 9), pick(r, 1, 9)
			return []string{fmt.Sprintf("(%d,%d)", c-d, c+d), fmt.Sprintf("|x-(%d)|<%d", c, d), fmt.Sprintf("%d<x<%d", c-d, c+d)}, []string{fmt.Sprintf("|x-(%d)|<%d", c+1, d), fmt.Sprintf("[%d,%d)", c-d, c+d)}
		}},
		{"quadratic inequality", func(r *rand.Rand) (s, o []string) {
			a := pick(r, -9, 9)
			b := a + pick(r, 1, 9)
			return []string{fmt.Sprintf("[%d,%d]", a, b), fmt.Sprintf("(x-(%d))(x-(%d)) \\le 0", a, b), fmt.Sprintf(`%d \leq x \leq %d`, a, b)}, []string{fmt.Sprintf("(x-(%d))(x-(%d)) < 0", a, b), fmt.Sprintf("(x-(%d))(x-(%d)) \\ge 0", a, b)}
		}},
		{"inequality", func(r *rand.Rand) (s, o []string) {
			k, c := pick(r, 2, 9), pick(r, -9, 9)
			return []string{fmt.Sprintf(`x \ge %d`, c), fmt.Sprintf(`%d \le x`, c), fmt.Sprintf("%dx>=%d", k, k*c), fmt.Sprintf(`-%dx \leq %d`, k, -k*c), fmt.Sprintf(`x%s \geq 0`, signed(-c)), fmt.Sprintf("x ≥ %d", c)}, []string{fmt.Sprintf(`x > %d`, c), fmt.Sprintf(`x \le %d`, c), fmt.Sprintf(`y \ge %d`, c), fmt.Sprintf(`x \ge %d`, c+1)}
		}},
		{"set", func(r *rand.Rand) (s, o []string) {
			n := distinct(r, 4, -20, 20)
			t := texts(n)
			u := texts(append(slices.Clone(n[:3]), 21))
			return []string{`\{` + strings.Join(t, ",") + `\}`, `\{` + strings.Join(shuffled(r, t), ", ") + `\}`, strings.Join(shuffled(r, t), ", "), `\left\{` + strings.Join(t, ", ") + `\right\}`, strings.Join(t[:3], ", ") + ` \text{ and } ` + t[3], "{" + strings.Join(t, ", ") + "}"},
				[]string{`\{` + strings.Join(u, ",") + `\}`, `\{` + strings.Join(t[:3], ",") + `\}`}
		}},
		{"tuple", func(r *rand.Rand) (s, o []string) {
			n := distinct(r, 3, -20, 20)
			t := texts(n)
			return []string{"(" + strings.Join(t, ",") + ")", `\left(` + strings.Join(t, ", ") + `\right)`, "(x,y,z)=(" + strings.Join(t, ",") + ")", `\langle ` + strings.Join(t, ",") + `\rangle`, fmt.Sprintf("(%d.0,%s,%s)", n[0], t[1], t[2]), fmt.Sprintf("x=%s, y=%s, z=%s", t[0], t[1], t[2])},
				[]string{fmt.Sprintf("(%s,%s,%s)", t[1], t[0], t[2]), "(" + strings.Join(t[:2], ",") + ")"}
		}},
		{"pair of fractions", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 9), pick(r, 1, 9)
			return []string{fmt.Sprintf(`\left(\frac{%d}{4},-\frac{%d}{5}\right)`, a, b), fmt.Sprintf("(%d/4, -%d/5)", a, b), fmt.Sprintf("(%d/8, %d/-10)", 2*a, 2*b)}, []string{fmt.Sprintf(`\left(-\frac{%d}{5},\frac{%d}{4}\right)`, b, a)}
		}},
		{"several pairs", func(r *rand.Rand) (s, o []string) {
			n := distinct(r, 4, 0, 30)
			p, q := fmt.Sprintf("(%d,%d)", n[0], n[1]), fmt.Sprintf("(%d,%d)", n[2], n[3])
			return []string{p + ", " + q, q + ", " + p, p + ` \text{ and } ` + q, `\{` + p + "," + q + `\}`}, []string{p, p + ", " + fmt.Sprintf("(%d,%d)", n[3], n[2])}
		}},
		{"plus-minus", func(r *rand.Rand) (s, o []string) {
			a, p := pick(r, -9, 9), []int{2, 3, 5, 7}[r.IntN(4)]
			return []string{fmt.Sprintf(`%d \pm \sqrt{%d}`, a, p), fmt.Sprintf(`%d+\sqrt{%d}, %d-\sqrt{%d}`, a, p, a, p), fmt.Sprintf(`\{%d-\sqrt{%d}, %d+\sqrt{%d}\}`, a, p, a, p), fmt.Sprintf(`x = %d \pm \sqrt{%d}`, a, p), fmt.Sprintf(`x=%d+\sqrt{%d} \text{ or } x=%d-\sqrt{%d}`, a, p, a, p)}, []string{fmt.Sprintf(`%d+\sqrt{%d}`, a, p), fmt.Sprintf(`%d \pm \sqrt{%d}`, a+1, p)}
		}},
		{"matrix", func(r *rand.Rand) (s, o []string) {
			n := distinct(r, 4, -20, 20)
			m := func(env string, a, b, c, d int) string {
				return fmt.Sprintf(`\begin{%s} %d & %d \\ %d & %d \end{%s}`, env, a, b, c, d, env)
			}
			return []string{m("pmatrix", n[0], n[1], n[2], n[3]), m("bmatrix", n[0], n[1], n[2], n[3]), fmt.Sprintf("[[%d,%d],[%d,%d]]", n[0], n[1], n[2], n[3]), fmt.Sprintf(`\left(\begin{array}{cc}%d&%d\\%d&%d\end{array}\right)`, n[0], n[1], n[2], n[3]), fmt.Sprintf(`\frac12%s`, m("pmatrix", 2*n[0], 2*n[1], 2*n[2], 2*n[3])), m("pmatrix", n[0], n[2], n[1], n[3]) + "^T"},
				[]string{m("pmatrix", n[0], n[2], n[1], n[3]), m("pmatrix", n[0], n[1], n[2], n[3]+1)}
		}},
		{"matrix of fractions", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 7), pick(r, 1, 9)
			return []string{fmt.Sprintf(`\begin{pmatrix}\frac{%d}{8}\\ \sqrt{%d}\end{pmatrix}`, a, 4*b), fmt.Sprintf(`\begin{bmatrix}%d/8\\2\sqrt{%d}\\\end{bmatrix}`, a, b), fmt.Sprintf(`\left(\frac{%d}{8},2\sqrt{%d}\right)`, a, b)}, []string{fmt.Sprintf(`\begin{pmatrix}\frac{%d}{8}\\ \sqrt{%d}\end{pmatrix}`, a, b)}
		}},
		{"product of matrices", func(r *rand.Rand) (s, o []string) {
			a, b, c, d := pick(r, -5, 5), pick(r, -5, 5), pick(r, -5, 5), pick(r, 1, 5)
			return []string{fmt.Sprintf(`\begin{pmatrix}1&%d\\0&1\end{pmatrix}\begin{pmatrix}%d&%d\\0&%d\end{pmatrix}`, a, b, c, d), fmt.Sprintf(`\begin{pmatrix}%d&%d\\0&%d\end{pmatrix}`, b, c+a*d, d)}, []string{fmt.Sprintf(`\begin{pmatrix}%d&%d\\0&%d\end{pmatrix}`, b, c+a*d+1, d)}
		}},
		{"determinant", func(r *rand.Rand) (s, o []string) {
			a, b, c, d := pick(r, -9, 9), pick(r, -9, 9), pick(r, -9, 9), pick(r, -9, 9)
			return []string{fmt.Sprint(a*d - b*c), fmt.Sprintf(`\begin{vmatrix}%d&%d\\%d&%d\end{vmatrix}`, a, b, c, d), fmt.Sprintf(`\det\begin{pmatrix}%d&%d\\%d&%d\end{pmatrix}`, a, b, c, d)}, []string{fmt.Sprint(a*d - b*c + 1)}
		}},
		{"equation", func(r *rand.Rand) (s, o []string) {
			a, b, c, k := pick(r, 1, 9), pick(r, 1, 9), pick(r, -9, 9), pick(r, 2, 5)
			return []string{fmt.Sprintf("%dx+%dy=%d", a, b, c), fmt.Sprintf("%dx+%dy%s=0", a, b, signed(-c)), fmt.Sprintf("%dy=%d-%dx", b, c, a), fmt.Sprintf("%dx+%dy=%d", k*a, k*b, k*c), fmt.Sprintf(`y=-\frac{%d}{%d}x+\frac{%d}{%d}`, a, b, c, b), fmt.Sprintf("-%dx-%dy=%d", a, b, -c)},
				[]string{fmt.Sprintf("%dx+%dy=%d", a, b, c+1), fmt.Sprintf("%dx-%dy=%d", a, b, c), fmt.Sprintf("%dx+%dy=%d", a+10, b, c)}
		}},
		{"value of an assignment", func(r *rand.Rand) (s, o []string) {
			a, b := reduce(pick(r, 1, 30), pick(r, 2, 9))
			return []string{frac(a, b), [...]string{"x=", "k = ", `\angle ABC = `, `\text{Area} = `, "AB=", "f(2)=", `x_1 = `, "|AB|=", "y="}[r.IntN(9)] + frac(a, b)}, []string{"x=" + frac(a+1, b), frac(a+b, b)}
		}},
		{"chain", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 30), pick(r, 1, 30)
			return []string{fmt.Sprint(a + b), fmt.Sprintf("%d+%d=%d", a, b, a+b), fmt.Sprintf("x=%d+%d=%d", a, b, a+b)}, []string{fmt.Sprintf("x=%d+%d=%d", a+1, b, a+b+1), fmt.Sprint(a + b + 1)}
		}},
		{"units", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1, 400)
			return []string{fmt.Sprintf("%d cm", n), fmt.Sprintf(`%d \text{ cm}`, n), fmt.Sprintf(`%d\mathrm{~cm}`, n), fmt.Sprintf("%d centimeters", n), fmt.Sprintf(`\frac{%d}{100} \text{ m}`, n), fmt.Sprintf("%dcm", n)}, []string{fmt.Sprintf("%d m", n), fmt.Sprintf("%d cm", n+1), fmt.Sprintf("%d kg", n)}
		}},
		{"unit against none", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1, 400)
			u := [...]string{`\text{ cm}^2`, `\mathrm{~km/h}`, " kg", ` \text{ square units}`, `\text{ dollars}`, " apples", `^\circ`, ` \text{ ways}`, ` \text{ ft.}`, "$"}[r.IntN(9)]
			return []string{fmt.Sprint(n), fmt.Sprint(n) + u}, []string{fmt.Sprint(n+1) + u}
		}},
		{"money", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1000, 99999)
			return []string{fmt.Sprintf(`\$%d`, n), fmt.Sprintf("$%d", n), fmt.Sprintf("%d dollars", n), fmt.Sprintf(`\$%s`, grouped(n, ",")), fmt.Sprintf(`\$%d.00`, n)}, []string{fmt.Sprintf(`\$%d`, n+1), fmt.Sprintf("€%d", n)}
		}},
		{"angle", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 1, 359)
			return []string{fmt.Sprintf(`%d^\circ`, n), fmt.Sprintf(`%d^{\circ}`, n), fmt.Sprintf("%d°", n), fmt.Sprintf("%d degrees", n), fmt.Sprintf(`%d \text{ degrees}`, n)}, []string{fmt.Sprintf(`%d^\circ`, n+1)}
		}},
		{"ratio", func(r *rand.Rand) (s, o []string) {
			a, b := reduce(pick(r, 1, 20), pick(r, 1, 20))
			k := pick(r, 2, 5)
			return []string{fmt.Sprintf("%d:%d", a, b), fmt.Sprintf("%d : %d", k*a, k*b), fmt.Sprintf("%d/%d", a, b)}, []string{fmt.Sprintf("%d:%d", a+b, b), fmt.Sprintf("%d:%d", a, b+1)}
		}},
		{"geometric sum", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 3, 20)
			return []string{fmt.Sprintf(`\sum_{k=1}^{%d} k`, n), fmt.Sprint(n * (n + 1) / 2), fmt.Sprintf(`\frac{%d\cdot%d}{2}`, n, n+1), fmt.Sprintf(`\sum_{j=0}^{%d} (j+1)`, n-1)}, []string{fmt.Sprint(n * n), fmt.Sprintf(`\sum_{k=1}^{%d} k`, n+1)}
		}},
		{"function", func(r *rand.Rand) (s, o []string) {
			a, b := pick(r, 1, 9), pick(r, 1, 9)
			return []string{fmt.Sprintf("f(x)=%dx+%d", a, b), fmt.Sprintf("f(t)=%d+%dt", b, a), fmt.Sprintf("f(x) = (%d*x)+%d", a, b)}, []string{fmt.Sprintf("f(x)=%dx+%d", a+10, b), fmt.Sprintf("g(x)=%dx+%d", a, b)}
		}},
		{"base", func(r *rand.Rand) (s, o []string) {
			n := pick(r, 5, 500)
			b := pick(r, 2, 9)
			return []string{fmt.Sprintf("%s_%d", strconv.FormatInt(int64(n), b), b), fmt.Sprintf("%s_{%d}", strconv.FormatInt(int64(n), b), b), fmt.Sprint(n), fmt.Sprintf(`%s_{\text{%d}}`, strconv.FormatInt(int64(n), b), b)}, []string{fmt.Sprintf("%s_%d", strconv.FormatInt(int64(n+1), b), b), fmt.Sprintf("%s_%d", strconv.FormatInt(int64(n), b), b+1)}
		}},
		{"words", func(r *rand.Rand) (s, o []string) {
			w := [...]string{"even", "Evelyn", "no solution", "Tuesday", "isosceles", "blue"}
			k := r.IntN(len(w))
			return []string{`\text{` + w[k] + "}", w[k], strings.ToUpper(w[k]), `\textbf{` + w[k] + "}", `\text{ ` + w[k] + ".}"}, []string{w[(k+1)%len(w)]}
		}},
	}
}

func braced(n int) string { return "{" + strconv.Itoa(n) + "}" }

// dressed puts an expression into the texts in which it may be found.
func dressed(r *rand.Rand, s string) string {
	if strings.Contains(s, "$") && !strings.Contains(s, `\$`) || strings.Contains(s, "{") && !strings.Contains(s, `\`) && !strings.Contains(s, "^{") && !strings.Contains(s, "_{") {
		return s
	}
	switch r.IntN(9) {
	case 0:
		return "$" + s + "$"
	case 1:
		return `\boxed{` + s + "}"
	case 2:
		return "We add them up.\nThe answer is $" + s + "$."
	case 3:
		return `\[ \boxed{` + s + `} \]`
	case 4:
		return `\(` + s + `\)`
	case 5:
		return " " + s + " "
	}
	return s
}

// TestProperty checks pairs whose equality is known by construction.
func TestProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pairs, wrong := 0, 0
	check := func(name, a, b string, want bool) {
		pairs++
		if v := Verify(a, b, Options{}); v.Equal != want {
			wrong++
			if wrong < 60 {
				t.Errorf("%s: %q against %q: %v, want %v: %q against %q: %s (%s)", name, a, b, v.Equal, want, v.Gold, v.Answer, v.Reason, v.Outcome)
			}
		}
	}
	rounds := 25
	if testing.Short() {
		rounds = 3
	}
	if n, err := strconv.Atoi(os.Getenv("MATHVERIFY_ROUNDS")); err == nil {
		rounds = n
	}
	for _, f := range families() {
		for range rounds {
			same, other := f.make(r)
			for i, a := range same {
				for k, b := range same {
					if i != k && r.IntN(3) == 0 {
						check(f.name, dressed(r, a), dressed(r, b), true)
					}
				}
				for _, b := range other {
					if r.IntN(3) == 0 {
						check(f.name, dressed(r, a), dressed(r, b), false)
					}
				}
			}
		}
	}
	t.Logf("%d of %d pairs decided rightly", pairs-wrong, pairs)
}
