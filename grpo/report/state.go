package report

import "fmt"

// ending says how far the run came. updates is -1 where it is not known.
func (p *page) ending(m *manifest, updates int64) {
	switch {
	case p.Kind == "Evaluation":
		p.State, p.Class = "evaluated", "good"
	case m == nil:
		p.State, p.Class = "no checkpoint", "none"
	case m.State.Ended != "":
		p.State, p.Class, p.Reason = "ended early", "fair", line(m.State.Ended, 300)
	case m.State.Total > 0 && m.State.Step >= m.State.Total:
		p.State, p.Class = "finished", "good"
	case m.State.Total > 0:
		p.State, p.Class, p.Reason = "not finished", "fair", fmt.Sprintf("Step %d of %d.", m.State.Step, m.State.Total)
	default:
		p.State, p.Class = "saved", "none"
	}
	if m != nil && updates > m.Policy {
		p.Reason += fmt.Sprintf(" The newest checkpoint is of update %d: when the run goes on, it makes the %s after it again.", m.Policy, count(updates-m.Policy, "update"))
	}
}

// settings are what the header says of the run file.
func (d *folder) settings() []fact { return nil }
