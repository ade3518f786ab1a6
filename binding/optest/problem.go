package optest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"github.com/thinker-vl/thinker/binding"
)

// A Problem is a case with contents.
type Problem struct {
	Case
	order   []string // of the operands
	tensors tensors
	solved  sync.Once
	scale   map[string]tolerance // by output
}

// New makes the case's contents. Equal cases have equal contents.
func (c Case) New() *Problem { return c.draw(0) }

// draw makes contents number n.
func (c Case) draw(n uint64) *Problem {
	p := &Problem{Case: c, tensors: tensors{}}
	for i, o := range c.spec.operands() {
		if o.role != Scratch {
			o.measure(c.spec, nil) // asks a device for nothing but scratch memory
		}
		p.order = append(p.order, o.name)
		p.tensors[o.name] = newTensor(o, rand.New(rand.NewPCG(c.Seed+n, uint64(i))))
	}
	if s, ok := c.spec.(filler); ok {
		s.fill(p.tensors, rand.New(rand.NewPCG(c.Seed+n, 1<<32)))
	}
	return p
}

// solve finds what the outputs must be.
func (p *Problem) solve() {
	p.solved.Do(func() { p.spec.reference(p.tensors) })
}

// rows is the problem of rows lo to hi alone; the case must be of a rowwise op.
func (p *Problem) rows(lo, hi int) *Problem {
	q := &Problem{Case: p.Case, order: p.order, tensors: tensors{}}
	q.spec = p.spec.(rowwise).slice(lo, hi)
	for name, t := range p.tensors {
		if t.perRow {
			t = t.slice(lo, hi)
		}
		q.tensors[name] = t
	}
	return q
}

// A Result is what the operands' memory holds after a call.
type Result struct {
	memory  map[string][]byte // by operand, scratch memory left out
	answers []float64         // an answerer's
}

const guard = 256 // bytes before and after each operand

// placed is a problem in a device's memory.
type placed struct {
	p       *Problem
	d       *binding.Device
	buffers map[string]*binding.Buffer
	images  map[string][]byte // guard, contents, guard
	memory  Memory            // the contents
	args    any
}

// place copies the problem to d. Operands start at their element's alignment, not at more, in every other problem.
func (p *Problem) place(d *binding.Device) (*placed, error) {
	l := &placed{p: p, d: d, buffers: map[string]*binding.Buffer{}, images: map[string][]byte{}, memory: Memory{}}
	for _, name := range p.order {
		t := p.tensors[name]
		o, before := t.operand, t.before
		if o.role == Scratch {
			if err := o.measure(p.spec, d); err != nil {
				return nil, l.fail(err)
			}
			before = make([]byte, o.size())
			raw.poison(before)
		}
		shift := guard
		if p.Seed&1 == 1 && o.role != Scratch && o.kind.float() && o.layout == rowMajor {
			shift += o.kind.bytes()
		}
		image := make([]byte, shift+len(before)+guard)
		o.kind.poison(image)
		copy(image[shift:], before)
		b, err := d.Alloc(len(image))
		if err != nil {
			return nil, l.fail(err)
		}
		l.buffers[name], l.images[name], l.memory[name] = b, image, Place{b.Addr() + uint64(shift), len(before)}
		if err := copyBytes(d, b.Addr(), image, true); err != nil {
			return nil, l.fail(err)
		}
	}
	l.args = p.Args(l.memory)
	return l, nil
}

// copyBytes moves b to the device's addr, or from it.
func copyBytes(d *binding.Device, addr uint64, b []byte, to bool) error {
	if len(b) == 0 {
		return nil
	}
	var pin runtime.Pinner
	pin.Pin(&b[0])
	defer pin.Unpin()
	host := uint64(uintptr(unsafe.Pointer(&b[0])))
	if to {
		return d.Copy(addr, host, len(b))
	}
	return d.Copy(host, addr, len(b))
}

// fail closes l and returns err.
func (l *placed) fail(err error) error { return errors.Join(err, l.close()) }

func (l *placed) close() error {
	var err error
	for _, b := range l.buffers {
		err = errors.Join(err, b.Close())
	}
	return err
}

// read copies the operands back, and reports memory that changed and must not have: all of it if untouched is set, else guards, gaps
// between rows, and inputs.
func (l *placed) read(untouched bool) (*Result, error) {
	r := &Result{memory: map[string][]byte{}}
	for _, name := range l.p.order {
		image := l.images[name]
		got := make([]byte, len(image))
		if err := copyBytes(l.d, l.buffers[name].Addr(), got, false); err != nil {
			return nil, err
		}
		start := int(l.memory[name].Addr - l.buffers[name].Addr())
		end := len(got) - guard
		t := l.p.tensors[name]
		switch {
		case !bytes.Equal(got[:start], image[:start]):
			return nil, fmt.Errorf("%s: memory before %s was written, %d bytes before its start", l.p, name, start-firstDiff(got, image))
		case !bytes.Equal(got[end:], image[end:]):
			return nil, fmt.Errorf("%s: memory after %s was written, %d bytes after its end", l.p, name, firstDiff(got[end:], image[end:]))
		case (t.role == In || untouched && t.role != Scratch) && !bytes.Equal(got, image):
			return nil, fmt.Errorf("%s: %s was written, at byte %d", l.p, name, firstDiff(got, image)-start)
		case t.role == Out || t.role == InOut:
			if i := t.gapDiff(got[start:end], t.before); i >= 0 {
				return nil, fmt.Errorf("%s: the gap after row %d of %s was written", l.p, i, name)
			}
		}
		if t.role != Scratch {
			r.memory[name] = got[start:end]
		}
	}
	return r, nil
}

// gapDiff is the first row whose gap, between its last column and the next row, differs in a and b; -1 if there is none.
func (t *tensor) gapDiff(a, b []byte) int {
	if t.layout == panels || t.ld == t.cols {
		return -1
	}
	e := t.kind.bytes()
	for i := range t.rows - 1 {
		lo, hi := (i*t.ld+t.cols)*e, (i+1)*t.ld*e
		if !bytes.Equal(a[lo:hi], b[lo:hi]) {
			return i
		}
	}
	return -1
}

// firstDiff is the first place where a and b differ.
func firstDiff(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// Run places the problem on d, calls the op once and returns what it wrote. It is an error if the op fails, or writes anything but its
// outputs.
func (p *Problem) Run(d *binding.Device) (*Result, error) {
	return p.runWith(d, func(args any) error { return Call(d, args) })
}

// runWith is Run with another way to make the call, or several.
func (p *Problem) runWith(d *binding.Device, call func(args any) error) (r *Result, err error) {
	l, err := p.place(d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := call(l.args); err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	r, err = l.read(false)
	if s, ok := p.spec.(answerer); ok && err == nil {
		r.answers = s.answers(l.args)
	}
	return r, err
}

// outputs are the names of the operands that the op writes, in order.
func (p *Problem) outputs() []string {
	return slices.DeleteFunc(slices.Clone(p.order), func(name string) bool {
		role := p.tensors[name].role
		return role != Out && role != InOut
	})
}

// Check holds a result against the reference: every element of every output.
func (p *Problem) Check(r *Result) error {
	p.solve()
	for _, name := range p.outputs() {
		t, got := p.tensors[name], r.memory[name]
		var err error
		switch {
		case t.exact != nil:
			err = t.checkBits(got)
		case t.accept != nil:
			err = t.accept(got)
		default:
			err = t.checkValues(got, p.tolerance(name))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if s, ok := p.spec.(answerer); ok {
		want, within := s.expectAnswers(p.tensors)
		for i, got := range r.answers {
			if !(math.Abs(got-want[i]) <= within[i]) {
				return fmt.Errorf("%s: answer %d is %v, want %v, within %.3g", p, i, got, want[i], within[i])
			}
		}
	}
	return nil
}

// Same reports whether two results of the problem are equal to the bit.
func (p *Problem) Same(a, b *Result) error {
	for _, name := range p.outputs() {
		if x, y := a.memory[name], b.memory[name]; !bytes.Equal(x, y) {
			t := p.tensors[name]
			at := firstDiff(x, y) / t.kind.bytes()
			return fmt.Errorf("%s: %s differs in %d bytes, first in element [%d %d]: %v and %v", p, name, countDiff(x, y), at/max(t.ld, 1), at%max(t.ld, 1), t.show(x, at), t.show(y, at))
		}
	}
	if !slices.Equal(a.answers, b.answers) {
		return fmt.Errorf("%s: answers %v and %v", p, a.answers, b.answers)
	}
	return nil
}

func countDiff(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// show is element i of memory b, for messages.
func (t *tensor) show(b []byte, i int) any {
	switch {
	case t.kind.float(), t.kind == f64:
		return t.kind.load(b, i)
	case t.kind == i32:
		return int32(uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24)
	}
	return b[i]
}
