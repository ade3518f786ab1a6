package mathverify

import (
	"strings"
)

// Places are where Extract looks for an answer.
type Places uint8

const (
	// LaTeX is mathematics between $ $, $$ $$, \( \), \[ \] or in \boxed{}.
	LaTeX Places = 1 << iota
	// Plain is numbers and formulas of numbers in plain text.
	Plain
	// Whole is the whole text, if it is one expression.
	Whole
)

// A Candidate is an expression found in a text.
type Candidate struct {
	Text  string // the expression, without its delimiters
	Place string // final answer, boxed, answer, formula, number, whole
	Math  bool   // it stood between delimiters of LaTeX, where { } do not mean a set
}

const (
	maxCandidates = 12
	maxBoxes      = 64
	maxNested     = 64  // so many boxes inside others are passed over
	maxFormulas   = 512 // so many formulas from the end are kept
	maxPlain      = 200 // the longest formula in plain text
	maxNumbers    = 500 // so many digits inside words are passed over
	reach         = 60  // how far behind "answer is" an expression may begin
)

// Extract returns what in a text may be its final answer, the best first. The order of places is that of Math-Verify:
// "final answer is", \boxed{}, "answer:", "answer is", then the last formula or number of the text. Several boxes or formulas
// with no more than commas and conjunctions between them are one list. A text that is one expression comes before the last
// formula or number in it.
func Extract(text string, places Places) []Candidate {
	if places == 0 {
		places = LaTeX | Plain | Whole
	}
	cut := false
	if len(text) > MaxText {
		text = text[len(text)-MaxText:]
		cut = true
	}
	x := &extractor{s: unescape(text), places: places}
	x.run(cut)
	return x.out
}

// found is an expression that was found in a text and parsed.
type found struct {
	text    string
	expr    Expr
	grouped bool // a comma was read as part of a number
	math    bool
}

// find returns the first candidate that can be parsed.
func find(text string, opt *Options) (found, error) {
	if v := plainNumber(text); v != nil && (opt.Places == 0 || opt.Places&(Plain|Whole) != 0) {
		return found{text, v, false, false}, nil
	}
	first := error(nil)
	f := found{}
	for _, c := range Extract(text, opt.Places) {
		e, grouped, err := read(c.Text, c.Math, false, 0)
		if err == nil {
			return found{c.Text, e, grouped, c.Math}, nil
		}
		if first == nil {
			first, f.text = err, c.Text
		}
	}
	if first == nil {
		first = ErrNothing
	}
	return f, first
}

// alternatives returns the expression and its other readings.
func (f found) alternatives() []Expr {
	out := []Expr{f.expr}
	if f.grouped {
		if e, _, err := read(f.text, f.math, true, 0); err == nil {
			out = append(out, e)
		}
	}
	// 1000,99 and 0,111 in plain text: a decimal comma.
	s := strings.TrimSpace(f.text)
	if before, after, ok := strings.Cut(s, ","); ok && !f.grouped && digitsAt(after, 0) == len(after) && after != "" {
		head := strings.TrimLeft(strings.ReplaceAll(strings.ReplaceAll(before, ".", ""), " ", ""), "-+")
		if head != "" && digitsAt(head, 0) == len(head) {
			if e, err := Parse(strings.ReplaceAll(strings.ReplaceAll(before, ".", ""), " ", "") + "." + after); err == nil {
				out = append(out, e)
			}
		}
	}
	return out
}

// unescape undoes a doubled escape: \\frac for \frac. A text in which single backslashes begin commands is left alone.
func unescape(s string) string {
	if !strings.Contains(s, `\\`) {
		return s
	}
	double := false
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		n := 1
		for i+n < len(s) && s[i+n] == '\\' {
			n++
		}
		j := i + n
		for j < len(s) && j < i+n+20 && isLetter(s[j]) {
			j++
		}
		if name := s[i+n : j]; len(name) > 1 && (knownCommand(name) || name == "boxed") {
			if n%2 == 1 {
				return s
			}
			double = true
		}
		i = j - 1
	}
	if !double {
		return s
	}
	return strings.ReplaceAll(s, `\\`, `\`)
}

type extractor struct {
	s      string
	places Places
	out    []Candidate
	envs   []env
}

// env is a formula in the text with its delimiters.
type env struct{ start, open, end, stop int } // s[open:end] between s[start:stop]

func (x *extractor) add(text, place string, math bool) {
	text = strings.TrimSpace(text)
	if text == "" || len(x.out) >= maxCandidates {
		return
	}
	for _, c := range x.out {
		if c.Text == text {
			return
		}
	}
	x.out = append(x.out, Candidate{text, place, math})
}

func (x *extractor) run(cut bool) {
	s := x.s
	if x.places&(Whole|Plain) != 0 && !cut && len(s) <= MaxSource && dollars(s) < 2 && !strings.Contains(s, "boxed") &&
		!strings.Contains(s, `\(`) && !strings.Contains(s, `\[`) && !containsFold(s, "answer") && formula(s) {
		x.add(s, "whole", false)
		if strings.TrimSpace(s) != "" {
			return // a part of one expression is not its answer
		}
	}
	if x.places&LaTeX != 0 {
		x.findEnvs()
	}
	final, colon, is := x.anchors()
	for _, at := range final {
		x.behind(at, "final answer", true)
	}
	if x.places&LaTeX != 0 {
		x.boxes()
	}
	for _, at := range colon {
		x.behind(at, "answer", false)
	}
	for _, at := range is {
		x.behind(at, "answer", false)
	}
	x.last()
	if len(x.out) == 0 && !cut && len(s) <= 2000 && x.places&(Whole|Plain) != 0 {
		x.add(s, "whole", false)
	}
}

// formula reports whether a text is one expression rather than prose with numbers in it: words may stand alone, or behind
// the last number, but not before a number.
func formula(s string) bool {
	word := false
	for i := 0; i < len(s); {
		c := s[i]
		if c == '\\' {
			// A command; \text{...} says nothing here.
			j := i + 1
			for j < len(s) && isLetter(s[j]) {
				j++
			}
			switch s[i+1 : j] {
			case "text", "mbox", "textbf", "mathrm", "begin", "end", "operatorname", "mathbb":
				_, j, _ = argument(s, j)
			}
			i = max(j, i+2)
			continue
		}
		if !isLetter(c) {
			if word && (isDigit(c) || c == '=' || c == '+' || c == '^') {
				return false
			}
			i++
			continue
		}
		j := i
		for j < len(s) && isLetter(s[j]) {
			j++
		}
		run := s[i:j]
		alone := (i == 0 || s[i-1] == ' ' || s[i-1] == '\n') && (j == len(s) || strings.IndexByte(" .,:;\n!?", s[j]) >= 0)
		if len(run) > 1 && (alone || len(run) > 4) && !known(run) {
			word = true
		}
		i = j
	}
	return true
}

// known reports whether letters belong to a formula: a function, a connective, a unit.
func known(run string) bool {
	if functionNamed(run) != "" || greekNamed(run) || strings.ToUpper(run) == run && len(run) <= 4 {
		return true
	}
	switch strings.ToLower(run) {
	case "and", "or", "percent", "pct", "degrees", "degree", "mod", "union", "infinity", "infty", "inf", "oo", "in", "if", "for", "million", "thousand",
		"billion", "hundred", "dozen", "matrix":
		return true
	}
	_, ok := unitNamed(run)
	return ok
}

// dollars counts the dollar signs that delimit formulas.
func dollars(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '$':
			n++
		}
	}
	return n
}

func containsFold(s, word string) bool { return indexFold(s, word, 0) >= 0 }

// indexFold finds a lower-case word in s from i on, in any case.
func indexFold(s, word string, i int) int {
	for ; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// findEnvs finds the formulas of the text in one pass. Inline formulas stay on one line.
func (x *extractor) findEnvs() {
	s := x.s
	// Where no end was found once there is none further on.
	noDollars, noParen, noBracket := false, false, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '$':
			if strings.HasPrefix(s[i:], "$$") {
				if noDollars {
					i++
					continue
				}
				k := strings.Index(s[i+2:], "$$")
				if k < 0 {
					noDollars = true
					i++
					continue
				}
				x.keep(env{i, i + 2, i + 2 + k, i + 4 + k})
				i += 3 + k
				continue
			}
			k := 0
			for k = i + 1; k < len(s) && s[k] != '$' && s[k] != '\n'; k++ {
				if s[k] == '\\' {
					k++
				}
			}
			if k >= len(s) || s[k] != '$' {
				i = min(k, len(s))
				continue
			}
			if k == i+1 {
				continue
			}
			x.keep(env{i, i + 1, k, k + 1})
			i = k
		case '\\':
			if i+1 >= len(s) {
				break
			}
			switch s[i+1] {
			case '(':
				if noParen {
					break
				}
				k := strings.Index(s[i+2:], `\)`)
				if k < 0 {
					noParen = true
					break
				}
				if strings.IndexByte(s[i+2:i+2+k], '\n') < 0 {
					x.keep(env{i, i + 2, i + 2 + k, i + 4 + k})
				}
				i += 3 + k
				continue
			case '[':
				if noBracket {
					break
				}
				k := strings.Index(s[i+2:], `\]`)
				if k < 0 {
					noBracket = true
					break
				}
				x.keep(env{i, i + 2, i + 2 + k, i + 4 + k})
				i += 3 + k
				continue
			}
			i++
		}
	}
}

// keep adds a formula and forgets those far before it.
func (x *extractor) keep(e env) {
	if len(x.envs) >= 2*maxFormulas {
		n := copy(x.envs, x.envs[len(x.envs)-maxFormulas:])
		x.envs = x.envs[:n]
	}
	x.envs = append(x.envs, e)
}

// anchors returns the places behind "final answer is", "answer:" and "answer is", the last first.
func (x *extractor) anchors() (final, colon, is []int) {
	s := x.s
	const most = 4
	for end := len(s); end > 0 && len(final) < most; {
		i := lastIndexFold(s[:end], "answer")
		if i < 0 {
			break
		}
		end = i
		j := i + len("answer")
		if j < len(s) && (s[j] == 's' || s[j] == 'S') {
			j++
		}
		k := j
		for k < len(s) && (s[k] == ' ' || s[k] == '*' || s[k] == '\n') {
			k++
		}
		switch {
		case k < len(s) && s[k] == ':':
			k++
			for k < len(s) && s[k] == '*' {
				k++
			}
			if len(colon) < most {
				colon = append(colon, k)
			}
		case strings.HasPrefix(s[k:], "is") && k+2 < len(s) && !isLetter(s[k+2]), strings.HasPrefix(s[k:], "are "):
			k += 2
			if strings.HasPrefix(s[k:], "e ") {
				k++
			}
			for k < len(s) && (s[k] == ':' || s[k] == ' ' || s[k] == '*') {
				k++
			}
			before := strings.TrimRight(s[max(0, i-8):i], " ")
			if len(before) >= 5 && strings.EqualFold(before[len(before)-5:], "final") {
				final = append(final, k)
			} else if len(is) < most {
				is = append(is, k)
			}
		case k < len(s) && s[k] == '=':
			if len(is) < most {
				is = append(is, k+1)
			}
		}
	}
	return final, colon, is
}

func lastIndexFold(s, word string) int {
	for i := len(s) - len(word); i >= 0; i-- {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// behind adds the expression that begins at i, or a little later in the same sentence.
func (x *extractor) behind(i int, place string, only bool) {
	s := x.s
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '*' || s[i] == ':') {
		i++
	}
	if e := x.envAt(i); e >= 0 {
		text, _ := x.joined(e, true)
		x.add(text, place, true)
		return
	}
	if only && x.places&LaTeX != 0 && strings.HasPrefix(strings.TrimLeft(s[i:min(len(s), i+3)], "\\"), "b") && strings.HasPrefix(strings.TrimLeft(s[i:], `\`), "boxed{") {
		return // the boxes come next
	}
	stop := sentence(s, i)
	if x.places&Whole != 0 || x.places&Plain != 0 {
		// The rest of the sentence, if it is an expression.
		rest := strings.Trim(s[i:stop], " \n*")
		if rest != "" && len(rest) < 200 && !strings.Contains(rest, "$") && !strings.Contains(rest, `\(`) && !strings.Contains(rest, "boxed") {
			if n := x.number(i, stop); x.places&Whole != 0 && formula(rest) || n == rest {
				x.add(rest, place, false)
			}
		}
	}
	if only {
		// "final answer is" binds only what follows at once; a number may.
		if x.places&Plain != 0 {
			if n := x.number(i, stop); n != "" && strings.HasPrefix(s[i:], n) {
				x.add(n, place, false)
			}
		}
		return
	}
	// The last formula or number of the sentence that begins within reach.
	lastEnv := -1
	for k := len(x.envs) - 1; k >= 0; k-- {
		if e := x.envs[k]; e.start >= i && e.start < min(stop, i+reach) {
			lastEnv = k
			break
		} else if e.start < i {
			break
		}
	}
	n := ""
	if x.places&Plain != 0 {
		from := i
		if lastEnv >= 0 {
			from = x.envs[lastEnv].stop
		}
		if from < stop {
			n = x.number(from, min(stop, i+2*reach))
		}
	}
	if n != "" {
		x.add(n, place, false)
	}
	if lastEnv >= 0 {
		text, _ := x.joined(lastEnv, true)
		x.add(text, place, true)
	}
}

// sentence returns where the sentence at i ends.
func sentence(s string, i int) int {
	for k := i; k < len(s) && k < i+4*reach; k++ {
		switch {
		case s[k] == '\n':
			return k
		case s[k] == '.' && (k+1 == len(s) || s[k+1] == ' ' || s[k+1] == '\n'):
			return k
		case strings.HasPrefix(s[k:], "<|"):
			return k
		}
	}
	return min(len(s), i+4*reach)
}

// envAt returns the formula that begins at i, or -1.
func (x *extractor) envAt(i int) int {
	lo, hi := 0, len(x.envs)
	for lo < hi {
		m := (lo + hi) / 2
		if x.envs[m].start < i {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(x.envs) && x.envs[lo].start == i {
		return lo
	}
	return -1
}

// conjunction reports whether a text between two expressions makes a list of them, and what then stands for it.
func conjunction(s string) (string, bool) {
	if len(s) > 60 {
		return "", false
	}
	sep := ", "
	for s != "" {
		switch {
		case strings.HasPrefix(s, "and"), strings.HasPrefix(s, "or"):
			s = strings.TrimPrefix(strings.TrimPrefix(s, "and"), "or")
		case strings.HasPrefix(s, `\quad`), strings.HasPrefix(s, `\qquad`):
			s = strings.TrimPrefix(strings.TrimPrefix(s, `\quad`), `\qquad`)
		case strings.HasPrefix(s, `\text{`), strings.HasPrefix(s, `\mbox{`):
			_, after, ok := argument(s, strings.IndexByte(s, '{'))
			if !ok {
				return "", false
			}
			s = s[after:]
		case strings.HasPrefix(s, `\(`), strings.HasPrefix(s, `\)`), strings.HasPrefix(s, `\[`), strings.HasPrefix(s, `\]`), strings.HasPrefix(s, `\,`),
			strings.HasPrefix(s, `\;`), strings.HasPrefix(s, `\ `):
			s = s[2:]
		case strings.IndexByte(" ,;$\n&", s[0]) >= 0:
			s = s[1:]
		default:
			// A name for the next: y_2 =
			name, rest, ok := strings.Cut(s, "=")
			if !ok || strings.TrimSpace(rest) != "" || len(strings.TrimSpace(name)) > 8 {
				return "", false
			}
			return sep, true
		}
	}
	return sep, true
}

// joined returns formula k with those that a list connects with it. Going backwards it looks at those before it, else behind.
func (x *extractor) joined(k int, forward bool) (text string, first int) {
	s := x.s
	from, to := k, k
	if forward {
		for to+1 < len(x.envs) && to-k < maxBoxes {
			gap := s[x.envs[to].stop:x.envs[to+1].start]
			if _, ok := conjunction(gap); !ok || gap == "" {
				break
			}
			to++
		}
	}
	for from > 0 && k-from < maxBoxes {
		gap := s[x.envs[from-1].stop:x.envs[from].start]
		if _, ok := conjunction(gap); !ok || strings.TrimSpace(gap) == "" {
			break
		}
		from--
	}
	if from == to {
		e := x.envs[k]
		return s[e.open:e.end] + x.percent(e.stop), k
	}
	var b strings.Builder
	for i := from; i <= to; i++ {
		if i > from {
			b.WriteString(" , ")
		}
		b.WriteString(s[x.envs[i].open:x.envs[i].end])
	}
	return b.String(), from
}

// percent returns "\%" if a percent sign or word follows at i.
func (x *extractor) percent(i int) string {
	rest := strings.TrimLeft(x.s[i:min(len(x.s), i+16)], " $\\)")
	for _, w := range [...]string{"%", "percent", "pct"} {
		if strings.HasPrefix(rest, w) {
			return `\%`
		}
	}
	return ""
}

// boxes adds what is boxed last, with the boxes before it if they make a list, and then single boxes further up.
func (x *extractor) boxes() {
	s := x.s
	type box struct{ start, open, end, stop int }
	var all []box // the last first
	nested := 0
	for end := len(s); len(all) < maxBoxes; {
		i := strings.LastIndex(s[:end], "boxed")
		if i < 0 {
			break
		}
		end = i
		if i == 0 || s[i-1] != '\\' && s[i-1] != 'f' {
			if !(i > 0 && s[i-1] == '\\') && !strings.HasPrefix(s[i:], "boxed{") {
				continue
			}
		}
		j := i + len("boxed")
		for j < len(s) && s[j] == ' ' {
			j++
		}
		if j >= len(s) {
			continue
		}
		if s[j] != '{' {
			// \boxed 5
			k := j
			for k < len(s) && (isDigit(s[k]) || isLetter(s[k])) {
				k++
			}
			if k > j && i > 0 && s[i-1] == '\\' {
				all = append(all, box{i - 1, j, k, k})
			}
			continue
		}
		text, after, _ := argument(s[:min(len(s), j+MaxSource)], j)
		b := box{i, j + 1, j + 1 + len(text), after}
		for b.start > 0 && s[b.start-1] == '\\' {
			b.start--
		}
		if len(all) > 0 {
			// Only boxes side by side are of interest, and a few others.
			prev := all[len(all)-1]
			if b.stop > prev.start {
				if nested++; nested > maxNested {
					break
				}
				continue // the outer of two nested boxes
			}
			if _, ok := conjunction(s[b.stop:prev.start]); !ok && len(all) > 4 {
				break
			}
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return
	}
	n := 1
	for n < len(all) {
		if _, ok := conjunction(s[all[n].stop:all[n-1].start]); !ok {
			break
		}
		n++
	}
	if n > 1 {
		var b strings.Builder
		for i := n - 1; i >= 0; i-- {
			b.WriteString(s[all[i].open:all[i].end])
			if i > 0 {
				b.WriteString(" , ")
			}
		}
		x.add(b.String(), "boxed", true)
	}
	for i, b := range all {
		if i > 4 {
			break
		}
		x.add(s[b.open:b.end]+x.percent(b.stop), "boxed", true)
	}
}

// last adds the last formulas and numbers of the text.
func (x *extractor) last() {
	s := x.s
	end := len(s)
	k := len(x.envs) - 1
	for range 4 {
		at, n := 0, ""
		if x.places&Plain != 0 {
			from := 0
			if k >= 0 {
				from = x.envs[k].stop
			}
			if from < end {
				if at, n = x.bare(from, end); n == "" {
					at, n = x.numberAt(from, end)
				}
			}
		}
		switch {
		case n != "":
			x.add(n, "number", false)
			end = at
		case k >= 0:
			text, first := x.joined(k, false)
			x.add(text, "formula", true)
			end = x.envs[first].start
			k = first - 1
		default:
			return
		}
	}
}

// bare returns the formula with LaTeX commands but without delimiters in the last sentence of s[from:to], and where that begins.
func (x *extractor) bare(from, to int) (int, string) {
	s := x.s[max(from, to-4*reach):to]
	off := to - len(s)
	s = strings.TrimRight(s, " .\n")
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		off, s = off+i+1, s[i+1:]
	}
	if i := strings.LastIndex(s, ". "); i >= 0 {
		off, s = off+i+2, s[i+2:]
	}
	if strings.IndexByte(s, '\\') < 0 || strings.Contains(s, "boxed") || strings.Contains(s, `\(`) || strings.Contains(s, `\[`) {
		return 0, ""
	}
	// Behind the last word before the first command.
	first := strings.IndexByte(s, '\\')
	start, end := 0, len(s)
	for i := 0; i < len(s); {
		if s[i] == '\\' {
			i++
			for i < len(s) && isLetter(s[i]) {
				i++
			}
			continue
		}
		if !isLetter(s[i]) {
			i++
			continue
		}
		j := i
		for j < len(s) && isLetter(s[j]) {
			j++
		}
		if alone := (i == 0 || s[i-1] == ' ') && (j == len(s) || s[j] == ' ' || s[j] == ',' || s[j] == ':'); alone && j-i > 1 && !known(s[i:j]) {
			if i < first {
				start = j
			} else {
				end = min(end, i)
			}
		}
		i = j
	}
	if start >= end {
		return 0, ""
	}
	return off + start, strings.Trim(s[start:end], " ,:;")
}

// number returns the last number or formula of numbers in s[from:to].
func (x *extractor) number(from, to int) string {
	_, n := x.numberAt(from, to)
	return n
}

func (x *extractor) numberAt(from, to int) (int, string) {
	s := x.s
	for range maxNumbers {
		// The last digit.
		i := to - 1
		for i >= from && !isDigit(s[i]) {
			i--
		}
		if i < from {
			return 0, ""
		}
		end := i + 1
		// Closing brackets and a sign of percent behind it.
		for end < to && end < i+20 && (s[end] == ')' || s[end] == '!') {
			end++
		}
		start := i
		for start > from && start > i-maxPlain {
			c := s[start-1]
			if isDigit(c) || strings.IndexByte("+-*/^().,:", c) >= 0 {
				start--
				continue
			}
			if c == ' ' && start >= from+2 {
				// A blank belongs to the formula only beside an operator, or between groups of three digits.
				l, r := s[start-2], s[start]
				if strings.IndexByte("+-*/^(", l) >= 0 || strings.IndexByte("+-*/^)", r) >= 0 && (isDigit(l) || l == ')') {
					start--
					continue
				}
			}
			// Signs of two bytes: × ÷ −
			if start >= from+3 && c >= 0x80 && strings.HasPrefix(s[start-3:], "−") {
				start -= 3
				continue
			}
			if start >= from+2 && c >= 0x80 && (strings.HasPrefix(s[start-2:], "×") || strings.HasPrefix(s[start-2:], "÷")) {
				start -= 2
				continue
			}
			break
		}
		text := s[start:end]
		bad := start > 0 && (isLetter(s[start-1]) || strings.IndexByte("\\_^{}", s[start-1]) >= 0) ||
			end < len(s) && (s[end] == '}' || (isLetter(s[end]) || s[end] == '_') && !unitFollows(s[end:]))
		text = trimFormula(text)
		if !bad && text != "" {
			return start, text + x.percent(end)
		}
		if bad {
			// The digits alone may still stand free, as in (x-2)/3.
			to = start
			if start == i {
				to = i
			}
			continue
		}
		to = start
	}
	return 0, ""
}

func unitFollows(s string) bool {
	n := 0
	for n < len(s) && isLetter(s[n]) {
		n++
	}
	_, ok := unitNamed(s[:n])
	return ok && n >= 2
}

// trimFormula cuts brackets that have no partner and operators off the ends.
func trimFormula(s string) string {
	for {
		t := strings.TrimRight(strings.TrimLeft(s, ".,:*/^ )"), ".,:*/^+-( ")
		if strings.HasPrefix(s, ".") && len(s) > 1 && isDigit(s[1]) {
			t = s[:1] + strings.TrimRight(s[1:], ".,:*/^+-( ")
		}
		open, shut := 0, 0
		for i := range len(t) {
			switch t[i] {
			case '(':
				open++
			case ')':
				if open > 0 {
					open--
				} else {
					shut++
				}
			}
		}
		switch {
		case shut > 0 && strings.HasSuffix(t, ")"):
			t = t[:len(t)-1]
		case shut > 0:
			if i := strings.IndexByte(t, ')'); i >= 0 {
				t = t[i+1:]
			}
		case open > 0 && strings.HasPrefix(t, "("):
			t = t[1:]
		case open > 0:
			if i := strings.LastIndexByte(t, '('); i >= 0 {
				t = t[i+1:]
			}
		}
		if t == s {
			return t
		}
		s = t
	}
}
