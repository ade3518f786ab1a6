package grpo

import (
	"context"
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo/metrics"
)

// A rollout is the samples of some examples with their rewards.
type rollout struct {
	examples []*Example
	samples  [][]*engine.Sample // by example
	parts    [][][]float64      // by example, reward, sample; NaN: none
	rewards  [][]float64        // by example, sample: the weighted sum; NaN: masked
	failures []error            // of rewards, the first few
	failed   int
}

// roll draws samples of the examples and scores them.
func roll(ctx context.Context, e *engine.Engine, examples []*Example, s engine.Sampling, rewards []Reward) (*rollout, error) {
	r := &rollout{examples: examples}
	prompts := make([]*engine.Prompt, len(examples))
	for i, x := range examples {
		prompts[i] = x.Prompt
		r.samples = append(r.samples, make([]*engine.Sample, s.N))
	}
	for x, err := range e.Generate(ctx, engine.Prompts(prompts...), s) {
		if err != nil {
			return nil, err
		}
		r.samples[x.Prompt][x.Sample] = x
	}
	for i, x := range examples {
		total := make([]float64, s.N)
		for j := range total {
			total[j] = math.NaN()
		}
		var parts [][]float64
		for _, w := range rewards {
			scores, err := score(ctx, &w, x, r.samples[i])
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				r.fail(fmt.Errorf("reward %s of %s: %w", w.Name, x.ID, err), len(scores))
			}
			for j, v := range scores {
				if math.IsNaN(v) {
					continue
				}
				if math.IsNaN(total[j]) {
					total[j] = 0
				}
				total[j] += w.Weight * v
			}
			parts = append(parts, scores)
		}
		r.parts, r.rewards = append(r.parts, parts), append(r.rewards, total)
	}
	return r, nil
}

// score calls a reward. What fails in it is an error, and gives NaN for every sample.
func score(ctx context.Context, w *Reward, x *Example, samples []*engine.Sample) (scores []float64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err == nil && len(scores) != len(samples) {
			err = fmt.Errorf("%d scores for %d samples", len(scores), len(samples))
		}
		for i, v := range scores {
			if err == nil && math.IsInf(v, 0) {
				err = fmt.Errorf("the score of sample %d is %v", i, v)
			}
		}
		if err != nil {
			scores = make([]float64, len(samples))
			for i := range scores {
				scores[i] = math.NaN()
			}
		}
	}()
	return w.Score(ctx, x, samples)
}

func (r *rollout) fail(err error, samples int) {
	r.failed += samples
	if len(r.failures) < 10 {
		r.failures = append(r.failures, err)
	}
}

// metrics are those of the rollout, by TRL's names (section 7 of the dialects' reference).
func (r *rollout) metrics(rewards []Reward) map[string]float64 {
	m := map[string]float64{}
	var length, terminated, all gauge
	clipped, masked, zero, lone := 0, 0, 0, 0
	for i, group := range r.samples {
		equal, count := true, 0
		first := math.NaN()
		for j, s := range group {
			length.add(float64(len(s.IDs)))
			if s.FinishReason == engine.FinishLength {
				clipped++
			} else {
				terminated.add(float64(len(s.IDs)))
			}
			v := r.rewards[i][j]
			all.add(v)
			if math.IsNaN(v) {
				masked++
				continue
			}
			if count++; count == 1 {
				first = v
			}
			equal = equal && v == first
		}
		if equal {
			zero += len(group)
		}
		if count == 1 {
			lone++
		}
	}
	length.put(m, "completions/mean_length", "completions/min_length", "completions/max_length")
	terminated.put(m, "completions/mean_terminated_length", "completions/min_terminated_length", "completions/max_terminated_length")
	m["completions/clipped_ratio"] = float64(clipped) / float64(length.n)
	for k, w := range rewards {
		var g gauge
		for i := range r.parts {
			for _, v := range r.parts[i][k] {
				g.add(v)
			}
		}
		m["rewards/"+w.Name+"/mean"], m["rewards/"+w.Name+"/std"] = g.mean(), g.std()
	}
	m["reward"], m["reward_std"] = all.mean(), all.std()
	m["frac_reward_zero_std"] = float64(zero) / float64(length.n)
	m["rewards/masked"], m["rewards/failed"], m["rewards/lone_groups"] = float64(masked), float64(r.failed), float64(lone)
	return m
}

// completions are the rollout's samples for the log.
func (r *rollout) completions(rewards []Reward, advantages [][]float64) []metrics.Completion {
	var cs []metrics.Completion
	for i, group := range r.samples {
		for j, s := range group {
			c := metrics.Completion{Prompt: i, ID: r.examples[i].ID, Sample: j, Text: s.Text, Rewards: map[string]float64{}, Length: len(s.IDs), FinishReason: string(s.FinishReason)}
			for k, w := range rewards {
				c.Rewards[w.Name] = r.parts[i][k][j]
			}
			c.Advantage = math.NaN()
			if !math.IsNaN(r.rewards[i][j]) {
				c.Advantage = advantages[i][j]
			}
			cs = append(cs, c)
		}
	}
	return cs
}

// A gauge sums numbers up, NaN left out.
type gauge struct {
	n        int
	sum      float64
	values   []float64
	min, max float64
}

func (g *gauge) add(v float64) {
	if math.IsNaN(v) {
		return
	}
	if g.n == 0 {
		g.min, g.max = v, v
	}
	g.n++
	g.sum += v
	g.min, g.max = min(g.min, v), max(g.max, v)
	g.values = append(g.values, v)
}

// mean is NaN without numbers.
func (g *gauge) mean() float64 { return g.sum / float64(g.n) }

// std is the deviation with n - 1, NaN for fewer than two numbers.
func (g *gauge) std() float64 {
	sum := 0.0
	for _, v := range g.values {
		sum += (v - g.mean()) * (v - g.mean())
	}
	if g.n < 2 {
		return math.NaN()
	}
	return math.Sqrt(sum / float64(g.n-1))
}

func (g *gauge) put(m map[string]float64, mean, least, most string) {
	if g.n > 0 {
		m[mean], m[least], m[most] = g.mean(), g.min, g.max
	}
}
