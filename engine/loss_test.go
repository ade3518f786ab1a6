package engine

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// TestMath: results do not depend on what the buffer held before, nor on who calls beside.
func TestMath(t *testing.T) {
	m, err := OpenMath()
	if err != nil {
		t.Fatal(err)
	}
	a := GroupAdvantage{Rewards: []float64{1, math.NaN(), 0, 5}, Group: []int32{1, 0, 1, 0}, Groups: 2, Epsilon: 0}
	if err := m.GroupAdvantage(&a); err != nil {
		t.Fatal(err)
	}
	if h := math.Sqrt(0.5); math.Abs(a.Advantages[0]-h) > 1e-15 || !slices.Equal(a.Advantages[1:], []float64{0, -a.Advantages[0], 0}) ||
		!slices.Equal(a.Mean, []float64{5, .5}) || !slices.Equal(a.Count, []int32{1, 2}) || a.Std[0] != 0 || math.Abs(a.Std[1]-h) > 1e-15 {
		t.Errorf("%+v", a)
	}

	loss := func(n int) *PolicyLoss {
		p := &PolicyLoss{KL: KLk3, Weight: 1 / float64(n), Epsilon: 0.2, EpsilonHigh: 0.2, Beta: 0.5}
		for i := range n {
			p.LogProbs, p.Old, p.Ref = append(p.LogProbs, -1), append(p.Old, -1.1), append(p.Ref, -0.9)
			p.Advantages = append(p.Advantages, float64(i%2))
		}
		return p
	}
	var wait sync.WaitGroup
	for _, n := range []int{1, 3, 3000, 40, 1} {
		wait.Go(func() {
			p := loss(n)
			if err := m.PolicyLoss(p); err != nil {
				t.Error(err)
				return
			}
			k3 := math.Exp(0.1) - 0.1 - 1
			want := -math.Exp(0.1)*float64(n/2)/float64(n) + 0.5*k3
			if math.Abs(p.Loss-want) > 1e-12 || math.Abs(p.K3-k3*float64(n)) > 1e-10 || len(p.Grad) != n || p.Low != 0 || p.High != 0 {
				t.Errorf("%d tokens: loss %v, want %v; %v", n, p.Loss, want, p.K3)
			}
		})
	}
	wait.Wait()
	p := loss(2)
	p.Kind, p.Old, p.Ref, p.Advantages = LossNLL, nil, nil, nil
	if err := m.PolicyLoss(p); err != nil || p.Loss != 1 || p.K3 != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	p.Ref = []float64{1}
	if err := m.PolicyLoss(p); err == nil {
		t.Error("one reference of two passes")
	}
	if err := m.GroupAdvantage(&GroupAdvantage{Rewards: []float64{1}}); err == nil {
		t.Error("a reward without group passes")
	}
	if err := m.GroupAdvantage(&GroupAdvantage{Rewards: []float64{1}, Group: []int32{1}, Groups: 1}); err == nil || !strings.Contains(err.Error(), "group[0]") {
		t.Errorf("a group out of range: %v", err)
	}
	if err := m.GroupAdvantage(&GroupAdvantage{}); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}

	// On another's device.
	d, err := binding.Open(binding.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{d: d}
	m = e.Math()
	if err := m.GroupAdvantage(&a); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
