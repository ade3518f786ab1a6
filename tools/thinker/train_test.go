package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// scenesOf makes a small data set and returns its records' file.
func scenesOf(t testing.TB, n, seed int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "scenes")
	mustRun(t, "", "synth", "--n", fmt.Sprint(n), "--seed", fmt.Sprint(seed), "--size", "60x60", "--out", dir, "--quiet")
	return filepath.Join(dir, "records.jsonl")
}

// tinyRun are flags of a run of the golden checkpoint that takes a second.
func tinyRun(t testing.TB, data, out string) []string {
	return []string{"--model", testdata(t, "golden", "tiny"), "--data", data, "--out", out, "--set", "model.dtype=f32", "--set", "model.cache=16MiB",
		"--set", "rollout.prompts=4", "--set", "rollout.num_generations=3", "--set", "rollout.update_sequences=6", "--set", "grpo.max_completion_length=8",
		"--set", "grpo.learning_rate=1e-3", "--set", "rewards.exec.math=" + exe(t, "lengths"), "--set", "rewards.dry_run_warn=true"}
}

// exe is a program for --exec: this test binary, told by its arguments what to be. See TestMain.
func exe(t testing.TB, what string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal([]string{self, "-reward-program=" + what})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A trap is standard error that calls f at the first sight of a text.
type trap struct {
	mu   sync.Mutex
	b    bytes.Buffer
	text string
	f    func()
}

func (w *trap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	if w.f != nil && strings.Contains(w.b.String(), w.text) {
		w.f()
		w.f = nil
	}
	return len(p), nil
}

// TestTrain has a run, and one that is told to end in its second rollout and goes on: the same bytes.
func TestTrain(t *testing.T) {
	t.Parallel()
	data := scenesOf(t, 12, 1)
	base := t.TempDir()
	whole, parts := filepath.Join(base, "whole"), filepath.Join(base, "parts and more")
	train := append([]string{"train", "--set", "grpo.beta=0.01", "--set", "data.held_out=4", "--set", "data.num_train_epochs=2", "--set", "evaluation.eval_on_start=true",
		"--set", "evaluation.eval_steps=2", "--set", "rewards.format=0.1"}, tinyRun(t, data, whole)...)
	type line struct {
		Run, Checkpoint   string
		Rollouts, Updates int
		Metrics           map[string]float64
	}
	done := lines[line](t, mustRun(t, "", train...))
	if len(done) != 1 || done[0].Rollouts != 4 || done[0].Updates != 8 || done[0].Run != whole || done[0].Checkpoint != filepath.Join(whole, "step-4", "model") {
		t.Errorf("%+v", done)
	}
	for name, v := range done[0].Metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%s is %v", name, v)
		}
	}
	for _, name := range []string{"run.yaml", "metrics.jsonl", "completions.jsonl", "eval/step-0.json", "eval/step-2.jsonl", "eval/step-4.json", "step-4/model/config.json"} {
		if _, err := os.Stat(filepath.Join(whole, name)); err != nil {
			t.Error(err)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &trap{text: "update 3/8", f: cancel}
	var stdout bytes.Buffer
	if code := run(ctx, append(train, "--out", parts, "--verbose"), strings.NewReader(""), &stdout, w); code != exitStopped || stdout.Len() > 0 {
		t.Fatalf("exit status %d, %s, %s", code, stdout.String(), w.b.String())
	}
	if want := "thinker: stopped and saved; go on with: thinker train --out '" + parts + "' --resume\n"; !strings.HasSuffix(w.b.String(), want) {
		t.Errorf("standard error is %q, want it to end with %q", w.b.String(), want)
	}
	if !strings.Contains(w.b.String(), "memory: policy ") || !strings.Contains(w.b.String(), "update 4/8") || strings.Contains(w.b.String(), "update 5/8") {
		t.Errorf("standard error is %q, want the memory plan and the rest of the rollout", w.b.String())
	}
	if at := lastCheckpoint(parts); at != filepath.Join(parts, "step-2", "model") {
		t.Errorf("the last checkpoint is %s", at)
	}
	// It goes on from its own file, with other threads.
	again := lines[line](t, mustRun(t, "", "train", "--out", parts, "--resume", "--set", "model.threads=1"))
	if len(again) != 1 || again[0].Updates != 8 {
		t.Errorf("%+v", again)
	}
	for _, name := range []string{"metrics.jsonl", "completions.jsonl", "step-4/state/optimizer.safetensors", "eval/step-4.jsonl"} {
		if readFile(t, filepath.Join(whole, name)) != readFile(t, filepath.Join(parts, name)) {
			t.Errorf("%s differs", name)
		}
	}
	// A third time there is nothing to do.
	if o := thinker(t, "", "train", "--out", parts, "--resume"); o.code != 0 || !strings.Contains(o.stderr, "nothing was left to do") {
		t.Errorf("%+v", o)
	}
	if o := thinker(t, "", "report", parts); o.code != 0 || o.stdout != filepath.Join(parts, "report.html")+"\n" {
		t.Errorf("%+v", o)
	}

	// What eval says of the last checkpoint is what the run said.
	type evaluation struct {
		Prompts, K int
		Metrics    map[string]float64
	}
	out := filepath.Join(base, "eval")
	got := lines[evaluation](t, mustRun(t, "", "eval", "--config", filepath.Join(whole, "run.yaml"), "--model", filepath.Join(whole, "step-4", "model"), "--out", out, "--step", "4", "--json"))[0]
	var want evaluation
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(whole, "eval", "step-4.json"))), &want); err != nil {
		t.Fatal(err)
	}
	if got.Prompts != want.Prompts || got.K != 1 || len(got.Metrics) == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	for name, v := range want.Metrics {
		if got.Metrics[name] != v {
			t.Errorf("%s is %v, in the run %v", name, got.Metrics[name], v)
		}
	}
	if readFile(t, filepath.Join(out, "step-4.jsonl")) != readFile(t, filepath.Join(whole, "eval", "step-4.jsonl")) {
		t.Error("the samples differ")
	}
}

func TestSFT(t *testing.T) {
	t.Parallel()
	data := scenesOf(t, 16, 2)
	out := filepath.Join(t.TempDir(), "sft")
	args := []string{"sft", "--preset", "demo", "--model", testdata(t, "golden", "tiny"), "--data", data, "--set", "model.cache=16MiB", "--set", "batch.sequences=4",
		"--set", "data.held_out=4", "--set", "evaluation.eval_steps=1", "--set", "batch.max_steps=4"}
	type line struct {
		Updates int
		Metrics map[string]float64
	}
	done := lines[line](t, mustRun(t, "", append(args, "--out", out)...))
	if done[0].Updates != 4 || !(done[0].Metrics["eval_loss"] > 0) {
		t.Errorf("%+v", done)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	parts := filepath.Join(t.TempDir(), "parts")
	w := &trap{text: "update 2/4", f: cancel}
	if code := run(ctx, append(args, "--out", parts, "--verbose"), strings.NewReader(""), &bytes.Buffer{}, w); code != exitStopped || !strings.Contains(w.b.String(), "thinker sft --out ") {
		t.Fatalf("exit status %d, %s", code, w.b.String())
	}
	mustRun(t, "", "sft", "--out", parts, "--resume")
	if readFile(t, filepath.Join(out, "metrics.jsonl")) != readFile(t, filepath.Join(parts, "metrics.jsonl")) {
		t.Error("metrics.jsonl differs")
	}
	// A run of sft is not one of train.
	if o := thinker(t, "", append([]string{"train"}, tinyRun(t, data, out)...)...); o.code != 1 || !strings.Contains(o.stderr, "holds another run") || !strings.Contains(o.stderr, "sft") {
		t.Errorf("%+v", o)
	}
}

// TestRunFolders refuses folders that hold a run, and what goes on with none.
func TestRunFolders(t *testing.T) {
	t.Parallel()
	data := scenesOf(t, 4, 3)
	base := t.TempDir()
	out := filepath.Join(base, "run")
	args := append([]string{"train", "--set", "rollout.max_rollouts=1"}, tinyRun(t, data, out)...)
	mustRun(t, "", args...)
	before := readFile(t, filepath.Join(out, "metrics.jsonl"))
	foreign := filepath.Join(base, "foreign")
	if err := os.MkdirAll(filepath.Join(foreign, "step-3"), 0o777); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(base, "broken")
	if err := os.MkdirAll(broken, 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(broken, "run.yaml"), "model: {pth: x}\n")
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"the same run", args, []string{out, "holds this run already", "--resume"}},
		{"another run", append(args, "--set", "rollout.prompts=2", "--set", "grpo.temperature=0.5"), []string{"holds another run", "rollout.prompts: 4, now 2", "grpo.temperature: 1, now 0.5", "thinker train --out"}},
		{"another run to go on with", append(args, "--resume", "--seed", "9"), []string{"holds another run", "seed: 0, now 9"}},
		{"a run without a file", append(args, "--out", foreign), []string{foreign, "step-3", "without a run.yaml"}},
		{"a run with a bad file", append(args, "--out", broken), []string{filepath.Join(broken, "run.yaml") + ":1", "model.pth"}},
		{"none to go on with", []string{"train", "--resume", "--out", filepath.Join(base, "none")}, []string{"holds no run", "--preset"}},
	} {
		o := thinker(t, "", tt.args...)
		if o.code != 1 {
			t.Errorf("%s: exit status %d: %s", tt.name, o.code, o.stderr)
		}
		for _, w := range tt.want {
			if !strings.Contains(o.stderr, w) {
				t.Errorf("%s: %q, want %q in it", tt.name, o.stderr, w)
			}
		}
	}
	if readFile(t, filepath.Join(out, "metrics.jsonl")) != before {
		t.Error("the run in the folder was changed")
	}
	// The data of a run that goes on is that of its start.
	text := readFile(t, data)
	writeFile(t, data, strings.Replace(text, "How many", "how many", 1)+"\n")
	if o := thinker(t, "", "train", "--resume", "--out", out); o.code != 1 || !strings.Contains(o.stderr, data+" has changed") {
		t.Errorf("other data: %+v", o)
	}
	writeFile(t, data, text)
	mustRun(t, "", "train", "--resume", "--out", out)
}

// TestBadRuns gives train, sft and eval what they must refuse, before anything is written: with file and line, or the key.
func TestBadRuns(t *testing.T) {
	good := strings.Split(strings.TrimSpace(readFile(t, scenesOf(t, 3, 4))), "\n")
	record := func(change func(r map[string]any)) string {
		var r map[string]any
		if err := json.Unmarshal([]byte(good[0]), &r); err != nil {
			t.Fatal(err)
		}
		change(r)
		return strings.TrimSpace(jsonLine(t, r))
	}
	set := func(key string, v any) string { return record(func(r map[string]any) { r[key] = v }) }
	without := func(key string) string { return record(func(r map[string]any) { delete(r, key) }) }
	slow := exe(t, "hangs")
	for _, tt := range []struct {
		name, line string // in the second line of the data
		args       []string
		want       []string
		commands   string
	}{
		{"a bad line", `{"question": `, nil, []string{"records.jsonl:2", "ends in its middle"}, "train sft eval"},
		{"a missing picture", set("image", "none.png"), nil, []string{"records.jsonl:2", "none.png", "by data.roots"}, "train sft eval"},
		{"a picture that is none", set("image", "text.png"), nil, []string{"records.jsonl:2", "text.png"}, "train sft eval"},
		{"a path that escapes", set("image", "../../secret.png"), nil, []string{"records.jsonl:2", "secret.png"}, "train sft eval"},
		{"an absolute path that escapes", set("image", filepath.Join(os.TempDir(), "x.png")), nil, []string{"records.jsonl:2", "x.png"}, "train sft eval"},
		{"a link that escapes", set("image", "link.png"), nil, []string{"records.jsonl:2", "link.png"}, "train sft eval"},
		{"an unknown verifier_type", set("verifier_type", "digits"), nil, []string{"records.jsonl:2", "digits", "digit"}, "train eval"},
		{"no verifier_type", without("verifier_type"), nil, []string{"records.jsonl:2", "give data.verifier_type for all"}, "train eval"},
		{"an answer of the wrong type", set("gt", map[string]any{"a": 1}), nil, []string{"records.jsonl:2", "gt"}, "train eval"},
		{"no answer", without("gt"), nil, []string{"records.jsonl:2"}, "train eval"},
		{"no response", without("response"), nil, []string{"records.jsonl:2", "response"}, "sft"},
		{"a question of the wrong type", set("question", 3), nil, []string{"records.jsonl:2", "question"}, "train sft eval"},
		{"a question longer than the context", set("question", strings.Repeat("how many ", 3000)), nil, []string{"records.jsonl:2", "4096"}, "train sft eval"},
		{"open questions without a judge", set("verifier_type", "open_ended"), nil, []string{"1 record of type open_ended", "rewards.judge"}, "train eval"},
		{"an empty file", "empty", nil, []string{"records.jsonl", "no records"}, "train sft eval"},
		{"no file", "missing", nil, []string{"records.jsonl", "no such file"}, "train sft eval"},
		{"an unknown key", good[1], []string{"--set", "model.pth=x"}, []string{"model.pth", "did you mean model.path?"}, "train sft eval"},
		{"a value of the wrong type", good[1], []string{"--set", "seed=many"}, []string{"seed", `"many" is not an integer`}, "train sft eval"},
		{"a group that does not divide", good[1], []string{"--set", "rollout.update_sequences=7"}, []string{"rollout.update_sequences: 7", "multiple of the group"}, "train"},
		{"early stop without data", good[1], []string{"--set", "early_stop.metric=eval_reward", "--set", "early_stop.patience=2", "--set", "evaluation.eval_steps=1"}, []string{"early_stop.metric", "held-out"}, "train"},
		{"early stop without evaluations", good[1], []string{"--set", "early_stop.metric=eval_reward", "--set", "early_stop.patience=2"}, []string{"early_stop.metric", "evaluation.eval_steps"}, "train"},
		{"less memory than a page", good[1], []string{"--set", "model.cache=1"}, []string{"model.cache"}, "train sft eval"},
		{"too many held out", good[1], []string{"--set", "data.held_out=3"}, []string{"data.held_out", "3 of 3"}, "train sft"},
		{"no model", good[1], []string{"--model", "nowhere"}, []string{"nowhere", "checkpoint folder"}, "train sft eval"},
		{"a model without weights", good[1], []string{"--model", "bare"}, []string{"bare"}, "train sft eval"},
		{"a layout that is missing", good[1], []string{"--set", "prompt.layout=none.tmpl"}, []string{"none.tmpl"}, "train sft eval"},
		{"a layout with an error", good[1], []string{"--set", "prompt.layout=bad.tmpl"}, []string{"bad.tmpl:2", ".Qestion"}, "train sft eval"},
		{"a weight of an unknown type", good[1], []string{"--set", "rewards.weights.digits=1"}, []string{"rewards.weights", "did you mean digit?"}, "train eval"},
		{"a program that is missing", good[1], []string{"--set", "rewards.exec.mine=/no/such/program"}, []string{"rewards", "program of mine"}, "train eval"},
		{"an answer that its verifier cannot read", set("gt", "three"), nil, []string{"records.jsonl:2", "gt", "three"}, "train eval"},
		{"a reward that hangs", set("verifier_type", "slow"), []string{"--set", "rewards.exec.slow=" + slow, "--set", "rewards.calls.timeout=0.2"}, []string{"slow", "no reply within"}, "train"},
		{"a reward that crashes", set("verifier_type", "slow"), []string{"--set", "rewards.exec.slow=" + exe(t, "crashes")}, []string{"slow", "ended without a reply", "a bug"}, "train"},
	} {
		for _, command := range strings.Fields(tt.commands) {
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				dir := t.TempDir()
				t.Chdir(dir)
				if err := os.CopyFS(dir, os.DirFS(filepath.Dir(scenesOf(t, 3, 4)))); err != nil {
					t.Fatal(err)
				}
				writeFile(t, "images/text.png", "no picture")
				writeFile(t, "bad.tmpl", "{{define \"user\"}}\n{{.Qestion}}{{end}}")
				if err := os.Mkdir("bare", 0o777); err != nil {
					t.Fatal(err)
				}
				outside := writeFile(t, filepath.Join(t.TempDir(), "outside.png"), readFile(t, "images/scene-000000.png"))
				if err := os.Symlink(outside, "images/link.png"); err != nil {
					t.Fatal(err)
				}
				data := "records.jsonl"
				switch tt.line {
				case "empty":
					writeFile(t, data, "\n")
				case "missing":
					if err := os.Remove(data); err != nil {
						t.Fatal(err)
					}
				default:
					writeFile(t, data, good[0]+"\n"+tt.line+"\n"+good[2]+"\n")
				}
				args := []string{command, "--model", testdata(t, "golden", "tiny"), "--data", data, "--out", "out", "--set", "model.cache=16MiB"}
				switch command {
				case "train":
					args = append(args, "--set", "rollout.prompts=2", "--set", "rollout.num_generations=2", "--set", "grpo.max_completion_length=4")
				case "eval":
					args = append(args, "--max-tokens", "4")
				}
				start := time.Now()
				o := thinker(t, "", append(args, tt.args...)...)
				if took := time.Since(start); took > time.Minute { // a hang, on any machine
					t.Errorf("it took %v", took)
				}
				if o.code != 1 || o.stdout != "" {
					t.Errorf("exit status %d, output %q, want 1 and none", o.code, o.stdout)
				}
				for _, w := range tt.want {
					if !strings.Contains(o.stderr, w) {
						t.Errorf("the message is %q, want %q in it", o.stderr, w)
					}
				}
				if len(o.stderr) > 4000 {
					t.Errorf("a message of %d bytes", len(o.stderr))
				}
				if steps, _ := filepath.Glob("out/step-*"); len(steps) > 0 {
					t.Errorf("%s was made", steps)
				}
			})
		}
	}
}

// TestSkippedRuns leaves bad records out, and says so.
func TestSkippedRuns(t *testing.T) {
	t.Parallel()
	data := scenesOf(t, 6, 5)
	text := readFile(t, data)
	writeFile(t, data, "{\n"+text+`{"question": "?", "image": "none.png", "gt": 1, "verifier_type": "digit"}`+"\n"+`{"question": "Why?", "gt": "so", "verifier_type": "open_ended"}`+"\n")
	out := filepath.Join(t.TempDir(), "run")
	args := append([]string{"train", "--set", "rollout.max_rollouts=1"}, tinyRun(t, data, out)...)
	if o := thinker(t, "", args...); o.code != 1 || !strings.Contains(o.stderr, data+":1: ") {
		t.Errorf("strict: %+v", o)
	}
	o := thinker(t, "", append(args, "--set", "data.on_error=skip")...)
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	for _, w := range []string{"6 records kept of 9", "3 problems", "not JSON", "missing picture", "unknown verifier_type", data + ":8", "none.png"} {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("%q is not in %q", w, o.stderr)
		}
	}
}

// TestRewardTrouble has rewards that hang and panic while a run is under way: their samples are masked, and the run goes on.
func TestRewardTrouble(t *testing.T) {
	t.Parallel()
	data := scenesOf(t, 6, 6)
	for _, what := range []string{"hangs", "crashes"} {
		out := filepath.Join(t.TempDir(), "run")
		o := thinker(t, "", append(append([]string{"train"}, tinyRun(t, data, out)...), "--set", "rollout.max_rollouts=2", "--set", "rewards.calls.timeout=0.2", "--set", "rewards.dry_run=0",
			"--set", "rewards.exec.digit="+exe(t, what))...)
		if o.code != 0 {
			t.Errorf("%s: %+v", what, o)
			continue
		}
		masked := 0.0
		for _, m := range lines[map[string]float64](t, readFile(t, filepath.Join(out, "metrics.jsonl"))) {
			masked += m["rewards/masked"]
		}
		if masked == 0 {
			t.Errorf("%s: no sample is masked", what)
		}
	}
}

func TestPrintConfig(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	first := mustRun(t, "", "train", "--preset", "paper", "--model", "a model", "--data", "x.jsonl", "--data", "y.jsonl", "--out", "o", "--set", "rollout.prompts=64", "--seed", "3", "--print-config")
	for _, want := range []string{"  path: a model\n", "    - x.jsonl\n    - y.jsonl\n", "  prompts: 64\n", "seed: 3\n", "  dialect: paper\n", "  num_generations: 4\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	writeFile(t, "resolved.yaml", first)
	if again := mustRun(t, "", "train", "--config", "resolved.yaml", "--print-config"); again != first {
		t.Errorf("read again it is\n%s", again)
	}
	if entries(t, dir) != "resolved.yaml" {
		t.Errorf("the folder holds %s", entries(t, dir))
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"train"}, "nothing says what to run"}, {[]string{"train", "--resume"}, "name the run's folder"}, {[]string{"train", "--preset", "demo"}, "model.path is not set"},
		{[]string{"train", "--preset", "demo", "--model", "m"}, "data.files is not set"}, {[]string{"sft", "--model", "m", "--data", "d"}, "checkpoints.output_dir is not set"},
		{[]string{"train", "more"}, "flags alone"}, {[]string{"report"}, "one run's folder"}, {[]string{"synth", "--out", "s", "--n", "0"}, "--n is 0"},
		{[]string{"synth", "--out", "s", "--size", "9"}, "WIDTHxHEIGHT"}, {[]string{"synth", "--out", "s", "--kinds", "cuont"}, `--kinds: "cuont" is not known`},
		{[]string{"synth", "--out", "s", "--forms", "0"}, "--forms 0"}, {[]string{"synth", "--out", "s", "--colors", "9"}, "--colors is 9: want 2 to 8"}, {[]string{"synth", "--out", "s", "--grid", "1x2"}, "--shapes: most is 5: want 2 to 2"},
		{[]string{"synth", "--out", "s", "--untagged", "101"}, "--untagged is 101"}, {[]string{"synth", "--out", "s", "--shapes", "many"}, "2-5"},
		{[]string{"eval", "--model", "m", "--data", "d", "--out", "o", "--step", "-1"}, "--step is -1"}, {[]string{"train", "--outt", "x"}, "did you mean --out?"},
	} {
		if o := thinker(t, "", tt.args...); o.code != exitUsage || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("%q: %+v, want %q", tt.args, o, tt.want)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"train", "--preset", "papre"}, "did you mean paper?"}, {[]string{"train", "--config", "none.yaml"}, "none.yaml"}, {[]string{"train", "--config", "."}, "no run file"},
		{[]string{"train", "--set", "rollout.promts=1"}, "did you mean rollout.prompts?"}, {[]string{"report", "none"}, "none"}, {[]string{"report", "resolved.yaml"}, "no folder"},
	} {
		if o := thinker(t, "", tt.args...); o.code != exitError || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("%q: %+v, want %q", tt.args, o, tt.want)
		}
	}
}
