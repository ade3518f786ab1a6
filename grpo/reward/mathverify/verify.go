package mathverify

import (
	"errors"
	"strings"
)

// A Rule names what decided a verdict.
type Rule string

// The rules.
const (
	RuleSame       Rule = "same expression"
	RuleNumber     Rule = "exact numbers"
	RuleRounded    Rule = "rounded decimals"
	RuleNormalForm Rule = "normal form"
	RuleNumeric    Rule = "values at many points"
	RuleWords      Rule = "words"
	RuleUnit       Rule = "units"
	RuleItems      Rule = "item by item"
	RuleBrackets   Rule = "brackets"
	RuleSet        Rule = "sets of numbers"
	RuleRelation   Rule = "relations"
	RuleAssignment Rule = "value of an equation"
	RuleKind       Rule = "different kinds"
	RuleUndefined  Rule = "no value"
	RuleChoice     Rule = "choice"
	RuleNothing    Rule = "nothing extracted"
	RuleSyntax     Rule = "not parsed"
	RuleLimit      Rule = "limit"
)

// An Outcome tells a wrong answer from one that could not be judged, and whose fault that was.
type Outcome uint8

const (
	// Different: both sides are understood, and they differ.
	Different Outcome = iota
	// Equal: both sides are understood, and they are equal.
	Equal
	// BadAnswer: the answer holds no expression, one that is not understood, or one beyond the limits.
	BadAnswer
	// BadGold: the same of the gold answer.
	BadGold
	// Undecided: both are understood, but to compare them would pass the limits.
	Undecided
)

func (o Outcome) String() string {
	switch o {
	case Different:
		return "different"
	case Equal:
		return "equal"
	case BadAnswer:
		return "bad answer"
	case BadGold:
		return "bad gold"
	}
	return "undecided"
}

// A Verdict says whether an answer equals the gold answer, and why.
type Verdict struct {
	Equal   bool
	Outcome Outcome
	Rule    Rule   // what decided
	Reason  string // a sentence
	Gold    string // what was extracted from the gold text
	Answer  string // what was extracted from the answer text
	Err     error  // why a side is bad: a *SyntaxError, a *LimitError or ErrNothing; nil for other outcomes
	Work    int    // the computing it took, of MaxWork
}

// ErrNothing says that a text holds nothing that could be an answer.
var ErrNothing = errors.New("no answer found in the text")

// Options change how answers are found and compared. The zero value is the default.
type Options struct {
	// Digits is the number of digits behind the point to which decimals are rounded; 0 means 6.
	Digits int
	// Places is where answers are looked for; 0 means everywhere.
	Places Places
	// StrictSets refuses 1 < x < 2 for the gold answer (1, 2). The other way round is accepted always.
	StrictSets bool
	// Choices are the options of a multiple-choice question, whose gold answer is a letter. The answer may be the letter or
	// the option itself.
	Choices []string
}

func (o *Options) digits() int {
	if o.Digits <= 0 || o.Digits > 50 {
		return 6
	}
	return o.Digits
}

// reading is one way to take what is ambiguous.
type reading struct{ log10, radians, percent bool }

// Verify decides whether the answer equals the gold answer. Both may be bare expressions or longer texts, in which the answer
// is found as by [Extract]. It never panics, starts nothing, and its cost is bounded by the limits of the package.
func Verify(gold, answer string, opt Options) (v Verdict) {
	w := &work{max: MaxWork}
	defer func() { v.Work = w.used }()
	if len(opt.Choices) > 0 {
		return choose(w, gold, answer, &opt)
	}
	g, err := find(gold, &opt)
	if err != nil {
		v = Verdict{Outcome: BadGold, Gold: g.text, Err: err}
		// An answer that repeats it word for word is right all the same.
		if e, err := find(answer, &opt); g.text != "" && spelled(g.text) == spelled(e.text) && err != nil {
			v = Verdict{Equal: true, Outcome: Equal, Rule: RuleSame, Reason: "the answer repeats the gold answer", Gold: g.text, Answer: e.text}
			return v
		}
		v.Rule, v.Reason = errorRule(err), "gold: "+err.Error()
		return v
	}
	e, err := find(answer, &opt)
	if err != nil {
		v = Verdict{Outcome: BadAnswer, Gold: g.text, Answer: e.text, Rule: errorRule(err), Reason: "answer: " + err.Error(), Err: err}
		return v
	}
	v = Verdict{Gold: g.text, Answer: e.text}
	equal, rule, err := compare(w, g, e, &opt)
	switch {
	case err != nil:
		v.Outcome, v.Rule, v.Reason, v.Err = Undecided, RuleLimit, err.Error(), err
	case equal:
		v.Equal, v.Outcome, v.Rule, v.Reason = true, Equal, rule, "equal by "+string(rule)
	default:
		v.Rule, v.Reason = rule, "different by "+string(rule)
	}
	return v
}

// Compare decides whether two parsed expressions are equal, the first being the gold answer.
func Compare(gold, answer Expr, opt Options) (v Verdict) {
	w := &work{max: MaxWork}
	defer func() { v.Work = w.used }()
	v = Verdict{Gold: gold.String(), Answer: answer.String()}
	equal, rule, err := compareExpr(w, gold, answer, &opt)
	switch {
	case err != nil:
		v.Outcome, v.Rule, v.Reason, v.Err = Undecided, RuleLimit, err.Error(), err
	case equal:
		v.Equal, v.Outcome, v.Rule, v.Reason = true, Equal, rule, "equal by "+string(rule)
	default:
		v.Rule, v.Reason = rule, "different by "+string(rule)
	}
	return v
}

func errorRule(err error) Rule {
	switch {
	case isLimit(err):
		return RuleLimit
	case errors.Is(err, ErrNothing):
		return RuleNothing
	}
	return RuleSyntax
}

// compare compares two texts that were found and parsed, under the readings that they allow.
func compare(w *work, g, e found, opt *Options) (bool, Rule, error) {
	equal, rule, err := compareExpr(w, g.expr, e.expr, opt)
	if err == nil && equal {
		return equal, rule, nil
	}
	// A comma may separate thousands or items, or be a decimal point: 1,234 and 100,200 and 3,5.
	for _, x := range g.alternatives() {
		for _, y := range e.alternatives() {
			if x == g.expr && y == e.expr {
				continue
			}
			if same, r, err := compareExpr(w, x, y, opt); err == nil && same {
				return true, r, nil
			}
		}
	}
	// The same words, however they are set.
	if err == nil && !equal && wordy(g) && wordy(e) {
		if s, t := words(g.text), words(e.text); len(s) > 1 && sameWords(s, t) {
			return true, RuleWords, nil
		}
	}
	if spelled(g.text) == spelled(e.text) {
		return true, RuleSame, nil
	}
	return equal, rule, err
}

// wordy reports whether a text is made of letters only.
func wordy(f found) bool {
	if _, ok := f.expr.(*Text); ok {
		return true
	}
	for i := range len(f.text) {
		if c := f.text[i]; !isLetter(c) && c != ' ' && c != '.' {
			return false
		}
	}
	return true
}

// spelled returns a text without what does not change its meaning in LaTeX. A blank between letters or digits stays.
func spelled(s string) string {
	s = strings.NewReplacer(`\left`, "", `\right`, "", `\,`, " ", `\!`, "", `\;`, " ", `\:`, " ", "$", "", "~", " ",
		`\dfrac`, `\frac`, `\tfrac`, `\frac`, `\displaystyle`, "").Replace(s)
	out := make([]byte, 0, len(s))
	for _, f := range strings.Fields(s) {
		if n := len(out); n > 0 && alphanumeric(out[n-1]) && alphanumeric(f[0]) {
			out = append(out, ' ')
		}
		out = append(out, f...)
	}
	return string(out)
}

func alphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }

func compareExpr(w *work, g, e Expr, opt *Options) (bool, Rule, error) {
	readings := []reading{{}}
	both := func(f func(Expr) bool) bool { return some(g, f) || some(e, f) }
	if both(func(e Expr) bool { c, ok := e.(*Call); return ok && c.Name == "log" && len(c.Args) == 1 }) {
		readings = append(readings, reading{log10: true})
	}
	if both(func(e Expr) bool { _, ok := e.(*Degree); return ok }) {
		readings = append(readings, reading{radians: true})
	}
	if both(func(e Expr) bool { _, ok := e.(*Percent); return ok }) {
		readings = append(readings, reading{percent: true})
	}
	// I and j may be the imaginary unit where the other side has i.
	for _, name := range [...]string{"I", "j"} {
		switch g1, e1 := mentions(g, name), mentions(e, name); {
		case e1 && !g1 && mentions(g, "i"):
			e = substitute(e, name, &Sym{"i"})
		case g1 && !e1 && mentions(e, "i"):
			g = substitute(g, name, &Sym{"i"})
		}
	}
	var rule Rule
	var err error
	for i, r := range readings {
		j := newJudge(w, opt)
		j.a.log10, j.a.radians, j.a.percent = r.log10, r.radians, r.percent
		same, e2 := j.equal(g, e, 0)
		if e2 == nil && same {
			return true, j.rule, nil
		}
		if i == 0 {
			rule, err = j.rule, e2
		}
	}
	return false, rule, err
}

func mentions(e Expr, name string) bool {
	return some(e, func(e Expr) bool { s, ok := e.(*Sym); return ok && s.Name == name })
}
