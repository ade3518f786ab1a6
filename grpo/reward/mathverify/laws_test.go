package mathverify

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// golds returns all texts that the tests know as answers.
func golds(t *testing.T) []string {
	r := rand.New(rand.NewPCG(3, 4))
	var out []string
	for _, f := range families() {
		for range 4 {
			same, other := f.make(r)
			out = append(append(out, same...), other...)
		}
	}
	for _, c := range pairs() {
		out = append(out, c.gold, c.answer)
	}
	if testing.Short() {
		return out
	}
	for _, c := range readLines[suiteCase](t, testData(t, "math-verify", "cases.jsonl")) {
		out = append(out, c.Gold, c.Pred)
	}
	for _, g := range readLines[graded](t, testData(t, "mathvision", "graded_outputs.jsonl")) {
		out = append(out, g.Answer)
		out = append(out, g.Options...)
		if len(g.Options) == 0 {
			out = append(out, g.Response)
		}
	}
	return out
}

// TestReflexive: what can be parsed equals itself, as a text and as a tree.
func TestReflexive(t *testing.T) {
	n := 0
	for _, s := range golds(t) {
		v := Verify(s, s, Options{})
		if v.Outcome == BadGold {
			continue
		}
		n++
		if !v.Equal {
			t.Errorf("%.100q is not itself: %q: %s (%s)", s, v.Gold, v.Reason, v.Outcome)
		}
		e, err := Parse(v.Gold)
		if err != nil {
			continue // it stood between the delimiters of LaTeX
		}
		if v := Compare(e, e, Options{}); !v.Equal {
			t.Errorf("%.100q is not itself as a tree: %s (%s)", s, v.Reason, v.Outcome)
		}
	}
	if n < 1000 {
		t.Errorf("%d texts", n)
	}
}

// relational reports whether an answer is an equation: those are compared by the value on their right side, and which side is
// gold matters.
func relational(s string) bool {
	return strings.Contains(s, "=") || strings.Contains(s, `\equiv`) || strings.Contains(s, "≈")
}

// TestSymmetric: the order of gold and answer does not matter, but for equations.
func TestSymmetric(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	check := func(a, b string) {
		v, w := Verify(a, b, Options{}), Verify(b, a, Options{})
		if v.Outcome >= BadAnswer || w.Outcome >= BadAnswer || relational(v.Gold) || relational(v.Answer) {
			return
		}
		if v.Equal != w.Equal {
			t.Errorf("%q against %q: %v by %s, the other way %v by %s", a, b, v.Equal, v.Rule, w.Equal, w.Rule)
		}
	}
	for _, c := range pairs() {
		check(c.gold, c.answer)
	}
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	for _, f := range families() {
		for range rounds {
			same, other := f.make(r)
			all := append(same, other...)
			for range 6 {
				check(all[r.IntN(len(all))], all[r.IntN(len(all))])
			}
		}
	}
	// Whatever belongs to different questions.
	all, n := golds(t), 4000
	if testing.Short() {
		n = 200
	}
	for range n {
		check(all[r.IntN(len(all))], all[r.IntN(len(all))])
	}
}

// TestSpelling: LaTeX spellings that look the same are the same.
func TestSpelling(t *testing.T) {
	spellings := []func(string) string{
		func(s string) string { return strings.ReplaceAll(s, `\frac`, `\dfrac`) },
		func(s string) string { return strings.ReplaceAll(s, `\frac`, `\tfrac`) },
		func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `\left`, ""), `\right`, "") },
		func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(s, `\left`, `\bigl`), `\right`, `\bigr`)
		},
		func(s string) string { return strings.NewReplacer(`\cdots`, `\cdots`, `\cdot`, `\times`).Replace(s) },
		func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `\leq`, `\le`), `\geq`, `\ge`) },
		func(s string) string { return strings.ReplaceAll(s, "pmatrix", "bmatrix") },
		func(s string) string { return strings.ReplaceAll(s, `\text{`, `\mathrm{`) },
		func(s string) string { return strings.ReplaceAll(s, `\text{`, `\mbox{`) },
		func(s string) string { return strings.ReplaceAll(s, `\pi`, `{\pi}`) },
		func(s string) string { return "$" + s + "$" },
		func(s string) string { return "$$" + s + "$$" },
		func(s string) string { return `\(` + s + `\)` },
		func(s string) string { return "\\[\n" + s + "\n\\]" },
		func(s string) string { return `\boxed{` + s + `}` },
		func(s string) string { return `$\boxed{` + s + `}$` },
		func(s string) string { return `{` + s + `}` },
		func(s string) string { return s + "." },
		func(s string) string { return "  " + s + "\n" },
		func(s string) string { return `\displaystyle ` + s },
		func(s string) string { return "The final answer is $" + s + "$. I hope it is correct." },
	}
	n := 0
	for _, s := range golds(t) {
		if !strings.Contains(s, `\`) || strings.ContainsAny(s, "$\n") || strings.Contains(s, `\(`) || strings.Contains(s, `\[`) || len(s) > 200 ||
			strings.Contains(s, "boxed") || strings.Contains(s, "answer") || !formula(s) || strings.Contains(s, `\\l`) {
			continue
		}
		if _, err := Parse(s); err != nil {
			continue
		}
		for _, f := range spellings {
			n++
			if v := Verify(s, f(s), Options{}); !v.Equal {
				t.Errorf("%q against %q: %q against %q: %s (%s)", s, f(s), v.Gold, v.Answer, v.Reason, v.Outcome)
			}
		}
	}
	if n < 1000 {
		t.Errorf("%d spellings", n)
	}
}

// TestDeterministic: a verdict takes the same work, gives the same reason and leaves nothing behind that changes the next.
func TestDeterministic(t *testing.T) {
	for _, c := range pairs() {
		v, w := Verify(c.gold, c.answer, Options{}), Verify(c.gold, c.answer, Options{})
		if v.Work != w.Work || v.Rule != w.Rule || v.Reason != w.Reason || v.Equal != w.Equal {
			t.Errorf("%q against %q: %+v, then %+v", c.gold, c.answer, v, w)
		}
	}
}
