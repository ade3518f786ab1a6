package grpo

import (
	"math"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo/metrics"
)

// A rollout is the samples of some examples with their rewards.
type rollout struct {
	groups  []*group // that are learned from, in the order of the data
	rewards []Reward

	// With an overlong penalty, by group, sample.
	penalty [][]float64
}

// reward is what a sample's advantage is computed from: the task's reward with the penalty. NaN: masked.
func (r *rollout) reward(i, j int) float64 {
	if r.penalty == nil {
		return r.groups[i].task[j]
	}
	return r.groups[i].task[j] + r.penalty[i][j]
}

// equal reports whether the task's rewards are all the same number, so that the group teaches nothing. One reward alone is, too.
func (g *group) equal() bool {
	first := math.NaN()
	for _, v := range g.task {
		if math.IsNaN(v) {
			continue
		}
		if math.IsNaN(first) {
			first = v
		}
		if v != first {
			return false
		}
	}
	return true
}

// rewarded counts the samples that are not masked.
func (g *group) rewarded() (n int) {
	for _, v := range g.task {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}

// metrics are those of the rollout, by TRL's names (section 7 of the dialects' reference). Rewards are the task's.
func (r *rollout) metrics() map[string]float64 {
	m := map[string]float64{}
	var length, terminated, all gauge
	clipped, masked, zero, lone, failed, abandoned, judged, found := 0, 0, 0, 0, 0, 0, 0, 0
	for _, g := range r.groups {
		for j, s := range g.samples {
			length.add(float64(len(s.IDs)))
			if s.FinishReason == engine.FinishLength {
				clipped++
			} else {
				terminated.add(float64(len(s.IDs)))
			}
			all.add(g.task[j])
			if g.judged[j] {
				judged++
				if g.verdicts[j].Found {
					found++
				}
			}
		}
		masked += len(g.samples) - g.rewarded()
		failed += g.failed
		abandoned += g.abandoned
		if g.equal() {
			zero += len(g.samples)
		}
		if g.rewarded() == 1 {
			lone++
		}
	}
	length.put(m, "completions/mean_length", "completions/min_length", "completions/max_length")
	terminated.put(m, "completions/mean_terminated_length", "completions/min_terminated_length", "completions/max_terminated_length")
	m["completions/clipped_ratio"] = float64(clipped) / float64(length.n)
	if judged > 0 {
		m["completions/extracted_ratio"] = float64(found) / float64(judged)
	}
	for k, w := range r.rewards {
		var x gauge
		fired := 0
		for _, g := range r.groups {
			for _, v := range g.parts[k] {
				x.add(v)
				if v > 0 {
					fired++
				}
			}
		}
		if x.n > 0 { // the rollout may hold no example for it
			m["rewards/"+w.Name+"/mean"], m["rewards/"+w.Name+"/std"] = x.mean(), x.std()
			m["rewards/"+w.Name+"/fired"] = float64(fired) / float64(x.n)
		}
	}
	m["reward"], m["reward_std"] = all.mean(), all.std()
	m["frac_reward_zero_std"] = float64(zero) / float64(length.n)
	m["rewards/masked"], m["rewards/failed"], m["rewards/lone_groups"] = float64(masked), float64(failed), float64(lone)
	m["rewards/abandoned_calls"] = float64(abandoned)
	return m
}

// completions are the rollout's samples for the log.
func (r *rollout) completions(advantages [][]float64) []metrics.Completion {
	var cs []metrics.Completion
	for i, g := range r.groups {
		for j, s := range g.samples {
			c := metrics.Completion{Prompt: g.position, ID: g.example.ID, Type: g.example.Kind, Sample: j, Text: s.Text, Rewards: map[string]float64{},
				Length: len(s.IDs), FinishReason: string(s.FinishReason), Judged: g.judged[j], Why: g.verdicts[j].Reason}
			for k, w := range r.rewards {
				c.Rewards[w.Name] = g.parts[k][j]
			}
			if r.penalty != nil {
				c.Rewards[overlongName] = r.penalty[i][j]
			}
			c.Advantage = math.NaN()
			if !math.IsNaN(g.task[j]) {
				c.Advantage = advantages[i][j]
			}
			if v := &g.verdicts[j]; v.Found {
				c.Extracted = &v.Answer
			}
			if j == 0 {
				c.Question, c.Gold, c.Images = g.example.Question, g.example.Gold, imagePaths(g.example.Prompt)
			}
			cs = append(cs, c)
		}
	}
	return cs
}

// imagePaths are the paths of a prompt's pictures, as far as they were loaded from files.
func imagePaths(p *engine.Prompt) (paths []string) {
	for _, m := range p.Images {
		if m.Path != "" {
			paths = append(paths, m.Path)
		}
	}
	return paths
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
