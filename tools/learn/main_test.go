package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLearn runs the program twice: it trains, and the second time finds the run finished.
func TestLearn(t *testing.T) {
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	model := filepath.Join(root, "golden", "tiny")
	if _, err := os.Stat(model); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", model)
	}
	exe := filepath.Join(t.TempDir(), "learn")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := filepath.Join(t.TempDir(), "run")
	for _, updates := range []int{3, 0} {
		out, err := exec.Command(exe, model, run, "How many?", "Which colour?").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if n := strings.Count(string(out), ": reward "); n != updates {
			t.Errorf("%d updates, want %d: %s", n, updates, out)
		}
	}
	for _, name := range []string{"step-3/model/config.json", "step-3/state/optimizer.safetensors", "metrics.jsonl", "completions.jsonl"} {
		if _, err := os.Stat(filepath.Join(run, name)); err != nil {
			t.Error(err)
		}
	}
}
