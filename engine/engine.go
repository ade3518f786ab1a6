package engine

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

// An Engine is a checkpoint ready to generate and score. Its methods may be called from any goroutine; generating and scoring take
// turns.
type Engine struct {
	mu     sync.Mutex
	dir    string
	opts   Options
	cfg    *config.Config
	tok    *tokenizer.Tokenizer
	images *imageproc.Processor
	stops  map[int32]bool
	plan   Plan

	d       *binding.Device
	w       *weights
	cache   *kvCache
	dec     *decoder
	scratch scratch // logits, sampling, scoring
	logits  *binding.Buffer
	params  *binding.Buffer
	drawn   *binding.Buffer // i32 ids, then f32 log-probs, then f32 entropies, each MaxBatch or PrefillChunk long
	targets *binding.Buffer
	ban     *binding.Buffer // bits of BanVision
	work    *binding.Buffer
	sight   arena // of the vision tower
	lessons arena // of passes over micro-batches
	stats   Stats
	closed  bool
}

// ErrClosed is returned by the methods of a closed engine.
var ErrClosed = errors.New("engine: closed")

// ErrNotFinite is in the error of a prompt whose logits or log-probs are not finite.
var ErrNotFinite = errors.New("the weights hold or give numbers that are not finite: fetch the checkpoint again, or use f32 where this was bf16")

// Open loads the checkpoint folder dir: its config, tokenizer and preprocessing settings, then its weights, packed for the kernels.
// Of generation_config.json it takes the stop ids and nothing else. The memory plan is checked before the weights are read.
func Open(ctx context.Context, dir string, o Options) (_ *Engine, err error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, opts: o}
	if e.tok, e.images, err = Frontend(dir, o.MinPixels, o.MaxPixels); err != nil {
		return nil, err
	}
	ck, err := checkpoint.Open(dir)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	e.cfg = ck.Config
	if err := CheckFrontend(dir, e.cfg, e.tok); err != nil {
		return nil, err
	}
	stops, err := config.GenerationStops(dir, e.cfg)
	if err != nil {
		return nil, err
	}
	e.stops = map[int32]bool{}
	for _, id := range stops {
		e.stops[int32(id)] = true
	}
	if e.plan, err = MakePlan(e.cfg, o, max(e.images.MinPixels, e.images.MaxPixels)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if e.d, err = binding.Open(binding.Options{Threads: o.Threads, ISA: o.ISA, Library: o.Library}); err != nil {
		return nil, err
	}
	if e.w, err = loadWeights(ctx, e.d, ck, o.DType.abi(), o.Progress); err != nil {
		return nil, err
	}
	return e, e.prepare()
}

// Frontend loads what turns text and pictures into ids and pixels, without weights: the tokenizer and the picture processor of a
// checkpoint folder. Pixel budgets of 0 are the folder's own. It refuses a folder whose chat template is not the one that package
// chat renders.
func Frontend(dir string, minPixels, maxPixels int) (*tokenizer.Tokenizer, *imageproc.Processor, error) {
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	if err := chat.CheckTemplate(dir); err != nil {
		return nil, nil, err
	}
	images, err := Images(dir, minPixels, maxPixels)
	return tok, images, err
}

// CheckFrontend refuses a folder whose tokenizer or picture settings do not go with the model that c describes.
func CheckFrontend(dir string, c *config.Config, tok *tokenizer.Tokenizer) error {
	pre, err := config.LoadPreprocessor(dir)
	if err != nil {
		return err
	}
	if err := pre.Check(&c.Vision); err != nil {
		return fmt.Errorf("engine: %s: %w", dir, err)
	}
	if n := tok.VocabSize(); n > c.Text.VocabSize {
		return fmt.Errorf("engine: %s: the tokenizer has %d ids, the model's vocab_size is %d: take the tokenizer that the model was trained with", dir, n, c.Text.VocabSize)
	}
	return nil
}

// Images is the picture processor of a checkpoint folder, with pixel budgets of 0 taken from its preprocessor_config.json.
func Images(dir string, minPixels, maxPixels int) (*imageproc.Processor, error) {
	pre, err := config.LoadPreprocessor(dir)
	if err != nil {
		return nil, err
	}
	p := &imageproc.Processor{PatchSize: pre.PatchSize, MergeSize: pre.MergeSize, TemporalPatchSize: pre.TemporalPatchSize,
		MinPixels: pre.MinPixels, MaxPixels: pre.MaxPixels, Mean: pre.Mean, Std: pre.Std, Rescale: pre.RescaleFactor}
	if minPixels != 0 {
		p.MinPixels = minPixels
	}
	if maxPixels != 0 {
		p.MaxPixels = maxPixels
	}
	// One budget may pass the folder's other: as in the reference, a picture above the most is made smaller, and of the others one below the
	// least larger.
	if p.MinPixels < 1 || p.MaxPixels < 1 || minPixels != 0 && maxPixels != 0 && maxPixels < minPixels {
		return nil, fmt.Errorf("engine: a pixel budget from %d to %d: want 1 <= min <= max", p.MinPixels, p.MaxPixels)
	}
	return p, nil
}

// prepare takes the memory that lasts as long as the engine.
func (e *Engine) prepare() (err error) {
	t := &e.cfg.Text
	m := &model{d: e.d, cfg: e.cfg, dtype: e.opts.DType.abi(), w: e.w}
	if e.cache, err = newKVCache(e.d, m.dtype, t.Layers, t.KVHeads, t.HeadDim, e.plan.Pages); err != nil {
		return err
	}
	maxPages := min(pagesFor(t.MaxPositionEmbeddings), e.plan.Pages)
	if e.dec, err = newDecoder(m, e.cache, e.opts.PrefillChunk, e.opts.PrefillChunk, e.opts.MaxBatch, maxPages); err != nil {
		return err
	}
	e.sight.d, e.lessons.d = e.d, e.d
	s := &e.scratch
	s.d = e.d
	block := logitRows(e.opts.MaxBatch)
	rows := max(block, e.opts.PrefillChunk)
	sample := binding.SampleWorkspaceArgs{Rows: int64(block), N: int64(t.VocabSize)}
	score := binding.LogProbWorkspaceArgs{DType: m.dtype, Rows: int64(e.opts.PrefillChunk), N: int64(t.VocabSize), K: int64(t.HiddenSize)}
	if err := errors.Join(e.d.SampleWorkspace(&sample), e.d.LogProbWorkspace(&score)); err != nil {
		return err
	}
	e.logits = s.alloc(4 * block * t.VocabSize)
	e.params = s.alloc(sampleRowBytes * block)
	e.drawn = s.alloc(3 * 4 * rows)
	e.targets = s.alloc(4 * rows)
	e.work = s.alloc(int(max(sample.Bytes, score.Bytes)))
	e.ban = s.alloc(4 * ((t.VocabSize + 31) / 32))
	if s.err != nil {
		return s.err
	}
	bits := e.ban.Uint32s()
	for id := range t.VocabSize {
		if e.banned(int32(id)) {
			bits[id/32] |= 1 << (id % 32)
		}
	}
	return nil
}

// banned reports whether BanVision forbids id.
func (e *Engine) banned(id int32) bool {
	switch c := e.cfg; int(id) {
	case c.VisionStartTokenID, c.VisionEndTokenID, c.VisionTokenID, c.ImageTokenID, c.VideoTokenID:
		return true
	}
	if e.cfg.VisionTokenID < 0 { // a config may do without the key
		if pad, ok := e.tok.ID(visionPad); ok && id == pad {
			return true
		}
	}
	return !e.tok.HasToken(id)
}

// banAddr is the address of a ban's bits for the ABI, 0 for none.
func (e *Engine) banAddr(b Ban) uint64 {
	if b == BanNone {
		return 0
	}
	return e.ban.Addr()
}

// Close frees the engine's memory.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	errs = append(errs, e.scratch.Close(), e.sight.Close(), e.lessons.Close())
	if e.dec != nil {
		errs = append(errs, e.dec.Close())
	}
	if e.cache != nil {
		errs = append(errs, e.cache.Close())
	}
	if e.w != nil {
		errs = append(errs, e.w.Close())
	}
	if e.d != nil {
		errs = append(errs, e.d.Close())
	}
	return errors.Join(errs...)
}

// Config is the model's configuration. It is not to be changed.
func (e *Engine) Config() *config.Config { return e.cfg }

// Tokenizer is the checkpoint's tokenizer.
func (e *Engine) Tokenizer() *tokenizer.Tokenizer { return e.tok }

// Images is the checkpoint's picture processor.
func (e *Engine) Images() *imageproc.Processor { return e.images }

// Device describes what the engine runs on.
func (e *Engine) Device() (binding.Info, error) { return e.d.Info() }

// Plan is the engine's memory plan.
func (e *Engine) Plan() Plan { return e.plan }

// MaxContext is the most tokens that a prompt and its completion may have together.
func (e *Engine) MaxContext() int { return e.cfg.Text.MaxPositionEmbeddings }

// StopIDs are the ids that end a sample: generation_config.json's eos_token_id, else the config's. Ascending.
func (e *Engine) StopIDs() []int32 {
	ids := make([]int32, 0, len(e.stops))
	for id := range e.stops {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}
