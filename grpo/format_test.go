package grpo

import (
	"reflect"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine"
)

// TestSettingsYAML writes settings and reads them again: of every dialect and loss, and with every value another one.
func TestSettingsYAML(t *testing.T) {
	check := func(s Settings) {
		t.Helper()
		again, err := ParseYAML("s.yaml", s.YAML())
		if err != nil {
			t.Errorf("%v:\n%s", err, s.YAML())
		} else if !reflect.DeepEqual(*again, s) {
			t.Errorf("%+v became %+v", s, *again)
		}
	}
	for _, d := range []Dialect{TRL, VeRL, EasyR1, OpenRLHF, Paper} {
		for _, l := range lossTypes() {
			s := Defaults(d, LossType(l))
			if LossType(l) == DrGRPO {
				s.MaxCompletionLength = 512
			}
			check(s)
		}
	}
	for _, text := range []string{
		"delta: 4\nepsilon: 0.1\nepsilon_high: 0.3", "dialect: verl\ndelta: 4", "importance_sampling_level: sequence\nloss_type: grpo", "kl: abs\nbeta: 0.1\nclamp_kl: true",
		"kl_in: reward\nbeta: 0.1\nkl_target: 0.01\nkl_horizon: 512", "beta: 1e-3\nkl_target: 5e-4", "scale_rewards: none\nmask_truncated_completions: true\nentropy_coef: -0.01",
		"lr_scheduler_type: cosine_with_min_lr\nmin_lr: 5e-7\nwarmup_ratio: 0.03", "lr_scheduler_type: cosine_with_min_lr\nmin_lr_rate: 0.5\nwarmup_steps: 3", "scale_rewards: batch\nban: none",
		"adam_beta1: 0.8\nadam_beta2: 0.99\nadam_epsilon: 1e-6\nweight_decay: 0.1\nmax_grad_norm: 0\nlearning_rate: 3.3e-6\ntemperature: 0.7\nfreeze_vision_tower: true\nmax_completion_length: 7",
		"dialect: paper\nlr_scheduler_type: cosine_with_min_lr\nkl: k2\nbeta: 1\nclamp_log_ratio: true\nadvantage_epsilon: 0.5", "loss_type: sapo\nsapo_temperature_pos: 2\nsapo_temperature_neg: 3",
	} {
		s, err := ParseYAML("s.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		check(*s)
	}
	s := Defaults(TRL, GRPO)
	s.KL = engine.KLk2
	listed := map[string]bool{}
	for _, x := range s.List() {
		listed[x.Key] = true
	}
	for _, key := range Keys() {
		if !listed[key] && !strings.Contains(" max_completion_length kl_horizon min_lr min_lr_rate warmup_ratio warmup_steps ", " "+key+" ") {
			t.Errorf("%s is not listed", key)
		}
	}
}
