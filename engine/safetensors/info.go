package safetensors

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Limits of what the reader and the writer accept.
const (
	MaxHeader = 100_000_000 // bytes of a header, as in the reference implementation
	MaxName   = 1024        // bytes of a tensor's name
	MaxRank   = 64          // dimensions of a tensor
)

// Info describes one tensor.
type Info struct {
	Name  string
	DType DType
	Shape []int64 // row major; empty for a scalar
	begin int64   // of the data, from the start of the file
}

// Elements returns the number of elements: the product of the shape, 1 for a
// scalar. It returns -1 if the shape is not valid.
func (t Info) Elements() int64 {
	n, err := t.elements()
	if err != nil {
		return -1
	}
	return n
}

// Bytes returns the size of the data in bytes. It returns -1 if the shape or
// the type is not valid.
func (t Info) Bytes() int64 {
	n, err := t.bytes()
	if err != nil {
		return -1
	}
	return n
}

// clone returns a copy that shares no memory with t.
func (t Info) clone() Info {
	t.Shape = slices.Clone(t.Shape)
	return t
}

func (t Info) elements() (int64, error) {
	if len(t.Shape) > MaxRank {
		return 0, fmt.Errorf("%d dimensions, the limit is %d", len(t.Shape), MaxRank)
	}
	empty := false
	for _, d := range t.Shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", t.Shape)
		}
		empty = empty || d == 0
	}
	if empty { // whatever the other dimensions would overflow to
		return 0, nil
	}
	n := uint64(1)
	for _, d := range t.Shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v has more elements than fit in 63 bits", t.Shape)
		}
		n = lo
	}
	return int64(n), nil
}

func (t Info) bytes() (int64, error) {
	n, err := t.elements()
	if err != nil {
		return 0, err
	}
	b := t.DType.bits()
	if b == 0 {
		return 0, fmt.Errorf("unknown dtype %q", string(t.DType))
	}
	hi, lo := bits.Mul64(uint64(n), uint64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, fmt.Errorf("shape %v of dtype %s has more bits than fit in 63 bits", t.Shape, t.DType)
	}
	if lo%8 != 0 {
		return 0, fmt.Errorf("shape %v of dtype %s does not end at a whole byte", t.Shape, t.DType)
	}
	return int64(lo / 8), nil
}
