package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

type lossLine struct {
	Loss       float64     `json:"loss"`
	Advantages []float64   `json:"advantages"`
	Grad       [][]float64 `json:"grad"`
}

// TestLossGolden: the command's numbers are the reference's, from a file and from standard input.
func TestLossGolden(t *testing.T) {
	t.Parallel()
	path := testdata(t, "golden", "losses", "losses.jsonl")
	text := readFile(t, path)
	golden := lines[struct{ Expect lossLine }](t, text)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	mustRun(t, "", "loss", "--in", path, "--out", out)
	if got := mustRun(t, text, "loss"); got != readFile(t, out) {
		t.Error("standard input and a file give different lines")
	}
	all := lines[lossLine](t, readFile(t, out))
	if len(all) != len(golden) {
		t.Fatalf("%d lines of %d", len(all), len(golden))
	}
	near := func(what string, line int, got, want float64) {
		if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
			t.Errorf("line %d: %s is %v, want %v", line, what, got, want)
		}
	}
	for i, got := range all {
		want := golden[i].Expect
		near("the loss", i+1, got.Loss, want.Loss)
		if len(got.Advantages) != len(want.Advantages) || len(got.Grad) != len(want.Grad) {
			t.Fatalf("line %d: %d advantages and %d gradients of %d sequences", i+1, len(got.Advantages), len(got.Grad), len(want.Grad))
		}
		for k := range want.Grad {
			near(fmt.Sprint("advantage ", k), i+1, got.Advantages[k], want.Advantages[k])
			if len(got.Grad[k]) != len(want.Grad[k]) {
				t.Fatalf("line %d: gradient %d has %d numbers of %d", i+1, k, len(got.Grad[k]), len(want.Grad[k]))
			}
			for j, v := range want.Grad[k] {
				near(fmt.Sprint("gradient ", k, j), i+1, got.Grad[k][j], v)
			}
		}
	}
}

// TestLossLines: what a line may say, and the form of what comes out.
func TestLossLines(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"sft", `{"settings": {"loss_type": "sft"}, "sequences": [{"logprobs": [-1, -2]}, {"logprobs": []}]}`, `{"loss": 1.5, "advantages": [], "grad": [[-0.5, -0.5], []]}`},
		{"given advantages", `{"settings": {}, "id": 7, "sequences": [{"logprobs": [-1], "advantage": 2, "reward": "ignored", "note": 1}, {"logprobs": [-3], "advantage": -1}]}`,
			`{"loss": -0.5, "advantages": [2.0, -1.0], "grad": [[-1.0], [0.5]]}`},
		{"groups by key", `{"settings": {"scale_rewards": "none"}, "sequences": [{"logprobs": [-1], "reward": 1, "group": 1}, {"logprobs": [-1], "reward": 8, "group": "1"}, ` +
			`{"logprobs": [-1], "reward": 3, "group": 1.0}, {"logprobs": [-1], "reward": 4, "group": "\u0031"}]}`, `{"loss": -0.0, "advantages": [-1.0, 2.0, 1.0, -2.0], "grad": [[0.25], [-0.5], [-0.25], [0.5]]}`},
		{"a reward that is null", `{"settings": {"scale_rewards": "none"}, "sequences": [{"logprobs": [-1], "reward": 1, "group": "a"}, {"logprobs": [-1], "reward": null, "group": "a"}, ` +
			`{"logprobs": [-1], "reward": 3, "group": "a"}, {"logprobs": [-1], "reward": 5, "group": "a"}]}`, `{"loss": 0.0, "advantages": [-2.0, 0.0, 0.0, 2.0], "grad": [[0.5], [0.0], [0.0], [-0.5]]}`},
		{"verl and a group of one", `{"settings": {"dialect": "verl", "advantage_epsilon": 0}, "sequences": [{"logprobs": [-1], "reward": 0.5, "group": "a"}]}`,
			`{"loss": -0.5, "advantages": [0.5], "grad": [[-0.5]]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.TrimSuffix(mustRun(t, tt.in+"\n", "loss"), "\n")
			zeros := strings.NewReplacer("-0.0,", "0.0,", "-0.0]", "0.0]") // a zero's sign says nothing
			if zeros.Replace(got) != zeros.Replace(tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestLossBadLines: an error names file, line and value; the old output stays; nothing else is left.
func TestLossBadLines(t *testing.T) {
	t.Parallel()
	const good = `{"settings": {"loss_type": "grpo"}, "sequences": [{"logprobs": [-1, -2], "reward": 1, "group": "a"}, {"logprobs": [-1], "reward": 0, "group": "a"}]}`
	line := func(settings, sequence string) string {
		return `{"settings": ` + settings + `, "sequences": [{"logprobs": [-1], "reward": 0, "group": "a"}, ` + sequence + `]}`
	}
	const second = `{"logprobs": [-1, -2], "reward": 1, "group": "a"}`
	for _, tt := range []struct {
		name, line string
		want       []string
	}{
		{"not JSON", `{"settings": {`, []string{"not JSON"}},
		{"no settings", `{"sequences": []}`, []string{"no settings", `"sequences"`}},
		{"no sequences", `{"settings": {}}`, []string{"no sequences"}},
		{"empty sequences", `{"settings": {}, "sequences": []}`, []string{"no sequences"}},
		{"sequences of the wrong type", `{"settings": {}, "sequences": {}}`, []string{"sequences is {}"}},
		{"a sequence of the wrong type", `{"settings": {}, "sequences": [3]}`, []string{"sequences[0] is 3"}},
		{"an unknown setting", line(`{"espilon": 0.2}`, second), []string{"espilon: unknown key", "did you mean epsilon?"}},
		{"a setting twice", line(`{"beta": 0, "beta": 0}`, second), []string{"beta", "twice"}},
		{"contradicting settings", line(`{"delta": 2, "dual_clip": 3}`, second), []string{"delta", "dual_clip"}},
		{"settings of the wrong type", line(`"grpo"`, second), []string{"want a JSON object"}},
		{"old of another length", line(`{}`, `{"logprobs": [-1, -2], "old_logprobs": [-1], "reward": 1, "group": "a"}`), []string{"sequences[1]", "old_logprobs has 1", "logprobs 2"}},
		{"ref of another length", line(`{}`, `{"logprobs": [-1, -2], "ref_logprobs": [], "reward": 1, "group": "a"}`), []string{"sequences[1]", "ref_logprobs has 0"}},
		{"no reference", line(`{"beta": 0.1}`, second), []string{"sequences[0]", "ref_logprobs", "beta = 0.1"}},
		{"a group of one", line(`{}`, `{"logprobs": [-1], "reward": 1, "group": "b"}`), []string{`group "a" has one sample`}},
		{"an infinite number", line(`{}`, `{"logprobs": [-1, -1e999], "reward": 1, "group": "a"}`), []string{"sequences[1]: logprobs[1] is -1e999", "finite"}},
		{"an infinite reward", line(`{}`, `{"logprobs": [-1], "reward": 1e999, "group": "a"}`), []string{"sequences[1]: reward is 1e999"}},
		{"NaN", line(`{}`, `{"logprobs": [NaN], "reward": 1, "group": "a"}`), []string{"not JSON"}},
		{"a null log-prob", line(`{}`, `{"logprobs": [null], "reward": 1, "group": "a"}`), []string{"logprobs[0] is null"}},
		{"no log-probs", line(`{}`, `{"reward": 1, "group": "a"}`), []string{"sequences[1]: logprobs is missing"}},
		{"log-probs of the wrong type", line(`{}`, `{"logprobs": "-1", "reward": 1, "group": "a"}`), []string{`logprobs is "-1"`}},
		{"no reward", line(`{}`, `{"logprobs": [-1], "group": "a"}`), []string{"sequences[1]", "neither advantage nor reward"}},
		{"a reward of the wrong type", line(`{}`, `{"logprobs": [-1], "reward": "1", "group": "a"}`), []string{`reward is "1"`}},
		{"no group", line(`{}`, `{"logprobs": [-1], "reward": 1}`), []string{"sequences[1]: group is missing"}},
		{"a group of the wrong type", line(`{}`, `{"logprobs": [-1], "reward": 1, "group": ["a"]}`), []string{`group is ["a"]`}},
		{"a key twice in a sequence", line(`{}`, `{"logprobs": [-1], "logprobs": [-1], "reward": 1, "group": "a"}`), []string{`sequences[1]: the key "logprobs" occurs twice`}},
		{"a ratio beyond numbers", line(`{}`, `{"logprobs": [-1], "old_logprobs": [-900], "advantage": -1}, {"logprobs": [-1], "reward": 1, "group": "a"}`), []string{"sequences[1]", "not finite", "899"}},
		{"an advantage of the wrong type", line(`{}`, `{"logprobs": [-1], "advantage": [1]}`), []string{"advantage is [1]"}},
		{"truncated of the wrong type", line(`{}`, `{"logprobs": [-1], "truncated": 1, "advantage": 1}`), []string{"truncated is 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			in := writeFile(t, filepath.Join(dir, "in.jsonl"), good+"\n\n"+tt.line+"\n"+good+"\n")
			out := writeFile(t, filepath.Join(dir, "out.jsonl"), "old\n")
			before := entries(t, dir)
			o := thinker(t, "", "loss", "--in", in, "--out", out)
			if o.code != exitError || !strings.HasPrefix(o.stderr, "thinker: "+in+":3: ") {
				t.Errorf("exit status %d: %s", o.code, o.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("%s: want %q in it", o.stderr, want)
				}
			}
			if readFile(t, out) != "old\n" || entries(t, dir) != before || len(o.stderr) > 600 {
				t.Errorf("left behind: %s; %s", entries(t, dir), o.stderr)
			}
		})
	}
	if o := thinker(t, good+"\n", "loss", "--model", "x"); o.code != exitUsage {
		t.Errorf("an unknown flag: exit status %d", o.code)
	}
}

// FuzzLossLine: whatever the line, reading it returns, and what is accepted has a key for every group.
func FuzzLossLine(f *testing.F) {
	for _, s := range []string{
		`{"settings": {"loss_type": "grpo"}, "sequences": [{"logprobs": [-1, -2], "reward": 1, "group": "a"}, {"logprobs": [-1], "reward": null, "group": 1e0}]}`,
		`{"settings": {"loss_type": "sft"}, "sequences": [{"logprobs": []}]}`, `{"settings": null, "sequences": [null]}`, `{"settings": {}, "sequences": [{"logprobs": [1], "advantage": -1e5}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s, sequences, err := parseLoss(line)
		if err != nil {
			return
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		for i, q := range sequences {
			if q.Group == "" && q.Advantage == nil && s.LossType != "sft" {
				t.Errorf("sequence %d has no group", i)
			}
		}
		var all map[string]json.RawMessage
		if json.Unmarshal(line, &all) != nil {
			t.Error("accepted what is not JSON")
		}
	})
}
