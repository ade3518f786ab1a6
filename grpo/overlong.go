package grpo

import (
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/engine"
)

// Overlong is DAPO's soft penalty for completions that come near the most tokens (arXiv 2503.14476, section 3.4, as verl's overlong_buffer
// computes it): in the last Buffer tokens it grows from 0 to Penalty. It is part of what the advantage is computed from, and not of the
// task's reward, which is what the metric reward and dynamic sampling go by.
type Overlong struct {
	Buffer  int     // tokens before the most that a completion may have; 0: no penalty
	Penalty float64 // at the most tokens; 0: 1
}

// overlongName is the penalty's among a completion's rewards.
const overlongName = "overlong_penalty"

func (o *Overlong) check(most int) error {
	switch {
	case o.Buffer < 0 || o.Buffer > most:
		return &SettingsError{Key: "Overlong.Buffer", Err: fmt.Errorf("%d: want 0 (no penalty), or up to the most tokens of a completion, %d", o.Buffer, most)}
	case !(o.Penalty >= 0 && o.Penalty <= math.MaxFloat64):
		return &SettingsError{Key: "Overlong.Penalty", Err: fmt.Errorf("%v: want 0 (one) or more", o.Penalty)}
	case o.Buffer == 0 && o.Penalty > 0:
		return &SettingsError{Key: "Overlong.Penalty", Err: fmt.Errorf("%v without a buffer: set Overlong.Buffer, or leave both out", o.Penalty)}
	}
	return nil
}

// of is what a completion of some tokens gets: 0 or less.
func (o *Overlong) of(tokens, most int) float64 {
	penalty := o.Penalty
	if penalty == 0 {
		penalty = 1
	}
	if over := tokens - (most - o.Buffer); o.Buffer > 0 && over > 0 {
		return -float64(over) / float64(o.Buffer) * penalty
	}
	return 0
}

// penalize adds the penalty to a rollout's rewards, and its metrics.
func (o *Overlong) penalize(r *rollout, most int, m map[string]float64) {
	if o.Buffer == 0 {
		return
	}
	var all gauge
	over := 0
	for _, g := range r.groups {
		values := make([]float64, len(g.samples))
		for j, s := range g.samples {
			values[j] = o.of(len(s.IDs), most)
			all.add(values[j])
			if values[j] < 0 {
				over++
			}
		}
		r.penalty = append(r.penalty, values)
	}
	m["overlong_penalty"], m["overlong_ratio"] = all.mean(), float64(over)/float64(all.n)
}

// most is how many tokens a completion may have.
func (c *Config) most() int {
	if n := c.sampling(0).MaxTokens; n > 0 {
		return n
	}
	return engine.DefaultMaxTokens
}
