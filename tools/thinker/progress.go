package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows how far a phase of a command has come: a bar with the time left where standard error is a terminal, a line now and
// then where --verbose asks for it, nothing otherwise. A nil *progress shows nothing.
type progress struct {
	a     *app
	what  string
	total int64 // -1: unknown
	done  int64
	start time.Time
	shown time.Time
	bar   *progressbar.ProgressBar // nil for lines
	ended bool

	tokens, shownTokens int64
	rate                float64 // tokens/s since the last time shown
}

const (
	barPeriod  = 200 * time.Millisecond
	linePeriod = 5 * time.Second
)

// progress starts a phase of total steps; -1 stands for a number not known.
func (a *app) progress(what string, total int64) *progress {
	if a.quiet || !a.terminal && !a.verbose {
		return nil
	}
	p := &progress{a: a, what: what, total: total, start: time.Now(), shown: time.Now()}
	if a.terminal {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(a.stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(barPeriod),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSpinnerType(14))
		p.bar.RenderBlank()
	}
	return p
}

// add counts n steps.
func (p *progress) add(n int64) {
	if p != nil {
		p.set(p.done + n)
	}
}

// set says that done steps of total are done.
func (p *progress) set(done int64) {
	if p == nil {
		return
	}
	p.done = done
	p.show()
}

// token counts a token, for the rate.
func (p *progress) token() {
	if p != nil {
		p.tokens++
		p.show()
	}
}

func (p *progress) show() {
	if p.ended {
		return
	}
	period := linePeriod
	if p.bar != nil {
		period = barPeriod
	}
	since := time.Since(p.shown)
	if since < period && p.done != p.total {
		return
	}
	what := p.what
	if p.tokens > 0 {
		if since > 0 {
			p.rate = float64(p.tokens-p.shownTokens) / since.Seconds()
		}
		what = fmt.Sprintf("%s, %.1f tokens/s", what, p.rate)
	}
	p.shown, p.shownTokens = time.Now(), p.tokens
	if p.bar != nil {
		if p.tokens > 0 {
			p.bar.Describe(what)
		}
		p.bar.Set64(p.done)
		return
	}
	switch {
	case p.total < 0:
		fmt.Fprintf(p.a.stderr, "thinker: %s: %d done\n", what, p.done)
	case p.done > 0 && p.total > 0:
		left := time.Duration(float64(time.Since(p.start)) / float64(p.done) * float64(p.total-p.done))
		fmt.Fprintf(p.a.stderr, "thinker: %s: %.0f %%, %v left\n", what, 100*float64(p.done)/float64(p.total), left.Round(time.Second))
	default:
		fmt.Fprintf(p.a.stderr, "thinker: %s\n", what)
	}
}

// end removes the bar. A second call does nothing.
func (p *progress) end() {
	if p != nil && p.bar != nil {
		p.bar.Clear()
		p.bar, p.ended = nil, true
	}
}
