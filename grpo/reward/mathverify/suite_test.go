package mathverify

import (
	"testing"
)

// suiteMisses are the public cases of Math-Verify's suite that are decided otherwise, with the reason. There are none.
func suiteMisses() map[string]string { return map[string]string{} }

// TestSuite runs the public cases of Math-Verify's own suite.
func TestSuite(t *testing.T) {
	cases := readLines[suiteCase](t, testData(t, "math-verify", "cases.jsonl"))
	misses := suiteMisses()
	for _, c := range cases {
		v := Verify(c.Gold, c.Pred, c.options())
		if reason := misses[c.ID]; v.Equal != c.Expected && reason == "" {
			t.Errorf("%s: %v, want %v: %q against %q: %s (%s)", c.ID, v.Equal, c.Expected, v.Gold, v.Answer, v.Reason, v.Outcome)
		} else if v.Equal == c.Expected && reason != "" {
			t.Errorf("%s is no miss", c.ID)
		}
	}
	if 100*len(misses) > 3*len(cases) {
		t.Errorf("%d misses of %d", len(misses), len(cases))
	}
}

// A disagreement is a line of testdata/disagreements.jsonl: an answer whose official label is not the verdict.
type disagreement struct {
	ID       string `json:"id"`
	Model    string `json:"model"` // of two answers to one question
	Kind     string `json:"kind"`  // free-form or choice
	Gold     string `json:"gold"`
	Answer   string `json:"answer"`
	Official bool   `json:"official"`
	Right    bool   `json:"right"` // what a mathematician would say
	Why      string `json:"why"`
}

// TestGraded compares the verdicts on published answers with their official labels. Every disagreement is in the file, and
// the verdict is the one that a mathematician would give.
func TestGraded(t *testing.T) {
	all := readLines[graded](t, testData(t, "mathvision", "graded_outputs.jsonl"))
	known := make(map[string]disagreement)
	for _, d := range readLines[disagreement](t, "testdata/disagreements.jsonl") {
		known[d.ID+" "+d.Model] = d
	}
	var agree, right, free, agreeFree, found int
	for _, g := range all {
		v := Verify(g.Answer, g.Response, g.options())
		d, listed := known[g.ID+" "+g.model()]
		if listed {
			found++
			if d.Official != g.Correct {
				t.Errorf("%s %s: the file says that the official label is %v", g.ID, g.model(), d.Official)
			}
		}
		truth := g.Correct
		if listed {
			truth = d.Right
		}
		if v.Equal == truth {
			right++
		} else {
			t.Errorf("%s %s: %v, official %v, listed %v: gold %q, extracted %q: %s (%s) %q", g.ID, g.model(), v.Equal, g.Correct, listed, v.Gold, v.Answer, v.Reason, v.Outcome, g.Options)
		}
		if v.Equal == g.Correct {
			agree++
			if listed {
				t.Errorf("%s %s: listed, but no disagreement", g.ID, g.model())
			}
		}
		if len(g.Options) == 0 {
			free++
			if v.Equal == g.Correct {
				agreeFree++
			}
		}
	}
	if found != len(known) {
		t.Errorf("%d of %d listed disagreements are in the data", found, len(known))
	}
	t.Logf("official labels: %d of %d agree, of free-form answers %d of %d; right are %d", agree, len(all), agreeFree, free, right)
	if 1000*agreeFree < 985*free {
		t.Errorf("%d of %d free-form answers agree with their labels", agreeFree, free)
	}
}
