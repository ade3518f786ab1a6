package optest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/thinker-vl/thinker/binding"
)

// groupAdvantage: rewards of samples to advantages, by group.
type groupAdvantage struct {
	rewards []float64
	group   []int32
	groups  int
	scale   uint32
	epsilon float64
	lone    bool
	stats   bool // mean, std and count are wanted
}

func (s groupAdvantage) operands() []operand {
	n := len(s.rewards)
	os := []operand{
		{name: "rewards", kind: f64, rows: 1, cols: n, doubles: s.rewards},
		{name: "group", kind: i32, rows: 1, cols: n, ints: s.group},
		{name: "advantages", role: Out, kind: f64, rows: 1, cols: n},
		{name: "workspace", role: Scratch},
	}
	if s.stats {
		os = append(os, operand{name: "mean", role: Out, kind: f64, rows: 1, cols: s.groups}, operand{name: "std", role: Out, kind: f64, rows: 1, cols: s.groups},
			operand{name: "count", role: Out, kind: i32, rows: 1, cols: s.groups})
	}
	return os
}

// scratch is as the ABI states it.
func (s groupAdvantage) scratch(*binding.Device) (int, error) { return 16 * len(s.rewards), nil }

func (s groupAdvantage) args(m Memory) any {
	return &binding.GroupAdvantageArgs{Scale: s.scale, Rewards: m.at("rewards"), Group: m.at("group"), Advantages: m.at("advantages"), Mean: m.at("mean"),
		Std: m.at("std"), Count: m.at("count"), N: int64(len(s.rewards)), Groups: int64(s.groups), Epsilon: s.epsilon, Lone: flag(s.lone), Workspace: m.at("workspace")}
}

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func (s groupAdvantage) reference(t tensors) {
	advantages, mean, std, count := refGroupAdvantage(s.rewards, s.group, s.groups, s.scale, s.epsilon, s.lone)
	t.expectDoubles("advantages", advantages)
	t.expectDoubles("mean", mean)
	t.expectDoubles("std", std)
	t.expectInts("count", count)
}

func (s groupAdvantage) work() Work {
	n := float64(len(s.rewards))
	w := Work{FLOPs: 6 * n, Read: 12 * n, Written: 8 * n}
	if s.stats {
		w.Written += 20 * float64(s.groups)
	}
	return w
}

// someRewards draws rewards of samples in groups of the given size, whose members stand anywhere. One in eight is masked.
func someRewards(seed uint64, n, size int) groupAdvantage {
	r := rand.New(rand.NewPCG(seed, 4))
	s := groupAdvantage{rewards: make([]float64, n), group: make([]int32, n), groups: (n + size - 1) / size, epsilon: 1e-4}
	for i, at := range r.Perm(n) {
		s.group[at] = int32(i / size)
		s.rewards[at] = float64(r.IntN(5)) * 0.3
		switch r.IntN(8) {
		case 0:
			s.rewards[at] = math.NaN()
		case 1:
			s.rewards[at] = r.NormFloat64()
		}
	}
	return s
}

func groupAdvantageCases() (cs []Case) {
	c := func(s groupAdvantage, kv ...any) Case {
		return newCase("group_advantage", binding.F32, s, append([]any{"n", len(s.rewards), "groups", s.groups,
			"scale", []string{"group", "batch", "none"}[s.scale], "lone", s.lone, "stats", s.stats}, kv...)...)
	}
	for scale := range uint32(3) {
		for i, n := range []int{1, 2, 3, 16, 60, 257, 1000} {
			s := someRewards(uint64(n), n, []int{1, 2, 4, 8}[(i+int(scale))%4])
			s.scale, s.lone, s.stats = scale, i%3 == 0, i%2 == 0
			cs = append(cs, c(s))
		}
		for _, epsilon := range []float64{0, 1e-9, 1e-6} {
			s := someRewards(5, 40, 4)
			s.scale, s.epsilon = scale, epsilon
			cs = append(cs, c(s, "epsilon", epsilon))
		}
	}
	nan := math.NaN()
	one := func(rewards ...float64) groupAdvantage {
		return groupAdvantage{rewards: rewards, group: make([]int32, len(rewards)), groups: 1, stats: true}
	}
	empty := groupAdvantage{rewards: []float64{1, 2, 4}, group: []int32{2, 0, 2}, groups: 3, stats: true, epsilon: 1e-4}
	for _, size := range []int{8, 20_000} { // in order, shared out
		s := someRewards(7, 40_000, size)
		slices.Sort(s.group)
		s.stats = true
		cs = append(cs, c(s, "order", true))
	}
	return append(cs,
		c(groupAdvantage{}),
		c(empty, "group", "empty"),
		c(one(0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9), "rewards", "equal"), // a rounded mean would leave 0/0 here
		c(one(nan, nan, nan), "rewards", "masked"),
		c(one(nan, 0.3, nan), "rewards", "single"),
		c(one(nan, 0.3, 0.3, nan), "rewards", "equal-masked"),
		c(one(1e200, -1e-200, 0), "rewards", "wide"),
		c(one(1e-200, 0, 1e-200), "rewards", "tiny"),
		c(one(0, math.Copysign(0, -1)), "rewards", "zeros"),
		c(one(1e15+1, 1e15, 1e15+2, 1e15), "rewards", "offset"),
		bench(c(someRewards(1, 2048, 4))),
		bench(c(someRewards(1, 100_000, 8))),
		bench(c(someRewards(1, 100_000, 100_000))),
	)
}

// lossProperties: the order of samples and the numbers of groups change no bit of an advantage; a sequence's loss and gradient are the
// same alone and in a batch.
func lossProperties() []Property {
	var ps []Property
	// Of thousands of samples, of groups of more than a few, and in the order of the groups: each is done another way.
	for _, of := range []struct {
		scale   uint32
		n, size int
	}{{binding.ScaleGroup, 300, 7}, {binding.ScaleBatch, 300, 7}, {binding.ScaleNone, 300, 7}, {binding.ScaleGroup, 300, 100}, {binding.ScaleGroup, 5000, 7}, {binding.ScaleBatch, 5000, 900}} {
		ps = append(ps, property(fmt.Sprintf("group_advantage/order/scale=%d/n=%d/size=%d", of.scale, of.n, of.size), func(d *binding.Device) error {
			n, scale := of.n, of.scale
			s := someRewards(9, n, of.size)
			for i := range s.rewards {
				s.rewards[i] *= 1.1 // sums round
				if s.group[i]%5 == 4 {
					s.rewards[i] *= []float64{1e-250, 1e-160, 1e150, 1e300}[s.group[i]/5%4] // squares and sums leave the range of double
				}
			}
			s.scale, s.stats = scale, true
			want, err := run(d, "group_advantage", binding.F32, s)
			if err != nil {
				return err
			}
			for seed := range uint64(20) {
				q := s
				order, name := permutation(seed, n), permutation(seed+100, s.groups)
				if seed == 0 {
					slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(name[s.group[a]], name[s.group[b]]) })
				}
				q.rewards, q.group = make([]float64, n), make([]int32, n)
				for i, from := range order {
					q.rewards[i], q.group[i] = s.rewards[from], name[s.group[from]]
				}
				got, err := run(d, "group_advantage", binding.F32, q)
				if err != nil {
					return err
				}
				for i, from := range order {
					if !bytes.Equal(got["advantages"][8*i:8*i+8], want["advantages"][8*from:8*from+8]) {
						return fmt.Errorf("order %d: the advantage of sample %d is %v, was %v", seed, from, f64.load(got["advantages"], i), f64.load(want["advantages"], int(from)))
					}
				}
				for g, to := range name {
					for what, e := range map[string]int{"mean": 8, "std": 8, "count": 4} {
						if !bytes.Equal(got[what][e*int(to):][:e], want[what][e*g:][:e]) {
							return fmt.Errorf("order %d: the %s of group %d has changed", seed, what, g)
						}
					}
				}
			}
			return nil
		}))
	}
	for kind := range uint32(4) {
		for _, level := range []uint32{binding.LevelToken, binding.LevelSequence} {
			ps = append(ps, property(fmt.Sprintf("policy_loss/alone/kind=%d/level=%d", kind, level), func(d *binding.Device) error {
				s := somePolicyLoss(3, []int{5, 0, 1, 17, 3}, policyLoss{kind: kind, level: level, kl: binding.KLk3, epsilon: 0.2, high: 5, beta: 0.1, tauPos: 1, tauNeg: 1.05, metrics: true})
				whole, err := run(d, "policy_loss", binding.F32, s)
				if err != nil {
					return err
				}
				for i := range s.lengths() {
					part, err := run(d, "policy_loss", binding.F32, s.sequence(i))
					if err != nil {
						return err
					}
					lo, hi := s.cu[i], s.cu[i+1]
					if !bytes.Equal(part["grad"], whole["grad"][8*lo:8*hi]) || !bytes.Equal(part["loss"], whole["loss"][8*i:8*i+8]) || !bytes.Equal(part["kl"], whole["kl"][8*i:8*i+8]) ||
						binary.LittleEndian.Uint32(part["low"]) != binary.LittleEndian.Uint32(whole["low"][4*i:]) {
						return fmt.Errorf("sequence %d differs alone and in the batch", i)
					}
				}
				return nil
			}))
		}
	}
	return ps
}

// lossRefusals are of what the rewards hold, and of settings whose bounds are those of a kind.
func lossRefusals(advantage, loss *Problem) (rs []Refusal) {
	for name, v := range map[string]float64{"infinite": math.Inf(1), "-infinite": math.Inf(-1)} {
		rs = append(rs, Refusal{Name: "group_advantage/rewards/" + name, problem: advantage, argument: "rewards",
			contents: func(t tensors) { f64.store(t["rewards"].before, 2, v) }})
	}
	for _, tau := range []string{"tau_pos", "tau_neg"} {
		rs = append(rs, Refusal{Name: "policy_loss/sapo/" + tau, problem: loss, argument: tau, spoil: func(args any) {
			a := args.(*binding.PolicyLossArgs)
			a.Kind, a.TauPos, a.TauNeg = binding.LossSAPO, 1, 1
			if tau == "tau_pos" {
				a.TauPos = 0
			} else {
				a.TauNeg = 0
			}
		}})
	}
	return append(rs, Refusal{Name: "group_advantage/groups/many", problem: advantage, argument: "groups",
		spoil: func(args any) { args.(*binding.GroupAdvantageArgs).Groups = 5 }})
}
