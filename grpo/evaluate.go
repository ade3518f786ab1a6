package grpo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/thinker-vl/thinker/engine"
)

// An EvaluationConfig says how a policy is evaluated.
type EvaluationConfig struct {
	// Sampling says how completions are drawn: N samples a prompt (k, 0: one), Temperature (0: greedy), MaxTokens, Seed, ...
	Sampling engine.Sampling
	Pass     float64 // least reward of a sample that passes; 0: 0.5
	Judging

	// Progress, when set, is called after every prompt.
	Progress func(done, total int)
}

const defaultPass = 0.5

// An Evaluated is what samples of held-out prompts were worth.
type Evaluated struct {
	Outcomes []Outcome // by prompt, then sample
	Prompts  int
	K        int     // samples a prompt
	Pass     float64 // least reward that passes
	Failed   int     // samples whose reward failed
	Failures []error // of rewards, the first few

	Temperature float64
	Seed        uint64
	Update      int64 // of the run that it is part of

	rewards []string
}

// An Outcome is one sample of an evaluation.
type Outcome struct {
	Prompt, Sample int // numbers, from 0
	ID             string
	Kind           string // the verifier's type
	Question, Gold string
	Images         []string // paths
	ImageSize      [2]int   // [height, width] of the first picture
	ResizedSize    [2]int   // the same as the model saw it
	Text           string
	Answer         string  // in the text
	Found          bool    // there is an answer
	Judged         bool    // Answer and Found are known: the reward is a Judge
	Reward         float64 // weighted; NaN: masked
	Parts          []float64
	Reason         string // the rule that decided
	FinishReason   engine.FinishReason
	Length         int // in tokens
}

// Evaluate samples held-out prompts and scores the samples while it decodes. Of the prompts, it holds those alone that it is at work on.
func Evaluate(ctx context.Context, policy *engine.Engine, held Prompts, rewards []Reward, c EvaluationConfig) (*Evaluated, error) {
	switch {
	case held.Len() == 0:
		return nil, errors.New("grpo: there are no held-out prompts to evaluate on")
	case math.IsNaN(c.Pass) || math.IsInf(c.Pass, 0):
		return nil, &SettingsError{Key: "Pass", Err: fmt.Errorf("%v is no finite number", c.Pass)}
	}
	if err := errors.Join(checkRewards(rewards), c.Judging.check()); err != nil {
		return nil, err
	}
	return evaluate(ctx, policy, held, newPanel(rewards, c.Judging), c)
}

func evaluate(ctx context.Context, policy *engine.Engine, held Prompts, panel *panel, c EvaluationConfig) (*Evaluated, error) {
	k := max(c.Sampling.N, 1)
	v := &Evaluated{Outcomes: make([]Outcome, k*held.Len()), Prompts: held.Len(), K: k, Pass: cmp.Or(c.Pass, defaultPass), Temperature: c.Sampling.Temperature, Seed: c.Sampling.Seed}
	for _, w := range panel.rewards {
		v.rewards = append(v.rewards, w.Name)
	}
	d := drawing{policy: policy, sampling: c.Sampling, panel: panel, unjudged: 4 * panel.RewardWorkers,
		source: &examination{held: held, progress: c.Progress, to: v}}
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// An examination is the source of an evaluation: every held-out prompt, in order.
type examination struct {
	held     Prompts
	progress func(done, total int)
	to       *Evaluated

	taken, done int
}

func (x *examination) next() (*Example, int, error) {
	if x.taken == x.held.Len() {
		return nil, 0, io.EOF
	}
	i := x.taken
	x.taken++
	e, err := x.held.Example(i)
	if err != nil {
		return nil, 0, fmt.Errorf("grpo: held-out example %d: %w", i, err)
	}
	return e, i, nil
}

func (x *examination) judged(g *group) {
	e := g.example
	for j, s := range g.samples {
		o := Outcome{Prompt: g.position, Sample: j, ID: e.ID, Kind: e.Kind, Question: e.Question, Gold: e.Gold, Images: imagePaths(e.Prompt), Text: s.Text,
			Answer: g.verdicts[j].Answer, Found: g.verdicts[j].Found, Judged: g.judged[j], Reward: g.task[j], Reason: g.verdicts[j].Reason,
			FinishReason: s.FinishReason, Length: len(s.IDs)}
		if len(e.Prompt.Images) > 0 {
			m := e.Prompt.Images[0]
			o.ImageSize, o.ResizedSize = [2]int{m.OrigH, m.OrigW}, [2]int{m.ResizedH, m.ResizedW}
		}
		for _, scores := range g.parts {
			o.Parts = append(o.Parts, scores[j])
		}
		x.to.Outcomes[g.position*x.to.K+j] = o
	}
	x.to.Failed += g.failed
	for _, err := range g.failures {
		if len(x.to.Failures) < maxFailures {
			x.to.Failures = append(x.to.Failures, err)
		}
	}
	x.done++
	if x.progress != nil {
		x.progress(x.done, x.held.Len())
	}
}

// maxFailures is how many failures of rewards are reported one by one.
const maxFailures = 10
