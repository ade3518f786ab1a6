package grpo

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine"
)

// TestPassAt holds the estimator against every choice of k of n samples.
func TestPassAt(t *testing.T) {
	for n := range 9 {
		for c := range n + 1 {
			for k := 1; k <= n; k++ {
				choices, pass := 0, 0
				for set := range 1 << n {
					if bits.OnesCount(uint(set)) != k {
						continue
					}
					choices++
					if set&(1<<c-1) != 0 { // the first c pass
						pass++
					}
				}
				if got, want := passAt(n, c, k), float64(pass)/float64(choices); math.Abs(got-want) > 1e-12 {
					t.Errorf("pass@%d of %d of %d: %v, want %v", k, c, n, got, want)
				}
			}
		}
		if got := passAt(n, 0, n+1); !math.IsNaN(got) {
			t.Errorf("pass@%d of %d samples is %v", n+1, n, got)
		}
	}
}

// TestIntervals holds the intervals against tables of Student's t and of Wilson's interval.
func TestIntervals(t *testing.T) {
	for freedom, want := range map[float64]float64{1: 12.7062047362, 2: 4.30265272975, 5: 2.57058183564, 10: 2.22813885196, 30: 2.04227245630, 1e6: 1.95996635682} {
		if got := studentT(freedom); math.Abs(got-want) > 1e-8*want {
			t.Errorf("t of %v degrees of freedom is %.11f, want %.11f", freedom, got, want)
		}
	}
	for _, c := range []struct{ p, n, low, high float64 }{
		{0.5, 10, 0.2365931, 0.7634069}, {0, 10, 0, 0.2775328}, {1, 10, 0.7224672, 1}, {0.1, 100, 0.0552291, 0.1743657},
	} {
		if low, high := wilson(c.p, c.n); math.Abs(low-c.low) > 1e-6 || math.Abs(high-c.high) > 1e-6 {
			t.Errorf("%v of %v: from %.7f to %.7f, want %.7f to %.7f", c.p, c.n, low, high, c.low, c.high)
		}
	}
}

// made is an evaluation whose samples pass with a chance of their prompt's own.
func made(r *rand.Rand, prompts, k int, spread float64) *Evaluated {
	v := &Evaluated{Prompts: prompts, K: k, Pass: 0.5}
	for p := range prompts {
		chance := 0.5 + spread*(r.Float64()-0.5)
		for j := range k {
			o := Outcome{Prompt: p, Sample: j, FinishReason: engine.FinishStop}
			if r.Float64() < chance {
				o.Reward = 1
			}
			v.Outcomes = append(v.Outcomes, o)
		}
	}
	return v
}

// TestCoverage: of many evaluations, about as many intervals as they claim hold the truth, whether a prompt's samples are independent or
// alike.
func TestCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("statistics of one goroutine's numbers")
	}
	const times = 1000
	for _, c := range []struct {
		prompts, k int
		spread     float64
	}{{40, 1, 0}, {40, 8, 0}, {40, 8, 1}, {10, 4, 1}} {
		r := rand.New(rand.NewPCG(1, 2))
		holds := map[string]int{}
		for range times {
			for name, ci := range made(r, c.prompts, c.k, c.spread).Intervals() {
				if ci[0] <= 0.5 && 0.5 <= ci[1] {
					holds[name]++
				}
			}
		}
		for _, name := range []string{"reward", "accuracy", fmt.Sprintf("mean@%d", c.k), "pass@1"} {
			if share := float64(holds[name]) / times; share < 0.92 || share > 0.995 {
				t.Errorf("%+v: %s: %.1f %% of the intervals hold the truth", c, name, 100*share)
			}
		}
	}
}

// TestEvaluatedMetrics: metrics of outcomes that can be counted by hand.
func TestEvaluatedMetrics(t *testing.T) {
	nan := math.NaN()
	v := &Evaluated{Prompts: 3, K: 4, Pass: 0.5, rewards: []string{"a"}, Failed: 2}
	for p, rewards := range [][]float64{{1, 0, 0.5, 0}, {nan, nan, 0, 0.2}, {1, 1, 1, 1}} {
		for j, x := range rewards {
			o := Outcome{Prompt: p, Sample: j, Kind: []string{"digit", "iou", "digit"}[p], Reward: x, Parts: []float64{x}, Length: 10 * (p + 1), FinishReason: engine.FinishStop,
				Judged: p < 2, Found: j == 0}
			if j == 3 {
				o.FinishReason = engine.FinishLength
			}
			v.Outcomes = append(v.Outcomes, o)
		}
	}
	m := v.Metrics()
	for name, want := range map[string]float64{
		"reward": 5.7 / 10, "reward/digit": 5.5 / 8, "reward/iou": 0.1,
		"mean@4": (0.375 + 0.1 + 1) / 3, "mean@4/iou": 0.1,
		"accuracy": 0.6, "accuracy/digit": 0.75, "accuracy/iou": 0,
		"pass@1": (0.5 + 0 + 1) / 3, "pass@2": (5./6 + 0 + 1) / 3, "pass@4": (1. + 1) / 2, "pass@2/iou": 0,
		"extracted_ratio": 0.25, "extracted_ratio/iou": 0.25, "clipped_ratio": 0.25, "mean_length": 20, "mean_length/digit": 20, "mean_length/iou": 20,
		"rewards/a/mean": 0.57, "rewards/masked": 2, "rewards/failed": 2,
	} {
		if got, ok := m[name]; !ok || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if _, ok := m["pass@4/iou"]; ok {
		t.Error("there is a pass@4 of a prompt with two rewards")
	}
	ci := v.Intervals()
	if _, ok := ci["reward/iou"]; ok {
		t.Error("there is an interval of one prompt")
	}
	for name, x := range ci {
		if !(x[0] <= m[name] && m[name] <= x[1]) || strings.HasPrefix(name, "accuracy") && x[0] == x[1] {
			t.Errorf("%s is %v, its interval %v", name, m[name], x)
		}
	}
}

// TestEvaluatedFiles: a folder where a file cannot be replaced leaves the old one, and nothing else.
func TestEvaluatedFiles(t *testing.T) {
	v := made(rand.New(rand.NewPCG(1, 2)), 3, 2, 0)
	v.Update = 9
	v.Outcomes[0].Text, v.Outcomes[0].Reward = "<think>\xff", math.NaN()
	dir := filepath.Join(t.TempDir(), "eval")
	for range 2 {
		if err := v.WriteFiles(dir, 4); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(names) != 2 || len(hidden) != 0 {
		t.Errorf("the folder holds %v %v", names, hidden)
	}
	text, err := os.ReadFile(filepath.Join(dir, "step-4.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(text), "\n"); first != `{"id":"","sample":0,"text":"<think>\ufffd","extracted":null,"reward":null,"finish_reason":"stop","length":0}` {
		t.Errorf("the first line is %s", first)
	}
	if err := os.Mkdir(filepath.Join(dir, "step-5.json"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := v.WriteFiles(dir, 5); err == nil || !strings.Contains(err.Error(), "step-5.json") {
		t.Errorf("over a folder: %v", err)
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, ".*")); len(hidden) != 0 {
		t.Errorf("after an error, the folder holds %v", hidden)
	}
}

// TestOverlong: the formula's corners.
func TestOverlong(t *testing.T) {
	for _, c := range []struct {
		o      Overlong
		tokens int
		want   float64
	}{
		{Overlong{}, 100, 0}, {Overlong{Buffer: 20}, 80, 0}, {Overlong{Buffer: 20}, 81, -0.05}, {Overlong{Buffer: 20}, 100, -1},
		{Overlong{Buffer: 20, Penalty: 0.5}, 90, -0.25}, {Overlong{Buffer: 100, Penalty: 2}, 1, -0.02}, {Overlong{Buffer: 20}, 1, 0},
	} {
		if got := c.o.of(c.tokens, 100); math.Abs(got-c.want) > 1e-15 || math.Signbit(got) && got == 0 {
			t.Errorf("%+v of %d tokens of 100 is %v, want %v", c.o, c.tokens, got, c.want)
		}
	}
	for _, bad := range []Overlong{{Buffer: -1}, {Buffer: 101}, {Penalty: 1}, {Buffer: 1, Penalty: -1}, {Buffer: 1, Penalty: math.NaN()}, {Buffer: 1, Penalty: math.Inf(1)}} {
		if bad.check(100) == nil {
			t.Errorf("%+v is let through", bad)
		}
	}
	if err := (&Overlong{Buffer: 100, Penalty: 1}).check(100); err != nil {
		t.Error(err)
	}
}

// TestEarlyStop: when values end a run.
func TestEarlyStop(t *testing.T) {
	nan, target := math.NaN(), 0.9
	for _, c := range []struct {
		e      EarlyStop
		values []float64
		ends   int // after so many values; 0: never
		why    string
	}{
		{EarlyStop{Patience: 2}, []float64{.1, .2, .2, .1, .9}, 4, "reward has not risen by more than 0 above its best, 0.2, in the last 2 values"},
		{EarlyStop{Patience: 2}, []float64{.1, .1, .2, .1, .3, .1}, 0, ""},
		{EarlyStop{Patience: 2, MinDelta: .1}, []float64{.1, .15, .19, .5}, 3, "in the last 2"},
		{EarlyStop{Patience: 2, MinDelta: .1}, []float64{.1, .15, .25, .3, .3}, 5, "best, 0.25,"},
		{EarlyStop{Patience: 1}, []float64{-1, nan, nan, -.5, nan, -.5}, 6, "best, -0.5"},
		{EarlyStop{Target: &target}, []float64{.1, .1, .1, .89, .9}, 5, "reward is 0.9, and reached the target of 0.9"},
		{EarlyStop{Target: &target, Patience: 3}, []float64{.1, .1, .1, .1}, 4, "in the last 3"},
	} {
		c.e.Metric = "reward"
		if err := c.e.check(); err != nil {
			t.Errorf("%+v: %v", c.e, err)
		}
		var s EarlyState
		ends, why := 0, ""
		for i, v := range c.values {
			if why = c.e.see(&s, v); why != "" {
				ends = i + 1
				break
			}
		}
		if ends != c.ends || !strings.Contains(why, c.why) {
			t.Errorf("%+v of %v: ends after %d, %q; want %d, %q", c.e, c.values, ends, why, c.ends, c.why)
		}
	}
	for _, metric := range []string{"reward", "eval_reward", "eval_accuracy/digit", "eval_pass@8", "eval_mean@4/iou", "eval_rewards/digit/mean", "eval_extracted_ratio"} {
		if err := (&EarlyStop{Metric: metric, Patience: 1}).check(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []EarlyStop{{Patience: 1}, {Metric: "rewards", Patience: 1}, {Metric: "eval_acuracy", Patience: 1}, {Metric: "eval_mean_length", Patience: 1}, {Metric: "reward"},
		{Metric: "reward", Patience: -1}, {Metric: "reward", Patience: 1, MinDelta: -1}, {Metric: "reward", Target: &nan}, {Metric: "eval_pass", Patience: 1}} {
		if bad.check() == nil {
			t.Errorf("%+v is let through", bad)
		}
	}
}
