package grpo_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

// TestHangingReward: calls that run out of time mask their samples, and are counted; a run whose reward has too many that do not return
// ends, and names it.
func TestHangingReward(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := func(ctx context.Context, x *grpo.Example, s []*engine.Sample) ([]float64, error) {
		if x.ID == l.data.names[2] {
			<-release
		}
		return evenIDs(ctx, x, s)
	}
	heed := func(ctx context.Context, x *grpo.Example, s []*engine.Sample) ([]float64, error) {
		if x.ID == l.data.names[2] {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return evenIDs(ctx, x, s)
	}
	for _, c := range []struct {
		name      string
		score     func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error)
		abandoned float64
		fails     bool
	}{{"a call that hangs", hang, 1, false}, {"a call that heeds its context", heed, 0, false}, {"calls that hang", hang, 0, true}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			r := l.run(dir, 1)
			r.Config.Prompts, r.Held = 7, nil
			r.Config.Judging = grpo.Judging{RewardTimeout: 20 * time.Millisecond, MaxAbandoned: 5}
			if c.fails {
				r.Config.Prompts, r.Config.MaxAbandoned = 21, 3 // the example comes three times
			}
			r.Rewards[0].Score = c.score
			err := r.Train(context.Background(), context.Background())
			if c.fails {
				if h, ok := errors.AsType[*grpo.HangingRewardError](err); !ok || h.Reward != "even" || h.Calls != 3 || h.Timeout != 20*time.Millisecond {
					t.Errorf("the run ended with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := metricsOf(t, dir)[0]
			if m["rewards/masked"] != 4 || m["rewards/failed"] != 4 || m["rewards/abandoned_calls"] != c.abandoned {
				t.Errorf("%v masked, %v failed, %v abandoned: want 4, 4, %v", m["rewards/masked"], m["rewards/failed"], m["rewards/abandoned_calls"], c.abandoned)
			}
		})
	}
}

// TestNoGoroutineLeft: neither a run nor one that is cancelled while a reward hangs leaves a goroutine but the hanging call's own.
func TestNoGoroutineLeft(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	goroutines := func(most int) int {
		n := 0
		for range 100 {
			if n = runtime.NumGoroutine(); n <= most {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return n
	}
	before := runtime.NumGoroutine()
	if err := l.full(t.TempDir(), 2).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := goroutines(before); n > before {
		t.Errorf("%d goroutines after a run, %d before", n, before)
	}
	release := make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("the user has had enough")
	r := l.run(t.TempDir(), 2)
	var once sync.Once
	r.Rewards[0].Score = func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) {
		once.Do(func() { cancel(why) })
		<-release
		return nil, nil
	}
	clock := time.Now()
	if err := r.Train(ctx, context.Background()); !errors.Is(err, why) {
		t.Errorf("the run ended with %v", err)
	}
	if d := time.Since(clock); d > 10*time.Second {
		t.Errorf("a cancelled run ended after %v", d)
	}
	close(release)
	if n := goroutines(before); n > before {
		t.Errorf("%d goroutines after a cancelled run, %d before", n, before)
	}
}

// TestFailedReward: what a reward failed on is masked, whatever the other rewards say, unless it has no weight.
func TestFailedReward(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	dir := t.TempDir()
	r := l.run(dir, 1)
	r.Config.Prompts, r.Config.UpdateSequences, r.Held = 7, 0, nil
	r.Rewards = append(r.Rewards, grpo.Reward{Name: "judge", Weight: 1, Judge: func(_ context.Context, x *grpo.Example, s []*engine.Sample) ([]grpo.Verdict, error) {
		if x.ID == l.data.names[2] {
			return nil, errors.New("the judge is down")
		}
		v := make([]grpo.Verdict, len(s))
		v[1] = grpo.Verdict{Score: math.NaN(), Reason: "the judge's reply is no grade"}
		v[2] = grpo.Verdict{Score: math.NaN()} // not for it
		return v, nil
	}}, grpo.Reward{Name: "monitor", Weight: 0, Score: func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) {
		return nil, errors.New("down")
	}})
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range readLines[completion](t, filepath.Join(dir, "completions.jsonl")) {
		if masked := c.Sample == 1 || c.ID == l.data.names[2]; masked != (c.Advantage == nil) {
			t.Errorf("%s, sample %d: the advantage is %v, masked: %v", c.ID, c.Sample, c.Advantage, masked)
		}
	}
	if m := metricsOf(t, dir)[0]; m["rewards/masked"] != 6+4 || m["rewards/failed"] != 6+4+28 {
		t.Errorf("%v masked, %v failed: want 10, 38", m["rewards/masked"], m["rewards/failed"])
	}
}

// TestRewardsWhileDecoding: rewards run while the policy decodes, several at a time and no more than are allowed.
func TestRewardsWhileDecoding(t *testing.T) {
	l := openLab(t, "tiny", engine.Options{Threads: 1, MaxBatch: 4}, engine.TrainOptions{})
	var mu sync.Mutex
	data := &counted{goldenPrompts: l.data}
	running, most, calls := 0, 0, 0
	loaded := int64(0) // prompts, when the first verdict was asked for
	judge := func(_ context.Context, x *grpo.Example, s []*engine.Sample) ([]grpo.Verdict, error) {
		mu.Lock()
		running++
		if calls++; calls == 1 {
			loaded = data.loaded.Load()
		}
		most = max(most, running)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		running--
		mu.Unlock()
		return make([]grpo.Verdict, len(s)), nil
	}
	_, err := grpo.Evaluate(context.Background(), l.policy, data, []grpo.Reward{{Name: "slow", Weight: 1, Judge: judge}},
		grpo.EvaluationConfig{Sampling: engine.Sampling{N: 2, MaxTokens: 60, IgnoreEOS: true}, Judging: grpo.Judging{RewardWorkers: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 7 || most != 2 || loaded == 7 {
		t.Errorf("%d calls, at most %d at a time, the first after %d prompts: want 7, 2, fewer than 7", calls, most, loaded)
	}
}

// TestRewardsRefused: rewards without a function, with two, without a name, with one name.
func TestRewardsRefused(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	for name, rewards := range map[string][]grpo.Reward{
		"no rewards":            {},
		"want one of Score and": {{Name: "a", Weight: 1}},
		"a: want one of Score":  {{Name: "a", Weight: 1, Score: evenIDs, Judge: firstID}},
		`is named ""`:           {{Weight: 1, Score: evenIDs}},
		`reward 1 is named "a"`: {{Name: "a", Score: evenIDs}, {Name: "a", Score: evenIDs}},
		"its weight is NaN":     {{Name: "a", Weight: math.NaN(), Score: evenIDs}},
		"the name is taken by":  {{Name: "overlong_penalty", Weight: 1, Score: evenIDs}},
	} {
		r := l.run(t.TempDir(), 1)
		r.Config.Overlong.Buffer = 2
		r.Rewards = rewards
		if err := r.Train(context.Background(), context.Background()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q: %v", name, err)
		}
	}
}

// TestWeightedRewards: the advantage is that of the weighted sum of the rewards, and the penalty for long completions, with what is NaN
// left out.
func TestWeightedRewards(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 2, engine.TrainOptions{})
	dir := t.TempDir()
	r := l.run(dir, 2)
	r.Config.Overlong = grpo.Overlong{Buffer: 8, Penalty: 0.25}
	r.Rewards = []grpo.Reward{
		{Name: "even", Weight: 2, Score: evenIDs},
		{Name: "first", Weight: -0.5, Judge: firstID},
		{Name: "some", Weight: 4, Score: func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
			scores := make([]float64, len(s))
			for i := range scores {
				scores[i] = float64(len(s[i].IDs)) / 12
				if s[i].IDs[0]%2 == 0 {
					scores[i] = math.NaN()
				}
			}
			return scores, nil
		}},
	}
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	type line struct {
		Step, Prompt, Sample, Length int
		Rewards                      map[string]*float64
		Advantage                    float64
	}
	all := readLines[line](t, dir+"/completions.jsonl")
	task := 0.0
	for at := 0; at < len(all); at += 4 {
		group := all[at : at+4]
		var sums [4]float64
		mean := 0.0
		for j, c := range group {
			penalty := 0.25 * min(0, -float64(c.Length-4)/8)
			sums[j] = 2**c.Rewards["even"] - 0.5**c.Rewards["first"]
			if v := c.Rewards["some"]; v != nil {
				sums[j] += 4 * *v
			}
			if at < 12 {
				task += sums[j] / 12
			}
			if *c.Rewards["overlong_penalty"] != penalty {
				t.Errorf("%d tokens of 12 have the penalty %v, want %v", c.Length, *c.Rewards["overlong_penalty"], penalty)
			}
			sums[j] += penalty
			mean += sums[j] / 4
		}
		variance := 0.0
		for _, x := range sums {
			variance += (x - mean) * (x - mean) / 3
		}
		for j, c := range group {
			if want := (sums[j] - mean) / (math.Sqrt(variance) + r.Config.AdvantageEpsilon); math.Abs(c.Advantage-want) > 1e-9 {
				t.Errorf("step %d, prompt %d, sample %d: the advantage is %v, want %v", c.Step, c.Prompt, c.Sample, c.Advantage, want)
			}
		}
	}
	m := metricsOf(t, dir)[0]
	if math.Abs(m["reward"]-task) > 1e-9 {
		t.Errorf("the metric reward is %v, want the task's, %v", m["reward"], task)
	}
	if m["overlong_penalty"] >= 0 || m["overlong_ratio"] <= 0 || m["completions/extracted_ratio"] <= 0 || m["rewards/even/fired"] <= 0 {
		t.Errorf("metrics %v", m)
	}
}
