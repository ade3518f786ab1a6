package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/data/scenes"
	"github.com/thinker-vl/thinker/tools/internal/program"
)

// TestProgram runs the program as a user would: it trains two steps, and a second time finds the run finished.
func TestProgram(t *testing.T) {
	exe, model := program.Build(t), program.Checkpoint(t)
	set := filepath.Join(t.TempDir(), "scenes")
	if err := scenes.Write(t.Context(), set, scenes.Config{N: 6, Width: 84, Height: 84, NoTrace: true}, nil); err != nil {
		t.Fatal(err)
	}
	records, run := filepath.Join(set, scenes.RecordsFile), filepath.Join(t.TempDir(), "run")
	var metrics []byte
	for range 2 {
		out, err := exec.Command(exe, model, run, records).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "trained: "+run) {
			t.Fatalf("%v: %s", err, out)
		}
		before := metrics
		if metrics, err = os.ReadFile(filepath.Join(run, "metrics.jsonl")); err != nil {
			t.Fatal(err)
		}
		if before != nil && string(before) != string(metrics) {
			t.Errorf("the second time wrote metrics:\n%s\nafter\n%s", metrics, before)
		}
	}
	if n := strings.Count(string(metrics), `"rewards/brief/mean":0.`); n != 2 {
		t.Errorf("%d steps with rewards, want 2:\n%s", n, metrics)
	}
	weights := func(dir string) string {
		b, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if weights(model) == weights(filepath.Join(run, "step-2", "model")) {
		t.Error("the weights are as they were: nothing was learned")
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no arguments": {nil, "usage: learn CHECKPOINT RUN RECORDS.jsonl"},
		"no model":     {[]string{"none", run, records}, "none"},
		"no records":   {[]string{model, run, "none.jsonl"}, "none.jsonl"},
	} {
		if out, err := exec.Command(exe, tt.args...).CombinedOutput(); err == nil || !strings.Contains(string(out), tt.want) || strings.Contains(string(out), "goroutine") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestReadme: the README has the program, which is one of at most 40 lines.
func TestReadme(t *testing.T) {
	if n := program.InReadme(t, "grpo.Run{"); n > 40 {
		t.Errorf("%d lines, the README promises 40", n)
	}
}
