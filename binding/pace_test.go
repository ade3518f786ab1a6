package binding

import (
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a call takes, less than the 10 ms after which the runtime's monitor acts pass between yields, as far as calls are that short.
func TestPace(t *testing.T) {
	for _, each := range []time.Duration{time.Microsecond, 100 * time.Microsecond, 700 * time.Microsecond, 2 * time.Millisecond, 5 * time.Millisecond, 30 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var p pace
			begin, last, yields := time.Now(), time.Now(), 0
			for time.Since(begin) < 3*time.Second {
				time.Sleep(each)
				yield, gap := p.yield(), time.Since(last)
				if time.Since(begin) > time.Second && gap >= 10*time.Millisecond && gap > each {
					t.Fatalf("calls of %v: %v without a yield", each, gap)
				}
				if yield {
					last = time.Now()
					yields++
				}
			}
			if most := int(3 * time.Second / yieldAfter); yields > most {
				t.Errorf("calls of %v: %d yields in 3 s, at most %d are useful", each, yields, most)
			}
		})
	}
}
