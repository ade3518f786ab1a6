package bench

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// A Bench is a back-end with the memory to measure it in. It must be closed.
type Bench struct {
	o       Options
	memory  *binding.Device // owns the arenas
	in, out arena
	probed  int               // of the arenas, where the last probe of memory ended
	devices []*binding.Device // one a number of threads, as in o.Threads
	rough   []Ceilings        // a first look at each device's
}

// Options say what is measured and how. The zero value: one thread and all CPUs, the back-end's choice of instruction set, arenas of
// 768 MiB, fifty stretches of 10 ms for each case.
type Options struct {
	Threads   []int       // numbers of threads, each of which is measured
	ISA       binding.ISA // of the cpu back-end
	Library   string      // of another back-end
	Arena     int         // bytes of each of the two arenas; more than the last-level cache holds, for figures that are published
	Stretches int
	Stretch   time.Duration          // of calls that are timed together; the shorter, the more alike are a stretch and the probes around it
	Match     func(optest.Case) bool // nil: every case marked Bench
	Progress  func(Result)           // called after each result, if not nil
}

// Open opens the devices and fills the arenas.
func Open(o Options) (b *Bench, err error) {
	if o.Arena == 0 {
		o.Arena = 768 << 20
	}
	if o.Stretches == 0 {
		o.Stretches = 50
	}
	if o.Stretch == 0 {
		o.Stretch = 10 * time.Millisecond
	}
	b = &Bench{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
			b = nil
		}
	}()
	open := func(threads int) (*binding.Device, error) {
		return binding.Open(binding.Options{Threads: threads, ISA: o.ISA, Library: o.Library})
	}
	if b.memory, err = open(1); err != nil {
		return b, err
	}
	if len(o.Threads) == 0 {
		all, err := open(0)
		if err != nil {
			return b, err
		}
		info, err := all.Info()
		if err = errors.Join(err, all.Close()); err != nil {
			return b, err
		}
		b.o.Threads = []int{1}
		if info.Threads > 1 {
			b.o.Threads = append(b.o.Threads, info.Threads)
		}
	}
	if b.in, err = newArena(b.memory, o.Arena, 1); err != nil {
		return b, err
	}
	if b.out, err = newArena(b.memory, o.Arena, 2); err != nil {
		return b, err
	}
	for _, n := range b.o.Threads {
		d, err := open(n)
		if err != nil {
			return b, err
		}
		b.devices = append(b.devices, d)
		var at Ceilings
		for r := RoofFMA; r <= RoofTile; r++ {
			if at[r], err = b.probe(d, r, 1e6, o.Stretch); err != nil && !(r == RoofTile && errors.Is(err, binding.ErrUnsupported)) {
				return b, err
			}
		}
		b.rough = append(b.rough, at)
	}
	return b, nil
}

// Close frees everything.
func (b *Bench) Close() error {
	err := errors.Join(b.in.buffer.Close(), b.out.buffer.Close())
	for _, d := range append(b.devices, b.memory) {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	b.devices, b.memory = nil, nil
	return err
}

// Info describes the back-end.
func (b *Bench) Info() (binding.Info, error) { return b.memory.Info() }

// probe measures a roof once, for about as long as window, rough being what is known of it: memory on the next parts of an arena. It
// does so in calls well below 10 ms, and yields between them: else the Go runtime takes the P away, and its monitor's wakes, every 0.1 ms for
// some time, slow what is measured next. The call in the middle counts: now and then one finds its threads on one CPU.
func (b *Bench) probe(d *binding.Device, r Roof, rough float64, window time.Duration) (float64, error) {
	rates := make([]float64, max(1, int((window+longestProbe-1)/longestProbe))|1)
	for i := range rates {
		runtime.Gosched()
		var err error
		if rates[i], err = b.probeOnce(d, r, rough, window.Seconds()/float64(len(rates))); err != nil {
			return 0, err
		}
	}
	slices.Sort(rates)
	return rates[len(rates)/2], nil
}

func (b *Bench) probeOnce(d *binding.Device, r Roof, rough, seconds float64) (float64, error) {
	if !r.Memory() {
		flopsARepeat := 24 * 16 * 4.0 // of the widest vectors' probe; a narrower one is a little shorter
		if r == RoofTile {
			flopsARepeat = 4 * 2 * 16 * 16 * 32
		}
		return d.Probe(binding.Ceiling(r), nil, max(1000, int(rough*seconds/flopsARepeat)))
	}
	buffer := b.in.buffer
	if r == RoofCopy {
		buffer = b.out.buffer
	}
	n := min(max(int(rough*seconds), leastProbed)/alignment*alignment, buffer.Len())
	if b.probed+n > buffer.Len() {
		b.probed = 0
	}
	part := buffer.Part(b.probed, n)
	b.probed += n
	return d.Probe(binding.Ceiling(r), part, max(1, int(rough*seconds/float64(n))))
}

// A Result is one case on one number of threads.
type Result struct {
	Case    optest.Case
	Threads int
	Calls   int
	Mean    float64 // seconds a call, of all
	Best    float64 // seconds a call, of the best stretch
	Roof    Roof
	Floor   float64  // seconds a call, under the best probes
	At      Ceilings // the best probes
	Share   float64  // of the roof, 1 being all of it: the median of the stretches' shares, each under the probes before and after it
}

// FLOPS and Bandwidth are what the best stretch did in a second.
func (r Result) FLOPS() float64 { return r.Case.Work().FLOPs / r.Best }

// Bandwidth is in bytes a second, read and written.
func (r Result) Bandwidth() float64 {
	w := r.Case.Work()
	return (w.Read + w.Written) / r.Best
}

// meter takes the time of one kernel on one device, in stretches with probes between.
type meter struct {
	b      *Bench
	d      *binding.Device
	k      *kernel
	result Result
	begin  time.Time     // of the burst: calls between two looks at the clock
	burst  int           // calls in one
	calls  int           // in the stretch
	took   time.Duration // its bursts that ended
	each   float64       // seconds a call in the stretch that ended last, 0 where its share is known
	last   Ceilings      // the last probes
	shares []float64
	window time.Duration
}

const (
	mostWindow   = 500 * time.Millisecond // bounds what a probe takes,
	longestProbe = 4 * time.Millisecond   // and a call of it
	leastProbed  = 128 << 20              // bytes, lest a probe find in a cache what one before left there
)

// meter places c for device i and warms it up.
func (b *Bench) meter(c optest.Case, i int) (*meter, error) {
	k, err := place(c, b.devices[i], b.in, b.out)
	if err != nil {
		return nil, err
	}
	m := &meter{b: b, d: b.devices[i], k: k}
	m.result, m.last = Result{Case: c, Threads: b.o.Threads[i], At: b.rough[i]}, b.rough[i]
	m.result.Roof, m.result.Floor = Floor(c, b.rough[i])
	begin := time.Now()
	if err := k.call(m.d); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), k.close())
	}
	m.window = min(max(time.Since(begin), b.o.Stretch), mostWindow)
	m.burst = int(min(max(20e-6/m.result.Floor, 1), 1000))
	if err := m.probe(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return m, nil
}

// probe measures the kernel's roofs once more, each for as long as a stretch takes. It ends what is to be known of the stretch before.
func (m *meter) probe() error {
	r := &m.result
	before := m.last
	for _, roof := range m.roofs() {
		rate, err := m.b.probe(m.d, roof, r.At[roof], m.window)
		if err != nil {
			return err
		}
		m.last[roof], r.At[roof] = rate, max(r.At[roof], rate)
	}
	r.Roof, r.Floor = Floor(r.Case, r.At)
	if m.each > 0 {
		m.shares = append(m.shares, share(r.Case, before, m.last, m.each))
		m.each = 0
		r.Share = median(m.shares)
	}
	return nil
}

// share is the part of the roof of calls that took each seconds, between two probes.
func share(c optest.Case, before, after Ceilings, each float64) float64 {
	for i, x := range before {
		after[i] = (after[i] + x) / 2
	}
	_, floor := Floor(c, after)
	return floor / each
}

// roofs are those that matter to the kernel's floor: that of its arithmetic and the memory's, each where it asks for half of the floor or
// more, lest one that has risen or sunk since it was last measured become the floor; of the memory's, each speed that a tenth stands under.
func (m *meter) roofs() (roofs []Roof) {
	r := &m.result
	w := r.Case.Work()
	compute := arithmetic(r.Case, r.At)
	if w.FLOPs/r.At[compute] >= 0.5*r.Floor {
		roofs = append(roofs, compute)
	}
	copied, read := traffic(w)
	if copied/r.At[RoofCopy]+read/r.At[RoofRead] < 0.5*r.Floor {
		return roofs
	}
	for roof, bytes := range map[Roof]float64{RoofCopy: copied, RoofRead: read} {
		if bytes/r.At[roof] >= 0.1*r.Floor {
			roofs = append(roofs, roof)
		}
	}
	return roofs
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[len(x)/2] + x[(len(x)-1)/2]) / 2
}

// call makes one call and reports whether it ended a stretch, after which a probe is due.
func (m *meter) call() (over bool, err error) {
	if m.calls%m.burst == 0 {
		m.k.touch(m.burst)
		m.begin = time.Now()
	}
	if err := m.k.call(m.d); err != nil {
		return false, err
	}
	m.calls++
	if m.calls%m.burst != 0 {
		return false, nil
	}
	m.took += time.Since(m.begin)
	if m.took < m.b.o.Stretch {
		return false, nil
	}
	m.end()
	return true, nil
}

// end closes a stretch.
func (m *meter) end() {
	if m.calls == 0 {
		return
	}
	elapsed := m.took
	each := elapsed.Seconds() / float64(m.calls)
	r := &m.result
	if r.Best == 0 || each < r.Best {
		r.Best = each
	}
	r.Mean = (r.Mean*float64(r.Calls) + elapsed.Seconds()) / float64(r.Calls+m.calls)
	r.Calls += m.calls
	m.calls, m.took, m.each = 0, 0, each
}

// rest ends a stretch that the caller cut short, whose share counts where there is no other.
func (m *meter) rest() error {
	if m.calls%m.burst != 0 {
		m.took += time.Since(m.begin)
	}
	m.end()
	if len(m.shares) > 0 {
		m.each = 0
		return nil
	}
	return m.probe()
}
