package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/prompt"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/dataset"
	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/grpo/reward/mixed"
	"github.com/thinker-vl/thinker/grpo/runfile"
)

const runHelp = `
The run file has sections of keys: model, data, prompt, checkpoints, %s;
and seed. --preset fills in what it does not say; --set KEY=VALUE, --model, --data, --out and --seed go over it. A key that is not known
is refused, with the one that was probably meant. --print-config writes the resolved file, with all keys; the run's folder gets it as
run.yaml before the first step.

A folder that holds a run is refused, unless --resume says to go on with it; a run that is another one is refused with the keys that
differ. --resume --out DIR needs no run file: that of the folder is read. A run that was killed anywhere and goes on ends in the same bytes.

The first interrupt (Ctrl-C, SIGTERM) finishes the %s under way, saves, prints the command that goes on, and ends with status 75; a
second one ends at once, which loses what was not saved and nothing else. At the end standard output has one JSON object.`

func (a *app) trainCommand() *cobra.Command {
	f := &runFlags{kind: runfile.GRPO}
	c := &cobra.Command{
		Use:   "train --config RUN.yaml [--set KEY=VALUE]... [--resume]",
		Short: "Train a policy by GRPO, on rewards that verify its answers",
		Long: `Train a policy by GRPO: it answers each question several times, verifiers score the answers, and it learns from what set the better
ones of a group apart.

` + "Records have the VLAA-Thinking schema: question, image, gt, verifier_type (digit, mcq, math, iou, open_ended, or one of your own).\n" + fmt.Sprintf(runHelp, "grpo, rollout, rewards, evaluation, early_stop", "rollout"),
		Example: `  thinker train --preset paper --model Qwen2.5-VL-3B-Instruct --data VLAA-Thinking-GRPO-25K.json --out runs/paper
  thinker train --config run.yaml --set rollout.prompts=16 --set grpo.learning_rate=2e-6
  thinker train --out runs/paper --resume`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runError(f.kind, a.train(c, f)) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.resume, "resume", false, "go on with the run in the folder")
	return c
}

func (a *app) sftCommand() *cobra.Command {
	f := &runFlags{kind: runfile.SFT}
	c := &cobra.Command{
		Use:   "sft --config RUN.yaml [--set KEY=VALUE]... [--resume]",
		Short: "Fine-tune a policy on demonstrations",
		Long: `Fine-tune a policy on demonstrations: records with a response, <think>...</think> <answer>...</answer>. What the prompt says is not
learned.
` + fmt.Sprintf(runHelp, "sft, batch, evaluation", "update"),
		Example: `  thinker sft --preset paper --model Qwen2.5-VL-3B-Instruct --data VLAA-Thinking-SFT-126K.json --out runs/sft
  thinker sft --out runs/sft --resume`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runError(f.kind, a.train(c, f)) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.resume, "resume", false, "go on with the run in the folder")
	return c
}

// A session is what a run needs, opened piece by piece and closed in the end.
type session struct {
	a       *app
	f       *runfile.File
	status  *status
	closers []func() error

	rewards *mixed.Mixed
	train   *data.Set
	held    *data.Set
	types   []string // verifier types in the data
	layout  *prompt.Layout
	policy  *engine.Engine
}

func (s *session) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *session) close() (err error) {
	for _, f := range slices.Backward(s.closers) {
		err = errors.Join(err, f())
	}
	return err
}

func (a *app) train(c *cobra.Command, flags *runFlags) error {
	f, err := flags.load(c)
	if err != nil {
		return err
	}
	if flags.print {
		_, err := a.stdout.Write(f.YAML(version()))
		return err
	}
	if err := need(f); err != nil {
		return err
	}
	done, err := a.launch(c.Context(), f, flags.resume, resumeCommand(f.Kind, f.Checkpoints.Dir))
	if err != nil {
		return err
	}
	line, err := json.Marshal(done)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(append(line, '\n'))
	return err
}

// launch makes a run, or goes on with the one in its folder. goOn is the command that goes on with it once more.
func (a *app) launch(ctx context.Context, f *runfile.File, resume bool, goOn string) (_ *result, err error) {
	old, err := openFolder(f, resume)
	if err != nil {
		return nil, err
	}
	if err := hashFiles(f, old); err != nil {
		return nil, err
	}
	clock := time.Now()
	s := &session{a: a, f: f, status: &status{a: a}}
	defer func() { err = errors.Join(err, s.close()) }()
	var run func(ctx, stop context.Context) (*result, error)
	if f.Kind == runfile.SFT {
		run, err = s.openSFT(ctx)
	} else {
		run, err = s.openGRPO(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := writeRunFile(f); err != nil {
		return nil, err
	}
	// From here on the first interrupt is a wish to end.
	a.finishing.Store(true)
	defer a.finishing.Store(false)
	done, err := run(context.WithoutCancel(ctx), ctx)
	s.status.end()
	switch {
	case errors.Is(err, grpo.ErrStopped):
		return nil, &stoppedError{goOn}
	case err != nil:
		if lastCheckpoint(f.Checkpoints.Dir) != "" {
			err = fmt.Errorf("%w\nthinker: what was saved is there; go on with: %s", err, goOn)
		}
		return nil, err
	}
	if done.Metrics == nil && !a.quiet {
		fmt.Fprintf(a.stderr, "thinker: the run is finished: nothing was left to do\n")
	}
	done.Run, done.Checkpoint = f.Checkpoints.Dir, lastCheckpoint(f.Checkpoints.Dir)
	if !a.quiet {
		fmt.Fprintf(a.stderr, "thinker: done in %v, peak memory %s: %s\n", time.Since(clock).Round(time.Second), formatBytes(peakMemory()), done.Checkpoint)
	}
	return done, nil
}

// A result is what a run says of itself on standard output.
type result struct {
	Run        string             `json:"run"`
	Checkpoint string             `json:"checkpoint"`
	Rollouts   int64              `json:"rollouts,omitempty"`
	Updates    int64              `json:"updates"`
	Ended      string             `json:"ended,omitempty"` // why early
	Metrics    map[string]float64 `json:"metrics,omitempty"`
}

// note keeps a run's last numbers.
func (o *result) note(p grpo.Progress, rollouts bool) {
	o.Updates = p.Update
	if rollouts {
		o.Rollouts = p.Rollout
	}
	o.Metrics = map[string]float64{}
	for k, v := range p.Metrics {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			o.Metrics[k] = v
		}
	}
}

// openRewards opens the verifiers.
func (s *session) openRewards() (err error) {
	w := &s.f.Rewards
	key := ""
	if w.KeyEnv != "" {
		if key = os.Getenv(w.KeyEnv); key == "" {
			return fmt.Errorf("rewards.calls.key_env: the environment variable %s is not set", w.KeyEnv)
		}
	}
	policy := reward.Policy{Concurrency: w.Concurrency, Rate: w.Rate, Timeout: w.CallTimeout, Deadline: w.Deadline, Attempts: w.Attempts,
		MaxCalls: int64(w.MaxCalls), MaxTokens: int64(w.MaxTokens)}
	c := mixed.Config{Extract: w.Extract, Exec: map[string]reward.ProcessConfig{}, HTTP: map[string]mixed.Service{},
		Judge:       reward.JudgeConfig{URL: w.JudgeURL, Model: w.JudgeModel, Key: key, System: w.JudgeSystem, NoImages: w.JudgeBlind, Policy: policy},
		RewardModel: reward.RewardModelConfig{URL: w.ModelURL, Model: w.ModelName, Key: key, Beta: w.ModelBeta, Policy: policy}}
	for name, words := range w.Exec {
		c.Exec[name] = reward.ProcessConfig{Path: words[0], Args: words[1:], Timeout: w.CallTimeout, Memory: w.ExecMemory, Workers: w.ExecWorkers}
	}
	for name, url := range w.HTTP {
		c.HTTP[name] = mixed.Service{URL: url, Key: key, Policy: policy}
	}
	if s.rewards, err = mixed.Open(c); err != nil {
		return fmt.Errorf("rewards: %w", err)
	}
	s.onClose(s.rewards.Close)
	known := s.rewards.Types()
	for _, x := range []struct {
		key   string
		names []string
	}{{"rewards.weights", slices.Sorted(maps.Keys(w.Weights))}, {"data.types", s.f.Data.Types}, {"data.verifier_type", []string{s.f.Data.Type}}} {
		for _, name := range x.names {
			if name == "" || slices.Contains(known, name) {
				continue
			}
			hint := ""
			if best := grpo.Nearest(name, known); best != "" {
				hint = fmt.Sprintf(": did you mean %s?", best)
			}
			return fmt.Errorf("%s: %q is none of %s%s", x.key, name, strings.Join(known, ", "), hint)
		}
	}
	return nil
}

// openData reads the records, and says what was left out.
func (s *session) openData(ctx context.Context, want data.Want, files []string) (*data.Set, *data.Report, error) {
	d := &s.f.Data
	o := data.Options{Roots: d.Roots, Skip: d.Skip, Want: want, Type: d.Type}
	if s.rewards != nil {
		o.Types = d.Types
		if o.Types == nil {
			o.Types = s.rewards.Types()
			if d.Skip && !s.rewards.Judged() {
				o.Types = slices.DeleteFunc(o.Types, func(t string) bool { return t == reward.OpenEnded })
			}
		}
	}
	bar := s.a.progress("reading "+strings.Join(files, ", "), 100)
	defer bar.end()
	o.Progress = func(done, total int64) { bar.set(100 * done / max(total, 1)) }
	set, report, err := data.Open(ctx, o, files...)
	bar.end()
	if err != nil {
		return nil, nil, err
	}
	s.onClose(set.Close)
	if !s.a.quiet && (report.Left() > 0 || s.a.verbose) {
		s.status.print(report.String())
	}
	if s.rewards != nil && !s.rewards.Judged() && report.Types[reward.OpenEnded] > 0 {
		return nil, nil, fmt.Errorf("%s of type open_ended, which nothing scores: set rewards.judge or rewards.reward_model, or leave them out by data.types and data.on_error=skip",
			count(report.Types[reward.OpenEnded], "record"))
	}
	return set, report, nil
}

// openSets reads what is learned from, and what is held out.
func (s *session) openSets(ctx context.Context, want data.Want) error {
	set, report, err := s.openData(ctx, want, s.f.Data.Files)
	if err != nil {
		return err
	}
	s.train = set
	s.types = slices.Sorted(maps.Keys(report.Types))
	switch {
	case s.f.Data.Split > 0:
		if s.train, s.held, err = data.Split(set, s.f.Data.Split, s.f.Seed); err != nil {
			return fmt.Errorf("data.held_out: %w", err)
		}
		s.onClose(s.train.Close)
		s.onClose(s.held.Close)
	case s.f.Data.HeldOut != nil:
		held, report, err := s.openData(ctx, want, s.f.Data.HeldOut)
		if err != nil {
			return err
		}
		s.held = held
		for t := range report.Types {
			if !slices.Contains(s.types, t) {
				s.types = append(s.types, t)
			}
		}
		slices.Sort(s.types)
	}
	return nil
}

// openPolicy loads the layout and the weights.
func (s *session) openPolicy(ctx context.Context) (err error) {
	if s.layout, err = s.f.Layout(); err != nil {
		return err
	}
	s.policy, err = s.openEngine(ctx, s.f.Model.Path, "loading weights")
	return err
}

func (s *session) openEngine(ctx context.Context, dir, what string) (*engine.Engine, error) {
	bar := s.a.progress(what, 100)
	defer bar.end()
	o := s.f.EngineOptions()
	o.Progress = func(done, total int64) { bar.set(100 * done / max(total, 1)) }
	e, err := engine.Open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", dir, err)
	}
	s.onClose(e.Close)
	return e, nil
}

// options say how records become prompts.
func (s *session) options(what string, room int) (dataset.Options, func()) {
	bar := s.a.progress(what, 100)
	return dataset.Options{Layout: s.layout, MaxPrompt: s.f.Prompt.MaxLength, Room: room, Check: s.f.Data.Check, Skip: s.f.Data.Skip, Log: s.status.log(),
		Progress: func(done, total int64) { bar.set(100 * done / max(total, 1)) }}, bar.end
}

// report says what a check of the records has left out.
func (s *session) report(what string, r dataset.Report) {
	if s.a.quiet || len(r.Skipped) == 0 && !s.a.verbose {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d of %d records, prompts of %.0f tokens in the mean, %d at most, %d pictures", what, r.Kept, r.Records, r.MeanPrompt, r.LongestPrompt, r.Pictures)
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		fmt.Fprintf(&b, "\n%8d  %s", r.Reasons[reason], reason)
	}
	for i := range r.Skipped[:min(5, len(r.Skipped))] {
		fmt.Fprintf(&b, "\n  %s", strings.TrimPrefix(r.Skipped[i].Error(), "data: "))
	}
	s.status.print(b.String())
}

func (s *session) prompts(ctx context.Context, what string, set *data.Set, room int) (*dataset.Prompts, error) {
	o, end := s.options("checking "+what, room)
	o.Gold = s.rewards.Registry
	p, err := dataset.NewPrompts(ctx, s.policy, set, o)
	end()
	if err == nil {
		s.report(what, p.Report())
	}
	return p, err
}

func (s *session) demonstrations(ctx context.Context, what string, set *data.Set) (*dataset.Demonstrations, error) {
	o, end := s.options("checking "+what, 0)
	d, err := dataset.NewDemonstrations(ctx, s.policy, set, o)
	end()
	if err == nil {
		s.report(what, d.Report())
	}
	return d, err
}

// trainer plans the memory, and takes it.
func (s *session) trainer(ctx context.Context, shape engine.FamilyShape) (*engine.Trainer, *engine.Math, error) {
	if s.f.Data.Check != dataset.CheckNothing { // else the run looks at some examples, when the memory is taken
		if _, err := s.policy.PlanTraining(s.f.TrainOptions(), shape); err != nil {
			return nil, nil, err
		}
	}
	t, err := s.policy.NewTrainer(ctx, s.f.TrainOptions())
	if err != nil {
		return nil, nil, err
	}
	s.onClose(t.Close)
	m := s.policy.Math()
	s.onClose(m.Close)
	return t, m, nil
}

// rewardList are the rewards of the types in the data, and that of the format.
func (s *session) rewardList() ([]grpo.Reward, error) {
	w := &s.f.Rewards
	all := dataset.Rewards(s.rewards.Registry, s.types, w.Weights)
	if w.Format > 0 {
		format, err := dataset.Plain("format", w.Format, reward.Func(reward.Format))
		if err != nil {
			return nil, err
		}
		all = append(all, format)
	}
	return all, nil
}

// dryRun has gold answers verified before the first step; nil: not.
func (s *session) dryRun() *grpo.DryRun {
	w := &s.f.Rewards
	if w.DryRun == 0 {
		return nil
	}
	d := &grpo.DryRun{Examples: w.DryRun, MaxRejected: max(w.DryRunMaxRejected, 1e-9), Warn: w.DryRunWarn, Wrap: s.rewards.Place.Wrap}
	if s.rewards.Place.Name == reward.Places()[0].Name {
		d.Wrap = func(gold string) string { return prompt.Response("It is known.", gold) }
	} else {
		d.Skip = append(d.Skip, "format")
	}
	if w.ModelURL != "" { // which scores an answer by what it is better than the gold one
		d.Skip = append(d.Skip, reward.OpenEnded)
	}
	return d
}

func (s *session) openGRPO(ctx context.Context) (func(ctx, stop context.Context) (*result, error), error) {
	f := s.f
	if err := s.openRewards(); err != nil {
		return nil, err
	}
	if err := s.openSets(ctx, data.WantGold); err != nil {
		return nil, err
	}
	config := f.Config()
	if err := config.Validate(s.train.Len()); err != nil {
		return nil, err
	}
	if err := s.openPolicy(ctx); err != nil {
		return nil, err
	}
	room := f.Settings.MaxCompletionLength
	prompts, err := s.prompts(ctx, "training data", s.train, room)
	if err != nil {
		return nil, err
	}
	run := &grpo.Run{Config: config, Keeping: f.Keeping(), Policy: s.policy, Prompts: prompts, DryRun: s.dryRun()}
	if s.held != nil {
		if run.Held, err = s.prompts(ctx, "held-out data", s.held, max(room, f.Evaluation.MaxCompletionLength)); err != nil {
			return nil, err
		}
	}
	if run.Rewards, err = s.rewardList(); err != nil {
		return nil, err
	}
	if f.Settings.Beta > 0 {
		dir := f.Model.Reference
		if dir == "" {
			dir = f.Model.Path
		}
		if run.Reference, err = s.openEngine(ctx, dir, "loading the reference's weights"); err != nil {
			return nil, err
		}
	}
	shape := prompts.Report().Shape
	shape.Completions, shape.CompletionTokens = f.Rollout.Group, room
	if run.Trainer, run.Math, err = s.trainer(ctx, shape); err != nil {
		return nil, err
	}
	done := &result{}
	run.Keeping.Log = s.status.log()
	run.Progress = func(p grpo.Progress) {
		done.note(p, true)
		s.status.update(p)
	}
	return func(ctx, stop context.Context) (*result, error) {
		err := run.Train(ctx, stop)
		done.Ended = run.Ended
		return done, err
	}, nil
}

func (s *session) openSFT(ctx context.Context) (func(ctx, stop context.Context) (*result, error), error) {
	f := s.f
	if err := s.openSets(ctx, data.WantResponse); err != nil {
		return nil, err
	}
	config := f.SFTConfig()
	if err := config.Validate(s.train.Len()); err != nil {
		return nil, err
	}
	if err := s.openPolicy(ctx); err != nil {
		return nil, err
	}
	demonstrations, err := s.demonstrations(ctx, "training data", s.train)
	if err != nil {
		return nil, err
	}
	run := &grpo.SFTRun{Config: config, Keeping: f.Keeping(), Policy: s.policy, Data: demonstrations}
	if s.held != nil {
		if run.Held, err = s.demonstrations(ctx, "held-out data", s.held); err != nil {
			return nil, err
		}
	}
	shape := demonstrations.Report().Shape
	shape.Completions = 1
	if run.Trainer, run.Math, err = s.trainer(ctx, shape); err != nil {
		return nil, err
	}
	done := &result{}
	run.Keeping.Log = s.status.log()
	run.Progress = func(p grpo.Progress) {
		done.note(p, false)
		s.status.update(p)
	}
	return func(ctx, stop context.Context) (*result, error) { return done, run.Train(ctx, stop) }, nil
}
