package grpo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/run"
)

// goldenPrompts are the conversations of a golden checkpoint as a data set.
type goldenPrompts struct {
	prompts []*engine.Prompt
	names   []string
}

func (g *goldenPrompts) Len() int { return len(g.prompts) }

func (g *goldenPrompts) Example(i int) (*grpo.Example, error) {
	return &grpo.Example{ID: g.names[i], Prompt: g.prompts[i]}, nil
}

func (g *goldenPrompts) Demonstration(i int) (*grpo.Demonstration, error) {
	ids := []int32{65, 66, 67, 68, int32(69 + i), 602}
	return &grpo.Demonstration{ID: g.names[i], Prompt: g.prompts[i], IDs: ids}, nil
}

// evenIDs rewards completions whose ids are even: a task that any policy can learn.
func evenIDs(_ context.Context, _ *grpo.Example, samples []*engine.Sample) ([]float64, error) {
	scores := make([]float64, len(samples))
	for i, s := range samples {
		for _, id := range s.IDs {
			if id%2 == 0 {
				scores[i] += 1 / float64(len(s.IDs))
			}
		}
	}
	return scores, nil
}

// a lab is a policy with all that trains it.
type lab struct {
	policy, reference *engine.Engine
	trainer           *engine.Trainer
	math              *engine.Math
	data              *goldenPrompts
}

func newLab(t testing.TB, model string, dtype engine.DType, threads int, o engine.TrainOptions) *lab {
	t.Helper()
	return openLab(t, model, engine.Options{DType: dtype, Threads: threads}, o)
}

func openLab(t testing.TB, model string, eo engine.Options, o engine.TrainOptions) *lab {
	t.Helper()
	dir := testdata(t, "golden", model)
	eo.CacheBytes = 16 << 20
	open := func() *engine.Engine {
		e, err := engine.Open(context.Background(), dir, eo)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	l := &lab{policy: open(), reference: open()}
	var err error
	if l.trainer, err = l.policy.NewTrainer(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	l.math = l.policy.Math()
	t.Cleanup(func() {
		if err := errors.Join(l.math.Close(), l.trainer.Close(), l.policy.Close(), l.reference.Close()); err != nil {
			t.Error(err)
		}
	})
	l.data = &goldenPrompts{}
	text, err := os.ReadFile(filepath.Join(testdata(t, "golden", model+"-cases"), "cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var c struct {
			Name      string  `json:"name"`
			PromptIDs []int32 `json:"prompt_ids"`
			Images    []string
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		var images []string
		for _, path := range c.Images {
			images = append(images, testdata(t, "golden", path))
		}
		p, err := promptOf(l.policy, c.PromptIDs, images)
		if err != nil {
			t.Fatal(err)
		}
		l.data.prompts, l.data.names = append(l.data.prompts, p), append(l.data.names, c.Name)
	}
	return l
}

// quiet is a log for what is expected to be reported.
var quiet = slog.New(slog.DiscardHandler)

// run is a small GRPO run in dir.
func (l *lab) run(dir string, rollouts int) *grpo.Run {
	s := grpo.Defaults(grpo.Paper, grpo.GRPO)
	s.LearningRate, s.Beta, s.Temperature = 2e-3, 0.001, 0.8
	s.KLTarget, s.KLHorizon = 0.0005, 1000
	s.Schedule, s.WarmupSteps = grpo.Linear, 2
	return &grpo.Run{
		Config: grpo.Config{Settings: s, Seed: 11, Rollouts: rollouts, Prompts: 3, Group: 4, UpdateSequences: 8,
			Sampling: engine.Sampling{MaxTokens: 12}, Evaluation: grpo.Evaluation{Every: 4, Temperature: 1}},
		Keeping: grpo.Keeping{Dir: dir, Every: 2, Keep: 2, Log: quiet},
		Policy:  l.policy, Trainer: l.trainer, Reference: l.reference, Math: l.math,
		Prompts: l.data, Held: l.data, Rewards: []grpo.Reward{{Name: "even", Weight: 1, Score: evenIDs}},
	}
}

// metricsOf reads a run's metrics.jsonl.
func metricsOf(t testing.TB, dir string) []map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]float64
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		raw := map[string]any{}
		if err := json.Unmarshal([]byte(line), &raw); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		m := map[string]float64{}
		for k, v := range raw {
			m[k] = math.NaN()
			if f, ok := v.(float64); ok {
				m[k] = f
			}
		}
		all = append(all, m)
	}
	return all
}

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

// weights are the bytes of a trainer's saved state.
func weights(t testing.TB, tr *engine.Trainer) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	if err := tr.SaveState(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, tensors, _ := strings.Cut(string(b), "}}") // the header counts steps
	return tensors
}

// The child of TestKilled trains in the folder that this variable names.
const killedEnv = "THINKER_TEST_KILLED_RUN"

func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("the child of TestKilled")
	}
	l := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{})
	if err := l.full(dir, killedRollouts).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
}

const killedRollouts = 10 // of 2 updates each

// files reads a run's final checkpoint, metrics and completions.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"metrics.jsonl", "completions.jsonl", "warnings.jsonl"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	for _, folder := range []string{fmt.Sprintf("step-%d", killedRollouts), "eval"} {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			rel, _ := filepath.Rel(dir, path)
			all[rel] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestKilled: a run of 20 updates with all features that is killed by SIGKILL at 30 random points, and each time run again, ends in the bytes of one that
// was not: weights, optimizer, metrics, completions, warnings, evaluations.
func TestKilled(t *testing.T) {
	t.Parallel()
	testdata(t, "golden", "tiny")
	kills := 30
	if testing.Short() {
		kills = 3
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := func(dir string) *exec.Cmd {
		c := exec.Command(exe, "-test.run", "^TestKilledChild$", "-test.count", "1")
		c.Env = append(os.Environ(), killedEnv+"="+dir)
		return c
	}
	whole := t.TempDir()
	clock := time.Now()
	if out, err := child(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(clock)
	want := files(t, whole)

	for strand := range 2 { // of runs, one after the other
		t.Run(fmt.Sprint(strand), func(t *testing.T) {
			t.Parallel()
			killed, finished, next := 0, 0, uint64(1+strand)
			for killed < (kills+strand)/2 {
				dir := filepath.Join(t.TempDir(), "run")
				for {
					var err error
					c := child(dir)
					if err := c.Start(); err != nil {
						t.Fatal(err)
					}
					done := make(chan error, 1)
					go func() { done <- c.Wait() }()
					// A point anywhere in a run, with a bias to early ones: the process starts anew each time.
					next = next*6364136223846793005 + 1442695040888963407
					after := time.Duration(float64(took) * 0.7 * float64(next>>40) / (1 << 24))
					if killed >= (kills+strand)/2 {
						after = time.Hour
					}
					select {
					case err = <-done:
					case <-time.After(after):
						c.Process.Kill()
						if err = <-done; err != nil {
							killed++
							continue
						}
					}
					if err != nil {
						t.Fatalf("the run failed: %v", err)
					}
					break
				}
				finished++
				for name, b := range files(t, dir) {
					if b != want[name] {
						t.Errorf("after %d kills: %s is of other bytes", killed, name)
					}
				}
			}
			t.Logf("%d kills, %d runs finished, each to the same bytes; one run takes %v", killed, finished, took)
		})
	}
}

// TestStopped: a run that is told to stop saves, and goes on to the same bytes.
func TestStopped(t *testing.T) {
	t.Parallel()
	whole, parts := t.TempDir(), t.TempDir()
	if err := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{}).full(whole, killedRollouts).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	stops := 0
	for {
		r := newLab(t, "tiny", engine.BF16, 2, engine.TrainOptions{Recompute: true, MicroBatchRows: 100}).full(parts, killedRollouts)
		stop, cancel := context.WithCancel(context.Background())
		r.Progress = func(p grpo.Progress) {
			if p.Rollout%3 == 0 {
				cancel()
			}
		}
		err := r.Train(context.Background(), stop)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, grpo.ErrStopped) {
			t.Fatal(err)
		}
		stops++
	}
	if stops != 3 {
		t.Errorf("stopped %d times, want 3", stops)
	}
	want := files(t, whole)
	for name, b := range files(t, parts) {
		if b != want[name] {
			t.Errorf("%s is of other bytes", name)
		}
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

// TestSFTRun: the loss of demonstrations falls, and a run in pieces ends in the bytes of one in one piece.
func TestSFTRun(t *testing.T) {
	t.Parallel()
	sft := func(dir string, l *lab) *grpo.SFTRun {
		s := grpo.Defaults(grpo.TRL, grpo.SFT)
		s.LearningRate, s.Schedule, s.WarmupRatio, s.Ban = 3e-3, grpo.Cosine, 0.1, engine.BanNone
		return &grpo.SFTRun{Config: grpo.SFTConfig{Settings: s, Seed: 2, Updates: 20, Sequences: 4, EvaluateEvery: 10}, Keeping: grpo.Keeping{Dir: dir, Every: 3, Log: quiet},
			Policy: l.policy, Trainer: l.trainer, Math: l.math, Data: l.data, Held: l.data}
	}
	var want string
	for i, pieces := range []bool{false, true} {
		dir := t.TempDir()
		for {
			r := sft(dir, newLab(t, "tiny", engine.BF16, 1+i, engine.TrainOptions{Freeze: []string{"visual."}}))
			stop, cancel := context.WithCancel(context.Background())
			r.Progress = func(p grpo.Progress) {
				if pieces && p.Update%7 == 0 {
					cancel()
				}
			}
			err := r.Train(context.Background(), stop)
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, grpo.ErrStopped) {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(text)
			all := metricsOf(t, dir)
			t.Logf("loss %.3f at first, %.3f at last", all[0]["loss"], all[19]["loss"])
			early, late := all[9]["eval_loss"], all[19]["eval_loss"]
			if _, ok := all[8]["eval_loss"]; ok || !(late < early && early < all[0]["loss"]) {
				t.Errorf("eval_loss is %v after 10 updates, %v after 20, the first loss was %v", early, late, all[0]["loss"])
			}
			if all[19]["loss"] > 0.5*all[0]["loss"] {
				t.Errorf("the loss went from %v to %v", all[0]["loss"], all[19]["loss"])
			}
		} else if string(text) != want {
			t.Error("in pieces, the metrics are of other bytes")
		}
	}
}

// TestSFTDiverges: a run whose held-out loss is not finite ends as any other, and its checkpoint is not the best of any.
func TestSFTDiverges(t *testing.T) {
	l := newLab(t, "tiny", engine.F32, 1, engine.TrainOptions{})
	s := grpo.Defaults(grpo.TRL, grpo.SFT)
	s.LearningRate, s.Schedule, s.Ban = 1e38, grpo.Constant, engine.BanNone
	dir := t.TempDir()
	r := &grpo.SFTRun{Config: grpo.SFTConfig{Settings: s, Updates: 1, Sequences: 2}, Keeping: grpo.Keeping{Dir: dir, KeepBest: true, Log: quiet},
		Policy: l.policy, Trainer: l.trainer, Math: l.math, Data: l.data, Held: l.data}
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	if m := metricsOf(t, dir)[0]; m["eval_loss"]-m["eval_loss"] == 0 {
		t.Errorf("eval_loss is %v: the test tests nothing", m["eval_loss"])
	}
	for _, m := range readLines[map[string]float64](t, filepath.Join(dir, "timing.jsonl")) {
		for _, name := range []string{"time/learn", "time/evaluate", "perf/tokens_per_second"} {
			if !(m[name] > 0) {
				t.Errorf("%s is %v", name, m[name])
			}
		}
	}
	r.Held = &goldenPrompts{}
	if err := r.Train(context.Background(), context.Background()); err == nil || !strings.Contains(err.Error(), "the held-out data set is empty") {
		t.Errorf("an empty held-out set: %v", err)
	}
}

// watched is a data set that says when two of its methods run at once, and fails at one demonstration.
type watched struct {
	*goldenPrompts
	busy    *atomic.Int32
	calls   int
	fail    int // the call that fails; 0: none
	blunder *atomic.Bool
}

func (w *watched) Demonstration(i int) (*grpo.Demonstration, error) {
	if w.busy.Add(1) != 1 {
		w.blunder.Store(true)
	}
	defer w.busy.Add(-1)
	time.Sleep(time.Millisecond)
	if w.calls++; w.calls == w.fail {
		return nil, errors.New("a broken picture")
	}
	return w.goldenPrompts.Demonstration(i)
}

// TestReadAhead: the batch that is read ahead shows its error when its turn comes, is not asked for at the same time as held-out data, and is
// waited for at the end.
func TestReadAhead(t *testing.T) {
	l := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{Freeze: []string{"visual."}})
	looked := l.data.Len() // by the plan
	for _, fail := range []int{0, looked + 2*4 + 1, looked + 3*4} {
		var busy atomic.Int32
		var blunder atomic.Bool
		w := &watched{goldenPrompts: l.data, busy: &busy, blunder: &blunder, fail: fail}
		s := grpo.Defaults(grpo.TRL, grpo.SFT)
		s.Ban = engine.BanNone
		updates := 0
		r := &grpo.SFTRun{Config: grpo.SFTConfig{Settings: s, Updates: 4, Sequences: 4, EvaluateEvery: 1}, Keeping: grpo.Keeping{Dir: t.TempDir(), Log: quiet},
			Policy: l.policy, Trainer: l.trainer, Math: l.math, Data: w, Held: &watched{goldenPrompts: l.data, busy: &busy, blunder: &blunder},
			Progress: func(grpo.Progress) { updates++ }}
		err := r.Train(context.Background(), context.Background())
		if blunder.Load() || busy.Load() != 0 {
			t.Errorf("failing at %d: data is asked for at the same time, or after the end", fail)
		}
		if fail == 0 && (err != nil || updates != 4 || w.calls != looked+4*4) {
			t.Errorf("%d updates, %d calls, %v", updates, w.calls, err)
		}
		if fail != 0 && (err == nil || !strings.Contains(err.Error(), "a broken picture") || updates != 2) {
			t.Errorf("failing at %d: %d updates, %v", fail, updates, err)
		}
	}
}

// TestBF16Curve: with f32 masters, fifty steps in bf16 follow those in f32 within 2 % of the loss.
func TestBF16Curve(t *testing.T) {
	t.Parallel()
	updates := 50
	if testing.Short() {
		updates = 5
	}
	curve := func(dtype engine.DType) []float64 {
		l := newLab(t, "tiny", dtype, 2, engine.TrainOptions{})
		s := grpo.Defaults(grpo.TRL, grpo.SFT)
		s.LearningRate, s.Ban = 1e-4, engine.BanNone
		dir := t.TempDir()
		r := &grpo.SFTRun{Config: grpo.SFTConfig{Settings: s, Seed: 2, Updates: updates, Sequences: len(l.data.prompts)},
			Keeping: grpo.Keeping{Dir: dir, Log: quiet},
			Policy:  l.policy, Trainer: l.trainer, Math: l.math, Data: l.data}
		if err := r.Train(context.Background(), context.Background()); err != nil {
			t.Fatal(err)
		}
		var losses []float64
		for _, m := range metricsOf(t, dir) {
			losses = append(losses, m["loss"])
		}
		return losses
	}
	narrow, wide := curve(engine.BF16), curve(engine.F32)
	worst := 0.0
	for i := range wide {
		worst = max(worst, math.Abs(narrow[i]-wide[i])/wide[i])
	}
	t.Logf("loss %.4f to %.4f in f32, %.4f to %.4f in bf16, worst difference %.2f %%", wide[0], wide[updates-1], narrow[0], narrow[updates-1], 100*worst)
	if worst > 0.02 {
		t.Errorf("the curves differ by %.2f %%", 100*worst)
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
