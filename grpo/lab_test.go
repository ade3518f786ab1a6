package grpo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
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

// A trainer is a grpo.Run or a grpo.SFTRun.
type trainer interface {
	Train(ctx, stop context.Context) error
}

// inPieces trains until nothing is left to do, on what begin opens, again after every stop that it asks for. It returns the number of stops.
func inPieces(t testing.TB, begin func(stop func()) trainer) (stops int) {
	t.Helper()
	for {
		stop, cancel := context.WithCancel(context.Background())
		err := begin(cancel).Train(context.Background(), stop)
		cancel()
		if err == nil {
			return stops
		}
		if !errors.Is(err, grpo.ErrStopped) {
			t.Fatal(err)
		}
		stops++
	}
}
