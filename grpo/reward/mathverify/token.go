package mathverify

import (
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token's kind is one byte, which for most operators and brackets is the character itself. The others:
const (
	tEnd     = 0
	tNumber  = 'n' // num
	tSymbol  = 'v' // s is its name
	tFunc    = 'f' // s is the function
	tWord    = 'w' // s is a plain word
	tText    = 't' // s is what stands in \text{}
	tUnit    = 'u' // s is a unit's name
	tRel     = 'r' // s is the relation
	tPM      = 'p' // s is + for plus-minus, - for minus-plus
	tDegree  = 'd'
	tOpenSet = 'S'
	tEndSet  = 'Z'
	tOpenAng = 'L'
	tEndAng  = 'G'
	tRow     = 'B' // \\
	tCommand = 'c' // s is frac, sqrt, binom, overline, sum, ...
	tBegin   = 'b' // s is the environment
	tFinish  = 'e'
	tAnd     = 'A' // and, or
	tSetOp   = 'U' // s is u, n or \
	tDots    = 'E'
	tInf     = 'o'
	tNamed   = 'R' // s is the set
	tCond    = 'C' // if, where, for
	tMod     = 'm' // mod, \pmod
	tMoney   = '$'
)

type token struct {
	k   byte
	sp  bool // white space before it
	pos int32
	s   string
	num *Num
}

type tokenizer struct {
	src   string
	i     int
	latex bool // the text has a backslash or a dollar
	out   []token
	stack []byte // open brackets, for what a comma means
	space bool

	noGroups bool // a comma between groups of three digits separates
	grouped  bool // such a comma was read as part of a number
}

// tokenize cuts an expression into tokens in one pass.
func tokenize(src string, math, noGroups bool) (*tokenizer, error) {
	if len(src) > MaxSource {
		return nil, &LimitError{"bytes in an expression", MaxSource}
	}
	t := &tokenizer{src: src, noGroups: noGroups, latex: math || strings.ContainsAny(src, `\$`)}
	t.out = make([]token, 0, min(len(src)+1, 64))
	for {
		more, err := t.next()
		if err != nil {
			return nil, err
		}
		if len(t.out) > MaxTokens {
			return nil, &LimitError{"tokens in an expression", MaxTokens}
		}
		if !more {
			return t, nil
		}
	}
}

func (t *tokenizer) fail(reason string) error { return syntaxError(t.src, t.i, reason) }

func syntaxError(src string, at int, reason string) error {
	if len(src) > 80 {
		src = src[:80]
	}
	return &SyntaxError{strings.ToValidUTF8(src, "�"), at, reason}
}

func (t *tokenizer) add(k byte, s string) {
	t.out = append(t.out, token{k: k, s: s, sp: t.space, pos: int32(t.i)})
	t.space = false
}

func (t *tokenizer) last() byte {
	if len(t.out) == 0 {
		return tEnd
	}
	return t.out[len(t.out)-1].k
}

// afterOperand reports whether the last token ends an operand.
func (t *tokenizer) afterOperand() bool {
	switch t.last() {
	case tNumber, tSymbol, ')', ']', '}', tEndSet, '!', '%', tDegree, tText, tUnit, tInf, '|', '\'':
		return true
	}
	return false
}

func (t *tokenizer) open(k byte) {
	if len(t.stack) < MaxTokens {
		t.stack = append(t.stack, k)
	}
	t.add(k, "")
}

func (t *tokenizer) close(k byte) {
	if len(t.stack) > 0 {
		t.stack = t.stack[:len(t.stack)-1]
	}
	t.add(k, "")
}

func (t *tokenizer) peek(n int) byte {
	if t.i+n < len(t.src) {
		return t.src[t.i+n]
	}
	return 0
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func (t *tokenizer) next() (more bool, err error) {
	for t.i < len(t.src) && (t.src[t.i] == ' ' || t.src[t.i] == '\n' || t.src[t.i] == '\t' || t.src[t.i] == '\r') {
		t.i++
		t.space = true
	}
	if t.i >= len(t.src) {
		t.add(tEnd, "")
		return false, nil
	}
	c := t.src[t.i]
	switch {
	case isDigit(c) || c == '.' && isDigit(t.peek(1)) && t.last() != tNumber:
		return true, t.number()
	case isLetter(c):
		t.letters()
		return true, nil
	case c == '\\':
		return true, t.command()
	case c >= utf8.RuneSelf:
		return true, t.unicode()
	}
	width := 1
	two := ""
	if t.i+2 <= len(t.src) {
		two = t.src[t.i : t.i+2]
	}
	switch c {
	case '+':
		switch {
		case strings.HasPrefix(t.src[t.i:], "+/-"):
			t.add(tPM, "+")
			width = 3
		case two == "+-" && t.last() == tEnd:
			t.add(tPM, "+")
			width = 2
		default:
			t.add('+', "")
		}
	case '-':
		if two == "->" {
			t.add(tRel, "->")
			width = 2
		} else {
			t.add('-', "")
		}
	case '*':
		if two == "**" {
			// Power, or the end of bold text.
			if t.afterOperand() && t.i+2 < len(t.src) {
				t.add('^', "")
			}
			width = 2
		} else if t.afterOperand() && t.i+1 < len(t.src) {
			t.add('*', "")
		}
	case '/', '^', '_', '!', ',', ';', ':', '\'', '&', '|':
		switch {
		case two == "!=":
			t.add(tRel, "!=")
			width = 2
		case two == ":=":
			t.add(tRel, "=")
			width = 2
		default:
			t.add(c, "")
		}
	case '%':
		t.add('%', "")
	case '(', '[':
		t.open(c)
	case ')', ']':
		t.close(c)
	case '{':
		if strings.HasPrefix(t.src[t.i:], "{:}") {
			t.add(':', "")
			width = 3
			break
		}
		if t.latex || t.afterOperand() && !t.space {
			t.open('{')
		} else if t.last() == '^' || t.last() == '_' || t.last() == tCommand {
			t.open('{')
		} else {
			t.open(tOpenSet)
		}
	case '}':
		k := byte('}')
		if !t.latex && len(t.stack) > 0 && t.stack[len(t.stack)-1] == tOpenSet {
			k = tEndSet
		}
		t.close(k)
	case '=':
		switch {
		case two == "==":
			width = 2
		case two == "=>":
			t.add(tRel, "->")
			t.i += 2
			return true, nil
		}
		t.add(tRel, "=")
	case '<', '>':
		switch {
		case two == "<>":
			t.add(tRel, "!=")
			width = 2
		case strings.HasPrefix(t.src[t.i:], "<="), strings.HasPrefix(t.src[t.i:], ">="):
			t.add(tRel, two)
			width = 2
		case c == '<' && strings.HasPrefix(t.src[t.i:], "<|"):
			// A chat marker ends the expression.
			t.i = len(t.src)
			return true, nil
		default:
			t.add(tRel, string(c))
		}
	case '~':
		t.space = true
	case '$':
		// A dollar without its partner is money.
		if isDigit(t.peek(1)) && dollars(t.src) == 1 {
			t.add(tMoney, "$")
		} else {
			t.space = true
		}
	case '.':
		n := 1
		for t.peek(n) == '.' {
			n++
		}
		if n >= 3 {
			t.add(tDots, "")
		} else {
			t.add('.', "")
		}
		width = n
	case '?', '"', '`', '#', '@':
		t.add(c, "")
	default:
		return false, t.fail("a control character")
	}
	t.i += width
	return true, nil
}

func (t *tokenizer) unicode() error {
	r, n := utf8.DecodeRuneInString(t.src[t.i:])
	if r == utf8.RuneError {
		return t.fail("invalid UTF-8")
	}
	switch r {
	case '×', '·', '⋅', '∙', '∗', '•':
		t.add('*', "")
	case '÷', '⁄', '∕':
		t.add('/', "")
	case '−', '–', '—', '‐', '‑', '﹣', '-':
		t.add('-', "")
	case '+':
		t.add('+', "")
	case '±':
		t.add(tPM, "+")
	case '∓':
		t.add(tPM, "-")
	case '=':
		t.add(tRel, "=")
	case '≠':
		t.add(tRel, "!=")
	case '≤', '⩽', '≦':
		t.add(tRel, "<=")
	case '≥', '⩾', '≧':
		t.add(tRel, ">=")
	case '≈', '≃', '≅', '∼':
		t.add(tRel, "~")
	case '≡':
		t.add(tRel, "==")
	case '∈':
		t.add(tRel, "in")
	case '∉':
		t.add(tRel, "notin")
	case '→', '⇒', '↦', '⟹':
		t.add(tRel, "->")
	case '√':
		t.add(tCommand, "sqrt")
	case '∛':
		t.add(tCommand, "cbrt")
	case '∞':
		t.add(tInf, "")
	case '°', '˚', 'º':
		t.add(tDegree, "")
	case '∪':
		t.add(tSetOp, "u")
	case '∩':
		t.add(tSetOp, "n")
	case '∅', '⌀', 'Ø':
		t.add(tNamed, "O")
	case 'ℝ':
		t.add(tNamed, "R")
	case 'ℤ':
		t.add(tNamed, "Z")
	case 'ℕ':
		t.add(tNamed, "N")
	case 'ℚ':
		t.add(tNamed, "Q")
	case 'ℂ':
		t.add(tNamed, "C")
	case 'π':
		t.add(tSymbol, "pi")
	case '∠', '△', '⊙':
		t.space = true
	case '′', '’', '‘':
		t.add('\'', "")
	case '⟨', '〈':
		t.open(tOpenAng)
	case '⟩', '〉':
		t.close(tEndAng)
	case '⌊':
		t.add(tCommand, "lfloor")
	case '⌋':
		t.add(tCommand, "rfloor")
	case '⌈':
		t.add(tCommand, "lceil")
	case '⌉':
		t.add(tCommand, "rceil")
	case '(':
		t.open('(')
	case ')':
		t.close(')')
	case '【', '】', '。', '\u200b', '\ufeff', '\u200c', '\u200d', '\u2060', '“', '”':
		t.space = true
	case ',', '、':
		t.add(',', "")
	case ':', '∶':
		t.add(':', "")
	case ';':
		t.add(';', "")
	case '%':
		t.add('%', "")
	case '…', '⋯':
		t.add(tDots, "")
	case '∑':
		t.add(tCommand, "sum")
	case '∏':
		t.add(tCommand, "prod")
	case '∫':
		t.add(tCommand, "int")
	case '$', '€', '£', '¥', '₹':
		t.add(tMoney, string(r))
	case '∧':
		t.add(tAnd, "and")
	case '∨':
		t.add(tAnd, "or")
	case '¬':
		t.add(tWord, "not")
	default:
		if a, b, ok := vulgar(r); ok {
			t.fraction(a, b)
			break
		}
		if d, ok := superscript(r); ok {
			// A run of raised digits is one exponent.
			t.add('^', "")
			t.add('{', "")
			digits := ""
			for ok {
				if d == "-" || d == "+" {
					t.add(d[0], "")
				} else {
					digits += d
				}
				t.i += n
				r, n = utf8.DecodeRuneInString(t.src[t.i:])
				d, ok = superscript(r)
			}
			if digits != "" {
				v, good := new(big.Rat).SetString(digits)
				if !good || len(digits) > MaxDigits {
					return t.fail("a bad exponent")
				}
				t.add(tNumber, "")
				t.out[len(t.out)-1].num = &Num{Val: v}
			}
			t.add('}', "")
			return nil
		}
		if d := subscript(r); d >= 0 {
			t.add('_', "")
			t.add(tNumber, "")
			t.out[len(t.out)-1].num = number(int64(d))
			break
		}
		switch {
		case unicode.IsSpace(r):
			t.space = true
		case unicode.Is(unicode.Greek, r):
			t.add(tSymbol, greek(r))
		case unicode.IsLetter(r):
			// Words of other scripts and accented words.
			j := t.i
			for j < len(t.src) {
				r, m := utf8.DecodeRuneInString(t.src[j:])
				if !unicode.IsLetter(r) || r == utf8.RuneError {
					break
				}
				j += m
			}
			t.add(tWord, strings.ToLower(t.src[t.i:j]))
			t.i = j
			return nil
		case unicode.IsControl(r):
			return t.fail("a control character")
		default:
			t.add('?', "")
		}
	}
	t.i += n
	return nil
}

func (t *tokenizer) fraction(a, b int64) {
	t.add(tCommand, "frac")
	for _, n := range [...]int64{a, b} {
		t.add('{', "")
		t.add(tNumber, "")
		t.out[len(t.out)-1].num = number(n)
		t.add('}', "")
	}
}

func vulgar(r rune) (a, b int64, ok bool) {
	switch r {
	case '½':
		return 1, 2, true
	case '⅓':
		return 1, 3, true
	case '⅔':
		return 2, 3, true
	case '¼':
		return 1, 4, true
	case '¾':
		return 3, 4, true
	case '⅕':
		return 1, 5, true
	case '⅖':
		return 2, 5, true
	case '⅗':
		return 3, 5, true
	case '⅘':
		return 4, 5, true
	case '⅙':
		return 1, 6, true
	case '⅚':
		return 5, 6, true
	case '⅛':
		return 1, 8, true
	case '⅜':
		return 3, 8, true
	case '⅝':
		return 5, 8, true
	case '⅞':
		return 7, 8, true
	}
	return 0, 0, false
}

func superscript(r rune) (string, bool) {
	switch r {
	case '⁰':
		return "0", true
	case '¹':
		return "1", true
	case '²':
		return "2", true
	case '³':
		return "3", true
	case '⁻':
		return "-", true
	case '⁺':
		return "+", true
	}
	if '⁴' <= r && r <= '⁹' {
		return string('4' + r - '⁴'), true
	}
	return "", false
}

func subscript(r rune) int {
	if '₀' <= r && r <= '₉' {
		return int(r - '₀')
	}
	return -1
}

func greek(r rune) string {
	switch r {
	case 'α':
		return "alpha"
	case 'β':
		return "beta"
	case 'γ':
		return "gamma"
	case 'δ':
		return "delta"
	case 'ε', 'ϵ':
		return "epsilon"
	case 'θ', 'ϑ':
		return "theta"
	case 'λ':
		return "lambda"
	case 'μ':
		return "mu"
	case 'ρ':
		return "rho"
	case 'σ':
		return "sigma"
	case 'τ':
		return "tau"
	case 'φ', 'ϕ':
		return "phi"
	case 'ω':
		return "omega"
	case 'η':
		return "eta"
	case 'ξ':
		return "xi"
	case 'ψ':
		return "psi"
	case 'Δ':
		return "Delta"
	case 'Γ':
		return "Gamma"
	case 'Ω':
		return "Omega"
	}
	return string(r)
}

// separator returns the length of what may stand between groups of three digits at s, and whether it is a bare comma.
func separator(s string) (n int, comma bool) {
	blank := func(n int) int {
		for n < len(s) && s[n] == ' ' {
			n++
		}
		return n
	}
	switch {
	case s == "":
		return 0, false
	case s[0] == ',':
		n := blank(1)
		if strings.HasPrefix(s[n:], `\!`) {
			return blank(n + 2), false
		}
		return 1, true
	case strings.HasPrefix(s, `\,`), strings.HasPrefix(s, `\;`), strings.HasPrefix(s, `\:`), strings.HasPrefix(s, `\ `), strings.HasPrefix(s, `\!`):
		return blank(2), false
	case s[0] == '{', s[0] == ' ', s[0] == '~':
		n := 0
		if s[0] != '{' {
			n = 1
		}
		n = blank(n)
		if strings.HasPrefix(s[n:], "{") {
			m := blank(n + 1)
			if strings.HasPrefix(s[m:], ",") {
				m = blank(m + 1)
				if strings.HasPrefix(s[m:], "}") {
					return blank(m + 1), false
				}
			}
			if strings.HasPrefix(s[m:], `\,}`) {
				return m + 3, false
			}
			return 0, false
		}
		if strings.HasPrefix(s[n:], `\,`) {
			return n + 2, false
		}
		if n == 1 {
			return 1, false
		}
	case s[0] == '\'':
		return 1, false
	case s[0] == '_' && digitsAt(s, 1) == 3:
		return 1, false // 1_000; no base has three digits
	case strings.HasPrefix(s, "\u2009"), strings.HasPrefix(s, "\u202f"):
		return 3, false
	case strings.HasPrefix(s, "\u00a0"):
		return 2, false
	}
	return 0, false
}

func digitsAt(s string, i int) int {
	n := 0
	for i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	return n
}

// number reads a number: digits, perhaps in groups of three, a decimal part, a repeating part, an exponent.
func (t *tokenizer) number() error {
	s, i := t.src, t.i
	n := digitsAt(s, i)
	digits := s[i : i+n]
	i += n
	// Groups: 7,425,000 or 310\,027 or 14{,}916 or 1 000. In brackets a bare comma separates.
	inBrackets := len(t.stack) > 0 && (t.stack[len(t.stack)-1] == '(' || t.stack[len(t.stack)-1] == '[' || t.stack[len(t.stack)-1] == tOpenSet)
	if n >= 1 && n <= 3 && digits[0] != '0' {
		var b []byte
		j := i
		for {
			w, comma := separator(s[j:])
			if w == 0 || digitsAt(s, j+w) != 3 || comma && (t.noGroups || inBrackets) {
				break
			}
			if comma {
				t.grouped = true
			}
			if b == nil {
				b = append(b, digits...)
			}
			b = append(b, s[j+w:j+w+3]...)
			j += w + 3
		}
		if b != nil {
			digits, i = string(b), j
		}
		// 1.000.000 has points for commas.
		if b == nil && dotGroups(s[i:]) {
			for i < len(s) && s[i] == '.' && digitsAt(s, i+1) == 3 {
				digits += s[i+1 : i+4]
				i += 4
			}
		}
	}
	decimal := false
	frac, repeat := "", ""
	if i < len(s) && s[i] == '.' {
		j := i + 1
		m := digitsAt(s, j)
		frac = s[j : j+m]
		end := j + m
		if r, after, ok := repetend(s, end); ok {
			repeat, end = r, after
		} else if m > 0 {
			if r, after, ok := dotted(s, end, frac); ok {
				// 0.333...
				frac, repeat, end = frac[:len(frac)-len(r)], r, after
			}
		}
		if m > 0 || repeat != "" {
			decimal = repeat == ""
			i = end
		}
	}
	exp := 0
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		neg := false
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			neg = s[j] == '-'
			j++
		}
		if m := digitsAt(s, j); m > 0 && !(j+m < len(s) && isLetter(s[j+m])) {
			if m > 6 {
				return &LimitError{"digits in a number", MaxDigits}
			}
			for _, c := range s[j : j+m] {
				exp = exp*10 + int(c-'0')
			}
			if neg {
				exp = -exp
			}
			i = j + m
		}
	}
	if len(digits)+len(frac)+len(repeat) > MaxDigits || exp > MaxDigits || exp < -MaxDigits {
		return &LimitError{"digits in a number", MaxDigits}
	}
	if digits == "" {
		digits = "0"
	}
	v := new(big.Rat)
	if whole, ok := new(big.Int).SetString(digits+frac+repeat, 10); ok {
		v.SetInt(whole)
	}
	if repeat != "" {
		// The digits less those that do not repeat, over 99..900..0.
		head, _ := new(big.Int).SetString(digits+frac, 10)
		nines := new(big.Int).Sub(pow10(len(repeat)), big.NewInt(1))
		v.SetFrac(new(big.Int).Sub(v.Num(), head), nines)
	}
	if len(frac) > 0 {
		v.Quo(v, new(big.Rat).SetInt(pow10(len(frac))))
	}
	switch {
	case exp > 0:
		v.Mul(v, new(big.Rat).SetInt(pow10(exp)))
	case exp < 0:
		v.Quo(v, new(big.Rat).SetInt(pow10(-exp)))
	}
	t.add(tNumber, s[t.i:i])
	t.out[len(t.out)-1].num = &Num{v, decimal}
	t.i = i
	return nil
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// dotGroups reports whether s goes on as .ddd.ddd.
func dotGroups(s string) bool {
	n := 0
	for len(s) >= 4 && s[0] == '.' && digitsAt(s, 1) == 3 {
		s = s[4:]
		n++
	}
	return n >= 2
}

// repetend reads \overline{3}, \bar{3}, \dot{3} or (3) behind a decimal point.
func repetend(s string, i int) (digits string, after int, ok bool) {
	for _, head := range [...]string{`\overline`, `\bar`, `\dot`, `{\overline`, `{\dot`, `(`} {
		if !strings.HasPrefix(s[i:], head) {
			continue
		}
		j := i + len(head)
		braces := 0
		if head != "(" {
			for j < len(s) && (s[j] == ' ' || s[j] == '{') {
				if s[j] == '{' {
					braces++
				}
				j++
			}
		}
		n := digitsAt(s, j)
		if n == 0 {
			return "", 0, false
		}
		digits = s[j : j+n]
		j += n
		if head == "(" {
			if j < len(s) && s[j] == ')' {
				return digits, j + 1, true
			}
			return "", 0, false
		}
		if head[0] == '{' {
			braces++
		}
		for braces > 0 && j < len(s) && s[j] == '}' {
			j++
			braces--
		}
		if braces > 0 {
			return "", 0, false
		}
		// \dot{1}4285\dot{7} marks the first and the last digit of the period.
		if n == 1 && strings.HasSuffix(head, "dot") {
			m := digitsAt(s, j)
			if rest, found := strings.CutPrefix(s[j+m:], `\dot`); found {
				if k := strings.IndexFunc(rest, func(r rune) bool { return r != '{' && r != ' ' }); k >= 0 && isDigit(rest[k]) {
					last := rest[k : k+1]
					rest = rest[k+1:]
					after := len(s) - len(rest)
					if k > 0 && strings.HasPrefix(rest, "}") {
						after++
					}
					return digits + s[j:j+m] + last, after, true
				}
			}
		}
		return digits, j, true
	}
	return "", 0, false
}

// dotted reads the ellipsis of 0.1666... and returns the digits before it that repeat.
func dotted(s string, i int, frac string) (digits string, after int, ok bool) {
	after = i
	for _, dots := range [...]string{"...", `\ldots`, `\dots`, `\cdots`, "…"} {
		if strings.HasPrefix(s[i:], dots) {
			after = i + len(dots)
			break
		}
	}
	if after == i || len(frac) > 40 {
		return "", 0, false
	}
	for p := 1; 2*p <= len(frac); p++ {
		if strings.HasSuffix(frac[:len(frac)-p], frac[len(frac)-p:]) {
			return frac[len(frac)-p:], after, true
		}
	}
	return "", 0, false
}

// letters reads a run of letters: a word, a function, a unit, or a product of variables.
func (t *tokenizer) letters() {
	s, i := t.src, t.i
	j := i
	for j < len(s) && isLetter(s[j]) {
		j++
	}
	run := s[i:j]
	low := run
	if strings.ToLower(run) != run {
		low = strings.ToLower(run)
	}
	// 1orW(x)=2: a conjunction without spaces.
	if t.last() == tNumber && !t.space && len(run) <= 4 {
		for _, w := range [...]string{"or", "and"} {
			if strings.HasPrefix(run, w) && len(run) == len(w)+1 {
				t.add(tAnd, w)
				t.i += len(w)
				return
			}
		}
	}
	switch low {
	case "and", "or":
		t.add(tAnd, low)
		t.i = j
		return
	case "if", "where", "when", "for", "with", "such":
		t.add(tCond, low)
		t.i = j
		return
	case "percent", "pct", "percentage":
		t.add('%', "")
		t.i = j
		return
	case "degrees", "degree", "deg":
		t.add(tDegree, "")
		t.i = j
		return
	case "infinity", "infty", "inf", "oo":
		t.add(tInf, "")
		t.i = j
		return
	case "in":
		if t.last() == tSymbol && t.space {
			t.add(tRel, "in")
			t.i = j
			return
		}
	case "mod":
		t.add(tMod, "")
		t.i = j
		return
	case "plus":
		t.add('+', "")
		t.i = j
		return
	case "minus":
		t.add('-', "")
		t.i = j
		return
	case "times":
		t.add('*', "")
		t.i = j
		return
	case "over":
		if t.afterOperand() {
			t.add('/', "")
			t.i = j
			return
		}
	case "squared", "cubed":
		if t.afterOperand() && t.last() != tUnit {
			t.add('^', "")
			t.add(tNumber, "")
			t.out[len(t.out)-1].num = number(int64(2 + (len("squared")-len(low))/2))
			t.i = j
			return
		}
	case "st", "nd", "rd", "th":
		if t.last() == tNumber && !t.space {
			t.i = j // 3rd
			return
		}
	case "union":
		t.add(tSetOp, "u")
		t.i = j
		return
	case "intersection":
		t.add(tSetOp, "n")
		t.i = j
		return
	case "x":
		// 3 x 4
		k := j
		for k < len(s) && s[k] == ' ' {
			k++
		}
		if t.last() == tNumber && k < len(s) && isDigit(s[k]) && (t.space == (k > j)) && t.out[len(t.out)-1].s != "" {
			t.add('*', "")
			t.i = j
			return
		}
	case "matrix":
		// Matrix([[1, 2], [3, 4]])
		if j < len(s) && s[j] == '(' {
			t.space = true
			t.i = j
			return
		}
	case "u":
		if run == "U" && (t.last() == ')' || t.last() == ']' || t.last() == tEndSet) {
			t.add(tSetOp, "u")
			t.i = j
			return
		}
	}
	if t.afterOperand() {
		if _, ok := unitNamed(run); ok {
			alone := len(run) >= 2
			if !alone && !t.latex && t.space && t.last() == tNumber {
				rest := strings.TrimLeft(s[j:], " ")
				alone = rest == "" || rest == "." || rest[0] == '/' || strings.HasPrefix(rest, "^2") || strings.HasPrefix(rest, "^3") || strings.HasPrefix(rest, "²")
			}
			if alone {
				t.add(tUnit, run)
				t.i = j
				return
			}
		}
	}
	if greekNamed(run) {
		t.add(tSymbol, run)
		t.i = j
		return
	}
	// Cut the run into functions and single letters; if too many letters stay loose it is a word.
	var cut [12]string
	n, loose, most := 0, 0, 0
	for k := 0; k < len(run); {
		if n == len(cut) {
			most = len(run)
			break
		}
		w := 1
		for l := min(len(run)-k, 9); l >= 2; l-- {
			if functionNamed(run[k:k+l]) != "" || run[k:k+l] == "pi" {
				w = l
				break
			}
		}
		if w == 1 {
			loose++
			most = max(most, loose)
		} else {
			loose = 0
		}
		cut[n] = run[k : k+w]
		n++
		k += w
	}
	upper := strings.ToUpper(run) == run
	if most >= 5 || most == 4 && !upper && n == 4 && word4(low) || n > most && most >= 3 {
		t.add(tWord, run)
		t.i = j
		return
	}
	for _, w := range cut[:n] {
		switch {
		case w == "pi":
			t.add(tSymbol, "pi")
		case len(w) > 1:
			t.add(tFunc, functionNamed(w))
		default:
			t.add(tSymbol, w)
		}
		t.i += len(w)
	}
}

// word4 reports whether four letters are rather a word than a product.
func word4(s string) bool {
	switch s {
	case "none", "even", "zero", "true", "both", "four", "five", "nine", "only", "same", "left", "down", "blue", "pink", "east", "west", "rise",
		"fall", "data", "king", "yeas", "cube", "line", "ball", "time", "days", "more", "less":
		return true
	}
	return false
}

func greekNamed(s string) bool {
	switch s {
	case "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "sigma", "phi", "omega", "rho", "tau", "varphi", "pi", "eta", "psi", "xi":
		return true
	}
	return false
}

// functionNamed returns the name under which a Call knows a function.
func functionNamed(s string) string {
	switch s {
	case "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch", "ln", "exp", "log", "lg",
		"max", "min", "gcd", "lcm", "det", "abs", "floor", "ceil", "sqrt", "cbrt", "binom", "factorial", "arg", "cis":
		return s
	case "arcsin", "asin":
		return "arcsin"
	case "arccos", "acos":
		return "arccos"
	case "arctan", "atan", "arctg":
		return "arctan"
	case "arccot", "acot", "arcctg":
		return "arccot"
	case "arcsec":
		return "arcsec"
	case "arccsc":
		return "arccsc"
	case "arcsinh", "asinh", "arsinh":
		return "arcsinh"
	case "arccosh", "acosh", "arcosh":
		return "arccosh"
	case "arctanh", "atanh", "artanh":
		return "arctanh"
	case "tg":
		return "tan"
	case "ctg", "cotg":
		return "cot"
	case "cosec":
		return "csc"
	case "ceiling":
		return "ceil"
	case "Abs":
		return "abs"
	case "binomial":
		return "binom"
	}
	return ""
}

// argument returns what stands in braces at i, i at or before the brace, and where it ends.
func argument(s string, i int) (arg string, after int, ok bool) {
	for i < len(s) && s[i] == ' ' {
		i++
	}
	if i >= len(s) || s[i] != '{' {
		return "", i, false
	}
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '{':
			depth++
		case '}':
			depth--
			if depth == 0 {
				return s[i+1 : j], j + 1, true
			}
		}
	}
	return s[i+1:], len(s), true
}

// command reads a LaTeX command.
func (t *tokenizer) command() error {
	s := t.src
	j := t.i + 1
	if j >= len(s) {
		t.i = j
		return nil
	}
	if !isLetter(s[j]) {
		c := s[j]
		width := 2
		switch c {
		case '\\':
			// A row ends. Behind it may stand [2mm].
			t.add(tRow, "")
			if strings.HasPrefix(s[j+1:], "[") {
				if k := strings.IndexByte(s[j+1:min(len(s), j+12)], ']'); k > 0 && strings.ContainsAny(s[j+1:j+1+k], "pmex") {
					width += k + 1
				}
			}
		case '{':
			t.open(tOpenSet)
		case '}':
			t.close(tEndSet)
		case '%':
			t.add('%', "")
		case '$':
			t.add(tMoney, "$")
		case '|':
			t.add('|', "")
		case '(', ')', '[', ']', ',', ';', ':', ' ', '!', '>', '/', '\n', '\t':
			t.space = true
		case '&':
			t.add(tAnd, "and")
		case '#', '_', '-':
		default:
			if c >= utf8.RuneSelf || c < ' ' {
				width = 1
			}
		}
		t.i += width
		return nil
	}
	for j < len(s) && isLetter(s[j]) {
		j++
	}
	name := s[t.i+1 : j]
	if !knownCommand(name) {
		// \quadx, \pir: a known command runs into letters.
		for l := len(name) - 1; l >= 2; l-- {
			if knownCommand(name[:l]) {
				j -= len(name) - l
				name = name[:l]
				break
			}
		}
	}
	t.i = j
	switch name {
	case "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "middle":
		t.space = true
		for t.i < len(s) && s[t.i] == ' ' {
			t.i++
		}
		if t.i < len(s) && s[t.i] == '.' && !isDigit(t.peek(1)) {
			t.i++
		}
	case "displaystyle", "textstyle", "limits", "nolimits", "quad", "qquad", "enspace", "thinspace", "bf", "rm", "it", "boxed", "fbox", "mathstrut",
		"angle", "triangle", "odot", "vec", "hat", "widehat", "overrightarrow", "underline", "cancel", "bm", "boldsymbol", "ensuremath", "mathbf",
		"mathit", "mathsf", "mathcal", "mathscr", "mathfrak", "indent", "noindent", "newline", "nonumber", "hfill", "negthinspace", "tilde", "widetilde",
		"Large", "large", "small", "tiny", "square", "therefore", "because", "pmb", "normalsize", "scriptstyle", "scriptsize", "dot":
		t.space = true
	case "hspace", "vspace", "label", "tag", "color", "textcolor", "phantom", "hphantom", "vphantom", "hskip", "kern", "ref":
		_, t.i, _ = argument(s, t.i)
		t.space = true
	case "frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac":
		t.add(tCommand, "frac")
	case "sqrt", "sum", "prod", "int", "lim", "overline", "lfloor", "rfloor", "lceil", "rceil", "choose", "over", "oint", "iint":
		t.add(tCommand, name)
	case "bar":
		t.add(tCommand, "overline")
	case "binom", "dbinom", "tbinom":
		t.add(tCommand, "binom")
	case "begin", "end":
		arg, after, ok := argument(s, t.i)
		if !ok {
			return t.fail("an environment without a name")
		}
		t.i = after
		arg = strings.TrimSuffix(strings.TrimSpace(arg), "*")
		if name == "begin" {
			if arg == "array" || arg == "tabular" {
				_, t.i, _ = argument(s, t.i)
			}
			t.stack = append(t.stack, 'b')
			t.add(tBegin, arg)
		} else {
			if len(t.stack) > 0 {
				t.stack = t.stack[:len(t.stack)-1]
			}
			t.add(tFinish, arg)
		}
	case "text", "mbox", "textbf", "textit", "textrm", "textsf", "texttt", "textnormal", "mathrm", "operatorname", "mathop", "hbox", "emph", "textup":
		arg, after, ok := argument(s, t.i)
		if !ok {
			t.space = true
			break
		}
		t.i = after
		t.textBlock(name, arg)
	case "mathbb", "mathds", "Bbb":
		arg, after, ok := argument(s, t.i)
		if !ok && t.i < len(s) {
			for t.i < len(s) && s[t.i] == ' ' {
				t.i++
			}
			if t.i < len(s) && isLetter(s[t.i]) {
				arg, after = s[t.i:t.i+1], t.i+1
			}
		}
		t.i = after
		arg = strings.TrimSpace(arg)
		switch {
		case arg == "":
			t.space = true
		case len(arg) == 1 && strings.Contains("RZNQC", arg):
			t.add(tNamed, arg)
		default:
			t.add(tSymbol, arg)
		}
	case "R", "Z", "N", "Q", "C":
		t.add(tNamed, name)
	case "emptyset", "varnothing":
		t.add(tNamed, "O")
	case "cdot", "times", "ast", "star", "bullet":
		t.add('*', "")
	case "div":
		t.add('/', "")
	case "pm", "mp":
		t.add(tPM, plusFirst(name == "pm"))
	case "le", "leq", "leqslant", "leqq", "nge", "ngtr":
		t.add(tRel, "<=")
	case "ge", "geq", "geqslant", "geqq", "nle", "nless":
		t.add(tRel, ">=")
	case "lt":
		t.add(tRel, "<")
	case "gt":
		t.add(tRel, ">")
	case "ne", "neq":
		t.add(tRel, "!=")
	case "not":
		for t.i < len(s) && s[t.i] == ' ' {
			t.i++
		}
		switch {
		case t.i < len(s) && s[t.i] == '=':
			t.i++
			t.add(tRel, "!=")
		case strings.HasPrefix(s[t.i:], `\in`):
			t.i += 3
			t.add(tRel, "notin")
		default:
			t.add(tWord, "not")
		}
	case "approx", "sim", "simeq", "cong", "doteq", "thickapprox", "approxeq":
		t.add(tRel, "~")
	case "equiv":
		t.add(tRel, "==")
	case "in", "ni":
		t.add(tRel, "in")
	case "notin":
		t.add(tRel, "notin")
	case "to", "rightarrow", "Rightarrow", "implies", "longrightarrow", "Longrightarrow", "mapsto":
		t.add(tRel, "->")
	case "iff", "Leftrightarrow", "leftrightarrow":
		t.add(tRel, "->")
	case "infty":
		t.add(tInf, "")
	case "circ", "degree":
		t.add(tDegree, "")
	case "cup", "bigcup":
		t.add(tSetOp, "u")
	case "cap", "bigcap":
		t.add(tSetOp, "n")
	case "setminus", "backslash", "smallsetminus":
		t.add(tSetOp, `\`)
	case "land", "wedge":
		t.add(tAnd, "and")
	case "lor", "vee":
		t.add(tAnd, "or")
	case "lbrace":
		t.open(tOpenSet)
	case "rbrace":
		t.close(tEndSet)
	case "langle":
		t.open(tOpenAng)
	case "rangle":
		t.close(tEndAng)
	case "lbrack":
		t.open('[')
	case "rbrack":
		t.close(']')
	case "lvert", "rvert", "vert", "mid", "lVert", "rVert", "Vert":
		t.add('|', "")
	case "colon":
		t.add(':', "")
	case "prime":
		t.add('\'', "")
	case "ldots", "dots", "cdots", "dotsb", "dotsc", "dotsm", "vdots":
		t.add(tDots, "")
	case "bmod", "mod":
		t.add(tMod, "")
	case "pmod":
		t.add(tMod, "p")
	case "pounds":
		t.add(tMoney, "£")
	case "euro":
		t.add(tMoney, "€")
	case "yen":
		t.add(tMoney, "¥")
	case "percent":
		t.add('%', "")
	case "epsilon", "varepsilon":
		t.add(tSymbol, "epsilon")
	case "phi", "varphi":
		t.add(tSymbol, "phi")
	case "theta", "vartheta":
		t.add(tSymbol, "theta")
	case "ell", "partial", "nabla":
		t.add(tSymbol, name)
	case "intercal", "top":
		t.add(tSymbol, "T")
	case "imath":
		t.add(tSymbol, "i")
	default:
		if f := functionNamed(name); f != "" {
			t.add(tFunc, f)
		} else {
			t.add(tSymbol, name)
		}
	}
	return nil
}

func plusFirst(plus bool) string {
	if plus {
		return "+"
	}
	return "-"
}

// knownCommand reports whether a LaTeX command is known well enough to be cut off a longer run of letters.
func knownCommand(s string) bool {
	switch s {
	case "quad", "qquad", "cdot", "times", "pi", "alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "sigma", "phi", "omega", "rho", "tau",
		"epsilon", "varepsilon", "varphi", "infty", "leq", "geq", "neq", "le", "ge", "ne", "lt", "gt", "pm", "mp", "cup", "cap", "ldots", "dots", "cdots",
		"left", "right", "text", "sqrt", "frac", "dfrac", "tfrac", "cfrac", "approx", "equiv", "to", "in", "int", "sum", "prod", "lim", "boxed", "begin",
		"end", "mathrm", "mathbb", "mathbf", "circ", "degree", "angle", "triangle", "div", "binom", "overline", "displaystyle", "langle", "rangle",
		"lfloor", "rfloor", "lceil", "rceil", "mid", "vert", "lvert", "rvert", "emptyset", "varnothing", "setminus", "notin", "operatorname", "mbox",
		"textbf", "textit", "textrm", "prime", "bmod", "pmod", "mod", "ell", "star", "ast", "Delta", "Gamma", "Omega", "Sigma", "Phi", "Theta",
		"Lambda", "Psi", "psi", "xi", "eta", "zeta", "kappa", "nu", "chi", "iota", "iff", "implies", "rightarrow", "Rightarrow", "vec", "hat", "bar",
		"tilde", "dot", "not", "choose", "over", "sim", "cong", "partial", "nabla", "therefore", "leqslant", "geqslant", "lbrace", "rbrace", "bullet",
		"underline", "hspace", "vspace", "wedge", "vee", "land", "lor", "perp", "parallel", "subset", "subseteq", "dbinom", "tbinom", "mathcal",
		"overrightarrow", "widehat", "cancel", "tag", "label", "color", "textcolor", "phantom", "big", "Big", "bigl", "bigr", "Bigl", "Bigr":
		return true
	}
	return functionNamed(s) != ""
}

// textBlock adds the token for what stands in \text{...} and its kin.
func (t *tokenizer) textBlock(command, arg string) {
	trimmed := strings.Trim(arg, " ~\t\n\\,;:")
	if trimmed == "" {
		if strings.Contains(arg, ",") {
			t.add(',', "")
			return
		}
		t.space = true
		return
	}
	if f := functionNamed(trimmed); f != "" {
		if _, unit := unitNamed(trimmed); !unit || !t.afterOperand() {
			t.add(tFunc, f)
			return
		}
	}
	if len(trimmed) == 1 && isLetter(trimmed[0]) && (command == "mathrm" || command == "operatorname") && !t.unitPlace(trimmed) {
		t.add(tSymbol, trimmed)
		return
	}
	low := strings.ToLower(trimmed)
	fields := strings.Fields(strings.Trim(low, ".,;: "))
	if len(fields) > 0 {
		switch fields[len(fields)-1] {
		case "and", "or":
			t.add(tAnd, fields[len(fields)-1])
			return
		}
		switch fields[0] {
		case "and", "or":
			if len(fields) <= 3 {
				t.add(tAnd, fields[0])
				return
			}
		case "if", "where", "when", "for", "with", "such":
			t.add(tCond, fields[0])
			return
		case "percent", "pct", "percentage", "%":
			t.add('%', "")
			return
		case "degrees", "degree", "deg":
			t.add(tDegree, "")
			return
		case "mod":
			if len(fields) == 1 {
				t.add(tMod, "")
				return
			}
		case "rank", "tr", "dim":
		}
	}
	t.add(tText, arg)
}

// unitPlace reports whether a single upright letter stands for a unit: behind a number.
func (t *tokenizer) unitPlace(s string) bool {
	if !t.afterOperand() {
		return false
	}
	_, ok := unitNamed(s)
	return ok && s != "e" && s != "d"
}
