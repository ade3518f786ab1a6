package grpo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/thinker-vl/thinker/engine"
)

// Judging bounds what rewards take. As long as no call runs out of time, nothing that a run computes depends on it.
type Judging struct {
	RewardWorkers int           // examples that are judged at a time; 0: 8
	RewardTimeout time.Duration // of one call; 0: 5 minutes, negative: none
	MaxAbandoned  int           // calls that neither return nor heed their context: as many end the run; 0: 8
}

const (
	defaultRewardWorkers = 8
	defaultRewardTimeout = 5 * time.Minute
	defaultMaxAbandoned  = 8
	abandonAfter         = time.Second // that a call which ran out of time has to heed its context
)

func (j *Judging) check() error {
	if j.RewardWorkers < 0 || j.MaxAbandoned < 0 {
		return &SettingsError{Key: "RewardWorkers", Err: fmt.Errorf("%d, MaxAbandoned %d: want no negative numbers", j.RewardWorkers, j.MaxAbandoned)}
	}
	return nil
}

// A HangingRewardError ends a run whose reward has calls that do not return. A goroutine cannot be stopped: each keeps what it holds.
type HangingRewardError struct {
	Reward  string
	Calls   int
	Timeout time.Duration
}

func (e *HangingRewardError) Error() string {
	return fmt.Sprintf("grpo: reward %s: %d calls neither returned within %v nor heeded their context: give it a timeout of its own, or run it in another process", e.Reward, e.Calls, e.Timeout)
}

// errAbandoned is what became of a call that does not return.
var errAbandoned = errors.New("the call does not return, and is abandoned")

func checkRewards(rewards []Reward) error {
	if len(rewards) == 0 {
		return errors.New("grpo: no rewards")
	}
	seen := map[string]bool{}
	for i, w := range rewards {
		switch {
		case w.Name == "" || seen[w.Name]:
			return fmt.Errorf("grpo: reward %d is named %q: want a name of its own", i, w.Name)
		case (w.Score == nil) == (w.Judge == nil):
			return fmt.Errorf("grpo: reward %s: want one of Score and Judge", w.Name)
		case math.IsNaN(w.Weight) || math.IsInf(w.Weight, 0):
			return fmt.Errorf("grpo: reward %s: its weight is %v", w.Name, w.Weight)
		}
		seen[w.Name] = true
	}
	return nil
}

// A group is the samples of an example.
type group struct {
	position int // of the example in the rollout
	index    int // of the example in the data
	example  *Example
	samples  []*engine.Sample
	missing  int // samples to come

	parts     [][]float64 // by reward, sample; NaN: none
	task      []float64   // the weighted sum; NaN: masked
	verdicts  []Verdict   // of the reward that decided
	judged    []bool      // there is such a verdict
	failures  []error     // of rewards
	failed    int         // samples
	broken    []bool      // by reward: it failed on a sample
	abandoned int         // calls
}

// A panel judges groups.
type panel struct {
	Judging
	rewards []Reward

	mu        sync.Mutex
	abandoned map[string]int // calls, by reward
}

func newPanel(rewards []Reward, j Judging) *panel {
	j.RewardWorkers, j.MaxAbandoned = cmp.Or(j.RewardWorkers, defaultRewardWorkers), cmp.Or(j.MaxAbandoned, defaultMaxAbandoned)
	j.RewardTimeout = cmp.Or(j.RewardTimeout, defaultRewardTimeout)
	return &panel{Judging: j, rewards: rewards, abandoned: map[string]int{}}
}

// judge gives a group its rewards. Several goroutines may do so at once. The error is a [*HangingRewardError], or the context's.
func (p *panel) judge(ctx context.Context, g *group) error {
	n := len(g.samples)
	g.task, g.verdicts, g.judged = make([]float64, n), make([]Verdict, n), make([]bool, n)
	for i := range g.task {
		g.task[i] = math.NaN()
	}
	lost := make([]bool, n) // samples that a reward which counts failed on
	g.broken = make([]bool, len(p.rewards))
	for k := range p.rewards {
		w := &p.rewards[k]
		verdicts, err := p.call(ctx, w, g)
		if fatal(ctx, err) {
			return err
		}
		if err != nil {
			g.failures = append(g.failures, fmt.Errorf("reward %s of %s: %w", w.Name, g.example.ID, err))
			verdicts = slices.Repeat([]Verdict{{Score: math.NaN()}}, n)
			if errors.Is(err, errAbandoned) {
				g.abandoned++
			}
		}
		scores := make([]float64, n)
		unsaid := 0
		for i, v := range verdicts {
			scores[i] = v.Score
			if err != nil || v.failed() {
				g.failed++
				g.broken[k] = true
				lost[i] = lost[i] || w.Weight != 0
				if err == nil {
					if unsaid++; unsaid == 1 {
						g.failures = append(g.failures, fmt.Errorf("reward %s of %s: sample %d: %s", w.Name, g.example.ID, i, v.Reason))
					}
				}
			}
			if !math.IsNaN(v.Score) {
				if math.IsNaN(g.task[i]) {
					g.task[i] = 0
				}
				g.task[i] += w.Weight * v.Score
			}
			// Of several verdicts, the first that found an answer counts, else the first that says anything.
			says := w.Judge != nil && (v.Found || v.Reason != "" || !math.IsNaN(v.Score))
			if says && (!g.judged[i] || v.Found && !g.verdicts[i].Found) {
				g.verdicts[i], g.judged[i] = v, true
			}
		}
		g.parts = append(g.parts, scores)
	}
	// The other rewards' sum is no reward: it would be held against those of samples that have all.
	for i := range g.task {
		if lost[i] {
			g.task[i] = math.NaN()
		}
	}
	return nil
}

// failed reports whether a reward that the example is for could not score the sample.
func (v *Verdict) failed() bool { return math.IsNaN(v.Score) && v.Reason != "" }

// fatal reports whether an error of call ends the run.
func fatal(ctx context.Context, err error) bool {
	_, hangs := errors.AsType[*HangingRewardError](err)
	return hangs || err != nil && ctx.Err() != nil
}

// call calls a reward, and waits for it no longer than it may take. A [*HangingRewardError] ends the run, and so does the context's.
func (p *panel) call(ctx context.Context, w *Reward, g *group) ([]Verdict, error) {
	bounded := ctx
	if p.RewardTimeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeoutCause(ctx, p.RewardTimeout, fmt.Errorf("no verdict within %v", p.RewardTimeout))
		defer cancel()
	}
	type result struct {
		verdicts []Verdict
		err      error
	}
	done := make(chan result, 1)
	example, samples := g.example, slices.Clone(g.samples) // the call may outlive the group
	go func() {
		v, err := w.verdicts(bounded, example, samples)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.verdicts, r.err
	case <-bounded.Done():
	}
	if ctx.Err() != nil { // the run ends
		return nil, context.Cause(ctx)
	}
	grace := time.NewTimer(abandonAfter)
	defer grace.Stop()
	select {
	case <-done:
		return nil, context.Cause(bounded)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-grace.C:
		if err := p.abandon(w); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", context.Cause(bounded), errAbandoned)
	}
}

// abandon counts a call that does not return.
func (p *panel) abandon(w *Reward) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandoned[w.Name]++
	if n := p.abandoned[w.Name]; n >= p.MaxAbandoned {
		return &HangingRewardError{w.Name, n, p.RewardTimeout}
	}
	return nil
}

// verdicts calls a reward that is not trusted.
func (w *Reward) verdicts(ctx context.Context, x *Example, samples []*engine.Sample) (verdicts []Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v%s", p, panicked())
		}
	}()
	if w.Judge != nil {
		verdicts, err = w.Judge(ctx, x, samples)
	} else {
		var scores []float64
		scores, err = w.Score(ctx, x, samples)
		for _, v := range scores {
			verdicts = append(verdicts, Verdict{Score: v})
		}
	}
	if err == nil && len(verdicts) != len(samples) {
		err = fmt.Errorf("%d scores for %d samples", len(verdicts), len(samples))
	}
	for i, v := range verdicts {
		if err == nil && math.IsInf(v.Score, 0) {
			err = fmt.Errorf("the score of sample %d is %v", i, v.Score)
		}
	}
	return verdicts, err
}

// panicked says where the panic that is being recovered from began, for a message.
func panicked() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for began := false; ; {
		f, more := frames.Next()
		if began && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf(" (%s:%d)", filepath.Base(f.File), f.Line)
		}
		began = began || f.Function == "runtime.gopanic"
		if !more {
			return ""
		}
	}
}
