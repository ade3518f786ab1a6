package dataset

import (
	"context"
	"errors"
	"slices"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/reward"
)

// Prompts are records as a [grpo.Prompts]: their Record is a [reward.Record].
type Prompts struct{ *set }

// NewPrompts checks the records of s and makes prompts of them for the policy e. The error about a record is a [data.Problem].
func NewPrompts(ctx context.Context, e *engine.Engine, s Source, o Options) (*Prompts, error) {
	d, err := newSet(ctx, e, s, o, nil)
	if err != nil {
		return nil, err
	}
	return &Prompts{d}, nil
}

// Example is example i, with its pictures.
func (p *Prompts) Example(i int) (x *grpo.Example, err error) {
	err = p.each(i, func(r *data.Record) error {
		q, err := p.prompt(r, p.load)
		if err == nil {
			x = &grpo.Example{ID: name(r), Prompt: q, Record: rewardRecord(r, q), Kind: r.Type, Question: r.Text(), Gold: r.Gold}
		}
		return err
	})
	return x, err
}

// rewardRecord is what verifiers get to know. The size of a picture as the model sees it is that of the prompt: a record's own is of
// whatever pixel budget it was made with.
func rewardRecord(r *data.Record, p *engine.Prompt) *reward.Record {
	x := &reward.Record{ID: r.ID, Type: r.Type, Question: r.Text(), Options: r.Options, Gold: r.Gold, ImageSize: r.ImageSize, ResizedSize: r.ResizedSize, Extra: r.Extra}
	for _, im := range p.Images {
		x.Images = append(x.Images, im.Path)
	}
	if len(p.Images) == 1 {
		im := p.Images[0]
		x.ResizedSize = [2]int{im.ResizedH, im.ResizedW}
		if x.ImageSize == [2]int{} {
			x.ImageSize = [2]int{im.OrigH, im.OrigW}
		}
	}
	return x
}

// Demonstrations are records with responses as a [grpo.Demonstrations].
type Demonstrations struct {
	*set
	stop int32
}

// NewDemonstrations checks the records of s and makes demonstrations of them for e.
func NewDemonstrations(ctx context.Context, e *engine.Engine, s Source, o Options) (*Demonstrations, error) {
	stop, err := stopID(e)
	if err != nil {
		return nil, err
	}
	o.Room = 0 // each has its own completion
	d, err := newSet(ctx, e, s, o, func(d *set, r *data.Record, p *engine.Prompt) ([]int32, error) {
		return d.completion(r, p, stop)
	})
	if err != nil {
		return nil, err
	}
	return &Demonstrations{d, stop}, nil
}

// stopID is the id that ends a response: that of <|im_end|> where it is a stop id, else the first stop id.
func stopID(e *engine.Engine) (int32, error) {
	stops := e.StopIDs()
	if id, ok := e.Tokenizer().ID("<|im_end|>"); ok && slices.Contains(stops, id) {
		return id, nil
	}
	if len(stops) == 0 {
		return 0, errors.New("dataset: the checkpoint has no stop id: set eos_token_id in generation_config.json")
	}
	return stops[0], nil
}

// Demonstration is demonstration i, with its pictures.
func (d *Demonstrations) Demonstration(i int) (x *grpo.Demonstration, err error) {
	err = d.each(i, func(r *data.Record) error {
		p, err := d.prompt(r, d.load)
		if err != nil {
			return err
		}
		ids, err := d.completion(r, p, d.stop)
		x = &grpo.Demonstration{ID: name(r), Prompt: p, IDs: ids}
		return err
	})
	return x, err
}

// completion is the ids of a record's response and the one that ends it.
func (d *set) completion(r *data.Record, p *engine.Prompt, stop int32) ([]int32, error) {
	if r.Response == "" {
		return nil, problem(r, badResponse, errors.New("the record has no response to imitate: want answer or response, <think>...</think> <answer>...</answer>"))
	}
	ids := append(d.e.Tokenizer().EncodeOrdinary(r.Response), stop)
	if err := d.fits(r, len(p.IDs), len(ids)); err != nil {
		return nil, err
	}
	return ids, nil
}

var (
	_ grpo.Prompts        = &Prompts{}
	_ grpo.Demonstrations = &Demonstrations{}
)
