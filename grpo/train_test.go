package grpo_test

import (
	"context"
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
	"github.com/thinker-vl/thinker/grpo/run"
)

// TestGRPOLearns: the reward of a small task rises, the sampler's log-probs are the trainer's to the bit on the first update of each
// rollout, and every metric is finite.
func TestGRPOLearns(t *testing.T) {
	t.Parallel()
	rollouts := 30
	if testing.Short() {
		rollouts = 3 // too few to learn
	}
	l := newLab(t, "tiny", engine.BF16, 2, engine.TrainOptions{})
	dir := t.TempDir()
	r := l.run(dir, rollouts)
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	all := metricsOf(t, dir)
	if len(all) != 2*rollouts { // 12 sequences in updates of 8 and 4
		t.Fatalf("%d updates, want %d", len(all), 2*rollouts)
	}
	mean := func(ms []map[string]float64) (sum float64) {
		for _, m := range ms {
			sum += m["reward"] / float64(len(ms))
		}
		return sum
	}
	if !testing.Short() {
		first, last := mean(all[:10]), mean(all[50:])
		t.Logf("reward %.3f at first, %.3f at last", first, last)
		if last < first+0.1 {
			t.Errorf("the reward went from %.3f to %.3f", first, last)
		}
	}
	for i, m := range all {
		if m["step"] != float64(i+1) {
			t.Fatalf("line %d is of step %v", i, m["step"])
		}
		if i%2 == 0 && m["sampling/same_bits"] != 1 {
			t.Errorf("update %d: %v of the sampled log-probs are the trainer's", i+1, m["sampling/same_bits"])
		}
		for k, v := range m {
			// A group can be without completions that ended, a std without a second number.
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("update %d: %s is %v", i+1, k, v)
			}
		}
	}
}

// TestKLOfRollout: the coefficient of KL moves by the mean KL of a rollout's updates.
func TestKLOfRollout(t *testing.T) {
	t.Parallel()
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	dir := t.TempDir()
	r := l.run(dir, 4)
	r.Held, r.Config.LearningRate, r.Config.KLTarget = nil, 2e-4, 1e-2
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	ms := metricsOf(t, dir)
	c := r.Config.KLController()
	for i := 0; i < len(ms); i += 2 {
		if ms[i]["kl_coef"] != c.Coef || ms[i+1]["kl_coef"] != c.Coef {
			t.Errorf("rollout %d: the coefficients are %v and %v, want %v", i/2+1, ms[i]["kl_coef"], ms[i+1]["kl_coef"], c.Coef)
		}
		c.Update((ms[i]["kl"]+ms[i+1]["kl"])/2, 12)
	}
}

// TestLostMetrics: a run that goes on without its metrics leaves what its start was evaluated to as it is.
func TestLostMetrics(t *testing.T) {
	t.Parallel()
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	dir := t.TempDir()
	stop, cancel := context.WithCancel(context.Background())
	defer cancel()
	train := func() error {
		r := l.run(dir, 3)
		r.Config.Evaluation.AtStart = true
		r.Progress = func(grpo.Progress) { cancel() }
		return r.Train(context.Background(), stop)
	}
	if err := train(); !errors.Is(err, grpo.ErrStopped) {
		t.Fatal(err)
	}
	start := filepath.Join(dir, "eval", "step-0.json")
	want, err := os.Stat(start)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "metrics.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := train(); !errors.Is(err, grpo.ErrStopped) {
		t.Fatal(err)
	}
	if got, err := os.Stat(start); err != nil || !os.SameFile(got, want) {
		t.Errorf("the evaluation of the start was written again, by a policy that has learned: %v", err)
	}
}

// TestNothingToLearn: rewards that are all equal, and completions that are all masked, leave the policy term's gradient exactly zero.
func TestNothingToLearn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *grpo.Run){
		"equal rewards": func(r *grpo.Run) {
			r.Rewards[0].Score = func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
				return slices.Repeat([]float64{0.9}, len(s)), nil
			}
		},
		"all truncated": func(r *grpo.Run) { r.Config.MaskTruncatedCompletions, r.Config.Sampling.IgnoreEOS = true, true },
		"all masked": func(r *grpo.Run) {
			r.Rewards[0].Score = func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) {
				return nil, errors.New("the judge is down")
			}
		},
		"one reward a group": func(r *grpo.Run) {
			r.Rewards[0].Score = func(_ context.Context, _ *grpo.Example, s []*engine.Sample) ([]float64, error) {
				scores := slices.Repeat([]float64{math.NaN()}, len(s))
				scores[1] = 0.5
				return scores, nil
			}
		},
		"a reward that panics": func(r *grpo.Run) {
			r.Rewards[0].Score = func(context.Context, *grpo.Example, []*engine.Sample) ([]float64, error) { panic("no") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
			dir := t.TempDir()
			r := l.run(dir, 2)
			r.Config.Beta, r.Config.KLTarget, r.Config.KLHorizon = 0, 0, 0
			change(r)
			before := weights(t, l.trainer)
			if err := r.Train(context.Background(), context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, m := range metricsOf(t, dir) {
				if m["grad_norm"] != 0 {
					t.Errorf("update %v: the gradient's norm is %v", m["step"], m["grad_norm"])
				}
				switch name {
				case "equal rewards":
					if m["frac_reward_zero_std"] != 1 {
						t.Errorf("frac_reward_zero_std is %v", m["frac_reward_zero_std"])
					}
				case "all masked", "a reward that panics":
					if m["rewards/masked"] != 12 || m["rewards/failed"] != 12 {
						t.Errorf("masked %v, failed %v, want 12 both", m["rewards/masked"], m["rewards/failed"])
					}
				case "one reward a group":
					if m["rewards/lone_groups"] != 3 || m["rewards/masked"] != 9 {
						t.Errorf("%v lone groups, %v masked, want 3 and 9", m["rewards/lone_groups"], m["rewards/masked"])
					}
				}
			}
			if after := weights(t, l.trainer); after != before {
				t.Error("the weights moved")
			}
		})
	}
}

// TestRunRefuses: a folder of another model or another configuration, and a second trainer on one folder.
func TestRunRefuses(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	dir := t.TempDir()
	if err := l.run(dir, 1).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	other := l.run(dir, 1)
	other.Config.Seed++
	if err := other.Train(context.Background(), context.Background()); err == nil || !errors.As(err, new(*run.MismatchError)) {
		t.Errorf("another seed: %v", err)
	}
	wide := newLab(t, "wide", engine.F32, 1, engine.TrainOptions{}).run(dir, 1)
	if err := wide.Train(context.Background(), context.Background()); err == nil || !errors.As(err, new(*run.MismatchError)) {
		t.Errorf("another model: %v", err)
	}
	for name, change := range map[string]func(r *grpo.Run){
		"Group":           func(r *grpo.Run) { r.Config.Group = 1 },
		"UpdateSequences": func(r *grpo.Run) { r.Config.UpdateSequences = 5 },
		"Prompts":         func(r *grpo.Run) { r.Config.Prompts = 0 },
		"no rewards":      func(r *grpo.Run) { r.Rewards = nil },
		"no reference":    func(r *grpo.Run) { r.Reference = nil },
		"empty":           func(r *grpo.Run) { r.Prompts = &goldenPrompts{} },
		"+ pictures ":     func(r *grpo.Run) { r.Config.Prompts = 1 << 40 },
	} {
		r := l.run(t.TempDir(), 1)
		change(r)
		if err := r.Train(context.Background(), context.Background()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSkipped: a loss that is not finite changes no weight, is counted, and its batch is left for replay; too many in a row end the run.
func TestSkipped(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	s := grpo.Defaults(grpo.TRL, grpo.GRPO)
	low, high := -1.0, 1.0
	far := []grpo.Episode{
		{Sample: grpo.Sample{Advantage: &low}, Prompt: l.data.prompts[0], IDs: []int32{65, 66}, OldLogProbs: []float32{-1e4, -1}},
		{Sample: grpo.Sample{Advantage: &high}, Prompt: l.data.prompts[0], IDs: []int32{65}, OldLogProbs: []float32{-5}},
	}
	before := weights(t, l.trainer)
	u, err := s.Update(context.Background(), grpo.Policy{Trainer: l.trainer, Math: l.math}, far, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	if at := (*grpo.SampleError)(nil); !errors.As(u.NonFinite, &at) || at.Index != 0 {
		t.Errorf("the update is not finite because of %v, want sequence 0", u.NonFinite)
	}
	if weights(t, l.trainer) != before {
		t.Error("the weights moved")
	}

	// A run whose rewards are so far apart that no advantage times a ratio is finite.
	dir := t.TempDir()
	r := l.run(dir, 6)
	r.Config.Beta, r.Config.KLTarget, r.Config.KLHorizon = 0, 0, 0
	r.Config.ScaleRewards, r.Config.MaxSkipped = engine.ScaleNone, 3
	r.Rewards[0].Score = func(_ context.Context, _ *grpo.Example, samples []*engine.Sample) ([]float64, error) {
		scores := make([]float64, len(samples))
		for i := range scores {
			scores[i] = float64(1-2*(i%2)) * 1e300
		}
		return scores, nil
	}
	err = r.Train(context.Background(), context.Background())
	if err == nil || !strings.Contains(err.Error(), "3 updates in a row") {
		t.Errorf("the run ended with %v", err)
	}
	for i := 1; i <= 3; i++ {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("skipped-%d.jsonl", i)))
		if err != nil || strings.Count(string(text), "\n") < 4 {
			t.Errorf("skipped-%d.jsonl: %v, %d bytes", i, err, len(text))
		}
	}
	if weights(t, l.trainer) != before {
		t.Error("the weights moved")
	}
}
