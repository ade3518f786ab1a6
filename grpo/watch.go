package grpo

import (
	"fmt"
	"slices"
)

// WatchState is what a run's warnings go by. Each is given once: in the log, and in the run's warnings.jsonl.
type WatchState struct {
	Scored []string `json:"scored"` // rewards that have scored a sample
	Failed []string `json:"failed"` // rewards that have failed on one
	Fired  []string `json:"fired"`  // rewards that have been above 0
	Flat   int      `json:"flat"`   // rollouts in a row all of whose groups had equal rewards
	Given  []string `json:"given"`  // warnings
}

const (
	unfiredUpdates = 10  // after which a reward that was never above 0 is warned of
	flatRollouts   = 3   // in a row
	manyClipped    = 0.5 // of the completions
	fewExtracted   = 0.1
)

// watch warns of what a rollout's groups and metrics say. last is set after the last rollout.
func (t *trainer) watch(groups []*group, m map[string]float64, last bool) error {
	w := &t.State.Watch
	var warnings []error
	warn := func(kind, format string, v ...any) {
		if !slices.Contains(w.Given, kind) {
			w.Given = append(w.Given, kind)
			warnings = append(warnings, fmt.Errorf(format, v...))
		}
	}
	for k, r := range t.Rewards {
		scored, fired, failed := slices.Contains(w.Scored, r.Name), slices.Contains(w.Fired, r.Name), slices.Contains(w.Failed, r.Name)
		for _, g := range groups {
			if g.broken[k] && !failed {
				failed, w.Failed = true, append(w.Failed, r.Name)
			}
			for _, v := range g.parts[k] {
				if v == v && !scored {
					scored, w.Scored = true, append(w.Scored, r.Name)
				}
				if v > 0 && !fired {
					fired, w.Fired = true, append(w.Fired, r.Name)
				}
			}
		}
		after := fmt.Sprintf("in the first %d updates", t.State.Update)
		if last {
			after = "in the whole run"
		}
		switch {
		case !last && t.State.Update < unfiredUpdates:
		case !scored && failed:
			warn("unscored "+r.Name, "reward %s has scored no sample %s, and failed wherever it was asked: its samples are masked. The log has its errors; look whether its judge can be reached", r.Name, after)
		case !scored && t.State.Update < unfiredUpdates && t.State.Cursor.Epoch == 0: // a short run has not seen all examples
		case !scored:
			warn("unscored "+r.Name, "reward %s has scored no sample %s: none of the examples so far was for it. Look whether the data holds any, or leave the reward out", r.Name, after)
		case !fired:
			warn("unfired "+r.Name, "reward %s has been above 0 for no sample %s: look at completions.jsonl whether answers come in the form that it wants; "+
				"try its gold answers (a dry run); warm the policy up by SFT; or begin with easier examples", r.Name, after)
		}
	}
	flat, more := m["frac_reward_zero_std"], ", or sample dynamically"
	if drawn, dynamic := m["sampling/frac_reward_zero_std"]; dynamic {
		flat, more = drawn, ""
	}
	if flat < 1 {
		w.Flat = 0
	} else if w.Flat++; w.Flat >= flatRollouts {
		warn("flat", "in %d rollouts in a row the samples of every prompt had equal rewards: such groups teach nothing. Take examples that the policy gets right now and then, "+
			"take more samples a prompt, raise the temperature%s", w.Flat, more)
	}
	if v := m["completions/clipped_ratio"]; v > manyClipped {
		warn("clipped", "%.0f %% of the completions were cut at %d tokens, most likely before their answers: allow more tokens, mask truncated completions, or penalize long ones",
			100*v, t.Config.most())
	}
	if v, ok := m["completions/extracted_ratio"]; ok && v < fewExtracted {
		warn("unextracted", "an answer was found in %.0f %% of the completions: look at completions.jsonl for the form that they have, say in the prompt which form is wanted, or warm the policy up by SFT", 100*v)
	}
	for _, text := range warnings {
		if err := t.warning(text.Error()); err != nil {
			return err
		}
	}
	return nil
}

// warning tells the user something, in the log and in the run's folder.
func (j *journal) warning(text string) error {
	j.keeping.Log.Warn("grpo: "+text, "update", j.State.Update)
	return j.log.Warning(j.State.Update, text)
}
