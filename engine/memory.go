package engine

import (
	"errors"

	"github.com/thinker-vl/thinker/binding"
)

// A scratch is a set of buffers that live for one computation.
type scratch struct {
	d     *binding.Device
	room  *binding.Buffer // of an arena: buffers are parts of it, as far as it goes
	used  int             // of room
	bufs  []*binding.Buffer
	err   error
	count bool  // take no memory, only add up its size
	bytes int64 // taken
}

// alloc returns a buffer, or an empty one after a failure, which err keeps. It holds zeros, or with an arena what was there before.
func (s *scratch) alloc(bytes int) *binding.Buffer {
	const align = 64
	whole := (bytes + align - 1) / align * align
	if s.bytes += int64(whole); s.count {
		return &binding.Buffer{}
	}
	if s.room != nil && whole <= s.room.Len()-s.used {
		s.used += whole
		return s.room.Part(s.used-whole, bytes)
	}
	if s.err == nil {
		var b *binding.Buffer
		if b, s.err = s.d.Alloc(bytes); s.err == nil {
			s.bufs = append(s.bufs, b)
			return b
		}
	}
	return &binding.Buffer{}
}

func (s *scratch) ints(v []int32) *binding.Buffer {
	b := s.alloc(4 * len(v))
	copy(b.Int32s(), v)
	return b
}

func (s *scratch) floats(v []float32) *binding.Buffer {
	b := s.alloc(4 * len(v))
	copy(b.Float32s(), v)
	return b
}

// zeros is alloc for a buffer that is to hold zeros, with an arena too.
func (s *scratch) zeros(bytes int) *binding.Buffer {
	b := s.alloc(bytes)
	clear(b.Bytes())
	return b
}

func (s *scratch) Close() error {
	var errs []error
	for _, b := range s.bufs {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// keepBytes is the most that an arena keeps. Fresh memory is cleared page by page when it is touched, which costs a small model's passes
// a sixth of their time; a pass that takes more than this lasts so long that it does not notice.
const keepBytes = 256 << 20

// An arena keeps the memory of a computation for the next one like it. One computation uses it at a time. It never holds more than the
// largest of them took, nor keepBytes.
type arena struct {
	d    *binding.Device
	kept *binding.Buffer
}

// scratch gives plan memory for all that it takes. plan is called twice: to count, and then to take.
func (a *arena) scratch(plan func(s *scratch)) (*scratch, error) {
	count := &scratch{d: a.d, count: true}
	if plan(count); count.err != nil {
		return nil, count.err
	}
	s := &scratch{d: a.d}
	if a.kept == nil || int64(a.kept.Len()) < count.bytes {
		// What is kept goes first, so that both are never held together.
		if err := a.Close(); err != nil {
			return nil, err
		}
		if count.bytes <= keepBytes {
			var err error
			if a.kept, err = a.d.Alloc(int(count.bytes)); err != nil {
				return nil, err
			}
		}
	}
	s.room = a.kept
	if plan(s); s.err != nil {
		return nil, errors.Join(s.err, s.Close())
	}
	return s, nil
}

// Close frees what is kept. The arena may be used again.
func (a *arena) Close() error {
	err := a.kept.Close()
	a.kept = nil
	return err
}
