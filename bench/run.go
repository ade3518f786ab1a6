package bench

import (
	"context"
	"errors"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// A Report is what Run measured.
type Report struct {
	Info    binding.Info
	Results []Result
}

// Run measures every case that o matches, on each number of threads. When ctx is done it returns what it has, with ctx's error.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	b, err := Open(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	report := &Report{}
	if report.Info, err = b.Info(); err != nil {
		return nil, err
	}
	for _, c := range optest.Cases() {
		if !c.Bench || o.Match != nil && !o.Match(c) {
			continue
		}
		for i := range b.devices {
			if err := ctx.Err(); err != nil {
				return report, err
			}
			r, err := b.measure(ctx, c, i)
			if err != nil {
				return report, err
			}
			report.Results = append(report.Results, r)
			if o.Progress != nil {
				o.Progress(r)
			}
		}
	}
	return report, nil
}

// measure takes the stretches of one case.
func (b *Bench) measure(ctx context.Context, c optest.Case, i int) (r Result, err error) {
	m, err := b.meter(c, i)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, m.k.close()) }()
	for n := 0; n < b.o.Stretches; {
		over, err := m.call()
		if err == nil && over {
			n++
			err = m.probe()
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return r, err
		}
	}
	return m.result, nil
}
