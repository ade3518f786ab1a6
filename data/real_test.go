package data

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata returns a path in the folder of test data, which is not part of the repository.
func testdata(t testing.TB, name string) string {
	dir := os.Getenv("THINKER_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "testdata")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data: %v; set THINKER_TESTDATA", err)
	}
	return path
}

func openAll(t testing.TB, o Options, files ...string) (*Set, []*Record) {
	t.Helper()
	s, report, err := Open(context.Background(), o, files...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if report.Left() != 0 || report.Kept != s.Len() {
		t.Errorf("%d records, report %s", s.Len(), report)
	}
	var all []*Record
	for i := range s.Len() {
		r, err := s.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return s, all
}

// The records of the paper's authors.
func TestVLAA(t *testing.T) {
	path := testdata(t, "vlaa/records.jsonl")
	dir := filepath.Join(filepath.Dir(path), "images")
	for _, roots := range [][]string{nil, {dir}} {
		s, all := openAll(t, Options{Roots: roots, Want: WantGold | WantResponse, Type: "open_ended"}, path)
		if len(all) != 5 {
			t.Fatalf("%d records, want 5", len(all))
		}
		want := []struct{ id, image, gold, asks string }{
			{"clevr_math-CLEVR_train_027977.png", "clevr_math/CLEVR_train_027977.png", "3", "Subtract all balls."},
			{"geoqa170k-geoqa_plus-2905-63590", "geoqa170k/geoqa_plus-2905.png", "C", "Given a semicircular figure"},
			{"synthesis-2", "synthesis/gen_func-func_sine_22135407_qtmb.png", "Step 1: Substitute", "What is the function's equation?"},
			{"arxivqa-cond-mat-23815", "arxivqa/1907.10497_1.jpg", "B", "In figure (b), how does"},
			{"allava-allava_laion_100760552", "allava_laion/images/100760552.jpeg", "The Preston Store's", "Considering the proximity"},
		}
		for i, w := range want {
			r := all[i]
			abs, _ := filepath.Abs(filepath.Join(dir, w.image))
			switch {
			case r.ID != w.id, r.Line != i+1, r.File != path, r.Type != "open_ended", r.Options != nil, r.Messages != nil:
				t.Errorf("record %d: %+v", i, r)
			case len(r.Images) != 1 || r.Images[0] != abs:
				t.Errorf("record %d has the pictures %v, want %s", i, r.Images, abs)
			case !strings.HasPrefix(r.Gold, w.gold), len(w.gold) == 1 && r.Gold != w.gold, !strings.HasPrefix(r.Question, w.asks), r.Text() != r.Question:
				t.Errorf("record %d asks %q, gold %q", i, r.Question, r.Gold)
			case !strings.HasPrefix(r.Response, "<think>"), strings.Count(r.Response, "</think> <answer>") != 1, !strings.HasSuffix(r.Response, "</answer>"):
				t.Errorf("record %d has the response %q", i, r.Response)
			case len(r.Extra) != 3 || r.Extra["ds_answer"] == nil || r.Extra["caption"] == nil || r.Extra["meta"][0] != '{':
				t.Errorf("record %d has more: %v", i, r.Extra)
			}
			f, err := s.OpenImage(r.Images[0])
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		if got := all[0].Response; !strings.Contains(got, "The answer should be 3.  \n</think> <answer>In the scene, there is") || !strings.HasSuffix(got, "There are 3 objects remaining.</answer>") {
			t.Errorf("the first response is %q", got)
		}
	}
}

func TestMathVision(t *testing.T) {
	path := testdata(t, "mathvision/questions.jsonl")
	_, all := openAll(t, Options{Want: WantGold, Types: []string{"math", "mcq"}}, path)
	if len(all) != 190 {
		t.Fatalf("%d records, want 190", len(all))
	}
	types := map[string]int{}
	for _, r := range all {
		types[r.Type]++
		if r.Type == "mcq" && (len(r.Options) != 5 || len(r.Gold) != 1) || r.Type == "math" && r.Options != nil {
			t.Errorf("%s: gold %q, options %q", r.ID, r.Gold, r.Options)
		}
		if len(r.Images) != 1 || filepath.Base(filepath.Dir(r.Images[0])) != "images" || r.Question == "" || r.Response != "" {
			t.Errorf("%+v", r)
		}
		if strings.HasSuffix(r.Question, "<image1>") && !strings.HasSuffix(r.Question, "than <image1>") || strings.HasSuffix(r.Question, `\n`) {
			t.Errorf("%s asks %q", r.ID, r.Question)
		}
		if string(r.Extra["level"]) == "" || string(r.Extra["subject"]) == "" {
			t.Errorf("%s has more: %v", r.ID, r.Extra)
		}
	}
	if types["mcq"] != 97 || types["math"] != 93 {
		t.Errorf("types: %v, want 97 mcq and 93 math", types)
	}
	r := all[0]
	if r.ID != "11" || r.Gold != "7" || !strings.HasSuffix(r.Question, "How many cubes has Lily taken?") {
		t.Errorf("%+v", r)
	}
}
