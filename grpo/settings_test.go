package grpo

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine"
)

func TestParseYAML(t *testing.T) {
	s, err := ParseYAML("run.yaml", []byte(`# a run
dialect: paper
beta: 1e-3          # a word to YAML 1.1, a number here
kl_target: 5e-4
learning_rate: 1.0e-6
lr_scheduler_type: cosine_with_min_lr
min_lr: 5e-7
warmup_ratio: .03
temperature: 0.8
ban: "none"
scale_rewards: group
max_completion_length: 1024
delta:
freeze_vision_tower: true
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults(Paper, GRPO)
	want.Beta, want.KLTarget, want.KLHorizon = 1e-3, 5e-4, 10_000
	want.Schedule, want.MinLR, want.WarmupRatio = CosineWithMinLR, 5e-7, 0.03
	want.Temperature, want.Ban, want.MaxCompletionLength, want.FreezeVisionTower = 0.8, engine.BanNone, 1024, true
	if *s != want {
		t.Errorf("got  %+v\nwant %+v", *s, want)
	}
}

// TestDialects: what each dialect fixes, and what a key changes of it.
func TestDialects(t *testing.T) {
	type fixed struct {
		aggregation           Aggregation
		high, dual, epsilon   float64
		clamp, sequence, lone bool
	}
	for settings, want := range map[string]fixed{
		`{}`:                                          {TokenMean, .2, 0, 1e-4, false, false, false},
		`{"dialect": "trl-1.10"}`:                     {TokenMean, .2, 0, 1e-4, false, false, false},
		`{"loss_type": "grpo"}`:                       {SequenceMean, .2, 0, 1e-4, false, false, false},
		`{"loss_type": "bnpo"}`:                       {TokenMean, .2, 0, 1e-4, false, false, false},
		`{"loss_type": "gspo"}`:                       {SequenceMean, .2, 0, 1e-4, false, true, false},
		`{"loss_type": "sapo"}`:                       {SequenceMean, .2, 0, 1e-4, false, false, false},
		`{"loss_type": "cispo"}`:                      {TokenMean, 5, 0, 1e-4, false, false, false},
		`{"loss_type": "cispo", "dialect": "verl"}`:   {TokenMean, .2, 0, 1e-6, true, false, true},
		`{"loss_type": "cispo", "dialect": "easyr1"}`: {TokenMean, .3, 0, 1e-6, true, false, false},
		`{"loss_type": "sft"}`:                        {TokenMean, .2, 0, 1e-4, false, false, false},
		`{"epsilon": 0.1}`:                            {TokenMean, .1, 0, 1e-4, false, false, false},
		`{"dialect": "verl"}`:                         {TokenMean, .2, 3, 1e-6, true, false, true},
		`{"dialect": "verl-0.8"}`:                     {TokenMean, .2, 3, 1e-6, true, false, true},
		`{"dialect": "easyr1"}`:                       {TokenMean, .3, 3, 1e-6, true, false, false},
		`{"dialect": "openrlhf"}`:                     {SequenceMean, .2, 0, 1e-9, false, false, false},
		`{"dialect": "openrlhf-2503"}`:                {SequenceMean, .2, 0, 1e-9, false, false, false},
		`{"dialect": "paper"}`:                        {SequenceMean, .2, 0, 1e-9, false, false, false},
		`{"dialect": "verl", "delta":2}`:              {TokenMean, .2, 0, 1e-6, true, false, true},
		`{"dialect": "verl", "loss_type": "gspo"}`:    {SequenceMean, .2, 0, 1e-6, false, true, true},
		`{"dialect": "verl", "loss_type": "sapo"}`:    {TokenMean, .2, 0, 1e-6, true, false, true},
		`{"dialect": "easyr1", "epsilon": 0.1}`:       {TokenMean, .3, 3, 1e-6, true, false, false},
		`{"dialect": "verl", "aggregation": "sequence-sum", "dual_clip": 5, "clamp_kl": false}`:  {SequenceSum, .2, 5, 1e-6, true, false, true},
		`{"dialect": "paper", "advantage_epsilon": 1, "importance_sampling_level": "sequence"}`:  {SequenceMean, .2, 0, 1, false, true, false},
		`{"loss_type": "dr_grpo", "max_completion_length": 7}`:                                   {FixedLength, .2, 0, 1e-4, false, false, false},
		`{"loss_type": "dr_grpo", "aggregation": "token-mean", "epsilon": 1, "epsilon_high": 2}`: {TokenMean, 2, 0, 1e-4, false, false, false},
	} {
		s := parse(t, settings)
		if got := (fixed{s.Aggregation, s.EpsilonHigh, s.DualClip, s.AdvantageEpsilon, s.ClampLogRatio, s.SequenceLevel, s.lone()}); got != want {
			t.Errorf("%s: %+v, want %+v", settings, got, want)
		}
		if s.Beta != 0 || s.KL != engine.KLk3 || s.Schedule != Constant || s.ScaleRewards != engine.ScaleGroup {
			t.Errorf("%s: %+v", settings, s)
		}
	}
	for _, d := range []Dialect{TRL, VeRL, EasyR1, OpenRLHF, Paper} {
		for _, name := range []string{string(d), d.Name()} {
			if got, err := ParseDialect(name); got != d || err != nil {
				t.Errorf("ParseDialect(%q) = %v, %v", name, got, err)
			}
		}
		for _, l := range lossTypes() {
			if s := Defaults(d, LossType(l)); LossType(l) != DrGRPO {
				if err := s.Check(); err != nil {
					t.Errorf("%s %s: %v", d, l, err)
				}
			}
		}
	}
}

func TestSettingsErrors(t *testing.T) {
	for _, tt := range []struct{ settings, want string }{
		{`{"epsilon_hgih": 1}`, "epsilon_hgih: unknown key: did you mean epsilon_high?"},
		{`{"Epsilon": 1}`, "Epsilon: unknown key: did you mean epsilon?"},
		{`{"num_layers": 1}`, "num_layers: unknown key"},
		{`{"beta": 1, "beta": 2}`, "beta: the key occurs twice"},
		{`{"beta": null, "beta": 2}`, "beta: the key occurs twice"},
		{`{"loss_type": "grop"}`, `loss_type: "grop" is none of grpo, bnpo`},
		{`{"loss_type": "grop"}`, "did you mean grpo?"},
		{`{"loss_type": 1}`, "loss_type: 1 is none of"},
		{`{"dialect": "trl-1.13"}`, `"trl-1.13" is another version than the one that is known, trl-1.10`},
		{`{"dialect": "vverl"}`, "did you mean verl?"},
		{`{"dialect": []}`, "dialect: a list or an object is not the name of a dialect"},
		{`{"kl": "k4"}`, "kl: "},
		{`{"beta": "0.1"}`, `beta: "0.1" is not a number`},
		{`{"beta": true}`, "beta: true is not a number"},
		{`{"beta": 1e999}`, "beta: 1e999 is not a finite number"},
		{`{"beta": -0.1}`, "beta: -0.1 is out of range"},
		{`{"epsilon": 1.5}`, "epsilon: 1.5 is out of range: want at most 1"},
		{`{"epsilon_high": -0.2}`, "epsilon_high: -0.2 is out of range"},
		{`{"clamp_kl": 1}`, "clamp_kl: 1 is not true or false"},
		{`{"max_completion_length": 2.5}`, "max_completion_length: 2.5 is not an integer"},
		{`{"max_completion_length": 0}`, "max_completion_length: 0 is not an integer from 1"},
		{`{"temperature": 0}`, "temperature: 0 is out of range"},
		{`{"adam_beta2": 1}`, "adam_beta2: 1 is out of range"},
		{`{"adam_epsilon": 0}`, "adam_epsilon: 0 is out of range: want 0 excluded, or more"},
		{`{"sapo_temperature_neg": 0}`, "sapo_temperature_neg: 0 is out of range"},
		{`{"scale_rewards": "std"}`, "scale_rewards: "},
		{`{"delta": 2, "dual_clip": 3}`, "delta: delta 2 and dual_clip 3"},
		{`{"delta": 1.1}`, "delta: delta is 1.1, within the clip"},
		{`{"dual_clip": 1.2}`, "dual_clip: dual_clip is 1.2, within the clip"},
		{`{"dialect": "verl", "epsilon_high": 2.5}`, "dual_clip: dual_clip is 3, within the clip"},
		{`{"loss_type": "sapo", "delta": 2}`, "delta: loss_type sapo has no delta"},
		{`{"loss_type": "cispo", "dual_clip": 9}`, "dual_clip: loss_type cispo has no dual_clip"},
		{`{"loss_type": "dr_grpo"}`, "max_completion_length: "},
		{`{"aggregation": "fixed-length"}`, "max_completion_length: "},
		{`{"loss_type": "gspo", "importance_sampling_level": "token"}`, "importance_sampling_level: "},
		{`{"loss_type": "gspo", "dialect": "verl", "aggregation": "token-mean"}`, "aggregation: "},
		{`{"loss_type": "sft", "beta": 0.1}`, "beta: loss_type sft has no KL"},
		{`{"loss_type": "sft", "kl_in": "reward"}`, "kl_in: "},
		{`{"kl_in": "reward", "kl": "k3"}`, "kl: in the reward the estimator is k1"},
		{`{"kl_target": 0.1}`, "kl_target: "},
		{`{"kl_horizon": 10}`, "kl_horizon: "},
		{`{"kl_horizon": 0, "kl_target": 0.1, "beta": 1}`, "kl_horizon: 0 is out of range"},
		{`{"min_lr": 1e-7, "min_lr_rate": 0.1, "lr_scheduler_type": "cosine_with_min_lr"}`, "min_lr: min_lr 1e-07 and min_lr_rate 0.1"},
		{`{"min_lr": 1e-7}`, "min_lr: lr_scheduler_type constant has no min_lr"},
		{`{"min_lr_rate": 0.1, "lr_scheduler_type": "cosine"}`, "min_lr_rate: "},
		{`{"min_lr": 1, "lr_scheduler_type": "cosine_with_min_lr"}`, "min_lr: min_lr is 1, more than the learning_rate"},
		{`{"lr_scheduler_type": "cosine_with_min_lr"}`, "lr_scheduler_type: cosine_with_min_lr needs min_lr"},
		{`{"warmup_ratio": 0.1, "warmup_steps": 3}`, "warmup_ratio: "},
		{`[]`, "want a JSON object"},
		{`{"a": `, "not JSON"},
		{``, "not JSON"},
		{strings.Repeat(" ", MaxSettingsBytes) + `{}`, "no settings"},
	} {
		_, err := ParseJSON([]byte(tt.settings))
		var e *SettingsError
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "settings: ") || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 300 {
			t.Errorf("%.60s: %v, want %q", tt.settings, err, tt.want)
		}
	}
}

// TestYAMLErrors: file, line and key.
func TestYAMLErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "f.yaml: the file is empty"},
		{"# nothing\n", "f.yaml: the file is empty"},
		{"beta: 1\n---\n{\n", "not YAML"},
		{"beta: 1\n\nbeat: 2\n", "f.yaml:3: beat: unknown key: did you mean beta?"},
		{"beta: 1\nkl: k3\nbeta: 1\n", "f.yaml:3: beta: the key occurs twice"},
		{"kl: k3\nbeta: .nan\n", "f.yaml:2: beta: .nan is not a finite number"},
		{"kl: k3\nbeta: -.inf\n", "f.yaml:2: beta: "},
		{"beta: '1'\n", `f.yaml:1: beta: "1" is not a number`},
		{"beta: one\n", `f.yaml:1: beta: "one" is not a number`},
		{"beta: [1]\n", "f.yaml:1: beta: a list"},
		{"beta: &a 1\nepsilon: *a\n", "f.yaml:2: epsilon: "},
		{"<<: {beta: 1}\n", "f.yaml:1: "},
		{"[1]: 2\n", "f.yaml:1: a key must be a plain word"},
		{"- beta\n", "want keys and values"},
		{"beta\n", "want keys and values"},
		{"beta: 1\n---\nbeta: 2\n", "f.yaml:2: a second document"},
		{"beta: 1\n  kl: k3\n", "f.yaml:2: not YAML"},
		{"beta: {\n", "not YAML"},
		{"beta: \xff\n", "not UTF-8"},
		{"# x\nloss_type: dr_grpo\n", "f.yaml:2: max_completion_length: "},
		{"delta: 3\n\ndual_clip: 4\n", "f.yaml:1: delta: "},
		{"epsilon: 0.3\nepsilon_high: 0.9\ndelta: 1.5\n", "f.yaml:3: delta: delta is 1.5, within the clip of the ratio to 1.9"},
	} {
		_, err := ParseYAML("f.yaml", []byte(tt.text))
		var e *SettingsError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	s := Defaults(TRL, GRPO)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(s *Settings){
		"aggregation": func(s *Settings) { s.Aggregation = "mean" }, "dialect": func(s *Settings) { s.Dialect = "x" }, "epsilon": func(s *Settings) { s.Epsilon = math.NaN() },
		"kl": func(s *Settings) { s.KL = 0 }, "scale_rewards": func(s *Settings) { s.ScaleRewards = 3 }, "beta": func(s *Settings) { s.Beta = math.Inf(1) },
		"lr_scheduler_type": func(s *Settings) { s.Schedule = "" },
	} {
		s := s
		change(&s)
		if err := s.Check(); err == nil || !strings.HasPrefix(err.Error(), "settings: "+name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"modle", "model", 2}, {"temprature", "temperature", 1}, {"seed", "seed", 0}, {"n", "seed", 4}, {"kitten", "sitting", 3}} {
		if got := editDistance(tt.a, tt.b); got != tt.want || editDistance(tt.b, tt.a) != tt.want {
			t.Errorf("%q to %q is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	known := []string{"beta", "delta", "epsilon"}
	for word, want := range map[string]string{"bta": "beta", "dlta": "delta", "x": "", "learning": "", "epsilom": "epsilon", strings.Repeat("beta", 1<<20): ""} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%.10q) = %q, want %q", word, got, want)
		}
	}
}

// TestSchedules: the arithmetic of the paper's run (49 rollouts of 512 prompts by 4 samples, 256 to an update), and the ends of each
// schedule.
func TestSchedules(t *testing.T) {
	total := 49 * 512 * 4 / 256
	s := parse(t, `{"dialect": "paper", "learning_rate": 1e-6, "lr_scheduler_type": "cosine_with_min_lr", "min_lr": 5e-7, "warmup_ratio": 0.03}`)
	if total != 392 || s.Warmup(total) != 12 {
		t.Errorf("%d updates, %d of them to warm up: want 392 and 12", total, s.Warmup(total))
	}
	check := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12*want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	check("the first update", s.LearningRateAt(0, total), 0)
	check("the second", s.LearningRateAt(1, total), 1e-6/12)
	check("the peak", s.LearningRateAt(12, total), 1e-6)
	check("the middle", s.LearningRateAt(12+190, total), 7.5e-7)
	check("the last", s.LearningRateAt(391, total), 5e-7+5e-7*.5*(1+math.Cos(math.Pi*379/380)))
	check("the end", s.LearningRateAt(392, total), 5e-7)
	check("beyond the end", s.LearningRateAt(1000, total), 5e-7)

	for _, tt := range []struct {
		settings    string
		done, total int
		want        float64
	}{
		{`{"learning_rate": 2}`, 0, 10, 2}, {`{"learning_rate": 2}`, 100, 10, 2}, {`{"learning_rate": 2}`, 0, 0, 2},
		{`{"learning_rate": 2, "warmup_steps": 4}`, 1, 10, 0.5}, {`{"learning_rate": 2, "warmup_steps": 4}`, 5, 10, 2},
		{`{"learning_rate": 2, "lr_scheduler_type": "linear"}`, 5, 10, 1}, {`{"learning_rate": 2, "lr_scheduler_type": "linear", "warmup_steps": 2}`, 6, 10, 1},
		{`{"learning_rate": 2, "lr_scheduler_type": "linear"}`, 11, 10, 0},
		{`{"learning_rate": 2, "lr_scheduler_type": "cosine"}`, 5, 10, 1}, {`{"learning_rate": 2, "lr_scheduler_type": "cosine"}`, 10, 10, 0},
		{`{"learning_rate": 2, "lr_scheduler_type": "cosine_with_min_lr", "min_lr_rate": 0.5}`, 5, 10, 1.5},
		{`{"learning_rate": 2, "lr_scheduler_type": "cosine_with_min_lr", "dialect": "openrlhf"}`, 10, 10, 0.2},
	} {
		if got := parse(t, tt.settings).LearningRateAt(tt.done, tt.total); math.Abs(got-tt.want) > 1e-15 {
			t.Errorf("%s: after %d of %d updates %v, want %v", tt.settings, tt.done, tt.total, got, tt.want)
		}
	}
}

// TestKLController: a step changes the coefficient by at most 0.2 n / horizon, and its state survives JSON.
func TestKLController(t *testing.T) {
	c := parse(t, `{"beta": 1e-3, "kl_target": 5e-4}`).KLController()
	for _, tt := range []struct{ kl, want float64 }{{1, 1.04096}, {0, 1 - .04096}, {5e-4, 1}, {5.5e-4, 1.02048}, {math.NaN(), 1}} {
		d := c
		d.Update(tt.kl, 2048)
		if !near(d.Coef/1e-3, tt.want, 1e-9) {
			t.Errorf("KL %v: %v times the coefficient, want %v", tt.kl, d.Coef/1e-3, tt.want)
		}
	}
	up := c
	for range 49 {
		up.Update(1, 2048)
	}
	if f := up.Coef / 1e-3; f < 7.1 || f > 7.2 {
		t.Errorf("49 steps up: %v times", f)
	}
	var back KLController
	b, err := json.Marshal(up)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if back != up || err != nil {
		t.Errorf("%+v came back as %+v, %v", up, back, err)
	}
	fixed := parse(t, `{"beta": 0.04}`).KLController()
	if fixed.Update(3, 100); fixed.Coef != 0.04 {
		t.Errorf("without a target the coefficient is %v", fixed.Coef)
	}
}

// FuzzSettings: whatever the text, parsing returns, what it accepts is good, and what JSON says YAML says too.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		`{"loss_type": "grpo", "beta": 0.04}`, "dialect: verl\nbeta: 1e-3\n", `{"dialect": "paper", "kl_in": "reward", "beta": 1}`, "a: &b 1\nc: *b", "? [a]\n: b",
		`{"loss_type": "dr_grpo", "max_completion_length": 5, "scale_rewards": false}`, "{{{{", "- - - -", "beta: 0x10\nepsilon: 1_0", "epsilon: .inf", "%YAML 1.2\n---\nkl: k1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		y, err := ParseYAML("f", text)
		if err == nil {
			if err := y.Check(); err != nil {
				t.Errorf("accepted what is wrong: %v", err)
			}
		} else if e := (*SettingsError)(nil); !errors.As(err, &e) || e.File != "f" {
			t.Errorf("error %v", err)
		}
		j, err := ParseJSON(text)
		if err != nil {
			return
		}
		if err := j.Check(); err != nil {
			t.Errorf("accepted what is wrong: %v", err)
		}
		if y != nil && *y != *j {
			t.Errorf("as JSON %+v, as YAML %+v", j, y)
		}
	})
}
