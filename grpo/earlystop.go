package grpo

import (
	"fmt"
	"math"
	"strings"
)

// EarlyStop ends a run before its last rollout. The run is then finished: it is saved, and does not go on when it is run again.
type EarlyStop struct {
	// Metric is reward, which is looked at after every rollout, or one of an evaluation: eval_reward, eval_accuracy, ... "": none. A value
	// that is NaN does not count.
	Metric string

	Patience int      // values in a row without an improvement that end the run; 0: no number does
	MinDelta float64  // least improvement on the best value so far that counts
	Target   *float64 // a value that ends the run when it is reached; nil: none
}

// EarlyState is what [EarlyStop] carries from value to value.
type EarlyState struct {
	Best  *float64 `json:"best"`  // nil: none yet
	Since int      `json:"since"` // values since the last improvement
}

// evaluated reports whether the metric is an evaluation's.
func (e *EarlyStop) evaluated() bool { return strings.HasPrefix(e.Metric, "eval_") }

func (e *EarlyStop) check() error {
	bad := func(name string, v any, want string) error {
		return &SettingsError{Key: "Early." + name, Err: fmt.Errorf("%v: want %s", v, want)}
	}
	switch {
	case e.Metric == "" && (e.Patience != 0 || e.MinDelta != 0 || e.Target != nil):
		return bad("Metric", `""`, "reward, eval_reward or eval_accuracy where the other settings of early stopping are set")
	case e.Metric == "":
		return nil
	case !e.known():
		return bad("Metric", e.Metric, "reward, or a metric of the evaluations that is the better the higher it is: eval_reward, eval_accuracy, eval_mean@k, eval_pass@k, "+
			"eval_extracted_ratio, one of them by kind (eval_reward/KIND), or eval_rewards/NAME/mean")
	case e.Patience < 0:
		return bad("Patience", e.Patience, "0 (none) or more")
	case !(e.MinDelta >= 0 && e.MinDelta <= math.MaxFloat64):
		return bad("MinDelta", e.MinDelta, "0 or more")
	case e.Target != nil && (math.IsNaN(*e.Target) || math.IsInf(*e.Target, 0)):
		return bad("Target", *e.Target, "a finite number")
	case e.Patience == 0 && e.Target == nil:
		return bad("Patience", 0, "1 or more, or a Target")
	}
	return nil
}

// known reports whether there is such a metric.
func (e *EarlyStop) known() bool {
	if !e.evaluated() {
		return e.Metric == "reward"
	}
	name := strings.TrimPrefix(e.Metric, "eval_")
	base, _, _ := strings.Cut(name, "/")
	at, _, _ := strings.Cut(base, "@")
	switch at {
	case "mean", "pass":
		return base != at
	case "rewards":
		return strings.HasSuffix(name, "/mean")
	}
	return base == "reward" || base == "accuracy" || base == "extracted_ratio"
}

// see takes the metric's next value. It returns why the run ends, or "".
func (e *EarlyStop) see(s *EarlyState, v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	if s.Best == nil || v > *s.Best+e.MinDelta {
		s.Best, s.Since = &v, 0
	} else {
		s.Since++
	}
	switch {
	case e.Target != nil && v >= *e.Target:
		return fmt.Sprintf("%s is %.6g, and reached the target of %.6g", e.Metric, v, *e.Target)
	case e.Patience > 0 && s.Since >= e.Patience:
		return fmt.Sprintf("%s has not risen by more than %.6g above its best, %.6g, in the last %d values", e.Metric, e.MinDelta, *s.Best, s.Since)
	}
	return ""
}

// stopEarly looks at metrics of a rollout or of an evaluation.
func (t *trainer) stopEarly(m map[string]float64, evaluation bool) error {
	e := &t.Config.Early
	if e.Metric == "" || e.evaluated() != evaluation || t.State.Ended != "" {
		return nil
	}
	v, ok := m[e.Metric]
	if !ok {
		v = math.NaN()
	}
	t.State.Ended = e.see(&t.State.Early, v)
	if t.State.Ended == "" {
		return nil
	}
	t.keeping.Log.Info("grpo: the run ends early", "reason", t.State.Ended, "rollout", t.State.Step)
	return t.log.Warning(t.State.Update, "the run ended early: "+t.State.Ended)
}
