// Package mixed puts the mixed reward together: the verifiers of package reward with mathverify, a judge or a reward model for open
// questions, and programs and services for types of one's own.
//
//	rewards, err := mixed.Open(mixed.Config{})
//	defer rewards.Close()
//	result, err := rewards.Score(ctx, record, response)
package mixed

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/grpo/reward/mathverify"
)

// A Config says what responses are verified by. The zero Config is the paper's rule-based rewards; open_ended is masked.
type Config struct {
	Extract string // the name of the place where the answer stands, of [reward.Places]; "": the <answer> block

	Judge       reward.JudgeConfig       // of open_ended, where it has a URL
	RewardModel reward.RewardModelConfig // the same; not both

	Exec map[string]reward.ProcessConfig // programs, by verifier type
	HTTP map[string]Service              // services, by verifier type
	Go   map[string]reward.Verifier      // Go code, by verifier type
}

// A Service is where a custom verifier answers.
type Service struct {
	URL, Key string
	Policy   reward.Policy
}

// Mixed is the reward, with what was opened for it.
type Mixed struct {
	*reward.Registry
	Place reward.Place

	calls   func() reward.CallStats
	custom  bool
	closers []io.Closer
}

// A ConfigError is about a value of a [Config].
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

func configError(format string, v ...any) error { return &ConfigError{fmt.Errorf(format, v...)} }

// Open prepares the reward. Nothing is called and no program started yet. Close it in the end.
func Open(c Config) (_ *Mixed, err error) {
	m := &Mixed{}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	places := reward.Places()
	at := slices.IndexFunc(places, func(p reward.Place) bool { return p.Name == c.Extract })
	switch {
	case c.Extract == "":
		at = 0
	case at < 0:
		var names []string
		for _, p := range places {
			names = append(names, p.Name)
		}
		return nil, configError("extract is %q: want %s", c.Extract, strings.Join(names, ", "))
	}
	m.Place = places[at]
	r := reward.Config{Extract: m.Place.Extract, Math: MathVerifier(), Custom: map[string]reward.Verifier{}}
	switch {
	case c.Judge.URL != "" && c.RewardModel.URL != "":
		return nil, configError("a judge and a reward model exclude each other")
	case c.Judge.URL != "":
		if c.Judge.Model == "" {
			return nil, configError("the judge %s needs the name of its model", c.Judge.URL)
		}
		j, err := reward.NewJudge(c.Judge)
		if err != nil {
			return nil, &ConfigError{err}
		}
		r.OpenEnded, m.calls, m.closers = j, j.Stats, append(m.closers, j)
	case c.RewardModel.URL != "":
		s, err := reward.NewRewardModel(c.RewardModel)
		if err != nil {
			return nil, &ConfigError{err}
		}
		r.OpenEnded, m.calls, m.closers = s, s.Stats, append(m.closers, s)
	}
	add := func(name string, v reward.Verifier) error {
		if _, twice := r.Custom[name]; twice || name == "" {
			return configError("the verifier type %q is given twice, or has no name", name)
		}
		r.Custom[name] = v
		return nil
	}
	for name, x := range c.Exec {
		p, err := reward.NewProcess(x)
		if err != nil {
			return nil, fmt.Errorf("the program of %s: %w", name, err)
		}
		m.closers = append(m.closers, p)
		if err := add(name, p); err != nil {
			return nil, err
		}
	}
	for name, x := range c.HTTP {
		s, err := reward.NewService(x.URL, x.Key, x.Policy)
		if err != nil {
			return nil, &ConfigError{fmt.Errorf("the service of %s: %w", name, err)}
		}
		m.closers = append(m.closers, s)
		if err := add(name, s); err != nil {
			return nil, err
		}
	}
	for name, v := range c.Go {
		if err := add(name, v); err != nil {
			return nil, err
		}
	}
	m.custom = len(r.Custom) > 0
	m.Registry, err = reward.New(r)
	return m, err
}

// Close ends programs and connections.
func (m *Mixed) Close() error {
	var errs []error
	for _, c := range m.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Judged reports whether open_ended is scored.
func (m *Mixed) Judged() bool { return m.calls != nil }

// Custom reports whether there are verifiers beside the paper's.
func (m *Mixed) Custom() bool { return m.custom }

// Calls counts the calls of the judge or the reward model; without one it is zero.
func (m *Mixed) Calls() reward.CallStats {
	if m.calls == nil {
		return reward.CallStats{}
	}
	return m.calls()
}

// MathVerifier verifies mathematics, and choices that are answered by their value, by package mathverify.
func MathVerifier() reward.MathVerifier {
	return func(gold, answer string) (bool, string, error) {
		v := mathverify.Verify(gold, answer, mathverify.Options{})
		if v.Outcome == mathverify.BadGold {
			return false, v.Reason, v.Err
		}
		return v.Equal, v.Reason, nil
	}
}
