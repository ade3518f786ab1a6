package grpo

import (
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/engine"
)

// Keys are the keys of a settings file, in the order of [Settings].
func Keys() []string {
	var keys []string
	for _, f := range fields(&Settings{}) {
		keys = append(keys, f.key)
	}
	return keys
}

// A Setting is a key of a settings file with its value: a string, a float64, an int or a bool.
type Setting struct {
	Key   string
	Value any
}

// List returns all settings, so that a file that has them reads as s again, whatever the defaults of its dialect are. Keys that stand for
// nothing are left out: a length that is not known, a horizon without a target, a rate that is 0 beside another one.
func (s *Settings) List() []Setting {
	pick := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	all := []Setting{
		{"dialect", string(s.Dialect)}, {"loss_type", string(s.LossType)}, {"aggregation", string(s.Aggregation)},
		{"epsilon", s.Epsilon}, {"epsilon_high", s.EpsilonHigh}, {"delta", s.Delta}, {"dual_clip", s.DualClip},
		{"importance_sampling_level", pick(s.SequenceLevel, levelSequence, levelToken)}, {"clamp_log_ratio", s.ClampLogRatio},
		{"sapo_temperature_pos", s.SAPOPos}, {"sapo_temperature_neg", s.SAPONeg},
		{"beta", s.Beta}, {"kl", [...]string{"k1", "k2", "k3", "abs"}[s.KL-engine.KLk1]}, {"kl_in", pick(s.KLInReward, inReward, inLoss)}, {"clamp_kl", s.ClampKL},
		{"kl_target", s.KLTarget}, {"kl_horizon", s.KLHorizon},
		{"scale_rewards", [...]string{"group", "batch", "none"}[s.ScaleRewards]}, {"advantage_epsilon", s.AdvantageEpsilon},
		{"max_completion_length", s.MaxCompletionLength}, {"mask_truncated_completions", s.MaskTruncatedCompletions}, {"entropy_coef", s.EntropyCoef},
		{"temperature", s.Temperature}, {"ban", s.Ban.String()},
		{"learning_rate", s.LearningRate}, {"adam_beta1", s.AdamBeta1}, {"adam_beta2", s.AdamBeta2}, {"adam_epsilon", s.AdamEpsilon}, {"weight_decay", s.WeightDecay},
		{"max_grad_norm", s.MaxGradNorm}, {"lr_scheduler_type", string(s.Schedule)}, {"warmup_ratio", s.WarmupRatio}, {"warmup_steps", s.WarmupSteps},
		{"min_lr", s.MinLR}, {"min_lr_rate", s.MinLRRate}, {"freeze_vision_tower", s.FreezeVisionTower},
	}
	without := map[string]bool{"max_completion_length": s.MaxCompletionLength == 0, "kl_horizon": s.KLTarget == 0, "min_lr": s.MinLR == 0, "min_lr_rate": s.MinLRRate == 0,
		"warmup_ratio": s.WarmupRatio == 0, "warmup_steps": s.WarmupSteps == 0}
	kept := all[:0]
	for _, x := range all {
		if !without[x.Key] {
			kept = append(kept, x)
		}
	}
	return kept
}

// YAML is the settings as a file that [ParseYAML] reads as s again.
func (s *Settings) YAML() []byte {
	var b strings.Builder
	for _, x := range s.List() {
		b.WriteString(x.Key + ": ")
		switch v := x.Value.(type) {
		case string:
			b.WriteString(v)
		case float64:
			b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
		case int:
			b.WriteString(strconv.Itoa(v))
		case bool:
			b.WriteString(strconv.FormatBool(v))
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
