package binding

import "time"

// A pace says when a goroutine that makes one call after another should pass through Go's scheduler, which it otherwise never does. After
// 10 ms the runtime's monitor takes the P of such a goroutine away, and for the next 5 ms it wakes every 0.1 ms to see whether it must do
// so again. On a virtual machine that takes a third of the CPU that it wakes on, and that is one which a kernel runs on: calls of some µs
// from one goroutine lost a tenth of their speed. Looking at the clock costs as much as half a call does, so not every call does it.
type pace struct {
	calls, every int // since the last look at the clock; from look to look
	yielded      time.Time
}

const (
	yieldAfter = 4 * time.Millisecond
	mostCalls  = 8 // from look to look
)

// yield reports whether it is time to yield; then the caller does.
func (p *pace) yield() bool {
	if p.calls++; p.calls < p.every {
		return false
	}
	p.calls = 0
	since := time.Since(p.yielded)
	switch {
	case since > 2*yieldAfter: // calls take so long that looks are too rare
		p.every /= 2
	case since < yieldAfter:
		p.every = min(max(2*p.every, 2), mostCalls)
	}
	if since <= yieldAfter {
		return false
	}
	p.yielded = time.Now()
	return true
}
