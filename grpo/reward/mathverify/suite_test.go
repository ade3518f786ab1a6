package mathverify

import "testing"

func TestSuite(t *testing.T) {
	cases := readLines[suiteCase](t, testData(t, "math-verify", "cases.jsonl"))
	wrong := 0
	for _, c := range cases {
		v := Verify(c.Gold, c.Pred, c.options())
		if v.Equal != c.Expected {
			wrong++
			t.Errorf("%s: %v, want %v: %q against %q: %s (%s)", c.ID, v.Equal, c.Expected, v.Gold, v.Answer, v.Reason, v.Outcome)
		}
	}
	t.Logf("%d of %d cases", len(cases)-wrong, len(cases))
}

func TestGraded(t *testing.T) {
	all := readLines[graded](t, testData(t, "mathvision", "graded_outputs.jsonl"))
	wrong, free := 0, 0
	for _, g := range all {
		v := Verify(g.Answer, g.Response, g.options())
		if v.Equal != g.Correct {
			wrong++
			kind := "choice"
			if len(g.Options) == 0 {
				free++
				kind = "free"
			}
			t.Logf("%s %s: %v, official %v: gold %q, extracted %q, model_answer %.60q: %s (%s) %q", kind, g.ID, v.Equal, g.Correct, g.Answer, v.Answer, g.Model, v.Reason, v.Outcome, g.Options)
		}
	}
	t.Logf("%d of %d agree, %d free-form disagree", len(all)-wrong, len(all), free)
}
