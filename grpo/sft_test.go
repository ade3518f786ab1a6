package grpo_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

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
		inPieces(t, func(stop func()) trainer {
			r := sft(dir, newLab(t, "tiny", engine.BF16, 1+i, engine.TrainOptions{Freeze: []string{"visual."}}))
			r.Progress = func(p grpo.Progress) {
				if pieces && p.Update%7 == 0 {
					stop()
				}
			}
			return r
		})
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
