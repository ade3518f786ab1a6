package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/thinker-vl/thinker/binding"
)

// A Completion is ids to score after a prompt.
type Completion struct {
	Prompt *Prompt
	IDs    []int32
}

// Scoring says under which policy completions are scored.
type Scoring struct {
	Temperature float64 // 0 means 1
	Ban         Ban
}

// A Score is the log-probs of a completion's ids under the policy, and the policy's entropy at each of them, in nats.
type Score struct {
	Completion   int // index in the call
	PromptTokens int
	IDs          []int32
	LogProbs     []float32
	Entropy      []float32
}

// Completions is a sequence of given completions, for [Engine.Score].
func Completions(c ...Completion) iter.Seq2[Completion, error] {
	return func(yield func(Completion, error) bool) {
		for _, c := range c {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Score computes log-probs of completions, in order. They equal, bit for bit, those that Generate returned for the same ids at the same
// temperature and ban. A completion id that the ban forbids is an error. The first error ends the sequence: one of a completion is a
// [*PromptError].
func (e *Engine) Score(ctx context.Context, completions iter.Seq2[Completion, error], s Scoring) iter.Seq2[*Score, error] {
	return func(yield func(*Score, error) bool) {
		if s.Temperature == 0 {
			s.Temperature = 1
		}
		if err := (&Sampling{Temperature: s.Temperature, Ban: s.Ban}).check(e.cfg.Text.VocabSize); err != nil {
			yield(nil, err)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.closed {
			yield(nil, ErrClosed)
			return
		}
		c := &scorer{Engine: e, s: s}
		var stop func()
		c.next, stop = iter.Pull2(completions)
		defer stop()
		defer c.release()
		for {
			if err := ctx.Err(); err != nil {
				yield(nil, fmt.Errorf("engine: score: %w", context.Cause(ctx)))
				return
			}
			more, err := c.step()
			if err != nil {
				yield(nil, err)
				return
			}
			for _, done := range c.finished {
				if !yield(done, nil) {
					return
				}
			}
			c.finished = c.finished[:0]
			if !more {
				return
			}
		}
	}
}

// A scored completion is one under way: prompt and completion are fed as one sequence.
type scored struct {
	ids      []int32 // prompt and completion, but for the last id, which predicts nothing
	pos      [3][]int32
	kv       *kvSequence
	features *binding.Buffer
	images   int // image tokens fed
	fed      int
	first    int // the token whose hidden state predicts the first completion id
	out      *Score
}

type scorer struct {
	*Engine
	s        Scoring
	next     func() (Completion, error, bool)
	drained  bool
	taken    int
	waiting  *scored
	active   []*scored
	finished []*Score
}

// CheckCompletion returns the error that Score would end with when it comes to this completion: one that has no prompt, that is too
// long for the context or the KV cache, or that holds ids that are out of range or forbidden by the ban.
func (e *Engine) CheckCompletion(c Completion, s Scoring) error {
	if err := e.checkIDs(c, s); err != nil {
		return err
	}
	n := len(c.Prompt.IDs) + len(c.IDs)
	if need := pagesFor(n - 1); need > e.cache.pages {
		return fmt.Errorf("prompt and completion of %d tokens need %d pages of the KV cache, which has %d: raise CacheBytes", n, need, e.cache.pages)
	}
	return nil
}

// checkIDs is CheckCompletion but for the KV cache.
func (e *Engine) checkIDs(c Completion, s Scoring) error {
	if c.Prompt == nil || len(c.Prompt.IDs) == 0 {
		return errors.New("the prompt is empty")
	}
	for i, id := range c.IDs {
		if id < 0 || int(id) >= e.cfg.Text.VocabSize {
			return fmt.Errorf("completion id %d at position %d is outside the vocabulary of %d", id, i, e.cfg.Text.VocabSize)
		}
		if s.Ban == BanVision && e.banned(id) {
			return fmt.Errorf("completion id %d at position %d is forbidden by the ban %q: score with ban none, or take it out", id, i, s.Ban)
		}
	}
	n := len(c.Prompt.IDs) + len(c.IDs)
	if n > e.MaxContext() {
		return fmt.Errorf("prompt and completion have %d tokens, the model's context is %d", n, e.MaxContext())
	}
	return nil
}

// admit starts the next completion if the cache has room for it.
func (c *scorer) admit() (*scored, error) {
	if c.waiting == nil {
		if c.drained {
			return nil, nil
		}
		q, err, ok := c.next()
		if !ok {
			c.drained = true
			return nil, nil
		}
		if err == nil {
			err = c.CheckCompletion(q, c.s)
		}
		if err != nil {
			return nil, &PromptError{c.taken, err}
		}
		n := len(q.Prompt.IDs)
		w := &scored{first: n - 1, out: &Score{Completion: c.taken, PromptTokens: n, IDs: q.IDs}}
		w.out.LogProbs, w.out.Entropy = make([]float32, 0, len(q.IDs)), make([]float32, 0, len(q.IDs))
		c.taken++
		if len(q.IDs) > 0 {
			w.ids = append(append(make([]int32, 0, n+len(q.IDs)-1), q.Prompt.IDs...), q.IDs[:len(q.IDs)-1]...)
			w.pos, _ = q.Prompt.positions(len(w.ids), c.cfg.Vision.SpatialMergeSize)
			if len(q.Prompt.Images) > 0 {
				if w.features, err = c.encode(q.Prompt.Images); err != nil {
					return nil, &PromptError{w.out.Completion, err}
				}
			}
		}
		c.waiting = w
	}
	w := c.waiting
	need := pagesFor(len(w.ids))
	if need > c.cache.available() {
		return nil, nil
	}
	w.kv = &kvSequence{cache: c.cache}
	w.kv.reserve(need)
	c.waiting = nil
	return w, nil
}

// step makes one forward pass over stretches of the active completions, oldest first, and scores the completion ids that it predicts.
func (c *scorer) step() (bool, error) {
	budget := c.opts.PrefillChunk
	var passes []stretch
	var owners []*scored
	targets := c.targets.Int32s()
	rows := 0
	for i := 0; budget > 0; i++ {
		if i == len(c.active) {
			w, err := c.admit()
			if err != nil {
				return false, err
			}
			if w == nil {
				break
			}
			c.active = append(c.active, w)
		}
		w := c.active[i]
		n := min(budget, len(w.ids)-w.fed)
		if n == 0 {
			continue
		}
		s := stretch{kv: w.kv, ids: w.ids[w.fed : w.fed+n], prompt: min(n, max(0, w.first+1-w.fed)), features: w.features, firstFeature: w.images}
		for a := range s.pos {
			s.pos[a] = w.pos[a][w.fed : w.fed+n]
		}
		for j, id := range s.ids {
			if j < s.prompt && int(id) == c.cfg.ImageTokenID {
				w.images++
			}
			if w.fed+j >= w.first {
				s.want = append(s.want, j)
				targets[rows] = w.out.IDs[w.fed+j-w.first]
				rows++
			}
		}
		w.fed += n
		budget -= n
		passes, owners = append(passes, s), append(owners, w)
	}
	if len(passes) > 0 {
		clock := time.Now()
		if _, err := c.dec.forward(passes); err != nil {
			return false, err
		}
		c.stats.pass(0, passes, time.Since(clock))
		if err := c.score(passes, owners, rows); err != nil {
			return false, err
		}
	}
	for len(c.active) > 0 && c.active[0].fed == len(c.active[0].ids) {
		w := c.active[0]
		if err := w.release(); err != nil {
			return false, err
		}
		c.finished = append(c.finished, w.out)
		c.active = c.active[1:]
	}
	return len(c.active) > 0 || c.waiting != nil || !c.drained, nil
}

// score computes the log-probs of the pass's wanted rows and hands them to their completions.
func (c *scorer) score(passes []stretch, owners []*scored, rows int) error {
	if rows == 0 {
		return nil
	}
	block := c.drawn.Len() / 12
	logprob, entropy := c.drawn.Addr(), c.drawn.Addr()+uint64(4*block)
	hidden := int64(c.cfg.Text.HiddenSize)
	err := c.d.LogProb(&binding.LogProbArgs{DType: c.dec.dtype, X: c.dec.hiddenRow(0), W: c.w.head.w.Addr(), Ban: c.banAddr(c.s.Ban), Targets: c.targets.Addr(),
		LogProb: logprob, Entropy: entropy, Workspace: c.work.Addr(), WorkspaceBytes: uint64(c.work.Len()), Rows: int64(rows), N: int64(c.cfg.Text.VocabSize), K: hidden, LdX: hidden,
		InvTemperature: 1 / float32(c.s.Temperature)})
	if err != nil {
		return err
	}
	values := c.drawn.Float32s()
	at := 0
	for i, s := range passes {
		o := owners[i].out
		o.LogProbs = append(o.LogProbs, values[at:at+len(s.want)]...)
		o.Entropy = append(o.Entropy, values[block+at:block+at+len(s.want)]...)
		at += len(s.want)
	}
	return nil
}

func (w *scored) release() error {
	err := w.features.Close()
	if w.kv != nil && w.kv.cache != nil {
		w.kv.release()
	}
	w.features = nil
	return err
}

// release frees what an ended call still holds.
func (c *scorer) release() {
	for _, w := range c.active {
		w.release()
	}
	if c.waiting != nil {
		c.waiting.release()
	}
}
