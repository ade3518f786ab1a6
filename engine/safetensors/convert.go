package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/thinker-vl/thinker/engine/internal/bf16"
	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// chunk is how many bytes the conversions read at a time.
const chunk = 1 << 18

// DecodeFloat32 converts the little-endian elements in src, which are of type
// t, to float32 without loss. t is F32, BF16, F16 or F64; an F64 element that
// no float32 equals is an error. src must hold exactly len(dst) elements.
func DecodeFloat32(dst []float32, src []byte, t DType) error {
	size, ok := t.Size()
	if !ok || size*len(dst) != len(src) {
		return fmt.Errorf("safetensors: %d bytes of dtype %s do not make %d elements", len(src), t, len(dst))
	}
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16:
		bf16.DecodeWiden(dst, src)
	case F16:
		for i := range dst {
			dst[i] = half(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case F64:
		for i := range dst {
			d := math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
			dst[i] = float32(d)
			if float64(dst[i]) != d && d == d {
				return fmt.Errorf("safetensors: element %d, %v, is not exact as a float32: read it as float64", i, d)
			}
		}
	default:
		return fmt.Errorf("safetensors: dtype %s is not read as float32", t)
	}
	return nil
}

// half returns the value of the IEEE 754 binary16 h, exactly.
func half(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch {
	case exp == 0x1f: // infinity, NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	case frac == 0:
		return math.Float32frombits(sign)
	}
	// A subnormal half is a normal float32.
	shift := uint32(bits.LeadingZeros16(uint16(frac))) - 5
	return math.Float32frombits(sign | (113-shift)<<23 | (frac<<shift&0x3ff)<<13)
}

// A reader is what File and Set share.
type reader interface {
	lookup(name string) (*Info, error)
	ReadAt(name string, dst []byte, off int64) error
}

// Float32s returns the elements of a tensor of type F32, BF16, F16 or F64, as
// [DecodeFloat32] converts them.
func (s *File) Float32s(name string) ([]float32, error) { return float32s(s, name) }

// Float64s returns the elements of a tensor of type F64, F32, BF16 or F16.
func (s *File) Float64s(name string) ([]float64, error) { return float64s(s, name) }

// Int64s returns the elements of a tensor of an integer type or BOOL. A U64
// element above the range of int64 is an error.
func (s *File) Int64s(name string) ([]int64, error) { return int64s(s, name) }

func float32s(s reader, name string) ([]float32, error) {
	return convert(s, name, "float32", DecodeFloat32)
}

func float64s(s reader, name string) ([]float64, error) {
	var narrow []float32
	return convert(s, name, "float64", func(dst []float64, src []byte, t DType) error {
		if t == F64 {
			for i := range dst {
				dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
			}
			return nil
		}
		if len(narrow) < len(dst) {
			narrow = make([]float32, len(dst))
		}
		if err := DecodeFloat32(narrow[:len(dst)], src, t); err != nil {
			return err
		}
		for i := range dst {
			dst[i] = float64(narrow[i])
		}
		return nil
	})
}

func int64s(s reader, name string) ([]int64, error) {
	return convert(s, name, "int64", decodeInt64)
}

func decodeInt64(dst []int64, src []byte, t DType) error {
	switch t {
	case BOOL, U8, I8, I16, U16, I32, U32, I64, U64:
	default:
		return fmt.Errorf("safetensors: dtype %s is not read as int64", t)
	}
	le := binary.LittleEndian
	for i := range dst {
		switch t {
		case BOOL, U8:
			dst[i] = int64(src[i])
		case I8:
			dst[i] = int64(int8(src[i]))
		case I16:
			dst[i] = int64(int16(le.Uint16(src[2*i:])))
		case U16:
			dst[i] = int64(le.Uint16(src[2*i:]))
		case I32:
			dst[i] = int64(int32(le.Uint32(src[4*i:])))
		case U32:
			dst[i] = int64(le.Uint32(src[4*i:]))
		case I64:
			dst[i] = int64(le.Uint64(src[8*i:]))
		case U64:
			u := le.Uint64(src[8*i:])
			if u > math.MaxInt64 {
				return fmt.Errorf("safetensors: element %d, %d, does not fit in an int64", i, u)
			}
			dst[i] = int64(u)
		}
	}
	return nil
}

// convert reads a tensor piece by piece. The result is the only memory that
// grows with the tensor.
func convert[E float32 | float64 | int64](s reader, name, as string, decode func([]E, []byte, DType) error) ([]E, error) {
	t, err := s.lookup(name)
	if err != nil {
		return nil, err
	}
	size, ok := t.DType.Size()
	if !ok {
		return nil, fmt.Errorf("safetensors: dtype %s is not read as %s (tensor %s)", t.DType, as, rawjson.Quote(name))
	}
	if err := decode(nil, nil, t.DType); err != nil { // the type, before memory is taken
		return nil, fmt.Errorf("%w (tensor %s)", err, rawjson.Quote(name))
	}
	out := make([]E, t.Elements())
	buf := make([]byte, min(t.Bytes(), chunk))
	for i := 0; i < len(out); {
		n := min(len(buf)/size, len(out)-i)
		if err := s.ReadAt(name, buf[:n*size], int64(i)*int64(size)); err != nil {
			return nil, err
		}
		if err := decode(out[i:i+n], buf[:n*size], t.DType); err != nil {
			return nil, fmt.Errorf("%w (tensor %s, counted from element %d)", err, rawjson.Quote(name), i)
		}
		i += n
	}
	return out, nil
}
