package mathverify

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testData returns the path of a file of the shared test data, or skips the test.
func testData(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				t.Skip("no go.mod above the test's folder: set THINKER_TESTDATA to the test data's folder")
			}
			dir = parent
		}
		root = filepath.Join(filepath.Dir(dir), "shared", "testdata")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", path)
	}
	return path
}

// readLines decodes a file of one JSON object a line.
func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	for s := bufio.NewReader(f); ; {
		line, err := s.ReadBytes('\n')
		if len(line) > 1 {
			var x T
			if err := json.Unmarshal(line, &x); err != nil {
				t.Fatalf("%s: line %d: %v", path, len(out)+1, err)
			}
			out = append(out, x)
		}
		if err != nil {
			return out
		}
	}
}

// A suiteCase is a line of math-verify/cases.jsonl.
type suiteCase struct {
	ID       string   `json:"id"`
	Gold     string   `json:"gold"`
	Pred     string   `json:"pred"`
	Expected bool     `json:"expected"`
	Extract  []string `json:"extract"`
	Digits   int      `json:"precision"`
	Relation *bool    `json:"allow_set_relation_comp"`
}

func (c *suiteCase) options() Options {
	o := Options{Digits: c.Digits, StrictSets: c.Relation != nil && !*c.Relation}
	for _, e := range c.Extract {
		switch e {
		case "latex":
			o.Places |= LaTeX
		case "expr":
			o.Places |= Plain
		}
	}
	return o
}

// A graded is a line of mathvision/graded_outputs.jsonl.
type graded struct {
	ID       string   `json:"id"`
	Source   string   `json:"source"`
	Options  []string `json:"options"`
	Answer   string   `json:"answer"`
	Response string   `json:"response"`
	Model    string   `json:"model_answer"`
	Correct  bool     `json:"correct"`
}

func (g *graded) model() string { return strings.TrimSuffix(filepath.Base(g.Source), ".jsonl") }

func (g *graded) options() Options { return Options{Choices: g.Options} }
