package engine

import (
	"time"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/imageproc"
)

// Stats counts an engine's work since it was opened. A pass that both decodes and prefills shares its time out by tokens; drawing ids
// counts as decoding.
type Stats struct {
	PrefillTokens, DecodeTokens, VisionPatches   int64
	PrefillSeconds, DecodeSeconds, VisionSeconds float64
}

// Stats returns the counters. It waits for a call in progress.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// pass counts a forward pass whose first decoding stretches are single ids of running samples.
func (s *Stats) pass(decoding int, passes []stretch, took time.Duration) {
	rows := 0
	for _, p := range passes {
		rows += len(p.ids)
	}
	s.DecodeTokens += int64(decoding)
	s.PrefillTokens += int64(rows - decoding)
	share := took.Seconds() * float64(decoding) / float64(rows)
	s.DecodeSeconds += share
	s.PrefillSeconds += took.Seconds() - share
}

// encode runs the vision tower over pictures, and counts it.
func (e *Engine) encode(pictures []*imageproc.Image) (*binding.Buffer, error) {
	clock := time.Now()
	features, err := e.dec.encode(&e.sight, pictures)
	e.stats.VisionSeconds += time.Since(clock).Seconds()
	for _, p := range pictures {
		e.stats.VisionPatches += int64(p.Grid[0] * p.Grid[1] * p.Grid[2])
	}
	return features, err
}
