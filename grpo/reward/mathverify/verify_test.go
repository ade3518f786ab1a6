package mathverify

import (
	"errors"
	"strings"
	"testing"
)

// TestDifferences holds what the package does otherwise than Math-Verify; doc.go has the reasons.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		what, gold, answer string
		equal              bool // Math-Verify says the contrary, or does not end
	}{
		{"repeating decimals", `\frac13`, `0.\overline{3}`, true},
		{"degrees in functions", `\frac12`, `\sin 30°`, true},
		{"products in plain text", `\frac{11\pi}{6}`, `11*pi/6`, true},
		{"exponents in plain text", `8700000`, `8.7e6`, true},
		{"thin spaces", `310027`, `310\,027`, true},
		{"the imaginary unit", `-1`, `i^2`, true},
		{"a point in the box", `60`, `\boxed{60.}`, true},
		{"percent as a unit", `17`, `17\%`, true},
		{"small numbers", `$1.23 \times 10^{-8}$`, `$4.56 \times 10^{-8}$`, false},
		{"small numbers and zero", `$0$`, `$0.0000001$`, false},
		{"units", `$5\text{ m}$`, `$5\text{ cm}$`, false},
		{"units of one kind", `$5\text{ m}$`, `$500\text{ cm}$`, true},
		{"names give an order", `$x=1, y=2$`, `$2, 1$`, false},
		{"an interval as gold", `$[-2,7]$`, `$-2 \le x \le 7$`, true},
		{"bases", `$1011_2$`, `$11$`, true},
		{"bases are no decoration", `$1011_2$`, `$1011$`, false},
		{"ratios", `$3:1$`, `$6:2$`, true},
		{"names of arguments", `$f(x)=x^2$`, `$f(t)=t^2$`, true},
		{"real roots", `$-2$`, `$(-8)^{1/3}$`, true},
		{"no parts of a broken formula", `4`, `\begin{pmatrix}1&2\\3&4`, false},
		{"number words", `2`, `Two`, true},
		{"arc minutes", `$45.5^\circ$`, `$45^\circ 30'$`, true},
	} {
		if v := Verify(c.gold, c.answer, Options{}); v.Equal != c.equal {
			t.Errorf("%s: %q against %q: %v: %s (%s)", c.what, c.gold, c.answer, v.Equal, v.Reason, v.Outcome)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		gold, answer string
		want         Outcome
		rule         Rule
	}{
		{`5`, `5`, Equal, RuleNumber},
		{`5`, `6`, Different, RuleNumber},
		{`\frac{1}{3}`, `0.333333`, Equal, RuleRounded},
		{`\sqrt8`, `2\sqrt2`, Equal, RuleNormalForm},
		{`\sqrt8`, `2\sqrt3`, Different, RuleNormalForm},
		{`\sin 2x`, `2\sin x\cos x`, Equal, RuleNumeric},
		{`\sin 2x`, `\cos x`, Different, RuleNumeric},
		{`x=5`, `5`, Equal, RuleAssignment},
		{`(0,1)`, `[0,1]`, Different, RuleBrackets},
		{`(0,1)`, `5`, Different, RuleKind},
		{`1<x<2`, `(1,2)`, Equal, RuleSet},
		{`2x=4`, `x=2`, Equal, RuleRelation},
		{`5 cm`, `5 kg`, Different, RuleUnit},
		{`\text{red}`, `blue`, Different, RuleWords},
		{`(1,2,3)`, `(1,2,4)`, Different, RuleNumber},
		{`\frac{1}{x`, `5`, Different, RuleNormalForm}, // a missing brace at the end is forgiven
		{`5`, ``, BadAnswer, RuleNothing},
		{`5`, `\frac{}{`, BadAnswer, RuleSyntax},
		{``, `5`, BadGold, RuleNothing},
		{`((`, `5`, BadGold, RuleSyntax},
		{`((`, `6`, BadGold, RuleSyntax},
		{`((`, `((`, Equal, RuleSame},
		{`5`, strings.Repeat("(", 3000), BadAnswer, RuleLimit},
		{strings.Repeat("(", 3000), `5`, BadGold, RuleLimit},
		{`9^{9^{9^9}}`, `9^{9^{9^9}}`, Equal, RuleSame},
		{`9^{9^{9^9}}`, `5`, Undecided, RuleLimit},
		{`5`, `10^{10^{10}}`, Undecided, RuleLimit},
		{`2^{20000}`, `2^{20000}+1`, Undecided, RuleLimit},
		{`5`, `\frac{1}{0}`, Different, RuleUndefined},
	} {
		v := Verify(c.gold, c.answer, Options{})
		if v.Outcome != c.want || v.Rule != c.rule {
			t.Errorf("%.40q against %.40q: %s by %q, want %s by %q: %s", c.gold, c.answer, v.Outcome, v.Rule, c.want, c.rule, v.Reason)
		}
		if v.Reason == "" || v.Equal != (v.Outcome == Equal) || (v.Err != nil) != (v.Outcome >= BadAnswer) {
			t.Errorf("%.40q against %.40q: %+v", c.gold, c.answer, v)
		}
	}
}

func TestErrors(t *testing.T) {
	var syntax *SyntaxError
	if _, err := Parse(`\frac{1}{2}}} \sqrt`); !errors.As(err, &syntax) || syntax.Offset == 0 || syntax.Source == "" {
		t.Errorf("got %v", err)
	}
	var limit *LimitError
	if _, err := Parse(strings.Repeat("1+", 5000)); !errors.As(err, &limit) || limit.Limit == 0 {
		t.Errorf("got %v", err)
	}
	if v := Verify("5", "", Options{}); !errors.Is(v.Err, ErrNothing) {
		t.Errorf("got %v", v.Err)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		gold, answer string
		opt          Options
		equal        bool
	}{
		{`\frac13`, `0.33`, Options{Digits: 2}, true},
		{`\frac13`, `0.34`, Options{Digits: 2}, false},
		{`\frac13`, `0.3333`, Options{}, false},
		{`\frac13`, `0.333333333333`, Options{Digits: 12}, true},
		{`\frac13`, `0.333333`, Options{Digits: 12}, false},
		{`x \in [-2,7]`, `-2 \le x \le 7`, Options{StrictSets: true}, false},
		{`[-2,7]`, `-2 \le x \le 7`, Options{StrictSets: true}, false},
		{`-2 \le x \le 7`, `[-2,7]`, Options{StrictSets: true}, true},
		{`$5$`, `5`, Options{Places: LaTeX}, false},
		{`$5$`, `$5$`, Options{Places: LaTeX}, true},
		{`5`, `the result is 5`, Options{Places: Plain}, true},
	} {
		if v := Verify(c.gold, c.answer, c.opt); v.Equal != c.equal {
			t.Errorf("%q against %q with %+v: %v: %s (%s)", c.gold, c.answer, c.opt, v.Equal, v.Reason, v.Outcome)
		}
	}
}

func TestChoices(t *testing.T) {
	options := []string{`$\frac12$`, "2", `$54^{\circ}$`, "a square", "50 cm"}
	for _, c := range []struct {
		gold, answer string
		equal        bool
	}{
		{"A", "A", true},
		{"A", "a", true},
		{"A", "(A)", true},
		{"A", "A.", true},
		{"A", "A)", true},
		{"A", `\boxed{A}`, true},
		{"A", `$\boxed{\text{(A)}}$`, true},
		{"A", `\textbf{(A)}`, true},
		{"A", "Option A", true},
		{"A", "The answer is A", true},
		{"A", "The answer is (A).", true},
		{"A", "The correct answer is: A", true},
		{"A", `A. $\frac12$`, true},
		{"A", `\boxed{\text{(A) } \frac{1}{2}}`, true},
		{"A", `\boxed{0.5}`, true},
		{"A", `\boxed{\dfrac12}`, true},
		{"A", "B", false},
		{"A", "A or B", false},
		{"A", "A and B", false},
		{"A", "A, B", false},
		{"A", `\boxed{AB}`, false},
		{"A", "The answer is (A), (C), and (E).", false},
		{"B", `\boxed{2}`, true},
		{"C", `\boxed{54^\circ}`, true},
		{"C", `\boxed{54}`, true},
		{"D", "a square", true},
		{"D", "A square", true},
		{"E", `$50\text{ cm}$`, true},
		{"E", `\boxed{51\text{ cm}}`, false},
		{"E", "none of these", false},
		{"E", "", false},
	} {
		v := Verify(c.gold, c.answer, Options{Choices: options})
		if v.Equal != c.equal || v.Reason == "" {
			t.Errorf("%s against %q: %v: %q: %s (%s)", c.gold, c.answer, v.Equal, v.Answer, v.Reason, v.Outcome)
		}
	}
	if v := Verify("Z", "A", Options{Choices: options}); v.Outcome != BadGold {
		t.Errorf("a gold letter without option: %s", v.Outcome)
	}
}

func TestExtract(t *testing.T) {
	for _, c := range []struct {
		text   string
		places Places
		want   string // the first candidate
		place  string
	}{
		{`5`, 0, `5`, "whole"},
		{`x = 5`, 0, `x = 5`, "whole"},
		{`The value is $7$, so $x=3$.`, 0, `x=3`, "formula"},
		{`We get 3 and then 12 in the end.`, 0, `12`, "number"},
		{`We get 3 and then 1/2 in the end.`, 0, `1/2`, "number"},
		{`\boxed{3}, no: \boxed{4}`, 0, `4`, "boxed"},
		{`\boxed{3} and \boxed{4}`, 0, `3 , 4`, "boxed"},
		{`$\boxed{3}\boxed{4}$`, 0, `3 , 4`, "boxed"},
		{`\boxed{\boxed{4}}`, 0, `4`, "boxed"},
		{`\boxed{\frac{1}{2}}`, 0, `\frac{1}{2}`, "boxed"},
		{`\boxed{28}\%`, 0, `28\%`, "boxed"},
		{`\boxed 5`, 0, `5`, "boxed"},
		{`\boxed{5`, 0, `5`, "boxed"},
		{`\boxed{3}. The final answer is $4$. I hope`, 0, `4`, "final answer"},
		{`Answer: 12 apples.`, 0, `12 apples`, "answer"},
		{`**Answer:** $12$ of 30`, 0, `12`, "answer"},
		{`The answer is 12.`, 0, `12`, "answer"},
		{`The answer is 12. Check: 5 + 7`, 0, `12`, "answer"},
		{`$1$ and $2$ and $3$`, 0, `1 , 2 , 3`, "formula"},
		{`Thus we find x = \frac{1}{2}.`, 0, `x = \frac{1}{2}`, "number"},
		{`There are 3 ways, hence \frac{3}{8} of all.`, 0, `\frac{3}{8}`, "number"},
		{`AZYUK2A`, Plain, `AZYUK2A`, "whole"},
		{`9.75 dollars`, Plain, `9.75 dollars`, "whole"},
		{"Answer \\( \n 9 \n \\)", LaTeX, ``, ""},
		{"Answer \\[ \n 9 \n \\]", LaTeX, `9`, "formula"},
		{`\\boxed{\\frac{1}{2}}`, 0, `\frac{1}{2}`, "boxed"},
		{``, 0, ``, ""},
		{`   `, 0, ``, ""},
	} {
		got := Extract(c.text, c.places)
		if len(got) == 0 {
			if c.want != "" {
				t.Errorf("%q: nothing, want %q", c.text, c.want)
			}
			continue
		}
		if got[0].Text != c.want || got[0].Place != c.place {
			t.Errorf("%q: %q from %s, want %q from %s", c.text, got[0].Text, got[0].Place, c.want, c.place)
		}
	}
}

// TestParse checks the types and shapes of trees.
func TestParse(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`7,425,000`, `7425000`},
		{`1.50`, `~3/2`},
		{`2x`, `(2*x)`},
		{`-2^2`, `-(2^2)`},
		{`2^{3^2}`, `2^(3^2)`},
		{`2^3^2`, `2^(3^2)`},
		{`1/2x`, `(1*x/2)`},
		{`\frac12`, `1/2`},
		{`\frac{x}2`, `(x/2)`},
		{`\sqrt[3]{x}`, `root(x, 3)`},
		{`\sin 2x + 1`, `(sin((2*x))+1)`},
		{`\sin^2 x`, `sin(x)^2`},
		{`\log_2 8`, `log(8, 2)`},
		{`f(x)`, `f(x)`},
		{`x(x+1)`, `(x*(x+1))`},
		{`(1,2]`, `(1, 2]`},
		{`\{1,2\}`, `{1, 2}`},
		{`1,2`, `1, 2`},
		{`a<b\le c`, `a < b <= c`},
		{`1\pm\sqrt2`, `(1+-root(2, 2))`},
		{`\begin{pmatrix}1&2\\3&4\end{pmatrix}`, `[[1, 2][3, 4]]`},
		{`50\%`, `50%`},
		{`90^\circ`, `90°`},
		{`5\text{ cm}^2`, `5 cm^2`},
		{`x_{n-1}`, `x_n+-1`},
		{`\text{no solution}`, `"no solution"`},
		{`\sum_{k=1}^{n} k`, `sum(k, 1, n, _, k)`},
		{`(-\infty,2)`, `(-oo, 2)`},
	} {
		e, err := Parse(c.src)
		if err != nil {
			t.Errorf("%q: %v", c.src, err)
		} else if got := e.String(); got != c.want {
			t.Errorf("%q: %s, want %s", c.src, got, c.want)
		}
	}
}
