package reward

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A graded answer is a line of testdata/mathvision/graded_outputs.jsonl.
type graded struct {
	ID       string   `json:"id"`
	Source   string   `json:"source"`
	Options  []string `json:"options"`
	Answer   string   `json:"answer"`
	Response string   `json:"response"`
	Model    string   `json:"model_answer"`
	Correct  bool     `json:"correct"`
}

func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// A ruling is a line of testdata/mathvision_choices.jsonl: an answer whose official label is not this package's verdict, and what a person
// who reads it says.
type ruling struct {
	ID      string `json:"id"`
	Source  string `json:"source"`
	Right   bool   `json:"right"`    // the answer is
	ByValue bool   `json:"by_value"` // it names the option by a value that is written in another way: a MathVerifier's work
	Why     string `json:"why"`
}

// TestMathVision compares verdicts on published answers to multiple choices with the benchmark's own. The answers stand in no block, so
// they are taken in Math-Verify's order of places. Every disagreement must be in the list of rulings.
func TestMathVision(t *testing.T) {
	type place struct{ id, source string }
	rulings := map[place]ruling{}
	for _, r := range readLines[ruling](t, "testdata/mathvision_choices.jsonl") {
		rulings[place{r.ID, r.Source}] = r
	}
	n, agree, right := 0, 0, 0
	for _, g := range readLines[graded](t, testdata(t, "mathvision", "graded_outputs.jsonl")) {
		if len(g.Options) == 0 {
			continue
		}
		n++
		v := &mcqVerifier{reader{MathVerifyOrder, defaultAnswer}, nil}
		x := v.Verify(t.Context(), &Record{Type: MCQ, Gold: g.Answer, Options: g.Options}, g.Response)
		if x.Masked {
			t.Errorf("%s: masked: %s", g.ID, x.Reason)
		}
		at := place{g.ID, filepath.Base(g.Source)}
		r, listed := rulings[at]
		delete(rulings, at)
		if got := x.Score == 1; got == g.Correct {
			agree++
			right++
			if listed {
				t.Errorf("%s of %s is listed, but the verdict %v is the official label", g.ID, g.Source, got)
			}
			continue
		} else if got == r.Right {
			right++
		} else if !r.ByValue {
			t.Errorf("%s of %s: %v, official %v, listed %v: gold %s, options %q, %q by %s", g.ID, g.Source, got, g.Correct, listed, g.Answer, g.Options, x.Answer, x.Reason)
		}
	}
	for at := range rulings {
		t.Errorf("%v is listed and is no answer", at)
	}
	t.Logf("of %d answers, %d agree with the official label (%.1f %%), %d with the label or the ruling (%.1f %%)", n, agree, 100*float64(agree)/float64(n), right, 100*float64(right)/float64(n))
	if float64(right) < 0.985*float64(n) {
		t.Errorf("%d of %d are right, want 98.5 %%", right, n)
	}
}
