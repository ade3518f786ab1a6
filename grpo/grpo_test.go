package grpo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine"
)

// testMath is the kernels' arithmetic.
func testMath(t testing.TB) *engine.Math {
	t.Helper()
	m, err := engine.OpenMath()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

func parse(t testing.TB, settings string) *Settings {
	t.Helper()
	s, err := ParseJSON([]byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGolden holds every line of the golden losses within 1e-9.
func TestGolden(t *testing.T) {
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "testdata")
	}
	path := filepath.Join(root, "golden", "losses", "losses.jsonl")
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", path)
	}
	defer f.Close()
	m := testMath(t)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	n := 0
	for lines.Scan() {
		n++
		var x struct {
			Settings  json.RawMessage
			Sequences []struct {
				LogProbs []float64 `json:"logprobs"`
				Old      []float64 `json:"old_logprobs"`
				Ref      []float64 `json:"ref_logprobs"`
				Reward   float64
				Group    string
			}
			Expect struct {
				Advantages []float64
				Loss       float64
				Grad       [][]float64
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		s, err := ParseJSON(x.Settings)
		if err != nil {
			t.Errorf("line %d: %v", n, err)
			continue
		}
		if y, err := ParseYAML("x", x.Settings); err != nil || *y != *s {
			t.Errorf("line %d: as YAML %+v, as JSON %+v; %v", n, y, s, err)
		}
		var qs []Sequence
		for _, q := range x.Sequences {
			qs = append(qs, Sequence{Sample: Sample{Reward: q.Reward, Group: q.Group}, LogProbs: q.LogProbs, OldLogProbs: q.Old, RefLogProbs: q.Ref})
		}
		b, err := s.Batch(m, qs)
		if err != nil {
			t.Errorf("line %d: %v", n, err)
			continue
		}
		if !near(b.Loss, x.Expect.Loss, 1e-9) {
			t.Errorf("line %d: loss %v, want %v", n, b.Loss, x.Expect.Loss)
		}
		for i := range qs {
			if got, want := b.Advantages.Values[i], x.Expect.Advantages[i]; !near(got, want, 1e-9) || (got == 0) != (want == 0) {
				t.Errorf("line %d: advantage %d is %v, want %v", n, i, got, want)
			}
			if len(b.Gradients[i].LogProbs) != len(x.Expect.Grad[i]) {
				t.Fatalf("line %d: %d gradients, want %d", n, len(b.Gradients[i].LogProbs), len(x.Expect.Grad[i]))
			}
			for k, want := range x.Expect.Grad[i] {
				if got := b.Gradients[i].LogProbs[k]; !near(got, want, 1e-9) {
					t.Errorf("line %d: gradient (%d, %d) is %v, want %v", n, i, k, got, want)
				}
			}
		}
	}
	if n < 100 || lines.Err() != nil {
		t.Errorf("only %d lines; %v", n, lines.Err())
	}
}

// tableBatch is the worked example of the loss table: two groups of four, 28 tokens.
func tableBatch() []Sequence {
	lengths := []int{3, 5, 2, 4, 4, 4, 1, 5}
	rewards := []float64{1.5, .5, 0, 1.5, 1.5, .5, 0, 1}
	var qs []Sequence
	for i, n := range lengths {
		q := Sequence{Sample: Sample{Reward: rewards[i], Group: fmt.Sprint(i / 4)}}
		for k := range n {
			lp := -(.05 + .13*float64((7*i+3*k)%11))
			old := lp - .11*float64((5*i+7*k)%9-4)
			if i == 2 && k == 1 {
				old -= 1.3
			}
			q.LogProbs, q.OldLogProbs, q.RefLogProbs = append(q.LogProbs, lp), append(q.OldLogProbs, old), append(q.RefLogProbs, lp+.07*float64((3*i+4*k)%7-3))
		}
		qs = append(qs, q)
	}
	return qs
}

func TestTable(t *testing.T) {
	m := testMath(t)
	for _, tt := range []struct {
		settings string
		want     float64
	}{
		{`"loss_type": "grpo"`, 0.343530236987},
		{`"loss_type": "grpo", "beta": 0.04`, 0.343904782372},
		{`"loss_type": "bnpo"`, 0.046410449118},
		{`"loss_type": "dapo", "beta": 0.04`, 0.046803571068},
		{`"loss_type": "dr_grpo", "scale_rewards": "none", "max_completion_length": 5`, 0.033721247423},
		{`"loss_type": "dr_grpo", "scale_rewards": false, "max_completion_length": 5, "beta": 0.04`, 0.033996432789},
		{`"epsilon_high": 0.28`, 0.037595846175}, // the default is dapo
		{`"loss_type": "dapo", "epsilon_high": 0.28, "beta": 0.04`, 0.037988968126},
		{`"loss_type": "gspo", "epsilon": 3e-4, "epsilon_high": 4e-4`, 0.172131396794},
		{`"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4, "beta": 0.04`, 0.172505942180},
		{`"loss_type": "cispo"`, -0.063112703484},
		{`"loss_type": "cispo", "beta": 0.04`, -0.062719581534},
		{`"loss_type": "sapo"`, 0.073169240962},
		{`"loss_type": "sapo", "beta": 0.04`, 0.073543786347},
		{`"dialect": "verl"`, -0.065975316312},
		{`"dialect": "verl-0.8", "aggregation": "sequence-mean"`, 0.146894498929},
		{`"dialect": "verl", "aggregation": "sequence-sum"`, -0.230913607093},
		{`"dialect": "verl", "aggregation": "fixed-length", "max_completion_length": 5`, -0.369461771348},
		{`"dialect": "verl", "dual_clip": 0`, 0.046413843114},
		{`"dialect": "easyr1"`, -0.076492993231},
		{`"dialect": "openrlhf"`, 0.343575985012},
		{`"dialect": "openrlhf-2503", "beta": 0.001`, 0.343585813061}, // adds the token mean of k3
		{`"dialect": "paper", "beta": 0.001`, 0.343585348647},         // takes it by sequences
	} {
		b, err := parse(t, "{"+tt.settings+"}").Batch(m, tableBatch())
		if err != nil {
			t.Errorf("%s: %v", tt.settings, err)
			continue
		}
		if math.Abs(b.Loss-tt.want) > 1e-12 {
			t.Errorf("%s: loss %.12f, want %.12f", tt.settings, b.Loss, tt.want)
		}
	}

	b, err := parse(t, `{"loss_type": "grpo", "beta": 0.04}`).Batch(m, tableBatch())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name      string
		got, want float64
	}{
		{"kl", *b.Metrics.KL, .009828048763}, {"low", b.Metrics.ClipLow, .107142857143}, {"high", b.Metrics.ClipHigh, .178571428571},
		{"region", b.Metrics.ClipRegion, .285714285714}, {"tokens", float64(b.Metrics.NumTokens), 28}, {"loss", b.Metrics.Loss, b.Loss},
	} {
		if math.Abs(x.got-x.want) > 1e-12 {
			t.Errorf("%s is %.12f, want %.12f", x.name, x.got, x.want)
		}
	}
	for _, x := range []struct {
		i, k int
		want float64
	}{{0, 0, -.022043702}, {0, 1, -.000120847}, {1, 0, .013951616}, {2, 0, -.000584195}, {2, 1, .415375908}, {3, 0, .000084508}, {7, 4, -.006167284}} {
		if got := b.Gradients[x.i].LogProbs[x.k]; math.Abs(got-x.want) > 1e-9 {
			t.Errorf("gradient (%d, %d) is %.9f, want %.9f", x.i, x.k, got, x.want)
		}
	}
	for i, want := range []float64{.8332222370, -.4999333422, -1.1665111318, .8332222370, 1.1617150317, -.3872383439, -1.1617150317, .3872383439} {
		if got := b.Advantages.Values[i]; math.Abs(got-want) > 1e-10 {
			t.Errorf("advantage %d is %.10f, want %.10f", i, got, want)
		}
	}
}

// TestFiniteDifferences holds gradients against central differences of the loss, away from the places where it has a corner. What is
// constant in a gradient (cispo's coefficient) is not so in a difference, and left out.
func TestFiniteDifferences(t *testing.T) {
	m := testMath(t)
	r := rand.New(rand.NewPCG(1, 2))
	kls := []string{"", "k3", "k1", "k2", "abs"}
	if testing.Short() {
		kls = kls[:2]
	}
	for _, loss := range []string{"grpo", "bnpo", "dr_grpo", "dapo", "gspo", "sapo", "sft"} {
		for _, kl := range kls {
			for _, more := range []string{"", `, "delta": 1.5`, `, "dual_clip": 2`, `, "clamp_log_ratio": true, "clamp_kl": true`, `, "importance_sampling_level": "sequence"`, `, "dialect": "openrlhf"`} {
				clipped := LossType(loss).clipped()
				if loss == "sft" && kl != "" || !clipped && (strings.Contains(more, "delta") || strings.Contains(more, "dual")) {
					continue
				}
				text := `{"loss_type": "` + loss + `", "max_completion_length": 9` + more
				if kl != "" {
					text += `, "beta": 0.3, "kl": "` + kl + `"`
				}
				s := parse(t, text+"}")
				qs := tableBatch()
				for i := range qs {
					for k := range qs[i].LogProbs { // no ratio is at a bound
						qs[i].LogProbs[k] += 0.01 * r.NormFloat64()
					}
				}
				b, err := s.Batch(m, qs)
				if err != nil {
					t.Fatal(err)
				}
				const h = 1e-6
				for i := range qs {
					for k, lp := range qs[i].LogProbs {
						at := func(x float64) float64 {
							qs[i].LogProbs[k] = x
							b, err := s.Batch(m, qs)
							if err != nil {
								t.Fatal(err)
							}
							return b.Loss
						}
						numeric := (at(lp+h) - at(lp-h)) / (2 * h)
						qs[i].LogProbs[k] = lp
						if got := b.Gradients[i].LogProbs[k]; math.Abs(got-numeric) > 1e-7*max(1, math.Abs(numeric)) {
							t.Errorf("%s: gradient (%d, %d) is %v, difference %v", text, i, k, got, numeric)
						}
					}
				}
			}
		}
	}
}

// TestSum: a batch's loss is the sum of its sequences', one at a time, and their gradients are the batch's to the bit.
func TestSum(t *testing.T) {
	m := testMath(t)
	for _, text := range []string{`{"loss_type": "grpo", "beta": 0.1, "entropy_coef": 0.01}`, `{"dialect": "verl", "mask_truncated_completions": true}`, `{"loss_type": "dr_grpo", "max_completion_length": 7}`} {
		s := parse(t, text)
		qs := tableBatch()
		for i := range qs {
			qs[i].Truncated = i == 3
			for k := range qs[i].LogProbs {
				qs[i].Entropies = append(qs[i].Entropies, 0.5+0.1*float64(k))
			}
		}
		b, err := s.Batch(m, qs)
		if err != nil {
			t.Fatal(err)
		}
		var n Normalizer
		for i := len(qs) - 1; i >= 0; i-- {
			n.Add(s, len(qs[i].LogProbs), qs[i].Truncated)
		}
		var total Terms
		for i := range qs {
			terms, g, err := s.Loss(m, n, &qs[i], b.Advantages.Values[i])
			if err != nil {
				t.Fatal(err)
			}
			total.Add(terms)
			for k, v := range g.LogProbs {
				if v != b.Gradients[i].LogProbs[k] {
					t.Errorf("%s: gradient (%d, %d) is %v alone, %v in the batch", text, i, k, v, b.Gradients[i].LogProbs[k])
				}
			}
			if s.EntropyCoef != 0 && (len(g.Entropies) != len(qs[i].LogProbs) || !near(g.Entropies[0], -0.01/8/float64(len(g.Entropies)), 1e-15)) {
				t.Errorf("gradient of the entropies %v", g.Entropies)
			}
		}
		if total.Loss != b.Loss {
			t.Errorf("%s: sum %v, loss %v", text, total.Loss, b.Loss)
		}
		if h := b.Metrics.Entropy; h == nil || *h < 0.5 || *h > 0.9 {
			t.Errorf("entropy %v", h)
		}
	}
}

// TestEntropyBonus: the bonus takes away the mean entropy, by the loss's own mean.
func TestEntropyBonus(t *testing.T) {
	m := testMath(t)
	qs := tableBatch()
	for i := range qs {
		for range qs[i].LogProbs {
			qs[i].Entropies = append(qs[i].Entropies, 2)
		}
	}
	plain, err := parse(t, `{"loss_type": "grpo"}`).Batch(m, qs)
	if err != nil {
		t.Fatal(err)
	}
	bonus, err := parse(t, `{"loss_type": "grpo", "entropy_coef": 0.25}`).Batch(m, qs)
	if err != nil {
		t.Fatal(err)
	}
	if !near(bonus.Loss, plain.Loss-0.5, 1e-14) {
		t.Errorf("loss %v, without the bonus %v", bonus.Loss, plain.Loss)
	}
}

// TestMasked: truncated sequences that are masked have no loss and no gradient, and count as their dialect says; if all are, the loss
// is 0.
func TestMasked(t *testing.T) {
	m := testMath(t)
	qs := tableBatch()
	for i := range qs {
		qs[i].Truncated = true
	}
	for _, text := range []string{`{"loss_type": "grpo", "beta": 0.1, "mask_truncated_completions": true}`, `{"mask_truncated_completions": true}`, `{"dialect": "verl", "mask_truncated_completions": true}`} {
		b, err := parse(t, text).Batch(m, qs)
		if err != nil {
			t.Fatal(err)
		}
		if b.Loss != 0 || b.Metrics.NumTokens != 0 {
			t.Errorf("%s: loss %v, %d tokens", text, b.Loss, b.Metrics.NumTokens)
		}
		for i, g := range b.Gradients {
			if len(g.LogProbs) != len(qs[i].LogProbs) {
				t.Errorf("%s: %d gradients of sequence %d", text, len(g.LogProbs), i)
			}
			for _, v := range g.LogProbs {
				if v != 0 {
					t.Errorf("%s: gradient %v", text, v)
				}
			}
		}
	}
	// One of eight is left out: TRL divides by eight all the same, verl by seven.
	for i := range qs {
		qs[i].Truncated = i == 0
	}
	loss := func(text string) float64 {
		b, err := parse(t, text).Batch(m, qs)
		if err != nil {
			t.Fatal(err)
		}
		return b.Loss
	}
	const sum = `"aggregation": "sequence-sum", "advantage_epsilon": 0, "clamp_kl": false, "clamp_log_ratio": false, "dual_clip": 0, "mask_truncated_completions": true}`
	trl, verl := loss(`{"loss_type": "grpo", `+sum), loss(`{"dialect": "verl", `+sum)
	if !near(trl*8, verl*7, 1e-12) {
		t.Errorf("trl %v, verl %v", trl, verl)
	}
}

// TestZeroVariance: equal rewards teach nothing, exactly, whatever rounding makes of their mean; also where a failed judge masks some.
func TestZeroVariance(t *testing.T) {
	m := testMath(t)
	nan := math.NaN()
	for _, dialect := range []Dialect{TRL, VeRL, EasyR1, OpenRLHF, Paper} {
		for _, scale := range []engine.AdvantageScale{engine.ScaleGroup, engine.ScaleBatch, engine.ScaleNone} {
			s := Defaults(dialect, GRPO)
			s.ScaleRewards = scale
			var samples []Sample
			for i := range 16 {
				samples = append(samples, Sample{Reward: .9, Group: "a"}, Sample{Reward: float64(i % 2), Group: "b"}, Sample{Reward: nan, Group: "c"})
			}
			samples[0].Reward = nan
			a, err := s.Advantages(m, samples)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range a.Values {
				if b := samples[i].Group == "b"; b == (v == 0) {
					t.Errorf("%s: advantage of a sample of group %s is %v", dialect, samples[i].Group, v)
				}
			}
			g := a.Groups
			if len(g) != 3 || !g[0].Equal || g[1].Equal || !g[2].Equal || g[0].Rewards != 15 || g[0].Samples != 16 || g[0].Mean != .9 || g[0].Std != 0 || g[2].Rewards != 0 || g[1].Mean != .5 {
				t.Errorf("%s: groups %+v", dialect, g)
			}
		}
	}
}

// TestAdvantages: groups are found by key in any order, a given advantage wins, and a group of one is refused but by verl.
func TestAdvantages(t *testing.T) {
	m := testMath(t)
	s := Defaults(TRL, GRPO)
	given := -3.5
	a, err := s.Advantages(m, []Sample{{Reward: 1, Group: `"x"`}, {Reward: 4, Group: "7"}, {Advantage: &given, Reward: math.Inf(1), Group: "8"}, {Reward: 2, Group: `"x"`}, {Reward: 0, Group: "7"}})
	if err != nil {
		t.Fatal(err)
	}
	u, v := .5/(math.Sqrt(.5)+1e-4), 2/(math.Sqrt(8)+1e-4)
	for i, want := range []float64{-u, v, given, u, -v} {
		if !near(a.Values[i], want, 1e-15) {
			t.Errorf("advantage %d is %v, want %v", i, a.Values[i], want)
		}
	}
	if len(a.Groups) != 2 || a.Groups[0].Group != `"x"` || a.Groups[1].Group != "7" {
		t.Errorf("groups %+v", a.Groups)
	}

	lone := []Sample{{Reward: 1, Group: "a"}, {Reward: 2, Group: "a"}, {Reward: 3, Group: `"b"`}}
	for _, d := range []Dialect{TRL, EasyR1, OpenRLHF, Paper} {
		s := Defaults(d, GRPO)
		_, err := s.Advantages(m, lone)
		var e *LoneGroupError
		var at *SampleError
		if !errors.As(err, &e) || e.Group != `"b"` || !errors.As(err, &at) || at.Index != 2 {
			t.Errorf("%s: a group of one: %v", d, err)
		}
	}
	s = Defaults(VeRL, GRPO)
	if a, err = s.Advantages(m, lone); err != nil || !near(a.Values[2], 3/(1+1e-6), 1e-15) {
		t.Errorf("verl: %v, %v", a, err)
	}
	for name, samples := range map[string][]Sample{
		"no group":              {{Reward: 1}},
		"infinite reward":       {{Reward: math.Inf(-1), Group: "a"}, {Reward: 1, Group: "a"}},
		"NaN advantage":         {{Advantage: new(math.NaN())}},
		"rewards too far apart": {{Reward: math.MaxFloat64, Group: "a"}, {Reward: -math.MaxFloat64, Group: "a"}, {Reward: math.MaxFloat64, Group: "a"}},
	} {
		if a, err := s.Advantages(m, samples); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestKLInReward: a token's advantage is less by the KL of the tokens from it on, of the policy that sampled.
func TestKLInReward(t *testing.T) {
	m := testMath(t)
	s := parse(t, `{"dialect": "openrlhf", "beta": 0.1, "kl_in": "reward"}`)
	q := Sequence{LogProbs: []float64{-1, -2, -3}, OldLogProbs: []float64{-1.1, -2, -2.9}, RefLogProbs: []float64{-1.5, -1, -3}}
	for i, want := range []float64{2 - .1*(.4-1+.1), 2 - .1*(-1+.1), 2 - .1*.1} {
		if got := s.tokenAdvantages(&q, 2)[i]; !near(got, want, 1e-14) {
			t.Errorf("advantage of token %d is %v, want %v", i, got, want)
		}
	}
	var n Normalizer
	n.Add(s, 3, false)
	terms, g, err := s.Loss(m, n, &q, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for i, lp := range q.LogProbs {
		x := math.Exp(lp - q.OldLogProbs[i])
		want -= x * s.tokenAdvantages(&q, 2)[i] / 3
		if got := g.LogProbs[i]; !near(got, -x*s.tokenAdvantages(&q, 2)[i]/3, 1e-14) {
			t.Errorf("gradient %d is %v", i, got)
		}
	}
	if !near(terms.Loss, want, 1e-14) || terms.RefTokens != 3 {
		t.Errorf("loss %v, want %v; %+v", terms.Loss, want, terms)
	}
	q.RefLogProbs = nil
	if _, _, err := s.Loss(m, n, &q, 2); err == nil || !strings.Contains(err.Error(), "ref_logprobs") {
		t.Errorf("without a reference: %v", err)
	}
}

// TestSFT: the mean negative log-likelihood over all completion tokens.
func TestSFT(t *testing.T) {
	m := testMath(t)
	s := parse(t, `{"loss_type": "sft"}`)
	b, err := s.Batch(m, []Sequence{{LogProbs: []float64{-1, -2}}, {LogProbs: []float64{-6}}, {LogProbs: []float64{}}})
	if err != nil || b.Loss != 3 || b.Metrics.NumTokens != 3 || b.Metrics.KL != nil || b.Metrics.ClipRegion != 0 {
		t.Fatalf("%+v, %v", b, err)
	}
	for _, g := range b.Gradients {
		for _, v := range g.LogProbs {
			if !near(v, -1./3, 1e-15) {
				t.Errorf("gradient %v", v)
			}
		}
	}
}

func TestBatchErrors(t *testing.T) {
	m := testMath(t)
	for _, tt := range []struct {
		name, settings, want string
		change               func(qs []Sequence)
	}{
		{"lengths", `{}`, "sequence 2: old_logprobs has 1 numbers, logprobs 2", func(qs []Sequence) { qs[2].OldLogProbs = qs[2].OldLogProbs[:1] }},
		{"ref lengths", `{}`, "ref_logprobs has 0 numbers", func(qs []Sequence) { qs[2].RefLogProbs = []float64{} }},
		{"NaN", `{}`, "sequence 1: logprobs[3] is NaN", func(qs []Sequence) { qs[1].LogProbs[3] = math.NaN() }},
		{"infinite", `{}`, "sequence 1: old_logprobs[0] is -Inf", func(qs []Sequence) { qs[1].OldLogProbs[0] = math.Inf(-1) }},
		{"no reference", `{"beta": 0.1}`, "sequence 5: no ref_logprobs", func(qs []Sequence) { qs[5].RefLogProbs = nil }},
		{"no entropies", `{"entropy_coef": 0.1}`, "sequence 0: no entropies", func(qs []Sequence) {}},
		{"overflow", `{}`, "logprobs[1] and old_logprobs[1] differ by 800", func(qs []Sequence) { qs[2].LogProbs[1], qs[2].OldLogProbs[1] = 0, -800 }},
		{"a group of one", `{}`, "group lone has one sample", func(qs []Sequence) { qs[4].Group = "lone" }},
	} {
		qs := tableBatch()
		tt.change(qs)
		if _, err := parse(t, tt.settings).Batch(m, qs); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := parse(t, `{}`).Batch(m, nil); err == nil {
		t.Error("no sequences pass")
	}
}
