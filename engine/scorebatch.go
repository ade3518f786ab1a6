package engine

import (
	"context"
	"errors"
	"fmt"
)

// ScoreBatch is [Engine.Score] for a batch that is at hand: completions of one prompt share its rows and its pictures' encoding, and no
// KV cache is used. rows is the most decoder rows of a pass, 0 for 4096; a prompt and its completions stay together. f is called once a
// sequence, and its slices are valid during the call. The numbers are Score's and Generate's, bit for bit.
func (e *Engine) ScoreBatch(ctx context.Context, batch []Sequence, s Scoring, rows int, f func(i int, logprobs, entropy []float32) error) error {
	if s.Temperature == 0 {
		s.Temperature = 1
	}
	if err := (&Sampling{Temperature: s.Temperature, Ban: s.Ban}).check(e.cfg.Text.VocabSize); err != nil {
		return err
	}
	if rows == 0 {
		rows = defaultMicroBatchRows
	}
	for i, c := range batch {
		if err := e.checkIDs(Completion(c), s); err != nil {
			return &PromptError{i, err}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	for _, run := range microBatches(families(batch), rows) {
		if ctx.Err() != nil {
			return fmt.Errorf("engine: score: %w", context.Cause(ctx))
		}
		if err := e.scoreRun(batch, run, s, f); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) scoreRun(batch []Sequence, run []family, s Scoring, f func(i int, logprobs, entropy []float32) error) (err error) {
	l := newLesson(e, batch, run, s)
	defer func() { err = errors.Join(err, l.Close()) }()
	b, err := l.forward()
	if err != nil {
		return err
	}
	at := 0
	for _, fam := range run {
		for _, i := range fam.seqs {
			end := at + len(batch[i].IDs)
			if err := f(i, b.logprob.Float32s()[at:end], b.entropy.Float32s()[at:end]); err != nil {
				return err
			}
			at = end
		}
	}
	return nil
}
