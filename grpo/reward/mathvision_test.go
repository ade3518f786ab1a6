package reward

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// A graded answer is a line of testdata/mathvision/graded_outputs.jsonl.
type graded struct {
	ID       string   `json:"id"`
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

// TestMathVision compares verdicts on published answers to multiple choices with the benchmark's own.
func TestMathVision(t *testing.T) {
	agree, n := 0, 0
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
		if (x.Score == 1) == g.Correct {
			agree++
			continue
		}
		tail := g.Response[max(0, len(g.Response)-160):]
		t.Logf("%s: %v, official %v: gold %s, options %q, extracted %q, %s\n   model %q: %s", g.ID, x.Score, g.Correct, g.Answer, g.Options, x.Answer, x.Reason, g.Model, strings.ReplaceAll(tail, "\n", " "))
	}
	share := float64(agree) / float64(n)
	t.Logf("%d of %d agree: %.2f %%", agree, n, 100*share)
	if share < 0.985 {
		t.Errorf("%.2f %% agree, want 98.5 %%", 100*share)
	}
}
