package mathverify

import (
	"errors"
	"math/big"
	"strings"
	"unicode"
)

// Parse reads one expression, LaTeX or plain. What it cannot read but is made of words becomes a [Text]. The error is a
// [*SyntaxError] or a [*LimitError].
func Parse(src string) (Expr, error) {
	e, _, err := read(src, false, false, 0)
	return e, err
}

// read parses src and reports whether a comma was taken for a separator of thousands. math says that src stood between the
// delimiters of LaTeX, noGroups that commas separate.
func read(src string, math, noGroups bool, nested int) (e Expr, grouped bool, err error) {
	src = strings.TrimSpace(src)
	if src == "" {
		return nil, false, syntaxError(src, 0, "empty")
	}
	if v := plainNumber(src); v != nil {
		return v, false, nil
	}
	if n, ok := numeral(src); ok {
		return number(n), false, nil
	}
	if nested > 0 && onlyLetters(src) {
		return &Text{words(src)}, false, nil
	}
	t, err := tokenize(src, math, noGroups)
	if err == nil {
		if s, ok := onlyText(t.out); ok {
			if nested < 3 {
				return read(s, math, noGroups, nested+1)
			}
			return &Text{words(src)}, false, nil
		}
		p := &parser{src: src, t: t.out, latex: t.latex}
		e, err = p.answer()
		if err == nil {
			return e, t.grouped, nil
		}
	}
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		if w, ok := prose(src); ok {
			return &Text{w}, false, nil
		}
	}
	return nil, false, err
}

// onlyText returns what stands in \text{} if that is all there is.
func onlyText(t []token) (string, bool) {
	s, n := "", 0
	for i := range t {
		switch t[i].k {
		case '{', '}', '.', tEnd:
		case tText:
			s = t[i].s
			n++
		default:
			return "", false
		}
	}
	return s, n == 1
}

// onlyLetters reports whether the text of a \text{} is a word and neither a letter nor a name for one.
func onlyLetters(s string) bool {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c):
			n++
		case c != ' ' && c != '.':
			return false
		}
	}
	for _, f := range strings.Fields(s) {
		if f == "and" || f == "or" {
			return false
		}
	}
	return n > 1 && !greekNamed(strings.Trim(s, " ."))
}

// plainNumber reads the most common answer, a short integer, without the tokenizer.
func plainNumber(s string) *Num {
	digits := s
	if len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 15 {
		return nil
	}
	n := int64(0)
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return nil
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return number(n)
}

// words returns the letters and digits of s in lower case, in words with one space between them.
func words(s string) string {
	for _, command := range [...]string{`\textbf`, `\textit`, `\textrm`, `\text`, `\mathrm`, `\mbox`, `\mathbf`, `\operatorname`, `\boxed`, `\quad`, `\left`, `\right`} {
		if strings.Contains(s, command) {
			s = strings.ReplaceAll(s, command, " ")
		}
	}
	var b strings.Builder
	gap := false
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			if r != '\'' && r != '’' {
				gap = true
			}
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// hasCommand reports whether s has a LaTeX command that does not only set text.
func hasCommand(s string) bool {
	for i := strings.IndexByte(s, '\\'); i >= 0; {
		j := i + 1
		for j < len(s) && isLetter(s[j]) {
			j++
		}
		switch s[i+1 : j] {
		case "", "text", "textbf", "textit", "textrm", "mathrm", "mbox", "mathbf", "operatorname", "boxed", "quad", "qquad", "left", "right", "bf":
		default:
			return true
		}
		k := strings.IndexByte(s[j:], '\\')
		if k < 0 {
			break
		}
		i = j + k
	}
	return false
}

// prose returns the words of s if s is words rather than mathematics.
func prose(s string) (string, bool) {
	if len(s) > 300 || hasCommand(s) {
		return "", false
	}
	w := words(s)
	letters, longest, run := 0, 0, 0
	for _, r := range w {
		if unicode.IsLetter(r) {
			letters++
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	if letters == 0 || longest < 2 && strings.ContainsAny(s, `\^_=+*/<>`) {
		return "", false
	}
	if longest < 3 && strings.ContainsAny(s, `\^=+*<>`) {
		return "", false
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return "", false
		}
	}
	return w, true
}

type parser struct {
	src   string
	t     []token
	i     int
	depth int
	latex bool
	within
}

// within is what the innermost brackets make of some characters.
type within struct {
	inBars  int  // open | | brackets
	cells   bool // a & separates (in a matrix)
	outward bool // a [ closes (in ]a,b[)
	noBar   bool // a | separates (in a set before its condition)
	noColon bool
}

// open begins new brackets and returns what restore needs at their end.
func (p *parser) open() within {
	w := p.within
	p.within = within{}
	return w
}

func (p *parser) restore(w within) { p.within = w }

func (p *parser) tok() *token    { return &p.t[p.i] }
func (p *parser) kind() byte     { return p.t[p.i].k }
func (p *parser) is(k byte) bool { return p.t[p.i].k == k }
func (p *parser) kindAt(n int) byte {
	if p.i+n < len(p.t) {
		return p.t[p.i+n].k
	}
	return tEnd
}

func (p *parser) skip(k byte) bool {
	if p.is(k) {
		p.i++
		return true
	}
	return false
}

func (p *parser) fail(reason string) error { return syntaxError(p.src, int(p.tok().pos), reason) }

func (p *parser) enter() error {
	p.depth++
	if p.depth > 6*MaxDepth {
		return &LimitError{"levels of nesting", MaxDepth}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// deeper guards the loops that nest nodes without recursion.
func deeper(n int) error {
	if n > MaxDepth {
		return &LimitError{"levels of nesting", MaxDepth}
	}
	return nil
}

// answer reads the whole input.
func (p *parser) answer() (Expr, error) {
	for {
		switch p.kind() {
		case ':', '.', ',', ';', tAnd, tRow, '"', '*', '`', '#':
			p.i++
			continue
		case tRel:
			// "= 5", "≈ 5"
			if s := p.tok().s; s == "=" || s == "~" || s == "->" {
				p.i++
				continue
			}
		}
		break
	}
	e, err := p.list()
	if err != nil {
		return nil, err
	}
	for {
		switch p.kind() {
		case '.', ',', ';', ':', '"', '`', '?', '*', '#', tRow, tAnd, tText, '&', '\'':
			p.i++
			continue
		case '}', tEndSet:
			// An answer cut out of a longer formula may end with brackets that it did not open.
			p.i++
			continue
		case tFinish:
			p.i++
			continue
		case tWord, tCond:
			return e, nil // "5 for all n", "5 ways"
		case tEnd:
			return e, nil
		}
		return nil, p.fail("not understood")
	}
}

// list reads relations with commas, semicolons, "and" and "or" between them.
func (p *parser) list() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var groups [][]Expr
	var cur []Expr
	count, or := 0, false
	for {
		e, err := p.relation()
		if err != nil {
			return nil, err
		}
		cur = append(cur, e)
		if count++; count > MaxItems {
			return nil, &LimitError{"items in a list", MaxItems}
		}
		sep := byte(0)
		for {
			k := p.kind()
			if k != ',' && k != ';' && k != tAnd && k != tRow && k != '&' {
				break
			}
			if sep != ';' && k != '&' {
				sep = k
				if k == tRow {
					sep = ';'
				}
			}
			or = or || k == tAnd && p.tok().s == "or"
			p.i++
		}
		if sep == 0 || !p.startsItem() {
			break
		}
		if sep == ';' {
			groups = append(groups, cur)
			cur = nil
		}
	}
	groups = append(groups, cur)
	flat := true
	for _, g := range groups {
		flat = flat && len(g) == 1
	}
	var items []Expr
	switch {
	case len(groups) == 1:
		items = bind(groups[0])
	case flat:
		for _, g := range groups {
			items = append(items, g...)
		}
		items = bind(items)
	default:
		for _, g := range groups {
			g = bind(g)
			if len(g) == 1 {
				items = append(items, g[0])
			} else {
				items = append(items, &List{g, false})
			}
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &List{items, or}, nil
}

// bind gives the values of "n = 1, 2, 3" to n, and drops "k in Z" beside other items.
func bind(items []Expr) []Expr {
	if len(items) < 2 {
		return items
	}
	kept := items[:0:0]
	for _, e := range items {
		if r, ok := e.(*Rel); ok && len(r.Ops) == 1 && r.Ops[0] == "in" {
			if _, ok := r.Items[1].(*NamedSet); ok {
				continue
			}
		}
		kept = append(kept, e)
	}
	if len(kept) > 0 {
		items = kept
	}
	first, ok := items[0].(*Rel)
	if !ok || len(items) < 2 || first.Ops[len(first.Ops)-1] != "=" && first.Ops[len(first.Ops)-1] != "in" {
		return items
	}
	values := []Expr{first.Items[len(first.Items)-1]}
	for _, e := range items[1:] {
		if _, ok := e.(*Rel); ok {
			return items
		}
		values = append(values, e)
	}
	all := append([]Expr{}, first.Items[:len(first.Items)-1]...)
	return []Expr{&Rel{append(all, &List{values, false}), first.Ops}}
}

// startsItem reports whether an item of a list can begin here.
func (p *parser) startsItem() bool {
	switch p.kind() {
	case '-', '+', tPM, tRel:
		return true
	}
	return p.startsOperand()
}

func (p *parser) startsOperand() bool {
	switch p.kind() {
	case '[':
		switch p.kindAt(1) {
		case tEnd, '}', ')', ']', ',', ';', '.', tSetOp, tEndSet, tAnd, tRel, tFinish, '&', '|':
			return false // the end of [a, b[
		}
		return !p.outward
	case tNumber, tSymbol, tFunc, tWord, tText, '(', '{', tOpenSet, tOpenAng, tBegin, tInf, tNamed, tMoney, tDots, tUnit:
		return true
	case tCommand:
		s := p.tok().s
		return s != "rfloor" && s != "rceil" && s != "choose" && s != "over"
	case '|':
		return p.inBars == 0 && !p.noBar
	}
	return false
}

// relation reads a chain a = b < c.
func (p *parser) relation() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var items []Expr
	var ops []string
	if p.is(tRel) && p.tok().s != "=" && p.tok().s != "~" {
		// "< 5": the variable is understood.
		items = append(items, &Sym{"_"})
	} else {
		for p.is(tRel) {
			p.i++
		}
		e, err := p.ratio()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	for {
		for p.is('&') && !p.cells {
			p.i++
		}
		if !p.is(tRel) {
			break
		}
		op := p.tok().s
		p.i++
		for p.is('&') || p.is(tRel) && p.tok().s == "=" {
			p.i++
		}
		if !p.startsItem() && op != "->" {
			if len(ops) == 0 && (p.is(tEnd) || p.is('}')) && len(items) == 1 && op != "=" {
				return nil, p.fail("a relation without a right side")
			}
			break // "5 =": a trailing sign
		}
		if op == "->" && !p.startsItem() {
			break
		}
		e, err := p.ratio()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
		ops = append(ops, op)
		if len(ops) > MaxItems {
			return nil, &LimitError{"relations in a chain", MaxItems}
		}
	}
	// "a => b" says b.
	for k := len(ops) - 1; k >= 0; k-- {
		if ops[k] == "->" {
			if _, isInf := items[k+1].(*Inf); isInf || k == 0 && len(ops) == 1 && isName(items[0]) {
				break
			}
			items, ops = items[k+1:], ops[k+1:]
			break
		}
	}
	// (mod m)
	if p.is(tMod) || p.is('(') && p.kindAt(1) == tMod {
		inBrackets := p.skip('(')
		p.i++
		m, err := p.additive()
		if err != nil {
			return nil, err
		}
		if inBrackets && !p.skip(')') {
			return nil, p.fail("want )")
		}
		if len(ops) > 0 && (ops[len(ops)-1] == "==" || ops[len(ops)-1] == "=") {
			n := len(items)
			return &Rel{[]Expr{items[n-2], items[n-1], m}, []string{"==", "mod"}}, nil
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &Rel{items, ops}, nil
}

// ratio reads a:b:c.
func (p *parser) ratio() (Expr, error) {
	e, err := p.sets()
	if err != nil {
		return nil, err
	}
	if !p.is(':') || p.noColon {
		return e, nil
	}
	parts := []Expr{e}
	for p.is(':') {
		p.i++
		if !p.startsItem() || p.is(tRel) {
			p.i--
			break
		}
		e, err := p.sets()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, e); len(parts) > MaxDepth {
			return nil, &LimitError{"parts of a ratio", MaxDepth}
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	if t, ok := parts[0].(*Text); ok && t != nil {
		// "Answer: 5"
		if len(parts) == 2 {
			return parts[1], nil
		}
	}
	return &Ratio{parts}, nil
}

// sets reads unions, intersections and differences.
func (p *parser) sets() (Expr, error) {
	e, err := p.additive()
	for n := 0; err == nil && p.is(tSetOp); n++ {
		if err := deeper(n); err != nil {
			return nil, err
		}
		op := p.tok().s[0]
		p.i++
		var y Expr
		if y, err = p.additive(); err == nil {
			e = &SetOp{op, e, y}
		}
	}
	return e, err
}

// additive reads a sum.
func (p *parser) additive() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var terms []Expr
	sum := func() Expr {
		if len(terms) == 1 {
			return terms[0]
		}
		return &Add{terms}
	}
	nested := 0
	for first := true; ; first = false {
		sign, pm := byte('+'), ""
		switch k := p.kind(); k {
		case '+', '-':
			sign = k
			p.i++
			// Signs may follow each other: 3 - -2.
			for p.is('+') || p.is('-') {
				if p.is('-') {
					sign = '+' + '-' - sign
				}
				p.i++
			}
		case tPM:
			pm = p.tok().s
			p.i++
		case tSetOp:
			// In numbers a backslash as a minus does not occur; the caller reads it.
			if !first {
				return sum(), nil
			}
		default:
			if !first {
				return sum(), nil
			}
		}
		if !first && !p.startsOperand() {
			if p.is(tEnd) || p.is('}') || p.is(')') || p.is(',') {
				return nil, p.fail("a sum without its last term")
			}
		}
		e, err := p.product()
		if err != nil {
			return nil, err
		}
		switch {
		case pm != "" && len(terms) == 0:
			terms = []Expr{&PlusMinus{nil, e, pm == "-"}}
		case pm != "":
			if nested++; nested > 4 {
				return nil, &LimitError{"signs ±", 4}
			}
			terms = []Expr{&PlusMinus{sum(), e, pm == "-"}}
		case sign == '-':
			if n, ok := e.(*Num); ok && n.Val.Sign() >= 0 {
				terms = append(terms, &Num{new(big.Rat).Neg(n.Val), n.Decimal})
			} else {
				terms = append(terms, &Neg{e})
			}
		default:
			terms = append(terms, e)
		}
		if pm != "" {
			terms = append(make([]Expr, 0, 4), terms...)
		}
	}
}

// product reads factors with or without signs between them, and the unit behind them.
func (p *parser) product() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.factor()
	if err != nil {
		return nil, err
	}
	num, den := []Expr{e}, []Expr(nil)
	done := func() Expr {
		if len(num) == 1 && den == nil {
			return num[0]
		}
		return &Mul{num, den}
	}
	for {
		prev := p.t[p.i-1].k
		switch k := p.kind(); {
		case k == '*':
			p.i++
			if !p.startsOperand() && !p.is('-') && !p.is('+') {
				if p.is(tEnd) {
					return done(), nil // the stars of bold text
				}
				return nil, p.fail("a product without its last factor")
			}
			e, err := p.factor()
			if err != nil {
				return nil, err
			}
			num = append(num, e)
		case k == '/':
			p.i++
			e, err := p.factor()
			if err != nil {
				return nil, err
			}
			den = append(den, e)
		case k == tMod && p.tok().s == "":
			if prev == '(' || !(p.kindAt(1) == tNumber || p.kindAt(1) == tSymbol || p.kindAt(1) == '(') {
				return done(), nil
			}
			p.i++
			m, err := p.factor()
			if err != nil {
				return nil, err
			}
			num, den = []Expr{&Call{"mod", []Expr{done(), m}}}, nil
		case k == tText, k == tUnit, k == tWord, k == tMoney:
			e, ok, err := p.units(done())
			if err != nil {
				return nil, err
			}
			if !ok {
				if k == tWord || k == tText {
					return nil, p.fail("words in a formula")
				}
				return done(), nil
			}
			num, den = []Expr{e}, nil
			if q, isQuantity := e.(*Quantity); isQuantity {
				return p.compound(q)
			}
			if !p.is('*') && !p.is('/') {
				return e, nil
			}
		case k == '{' && (p.kindAt(1) == tWord || p.kindAt(1) == tUnit || p.kindAt(1) == tText) && p.kindAt(2) == '}':
			// 8\sqrt{3}{squareinches}
			p.i++
			e, ok, err := p.units(done())
			if err != nil || !ok {
				return nil, p.fail("words in a formula")
			}
			p.skip('}')
			return e, nil
		case k == '(' && p.kindAt(1) == tMod:
			return done(), nil
		case p.startsOperand():
			if k == tNumber && prev == tNumber {
				return nil, p.fail("two numbers side by side")
			}
			if k == tDots {
				return nil, p.fail("dots inside a formula")
			}
			e, err := p.factor()
			if err != nil {
				return nil, err
			}
			num = append(num, e)
		default:
			return done(), nil
		}
		if len(num)+len(den) > MaxItems {
			return nil, &LimitError{"factors", MaxItems}
		}
	}
}

// compound adds the smaller units of "1 hour 30 minutes".
func (p *parser) compound(q *Quantity) (Expr, error) {
	for n := 0; p.is(tNumber) && n < 4; n++ {
		k := p.i + 1
		if k < len(p.t) && p.t[k].k != tUnit && p.t[k].k != tText && p.t[k].k != tWord {
			return q, nil
		}
		x := p.tok().num
		p.i++
		e, _, err := p.units(x)
		if err != nil {
			return nil, err
		}
		small, ok := e.(*Quantity)
		if !ok || !small.Unit.same(q.Unit) {
			return nil, p.fail("two numbers side by side")
		}
		ratio := new(big.Rat).Quo(small.Unit.Scale, q.Unit.Scale)
		q = &Quantity{&Add{[]Expr{q.X, &Mul{[]Expr{small.X, &Num{ratio, false}}, nil}}}, q.Unit}
	}
	return q, nil
}

// minutes adds the minutes and seconds of an angle: 45°30'15”.
func (p *parser) minutes(e Expr) Expr {
	d, ok := e.(*Degree)
	if !ok || !p.is(tNumber) || p.kindAt(1) != '\'' {
		return e
	}
	sum := []Expr{d.X}
	for unit := int64(60); unit <= 3600 && p.is(tNumber) && p.kindAt(1) == '\''; unit *= 60 {
		if unit == 3600 && p.kindAt(2) != '\'' {
			break
		}
		sum = append(sum, &Num{new(big.Rat).Quo(p.tok().num.Val, big.NewRat(unit, 1)), p.tok().num.Decimal})
		p.i += 2
		if unit == 3600 {
			p.i++
		}
	}
	return &Degree{&Add{sum}}
}

// units reads the unit or the words behind e. It refuses words behind bare variables: those are prose.
func (p *parser) units(e Expr) (Expr, bool, error) {
	if !some(e, func(e Expr) bool {
		switch x := e.(type) {
		case *Num, *Tuple, *Set, *Matrix, *Inf:
			return true
		case *Sym:
			return x.Name == "pi"
		}
		return false
	}) {
		if !p.is(tText) && !p.is(tMoney) {
			return nil, false, nil
		}
	}
	var b strings.Builder
	inWords := false
	for {
		switch p.kind() {
		case tSymbol, tFunc, '\'':
			if inWords && !p.latex {
				p.i++
				continue
			}
		case tText, tUnit, tWord, tMoney:
			inWords = inWords || p.is(tWord)
			b.WriteString(p.tok().s)
			b.WriteByte(' ')
			p.i++
			continue
		case '^':
			// cm^2, cm^{2}
			if b.Len() == 0 {
				break
			}
			if p.kindAt(1) == tNumber {
				b.WriteString("^" + p.t[p.i+1].s + " ")
				p.i += 2
				continue
			}
			if p.kindAt(1) == '{' && p.kindAt(2) == tNumber && p.kindAt(3) == '}' {
				s := p.t[p.i+2].s
				if s == "" && p.t[p.i+2].num != nil { // a raised digit
					s = p.t[p.i+2].num.Val.Num().String()
				}
				b.WriteString("^" + s + " ")
				p.i += 4
				continue
			}
		case '/':
			if n := p.kindAt(1); n == tText || n == tUnit || n == tWord {
				b.WriteString("/ ")
				p.i++
				continue
			}
			if p.kindAt(1) == tSymbol && b.Len() > 0 {
				if _, ok := unitNamed(p.t[p.i+1].s); ok {
					b.WriteString("/ " + p.t[p.i+1].s + " ")
					p.i += 2
					continue
				}
			}
		case '.':
			// "ft."
			if n := p.kindAt(1); n == tText || n == tUnit {
				p.i++
				continue
			}
		case '*':
			if n := p.kindAt(1); n == tUnit || n == tText {
				p.i++
				continue
			}
		}
		break
	}
	phrase := b.String()
	switch strings.ToLower(strings.Trim(phrase, " .")) {
	case "hundred":
		return &Mul{[]Expr{e, number(100)}, nil}, true, nil
	case "thousand":
		return &Mul{[]Expr{e, number(1000)}, nil}, true, nil
	case "million":
		return &Mul{[]Expr{e, number(1_000_000)}, nil}, true, nil
	case "billion":
		return &Mul{[]Expr{e, number(1_000_000_000)}, nil}, true, nil
	case "dozen":
		return &Mul{[]Expr{e, number(12)}, nil}, true, nil
	case "percent", "per cent":
		return &Percent{e}, true, nil
	}
	if _, ok := e.(*Quantity); ok {
		return e, true, nil
	}
	if u, ok := unitPhrase(phrase); ok {
		return &Quantity{e, u}, true, nil
	}
	return e, true, nil
}

// factor reads a signed power.
func (p *parser) factor() (Expr, error) {
	neg := false
	for p.is('-') || p.is('+') {
		neg = neg != p.is('-')
		p.i++
	}
	e, err := p.power()
	if err != nil {
		return nil, err
	}
	if neg {
		return &Neg{e}, nil
	}
	return e, nil
}

// power reads a primary with what stands behind and above it.
func (p *parser) power() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(e)
}

func (p *parser) postfix(e Expr) (Expr, error) {
	for n := 0; ; n++ {
		if err := deeper(n); err != nil {
			return nil, err
		}
		switch p.kind() {
		case '^':
			p.i++
			// Degrees and primes.
			if p.is(tDegree) || p.is('{') && p.kindAt(1) == tDegree && p.kindAt(2) == '}' {
				if p.is('{') {
					p.i += 2
				}
				p.i++
				e = p.minutes(&Degree{e})
				p.scale()
				continue
			}
			if p.is('\'') || p.is('{') && p.kindAt(1) == '\'' {
				braces := p.skip('{')
				for p.skip('\'') {
					e = prime(e)
				}
				if braces && !p.skip('}') {
					return nil, p.fail("want }")
				}
				continue
			}
			if _, ok := e.(*Matrix); ok {
				if s := p.superscript(); s == "T" || s == "t" {
					e = &Call{"transpose", []Expr{e}}
					continue
				}
			}
			x, err := p.exponent()
			if err != nil {
				return nil, err
			}
			e = &Pow{e, x}
		case '_':
			if n, ok := e.(*Num); ok && p.t[p.i-1].k == tNumber {
				b, err := p.based(n)
				if err != nil {
					return nil, err
				}
				e = b
				continue
			}
			p.i++
			sub, err := p.subscript()
			if err != nil {
				return nil, err
			}
			switch x := e.(type) {
			case *Sym:
				e = &Sym{x.Name + "_" + sub}
				if c, ok, err := p.call(e.(*Sym)); err != nil {
					return nil, err
				} else if ok {
					e = c
				}
			case *NamedSet:
				e = &NamedSet{x.Name + sub}
			default:
				return nil, p.fail("a subscript here means nothing")
			}
		case '!':
			name := "fact"
			p.i++
			if p.is('!') && !p.tok().sp {
				p.i++
				name = "fact2"
			}
			e = &Call{name, []Expr{e}}
		case '%':
			p.i++
			e = &Percent{e}
		case tDegree:
			p.i++
			e = p.minutes(&Degree{e})
			p.scale()
		case '{':
			if p.kindAt(1) != tDegree || p.kindAt(2) != '}' {
				return e, nil
			}
			p.i += 3
			e = &Degree{e}
		case '\'':
			switch e.(type) {
			case *Sym, *Call:
				p.i++
				e = prime(e)
			default:
				return e, nil
			}
		default:
			return e, nil
		}
	}
}

// superscript takes a raised T for a transpose, if that is what follows.
func (p *parser) superscript() string {
	if p.is(tSymbol) {
		s := p.tok().s
		if s == "T" || s == "t" {
			p.i++
			return s
		}
	}
	if p.is('{') && p.kindAt(1) == tSymbol && p.kindAt(2) == '}' {
		s := p.t[p.i+1].s
		if s == "T" || s == "t" {
			p.i += 3
			return s
		}
	}
	return ""
}

// scale passes over the C or F of a temperature.
func (p *parser) scale() {
	if p.is(tSymbol) && (p.tok().s == "C" || p.tok().s == "F") {
		p.i++
	}
}

func prime(e Expr) Expr {
	switch x := e.(type) {
	case *Sym:
		return &Sym{x.Name + "'"}
	case *Call:
		return &Call{x.Name + "'", x.Args}
	}
	return e
}

// exponent reads what stands behind ^: a group, or one factor with its own exponent.
func (p *parser) exponent() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.is('-') || p.is('+') {
		neg := p.is('-')
		p.i++
		e, err := p.exponent()
		if err != nil || !neg {
			return e, err
		}
		return &Neg{e}, nil
	}
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	if p.is('^') {
		p.i++
		x, err := p.exponent()
		if err != nil {
			return nil, err
		}
		return &Pow{e, x}, nil
	}
	return e, nil
}

// subscript returns the text of what stands behind _.
func (p *parser) subscript() (string, error) {
	start := p.i
	if !p.is('{') {
		t := p.tok()
		switch t.k {
		case tNumber, tSymbol, tText, tWord, tFunc, tInf, tNamed, tUnit:
			p.i++
			if t.num != nil && t.s == "" {
				return t.num.Val.RatString(), nil
			}
			return strings.TrimSpace(t.s), nil
		}
		return "", p.fail("a subscript is missing")
	}
	// Equal indices should be equal texts: read it as an expression if it is one.
	e, err := p.primary()
	if err == nil {
		s := strings.Trim(text(e), `()"`)
		return strings.ReplaceAll(s, " ", ""), nil
	}
	p.i = start
	depth := 0
	var b strings.Builder
	for ; !p.is(tEnd); p.i++ {
		switch t := p.tok(); t.k {
		case '{':
			depth++
		case '}':
			depth--
		default:
			b.WriteByte(t.k)
			b.WriteString(t.s)
		}
		if depth == 0 {
			p.i++
			return b.String(), nil
		}
	}
	return "", p.fail("want }")
}

// based reads 2012_3, the digits of a number in a base.
func (p *parser) based(n *Num) (Expr, error) {
	digits := p.t[p.i-1].s
	p.i++
	base := 0
	sub, err := p.subscript()
	if err != nil {
		return nil, err
	}
	for _, c := range strings.TrimSpace(sub) {
		if c < '0' || c > '9' || base > 36 {
			base = 0
			break
		}
		base = base*10 + int(c-'0')
	}
	if base == 0 {
		switch sub {
		case "two":
			base = 2
		case "ten":
			base = 10
		case "eight":
			base = 8
		}
	}
	if base < 2 || base > 36 || n.Decimal {
		return nil, p.fail("a number with a subscript that is no base")
	}
	clean := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, digits)
	v, ok := new(big.Int).SetString(clean, base)
	if !ok {
		return nil, p.fail("digits that the base does not have")
	}
	return &Num{new(big.Rat).SetInt(v), false}, nil
}

// primary reads an operand.
func (p *parser) primary() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.tok()
	switch t.k {
	case tNumber:
		p.i++
		return p.mixed(t.num), nil
	case tSymbol:
		p.i++
		s := &Sym{t.s}
		if c, ok, err := p.call(s); ok || err != nil {
			return c, err
		}
		return s, nil
	case tFunc:
		return p.function()
	case '(', '[', tOpenAng:
		return p.brackets()
	case ']':
		// ]0,1[ is an open interval.
		return p.brackets()
	case tOpenSet:
		return p.set()
	case '{':
		p.i++
		if p.skip('}') {
			return p.primary()
		}
		saved := p.open()
		e, err := p.list()
		p.restore(saved)
		if err != nil {
			return nil, err
		}
		if p.is(tCommand) && (p.tok().s == "choose" || p.tok().s == "over") {
			op := p.tok().s
			p.i++
			d, err := p.list()
			if err != nil {
				return nil, err
			}
			if op == "over" {
				e = &Mul{[]Expr{e}, []Expr{d}}
			} else {
				e = &Call{"binom", []Expr{e, d}}
			}
		}
		for p.is('.') || p.is(',') {
			p.i++
		}
		if p.is(tCond) {
			// Conditions behind the value say nothing that is compared.
			for depth := 0; !p.is(tEnd) && (depth > 0 || !p.is('}')); p.i++ {
				switch p.kind() {
				case '{':
					depth++
				case '}':
					depth--
				}
			}
		}
		if !p.skip('}') && !p.is(tEnd) {
			return nil, p.fail("want }")
		}
		return e, nil
	case '|':
		if p.inBars > 0 || p.noBar {
			return nil, p.fail("a bar")
		}
		p.i++
		p.inBars++
		colon := p.noColon
		p.noColon = false
		e, err := p.list()
		p.inBars--
		p.noColon = colon
		if err != nil {
			return nil, err
		}
		if !p.skip('|') {
			return nil, p.fail("want |")
		}
		if m, ok := e.(*Matrix); ok {
			return &Call{"det", []Expr{m}}, nil
		}
		return &Call{"abs", []Expr{e}}, nil
	case tCommand:
		return p.command()
	case tBegin:
		return p.environment()
	case tInf:
		p.i++
		return &Inf{}, nil
	case tNamed:
		p.i++
		if p.is('^') && p.kindAt(1) != tEnd {
			// R^+, R^*, R^2
			p.i++
			sup := string(rune(p.kind()))
			if p.skip('{') {
				sup = string(rune(p.kind()))
				for !p.is('}') && !p.is(tEnd) {
					p.i++
				}
			}
			if p.tok().k == tNumber {
				sup = p.tok().s
			}
			if !p.is(tEnd) {
				p.i++
			}
			return &NamedSet{t.s + "^" + sup}, nil
		}
		return &NamedSet{t.s}, nil
	case tText, tWord:
		p.i++
		// Words before a value are noise; before a relation they are its name.
		w := words(t.s)
		for p.is(tText) || p.is(tWord) {
			w += " " + words(p.tok().s)
			p.i++
		}
		if t.k == tText && p.startsOperand() {
			return p.primary()
		}
		return &Text{strings.TrimSpace(w)}, nil
	case tMoney:
		p.i++
		e, err := p.power()
		if err != nil {
			return nil, err
		}
		u, _ := unitNamed(t.s)
		return &Quantity{e, u}, nil
	case tDots:
		p.i++
		return &Sym{"..."}, nil
	case tUnit:
		p.i++
		return &Sym{t.s}, nil
	}
	return nil, p.fail("an operand is missing")
}

// mixed reads the fraction behind a whole number: 4\frac{1}{4} or 4 1/4.
func (p *parser) mixed(n *Num) Expr {
	if n.Decimal || !n.Val.IsInt() {
		return n
	}
	var a, b *big.Rat
	width := 0
	switch {
	case p.is(tCommand) && p.tok().s == "frac":
		if p.kindAt(1) == '{' && p.kindAt(2) == tNumber && p.kindAt(3) == '}' {
			a = p.t[p.i+2].num.Val
			switch {
			case p.kindAt(4) == '{' && p.kindAt(5) == tNumber && p.kindAt(6) == '}':
				b, width = p.t[p.i+5].num.Val, 7
			case p.kindAt(4) == tNumber && len(p.t[p.i+4].s) == 1:
				b, width = p.t[p.i+4].num.Val, 5
			}
		} else if p.kindAt(1) == tNumber && len(p.t[p.i+1].s) == 2 && isDigit(p.t[p.i+1].s[0]) && isDigit(p.t[p.i+1].s[1]) {
			s := p.t[p.i+1].s
			a, b, width = big.NewRat(int64(s[0]-'0'), 1), big.NewRat(int64(s[1]-'0'), 1), 2
		}
	case p.is(tNumber) && p.tok().sp && p.kindAt(1) == '/' && p.kindAt(2) == tNumber:
		a, b, width = p.tok().num.Val, p.t[p.i+2].num.Val, 3
	}
	if a == nil || b == nil || !a.IsInt() || !b.IsInt() || b.Sign() == 0 || a.Cmp(b) >= 0 {
		return n
	}
	p.i += width
	v := new(big.Rat).Quo(a, b)
	return &Num{v.Add(v, n.Val), false}
}

// call reads f(x) behind a name that may be a function, and the point of A(1,2).
func (p *parser) call(s *Sym) (Expr, bool, error) {
	if !p.is('(') || p.kindAt(1) == tMod {
		return nil, false, nil
	}
	head := s.Name[0]
	letter := len(s.Name) == 1 || s.Name[1] == '_' || s.Name[1] == '\''
	known := letter && strings.IndexByte("fghFGH", head) >= 0
	upper := letter && 'A' <= head && head <= 'Z' && p.kindAt(1) == tSymbol && p.kindAt(2) == ')'
	comma, relation := p.inside()
	upper = upper || relation && letter && 'A' <= head && head <= 'Z'
	if !known && !upper && !comma {
		return nil, false, nil // a product
	}
	e, err := p.brackets()
	if err != nil {
		return nil, false, err
	}
	t, tuple := e.(*Tuple)
	switch {
	case !tuple:
		return &Call{s.Name, []Expr{e}}, true, nil
	case !known && letter && 'A' <= head && head <= 'Z':
		return t, true, nil // a point with its name
	}
	return &Call{s.Name, t.Items}, true, nil
}

// inside reports whether the bracket that opens here holds a comma or a relation of its own.
func (p *parser) inside() (comma, relation bool) {
	depth := 0
	for i := p.i; i < len(p.t); i++ {
		switch p.t[i].k {
		case '(', '[', '{', tOpenSet, tOpenAng:
			depth++
		case ')', ']', '}', tEndSet, tEndAng:
			if depth--; depth <= 0 {
				return comma, relation
			}
		case ',':
			comma = comma || depth == 1
		case tRel, '|', tSetOp:
			relation = relation || depth == 1
		}
	}
	return comma, relation
}

// brackets reads (a), (a,b), [a,b), <a,b> and ]a,b[.
func (p *parser) brackets() (Expr, error) {
	left := p.kind()
	p.i++
	defer p.restore(p.open())
	p.outward = left == ']'
	var items []Expr
	var rows []int // where semicolons stand
	or := false
	for {
		e, err := p.relation()
		if err != nil {
			return nil, err
		}
		if items = append(items, e); len(items) > MaxItems {
			return nil, &LimitError{"items in brackets", MaxItems}
		}
		sep := false
		for p.is(',') || p.is(';') || p.is(tAnd) {
			or = or || p.is(tAnd) && p.tok().s == "or"
			if p.is(';') {
				rows = append(rows, len(items))
			}
			p.i++
			sep = true
		}
		if !sep {
			break
		}
	}
	p.skip('.')
	right := p.kind()
	switch right {
	case ')', ']', tEndAng:
	case '[':
		if left != ']' && len(items) != 2 {
			return nil, p.fail("want a closing bracket")
		}
	default:
		return nil, p.fail("want a closing bracket")
	}
	p.i++
	if left == tOpenAng || right == tEndAng {
		return &Tuple{items, '<', '>'}, nil
	}
	if left == ']' {
		left = '('
	}
	if right == '[' {
		right = ')'
	}
	if len(items) == 1 {
		if (left == '(') != (right == ')') {
			return nil, p.fail("brackets that do not fit")
		}
		return items[0], nil
	}
	if or {
		return &List{items, true}, nil
	}
	if left == '[' && len(rows) > 0 && rows[0] > 1 && len(items) == (len(rows)+1)*rows[0] {
		// [1, 2; 3, 4]
		even := true
		for i, r := range rows {
			even = even && r == (i+1)*rows[0]
		}
		if even {
			return &Matrix{len(rows) + 1, rows[0], items}, nil
		}
	}
	return &Tuple{items, left, right}, nil
}

// set reads {a, b} and {x | condition}.
func (p *parser) set() (Expr, error) {
	p.i++
	if p.skip(tEndSet) || p.skip('}') {
		return &NamedSet{"O"}, nil
	}
	defer p.restore(p.open())
	p.noBar, p.noColon = true, true
	var items []Expr
	for {
		if p.is('|') {
			p.noBar = false // the first thing is an absolute value
		}
		e, err := p.relation()
		if err != nil {
			return nil, err
		}
		p.noBar = true
		if items = append(items, e); len(items) > MaxItems {
			return nil, &LimitError{"items in a set", MaxItems}
		}
		if len(items) == 1 && (p.is('|') || p.is(':') || p.is(tCond)) {
			p.i++
			p.noBar, p.noColon = false, false
			for p.is(tWord) || p.is(tSymbol) && p.t[p.i].s == "that" {
				p.i++
			}
			cond, err := p.list()
			if err != nil {
				return nil, err
			}
			if !p.skip(tEndSet) && !p.skip('}') {
				return nil, p.fail("want }")
			}
			return &Builder{items[0], cond}, nil
		}
		sep := false
		for p.is(',') || p.is(';') || p.is(tAnd) {
			p.i++
			sep = true
		}
		if !sep {
			break
		}
	}
	p.skip('.')
	if !p.skip(tEndSet) {
		if !p.skip('}') && !p.is(tEnd) {
			return nil, p.fail("want }")
		}
		if l, ok := items[0].(*List); ok && len(items) == 1 {
			return l, nil // the left brace of a system
		}
	}
	return &Set{items}, nil
}

// argument reads what a command applies to: a group, or one token, of a number one digit.
func (p *parser) argument() (Expr, error) {
	if p.is(tNumber) {
		t := p.tok()
		if len(t.s) > 1 && digitsAt(t.s, 0) == len(t.s) {
			d := number(int64(t.s[0] - '0'))
			rest := t.s[1:]
			v, _ := new(big.Rat).SetString(rest)
			t.s, t.num = rest, &Num{Val: v}
			return d, nil
		}
		p.i++
		return t.num, nil
	}
	if p.is(tSymbol) {
		p.i++
		return &Sym{p.t[p.i-1].s}, nil
	}
	return p.primary()
}

func (p *parser) command() (Expr, error) {
	name := p.tok().s
	p.i++
	switch name {
	case "frac":
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		b, err := p.argument()
		if err != nil {
			return nil, err
		}
		if x, ok := a.(*Num); ok && !x.Decimal {
			if y, ok := b.(*Num); ok && !y.Decimal && y.Val.Sign() != 0 {
				return &Num{new(big.Rat).Quo(x.Val, y.Val), false}, nil
			}
		}
		return &Mul{[]Expr{a}, []Expr{b}}, nil
	case "sqrt":
		n := Expr(number(2))
		if p.is('[') {
			p.i++
			e, err := p.additive()
			if err != nil {
				return nil, err
			}
			if !p.skip(']') {
				return nil, p.fail("want ]")
			}
			n = e
		}
		return p.root(n)
	case "cbrt":
		return p.root(number(3))
	case "binom":
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		b, err := p.argument()
		if err != nil {
			return nil, err
		}
		return &Call{"binom", []Expr{a, b}}, nil
	case "overline":
		e, err := p.argument()
		if err != nil {
			return nil, err
		}
		switch x := e.(type) {
		case *Sym:
			if len(x.Name) == 1 && 'A' <= x.Name[0] && x.Name[0] <= 'Z' {
				return e, nil
			}
		case *Mul:
			if isName(x) {
				return e, nil
			}
		}
		return &Call{"conj", []Expr{e}}, nil
	case "lfloor", "lceil":
		saved := p.inBars
		p.inBars = 0
		e, err := p.relation()
		p.inBars = saved
		if err != nil {
			return nil, err
		}
		if !p.is(tCommand) || p.tok().s != "r"+name[1:] {
			return nil, p.fail("want \\r" + name[1:])
		}
		p.i++
		return &Call{strings.TrimSuffix(name[1:], "ing"), []Expr{e}}, nil
	case "sum", "prod", "int", "lim", "oint", "iint":
		return p.bigOp(name)
	}
	return nil, p.fail("\\" + name + " does not belong here")
}

func (p *parser) root(n Expr) (Expr, error) {
	var x Expr
	var err error
	if p.is(tNumber) {
		x = p.tok().num
		p.i++
	} else {
		x, err = p.primary()
	}
	if err != nil {
		return nil, err
	}
	return &Call{"root", []Expr{x, n}}, nil
}

func (p *parser) bigOp(name string) (Expr, error) {
	b := &BigOp{Op: name}
	for range 2 {
		switch {
		case p.skip('_'):
			if !p.is('{') {
				e, err := p.argument()
				if err != nil {
					return nil, err
				}
				b.Lo = e
				break
			}
			e, err := p.primary()
			if err != nil {
				return nil, err
			}
			if r, ok := e.(*Rel); ok && len(r.Ops) == 1 && (r.Ops[0] == "=" || r.Ops[0] == "->") {
				if s, ok := r.Items[0].(*Sym); ok {
					b.Var, b.Lo = s.Name, r.Items[1]
					break
				}
			}
			if name == "int" {
				b.Lo = e
			} else {
				b.Sub = e
			}
		case p.skip('^'):
			e, err := p.argument()
			if err != nil {
				return nil, err
			}
			b.Hi = e
		}
	}
	e, err := p.product()
	if err != nil {
		return nil, err
	}
	b.Body = e
	return b, nil
}

// function reads a named function with its exponent, base and argument.
func (p *parser) function() (Expr, error) {
	name := p.tok().s
	p.i++
	var exp, base Expr
	for range 2 {
		if p.is('^') && exp == nil {
			p.i++
			e, err := p.exponentDigit()
			if err != nil {
				return nil, err
			}
			exp = e
		} else if p.is('_') && base == nil {
			p.i++
			e, err := p.argument()
			if err != nil {
				return nil, err
			}
			base = e
		}
	}
	var args []Expr
	switch {
	case p.is('(') || p.is('['):
		e, err := p.brackets()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
		if t, ok := e.(*Tuple); ok {
			args = t.Items
		}
	case p.is('{'), p.is(tOpenSet):
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
		switch x := e.(type) {
		case *Set:
			args = x.Items
		case *List:
			args = x.Items
		}
	case name == "sqrt" || name == "cbrt":
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
	default:
		e, err := p.bareArgument()
		if err != nil {
			return nil, err
		}
		args = []Expr{e}
	}
	e, err := p.apply(name, base, args)
	if err != nil {
		return nil, err
	}
	if exp != nil {
		if isMinusOne(exp) {
			if inv := functionNamed("arc" + name); inv != "" {
				return &Call{inv, args}, nil
			}
		}
		return &Pow{e, exp}, nil
	}
	return e, nil
}

func isMinusOne(e Expr) bool {
	if x, ok := e.(*Num); ok {
		return x.Val.Cmp(big.NewRat(-1, 1)) == 0
	}
	n, ok := e.(*Neg)
	if !ok {
		return false
	}
	x, ok := n.X.(*Num)
	return ok && x.Val.Cmp(big.NewRat(1, 1)) == 0
}

// exponentDigit reads the exponent of \sin^2x, one digit unless it is in braces.
func (p *parser) exponentDigit() (Expr, error) {
	if p.is('-') {
		p.i++
		e, err := p.argument()
		if err != nil {
			return nil, err
		}
		return &Neg{e}, nil
	}
	return p.argument()
}

// bareArgument reads the argument of a function written without brackets: factors up to the next function or sign.
func (p *parser) bareArgument() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	neg := false
	if p.is('-') {
		neg = true
		p.i++
	}
	if p.is(tFunc) {
		return p.function()
	}
	var f []Expr
	for p.startsOperand() && !p.is(tFunc) && !p.is(tText) && !p.is(tWord) && !p.is(tUnit) || len(f) == 0 {
		if len(f) > 0 && (p.is('(') || p.is('[') || p.is(tBegin) || p.is(tNumber) && p.t[p.i-1].k == tNumber) {
			break
		}
		e, err := p.power()
		if err != nil {
			return nil, err
		}
		if f = append(f, e); len(f) > MaxDepth {
			return nil, &LimitError{"factors", MaxDepth}
		}
	}
	e := f[0]
	if len(f) > 1 {
		e = &Mul{f, nil}
	}
	if neg {
		e = &Neg{e}
	}
	return e, nil
}

func (p *parser) apply(name string, base Expr, args []Expr) (Expr, error) {
	want := func(n int) error {
		if len(args) != n {
			return p.fail(name + " of too many or too few arguments")
		}
		return nil
	}
	switch name {
	case "sqrt", "cbrt":
		if err := want(1); err != nil {
			return nil, err
		}
		n := int64(2)
		if name == "cbrt" {
			n = 3
		}
		return &Call{"root", []Expr{args[0], number(n)}}, nil
	case "exp":
		if err := want(1); err != nil {
			return nil, err
		}
		return &Pow{&Sym{"e"}, args[0]}, nil
	case "lg":
		return &Call{"log", []Expr{args[0], number(10)}}, want(1)
	case "log":
		if base != nil {
			return &Call{"log", []Expr{args[0], base}}, want(1)
		}
		if len(args) == 2 {
			return &Call{"log", args}, nil
		}
	case "max", "min", "gcd", "lcm":
		return &Call{name, args}, nil
	case "binom":
		return &Call{name, args}, want(2)
	case "factorial":
		return &Call{"fact", args}, want(1)
	case "cis":
		i := &Mul{[]Expr{&Sym{"i"}, &Call{"sin", args}}, nil}
		return &Add{[]Expr{&Call{"cos", args}, i}}, want(1)
	}
	return &Call{name, args}, want(1)
}

// environment reads a matrix, a system of cases, or aligned lines.
func (p *parser) environment() (Expr, error) {
	name := p.tok().s
	p.i++
	matrix := strings.HasSuffix(name, "matrix") || name == "array" || name == "tabular"
	defer p.restore(p.open())
	p.cells = matrix
	var items []Expr
	rows, cols, inRow := 0, 0, 0
	relations := false
	ragged := false
	endRow := func() {
		if inRow == 0 {
			return
		}
		rows++
		if rows == 1 {
			cols = inRow
		}
		ragged = ragged || inRow != cols
		inRow = 0
	}
	for {
		switch {
		case p.skip(tRow):
			endRow()
			continue
		case p.is('&'), p.is(','), p.is(';'), p.is('.'), p.is(tAnd):
			p.i++
			continue
		case p.is(tCond):
			// The condition of a case: keep the value only.
			for !p.is(tRow) && !p.is(tFinish) && !p.is(tEnd) {
				p.i++
			}
			continue
		}
		if p.is(tFinish) {
			p.i++
			break
		}
		if p.is(tEnd) {
			return nil, p.fail("an environment without its end")
		}
		var e Expr
		var err error
		if p.is(tRel) && len(items) > 0 && !matrix {
			// A line that goes on with "= ...".
			op := p.tok().s
			p.i++
			for p.is('&') {
				p.i++
			}
			if e, err = p.ratio(); err != nil {
				return nil, err
			}
			last := items[len(items)-1]
			if r, ok := last.(*Rel); ok {
				e = &Rel{append(append([]Expr{}, r.Items...), e), append(append([]string{}, r.Ops...), op)}
			} else {
				e = &Rel{[]Expr{last, e}, []string{op}}
			}
			items[len(items)-1] = e
			relations = true
			continue
		}
		e, err = p.relation()
		if err != nil {
			return nil, err
		}
		if _, ok := e.(*Rel); ok {
			relations = true
		}
		items = append(items, e)
		inRow++
		if len(items) > MaxItems {
			return nil, &LimitError{"entries of a matrix", MaxItems}
		}
		switch p.kind() {
		case '&', tRow, tFinish, ',', ';', '.', tCond, tRel, tAnd:
		default:
			return nil, p.fail("not understood in a matrix")
		}
	}
	endRow()
	if len(items) == 0 {
		return nil, p.fail("an empty matrix")
	}
	if matrix && !relations {
		if ragged {
			return nil, p.fail("rows of different length")
		}
		m := &Matrix{rows, cols, items}
		if name == "vmatrix" {
			return &Call{"det", []Expr{m}}, nil
		}
		return m, nil
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &List{items, false}, nil
}

// isName reports whether e only names something: x, AB, W(n), |AB|, A:B, NO/BO, (p, q).
func isName(e Expr) bool {
	switch x := e.(type) {
	case *Sym:
		return x.Name != "pi" && x.Name != "..."
	case *Text:
		return true
	case *Mul:
		for _, f := range children(x) {
			if !isName(f) {
				return false
			}
		}
		return true
	case *Call:
		if builtin(x.Name) {
			return isName(x.Args[0]) // |AB|, sin A, det M
		}
		return true
	case *Ratio:
		for _, f := range x.Parts {
			if !isName(f) {
				return false
			}
		}
		return true
	case *Tuple:
		for _, f := range x.Items {
			if !isName(f) {
				return false
			}
		}
		return true
	case *List:
		for _, f := range x.Items {
			if !isName(f) {
				return false
			}
		}
		return true
	case *Pow:
		// The inverse of a function, and the variance.
		s, ok := x.Base.(*Sym)
		return ok && (s.Name == "sigma" || strings.Contains("fgh", s.Name) && isMinusOne(x.Exp))
	}
	return false
}

// builtin reports whether the package computes a function.
func builtin(name string) bool {
	switch name {
	case "root", "fact", "fact2", "mod", "transpose":
		return true
	}
	return functionNamed(name) != ""
}
