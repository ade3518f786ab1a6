package grpo

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/thinker-vl/thinker/engine"
)

// DynamicSampling draws further prompts in the place of those whose groups teach nothing, while the batch is being decoded: groups whose
// rewards by the task (before the penalty of [Overlong]) are all exactly the same number, or masked; and, where truncated completions are
// masked, those of truncated completions alone.
//
// A rollout's groups are the first in the order of the data that teach, whatever finishes first. The cursor moves past the last of them and
// no further, and a prompt's random numbers are keyed by its place in that order: what is computed depends on neither threads, batch nor
// clock. A rollout that finds too few within its bound is filled up with the first of those that teach nothing, so that batches have one
// size and the schedules hold. Metrics and completions are those of the batch; those named sampling/ are of all prompts drawn.
type DynamicSampling struct {
	// MaxOversampling bounds how many prompts a rollout may draw, as a multiple of Config.Prompts: 1 or more; 0: no dynamic sampling.
	MaxOversampling float64

	// Ahead is how many prompts are decoded at a time beyond those that are needed for certain, in the place of others that may turn out
	// to teach nothing. More keep a large batch busy, and some are decoded in vain; they come again in the next rollout. It changes no
	// number.
	Ahead int `json:"-"`
}

const maxOversampling = 1000

func (d *DynamicSampling) check(group int) error {
	bad := func(name string, v any, want string) error {
		return &SettingsError{Key: "Dynamic." + name, Err: fmt.Errorf("%v: want %s", v, want)}
	}
	switch x := d.MaxOversampling; {
	case x != 0 && !(x >= 1 && x <= maxOversampling):
		return bad("MaxOversampling", x, fmt.Sprintf("0 (no dynamic sampling), or from 1 to %d", maxOversampling))
	case d.Ahead < 0:
		return bad("Ahead", d.Ahead, "0 or more prompts")
	case x != 0 && group < 2:
		return bad("MaxOversampling", x, "0: groups of one sample have no variance")
	}
	return nil
}

// An intake is the source of a rollout: prompts in the order of the data, until there are enough groups that teach.
type intake struct {
	prompts Prompts
	take    func() int // the next number in the data's order
	want    int        // groups
	limit   int        // prompts
	ahead   int
	dynamic bool
	masked  bool // truncated completions teach nothing

	all    []*group // by position; nil: not judged yet
	useful int      // of those judged
	unsure int      // not judged
	known  int      // so many first positions are judged, none of which completed the batch
	sure   int      // useful ones of them
	cut    int      // positions that the rollout takes; 0: not known
}

func (t *intake) next() (*Example, int, error) {
	switch {
	case t.cut > 0:
		return nil, 0, errEnough
	case len(t.all) == t.limit:
		return nil, 0, io.EOF
	case t.useful+t.unsure >= t.want+t.ahead:
		return nil, 0, nil
	}
	i := t.take()
	x, err := t.prompts.Example(i)
	if err != nil {
		return nil, 0, fmt.Errorf("grpo: example %d: %w", i, err)
	}
	t.all = append(t.all, nil)
	t.unsure++
	return x, i, nil
}

func (t *intake) judged(g *group) {
	t.all[g.position] = g
	t.unsure--
	if t.teaches(g) {
		t.useful++
	} else { // its pictures; they are loaded again where the group is needed after all
		x := *g.example
		x.Prompt = nil
		g.example = &x
	}
	for t.cut == 0 && t.known < len(t.all) && t.all[t.known] != nil {
		if t.teaches(t.all[t.known]) {
			t.sure++
		}
		t.known++
		if t.sure == t.want || t.known == t.limit {
			t.cut = t.known
		}
	}
}

// teaches reports whether a group is to be learned from.
func (t *intake) teaches(g *group) bool {
	if !t.dynamic {
		return true
	}
	learns := func(s *engine.Sample) bool { return !t.masked || s.FinishReason != engine.FinishLength }
	return !g.equal() && slices.ContainsFunc(g.samples, learns)
}

// groups are those that the rollout learns from, in order, with the number of those among them that teach nothing.
func (t *intake) groups() (batch []*group, filled int, err error) {
	filled = t.want - t.sure
	spare := filled
	for _, g := range t.all[:t.cut] {
		if !t.teaches(g) {
			if spare == 0 {
				continue
			}
			spare--
			if g.example, err = t.prompts.Example(g.index); err != nil {
				return nil, 0, fmt.Errorf("grpo: example %d: %w", g.index, err)
			}
		}
		batch = append(batch, g)
	}
	return batch, filled, nil
}

// metrics are those of the prompts drawn.
func (t *intake) metrics(m map[string]float64) {
	var reward gauge
	samples, flat, failed, abandoned := 0, 0, 0, 0
	for _, g := range t.all[:t.cut] {
		for _, v := range g.task {
			reward.add(v)
		}
		samples += len(g.samples)
		if g.equal() {
			flat += len(g.samples)
		}
		failed += g.failed
		abandoned += g.abandoned
	}
	m["rewards/failed"], m["rewards/abandoned_calls"] = float64(failed), float64(abandoned)
	if t.dynamic {
		m["sampling/prompts_drawn"] = float64(t.cut)
		m["sampling/groups_dropped"] = float64(t.cut - t.want)
		m["sampling/groups_filled"] = float64(t.want - t.sure)
		m["sampling/reward"] = reward.mean()
		m["sampling/frac_reward_zero_std"] = float64(flat) / float64(samples)
	}
}

// failures are those of rewards, the first few.
func (t *intake) failures() (all []error) {
	for _, g := range t.all[:t.cut] {
		all = append(all, g.failures...)
	}
	return all[:min(len(all), maxFailures)]
}

// limitOf is how many prompts a rollout may draw.
func (c *Config) limitOf() int {
	if c.Dynamic.MaxOversampling == 0 {
		return c.Prompts
	}
	return int(math.Ceil(c.Dynamic.MaxOversampling * float64(c.Prompts)))
}
