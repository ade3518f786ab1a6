package grpo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
)

// Config says how a policy is trained. What a run computes is a function of it, the data, the rewards and the engine's checkpoint.
type Config struct {
	Settings

	Seed            uint64
	InOrder         bool // the data in its own order, not shuffled
	Rollouts        int  // rollouts in all; 0: as many as Epochs need
	Epochs          int  // passes over the data where Rollouts is 0, not counting what dynamic sampling drops; 0: one
	DropLast        bool // where Rollouts is 0: no last rollout that reaches beyond the last epoch's end
	Prompts         int  // of a rollout
	Group           int  // samples of a prompt (num_generations)
	UpdateSequences int  // sequences of an optimizer step, a multiple of Group; 0: the whole rollout
	Iterations      int  // passes over a rollout's sequences (num_iterations); 0: one

	// Sampling says how completions are drawn: MaxTokens, TopP, TopK, MinP, Stop. Temperature and Ban are those of the settings, N is
	// Group.
	Sampling engine.Sampling

	Overlong Overlong        // penalty for long completions
	Dynamic  DynamicSampling // groups that teach nothing are replaced

	MaxSkipped int // updates in a row whose gradient is not finite that end the run; 0: 5

	Evaluation Evaluation
	Early      EarlyStop

	Judging `json:"-"`
}

// An Evaluation is rollouts over held-out prompts that nothing is learned from.
type Evaluation struct {
	Every       int     // rollouts; 0: only at the end
	AtStart     bool    // before anything is learned, too
	N           int     // samples a prompt; 0: one
	Temperature float64 // 0: greedy
	MaxTokens   int     // 0: those of the training
	Pass        float64 // least reward of a sample that passes; 0: 0.5
}

// A Run is a GRPO training run.
type Run struct {
	Config  Config
	Keeping Keeping

	Policy    *engine.Engine  // samples
	Trainer   *engine.Trainer // of Policy
	Reference *engine.Engine  // frozen; nil where Beta is 0
	Math      Math

	Prompts Prompts
	Held    Prompts // for Evaluation; nil: none
	Rewards []Reward

	// DryRun, when set, has the rewards judge gold answers before the run's first step.
	DryRun *DryRun

	// Progress, when set, is called after every update.
	Progress func(Progress)

	// Ended is set by Train: why the run ended before its last rollout, "" where it did not.
	Ended string
}

// Progress is where a run stands.
type Progress struct {
	Rollout, Rollouts int64 // the one under way, from 1
	Update, Updates   int64
	Metrics           map[string]float64
	Left              time.Duration // at the pace so far
}

// ErrStopped is returned by a run that was told to stop: it is saved, and goes on when it is run again.
var ErrStopped = errors.New("grpo: stopped and saved; run again to go on")

// Validate refuses what cannot be run over so many examples, as Train does before anything else.
func (c *Config) Validate(examples int) error { return c.check(examples) }

func (c *Config) check(data int) error {
	bad := func(name string, v any, want string) error {
		return &SettingsError{Key: name, Err: fmt.Errorf("%v: want %s", v, want)}
	}
	if err := c.Settings.Check(); err != nil {
		return err
	}
	switch {
	case data == 0:
		return errors.New("grpo: the data set is empty")
	case c.LossType == SFT:
		return bad("loss_type", c.LossType, "a loss for rewards; supervised fine-tuning is an SFTRun")
	case c.Rollouts < 0:
		return bad("Rollouts", c.Rollouts, "0 (by epochs) or more")
	case c.Epochs < 0:
		return bad("Epochs", c.Epochs, "0 (one) or more")
	case c.DropLast && c.Rollouts == 0 && c.Prompts > 0 && c.rollouts(data) == 0:
		return bad("Prompts", c.Prompts, fmt.Sprintf("at most the %d examples that there are: with DropLast there is no rollout of fewer", data*max(c.Epochs, 1)))
	case c.Prompts < 1:
		return bad("Prompts", c.Prompts, "1 or more prompts a rollout")
	case c.Group < 2 && !c.lone():
		return bad("Group", c.Group, "2 or more samples a prompt")
	case c.Group < 1:
		return bad("Group", c.Group, "1 or more samples a prompt")
	case c.UpdateSequences < 0 || c.UpdateSequences%c.Group != 0:
		return bad("UpdateSequences", c.UpdateSequences, fmt.Sprintf("0 (the whole rollout) or a multiple of the group, %d", c.Group))
	case c.Iterations < 0:
		return bad("Iterations", c.Iterations, "0 (one) or more")
	case c.Evaluation.Every < 0 || c.Evaluation.N < 0 || !(c.Evaluation.Temperature >= 0):
		return bad("Evaluation", c.Evaluation, "no negative numbers")
	case math.IsNaN(c.Evaluation.Pass) || math.IsInf(c.Evaluation.Pass, 0):
		return bad("Evaluation.Pass", c.Evaluation.Pass, "a finite number")
	case c.Early.evaluated() && c.Evaluation.Every == 0:
		return bad("Early.Metric", c.Early.Metric, "reward, or evaluations on the way (Evaluation.Every)")
	}
	for _, err := range []error{c.Dynamic.check(c.Group), c.Overlong.check(c.most()), c.Early.check(), c.Judging.check()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// rollouts is how many a run makes.
func (c *Config) rollouts(data int) int64 {
	if c.Rollouts > 0 {
		return int64(c.Rollouts)
	}
	examples := data * max(c.Epochs, 1)
	if c.DropLast {
		return int64(examples / c.Prompts)
	}
	return int64((examples + c.Prompts - 1) / c.Prompts)
}

// Schedule is how many rollouts and optimizer steps a run over so many examples makes. OpenRLHF, whose trainer the paper's authors adapted,
// plans its learning rate over one more: it counts the samples of the last, partial rollout, which it does not make.
func (c *Config) Schedule(data int) (rollouts, updates int64) {
	n := c.rollouts(data)
	return n, n * c.updatesOf()
}

// updatesOf is how many optimizer steps a rollout gives.
func (c *Config) updatesOf() int64 {
	sequences := c.Prompts * c.Group
	size := c.UpdateSequences
	if size == 0 {
		size = sequences
	}
	return int64(max(c.Iterations, 1) * ((sequences + size - 1) / size))
}

// sampling is what a rollout draws by.
func (c *Config) sampling(rollout int64) engine.Sampling {
	s := c.Sampling
	s.N, s.Temperature, s.Ban, s.Seed, s.Step = c.Group, c.Temperature, c.Ban, c.Seed, uint32(rollout)
	if s.MaxTokens == 0 {
		s.MaxTokens = c.MaxCompletionLength
	}
	return s
}

// plan computes the memory of the run's largest micro-batch, from some of its prompts, and refuses what the machine cannot hold.
func (r *Run) plan() (engine.TrainPlan, error) {
	shape := engine.FamilyShape{CompletionTokens: r.Config.most(), Completions: r.Config.Group}
	var seen pictures
	err := look(r.Prompts.Len(), func(i int) error {
		x, err := load(r.Prompts, i)
		if err != nil {
			return fmt.Errorf("grpo: %w", err)
		}
		shape.Grow(x.Prompt)
		seen.add(x.Prompt)
		return nil
	})
	if err != nil {
		return engine.TrainPlan{}, err
	}
	shape.Pictures = seen.of(r.Config.Prompts + r.Config.Dynamic.Ahead)
	return r.Trainer.Plan(shape)
}

// pictures are the bytes of the resized pictures of some prompts.
type pictures struct{ n, sum, most int64 }

func (s *pictures) add(p *engine.Prompt) {
	bytes := int64(0)
	for _, m := range p.Images {
		bytes += int64(len(m.Pixels))
	}
	s.n++
	s.sum += bytes
	s.most = max(s.most, bytes)
}

// of estimates the bytes of so many prompts, which are held from their rollout to their update: their mean, and one of the largest. By the
// largest alone a data set with one large picture could not be learned from.
func (s *pictures) of(prompts int) int64 {
	if s.n == 0 {
		return 0
	}
	n := int64(prompts)
	return min(n*s.most, int64(float64(n)*float64(s.sum)/float64(s.n))+s.most)
}

// look calls f for some numbers below n, evenly spread: how large the data is, is planned from these.
func look(n int, f func(i int) error) error { return spread(n, 64, f) }

// spread calls f for so many numbers below n, or all, evenly spread.
func spread(n, looks int, f func(i int) error) error {
	for k := range min(n, looks) {
		if err := f(k * n / min(n, looks)); err != nil {
			return err
		}
	}
	return nil
}

// A trainer is a run under way.
type trainer struct {
	*Run
	*journal
	panel    *panel
	order    *data.Order
	rollouts int64
	started  time.Time
	begun    int64 // updates when it started
}

// Train runs to the end, from the newest checkpoint of the run's folder if it has one. When stop is cancelled it finishes the rollout under
// way, saves, and returns [ErrStopped]; when ctx is, it ends at once. A run that was killed anywhere and is run again ends in the same
// bytes: weights, optimizer state and metrics.jsonl. A run that ended early ([EarlyStop]) is finished.
func (r *Run) Train(ctx, stop context.Context) (err error) {
	if err := r.Config.check(r.Prompts.Len()); err != nil {
		return err
	}
	if err := checkRewards(r.Rewards); err != nil {
		return err
	}
	switch early := r.Config.Early; {
	case r.Config.Beta > 0 && r.Reference == nil:
		return fmt.Errorf("grpo: beta is %v, and there is no reference policy", r.Config.Beta)
	case r.Held != nil && r.Held.Len() == 0:
		return errors.New("grpo: the held-out data set is empty: leave Held out where there is nothing to evaluate on")
	case early.evaluated() && r.Held == nil:
		return &SettingsError{Key: "Early.Metric", Err: fmt.Errorf("%s: there are no held-out prompts to evaluate on", early.Metric)}
	case r.Config.Overlong.Buffer > 0 && slices.ContainsFunc(r.Rewards, func(w Reward) bool { return w.Name == overlongName }):
		return fmt.Errorf("grpo: reward %s: the name is taken by the penalty for long completions", overlongName)
	}
	if r.Keeping.Log == nil {
		r.Keeping.Log = slog.Default()
	}
	plan, err := r.plan()
	if err != nil {
		return err
	}
	r.Keeping.Log.Info("grpo: memory", "policy", r.Policy.Plan().String(), "training", plan.String(), "available", plan.Available)
	start := State{KL: r.Config.KLController(), Total: r.Config.rollouts(r.Prompts.Len())}
	j, err := openJournal(ctx, r.Keeping, r.Policy, r.Trainer, r.Config, start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	t := &trainer{Run: r, journal: j, panel: newPanel(r.Rewards, r.Config.Judging), rollouts: r.Config.rollouts(r.Prompts.Len()), started: time.Now(), begun: j.State.Update,
		order: data.NewOrder(r.Prompts.Len(), r.Config.Seed, !r.Config.InOrder)}
	if err := t.order.Check(j.State.Cursor); err != nil {
		return err
	}
	defer func() { r.Ended = t.State.Ended }()
	if t.State.Ended != "" {
		t.keeping.Log.Info("grpo: the run is finished: it ended early", "reason", t.State.Ended, "rollout", t.State.Step)
		return nil
	}
	if t.State.Step == 0 { // no checkpoint: a run that goes on has its start behind it, whatever has become of its metrics
		if err := t.before(ctx); err != nil {
			return err
		}
	}
	if t.State.Ended != "" { // by the evaluation before the first step
		return t.save(ctx, nil)
	}
	for t.State.Step < t.rollouts && t.State.Ended == "" {
		score, err := t.rollout(ctx)
		if err != nil {
			return err
		}
		stopped := stop.Err() != nil
		last := t.State.Step == t.rollouts || t.State.Ended != ""
		if every := int64(r.Keeping.Every); stopped || last || every > 0 && t.State.Step%every == 0 {
			if err := t.save(ctx, score); err != nil {
				return err
			}
		}
		if stopped && !last {
			return ErrStopped
		}
	}
	return nil
}

// before does what comes before the first step.
func (t *trainer) before(ctx context.Context) error {
	if t.DryRun != nil {
		if err := t.dryRun(ctx); err != nil {
			return err
		}
	}
	if !t.Config.Evaluation.AtStart || t.Held == nil {
		return nil
	}
	clock := time.Now()
	m, err := t.evaluate(ctx, 0)
	if err != nil {
		return err
	}
	if err := t.stopEarly(m, true); err != nil {
		return err
	}
	return t.log.Step(0, m, map[string]float64{"time/evaluate": time.Since(clock).Seconds()})
}

// rollout samples, scores and learns once. It returns the evaluation's reward where there was one.
func (t *trainer) rollout(ctx context.Context) (*float64, error) {
	c := &t.Config
	clock := time.Now()
	drawn := t.State.Cursor
	in := &intake{prompts: t.Prompts, take: func() int { return t.order.Take(&drawn, 1)[0] }, want: c.Prompts, limit: c.limitOf(),
		ahead: c.Dynamic.Ahead, dynamic: c.Dynamic.MaxOversampling > 0, masked: c.MaskTruncatedCompletions}
	d := drawing{policy: t.Policy, sampling: c.sampling(t.State.Step), panel: t.panel, source: in}
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	for _, err := range in.failures() {
		t.keeping.Log.Warn("grpo: a reward failed; its samples are masked", "error", err)
	}
	batch, filled, err := in.groups()
	if err != nil {
		return nil, err
	}
	if filled > 0 && in.dynamic {
		t.keeping.Log.Info("grpo: too few groups with different rewards; others fill the batch", "rollout", t.State.Step+1, "drawn", in.cut, "filled", filled)
	}
	cursor := t.State.Cursor
	t.order.Take(&cursor, in.cut)
	rolled := &rollout{groups: batch, rewards: t.Rewards}
	common := rolled.metrics()
	in.metrics(common)
	c.Overlong.penalize(rolled, c.most(), common)
	common["epoch"] = float64(cursor.Epoch) + float64(cursor.Next)/float64(t.order.Len())
	timing := map[string]float64{"time/rollout": time.Since(clock).Seconds(), "time/reward": d.waited.Seconds()}

	clock = time.Now()
	groups, advantages, err := t.episodes(ctx, rolled)
	if err != nil {
		return nil, err
	}
	first, tokens := t.State.Update, t.State.Tokens
	lines, kl, err := t.learn(ctx, groups, common)
	if err != nil {
		return nil, err
	}
	if kl != nil {
		t.State.KL.Update(*kl, c.Prompts*c.Group)
	}
	t.State.Cursor = cursor
	t.State.Step++
	timing["time/learn"] = time.Since(clock).Seconds()
	tokens = (t.State.Tokens - tokens) / int64(max(c.Iterations, 1))
	timing["perf/tokens_per_second"] = float64(tokens) / (timing["time/rollout"] + timing["time/learn"])

	if err := t.stopEarly(common, false); err != nil {
		return nil, err
	}
	last := t.State.Step == t.rollouts || t.State.Ended != ""
	var score *float64
	if ev := c.Evaluation; t.Held != nil && (last || ev.Every > 0 && t.State.Step%int64(ev.Every) == 0) {
		clock := time.Now()
		m, err := t.evaluate(ctx, t.State.Step)
		if err != nil {
			return nil, err
		}
		for k, v := range m {
			lines[len(lines)-1][k] = v
		}
		if v, ok := m["eval_reward"]; ok && !math.IsNaN(v) {
			score = &v
		}
		if err := t.stopEarly(m, true); err != nil {
			return nil, err
		}
		timing["time/evaluate"] = time.Since(clock).Seconds()
		last = last || t.State.Ended != ""
	}
	for i, m := range lines {
		if err := t.log.Step(first+1+int64(i), m, timing); err != nil {
			return nil, err
		}
	}
	if err := t.watch(in.all[:in.cut], common, last); err != nil {
		return nil, err
	}
	return score, t.log.Completions(t.State.Update, rolled.completions(advantages))
}

// learn makes a rollout's updates. It returns their metrics and their mean KL, nil where none has one.
func (t *trainer) learn(ctx context.Context, groups [][]Episode, common map[string]float64) (lines []map[string]float64, kl *float64, err error) {
	c := &t.Config
	s := c.Settings
	s.Beta = t.State.KL.Coef
	size := c.UpdateSequences / c.Group
	if size == 0 {
		size = len(groups)
	}
	total := int(c.updatesOf() * t.rollouts)
	var kls gauge
	for range max(c.Iterations, 1) {
		for at := 0; at < len(groups); at += size {
			var batch []Episode
			for _, g := range groups[at:min(at+size, len(groups))] {
				batch = append(batch, g...)
			}
			u, err := s.Update(ctx, Policy{t.Trainer, t.Math}, batch, s.LearningRateAt(int(t.State.Update), total))
			if err != nil {
				return nil, nil, err
			}
			t.State.Update++
			for i := range batch {
				t.State.Tokens += int64(len(batch[i].Prompt.IDs) + len(batch[i].IDs))
			}
			if u.NonFinite == nil {
				t.State.InARow = 0
			} else if err := t.skip(&s, batch, u.NonFinite, c.MaxSkipped); err != nil {
				return nil, nil, err
			}
			if u.KL != nil {
				kls.add(*u.KL)
			}
			m := t.updateMetrics(u, &s)
			maps.Copy(m, common)
			lines = append(lines, m)
			if t.Progress != nil {
				done := t.State.Update - t.begun
				left := time.Duration(float64(time.Since(t.started)) / float64(done) * float64(int64(total)-t.State.Update))
				t.Progress(Progress{t.State.Step + 1, t.rollouts, t.State.Update, int64(total), m, left})
			}
		}
	}
	if kls.n > 0 {
		mean := kls.mean()
		kl = &mean
	}
	return lines, kl, nil
}

// episodes gives the samples of a rollout their advantages and the reference's log-probs, group by group.
func (t *trainer) episodes(ctx context.Context, r *rollout) (groups [][]Episode, advantages [][]float64, err error) {
	var samples []Sample
	var completions []engine.Sequence
	for i, g := range r.groups {
		for j, s := range g.samples {
			samples = append(samples, Sample{Reward: r.reward(i, j), Group: fmt.Sprint(i)})
			completions = append(completions, engine.Sequence{Prompt: g.example.Prompt, IDs: s.IDs})
		}
	}
	a, err := t.Config.Advantages(t.Math, samples)
	if err != nil {
		return nil, nil, err
	}
	reference := make([][]float32, len(samples))
	if t.Config.Beta > 0 {
		scoring := engine.Scoring{Temperature: t.Config.Temperature, Ban: t.Config.Ban}
		err := t.Reference.ScoreBatch(ctx, completions, scoring, 0, func(i int, logprobs, _ []float32) error {
			reference[i] = slices.Clone(logprobs)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	k := 0
	for _, g := range r.groups {
		var group []Episode
		var values []float64
		for _, s := range g.samples {
			v := a.Values[k]
			group = append(group, Episode{Sample: Sample{Advantage: &v}, Prompt: g.example.Prompt, IDs: s.IDs, OldLogProbs: s.LogProbs,
				RefLogProbs: reference[k], Truncated: s.FinishReason == engine.FinishLength})
			values = append(values, v)
			k++
		}
		groups, advantages = append(groups, group), append(advantages, values)
	}
	return groups, advantages, nil
}

// updateMetrics are an update's, by TRL's names.
func (t *trainer) updateMetrics(u *Update, s *Settings) map[string]float64 {
	m := map[string]float64{
		"loss": u.Loss, "grad_norm": u.GradNorm, "learning_rate": u.LearningRate, "num_tokens": float64(t.State.Tokens),
		"clip_ratio/low_mean": u.ClipLow, "clip_ratio/high_mean": u.ClipHigh, "clip_ratio/region_mean": u.ClipRegion,
		"sampling/sampling_logp_difference/mean": u.Stats.MeanDiff, "sampling/sampling_logp_difference/max": u.Stats.MaxDiff,
		"sampling/importance_sampling_ratio/min": u.Stats.MinRatio, "sampling/importance_sampling_ratio/max": u.Stats.MaxRatio,
		"sampling/same_bits": float64(u.Stats.Same) / float64(max(u.Stats.Tokens, 1)), "skipped_updates": float64(t.State.Skipped),
	}
	if u.KL != nil {
		m["kl"], m["kl_coef"] = *u.KL, s.Beta
	}
	if u.Entropy != nil {
		m["entropy"] = *u.Entropy
	}
	return m
}

// evaluate samples the held-out prompts and scores them; its random numbers are of their own kind. The outcomes go into the run's folder.
func (t *trainer) evaluate(ctx context.Context, step int64) (map[string]float64, error) {
	ev := t.Config.Evaluation
	s := t.Config.sampling(step)
	s.N, s.Temperature, s.Seed = max(ev.N, 1), ev.Temperature, t.Config.Seed^evaluationSeed
	if ev.MaxTokens > 0 {
		s.MaxTokens = ev.MaxTokens
	}
	v, err := evaluate(ctx, t.Policy, t.Held, t.panel, EvaluationConfig{Sampling: s, Pass: ev.Pass})
	if err != nil {
		return nil, err
	}
	for _, err := range v.Failures {
		t.keeping.Log.Warn("grpo: a reward failed; its samples are left out of the evaluation", "error", err)
	}
	v.Update = t.State.Update
	if err := v.WriteFiles(filepath.Join(t.keeping.Dir, evaluationFolder), step); err != nil {
		return nil, err
	}
	m := map[string]float64{}
	for k, x := range v.Metrics() {
		m["eval_"+k] = x
	}
	return m, nil
}

const evaluationFolder = "eval"

// evaluationSeed tells the random numbers of evaluations from those of rollouts.
const evaluationSeed = 0x6576616c75617465
