package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// An arena is memory of random numbers that operands are cut from, for calls to go through in turn.
type arena struct {
	buffer *binding.Buffer
}

// newArena returns n bytes of normally distributed bf16 numbers, none of them 0. Two of them side by side are as good an f32.
func newArena(d *binding.Device, n int, seed uint64) (arena, error) {
	b, err := d.Alloc(n)
	if err != nil {
		return arena{}, fmt.Errorf("bench: an arena of %d bytes: %w", n, err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	var table [1 << 12]uint16
	for i := range table {
		x := r.NormFloat64()
		table[i] = uint16(math.Float32bits(float32(x))>>16) | 1
	}
	x := b.Uint16s()
	for len(x) > 0 {
		u := r.Uint64()
		for i := range min(5, len(x)) {
			x[i] = table[u>>(12*i)%(1<<12)]
		}
		x = x[min(5, len(x)):]
	}
	return arena{b}, nil
}

// A kernel is a case placed for measuring: the args of each call in turn.
type kernel struct {
	optest.Case
	args    []any
	next    int
	touched reflect.Value     // a copy of one args struct
	buffers []*binding.Buffer // indices and scratch memory
}

const (
	alignment = 64
	maxSets   = 1 << 14
)

// place cuts a case's operands from the arenas as often as they fit, each time somewhere else.
func place(c optest.Case, d *binding.Device, in, out arena) (*kernel, error) {
	k := &kernel{Case: c}
	regions, err := c.Regions(d)
	if err != nil {
		return nil, err
	}
	fixed := optest.Memory{}
	type cut struct {
		name  string
		bytes int
		out   bool
	}
	var cuts []cut
	var inBytes, outBytes int
	for _, r := range regions {
		if r.Float && r.Role != optest.Scratch {
			padded := (r.Bytes + alignment - 1) / alignment * alignment
			cuts = append(cuts, cut{r.Name, padded, r.Role != optest.In})
			if r.Role == optest.In {
				inBytes += padded
			} else {
				outBytes += padded
			}
			continue
		}
		b, err := d.Alloc(r.Bytes)
		if err != nil {
			return nil, errors.Join(err, k.close())
		}
		k.buffers = append(k.buffers, b)
		copy(b.Bytes(), r.Data)
		fixed[r.Name] = optest.Place{Addr: b.Addr(), Bytes: b.Len()}
	}
	if inBytes > in.buffer.Len() || outBytes > out.buffer.Len() {
		return nil, errors.Join(fmt.Errorf("bench: %s reads %d bytes and writes %d, more than an arena of %d", c, inBytes, outBytes, in.buffer.Len()), k.close())
	}
	sets := maxSets
	if inBytes > 0 {
		sets = min(sets, in.buffer.Len()/inBytes)
	}
	if outBytes > 0 {
		sets = min(sets, out.buffer.Len()/outBytes)
	}
	inAt, outAt := in.buffer.Addr(), out.buffer.Addr()
	for range sets {
		m := optest.Memory{}
		for name, p := range fixed {
			m[name] = p
		}
		for _, c := range cuts {
			at := &inAt
			if c.out {
				at = &outAt
			}
			m[c.name] = optest.Place{Addr: *at, Bytes: c.bytes}
			*at += uint64(c.bytes)
		}
		k.args = append(k.args, c.Args(m))
	}
	k.touched = reflect.New(reflect.TypeOf(k.args[0]).Elem()).Elem()
	return k, nil
}

// touch reads the args structs of the next n calls: a program has just written those of a call, which here wait in memory. The operands
// are left alone.
func (k *kernel) touch(n int) {
	for i := range min(n, len(k.args)) {
		k.touched.Set(reflect.ValueOf(k.args[(k.next+i)%len(k.args)]).Elem())
	}
}

// call runs the op once, on the next operands.
func (k *kernel) call(d *binding.Device) error {
	a := k.args[k.next]
	if k.next++; k.next == len(k.args) {
		k.next = 0
	}
	return optest.Call(d, a)
}

func (k *kernel) close() error {
	var err error
	for _, b := range k.buffers {
		err = errors.Join(err, b.Close())
	}
	return err
}
