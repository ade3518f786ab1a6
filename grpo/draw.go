package grpo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/thinker-vl/thinker/engine"
)

// A source chooses the examples that are sampled, one after the other, by what came of earlier ones.
type source interface {
	// next is the next example and its number in the data. A nil example without an error: none until another group is judged. io.EOF:
	// none any more. errEnough: nor is what has been taken and is not judged yet of use.
	next() (x *Example, index int, err error)
	// judged takes a group that has its rewards; groups come in no certain order.
	judged(g *group)
}

var errEnough = errors.New("enough")

// A drawing samples examples and has their samples judged while it decodes.
type drawing struct {
	policy   *engine.Engine
	sampling engine.Sampling
	panel    *panel
	source   source

	// unjudged is how many groups may wait for their rewards before no further example is taken: they hold their pictures. 0: any number.
	unjudged int

	waited time.Duration // for rewards, with nothing to decode
}

// run draws to the source's end.
func (d *drawing) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel(nil)

	done := make(chan *group)
	turn := make(chan struct{}, d.panel.RewardWorkers)
	judging := 0
	judge := func(g *group) {
		judging++
		workers.Go(func() {
			select {
			case turn <- struct{}{}:
			case <-ctx.Done():
				return
			}
			err := d.panel.judge(ctx, g)
			<-turn
			if err != nil {
				cancel(err)
				return
			}
			select {
			case done <- g:
			case <-ctx.Done():
			}
		})
	}
	take := func(g *group) {
		judging--
		d.source.judged(g)
	}
	wait := func() error {
		clock := time.Now()
		defer func() { d.waited += time.Since(clock) }()
		select {
		case g := <-done:
			take(g)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}

	open := map[int]*group{} // those of which samples are to come, by position
	taken := 0
	var failed error // of the source
	prompts := func(yield func(*engine.Prompt, error) bool) {
		for {
			for more := true; more; {
				select {
				case g := <-done:
					take(g)
				default:
					more = false
				}
			}
			var x *Example
			index := 0
			if d.unjudged == 0 || judging < d.unjudged {
				if x, index, failed = d.source.next(); failed == io.EOF {
					failed = nil
					return
				}
			}
			switch {
			case failed != nil:
				yield(nil, failed)
				return
			case x == nil && len(open) == 0:
				if failed = wait(); failed != nil {
					yield(nil, failed)
					return
				}
			case x == nil:
				if !yield(nil, nil) {
					return
				}
			default:
				n := max(d.sampling.N, 1)
				open[taken] = &group{position: taken, index: index, example: x, samples: make([]*engine.Sample, n), missing: n}
				taken++
				if !yield(x.Prompt, nil) {
					return
				}
			}
		}
	}
	for s, err := range d.policy.Generate(ctx, prompts, d.sampling) {
		switch p := (*engine.PromptError)(nil); {
		case failed != nil:
			err = failed
		case errors.As(err, &p) && open[p.Prompt] != nil:
			err = fmt.Errorf("grpo: example %s: %w", open[p.Prompt].example.ID, p.Err)
		case err != nil && ctx.Err() != nil:
			err = context.Cause(ctx)
		}
		if err == errEnough {
			return nil
		}
		if err != nil {
			return err
		}
		g := open[s.Prompt]
		g.samples[s.Sample] = s
		if g.missing--; g.missing == 0 {
			delete(open, s.Prompt)
			judge(g)
		}
	}
	for judging > 0 {
		if err := wait(); err != nil {
			return err
		}
	}
	return nil
}
