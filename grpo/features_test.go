package grpo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

// A warning is a line of warnings.jsonl.
type warning struct {
	Update int
	Text   string
}

// TestWarnings: each is given once, at its time, also in a run of several pieces.
func TestWarnings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := newLab(t, "tiny", engine.BF16, 2, engine.TrainOptions{})
	for range 12 {
		r := l.run(dir, 7) // of two updates each
		r.Held = nil
		r.Config.Beta, r.Config.KLTarget, r.Config.KLHorizon = 0, 0, 0
		r.Config.Sampling.IgnoreEOS = true
		r.Rewards = []grpo.Reward{
			{Name: "zero", Weight: 1, Judge: func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]grpo.Verdict, error) {
				return make([]grpo.Verdict, len(s)), nil
			}},
			{Name: "gone", Weight: 1, Score: func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) {
				return nil, errors.New("down")
			}},
			{Name: "same", Weight: 1, Score: func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
				return slices.Repeat([]float64{0.7}, len(s)), nil
			}},
		}
		stop, cancel := context.WithCancel(context.Background())
		cancel() // after each rollout
		if err := r.Train(context.Background(), stop); err == nil {
			break
		} else if !errors.Is(err, grpo.ErrStopped) {
			t.Fatal(err)
		}
	}
	var got []string
	for _, w := range readLines[warning](t, filepath.Join(dir, "warnings.jsonl")) {
		got = append(got, fmt.Sprint(w.Update, " ", w.Text))
	}
	for i, want := range []string{
		"2 100 % of the completions were cut at 12 tokens",
		"2 an answer was found in 0 % of the completions",
		"6 in 3 rollouts in a row the samples of every prompt had equal rewards",
		"10 reward zero has been above 0 for no sample in the first 10 updates",
		"10 reward gone has scored no sample in the first 10 updates",
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("warning %d: want %q; all: %q", i, want, got)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d warnings, want 5: %q", len(got), got)
	}
	// A short run is told at its end; one that does well is told nothing.
	dir = t.TempDir()
	r := l.run(dir, 1)
	r.Held = nil
	r.Rewards = append(r.Rewards, grpo.Reward{Name: "zero", Weight: 1, Score: func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
		return make([]float64, len(s)), nil
	}})
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	if ws := readLines[warning](t, filepath.Join(dir, "warnings.jsonl")); len(ws) == 0 || !strings.HasPrefix(ws[0].Text, "reward zero has been above 0 for no sample in the whole run") ||
		slices.ContainsFunc(ws, func(w warning) bool { return strings.Contains(w.Text, "even") }) {
		t.Errorf("the warnings are %v", ws)
	}
	// A reward that a short run met no example for is no news before all the data has been seen; one that always failed is.
	for rollouts, want := range map[int][]string{
		1: {"reward gone has scored no sample in the whole run, and failed wherever it was asked"},
		3: {"reward gone has scored no sample in the whole run, and failed wherever it was asked", "reward others has scored no sample in the whole run: none of the examples"},
	} {
		dir := t.TempDir()
		r := l.run(dir, rollouts) // of three of the seven prompts each
		r.Held = nil
		none := func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]grpo.Verdict, error) {
			return slices.Repeat([]grpo.Verdict{{Score: math.NaN()}}, len(s)), nil
		}
		down := func(context.Context, *grpo.Example, []*engine.Sample) ([]grpo.Verdict, error) {
			return nil, errors.New("down")
		}
		r.Rewards = append(r.Rewards, grpo.Reward{Name: "gone", Judge: down}, grpo.Reward{Name: "others", Weight: 1, Judge: none})
		if err := r.Train(context.Background(), context.Background()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range readLines[warning](t, filepath.Join(dir, "warnings.jsonl")) {
			if strings.Contains(w.Text, "scored no sample") {
				got = append(got, w.Text)
			}
		}
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("after %d rollouts, the warnings are %q, want %q", rollouts, got, want)
		}
	}
}

// TestEarlyStopRun: a run ends when its metric says so, is saved and finished, and trains no more when it is run again; one that was
// stopped on the way ends in the same bytes.
func TestEarlyStopRun(t *testing.T) {
	t.Parallel()
	metrics := []string{"eval_accuracy", "reward"}
	if testing.Short() {
		metrics = metrics[:1]
	}
	for _, metric := range metrics {
		t.Run(metric, func(t *testing.T) {
			var want []byte
			for _, pieces := range []bool{false, true} {
				dir := t.TempDir()
				l := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{})
				updates := int64(0)
				var ended string
				train := func() error {
					r := l.run(dir, 9)
					r.Config.Evaluation.Every = 1
					r.Config.Early = grpo.EarlyStop{Metric: metric, Patience: 2, MinDelta: 0.9}
					stop, cancel := context.WithCancel(context.Background())
					defer cancel()
					r.Progress = func(p grpo.Progress) {
						updates++
						if pieces && p.Rollout == 2 {
							cancel()
						}
					}
					err := r.Train(context.Background(), stop)
					ended = r.Ended
					return err
				}
				if err := train(); pieces {
					if !errors.Is(err, grpo.ErrStopped) || ended != "" {
						t.Fatalf("stopped with %v, ended %q", err, ended)
					}
					// The engine still holds the weights of rollout 2: the checkpoint's are loaded over them.
					if err := train(); err != nil {
						t.Fatal(err)
					}
				} else if err != nil {
					t.Fatal(err)
				}
				if updates != 6 || !strings.HasPrefix(ended, metric+" has not risen by more than 0.9 above its best") {
					t.Errorf("%d updates, want 6; ended %q", updates, ended)
				}
				if err := train(); err != nil || updates != 6 || ended == "" {
					t.Errorf("run again: %v, %d updates in all, ended %q", err, updates, ended)
				}
				ms := metricsOf(t, dir)
				if _, ok := ms[5]["eval_reward"]; !ok {
					t.Error("the run was not evaluated at its end")
				}
				ws := readLines[warning](t, filepath.Join(dir, "warnings.jsonl"))
				if last := ws[len(ws)-1]; last.Update != 6 || last.Text != "the run ended early: "+ended {
					t.Errorf("warnings %v", ws)
				}
				text, err := os.ReadFile(filepath.Join(dir, "step-3", "manifest.json"))
				if err != nil {
					t.Fatal(err)
				}
				if want != nil && string(want) != string(text) {
					t.Errorf("in pieces, the last checkpoint is\n%s\nnot\n%s", text, want)
				}
				want = text
			}
		})
	}
	// The target is reached before anything is learned.
	dir := t.TempDir()
	l := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{})
	for range 2 {
		r := l.run(dir, 2)
		none := 0.0
		r.Config.Evaluation.AtStart = true
		r.Config.Evaluation.Every = 1
		r.Config.Early = grpo.EarlyStop{Metric: "eval_reward", Target: &none}
		r.Progress = func(grpo.Progress) { t.Error("there was an update") }
		if err := r.Train(context.Background(), context.Background()); err != nil || !strings.Contains(r.Ended, "reached the target of 0") {
			t.Errorf("%v, ended %q", err, r.Ended)
		}
	}
	for want, change := range map[string]func(r *grpo.Run){
		"no held-out prompts":                   func(r *grpo.Run) { r.Held = nil },
		"Evaluation.Every":                      func(r *grpo.Run) { r.Config.Evaluation.Every = 0 },
		"the held-out data set is empty":        func(r *grpo.Run) { r.Held = grpo.Examples{} },
		"Evaluation.Pass":                       func(r *grpo.Run) { r.Config.Evaluation.Pass = math.NaN() },
		"example 0: it has no prompt":           func(r *grpo.Run) { r.Prompts = grpo.Examples{{ID: "bare"}} },
		"Dynamic.MaxOversampling: 0.5: want":    func(r *grpo.Run) { r.Config.Dynamic.MaxOversampling = 0.5 },
		"Dynamic.Ahead: -1: want 0 or more":     func(r *grpo.Run) { r.Config.Dynamic.Ahead = -1 },
		"Overlong.Buffer: 13: want":             func(r *grpo.Run) { r.Config.Overlong.Buffer = 13 },
		"RewardWorkers: -1":                     func(r *grpo.Run) { r.Config.RewardWorkers = -1 },
		"DryRun: Wrap is not set":               func(r *grpo.Run) { r.DryRun = &grpo.DryRun{} },
		"DryRun: Examples 0, MaxRejected 2":     func(r *grpo.Run) { r.DryRun = &grpo.DryRun{Wrap: strings.ToUpper, MaxRejected: 2} },
		"Early.Metric: eval_acuracy: want rewa": func(r *grpo.Run) { r.Config.Early.Metric = "eval_acuracy" },
	} {
		r := l.run(t.TempDir(), 1)
		r.Config.Evaluation.Every = 1
		r.Config.Early = grpo.EarlyStop{Metric: "eval_reward", Patience: 1}
		change(r)
		if err := r.Train(context.Background(), context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q: %v", want, err)
		}
	}
}

// goldPrompts are examples with gold answers.
type goldPrompts struct{ *goldenPrompts }

func (g goldPrompts) Example(i int) (*grpo.Example, error) {
	return &grpo.Example{ID: g.names[i], Prompt: g.prompts[i], Kind: []string{"digit", "mcq"}[i%2], Question: "How many?", Gold: fmt.Sprint(i % 10)}, nil
}

// ofKind is a reward for one kind of example: 1 for the gold answer that wrap puts into a response.
func ofKind(kind string, wrap func(string) string) grpo.Reward {
	return grpo.Reward{Name: kind, Weight: 1, Judge: func(_ context.Context, x *grpo.Example, samples []*engine.Sample) ([]grpo.Verdict, error) {
		var verdicts []grpo.Verdict
		for _, s := range samples {
			v := grpo.Verdict{Score: math.NaN()}
			if x.Kind == kind {
				v = grpo.Verdict{Reason: "another answer", Answer: s.Text, Found: s.Text != ""}
				if s.Text == wrap(x.Gold) {
					v.Score, v.Reason = 1, "the answer"
				}
			}
			verdicts = append(verdicts, v)
		}
		return verdicts, nil
	}}
}

// TestDryRun: rewards that reject gold answers, or fail, are refused before the first step, or warned of.
func TestDryRun(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	data := goldPrompts{l.data}
	wrap := func(gold string) string { return "<think></think> <answer>" + gold + "</answer>" }
	other := func(gold string) string { return "\\boxed{" + gold + "}" }
	broken := grpo.Reward{Name: "broken", Weight: 1, Score: func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) { panic("no") }}
	constant := func(v float64) grpo.Reward {
		return grpo.Reward{Name: "constant", Weight: 1, Score: func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) { return []float64{v}, nil }}
	}
	calls := 0
	most := grpo.Reward{Name: "most", Weight: 1, Score: func(_ context.Context, x *grpo.Example, _ []*engine.Sample) ([]float64, error) {
		calls++
		return []float64{map[bool]float64{true: 0, false: 1}[x.Gold == "3"]}, nil
	}}
	for _, c := range []struct {
		name    string
		d       grpo.DryRun
		rewards []grpo.Reward
		want    string // "": none
	}{
		{"all right", grpo.DryRun{}, []grpo.Reward{ofKind("digit", wrap), ofKind("mcq", wrap), ofKind("iou", wrap), constant(0.1)}, ""},
		{"another form", grpo.DryRun{}, []grpo.Reward{ofKind("digit", wrap), ofKind("mcq", other)},
			`grpo: dry run: reward mcq can never fire: it rejects all of its 3 gold answers: one_image (gold "1": another answer), large_image (gold "3": another answer)`},
		{"some rejected", grpo.DryRun{}, []grpo.Reward{most}, `reward most rejects 1 of its 7 gold answers: large_image (gold "3")`},
		{"some may be", grpo.DryRun{MaxRejected: 0.2}, []grpo.Reward{most}, ""},
		{"broken", grpo.DryRun{}, []grpo.Reward{broken}, "reward broken fails on 7 of 7 gold answers: text (gold \"0\": panic: no (features_test.go:"},
		{"no grade", grpo.DryRun{}, []grpo.Reward{{Name: "judge", Weight: 1, Judge: func(context.Context, *grpo.Example, []*engine.Sample) ([]grpo.Verdict, error) {
			return []grpo.Verdict{{Score: math.NaN(), Reason: "the judge is down"}}, nil
		}}}, `reward judge fails on 7 of 7 gold answers: text (gold "0": the judge is down)`},
		{"left out", grpo.DryRun{Skip: []string{"broken"}}, []grpo.Reward{broken, constant(1)}, ""},
		{"two examples", grpo.DryRun{Examples: 2}, []grpo.Reward{constant(0)}, "all of its 2 gold answers: text (gold \"0\"), large_image (gold \"3\")"},
	} {
		c.d.Wrap = wrap
		_, err := c.d.Try(context.Background(), l.policy, data, c.rewards, grpo.Judging{})
		if d, ok := errors.AsType[*grpo.DryRunError](err); c.want == "" && err != nil || c.want != "" && (!ok || !strings.Contains(d.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := (&grpo.DryRun{}).Try(context.Background(), l.policy, data, []grpo.Reward{most}, grpo.Judging{}); err == nil {
		t.Error("a dry run without Wrap is let through")
	}

	train := func(dir string, d *grpo.DryRun, rewards ...grpo.Reward) error {
		r := l.run(dir, 1)
		r.Prompts, r.DryRun, r.Held = data, d, nil
		r.Rewards = append(r.Rewards, rewards...)
		return r.Train(context.Background(), context.Background())
	}
	dir := t.TempDir()
	err := train(dir, &grpo.DryRun{Wrap: wrap, Skip: []string{"even"}}, ofKind("mcq", other))
	if _, ok := errors.AsType[*grpo.DryRunError](err); !ok {
		t.Errorf("the run ended with %v", err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "metrics.jsonl")); len(text) != 0 {
		t.Error("there was a step")
	}
	if err := train(dir, &grpo.DryRun{Wrap: wrap, Skip: []string{"even"}, Warn: true}, ofKind("mcq", other)); err != nil {
		t.Fatal(err)
	}
	if ws := readLines[warning](t, filepath.Join(dir, "warnings.jsonl")); len(ws) == 0 || ws[0].Update != 0 || !strings.HasPrefix(ws[0].Text, "dry run: reward mcq can never fire") {
		t.Errorf("warnings %v", ws)
	}
	calls = 0
	if err := train(dir, &grpo.DryRun{Wrap: wrap}, most); err != nil || calls != 0 {
		t.Errorf("run again: %v, %d calls of a reward", err, calls)
	}
}

// TestEvaluateRun: what a run's evaluations leave: metrics by kind, lines and a summary; and the same from Evaluate, whatever the batch.
func TestEvaluateRun(t *testing.T) {
	t.Parallel()
	l := newLab(t, "tiny", engine.BF16, 2, engine.TrainOptions{})
	dir := t.TempDir()
	r := l.run(dir, 2)
	data := goldPrompts{l.data}
	r.Prompts, r.Held = data, data
	r.Config.Evaluation = grpo.Evaluation{AtStart: true, N: 3, Temperature: 1}
	judge := func(kind string) grpo.Reward {
		return grpo.Reward{Name: kind, Weight: 1, Judge: func(ctx context.Context, x *grpo.Example, s []*engine.Sample) ([]grpo.Verdict, error) {
			if x.Kind != kind {
				return slices.Repeat([]grpo.Verdict{{Score: math.NaN()}}, len(s)), nil
			}
			return firstID(ctx, x, s)
		}}
	}
	r.Rewards = []grpo.Reward{judge("digit"), judge("mcq")}
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	ms := metricsOf(t, dir)
	for _, m := range []map[string]float64{ms[0], ms[len(ms)-1]} {
		for _, name := range []string{"eval_reward", "eval_reward/digit", "eval_reward/mcq", "eval_accuracy", "eval_mean@3", "eval_pass@1", "eval_pass@2", "eval_pass@3/digit", "eval_extracted_ratio",
			"eval_clipped_ratio/mcq", "eval_mean_length", "eval_rewards/digit/mean", "eval_rewards/masked"} {
			if v, ok := m[name]; !ok || math.IsNaN(v) {
				t.Errorf("step %v: %s is %v", m["step"], name, v)
			}
		}
		if p1, p3 := m["eval_pass@1"], m["eval_pass@3"]; p1 > p3 || math.Abs(p1-m["eval_accuracy"]) > 1e-12 {
			t.Errorf("pass@1 is %v, pass@3 %v, the accuracy %v", p1, p3, m["eval_accuracy"])
		}
	}
	type line struct {
		ID, Type, Question, Gt, Text, Why string
		Images                            []string
		ImageSize                         []int `json:"image_size"`
		ResizedSize                       []int `json:"resized_size"`
		Sample                            int
		Extracted                         *string
		Reward                            *float64
		Length                            int
	}
	all := readLines[line](t, filepath.Join(dir, "eval", "step-2.jsonl"))
	if len(all) != 21 {
		t.Fatalf("%d lines, want 21", len(all))
	}
	if x := all[6]; x.ID != "two_images" || x.Type != "digit" || x.Question != "How many?" || x.Gt != "2" || len(x.Images) != 2 || len(x.ImageSize) != 2 || len(x.ResizedSize) != 2 || x.Why != "by the first id" {
		t.Errorf("line 6 is %+v", x)
	}
	var summary struct {
		Step, Update, Prompts, K int
		Metrics                  map[string]float64
		CI                       map[string][]float64
	}
	text, err := os.ReadFile(filepath.Join(dir, "eval", "step-2.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &summary); err != nil {
		t.Fatal(err)
	}
	last := ms[len(ms)-1]
	if summary.Step != 2 || summary.Update != 4 || summary.Prompts != 7 || summary.K != 3 || summary.Metrics["reward"] != last["eval_reward"] || len(summary.CI["accuracy/digit"]) != 2 {
		t.Errorf("the summary is %s", text)
	}
	cs := readLines[completion](t, filepath.Join(dir, "completions.jsonl"))
	if c := cs[0]; c.Type == "" || c.Question != "How many?" || c.Gt == "" || c.Why != "by the first id" {
		t.Errorf("the first completion is %+v", c)
	}
	if c := cs[1]; c.Question != "" || c.Gt != "" || c.Images != nil || c.Type == "" {
		t.Errorf("the second completion is %+v", c)
	}

	var want *grpo.Evaluated
	for _, o := range []engine.Options{{Threads: 1}, {Threads: 2, MaxBatch: 2}} {
		c := grpo.EvaluationConfig{Sampling: engine.Sampling{N: 3, Temperature: 1, MaxTokens: 12, Seed: 5}}
		done := 0
		c.Progress = func(n, total int) {
			if done++; n != done || total != 7 {
				t.Errorf("progress %d of %d, want %d of 7", n, total, done)
			}
		}
		e := openLab(t, "tiny", o, engine.TrainOptions{})
		v, err := grpo.Evaluate(context.Background(), e.policy, goldPrompts{e.data}, r.Rewards, c)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = v
			continue
		}
		for i := range want.Outcomes {
			if a, b := want.Outcomes[i], v.Outcomes[i]; a.Text != b.Text || a.Reward != b.Reward || a.ID != b.ID {
				t.Errorf("outcome %d: %+v in another batch, %+v", i, b, a)
			}
		}
	}
	if _, err := grpo.Evaluate(context.Background(), l.policy, grpo.Examples{}, r.Rewards, grpo.EvaluationConfig{}); err == nil {
		t.Error("an empty list is evaluated")
	}
}

// TestThroughput: the timing of a run has its parts and the tokens' pace.
func TestThroughput(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	dir := t.TempDir()
	if err := l.run(dir, 2).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	ms := metricsOf(t, dir)
	for i, m := range readLines[map[string]float64](t, filepath.Join(dir, "timing.jsonl")) {
		for _, name := range []string{"time/rollout", "time/learn", "perf/tokens_per_second"} {
			if !(m[name] > 0) {
				t.Errorf("update %d: %s is %v", i+1, name, m[name])
			}
		}
		if v, ok := m["time/reward"]; !ok || v < 0 || v > m["time/rollout"] {
			t.Errorf("update %d: time/reward is %v of %v", i+1, v, m["time/rollout"])
		}
		tokens := ms[i/2*2+1]["num_tokens"]
		if i >= 2 {
			tokens -= ms[1]["num_tokens"]
		}
		if got := m["perf/tokens_per_second"] * (m["time/rollout"] + m["time/learn"]); math.Abs(got-tokens) > 1e-6*tokens {
			t.Errorf("update %d: %v tokens by the pace, want %v", i+1, got, tokens)
		}
	}
}
