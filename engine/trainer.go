package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/checkpoint"
)

// TrainOptions configure a [Trainer]. The zero value learns every weight, a micro-batch of 4096 rows at a time, without recomputing.
type TrainOptions struct {
	// MicroBatchRows is the most decoder rows of a forward and backward pass; 0: 4096. A prompt and its completions stay together,
	// however many they are. The number changes no bit of the gradients.
	MicroBatchRows int

	// Recompute keeps only the input of each block, and runs blocks again in the backward pass: less memory, a third more work, the
	// same bits.
	Recompute bool

	// Freeze lists prefixes of released tensor names ("visual.") that do not learn.
	Freeze []string

	// Groups give tensors their own learning rate and weight decay. A tensor belongs to the first group whose prefix its name has.
	Groups []ParameterGroup
}

// A ParameterGroup is the tensors whose released names begin with Prefix.
type ParameterGroup struct {
	Prefix      string
	LRScale     float64  // times the step's learning rate
	WeightDecay *float64 // nil: the step's
}

const defaultMicroBatchRows = 4096

func (o *TrainOptions) defaults() error {
	if o.MicroBatchRows == 0 {
		o.MicroBatchRows = defaultMicroBatchRows
	}
	if o.MicroBatchRows < 1 {
		return fmt.Errorf("engine: MicroBatchRows is %d: want 0 (the default) or more", o.MicroBatchRows)
	}
	for _, g := range o.Groups {
		if !(g.LRScale >= 0) || math.IsInf(g.LRScale, 0) || g.WeightDecay != nil && !(*g.WeightDecay >= 0 && !math.IsInf(*g.WeightDecay, 0)) {
			return fmt.Errorf("engine: parameter group %q: its learning-rate scale and weight decay are to be finite and not negative", g.Prefix)
		}
	}
	return nil
}

// frozen reports whether a tensor does not learn.
func (o *TrainOptions) frozen(name string) bool {
	for _, p := range o.Freeze {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// A Trainer teaches an engine's weights: gradients of any loss over log-probs and entropies, and AdamW on f32 masters. The engine
// generates and scores with the very buffers that [Trainer.Step] writes.
//
// Its forward pass runs the sampler's kernels in the sampler's order: the log-probs that an [Objective] sees equal, bit for bit, those
// that Generate recorded. Gradients are the same bits for any MicroBatchRows, Recompute, order of the batch and number of threads.
type Trainer struct {
	e            *Engine
	opts         TrainOptions
	grads        *gradients
	learners     []learner
	visionLearns bool
	step         int64
	owned        scratch // masters and moments
	closed       bool
}

// A learner is a buffer of weights that learns, with AdamW's state.
type learner struct {
	stored
	decays       bool            // tensors of two or more dimensions do
	master, m, v *binding.Buffer // f32, row-major; master is the weight itself where that is f32 as it is
}

// NewTrainer takes the memory for gradients and AdamW's state, and reads the masters from the engine's checkpoint. The trainer does not
// outlive the engine.
func (e *Engine) NewTrainer(ctx context.Context, o TrainOptions) (_ *Trainer, err error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	for _, p := range append(append([]string{}, o.Freeze...), groupPrefixes(o.Groups)...) {
		if !e.hasTensor(p) {
			return nil, fmt.Errorf("engine: no tensor's name begins with %q: names are those of the released checkpoints, such as visual.blocks.0", p)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	t := &Trainer{e: e, opts: o, owned: scratch{d: e.d}}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	t.grads, err = newGradients(e.d, e.w, func(s *stored) bool { return !o.frozen(s.parts[0].name) })
	if err != nil {
		return nil, err
	}
	ck, err := checkpoint.Open(e.dir)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	for i := range e.w.stored {
		s := &e.w.stored[i]
		if err := t.together(s); err != nil {
			return nil, err
		}
		if t.grads.addr(s.buf) == 0 {
			continue
		}
		l := learner{stored: *s, master: s.buf, decays: s.packed}
		if s.packed {
			l.master = t.owned.alloc(4 * s.n * s.k)
		}
		l.m, l.v = t.owned.alloc(4*s.n*s.k), t.owned.alloc(4*s.n*s.k)
		if t.owned.err != nil {
			return nil, t.owned.err
		}
		if s.packed {
			row := 0
			for _, p := range s.parts {
				if err := ck.ReadF32(p.name, l.master.Float32s()[row*s.k:(row+p.rows)*s.k]); err != nil {
					return nil, err
				}
				row += p.rows
			}
		}
		t.learners = append(t.learners, l)
		t.visionLearns = t.visionLearns || strings.HasPrefix(s.parts[0].name, "visual.")
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(t.learners) == 0 {
		return nil, errors.New("engine: every tensor is frozen: nothing is left to learn")
	}
	return t, nil
}

// together refuses options that part tensors which are one to the kernels.
func (t *Trainer) together(s *stored) error {
	first := s.parts[0].name
	for _, p := range s.parts[1:] {
		if t.opts.frozen(p.name) != t.opts.frozen(first) || t.group(p.name) != t.group(first) {
			return fmt.Errorf("engine: %s and %s are one matrix to the kernels: freeze or group both, or neither", first, p.name)
		}
	}
	return nil
}

func groupPrefixes(gs []ParameterGroup) (ps []string) {
	for _, g := range gs {
		ps = append(ps, g.Prefix)
	}
	return ps
}

func (e *Engine) hasTensor(prefix string) bool {
	for _, s := range checkpoint.Spec(e.cfg) {
		if strings.HasPrefix(s.Name, prefix) {
			return true
		}
	}
	return false
}

// Close frees the trainer's memory; the engine goes on with the weights as they are.
func (t *Trainer) Close() error {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	return t.close()
}

func (t *Trainer) close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	err := errors.Join(t.owned.Close(), t.e.lessons.Close())
	if t.grads != nil {
		err = errors.Join(err, t.grads.Close())
	}
	return err
}

// lock takes the engine for one call.
func (t *Trainer) lock() (unlock func(), err error) {
	t.e.mu.Lock()
	if t.closed || t.e.closed {
		t.e.mu.Unlock()
		return nil, ErrClosed
	}
	return t.e.mu.Unlock, nil
}

// Gradients sets the gradients to those of a loss over a batch: the policy's log-probs of every sequence's ids are computed and shown to
// f, whose derivatives are taken back to the weights. It is to be called once for a step; micro-batches are its own affair. A sequence
// without ids takes no part.
func (t *Trainer) Gradients(ctx context.Context, batch []Sequence, policy Scoring, f Objective) (err error) {
	if policy.Temperature == 0 {
		policy.Temperature = 1
	}
	if err := (&Sampling{Temperature: policy.Temperature, Ban: policy.Ban}).check(t.e.cfg.Text.VocabSize); err != nil {
		return err
	}
	for i, s := range batch {
		if err := t.e.checkIDs(Completion(s), policy); err != nil {
			return &PromptError{i, err}
		}
	}
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := t.grads.zero(); err != nil {
		return err
	}
	fs := families(batch)
	if len(fs) == 0 {
		return nil
	}

	// The embedding's gradient is kept apart, for the batch's own ids, until the end: a tied head adds to the same tensor, and the
	// order of the sums is not to depend on the micro-batches.
	all := scratch{d: t.e.d}
	defer func() { err = errors.Join(err, all.Close()) }()
	ids, row := t.inputIDs(batch, fs)
	embed := t.grads.addr(t.e.w.embed.w)
	var compact *binding.Buffer
	if embed != 0 {
		compact = all.alloc(4 * len(ids) * t.e.cfg.Text.HiddenSize)
	}
	to := all.ints(ids)
	if all.err != nil {
		return all.err
	}
	for _, run := range microBatches(fs, t.opts.MicroBatchRows) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("engine: gradients: %w", context.Cause(ctx))
		}
		if err := t.lesson(batch, run, policy, f, compact, row); err != nil {
			return err
		}
	}
	if embed == 0 {
		return nil
	}
	hidden := int64(t.e.cfg.Text.HiddenSize)
	return t.e.d.RowsAdd(&binding.RowsAddArgs{X: compact.Addr(), Y: embed, Dst: to.Addr(), N: int64(len(ids)), Cols: hidden, LdX: hidden, LdY: hidden,
		RowsX: int64(len(ids)), RowsY: int64(t.e.w.embed.n)})
}

func (t *Trainer) lesson(batch []Sequence, run []family, policy Scoring, f Objective, compact *binding.Buffer, row map[int32]int32) (err error) {
	l := newLesson(t.e, batch, run, policy)
	l.grads, l.recompute, l.visionLearns = t.grads, t.opts.Recompute, t.visionLearns
	defer func() { err = errors.Join(err, l.Close()) }()
	return l.run(f, compact, row)
}

// inputIDs lists the ids that a batch feeds to the decoder, ascending, and where each stands in the list.
func (t *Trainer) inputIDs(batch []Sequence, fs []family) ([]int32, map[int32]int32) {
	used := make([]bool, t.e.cfg.Text.VocabSize)
	for _, f := range fs {
		for _, id := range f.prompt.IDs {
			used[id] = true
		}
		for _, i := range f.seqs {
			for _, id := range batch[i].IDs {
				used[id] = true
			}
		}
	}
	var ids []int32
	row := map[int32]int32{}
	for id, u := range used {
		if u {
			row[int32(id)] = int32(len(ids))
			ids = append(ids, int32(id))
		}
	}
	return ids, row
}
