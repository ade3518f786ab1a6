package grpo

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine"
)

// A Dialect is a trainer whose constants and conventions are followed, with its version.
type Dialect string

// The dialects. Paper is what the VLAA-Thinking paper states, with OpenRLHF's constants of its time.
const (
	TRL      Dialect = "trl-1.10"
	VeRL     Dialect = "verl-0.8"
	EasyR1   Dialect = "easyr1"
	OpenRLHF Dialect = "openrlhf-2503"
	Paper    Dialect = "paper"
)

// ParseDialect finds a dialect by its name, with or without its version.
func ParseDialect(name string) (Dialect, error) {
	all := []Dialect{TRL, VeRL, EasyR1, OpenRLHF, Paper}
	var names []string
	for _, d := range all {
		if name == string(d) || name == d.Name() {
			return d, nil
		}
		if base, version, ok := strings.Cut(name, "-"); ok && base == d.Name() && version != "" {
			return "", fmt.Errorf("%q is another version than the one that is known, %s", name, d)
		}
		names = append(names, d.Name())
	}
	return "", fmt.Errorf("%q is none of %s%s", name, strings.Join(names, ", "), didYouMean(name, names))
}

// Name is the dialect without its version.
func (d Dialect) Name() string {
	name, _, _ := strings.Cut(string(d), "-")
	return name
}

// A LossType is a loss by TRL's name; SFT is the negative log-likelihood.
type LossType string

// The losses.
const (
	GRPO   LossType = "grpo"
	BNPO   LossType = "bnpo"
	DrGRPO LossType = "dr_grpo"
	DAPO   LossType = "dapo"
	GSPO   LossType = "gspo"
	CISPO  LossType = "cispo"
	SAPO   LossType = "sapo"
	SFT    LossType = "sft"
)

// clipped reports whether the loss is the clipped surrogate.
func (l LossType) clipped() bool { return l != CISPO && l != SAPO && l != SFT }

// An Aggregation says what the sum of token losses is divided by.
type Aggregation string

// The mean over a sequence's tokens and then over sequences; the mean over all tokens; the mean over sequences of the sums over tokens;
// and that divided by MaxCompletionLength (of verl: the sum over all tokens divided by MaxCompletionLength alone).
const (
	SequenceMean Aggregation = "sequence-mean"
	TokenMean    Aggregation = "token-mean"
	SequenceSum  Aggregation = "sequence-sum"
	FixedLength  Aggregation = "fixed-length"
)

// A Schedule is a learning rate over updates.
type Schedule string

// The schedules by transformers' names. All of them warm up.
const (
	Constant         Schedule = "constant"
	Linear           Schedule = "linear"
	Cosine           Schedule = "cosine"
	CosineWithMinLR  Schedule = "cosine_with_min_lr"
	levelToken                = "token"
	levelSequence             = "sequence"
	inLoss                    = "loss"
	inReward                  = "reward"
	minTemperature            = 1e-6
	maxTemperature            = 1e6
	defaultKLHorizon          = 10_000
)

// Settings are what a loss and its optimizer step depend on, beside the data. [Defaults] makes them, [ParseYAML] and [ParseJSON] read
// them; the keys are the names in the comments, TRL's where TRL has one.
type Settings struct {
	Dialect     Dialect     // dialect
	LossType    LossType    // loss_type
	Aggregation Aggregation // aggregation

	Epsilon       float64 // epsilon: the ratio is clipped to 1 - Epsilon
	EpsilonHigh   float64 // epsilon_high: and to 1 + EpsilonHigh; for cispo the ratio's upper bound itself, but in verl and EasyR1
	Delta         float64 // delta: upper bound of the ratio for both signs of the advantage; 0: none
	DualClip      float64 // dual_clip: bound of the loss for negative advantages, in advantages; 0: none
	SequenceLevel bool    // importance_sampling_level: sequence
	ClampLogRatio bool    // clamp_log_ratio: to +-20
	SAPOPos       float64 // sapo_temperature_pos
	SAPONeg       float64 // sapo_temperature_neg

	Beta       float64       // beta: coefficient of the KL divergence from the reference
	KL         engine.KLKind // kl: k1, k2, k3, abs
	KLInReward bool          // kl_in: reward, as a penalty on the tokens to come; else in the loss
	ClampKL    bool          // clamp_kl: its input to +-20, k3 to +-10
	KLTarget   float64       // kl_target: of the adaptive coefficient; 0: Beta is fixed
	KLHorizon  float64       // kl_horizon

	ScaleRewards     engine.AdvantageScale // scale_rewards: group, batch, none
	AdvantageEpsilon float64               // advantage_epsilon

	MaxCompletionLength      int     // max_completion_length; 0: not known
	MaskTruncatedCompletions bool    // mask_truncated_completions
	EntropyCoef              float64 // entropy_coef

	Temperature float64    // temperature of the policy
	Ban         engine.Ban // ban: vision, none

	LearningRate      float64  // learning_rate
	AdamBeta1         float64  // adam_beta1
	AdamBeta2         float64  // adam_beta2
	AdamEpsilon       float64  // adam_epsilon
	WeightDecay       float64  // weight_decay
	MaxGradNorm       float64  // max_grad_norm; 0: no clipping
	Schedule          Schedule // lr_scheduler_type
	WarmupRatio       float64  // warmup_ratio of the updates, rounded up
	WarmupSteps       int      // warmup_steps
	MinLR             float64  // min_lr of cosine_with_min_lr
	MinLRRate         float64  // min_lr_rate: the same as a share of LearningRate
	FreezeVisionTower bool     // freeze_vision_tower
}

// Defaults are a dialect's settings for a loss; "" is TRL, and its own default loss. Of no dialect are a coefficient of KL or of entropy
// (what needs a reference is asked for) and a schedule: those are 0 and constant. The learning rate is 1e-6.
func Defaults(d Dialect, l LossType) Settings {
	if d == "" {
		d = TRL
	}
	if l == "" {
		l = GRPO
		if d == TRL {
			l = DAPO
		}
	}
	s := Settings{
		Dialect: d, LossType: l, Epsilon: 0.2, EpsilonHigh: 0.2, SequenceLevel: l == GSPO, SAPOPos: 1, SAPONeg: 1.05, KL: engine.KLk3,
		AdvantageEpsilon: 1e-4, Temperature: 1, LearningRate: 1e-6, AdamBeta1: 0.9, AdamBeta2: 0.999, AdamEpsilon: 1e-8, MaxGradNorm: 1, Schedule: Constant,
	}
	switch l {
	case GRPO, GSPO, SAPO:
		s.Aggregation = SequenceMean
	case DrGRPO:
		s.Aggregation = FixedLength
	default:
		s.Aggregation = TokenMean
	}
	if l == CISPO && !s.twoSided() {
		s.EpsilonHigh = 5
	}
	switch d {
	case VeRL, EasyR1:
		s.AdvantageEpsilon = 1e-6
		s.ClampKL = true
		s.ClampLogRatio = l != GSPO && l != SFT
		if l == GRPO || l == SAPO {
			s.Aggregation = TokenMean
		}
		if l.clipped() && l != GSPO {
			s.DualClip = 3
		}
		if d == EasyR1 && (l.clipped() || l == CISPO) {
			s.EpsilonHigh = 0.3
		}
		if d == VeRL {
			s.WeightDecay = 0.01
		}
	case OpenRLHF, Paper:
		s.AdvantageEpsilon = 1e-9
		s.AdamBeta2 = 0.95
	}
	return s
}

// lone reports whether a group of one reward has an advantage: the reward itself.
func (s *Settings) lone() bool { return s.Dialect == VeRL }

// twoSided reports whether cispo clips the ratio on both sides, to 1 - Epsilon and 1 + EpsilonHigh.
func (s *Settings) twoSided() bool { return s.Dialect == VeRL || s.Dialect == EasyR1 }

// A conflict is a key whose value is wrong, alone or beside others.
type conflict struct {
	key string
	err error
}

func conflictf(key, format string, v ...any) *conflict {
	return &conflict{key, fmt.Errorf(format, v...)}
}

// Check refuses values out of range and those that contradict each other.
func (s *Settings) Check() error {
	if c := s.check(); c != nil {
		return &SettingsError{Key: c.key, Err: c.err}
	}
	return nil
}

func (s *Settings) check() *conflict {
	for _, r := range s.ranges() {
		if err := r.check(); err != nil {
			return &conflict{r.key, err}
		}
	}
	l := s.LossType
	switch {
	case s.Delta > 0 && s.DualClip > 0:
		return conflictf("delta", "delta %v and dual_clip %v bound the same ratio: leave one out", s.Delta, s.DualClip)
	case s.Delta > 0 && !l.clipped():
		return conflictf("delta", "loss_type %s has no delta: leave it out", l)
	case s.DualClip > 0 && !l.clipped():
		return conflictf("dual_clip", "loss_type %s has no dual_clip: leave it out", l)
	case s.Delta > 0 && s.Delta < 1+s.EpsilonHigh:
		return conflictf("delta", "delta is %v, within the clip of the ratio to %v: want more than 1 + epsilon_high", s.Delta, 1+s.EpsilonHigh)
	case s.DualClip > 0 && s.DualClip <= 1+s.EpsilonHigh:
		return conflictf("dual_clip", "dual_clip is %v, within the clip of the ratio to %v: want more than 1 + epsilon_high, or 0 for none", s.DualClip, 1+s.EpsilonHigh)
	case l == GSPO && !s.SequenceLevel:
		return conflictf("importance_sampling_level", "loss_type gspo is the clipped loss at level sequence: for level token use grpo")
	case l == GSPO && s.Dialect == VeRL && s.Aggregation != SequenceMean:
		return conflictf("aggregation", "aggregation %s with loss_type gspo: dialect %s has %s alone", s.Aggregation, s.Dialect, SequenceMean)
	case s.Aggregation == FixedLength && s.MaxCompletionLength == 0:
		return conflictf("max_completion_length", "aggregation fixed-length (of loss_type dr_grpo) divides by max_completion_length: set it")
	case l == SFT && s.Beta > 0:
		return conflictf("beta", "loss_type sft has no KL: leave beta out")
	case s.KLInReward && l == SFT:
		return conflictf("kl_in", "loss_type sft has no reward")
	case s.KLInReward && s.KL != engine.KLk1:
		return conflictf("kl", "in the reward the estimator is k1: leave kl out")
	case s.KLTarget > 0 && s.Beta == 0:
		return conflictf("kl_target", "the adaptive coefficient starts at beta, which is 0: set beta")
	case s.WarmupRatio > 0 && s.WarmupSteps > 0:
		return conflictf("warmup_ratio", "warmup_ratio %v and warmup_steps %d: leave one out", s.WarmupRatio, s.WarmupSteps)
	case s.MinLR > 0 && s.MinLRRate > 0:
		return conflictf("min_lr", "min_lr %v and min_lr_rate %v: leave one out", s.MinLR, s.MinLRRate)
	case s.MinLR > 0 && s.Schedule != CosineWithMinLR:
		return conflictf("min_lr", "lr_scheduler_type %s has no min_lr: use %s", s.Schedule, CosineWithMinLR)
	case s.MinLRRate > 0 && s.Schedule != CosineWithMinLR:
		return conflictf("min_lr_rate", "lr_scheduler_type %s has no min_lr_rate: use %s", s.Schedule, CosineWithMinLR)
	case s.MinLR > s.LearningRate:
		return conflictf("min_lr", "min_lr is %v, more than the learning_rate of %v", s.MinLR, s.LearningRate)
	case s.Schedule == CosineWithMinLR && s.MinLR == 0 && s.MinLRRate == 0:
		return conflictf("lr_scheduler_type", "%s needs min_lr or min_lr_rate", s.Schedule)
	}
	return nil
}

// A valueRange is what a number or a word may be.
type valueRange struct {
	key    string
	value  float64
	lo, hi float64
	open   bool // lo itself is out
	word   string
	words  []string // the value is word, one of these
}

func (r *valueRange) check() error {
	if r.words != nil {
		if slices.Contains(r.words, r.word) {
			return nil
		}
		return fmt.Errorf("%q is none of %s%s", r.word, strings.Join(r.words, ", "), didYouMean(r.word, r.words))
	}
	v := r.value
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return fmt.Errorf("%v is no finite number", v)
	case v < r.lo || r.open && v == r.lo:
		want := "or more"
		if r.open {
			want = "excluded, or more"
		}
		return fmt.Errorf("%v is out of range: want %v %s", v, r.lo, want)
	case v > r.hi:
		return fmt.Errorf("%v is out of range: want at most %v", v, r.hi)
	}
	return nil
}

func (s *Settings) ranges() []valueRange {
	inf := math.MaxFloat64
	return []valueRange{
		{key: "dialect", word: string(s.Dialect), words: []string{string(TRL), string(VeRL), string(EasyR1), string(OpenRLHF), string(Paper)}},
		{key: "loss_type", word: string(s.LossType), words: lossTypes()},
		{key: "aggregation", word: string(s.Aggregation), words: aggregations()},
		{key: "lr_scheduler_type", word: string(s.Schedule), words: schedules()},
		{key: "epsilon", value: s.Epsilon, hi: 1},
		{key: "epsilon_high", value: s.EpsilonHigh, hi: inf},
		{key: "delta", value: s.Delta, hi: inf},
		{key: "dual_clip", value: s.DualClip, hi: inf},
		{key: "sapo_temperature_pos", value: s.SAPOPos, hi: inf, open: true},
		{key: "sapo_temperature_neg", value: s.SAPONeg, hi: inf, open: true},
		{key: "beta", value: s.Beta, hi: inf},
		{key: "kl", value: float64(s.KL), lo: float64(engine.KLk1), hi: float64(engine.KLAbs)},
		{key: "kl_target", value: s.KLTarget, hi: inf},
		{key: "kl_horizon", value: s.KLHorizon, hi: inf},
		{key: "scale_rewards", value: float64(s.ScaleRewards), hi: float64(engine.ScaleNone)},
		{key: "advantage_epsilon", value: s.AdvantageEpsilon, hi: inf},
		{key: "max_completion_length", value: float64(s.MaxCompletionLength), hi: math.MaxInt32},
		{key: "entropy_coef", value: s.EntropyCoef, lo: -inf, hi: inf},
		{key: "temperature", value: s.Temperature, lo: minTemperature, hi: maxTemperature},
		{key: "learning_rate", value: s.LearningRate, hi: inf},
		{key: "adam_beta1", value: s.AdamBeta1, hi: 1 - 1e-15},
		{key: "adam_beta2", value: s.AdamBeta2, hi: 1 - 1e-15},
		{key: "adam_epsilon", value: s.AdamEpsilon, hi: inf, open: true},
		{key: "weight_decay", value: s.WeightDecay, hi: inf},
		{key: "max_grad_norm", value: s.MaxGradNorm, hi: inf},
		{key: "warmup_ratio", value: s.WarmupRatio, hi: 1},
		{key: "warmup_steps", value: float64(s.WarmupSteps), hi: math.MaxInt32},
		{key: "min_lr", value: s.MinLR, hi: inf},
		{key: "min_lr_rate", value: s.MinLRRate, hi: 1},
	}
}

func words[T ~string](all ...T) []string {
	s := make([]string, len(all))
	for i, x := range all {
		s[i] = string(x)
	}
	return s
}

func lossTypes() []string    { return words(GRPO, BNPO, DrGRPO, DAPO, GSPO, CISPO, SAPO, SFT) }
func aggregations() []string { return words(SequenceMean, TokenMean, SequenceSum, FixedLength) }
func schedules() []string    { return words(Constant, Linear, Cosine, CosineWithMinLR) }

// A SettingsError is what is wrong with a setting.
type SettingsError struct {
	File string // "": not from a file
	Line int    // from 1; 0: not known
	Key  string // "": none in particular
	Err  error
}

func (e *SettingsError) Error() string {
	var b strings.Builder
	switch {
	case e.File == "":
		b.WriteString("settings: ")
	case e.Line == 0:
		fmt.Fprintf(&b, "%s: ", e.File)
	default:
		fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	}
	if e.Key != "" {
		fmt.Fprintf(&b, "%s: ", short(e.Key))
	}
	return b.String() + e.Err.Error()
}

func (e *SettingsError) Unwrap() error { return e.Err }

var errTwice = errors.New("the key occurs twice")
