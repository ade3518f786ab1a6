package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/thinker-vl/thinker/grpo"
)

// A status is one line that says how far a training run is: drawn anew where standard error is a terminal, a line an update where --verbose
// asks for it. Messages are printed above it.
type status struct {
	a    *app
	mu   sync.Mutex
	line string    // on the terminal now
	last time.Time // of a line elsewhere

	marks []tokenMark // of this rollout and the one before
}

// A tokenMark is how many tokens a run had seen at a time.
type tokenMark struct {
	rollout int64
	tokens  float64
	at      time.Time
}

// rate is the tokens a second since the rollout before the last began: an update alone is quicker than the rollout that it learns from.
func (s *status) rate(p grpo.Progress) float64 {
	now := tokenMark{p.Rollout, p.Metrics["num_tokens"], time.Now()}
	s.marks = append(s.marks, now)
	for len(s.marks) > 2 && s.marks[1].rollout < p.Rollout-1 {
		s.marks = s.marks[1:]
	}
	first := s.marks[0]
	d := now.at.Sub(first.at).Seconds()
	if d <= 0 {
		return 0
	}
	return (now.tokens - first.tokens) / d
}

// update shows a run's progress.
func (s *status) update(p grpo.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, rate := p.Metrics, s.rate(p)
	if s.a.quiet || !s.a.terminal && !s.a.verbose && !s.due() {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "update %d/%d", p.Update, p.Updates)
	if v, ok := m["reward"]; ok {
		fmt.Fprintf(&b, ", reward %.3f, length %.0f", v, m["completions/mean_length"])
	} else {
		fmt.Fprintf(&b, ", loss %.4f", m["loss"])
	}
	if rate > 0 {
		fmt.Fprintf(&b, ", %.0f tokens/s", rate)
	}
	if v, ok := m["kl"]; ok {
		fmt.Fprintf(&b, ", KL %.2g", v)
	}
	fmt.Fprintf(&b, ", %v left", p.Left.Round(time.Second))
	if s.a.terminal {
		s.line = b.String()
		fmt.Fprintf(s.a.stderr, "\r\x1b[K%s", s.line)
		return
	}
	fmt.Fprintf(s.a.stderr, "thinker: %s\n", b.String())
}

// sparsely is the time between two lines of progress of the demo where standard error is no terminal.
const sparsely = 15 * time.Second

// due reports whether it is time for a line.
func (s *status) due() bool {
	if !s.a.sparse || time.Since(s.last) < sparsely {
		return false
	}
	s.last = time.Now()
	return true
}

// print writes a line above the status.
func (s *status) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		fmt.Fprintf(s.a.stderr, "\r\x1b[Kthinker: %s\n%s", text, s.line)
		return
	}
	fmt.Fprintf(s.a.stderr, "thinker: %s\n", text)
}

// end takes the status away.
func (s *status) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		fmt.Fprint(s.a.stderr, "\r\x1b[K")
		s.line = ""
	}
}

// log is what a run's messages go to.
func (s *status) log() *slog.Logger { return slog.New(&logHandler{s: s}) }

// A logHandler prints messages as the command's other lines.
type logHandler struct {
	s     *status
	attrs []slog.Attr
}

func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || l >= slog.LevelInfo && !h.s.a.quiet
}

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if r.Level >= slog.LevelWarn {
		b.WriteString("warning: ")
	}
	message := r.Message
	if prefix, rest, ok := strings.Cut(message, ": "); ok && !strings.Contains(prefix, " ") { // the package's name
		message = rest
	}
	b.WriteString(message)
	sep := ": "
	attr := func(a slog.Attr) bool {
		v := a.Value.Any()
		if n, ok := v.(int64); ok && a.Key == "available" { // memory
			v = formatBytes(n)
		}
		fmt.Fprintf(&b, "%s%s %v", sep, a.Key, v)
		sep = ", "
		return true
	}
	for _, a := range h.attrs {
		attr(a)
	}
	r.Attrs(attr)
	h.s.print(b.String())
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.s, append(append([]slog.Attr{}, h.attrs...), attrs...)}
}

func (h *logHandler) WithGroup(string) slog.Handler { return h }
