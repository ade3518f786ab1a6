package grpo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/thinker-vl/thinker/engine"
)

// A DryRun has a run's rewards judge the gold answers of some examples as if they were responses, before the first step: a reward that
// rejects them can teach nothing. It is made once, and not again when a run goes on.
type DryRun struct {
	// Wrap makes a response of a gold answer, as "<think></think> <answer>" + gold + "</answer>".
	Wrap func(gold string) string

	Examples    int      // tried, evenly spread over the data; 0: 64
	MaxRejected float64  // share of its gold answers that a reward may reject, by a score of 0 or less; 0: a tenth
	Skip        []string // rewards that gold answers say nothing about, as one that compares a response with the gold answer's own score
	Warn        bool     // warn, and go on
}

const (
	defaultDryExamples    = 64
	defaultDryMaxRejected = 0.1
	dryCases              = 10 // that an error names
)

// A DryRunResult is what rewards made of gold answers.
type DryRunResult struct {
	Tried   int // examples with a gold answer
	Rewards []DryRunReward
	Cases   []DryRunCase // gold answers that were rejected or not scored
}

// A DryRunReward is what one reward made of them.
type DryRunReward struct {
	Name     string
	Judged   int // gold answers that it gave a score
	Rejected int // of them, by a score of 0 or less
	Failed   int // examples that it failed on
	Bad      bool
}

// A DryRunCase is a gold answer that a reward did not accept.
type DryRunCase struct {
	Example, Reward, Gold string
	Score                 float64 // NaN: none
	Why                   string
}

// A DryRunError says that rewards reject gold answers.
type DryRunError struct{ Result *DryRunResult }

func (e *DryRunError) Error() string { return "grpo: dry run: " + e.Result.problems() }

// problems describes the bad rewards; "" where there are none.
func (r *DryRunResult) problems() string {
	var b strings.Builder
	for _, w := range r.Rewards {
		if !w.Bad {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		switch {
		case w.Failed > 0 && w.Judged == 0:
			fmt.Fprintf(&b, "reward %s fails on %d of %d gold answers", w.Name, w.Failed, r.Tried)
		case w.Rejected == w.Judged:
			fmt.Fprintf(&b, "reward %s can never fire: it rejects all of its %d gold answers", w.Name, w.Judged)
		default:
			fmt.Fprintf(&b, "reward %s rejects %d of its %d gold answers", w.Name, w.Rejected, w.Judged)
		}
		shown := 0
		for _, c := range r.Cases {
			if c.Reward != w.Name || shown == dryCases {
				continue
			}
			if shown++; shown == 1 {
				b.WriteString(":")
			} else {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, " %s (gold %q", c.Example, short(c.Gold))
			if c.Why != "" {
				fmt.Fprintf(&b, ": %s", c.Why)
			}
			b.WriteString(")")
		}
	}
	return b.String()
}

func (d *DryRun) check() error {
	if d.Wrap == nil {
		return errors.New("grpo: DryRun: Wrap is not set")
	}
	if d.Examples < 0 || !(d.MaxRejected >= 0 && d.MaxRejected <= 1) {
		return fmt.Errorf("grpo: DryRun: Examples %d, MaxRejected %v: want 0 or more, and a share", d.Examples, d.MaxRejected)
	}
	return nil
}

// Try judges the gold answers of a data set. Examples without one are passed over. The result comes with a [*DryRunError] where a reward
// rejects more than it may, or fails on all that are for it.
func (d *DryRun) Try(ctx context.Context, policy *engine.Engine, prompts Prompts, rewards []Reward, j Judging) (*DryRunResult, error) {
	if err := errors.Join(d.check(), checkRewards(rewards), j.check()); err != nil {
		return nil, err
	}
	return d.try(ctx, policy, prompts, newPanel(rewards, j))
}

func (d *DryRun) try(ctx context.Context, policy *engine.Engine, prompts Prompts, p *panel) (*DryRunResult, error) {
	r := &DryRunResult{}
	skip := map[string]bool{}
	for _, name := range d.Skip {
		skip[name] = true
	}
	var rewards []*Reward
	for i := range p.rewards {
		if w := &p.rewards[i]; !skip[w.Name] {
			rewards = append(rewards, w)
			r.Rewards = append(r.Rewards, DryRunReward{Name: w.Name})
		}
	}
	examples := d.Examples
	if examples == 0 {
		examples = defaultDryExamples
	}
	err := spread(prompts.Len(), examples, func(i int) error {
		x, err := load(prompts, i)
		if err != nil {
			return fmt.Errorf("grpo: %w", err)
		}
		if x.Gold == "" {
			return nil
		}
		r.Tried++
		text := d.Wrap(x.Gold)
		s := &engine.Sample{PromptTokens: len(x.Prompt.IDs), Text: text, IDs: policy.Tokenizer().Encode(text), FinishReason: engine.FinishStop}
		g := &group{index: i, example: x, samples: []*engine.Sample{s}}
		for k, w := range rewards {
			verdicts, err := p.call(ctx, w, g)
			if fatal(ctx, err) {
				return err
			}
			if err != nil {
				r.Rewards[k].Failed++
				r.Cases = append(r.Cases, DryRunCase{x.ID, w.Name, x.Gold, math.NaN(), err.Error()})
				continue
			}
			v := verdicts[0]
			if v.failed() {
				r.Rewards[k].Failed++
			}
			if !math.IsNaN(v.Score) {
				r.Rewards[k].Judged++
				if v.Score <= 0 {
					r.Rewards[k].Rejected++
				}
			}
			// Without a score and a reason, the example is not for the reward.
			if v.Score <= 0 || v.failed() {
				r.Cases = append(r.Cases, DryRunCase{x.ID, w.Name, x.Gold, v.Score, v.Reason})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	most := d.MaxRejected
	if most == 0 {
		most = defaultDryMaxRejected
	}
	bad := false
	for k := range r.Rewards {
		of := &r.Rewards[k]
		of.Bad = of.Judged == 0 && of.Failed > 0 || of.Judged > 0 && (of.Rejected == of.Judged || float64(of.Rejected) > most*float64(of.Judged))
		bad = bad || of.Bad
	}
	if bad {
		return r, &DryRunError{r}
	}
	return r, nil
}

// dryRun is the run's own.
func (t *trainer) dryRun(ctx context.Context) error {
	if err := t.DryRun.check(); err != nil {
		return err
	}
	r, err := t.DryRun.try(ctx, t.Policy, t.Prompts, t.panel)
	if _, ok := errors.AsType[*DryRunError](err); ok && t.DryRun.Warn {
		return t.warning("dry run: " + r.problems())
	}
	if err == nil {
		t.keeping.Log.Info("grpo: dry run: the rewards accept their gold answers", "tried", r.Tried)
	}
	return err
}
