package bench

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// coldBytes is how much memory a case's copies take together, and a probe goes over: some times the largest caches of one socket.
const coldBytes = 1 << 30

// maxCopies bounds the copies of small operands.
const maxCopies = 256

// A Runner measures cases on a device.
type Runner struct {
	d      *binding.Device
	memory *binding.Buffer // what probes go over
}

// NewRunner opens a device with threads (0: all).
func NewRunner(threads int, isa binding.ISA) (*Runner, error) {
	d, err := binding.Open(binding.Options{Threads: threads, ISA: isa})
	if err != nil {
		return nil, err
	}
	r := &Runner{d: d}
	if r.memory, err = d.Alloc(coldBytes); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	scramble(r.memory.Bytes(), 1)
	return r, nil
}

// Close frees the runner.
func (r *Runner) Close() error { return errors.Join(r.memory.Close(), r.d.Close()) }

// Info describes the device.
func (r *Runner) Info() (binding.Info, error) { return r.d.Info() }

// Probe measures the ceilings, the best of n.
func (r *Runner) Probe(n int) (Ceilings, error) {
	var best Ceilings
	for range n {
		c, err := probe(r.d, r.memory)
		if err != nil {
			return best, err
		}
		best = best.better(c)
	}
	return best, nil
}

// scramble fills memory with numbers of magnitude 1/8 to 2, whether it is read as f32 or as bf16.
func scramble(b []byte, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	for i := 0; i+8 <= len(b); i += 8 {
		x := r.Uint64()
		// In each half of 16 bits: the sign and the mantissa at random, and an exponent of 124 to 127.
		x = x&0x81ff81ff81ff81ff | 0x3e003e003e003e00
		binary.LittleEndian.PutUint64(b[i:], x)
	}
}

// A Cold case is a case with as many copies of its operands as the caches cannot hold.
type Cold struct {
	optest.Case
	r       *Runner
	buffers []*binding.Buffer
	args    []any
	next    int
}

// Cold makes the copies of a case's operands.
func (r *Runner) Cold(c optest.Case) (_ *Cold, err error) {
	k := &Cold{Case: c, r: r}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	regions, err := c.Regions(r.d)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, g := range regions {
		size += g.Bytes
	}
	for n := min(maxCopies, coldBytes/max(size, 1)+1); n > 0; n-- {
		m := optest.Memory{}
		for _, g := range regions {
			if g.Bytes == 0 {
				continue
			}
			b, err := r.d.Alloc(g.Bytes)
			if err != nil {
				return nil, err
			}
			k.buffers = append(k.buffers, b)
			if g.Float {
				scramble(b.Bytes(), uint64(n))
			} else {
				copy(b.Bytes(), g.Data)
			}
			m[g.Name] = optest.Place{Addr: b.Addr(), Bytes: g.Bytes}
		}
		k.args = append(k.args, c.Args(m))
	}
	return k, nil
}

// Run runs the op once, on the next copy.
func (k *Cold) Run() error {
	k.next = (k.next + 1) % len(k.args)
	return optest.Call(k.r.d, k.args[k.next])
}

// Close frees the copies.
func (k *Cold) Close() error {
	var errs []error
	for _, b := range k.buffers {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// A Figure is what a case took beside its roof.
type Figure struct {
	optest.Case
	Threads int
	Seconds float64 // the best of several runs of at least a few ms
	Roof    Roof
	Share   float64 // Roof.Seconds / Seconds
}

// Measure times a case and the ceilings alternately, rounds times, and compares the best of both.
func (r *Runner) Measure(c optest.Case, rounds int) (Figure, error) {
	info, err := r.d.Info()
	if err != nil {
		return Figure{}, err
	}
	k, err := r.Cold(c)
	if err != nil {
		return Figure{}, err
	}
	defer k.Close()
	f := Figure{Case: c, Threads: info.Threads}
	for range len(k.args) { // touches every page
		if err := k.Run(); err != nil {
			return f, err
		}
	}
	var best Ceilings
	for range rounds {
		p, err := r.Probe(1)
		if err != nil {
			return f, err
		}
		best = best.better(p)
		n, clock := 0, time.Now()
		for ; n < 1 || time.Since(clock) < 50*time.Millisecond; n++ {
			if err := k.Run(); err != nil {
				return f, err
			}
		}
		if s := time.Since(clock).Seconds() / float64(n); f.Seconds == 0 || s < f.Seconds {
			f.Seconds = s
		}
	}
	f.Roof = RoofOf(c, best)
	f.Share = f.Roof.Seconds / f.Seconds
	return f, nil
}
