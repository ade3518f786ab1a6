package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/reward"
)

// Rewards are a registry's verifiers as rewards, one for each of the types: an example is scored by that of its type, and the others give
// NaN, which says that they are not for it. Weights are by type, 1 where there is none. The examples' Record is a [reward.Record].
func Rewards(g *reward.Registry, types []string, weights map[string]float64) []grpo.Reward {
	all := make([]grpo.Reward, len(types))
	for i, name := range types {
		weight, ok := weights[name]
		if !ok {
			weight = 1
		}
		all[i] = grpo.Reward{Name: name, Weight: weight, Judge: func(ctx context.Context, x *grpo.Example, samples []*engine.Sample) ([]grpo.Verdict, error) {
			if x.Kind != name {
				return others(len(samples)), nil
			}
			return judge(ctx, g, x, samples)
		}}
	}
	return all
}

// others are the verdicts of a reward on an example that is not for it.
func others(n int) []grpo.Verdict {
	v := make([]grpo.Verdict, n)
	for i := range v {
		v[i].Score = math.NaN()
	}
	return v
}

// judge scores the samples of an example, all at once: a judge behind a network takes as long for one as for a group. That none of them
// has a score is a failure.
func judge(ctx context.Context, g *reward.Registry, x *grpo.Example, samples []*engine.Sample) ([]grpo.Verdict, error) {
	r, ok := x.Record.(*reward.Record)
	if !ok {
		return nil, fmt.Errorf("dataset: the record of example %s is a %T: want a *reward.Record", x.ID, x.Record)
	}
	verdicts, errs := make([]grpo.Verdict, len(samples)), make([]error, len(samples))
	var work sync.WaitGroup
	for i, s := range samples {
		work.Go(func() {
			var v reward.Result
			v, errs[i] = g.Score(ctx, r, s.Text)
			if v.Masked {
				v.Score = math.NaN()
			}
			verdicts[i] = grpo.Verdict{Score: v.Score, Answer: v.Answer, Found: v.Found, Reason: v.Reason}
		})
	}
	work.Wait()
	masked := 0
	for i, err := range errs {
		if err != nil {
			return nil, err
		}
		if math.IsNaN(verdicts[i].Score) {
			masked++
		}
	}
	if masked > 0 && masked == len(samples) {
		return nil, errors.New(verdicts[0].Reason)
	}
	return verdicts, nil
}

// Plain is a verifier that scores every example, whatever its type: [reward.Format], or one of a program's own.
func Plain(name string, weight float64, v reward.Verifier) (grpo.Reward, error) {
	g, err := reward.New(reward.Config{Custom: map[string]reward.Verifier{name: v}})
	if err != nil {
		return grpo.Reward{}, err
	}
	return grpo.Reward{Name: name, Weight: weight, Judge: func(ctx context.Context, x *grpo.Example, samples []*engine.Sample) ([]grpo.Verdict, error) {
		y := *x
		r, ok := x.Record.(*reward.Record)
		if !ok {
			r = &reward.Record{ID: x.ID, Question: x.Question, Gold: x.Gold}
		}
		z := *r
		z.Type = name
		y.Record = &z
		return judge(ctx, g, &y, samples)
	}}, nil
}
