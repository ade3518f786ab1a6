package dataset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/prompt"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/grpo/reward"
)

// A Source is records by number, safe for concurrent use: a [data.Set], or [Records].
type Source interface {
	Len() int
	Record(i int) (*data.Record, error)
}

// Records is a source in memory.
type Records []*data.Record

// Len is the number of records.
func (r Records) Len() int { return len(r) }

// Record is record i.
func (r Records) Record(i int) (*data.Record, error) { return r[i], nil }

// A Check says how closely records are looked at before anything is learned.
type Check int

// The checks.
const (
	CheckHeaders  Check = iota // records are laid out and tokenized; of pictures the header is read
	CheckPictures              // pictures are decoded
	CheckNothing
)

func (c Check) String() string { return [...]string{"header", "full", "none"}[c] }

// ParseCheck is the inverse of String.
func ParseCheck(s string) (Check, error) {
	for c := CheckHeaders; c <= CheckNothing; c++ {
		if c.String() == s {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%q is none of header, full, none", s)
}

// Options say how records become prompts.
type Options struct {
	Layout    *prompt.Layout // nil: the paper's
	MaxPrompt int            // most tokens of a prompt; 0: the context
	Room      int            // tokens of the context that are kept for the completion
	Check     Check

	// Gold has the verifiers of prompts look at the gold answers: one that cannot be read can never be rewarded. Nil: they are not looked at.
	Gold *reward.Registry

	// Skip leaves out what the check refuses, in the place of an error. A picture that turns out to be broken when it is needed is
	// logged, and the next record takes its record's place.
	Skip bool

	Progress func(done, total int64) // of the check; may be nil
	Log      *slog.Logger            // nil: slog.Default()
}

// A Report says what a check has found.
type Report struct {
	Records, Kept int
	Types         map[string]int // kept, by verifier type
	Reasons       map[string]int // left out, by reason
	Skipped       []data.Problem // the first data.MaxProblems of them

	MeanPrompt    float64 // tokens
	LongestPrompt int
	Pictures      int // of the records kept

	// Shape is the largest prompt, and of demonstrations the longest completion, for the plan of a trainer's memory.
	Shape engine.FamilyShape
}

// A set is what prompts and demonstrations have in common.
type set struct {
	e      *engine.Engine
	source Source
	o      Options
	kept   []int // numbers in source
	report Report
	warned sync.Map // records that were replaced
}

// The reasons of problems.
const (
	badRecord   = "unreadable record"
	badLayout   = "no prompt"
	badPicture  = "unreadable picture"
	longPrompt  = "prompt too long"
	badResponse = "no response"
	badGold     = "gold answer that its verifier cannot read"
)

func problem(r *data.Record, reason string, err error) *data.Problem {
	return &data.Problem{File: r.File, Line: r.Line, ID: r.ID, Reason: reason, Err: err}
}

func newSet(ctx context.Context, e *engine.Engine, s Source, o Options, completion func(*set, *data.Record, *engine.Prompt) ([]int32, error)) (*set, error) {
	if o.Layout == nil {
		o.Layout = prompt.Paper()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxPrompt < 0 || o.Room < 0 || o.Check < CheckHeaders || o.Check > CheckNothing {
		return nil, fmt.Errorf("dataset: MaxPrompt %d, Room %d, Check %d: out of range", o.MaxPrompt, o.Room, o.Check)
	}
	d := &set{e: e, source: s, o: o, report: Report{Records: s.Len(), Types: map[string]int{}, Reasons: map[string]int{}}}
	if o.Check == CheckNothing {
		d.kept = make([]int, s.Len())
		for i := range d.kept {
			d.kept[i] = i
		}
		d.report.Kept = len(d.kept)
		return d, nil
	}
	return d, d.check(ctx, completion)
}

// checkBlock is how many records are checked between two looks at what was found.
const checkBlock = 256

// found is what the check of a record found.
type found struct {
	kind       string
	prompt     *engine.Prompt // without pixels where only headers are read
	completion int            // tokens
	err        error
}

func (d *set) check(ctx context.Context, completion func(*set, *data.Record, *engine.Prompt) ([]int32, error)) error {
	total := d.source.Len()
	tokens := 0
	for first := 0; first < total; first += checkBlock {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		block := make([]found, min(checkBlock, total-first))
		var work sync.WaitGroup
		workers := min(runtime.GOMAXPROCS(0), len(block))
		for w := range workers {
			work.Go(func() {
				for i := w; i < len(block); i += workers {
					block[i] = d.look(first+i, completion)
				}
			})
		}
		work.Wait()
		for i, f := range block {
			if f.err == nil {
				d.kept = append(d.kept, first+i)
				d.report.Types[f.kind]++
				d.report.Pictures += len(f.prompt.Images)
				d.report.LongestPrompt = max(d.report.LongestPrompt, len(f.prompt.IDs))
				d.report.Shape.Grow(f.prompt)
				d.report.Shape.CompletionTokens = max(d.report.Shape.CompletionTokens, f.completion)
				tokens += len(f.prompt.IDs)
				continue
			}
			p, ok := errors.AsType[*data.Problem](f.err)
			if !ok {
				return f.err // not the record's fault
			}
			if !d.o.Skip {
				return p
			}
			d.report.Reasons[p.Reason]++
			if len(d.report.Skipped) < data.MaxProblems {
				d.report.Skipped = append(d.report.Skipped, *p)
			}
		}
		if d.o.Progress != nil {
			d.o.Progress(int64(first+len(block)), int64(total))
		}
	}
	d.report.Kept = len(d.kept)
	if n := len(d.kept); n > 0 {
		d.report.MeanPrompt = float64(tokens) / float64(n)
	}
	if total > 0 && len(d.kept) == 0 {
		return fmt.Errorf("dataset: none of %d records can be used, the first because: %w", total, &d.report.Skipped[0])
	}
	return nil
}

func (d *set) look(i int, completion func(*set, *data.Record, *engine.Prompt) ([]int32, error)) (f found) {
	load := d.e.Images().Measure
	if d.o.Check == CheckPictures {
		load = d.load
	}
	r, err := d.source.Record(i)
	if err != nil {
		f.err = err
		return f
	}
	p, err := d.prompt(r, load)
	if err == nil {
		err = d.checkGold(r, p)
	}
	var ids []int32
	if err == nil && completion != nil {
		ids, err = completion(d, r, p)
	}
	if err != nil {
		f.err = err
		return f
	}
	if d.o.Check == CheckPictures {
		for _, im := range p.Images {
			im.Pixels = nil
		}
	}
	return found{kind: r.Type, prompt: p, completion: len(ids)}
}

// checkGold refuses a gold answer that its verifier cannot read.
func (d *set) checkGold(r *data.Record, p *engine.Prompt) error {
	if d.o.Gold == nil {
		return nil
	}
	v, err := d.o.Gold.Verifier(r.Type)
	if err != nil {
		return problem(r, badGold, err)
	}
	if c, ok := v.(reward.GoldChecker); ok {
		if err := c.CheckGold(rewardRecord(r, p)); err != nil {
			return problem(r, badGold, fmt.Errorf("gt: %w", err))
		}
	}
	return nil
}

// load decodes a picture. A source that knows where its pictures may come from opens them itself.
func (d *set) load(path string) (*imageproc.Image, error) {
	s, ok := d.source.(interface {
		OpenImage(path string) (*os.File, error)
	})
	if !ok {
		return d.e.Images().Load(path)
	}
	f, err := s.OpenImage(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rgb, err := imageproc.Decode(f, d.e.Images().Limits)
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", path, err)
	}
	im, err := d.e.Images().FromRGB(rgb)
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", path, err)
	}
	im.Path = path
	return im, nil
}

// prompt lays a record out and turns it into ids, with its pictures as load gives them.
func (d *set) prompt(r *data.Record, load func(path string) (*imageproc.Image, error)) (*engine.Prompt, error) {
	messages, err := d.o.Layout.Messages(r)
	if err != nil {
		return nil, problem(r, badLayout, err)
	}
	converted := make([]chat.Message, len(messages))
	var pictures []*imageproc.Image
	for i, m := range messages {
		converted[i].Role = m.Role
		for _, part := range m.Parts {
			if part.Image == "" {
				converted[i].Content = append(converted[i].Content, chat.Text(part.Text))
				continue
			}
			converted[i].Content = append(converted[i].Content, chat.Image(part.Image))
			im, err := load(part.Image)
			if err != nil {
				return nil, problem(r, badPicture, err)
			}
			pictures = append(pictures, im)
		}
	}
	p, err := d.e.Conversation(converted, pictures)
	if err != nil {
		reason := badLayout
		if len(pictures) > 0 || r.Question != "" { // all else about a conversation is the layout's
			reason = longPrompt
		}
		return nil, problem(r, reason, err)
	}
	return p, d.fits(r, len(p.IDs), d.o.Room)
}

// fits refuses a prompt that is too long, alone or with so many tokens behind it.
func (d *set) fits(r *data.Record, tokens, more int) error {
	if most := d.o.MaxPrompt; most > 0 && tokens > most {
		return problem(r, longPrompt, fmt.Errorf("the prompt has %d tokens, more than max_prompt_length %d: shorten it, or lower the pixel budget", tokens, most))
	}
	if limit := d.e.MaxContext(); tokens+more > limit {
		return problem(r, longPrompt, fmt.Errorf("the prompt of %d tokens and %d for the completion are more than the model's context of %d: shorten either, or lower the pixel budget",
			tokens, more, limit))
	}
	return nil
}

// Len is the number of records that can be used.
func (d *set) Len() int { return len(d.kept) }

// Report says what the check has found.
func (d *set) Report() Report { return d.report }

// Types are the verifier types of the records that were checked, in order.
func (d *set) Types() []string {
	var all []string
	for t := range d.report.Types {
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// each calls f with record i, or where that fails and failures are skipped with the next one that does not.
func (d *set) each(i int, f func(r *data.Record) error) error {
	const most = 100
	var err error
	for k := range min(len(d.kept), most) {
		var r *data.Record
		if r, err = d.source.Record(d.kept[(i+k)%len(d.kept)]); err == nil {
			err = f(r)
		}
		if err == nil || !d.o.Skip {
			return err
		}
		if _, ok := errors.AsType[*data.Problem](err); !ok {
			return err
		}
		if _, again := d.warned.LoadOrStore(d.kept[(i+k)%len(d.kept)], true); !again {
			d.o.Log.Warn("dataset: a record is left out; the next one takes its place", "error", err)
		}
	}
	return err
}

// name is a record's for logs: its id, or where it stands.
func name(r *data.Record) string {
	if r.ID != "" {
		return r.ID
	}
	return fmt.Sprintf("%s:%d", filepath.Base(r.File), r.Line)
}
