package grpo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
)

// SFTConfig says how a policy is fine-tuned on demonstrations. Its settings have loss type sft.
type SFTConfig struct {
	Settings

	Seed       uint64
	InOrder    bool // the data in its own order, not shuffled
	Updates    int  // optimizer steps in all; 0: as many as Epochs need
	Epochs     int  // passes over the data where Updates is 0; 0: one
	Sequences  int  // of an optimizer step
	MaxSkipped int  // updates in a row whose gradient is not finite that end the run; 0: 5

	EvaluateEvery int // updates between losses on held-out demonstrations; 0: only at the end
}

// An SFTRun is a run of supervised fine-tuning: the mean negative log-likelihood of the demonstrations' completions, on the path that
// GRPO learns on. What the prompt says is not learned.
type SFTRun struct {
	Config  SFTConfig
	Keeping Keeping // Every counts updates

	Policy  *engine.Engine
	Trainer *engine.Trainer // of Policy
	Math    Math

	Data Demonstrations
	Held Demonstrations // for evaluation; nil: none. The checkpoint of the lowest eval_loss is the best.

	// Progress, when set, is called after every update.
	Progress func(Progress)
}

// Validate refuses what cannot be run over so many demonstrations, as Train does before anything else.
func (c *SFTConfig) Validate(demonstrations int) error { return c.check(demonstrations) }

func (c *SFTConfig) check(data int) error {
	if err := c.Settings.Check(); err != nil {
		return err
	}
	switch {
	case data == 0:
		return errors.New("grpo: the data set is empty")
	case c.LossType != SFT:
		return &SettingsError{Key: "loss_type", Err: fmt.Errorf("%s: want sft", c.LossType)}
	case c.Sequences < 1 || c.Updates < 0 || c.Epochs < 0 || c.EvaluateEvery < 0:
		return fmt.Errorf("grpo: Sequences %d, Updates %d, Epochs %d, EvaluateEvery %d: want 1 or more sequences a step, and no negative numbers", c.Sequences, c.Updates, c.Epochs, c.EvaluateEvery)
	}
	return nil
}

func (c *SFTConfig) updates(data int) int64 {
	if c.Updates > 0 {
		return int64(c.Updates)
	}
	return int64((data*max(c.Epochs, 1) + c.Sequences - 1) / c.Sequences)
}

// Train runs to the end, as [Run.Train] does.
func (r *SFTRun) Train(ctx, stop context.Context) (err error) {
	c := &r.Config
	if err := c.check(r.Data.Len()); err != nil {
		return err
	}
	if r.Held != nil && r.Held.Len() == 0 {
		return errors.New("grpo: the held-out data set is empty: leave Held out where there is nothing to evaluate on")
	}
	if r.Keeping.Log == nil {
		r.Keeping.Log = slog.Default()
	}
	plan, err := r.plan()
	if err != nil {
		return err
	}
	r.Keeping.Log.Info("grpo: memory", "policy", r.Policy.Plan().String(), "training", plan.String(), "available", plan.Available)
	j, err := openJournal(ctx, r.Keeping, r.Policy, r.Trainer, r.Config, State{Total: c.updates(r.Data.Len())})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	updates := c.updates(r.Data.Len())
	order := data.NewOrder(r.Data.Len(), c.Seed, !c.InOrder)
	if err := order.Check(j.State.Cursor); err != nil {
		return err
	}
	started, begun := time.Now(), j.State.Update
	ahead, cancel := context.WithCancel(ctx)
	var next *reading
	defer func() {
		cancel()
		next.wait()
	}()
	if j.State.Step < updates {
		next = r.read(ahead, order, j.State.Cursor)
	}
	for j.State.Step < updates {
		clock := time.Now()
		batch, cursor, err := next.wait()
		if err != nil {
			return err
		}
		next = nil
		if j.State.Step+1 < updates {
			next = r.read(ahead, order, cursor)
		}
		u, err := c.Settings.Update(ctx, Policy{r.Trainer, r.Math}, batch, c.LearningRateAt(int(j.State.Update), int(updates)))
		if err != nil {
			return err
		}
		j.State.Cursor = cursor
		j.State.Update++
		j.State.Step++
		tokens := 0
		for i := range batch {
			tokens += len(batch[i].Prompt.IDs) + len(batch[i].IDs)
		}
		j.State.Tokens += int64(tokens)
		if u.NonFinite == nil {
			j.State.InARow = 0
		} else if err := j.skip(&c.Settings, batch, u.NonFinite, c.MaxSkipped); err != nil {
			return err
		}
		m := map[string]float64{"loss": u.Loss, "grad_norm": u.GradNorm, "learning_rate": u.LearningRate, "num_tokens": float64(j.State.Tokens),
			"epoch": float64(cursor.Epoch) + float64(cursor.Next)/float64(order.Len()), "skipped_updates": float64(j.State.Skipped)}
		if u.Entropy != nil {
			m["entropy"] = *u.Entropy
		}
		took := time.Since(clock).Seconds()
		timing := map[string]float64{"time/learn": took, "perf/tokens_per_second": float64(tokens) / took}
		last := j.State.Step == updates
		var score *float64
		if every := int64(c.EvaluateEvery); r.Held != nil && (last || every > 0 && j.State.Step%every == 0) {
			next.wait() // Data and Held are not asked at the same time
			clock := time.Now()
			loss, err := r.evaluate(ctx)
			if err != nil {
				return err
			}
			m["eval_loss"] = loss
			if worth := -loss; worth-worth == 0 { // the highest score is the best; a loss that is not finite is none
				score = &worth
			}
			timing["time/evaluate"] = time.Since(clock).Seconds()
		}
		if err := j.log.Step(j.State.Update, m, timing); err != nil {
			return err
		}
		if r.Progress != nil {
			left := time.Duration(float64(time.Since(started)) / float64(j.State.Update-begun) * float64(updates-j.State.Update))
			r.Progress(Progress{j.State.Step, updates, j.State.Update, updates, m, left})
		}
		stopped := stop.Err() != nil
		if every := int64(r.Keeping.Every); stopped || last || every > 0 && j.State.Step%every == 0 {
			if err := j.save(ctx, score); err != nil {
				return err
			}
		}
		if stopped && !last {
			return ErrStopped
		}
	}
	return nil
}

// A reading is a batch that is read while the one before it is learned.
type reading struct {
	done   chan struct{}
	batch  []Episode
	cursor data.Cursor // after the batch
	err    error
}

// read begins to read the batch at a cursor.
func (r *SFTRun) read(ctx context.Context, order *data.Order, cursor data.Cursor) *reading {
	b := &reading{done: make(chan struct{}), cursor: cursor}
	indices := order.Take(&b.cursor, r.Config.Sequences)
	go func() {
		defer close(b.done)
		for _, i := range indices {
			if ctx.Err() != nil {
				b.err = context.Cause(ctx)
				return
			}
			d, err := r.Data.Demonstration(i)
			if err != nil {
				b.err = fmt.Errorf("grpo: demonstration %d: %w", i, err)
				return
			}
			b.batch = append(b.batch, Episode{Prompt: d.Prompt, IDs: d.IDs})
		}
	}()
	return b
}

// wait waits until the batch is read. A nil reading is none.
func (b *reading) wait() ([]Episode, data.Cursor, error) {
	if b == nil {
		return nil, data.Cursor{}, nil
	}
	<-b.done
	return b.batch, b.cursor, b.err
}

// plan computes the memory of the run's largest micro-batch, from some of its demonstrations, and refuses what the machine cannot hold.
func (r *SFTRun) plan() (engine.TrainPlan, error) {
	shape := engine.FamilyShape{CompletionTokens: 1, Completions: 1}
	var seen pictures
	err := look(r.Data.Len(), func(i int) error {
		d, err := r.Data.Demonstration(i)
		if err != nil {
			return fmt.Errorf("grpo: demonstration %d: %w", i, err)
		}
		shape.Grow(d.Prompt)
		seen.add(d.Prompt)
		shape.CompletionTokens = max(shape.CompletionTokens, len(d.IDs))
		return nil
	})
	if err != nil {
		return engine.TrainPlan{}, err
	}
	shape.Pictures = seen.of(r.Config.Sequences)
	return r.Trainer.Plan(shape)
}

// evaluate is the mean negative log-likelihood of the held-out completions' tokens, in nats. It holds a few demonstrations at a time.
func (r *SFTRun) evaluate(ctx context.Context) (float64, error) {
	const most = 16
	sum, tokens := 0.0, 0
	scoring := engine.Scoring{Temperature: r.Config.Temperature, Ban: r.Config.Ban}
	for first := 0; first < r.Held.Len(); first += most {
		var batch []engine.Sequence
		for i := first; i < min(first+most, r.Held.Len()); i++ {
			d, err := r.Held.Demonstration(i)
			if err != nil {
				return 0, fmt.Errorf("grpo: held-out demonstration %d: %w", i, err)
			}
			batch = append(batch, engine.Sequence{Prompt: d.Prompt, IDs: d.IDs})
		}
		err := r.Policy.ScoreBatch(ctx, batch, scoring, 0, func(_ int, logprobs, _ []float32) error {
			for _, lp := range logprobs {
				sum -= float64(lp)
			}
			tokens += len(logprobs)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return sum / float64(max(tokens, 1)), nil
}
