package engine

import (
	"fmt"
	"strings"
)

// A FamilyShape is the largest prompt with its completions that a trainer will meet.
type FamilyShape struct {
	PromptTokens     int // image tokens included
	CompletionTokens int // of one completion
	Completions      int
	Grids            []Grid // of the prompt's pictures, in patches
	Pictures         int64  // bytes of the resized pictures of all prompts that are held at a time, as those of a rollout
}

// Grow makes the shape at least as large as a prompt: in tokens, and in patches of pictures.
func (s *FamilyShape) Grow(p *Prompt) {
	s.PromptTokens = max(s.PromptTokens, len(p.IDs))
	patches := func(gs []Grid) (n int) {
		for _, g := range gs {
			n += g[0] * g[1] * g[2]
		}
		return n
	}
	var grids []Grid
	for _, span := range p.Spans {
		grids = append(grids, span.Grid)
	}
	if patches(grids) > patches(s.Grids) {
		s.Grids = grids
	}
}

// A TrainPlan is the memory in bytes that a [Trainer] takes beside its engine, computed before it is taken.
type TrainPlan struct {
	Gradients  int64
	Optimizer  int64 // f32 masters and both moments
	MicroBatch int64 // activations, their gradients and workspaces of the largest micro-batch
	Pictures   int64 // of [FamilyShape]
	Total      int64
	Available  int64 // what the machine has now; 0 if it does not say
	Rows       int   // decoder rows of that micro-batch
}

func (p TrainPlan) String() string {
	gib := func(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }
	pictures := ""
	if p.Pictures > 0 {
		pictures = " + pictures " + gib(p.Pictures)
	}
	return fmt.Sprintf("gradients %s + optimizer %s + micro-batch of %d rows %s%s = %s", gib(p.Gradients), gib(p.Optimizer), p.Rows, gib(p.MicroBatch), pictures, gib(p.Total))
}

// PlanTraining computes the memory of a trainer with these options whose largest family is of this shape. Where the machine cannot hold
// it, the plan comes with an error that says so.
func (e *Engine) PlanTraining(o TrainOptions, shape FamilyShape) (TrainPlan, error) {
	if err := o.defaults(); err != nil {
		return TrainPlan{}, err
	}
	p, err := e.planTraining(o, shape)
	if err == nil {
		err = p.check(p.Total)
	}
	return p, err
}

// Plan is [Engine.PlanTraining] for a trainer that has its gradients and optimizer state already: what is still to be taken is checked.
func (t *Trainer) Plan(shape FamilyShape) (TrainPlan, error) {
	p, err := t.e.planTraining(t.opts, shape)
	if err == nil {
		err = p.check(p.MicroBatch + p.Pictures)
	}
	return p, err
}

// check refuses a plan of which so much is more than there is.
func (p *TrainPlan) check(need int64) error {
	if p.Available == 0 || need <= p.Available {
		return nil
	}
	pictures := ""
	if p.Pictures > 0 {
		pictures = "the number of prompts that are held at a time, "
	}
	return fmt.Errorf("engine: training needs %v, the machine has %.2f GiB free: lower MicroBatchRows, %sthe completions' length or number, recompute, or freeze tensors",
		p, float64(p.Available)/(1<<30), pictures)
}

func (e *Engine) planTraining(o TrainOptions, shape FamilyShape) (TrainPlan, error) {
	unit := e.cfg.Vision.SpatialMergeSize
	spans, at := []Span(nil), 0
	for _, g := range shape.Grids {
		spans = append(spans, Span{Start: at, Tokens: mergedTokens(g, unit), Grid: g})
		at += mergedTokens(g, unit)
	}
	if shape.PromptTokens <= at || shape.CompletionTokens < 1 || shape.Completions < 1 {
		return TrainPlan{}, fmt.Errorf("engine: a prompt of %d tokens, %d of them pictures, with %d completions of %d tokens is no family to learn from",
			shape.PromptTokens, at, shape.Completions, shape.CompletionTokens)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return TrainPlan{}, ErrClosed
	}
	p := TrainPlan{Available: memoryAvailable(), Pictures: shape.Pictures}
	t := &Trainer{e: e, opts: o}
	for _, s := range e.w.stored {
		if o.frozen(s.parts[0].name) {
			continue
		}
		t.visionLearns = t.visionLearns || strings.HasPrefix(s.parts[0].name, "visual.")
		bytes := int64(4 * s.n * s.k)
		p.Gradients += bytes
		p.Optimizer += 2 * bytes
		if s.packed {
			p.Optimizer += bytes
		}
	}

	prompt := &Prompt{IDs: make([]int32, shape.PromptTokens), Spans: spans}
	f := family{prompt: prompt, rows: shape.PromptTokens + shape.Completions*(shape.CompletionTokens-1)}
	var batch []Sequence
	for i := range shape.Completions {
		batch = append(batch, Sequence{prompt, make([]int32, shape.CompletionTokens)})
		f.seqs = append(f.seqs, i)
	}
	run := []family{f}
	for rows := 2 * f.rows; rows <= o.MicroBatchRows; rows += f.rows {
		run = append(run, f)
	}
	s := &scratch{d: e.d, count: true}
	l := newLesson(e, batch, run, Scoring{Temperature: 1})
	l.grads, l.recompute, l.visionLearns = &gradients{}, o.Recompute, t.visionLearns
	if l.take(s); s.err != nil {
		return p, s.err
	}
	// And the embedding's own gradient, for as many ids as the vocabulary has at most.
	ids := int64(min(e.cfg.Text.VocabSize, l.rows))
	p.Rows, p.MicroBatch = l.rows, s.bytes+4*ids*int64(e.cfg.Text.HiddenSize)
	p.Total = p.Gradients + p.Optimizer + p.MicroBatch + p.Pictures
	return p, nil
}
