package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"
	"unsafe"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

// A FinishReason says why a sample ended.
type FinishReason string

const (
	FinishStop   FinishReason = "stop"   // a stop id, which is the last of IDs
	FinishLength FinishReason = "length" // MaxTokens, or the model's context
)

// A Sample is one finished completion.
type Sample struct {
	Prompt, Sample int // indices: of the prompt in the call, of the sample among the prompt's
	PromptTokens   int
	IDs            []int32 // with the stop id that ended it
	LogProbs       []float32
	Entropy        []float32 // of the policy at each id, in nats
	Text           string    // of IDs, without special tokens
	FinishReason   FinishReason
}

const sampleRowBytes = int(unsafe.Sizeof(binding.SampleRow{}))

// Generate draws samples of prompts, which it takes from the sequence as it has room for them. Samples come in the order in which
// they finish; see [InOrder]. The first error ends the sequence: one of a prompt is a [*PromptError], a cancelled context its cause.
//
// A nil prompt says that there is none for now: the sequence is asked again at the next pass. That is for prompts that are chosen by what
// came of earlier ones. Where no sample is to come, a sequence waits for itself rather than to give nil.
//
// Batching is continuous: every pass feeds the running samples' last ids and, in the room left, stretches of prompts. The samples of
// a prompt share one prefill, one encoding of its pictures and the full pages of its cache. None of this shows in the numbers: a
// sample's ids and log-probs depend on its prompt, the weights and its random numbers alone.
func (e *Engine) Generate(ctx context.Context, prompts iter.Seq2[*Prompt, error], s Sampling) iter.Seq2[*Sample, error] {
	return func(yield func(*Sample, error) bool) {
		if err := s.check(e.cfg.Text.VocabSize); err != nil {
			yield(nil, err)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.closed {
			yield(nil, ErrClosed)
			return
		}
		if s.N == 0 {
			s.N = 1
		}
		if s.MaxTokens == 0 {
			s.MaxTokens = DefaultMaxTokens
		}
		if s.TopP == 0 {
			s.TopP = 1
		}
		g := &generator{Engine: e, s: s, stopIDs: map[int32]bool{}}
		if !s.IgnoreEOS {
			for id := range e.stops {
				g.stopIDs[id] = true
			}
			for _, id := range s.Stop {
				g.stopIDs[id] = true
			}
		}
		var stop func()
		g.next, stop = iter.Pull2(prompts)
		defer stop()
		defer g.release()
		for {
			if err := ctx.Err(); err != nil {
				yield(nil, fmt.Errorf("engine: generate: %w", context.Cause(ctx)))
				return
			}
			more, err := g.step()
			if err != nil {
				yield(nil, err)
				return
			}
			for _, done := range g.finished {
				if !yield(done, nil) {
					return
				}
			}
			g.finished = g.finished[:0]
			if !more {
				return
			}
		}
	}
}

// InOrder puts the samples of a call to Generate in the order of prompts and, within a prompt, of samples; n is Sampling.N.
func InOrder(samples iter.Seq2[*Sample, error], n int) iter.Seq2[*Sample, error] {
	return func(yield func(*Sample, error) bool) {
		type key struct{ prompt, sample int }
		waiting := map[key]*Sample{}
		next := key{}
		for s, err := range samples {
			if err != nil {
				yield(nil, err)
				return
			}
			waiting[key{s.Prompt, s.Sample}] = s
			for s := waiting[next]; s != nil; s = waiting[next] {
				delete(waiting, next)
				if !yield(s, nil) {
					return
				}
				if next.sample++; next.sample >= n {
					next = key{next.prompt + 1, 0}
				}
			}
		}
	}
}

// An active prompt is one whose samples are not all launched.
type activePrompt struct {
	*Prompt
	index    int
	pos      [3][]int32
	next     int32 // position of the token after the prompt
	kv       *kvSequence
	features *binding.Buffer // of its pictures, until it is prefilled
	images   int             // image tokens prefilled
	hidden   *binding.Buffer // final hidden state of its last token, once prefilled
	launched int
	limit    int // most ids of a sample
	spare    int // pages kept back so that one sample can always run; 0 while that sample runs
}

// A run is a sample being drawn.
type run struct {
	*activePrompt
	n        int
	kv       *kvSequence
	out      *Sample
	spare    bool // it runs on its prompt's spare pages
	decoder  *tokenizer.Decoder
	finished bool
}

type generator struct {
	*Engine
	s       Sampling
	stopIDs map[int32]bool
	next    func() (*Prompt, error, bool)
	drained bool // next has no more
	taken   int  // prompts taken from next
	waiting *Prompt

	prefilling *activePrompt
	ready      []*activePrompt
	running    []*run
	finished   []*Sample
}

// step makes one forward pass and draws one id for every running sample. It reports whether there is more to do.
func (g *generator) step() (bool, error) {
	passes := make([]stretch, 0, len(g.running)+1)
	for _, r := range g.running {
		last := r.out.IDs[len(r.out.IDs)-1]
		p := []int32{r.activePrompt.next + int32(len(r.out.IDs)) - 1}
		passes = append(passes, stretch{kv: r.kv, ids: []int32{last}, pos: [3][]int32{p, p, p}, want: []int{0}})
	}
	decoding := len(passes)
	passes, prefilled, err := g.prefill(passes, g.opts.PrefillChunk-decoding)
	if err != nil {
		return false, err
	}
	if len(passes) > 0 {
		clock := time.Now()
		if _, err := g.dec.forward(passes); err != nil {
			return false, err
		}
		g.stats.pass(decoding, passes, time.Since(clock))
	}
	for i, p := range prefilled {
		if err := g.finishPrefill(p, g.dec.hiddenRow(decoding+i)); err != nil {
			return false, err
		}
	}
	if err := g.launch(decoding); err != nil {
		return false, err
	}
	clock := time.Now()
	if err := g.draw(); err != nil {
		return false, err
	}
	g.stats.DecodeSeconds += time.Since(clock).Seconds()
	more := len(g.running) > 0 || len(g.ready) > 0 || g.prefilling != nil || !g.drained || g.waiting != nil
	if more && len(passes) == 0 && len(g.running) == 0 && len(g.finished) == 0 && g.waiting != nil {
		return false, fmt.Errorf("engine: generate: no progress with %d of %d pages free", g.cache.available(), g.cache.pages)
	}
	return more, nil
}

// prefill adds stretches of prompts to a pass, as far as budget tokens and the cache allow and as prompts are needed to keep the batch
// full. It returns the prompts that the pass completes, in the order of their stretches.
func (g *generator) prefill(passes []stretch, budget int) ([]stretch, []*activePrompt, error) {
	var prefilled []*activePrompt
	for budget > 0 {
		p := g.prefilling
		if p == nil {
			wanted := g.opts.MaxBatch - len(g.running)
			for _, r := range g.ready {
				wanted -= g.s.N - r.launched
			}
			if wanted <= 0 {
				break
			}
			var err error
			if p, err = g.admit(); err != nil {
				return nil, nil, err
			}
			if p == nil {
				break
			}
			g.prefilling = p
		}
		done := p.kv.length
		for _, s := range passes { // a pass counts its tokens only once it runs
			if s.kv == p.kv {
				done += len(s.ids)
			}
		}
		n := min(budget, len(p.IDs)-done)
		s := stretch{kv: p.kv, ids: p.IDs[done : done+n], prompt: n, features: p.features, firstFeature: p.images}
		for a := range s.pos {
			s.pos[a] = p.pos[a][done : done+n]
		}
		for _, id := range s.ids {
			if int(id) == g.cfg.ImageTokenID {
				p.images++
			}
		}
		budget -= n
		if done+n == len(p.IDs) {
			s.want = []int{n - 1}
			prefilled = append(prefilled, p)
			g.ready = append(g.ready, p)
			g.prefilling = nil
		}
		passes = append(passes, s)
	}
	return passes, prefilled, nil
}

// demand is what a prompt needs of the engine: the most ids that a sample of it can have, and the pages of the KV cache for the prompt
// and for one sample.
func (e *Engine) demand(p *Prompt, maxTokens int) (limit, own, sample int, err error) {
	limit = min(maxTokens, e.MaxContext()-len(p.IDs))
	if limit <= 0 {
		return 0, 0, 0, fmt.Errorf("the prompt has %d tokens and leaves none for an answer, the model's context is %d: shorten it, or lower the pixel budget", len(p.IDs), e.MaxContext())
	}
	own, sample = pagesFor(len(p.IDs)), forkPages(len(p.IDs), len(p.IDs)+limit)
	if own+sample > e.cache.pages {
		return 0, 0, 0, fmt.Errorf("a prompt of %d tokens with completions of %d needs %d pages of the KV cache, which has %d: raise CacheBytes or lower MaxTokens",
			len(p.IDs), limit, own+sample, e.cache.pages)
	}
	return limit, own, sample, nil
}

// CheckPrompt returns the error that Generate would end with when it comes to this prompt, as far as that can be told beforehand.
func (e *Engine) CheckPrompt(p *Prompt, s Sampling) error {
	if err := s.check(e.cfg.Text.VocabSize); err != nil {
		return err
	}
	if s.MaxTokens == 0 {
		s.MaxTokens = DefaultMaxTokens
	}
	_, _, _, err := e.demand(p, s.MaxTokens)
	return err
}

// admit takes the next prompt if the cache has room for it and for one sample of it. It encodes the prompt's pictures.
func (g *generator) admit() (*activePrompt, error) {
	if g.waiting == nil {
		if g.drained {
			return nil, nil
		}
		p, err, ok := g.next()
		if !ok {
			g.drained = true
			return nil, nil
		}
		if err != nil {
			return nil, &PromptError{g.taken, err}
		}
		if p == nil {
			return nil, nil
		}
		g.waiting = p
	}
	p := &activePrompt{Prompt: g.waiting, index: g.taken}
	var own, spare int
	var err error
	if p.limit, own, spare, err = g.demand(p.Prompt, g.s.MaxTokens); err != nil {
		return nil, &PromptError{p.index, err}
	}
	if own+spare > g.cache.available() {
		return nil, nil
	}
	g.waiting = nil
	g.taken++
	p.pos, p.next = p.positions(len(p.IDs), g.cfg.Vision.SpatialMergeSize)
	if len(p.Images) > 0 {
		if p.features, err = g.encode(p.Images); err != nil {
			return nil, &PromptError{p.index, err}
		}
	}
	p.kv = &kvSequence{cache: g.cache}
	p.kv.reserve(own + spare)
	p.spare = spare
	return p, nil
}

// finishPrefill keeps the final hidden state of a prompt's last token and drops its pictures' features.
func (g *generator) finishPrefill(p *activePrompt, hidden uint64) error {
	n := g.cfg.Text.HiddenSize * binding.DTypeBytes(g.dec.dtype)
	var err error
	if p.hidden, err = g.d.Alloc(n); err != nil {
		return err
	}
	err = errors.Join(g.d.Copy(p.hidden.Addr(), hidden, n), p.features.Close())
	p.features = nil
	return err
}

// launch starts samples of prefilled prompts while the batch and the cache have room. Their first id is drawn from the prompt's last
// hidden state, which it copies to the hidden row after those of the running samples.
func (g *generator) launch(row int) error {
	n := g.cfg.Text.HiddenSize * binding.DTypeBytes(g.dec.dtype)
	for len(g.ready) > 0 && len(g.running) < g.opts.MaxBatch {
		p := g.ready[0]
		need := forkPages(len(p.IDs), len(p.IDs)+p.limit)
		r := &run{activePrompt: p, n: p.launched}
		if p.spare > 0 {
			p.kv.reserve(-p.spare)
			p.spare, r.spare = 0, true
		} else if need > g.cache.available() {
			break
		}
		var err error
		if r.kv, err = p.kv.fork(len(p.IDs) + p.limit); err != nil {
			return err
		}
		r.out = &Sample{Prompt: p.index, Sample: r.n, PromptTokens: len(p.IDs)}
		if g.s.OnToken != nil {
			r.decoder = g.tok.NewDecoder(true)
		}
		g.running = append(g.running, r)
		if err := g.d.Copy(g.dec.hiddenRow(row), p.hidden.Addr(), n); err != nil {
			return err
		}
		row++
		if p.launched++; p.launched == g.s.N {
			p.release()
			g.ready = g.ready[1:]
		}
	}
	return nil
}

func (p *activePrompt) release() error {
	err := errors.Join(p.features.Close(), p.hidden.Close())
	if p.kv != nil && p.kv.cache != nil {
		p.kv.release()
	}
	p.features, p.hidden = nil, nil
	return err
}

// draw draws the next id of every running sample; hidden row i is that of running sample i.
func (g *generator) draw() error {
	vocab, hidden := g.cfg.Text.VocabSize, g.cfg.Text.HiddenSize
	block := logitRows(g.opts.MaxBatch)
	for first := 0; first < len(g.running); first += block {
		runs := g.running[first:min(first+block, len(g.running))]
		n := len(runs)
		err := g.d.MatMul(&binding.MatMulArgs{DType: g.dec.dtype, DTypeY: binding.F32, X: g.dec.hiddenRow(first), W: g.w.head.w.Addr(), Y: g.logits.Addr(),
			M: int64(n), N: int64(vocab), K: int64(hidden), LdX: int64(hidden), LdY: int64(vocab)})
		if err != nil {
			return err
		}
		rows := g.params.SampleRows()
		for i, r := range runs {
			rows[i] = binding.SampleRow{Seed: g.s.Seed, Step: g.s.Step, Prompt: g.s.FirstPrompt + uint32(r.index), Sample: uint32(r.n), Token: uint32(len(r.out.IDs)),
				Temperature: float32(g.s.Temperature), TopP: float32(g.s.TopP), MinP: float32(g.s.MinP), TopK: int32(min(g.s.TopK, vocab))}
		}
		ids := g.drawn.Addr()
		logprob, entropy := ids+uint64(4*block), ids+uint64(8*block)
		err = g.d.Sample(&binding.SampleArgs{Logits: g.logits.Addr(), Params: g.params.Addr(), Ban: g.banAddr(g.s.Ban), IDs: ids, LogProb: logprob, Entropy: entropy,
			Workspace: g.work.Addr(), WorkspaceBytes: uint64(g.work.Len()), Rows: int64(n), N: int64(vocab), Ld: int64(vocab)})
		if err != nil {
			return g.blame(runs, err)
		}
		for i, r := range runs {
			g.append(r, g.drawn.Int32s()[i], g.drawn.Float32s()[block+i], g.drawn.Float32s()[2*block+i])
		}
	}
	keep := g.running[:0]
	for _, r := range g.running {
		if !r.finished {
			keep = append(keep, r)
			continue
		}
		r.kv.release()
		if p := r.activePrompt; r.spare && p.launched < g.s.N {
			p.spare = forkPages(len(p.IDs), len(p.IDs)+p.limit)
			p.kv.reserve(p.spare)
		}
		r.out.Text = g.tok.Decode(r.out.IDs, true)
		g.finished = append(g.finished, r.out)
	}
	clear(g.running[len(keep):])
	g.running = keep
	return nil
}

// blame names the prompt whose logits are not numbers, where that is why nothing could be drawn for runs.
func (g *generator) blame(runs []*run, err error) error {
	vocab := g.cfg.Text.VocabSize
	for i, r := range runs {
		for id, x := range g.logits.Float32s()[i*vocab:][:vocab] {
			if x != x || x > math.MaxFloat32 {
				return &PromptError{r.index, fmt.Errorf("the logit of id %d for token %d of sample %d is %v: %w", id, len(r.out.IDs), r.n, x, ErrNotFinite)}
			}
		}
	}
	return err
}

// append records a drawn id.
func (g *generator) append(r *run, id int32, logprob, entropy float32) {
	o := r.out
	o.IDs, o.LogProbs, o.Entropy = append(o.IDs, id), append(o.LogProbs, logprob), append(o.Entropy, entropy)
	switch {
	case g.stopIDs[id]:
		o.FinishReason, r.finished = FinishStop, true
	case len(o.IDs) == r.limit:
		o.FinishReason, r.finished = FinishLength, true
	}
	if g.s.OnToken != nil {
		text := r.decoder.Next(id)
		if r.finished {
			text += r.decoder.Flush()
		}
		g.s.OnToken(Token{Prompt: o.Prompt, Sample: o.Sample, ID: id, LogProb: logprob, Text: text})
	}
}

// release frees what an ended call still holds.
func (g *generator) release() {
	for _, r := range g.running {
		r.kv.release()
	}
	for _, p := range g.ready {
		p.release()
	}
	if g.prefilling != nil {
		g.prefilling.release()
	}
}
