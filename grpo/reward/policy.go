package reward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Policy bounds the calls to a service. The zero value of a field is its default.
type Policy struct {
	Concurrency int     // calls under way at once; 8
	Rate        float64 // attempts a second; 0: as many as there are

	Timeout  time.Duration // of an attempt; 60 s
	Deadline time.Duration // of a score's attempts and the waits between them; 3 min
	Attempts int           // at a score; 4
	Backoff  time.Duration // before the second attempt, and doubled before each that follows, with jitter; 500 ms

	MaxReply int64 // bytes of a reply; 256 KiB

	// Budget for the life of the scorer. Calls under way when it runs out are finished, so it may be passed by as many as Concurrency.
	MaxCalls  int64 // attempts; 0: no limit
	MaxTokens int64 // tokens by the replies' count; 0: no limit

	// The circuit breaker opens after this many failed attempts in a row, and lets one through again after a while.
	BreakAfter int           // 10
	BreakFor   time.Duration // 30 s

	Cache int // scores kept, by content; 65536; negative: none
}

func (p Policy) withDefaults() (Policy, error) {
	for _, x := range []struct {
		name string
		bad  bool
	}{
		{"Concurrency", p.Concurrency < 0 || p.Concurrency > 1<<16}, {"Rate", !(p.Rate >= 0 && p.Rate < 1e9)}, {"Timeout", p.Timeout < 0}, {"Deadline", p.Deadline < 0},
		{"Attempts", p.Attempts < 0}, {"Backoff", p.Backoff < 0}, {"MaxReply", p.MaxReply < 0 || p.MaxReply > 1<<30}, {"MaxCalls", p.MaxCalls < 0},
		{"MaxTokens", p.MaxTokens < 0}, {"BreakAfter", p.BreakAfter < 0}, {"BreakFor", p.BreakFor < 0},
	} {
		if x.bad {
			return p, fmt.Errorf("reward: the policy's %s is negative or too large", x.name)
		}
	}
	p.Concurrency = cmp.Or(p.Concurrency, 8)
	p.Timeout = cmp.Or(p.Timeout, time.Minute)
	p.Deadline = cmp.Or(p.Deadline, 3*time.Minute)
	p.Attempts = cmp.Or(p.Attempts, 4)
	p.Backoff = cmp.Or(p.Backoff, 500*time.Millisecond)
	p.MaxReply = cmp.Or(p.MaxReply, 1<<18)
	p.BreakAfter = cmp.Or(p.BreakAfter, 10)
	p.BreakFor = cmp.Or(p.BreakFor, 30*time.Second)
	p.Cache = cmp.Or(p.Cache, 1<<16)
	return p, nil
}

const (
	maxBackoff = 30 * time.Second
	maxPause   = 10 * time.Minute // for which a Retry-After holds back all calls
)

// A clock tells the time and waits; tests have their own.
type clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Failure is the kind of a call that gave no score.
type Failure string

// The kinds of failures.
const (
	Unreachable Failure = "unreachable" // no connection, or one that broke
	TimedOut    Failure = "timeout"
	Busy        Failure = "busy"     // 429
	ServerError Failure = "server"   // 5xx
	Refused     Failure = "refused"  // another status, or a redirect
	BadReply    Failure = "reply"    // not what was asked for, or too long
	NoGrade     Failure = "grade"    // a judge's reply without a grade
	OverBudget  Failure = "budget"   // calls or tokens are used up
	BreakerOpen Failure = "breaker"  // the circuit breaker is open
	Cancelled   Failure = "canceled" // by the caller
	Crashed     Failure = "crashed"  // a program ended
)

// A callError is a failed attempt.
type callError struct {
	kind  Failure
	retry bool
	after time.Duration // that the service asks to wait
	err   error
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

func failf(kind Failure, retry bool, format string, v ...any) *callError {
	return &callError{kind: kind, retry: retry, err: fmt.Errorf(format, v...)}
}

// CallStats count the calls to a service.
type CallStats struct {
	Scores   int64             // that were asked for
	Cached   int64             // of them, answered without a call
	Failed   int64             // of them, without a score
	Attempts int64             // calls made
	Retries  int64             // of them, second or later ones
	Tokens   int64             // by the replies' count
	Failures map[Failure]int64 // failed attempts, and scores given up without one
}

// A gate lets calls to one service through by its policy. It is safe for use by many goroutines.
type gate struct {
	Policy
	clock clock
	slots chan struct{}

	mu      sync.Mutex
	next    time.Time // of an attempt, by the rate
	paused  time.Time // until then the service wants no calls
	failed  int       // attempts in a row
	opened  time.Time // when the breaker opened
	probing bool      // one attempt is let through an open breaker
	stats   CallStats
}

func newGate(p Policy) (*gate, error) {
	p, err := p.withDefaults()
	if err != nil {
		return nil, err
	}
	return &gate{Policy: p, clock: realClock{}, slots: make(chan struct{}, p.Concurrency), stats: CallStats{Failures: map[Failure]int64{}}}, nil
}

// Stats returns the counts so far.
func (g *gate) Stats() CallStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Failures = maps.Clone(s.Failures)
	return s
}

func (g *gate) note(f func(s *CallStats)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.stats)
}

// do makes attempts until one succeeds. Each gets a context that ends with its time, and returns the tokens that it took.
func (g *gate) do(ctx context.Context, attempt func(ctx context.Context) (tokens int64, err error)) error {
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return g.giveUp(failf(Cancelled, false, "%w", ctx.Err()))
	}
	deadline := g.clock.Now().Add(g.Deadline)
	var last *callError
	for n := 1; ; n++ {
		if err := g.admit(ctx, n, deadline); err != nil {
			if last != nil {
				err.err = fmt.Errorf("%w; the attempt before: %w", err.err, last.err)
			}
			return g.giveUp(err)
		}
		last = g.try(ctx, deadline, attempt)
		if last == nil {
			return nil
		}
		if !last.retry || n >= g.Attempts {
			if n > 1 {
				last.err = fmt.Errorf("%w (%d attempts)", last.err, n)
			}
			g.note(func(s *CallStats) { s.Failed++ })
			return last
		}
		wait := min(g.Backoff<<min(n-1, 16), maxBackoff)
		wait = wait/2 + rand.N(wait/2+1)
		if last.after > 0 {
			wait = last.after + rand.N(last.after/10+1)
		}
		if g.clock.Now().Add(wait).After(deadline) {
			last.err = fmt.Errorf("%w; waiting %v more would pass the deadline of %v", last.err, wait.Round(time.Millisecond), g.Deadline)
			g.note(func(s *CallStats) { s.Failed++ })
			return last
		}
		if err := g.clock.Sleep(ctx, wait); err != nil {
			return g.giveUp(failf(Cancelled, false, "%w", err))
		}
	}
}

// giveUp counts a score that ends without an attempt.
func (g *gate) giveUp(err *callError) error {
	g.note(func(s *CallStats) {
		s.Failed++
		s.Failures[err.kind]++
	})
	return err
}

// admit waits until attempt n may be made: it asks the breaker, the budget and the rate.
func (g *gate) admit(ctx context.Context, n int, deadline time.Time) *callError {
	if err := ctx.Err(); err != nil {
		return failf(Cancelled, false, "%w", err)
	}
	g.mu.Lock()
	now := g.clock.Now()
	var err *callError
	switch {
	case g.failed >= g.BreakAfter && (g.probing || now.Before(g.opened.Add(g.BreakFor))):
		err = failf(BreakerOpen, false, "the circuit breaker is open after %d failures in a row", g.failed)
	case g.MaxCalls > 0 && g.stats.Attempts >= g.MaxCalls:
		err = failf(OverBudget, false, "the budget of %d calls is used up", g.MaxCalls)
	case g.MaxTokens > 0 && g.stats.Tokens >= g.MaxTokens:
		err = failf(OverBudget, false, "the budget of %d tokens is used up", g.MaxTokens)
	}
	at := now
	if err == nil {
		for _, t := range []time.Time{g.next, g.paused} {
			if t.After(at) {
				at = t
			}
		}
		if at.After(deadline) {
			err = failf(TimedOut, false, "the next call is due in %v, after the deadline of %v", at.Sub(now).Round(time.Millisecond), g.Deadline)
			if g.paused.After(deadline) {
				err.kind = Busy
			}
		}
	}
	if err != nil {
		g.mu.Unlock()
		return err
	}
	g.probing = g.failed >= g.BreakAfter
	if g.Rate > 0 {
		g.next = at.Add(time.Duration(float64(time.Second) / g.Rate))
	}
	g.stats.Attempts++
	if n > 1 {
		g.stats.Retries++
	}
	g.mu.Unlock()
	if err := g.clock.Sleep(ctx, at.Sub(now)); err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.probing = false
		g.stats.Attempts--
		return failf(Cancelled, false, "%w", err)
	}
	return nil
}

// try makes an attempt and settles it.
func (g *gate) try(ctx context.Context, deadline time.Time, attempt func(ctx context.Context) (int64, error)) *callError {
	limit, cancel := context.WithTimeout(ctx, max(0, min(g.Timeout, deadline.Sub(g.clock.Now()))))
	defer cancel()
	tokens, err := attempt(limit)
	if err == nil {
		g.settle(tokens, nil)
		return nil
	}
	e, ok := errors.AsType[*callError](err)
	switch {
	case ctx.Err() != nil:
		e = failf(Cancelled, false, "%w", ctx.Err())
	case limit.Err() != nil:
		e = failf(TimedOut, true, "no reply within %v", g.Timeout)
	case !ok:
		e = failf(Unreachable, true, "%w", err)
	}
	g.settle(tokens, e)
	return e
}

// settle counts an attempt, and tells the breaker and all who wait.
func (g *gate) settle(tokens int64, err *callError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Tokens += max(0, tokens)
	g.probing = false
	if err == nil {
		g.failed = 0
		return
	}
	g.stats.Failures[err.kind]++
	if err.after > 0 {
		if until := g.clock.Now().Add(min(err.after, maxPause)); until.After(g.paused) {
			g.paused = until
		}
	}
	switch err.kind {
	case NoGrade: // what a response can bring about does not keep others from the judge
		g.failed = 0
	case Unreachable, TimedOut, ServerError, BadReply, Crashed:
		if g.failed++; g.failed >= g.BreakAfter {
			g.opened = g.clock.Now()
		}
	}
}

// retryAfter reads the header: seconds, or a date. 0 is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if !(s > 0) {
			return 0
		}
		return time.Duration(min(s, 1e6) * float64(time.Second))
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, min(t.Sub(now), 1e6*time.Second))
	}
	return 0
}
