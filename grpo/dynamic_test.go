package grpo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

// firstID is a judge that many groups are of one mind about: it looks at the first id alone.
func firstID(_ context.Context, _ *grpo.Example, samples []*engine.Sample) ([]grpo.Verdict, error) {
	var verdicts []grpo.Verdict
	for _, s := range samples {
		v := grpo.Verdict{Answer: fmt.Sprint(s.IDs[0]), Found: s.IDs[0]%3 != 0, Reason: "by the first id"}
		if s.IDs[0]%4 == 0 {
			v.Score = 1
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// full is a run with all features on.
func (l *lab) full(dir string, rollouts int) *grpo.Run {
	r := l.run(dir, rollouts)
	target := 2.0
	r.Config.Dynamic = grpo.DynamicSampling{MaxOversampling: 2.4}
	r.Config.Overlong = grpo.Overlong{Buffer: 4, Penalty: 0.5}
	r.Config.Evaluation = grpo.Evaluation{Every: 4, AtStart: true, N: 2, Temperature: 1, Pass: 0.4}
	r.Config.Early = grpo.EarlyStop{Metric: "eval_accuracy", Patience: 100, Target: &target}
	r.Rewards = []grpo.Reward{
		{Name: "even", Weight: 0.5, Score: func(ctx context.Context, x *grpo.Example, s []*engine.Sample) ([]float64, error) {
			scores, err := evenIDs(ctx, x, s)
			for i := range scores {
				scores[i] = math.Round(scores[i])
			}
			return scores, err
		}},
		{Name: "first", Weight: 1, Judge: firstID},
		{Name: "never", Weight: 1, Score: func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
			return make([]float64, len(s)), nil
		}},
	}
	r.DryRun = &grpo.DryRun{Wrap: func(gold string) string { return gold }}
	return r
}

// A completion is a line of completions.jsonl.
type completion struct {
	Step, Prompt, Sample int
	ID                   string
	Type                 string
	Question, Gt         string
	Images               []string
	Text                 string
	Rewards              map[string]float64
	Advantage            *float64
	Length               int
	Extracted            *string
	Why                  string
}

func readLines[T any](t testing.TB, path string) (all []T) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var x T
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatalf("%s: %v: %s", path, err, line)
		}
		all = append(all, x)
	}
	return all
}

// TestDynamicSampling: what a run computes depends on neither threads, batch, the pace of rewards nor how many prompts are decoded ahead;
// its groups are the first in the data's order that teach, with the samples of their place in that order; the rest is dropped, and the
// cursor is past them.
func TestDynamicSampling(t *testing.T) {
	t.Parallel()
	const rollouts = 5
	type how struct {
		engine.Options
		ahead, workers int
		delay          time.Duration
	}
	all := []how{
		{engine.Options{Threads: 1}, 0, 1, 0},
		{engine.Options{Threads: 2, MaxBatch: 64}, 5, 8, 5 * time.Millisecond},
		{engine.Options{Threads: 2, MaxBatch: 3}, 0, 4, 3 * time.Millisecond},
		{engine.Options{Threads: 1, MaxBatch: 5, PrefillChunk: 32}, 2, 2, time.Millisecond},
	}
	if testing.Short() {
		all = all[:2]
	}
	var want map[string]string
	var slow atomic.Uint64
	for i, o := range all {
		l := openLab(t, "tiny", o.Options, engine.TrainOptions{})
		dir := t.TempDir()
		r := l.full(dir, rollouts)
		r.Config.Dynamic.Ahead, r.Config.RewardWorkers = o.ahead, o.workers
		judge := r.Rewards[1].Judge
		r.Rewards[1].Judge = func(ctx context.Context, x *grpo.Example, s []*engine.Sample) ([]grpo.Verdict, error) {
			time.Sleep(time.Duration(slow.Add(7)%5) * o.delay)
			return judge(ctx, x, s)
		}
		if err := r.Train(context.Background(), context.Background()); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, name := range []string{"metrics.jsonl", "completions.jsonl", "warnings.jsonl", "eval/step-5.jsonl", "eval/step-5.json", "step-5/state/optimizer.safetensors"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(text)
		}
		if want == nil {
			want = got
			checkDynamic(t, dir, l, r)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("run %d: %s is of other bytes", i, name)
			}
		}
	}
}

// checkDynamic replays the first rollout of a run, prompt by prompt, and looks at the metrics of all.
func checkDynamic(t *testing.T, dir string, l *lab, r *grpo.Run) {
	all := readLines[completion](t, filepath.Join(dir, "completions.jsonl"))
	ms := metricsOf(t, dir)
	dropped, filled := 0.0, 0.0
	for _, m := range ms[1:] {
		drawn := m["sampling/prompts_drawn"]
		if drawn < 3 || drawn > 8 || m["sampling/groups_dropped"] != drawn-3 {
			t.Errorf("update %v: drawn %v, dropped %v of 3 and 8 at most", m["step"], drawn, m["sampling/groups_dropped"])
		}
		if m["sampling/groups_filled"] > 0 && drawn != 8 {
			t.Errorf("update %v: %v groups filled after %v prompts of 8", m["step"], m["sampling/groups_filled"], drawn)
		}
		if got := m["frac_reward_zero_std"] * 3; math.Abs(got-m["sampling/groups_filled"]) > 1e-9 {
			t.Errorf("update %v: %v of 3 groups without variance are learned from, %v were filled in", m["step"], got, m["sampling/groups_filled"])
		}
		dropped += m["sampling/groups_dropped"]
		filled += m["sampling/groups_filled"]
	}
	last := ms[len(ms)-1]
	t.Logf("%.0f groups dropped, %.0f filled in, over %d updates", dropped, filled, len(ms)-1)
	if dropped == 0 {
		t.Error("no group was dropped: the test tests nothing")
	}
	drawn := 0.0
	for i := 2; i < len(ms); i += 2 { // two updates a rollout
		drawn += ms[i]["sampling/prompts_drawn"]
	}
	if epoch := drawn / 7; math.Abs(last["epoch"]-epoch) > 1e-9 {
		t.Errorf("the cursor is at epoch %v after %v prompts of 7", last["epoch"], drawn)
	}

	// The weights of the first rollout are the checkpoint's. In the data's own order, prompt after prompt, the first groups whose rewards
	// differ are those of the first rollout.
	fresh := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{})
	sampling := engine.Sampling{N: 4, Temperature: r.Config.Temperature, Ban: r.Config.Ban, MaxTokens: 12, Seed: r.Config.Seed}
	var ids []string // of the prompts drawn
	texts := map[string][]string{}
	for k := 0; len(ids) < 3 && k < 8; k++ {
		i := data.NewOrder(7, r.Config.Seed, true).Take(&data.Cursor{}, k+1)[k]
		sampling.FirstPrompt = uint32(k)
		var samples []*engine.Sample
		for s, err := range engine.InOrder(fresh.policy.Generate(context.Background(), engine.Prompts(fresh.data.prompts[i]), sampling), 4) {
			if err != nil {
				t.Fatal(err)
			}
			samples = append(samples, s)
		}
		total := make([]float64, 4)
		even, _ := r.Rewards[0].Score(context.Background(), nil, samples)
		first, _ := firstID(context.Background(), nil, samples)
		for j := range total {
			total[j] = 0.5*even[j] + first[j].Score
		}
		if slices.Min(total) == slices.Max(total) {
			continue
		}
		key := fmt.Sprint(k, " ", fresh.data.names[i])
		ids = append(ids, key)
		for _, s := range samples {
			texts[key] = append(texts[key], s.Text)
		}
	}
	var got []string
	for _, c := range all {
		if c.Step != all[0].Step {
			break
		}
		key := fmt.Sprint(c.Prompt, " ", c.ID)
		if !slices.Contains(got, key) {
			got = append(got, key)
		}
		if of := texts[key]; c.Sample < len(of) && of[c.Sample] != c.Text {
			t.Errorf("sample %d of prompt %s is %q, drawn alone %q", c.Sample, key, c.Text, of[c.Sample])
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("the first rollout learns from %v, want %v", got, ids)
	}
}

// TestDynamicBound: a rollout that finds nothing to learn within its bound is filled up, and its batch has its size.
func TestDynamicBound(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	dir := t.TempDir()
	r := l.run(dir, 3)
	r.Config.Dynamic.MaxOversampling = 1.5 // five prompts
	r.Config.Beta, r.Config.KLTarget, r.Config.KLHorizon = 0, 0, 0
	calls := atomic.Int64{}
	r.Rewards[0].Score = func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
		if calls.Add(1)%2 == 0 {
			return nil, errors.New("the judge is down")
		}
		return slices.Repeat([]float64{0.3}, len(s)), nil
	}
	r.Held = nil
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	ms := metricsOf(t, dir)
	if len(ms) != 6 {
		t.Fatalf("%d updates, want 6", len(ms))
	}
	for _, m := range ms {
		if m["sampling/prompts_drawn"] != 5 || m["sampling/groups_filled"] != 3 || m["grad_norm"] != 0 || m["sampling/frac_reward_zero_std"] != 1 {
			t.Errorf("drawn %v, filled %v, gradient %v, without variance %v: want 5, 3, 0, 1", m["sampling/prompts_drawn"], m["sampling/groups_filled"], m["grad_norm"], m["sampling/frac_reward_zero_std"])
		}
		if f := m["rewards/failed"]; f != 8 && f != 12 {
			t.Errorf("%v samples failed, want those of 2 or 3 prompts", f)
		}
	}
	all := readLines[completion](t, filepath.Join(dir, "completions.jsonl"))
	if len(all) != 3*12 || all[0].Prompt != 0 || all[11].Prompt != 2 {
		t.Errorf("%d completions, of prompts %d to %d; want 36, of the first three", len(all), all[0].Prompt, all[11].Prompt)
	}
	// Groups of truncated completions alone teach nothing where those are masked.
	dir = t.TempDir()
	r = l.run(dir, 1)
	r.Config.Dynamic.MaxOversampling = 1
	r.Config.MaskTruncatedCompletions, r.Config.Sampling.IgnoreEOS = true, true
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	if m := metricsOf(t, dir)[0]; m["sampling/groups_filled"] != 3 || m["sampling/prompts_drawn"] != 3 {
		t.Errorf("%v groups of truncated completions filled in after %v prompts, want 3 and 3", m["sampling/groups_filled"], m["sampling/prompts_drawn"])
	}
}

// counted is a data set that makes its prompts anew each time, and counts those in memory.
type counted struct {
	*goldenPrompts
	live, loaded atomic.Int64
}

func (c *counted) Example(i int) (*grpo.Example, error) {
	p := *c.prompts[i%len(c.prompts)]
	c.live.Add(1)
	c.loaded.Add(1)
	runtime.AddCleanup(&p, func(n *atomic.Int64) { n.Add(-1) }, &c.live)
	return &grpo.Example{ID: c.names[i%len(c.prompts)], Prompt: &p}, nil
}

func (c *counted) Len() int { return 7 }

// settle collects garbage until cleanups have run.
func (c *counted) settle() int64 {
	for range 10 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	return c.live.Load()
}

// TestPromptsReleased: no prompt outlives its rollout.
func TestPromptsReleased(t *testing.T) {
	l := newLab(t, "tiny", engine.BF16, 2, engine.TrainOptions{})
	rollouts := 6
	if testing.Short() {
		rollouts = 2
	}
	r := l.full(t.TempDir(), rollouts)
	data := &counted{goldenPrompts: l.data}
	r.Prompts, r.Held = data, nil
	r.Config.Early, r.Config.Beta, r.Config.KLTarget, r.Config.KLHorizon = grpo.EarlyStop{}, 0, 0, 0
	var live []int64
	r.Progress = func(p grpo.Progress) {
		if p.Update%2 == 0 {
			live = append(live, data.settle())
		}
	}
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, n := range live {
		if n > 3+1 { // those that are learned from, and what a stack still shows
			t.Errorf("rollout %d: %d prompts are in memory", i+1, n)
		}
	}
	if n := data.settle(); n > 1 {
		t.Errorf("after the run, %d prompts are in memory", n)
	}
}

// long is counted as a data set of many examples.
type long struct{ *counted }

func (long) Len() int { return 200 }

// TestEvaluateStreams: an evaluation holds the prompts that it is at work on, also where the reward is slower than the decoder.
func TestEvaluateStreams(t *testing.T) {
	l := openLab(t, "tiny", engine.Options{Threads: 2, MaxBatch: 8}, engine.TrainOptions{})
	data := long{&counted{goldenPrompts: l.data}}
	var mu sync.Mutex
	most := int64(0)
	slow := grpo.Reward{Name: "slow", Weight: 1, Score: func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
		mu.Lock()
		defer mu.Unlock()
		runtime.GC()
		time.Sleep(time.Millisecond)
		most = max(most, data.live.Load())
		return make([]float64, len(s)), nil
	}}
	v, err := grpo.Evaluate(context.Background(), l.policy, data, []grpo.Reward{slow}, grpo.EvaluationConfig{Sampling: engine.Sampling{N: 1, MaxTokens: 2}, Judging: grpo.Judging{RewardWorkers: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Outcomes) != 200 {
		t.Errorf("%d outcomes, want 200", len(v.Outcomes))
	}
	t.Logf("at most %d prompts in memory", most)
	if most > 60 {
		t.Errorf("%d prompts of 200 were in memory at a time", most)
	}
}

// TestExampleFails: what is wrong with an example ends the run with its number or name.
func TestExampleFails(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	bad := &failing{goldenPrompts: l.data}
	r := l.run(t.TempDir(), 2)
	r.Prompts = bad
	if err := r.Train(context.Background(), context.Background()); err == nil || !strings.Contains(err.Error(), "example 4: no such picture") {
		t.Errorf("a missing picture: %v", err)
	}
	_, err := grpo.Evaluate(context.Background(), l.policy, bad, r.Rewards, grpo.EvaluationConfig{})
	if err == nil || !strings.Contains(err.Error(), "held-out example 4: no such picture") {
		t.Errorf("a missing picture of a held-out example: %v", err)
	}
	huge := grpo.Examples{{ID: "huge", Prompt: &engine.Prompt{IDs: make([]int32, l.policy.MaxContext())}}}
	_, err = grpo.Evaluate(context.Background(), l.policy, huge, r.Rewards, grpo.EvaluationConfig{})
	if err == nil || !strings.Contains(err.Error(), "example huge: the prompt has") {
		t.Errorf("a prompt that does not fit: %v", err)
	}
}

// failing is a data set whose example 4 cannot be loaded once the memory has been planned.
type failing struct {
	*goldenPrompts
	calls int
}

func (f *failing) Example(i int) (*grpo.Example, error) {
	if f.calls++; i == 4 && f.calls > f.Len() {
		return nil, errors.New("no such picture")
	}
	return f.goldenPrompts.Example(i)
}
