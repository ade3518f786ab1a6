package mathverify

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostile returns inputs made to exhaust a verifier, by name.
func hostile() map[string]string {
	h := map[string]string{
		"power tower":            `9^{9^{9^{9^{9}}}}`,
		"power tower plain":      `9**9**9**9**9`,
		"power tower no braces":  `9^9^9^9^9`,
		"nested power tower":     `\boxed{\dfrac{5^{(5^{(5^{(5^5)})}-4)}-5}{16}}`,
		"tens":                   `10^{10^{10}}`,
		"large power":            `2^{999999999}`,
		"large base":             `123456789^{123456789}`,
		"large factorial":        `(10^9)!`,
		"factorial":              `10000000!`,
		"factorials":             `5` + strings.Repeat("!", 1000),
		"nested factorial":       `((((9!)!)!)!)!`,
		"binomial":               `\binom{10^9}{5 \cdot 10^8}`,
		"sum":                    `\sum_{k=1}^{10^9} \frac{1}{k}`,
		"nested sums":            `\sum_{a=1}^{2000}\sum_{b=1}^{2000}\sum_{c=1}^{2000} abc`,
		"product":                `\prod_{k=1}^{2000} (x+k)`,
		"sine of a large number": `\sin(10^{10^8})`,
		"exp tower":              `e^{e^{e^{e^{e^{e}}}}}`,
		"small exponents":        `2^{-999999999}`,
		"large root":             `\sqrt[1000000]{2}`,
		"square root of a large": `\sqrt{` + strings.Repeat("7", 1500) + `}`,
		"many digits":            strings.Repeat("9", 100000),
		"many decimals":          `0.` + strings.Repeat("3", 100000),
		"exponent":               `1e999999999`,
		"negative exponent":      `1e-999999999`,
		"mantissas":              strings.Repeat("1e1000*", 1000) + "1",
		"20,000 terms":           strings.Repeat("1+", 20000) + "1",
		"20,000 variables":       strings.Repeat("x+", 20000) + "x",
		"sum to a power":         `(a+b+c+d+e+f+g)^{60}`,
		"powers of sums":         `((((((a+b)^9+c)^9+d)^9+e)^9+f)^9+g)^9`,
		"product of sums":        strings.Repeat("(a+b+c+d)", 200),
		"fractions of variables": strings.Repeat(`\frac{1}{x+`, 40) + "1" + strings.Repeat("}", 40),
		"harmonic":               "1" + strings.Repeat(`+\frac{1}{x+1}+\frac{1}{x-2}+\frac{1}{y+3}`, 60),
		"nested roots":           strings.Repeat(`\sqrt{2+`, 40) + "2" + strings.Repeat("}", 40),
		"nested sines":           strings.Repeat(`\sin(`, 40) + "x" + strings.Repeat(")", 40),
		"sum of sines":           "x" + strings.Repeat(`+\sin(x^2+3)\cos(2x)`, 150),
		"hundreds of logs":       "1" + strings.Repeat(`+\ln(x+2)`, 300),
		"depth 100,000":          strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000),
		"braces 100,000":         strings.Repeat("{", 100000) + "1" + strings.Repeat("}", 100000),
		"depth 2,000":            strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000),
		"open brackets":          strings.Repeat("[", 4000),
		"signs":                  strings.Repeat("-", 4000) + "1",
		"nested fractions":       strings.Repeat(`\frac{1}{`, 900) + "2" + strings.Repeat("}", 900),
		"nested bars":            strings.Repeat("|", 3000) + "x" + strings.Repeat("|", 3000),
		"nested calls":           strings.Repeat("f(", 1200) + "x" + strings.Repeat(")", 1200),
		"nested products":        strings.Repeat("x(", 1200) + "x" + strings.Repeat(")", 1200),
		"nested sets":            strings.Repeat(`\{`, 1200) + "x" + strings.Repeat(`\}`, 1200),
		"plus-minus":             strings.Repeat(`\pm 1 `, 500),
		"plus-minus in a list":   strings.Repeat(`1\pm\sqrt{2},`, 300) + "1",
		"long list":              strings.Repeat("1,", 3000) + "1",
		"list of roots":          strings.Repeat(`\sqrt{2+\sqrt{3}},`, 200) + "1",
		"large matrix":           `\begin{pmatrix}` + strings.Repeat(strings.Repeat("1&", 30)+`1\\`, 30) + `\end{pmatrix}`,
		"large determinant":      `\begin{vmatrix}` + strings.Repeat(strings.Repeat("a&", 11)+`1\\`, 12) + `\end{vmatrix}`,
		"matrix power":           `\begin{pmatrix}a&b\\c&d\end{pmatrix}^{1000000}`,
		"relations":              strings.Repeat("1<", 3000) + "2",
		"unions":                 strings.Repeat(`(1,2)\cup`, 500) + "(3,4)",
		"ratio":                  strings.Repeat("1:", 3000) + "1",
		"subscripts":             "x" + strings.Repeat("_1", 3000),
		"primes":                 "x" + strings.Repeat("'", 5000),
		"degrees":                "x" + strings.Repeat("°", 2000),
		"percents":               "5" + strings.Repeat("%", 5000),
		"NaN":                    "NaN",
		"inf minus inf":          `\infty-\infty`,
		"zero over zero":         `\frac{0}{0}`,
		"zero power":             `0^0`,
		"NUL":                    "5\x00",
		"invalid UTF-8":          "\xff\xfe5\x80",
		"invalid UTF-8 long":     strings.Repeat("\xff", 1<<20),
		"1 MB of letters":        strings.Repeat("a", 1<<20),
		"1 MB of prose":          strings.Repeat("The answer is 5 but ", 1<<20/20),
		"1 MB of answers":        strings.Repeat("answer ", 1<<20/7),
		"1 MB of final answers":  strings.Repeat("final answer is ", 1<<20/16),
		"1 MB of boxes":          strings.Repeat(`\boxed{`, 1<<20/7),
		"1 MB of closed boxes":   strings.Repeat(`\boxed{5} `, 1<<20/10),
		"1 MB of nested boxes":   strings.Repeat(`\boxed{`, 1<<17) + "5" + strings.Repeat(`}`, 1<<17),
		"1 MB of dollars":        strings.Repeat("$", 1<<20),
		"1 MB of formulas":       strings.Repeat("$x$ ", 1<<20/4),
		"1 MB of open formulas":  strings.Repeat(`\(`, 1<<19),
		"1 MB of brackets":       strings.Repeat(`\[ `, 1<<20/3),
		"1 MB of dollars apart":  strings.Repeat("$ a\n", 1<<18),
		"1 MB of digits":         strings.Repeat("1", 1<<20),
		"1 MB of spaces":         strings.Repeat(" ", 1<<20),
		"1 MB of backslashes":    strings.Repeat(`\`, 1<<20),
		"1 MB of doubled":        strings.Repeat(`\\frac`, 1<<18),
		"1 MB of numbers":        strings.Repeat("1.5 x", 1<<18),
		"1 MB of bad numbers":    strings.Repeat("a1", 1<<19),
		"1 MB of dots":           strings.Repeat("1.", 1<<19),
		"1 MB of text":           `\text{` + strings.Repeat("a ", 1<<19) + "}",
		"text in text":           strings.Repeat(`\text{`, 1000) + "5" + strings.Repeat("}", 1000),
		"pmod in pmod":           strings.Repeat(`\pmod{`, 1000) + "5" + strings.Repeat("}", 1000),
		"groups of digits":       strings.Repeat("123,", 1500) + "123",
		"regex":                  "<think></think><answer>" + strings.Repeat("{[1,1,1,1]", 13200),
		"python":                 `__import__('os').system('true')`,
		"format":                 "%s%n%x",
	}
	for i, s := range []string{`\frac`, `\sqrt`, `^`, `_`, `\left`, `\begin{pmatrix}`, `\end{pmatrix}`, `\text`, `\text{`, `|`, `\{`, `$`, `\`, `{`, `}`, `,`,
		`=`, `\pm`, `\sum_`, `\sum_{k=1}^`, `\log_`, `\overline`, `\pmod`, `\mathbb`, `\mathbb(`, `\lfloor`, `<`, `!`, `%`, `'`, "\\\\", `\binom`, `\sin^`, `]`, `\cup`, `\infty`, `:`} {
		h[fmt.Sprintf("alone %d", i)] = s
		h[fmt.Sprintf("repeated %d", i)] = strings.Repeat(s, 2500)
		h[fmt.Sprintf("repeated with spaces %d", i)] = strings.Repeat(s+" 1 ", 1000)
	}
	return h
}

func TestHostile(t *testing.T) {
	const (
		mostTime  = 10 * time.Millisecond
		slack     = 20 // for slow and busy machines
		mostBytes = 16 << 20
	)
	var slowest time.Duration
	var most uint64
	for name, s := range hostile() {
		for _, pair := range [][2]string{{"5", s}, {s, "5"}, {s, s}, {s, s + "+1"}} {
			best := time.Hour
			var bytes uint64
			for range 3 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				v := Verify(pair[0], pair[1], Options{})
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				bytes = after.TotalAlloc - before.TotalAlloc
				best = min(best, took)
				if v.Work > MaxWork+MaxWork/4 {
					t.Errorf("%s: %d units of work", name, v.Work)
				}
				if v.Reason == "" {
					t.Errorf("%s: no reason", name)
				}
				if best < mostTime {
					break
				}
			}
			if best > slowest || best > 4*time.Millisecond {
				slowest = max(best, slowest)
				t.Logf("%s: %v (%d)", name, best, Verify(pair[0], pair[1], Options{}).Work)
			}
			if bytes > most {
				most = bytes
				t.Logf("%s: %d KB", name, bytes>>10)
			}
			if best > mostTime*slack {
				t.Errorf("%s: took %v", name, best)
			}
			if bytes > mostBytes {
				t.Errorf("%s: %d bytes allocated", name, bytes)
			}
		}
	}
}
