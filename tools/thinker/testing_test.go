package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata returns the path of a file or folder of the test data: under $THINKER_TESTDATA, else under ../shared/testdata from the
// folder of go.mod. It skips the test, saying why, if there is none.
func testdata(t testing.TB, elem ...string) string {
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

// An outcome is what a run of the command left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// thinker runs the command with an input.
func thinker(t testing.TB, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(stdin), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// mustRun runs the command, which must succeed, and returns its standard output.
func mustRun(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	o := thinker(t, stdin, args...)
	if o.code != 0 {
		t.Fatalf("thinker %s: exit status %d: %s", strings.Join(args, " "), o.code, o.stderr)
	}
	return o.stdout
}

// lines reads one JSON object a line.
func lines[T any](t testing.TB, text string) []T {
	t.Helper()
	var all []T
	s := bufio.NewScanner(strings.NewReader(text))
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%v: %s", err, s.Text())
		}
		all = append(all, v)
	}
	return all
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// jsonLine writes values as one line.
func jsonLine(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// small are flags for the golden checkpoints, whose contexts need no large cache.
var small = []string{"--cache", "16MiB"}

// A goldenCase is a line of golden/*-cases/cases.jsonl.
type goldenCase struct {
	Name        string          `json:"name"`
	Messages    json.RawMessage `json:"messages"`
	Images      []string        `json:"images"`
	PromptIDs   []int32         `json:"prompt_ids"`
	Completions []struct {
		IDs      []int32   `json:"ids"`
		LogProbs []float64 `json:"logprobs"`
		Entropy  []float64 `json:"entropy"`
		Cooler   []float64 `json:"logprobs_t0.8"`
		Banned   []float64 `json:"logprobs_ban"`
	} `json:"completions"`
	Greedy struct {
		IDs      []int32   `json:"ids"`
		LogProbs []float64 `json:"logprobs"`
	} `json:"greedy"`
}

// goldenCases reads a model's cases, with absolute paths of pictures.
func goldenCases(t testing.TB, model string) []goldenCase {
	t.Helper()
	text := readFile(t, testdata(t, "golden", model+"-cases", "cases.jsonl"))
	return lines[goldenCase](t, strings.ReplaceAll(text, `"pictures/`, `"`+filepath.ToSlash(testdata(t, "golden", "pictures"))+`/`))
}

// someModels are the golden checkpoints; with -short, the small one.
func someModels() []string {
	if testing.Short() {
		return []string{"tiny"}
	}
	return []string{"tiny", "wide"}
}

// sampleLine and scoreLine are lines of the outputs.
type sampleLine struct {
	Index    int       `json:"index"`
	Sample   int       `json:"sample"`
	IDs      []int32   `json:"ids"`
	Text     string    `json:"text"`
	LogProbs []float32 `json:"logprobs"`
	Finish   string    `json:"finish_reason"`
}

type scoreLine struct {
	PromptTokens  int       `json:"prompt_tokens"`
	CompletionIDs []int32   `json:"completion_ids"`
	LogProbs      []float32 `json:"logprobs"`
	Entropy       []float32 `json:"entropy"`
}

// entries lists a folder, to find temporary files left behind.
func entries(t testing.TB, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
