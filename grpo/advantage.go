package grpo

import (
	"errors"
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/engine"
)

// Math does the arithmetic; [engine.Math] is one.
type Math interface {
	GroupAdvantage(*engine.GroupAdvantage) error
	PolicyLoss(*engine.PolicyLoss) error
}

// A Sample is what a sequence's advantage depends on.
type Sample struct {
	Advantage *float64 // given: wins over the others
	Reward    float64  // NaN: there is none (its judge failed), and the sample is masked: its advantage is 0
	Group     string   // samples of one prompt have the same; "" is no group
}

// Advantages of samples.
type Advantages struct {
	Values []float64    // one a sample
	Groups []GroupStats // in the order of their first samples
}

// GroupStats describe a group.
type GroupStats struct {
	Group     string
	Samples   int     // in all
	Rewards   int     // not masked
	Mean, Std float64 // of the rewards
	Equal     bool    // all rewards are the same number: the group teaches nothing
}

// A SampleError is an error in a sample or sequence.
type SampleError struct {
	Index int // from 0
	Err   error
}

func (e *SampleError) Error() string { return fmt.Sprintf("sequence %d: %v", e.Index, e.Err) }
func (e *SampleError) Unwrap() error { return e.Err }

// A LoneGroupError is a group of one sample, which has nothing to be compared with.
type LoneGroupError struct{ Group string }

func (e *LoneGroupError) Error() string {
	return fmt.Sprintf("group %s has one sample alone: want at least 2 (dialect verl takes the reward itself for the advantage)", e.Group)
}

// Advantages computes the samples' advantages. Neither the order of samples nor that of groups changes a bit of them. A group of one
// sample is a [LoneGroupError], but in verl's dialect.
func (s *Settings) Advantages(m Math, samples []Sample) (*Advantages, error) {
	out := &Advantages{Values: make([]float64, len(samples))}
	number := map[string]int32{}
	var at []int // of the samples that have no advantage yet
	var a engine.GroupAdvantage
	first := map[string]int{}
	for i, x := range samples {
		fail := func(err error) (*Advantages, error) { return nil, &SampleError{i, err} }
		if x.Advantage != nil {
			if v := *x.Advantage; math.IsNaN(v) || math.IsInf(v, 0) {
				return fail(fmt.Errorf("advantage is %v", v))
			}
			out.Values[i] = *x.Advantage
			continue
		}
		switch {
		case x.Group == "":
			return fail(errors.New("neither advantage nor group"))
		case math.IsInf(x.Reward, 0):
			return fail(fmt.Errorf("reward is %v", x.Reward))
		}
		g, ok := number[x.Group]
		if !ok {
			g = int32(len(number))
			number[x.Group], first[x.Group] = g, i
			out.Groups = append(out.Groups, GroupStats{Group: x.Group, Equal: true})
		}
		out.Groups[g].Samples++
		at = append(at, i)
		a.Rewards, a.Group = append(a.Rewards, x.Reward), append(a.Group, g)
	}
	for _, g := range out.Groups {
		if g.Samples == 1 && !s.lone() {
			return nil, &SampleError{first[g.Group], &LoneGroupError{g.Group}}
		}
	}
	if len(at) == 0 {
		return out, nil
	}
	a.Groups, a.Scale, a.Epsilon, a.Lone = len(number), s.ScaleRewards, s.AdvantageEpsilon, s.lone()
	if err := m.GroupAdvantage(&a); err != nil {
		return nil, err
	}
	for i, v := range a.Advantages {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &SampleError{at[i], fmt.Errorf("the advantage of reward %v is %v: the rewards of group %s are too far apart", a.Rewards[i], v, samples[at[i]].Group)}
		}
		out.Values[at[i]] = v
	}
	for i := range out.Groups {
		g := &out.Groups[i]
		g.Rewards, g.Mean, g.Std = int(a.Count[i]), a.Mean[i], a.Std[i]
	}
	seen := make([]*float64, len(out.Groups))
	for i, g := range a.Group {
		if r := &a.Rewards[i]; *r == *r {
			if seen[g] != nil && *seen[g] != *r {
				out.Groups[g].Equal = false
			}
			seen[g] = r
		}
	}
	return out, nil
}
