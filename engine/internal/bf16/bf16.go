// Package bf16 converts between float32 and bfloat16, the upper half of a
// float32: 1 sign, 8 exponent and 7 stored mantissa bits.
//
// Widening is exact. Narrowing rounds to nearest, ties to even, and keeps NaN a
// NaN (it sets the quiet bit, because dropping the low mantissa bits alone can
// turn a NaN into an infinity). Values are passed as uint16 bit patterns, as
// the kernels and checkpoints hold them.
package bf16

import (
	"encoding/binary"
	"math"
)

const quietBit = 0x0040

// FromFloat32 returns f rounded to the nearest bfloat16, ties to even.
func FromFloat32(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | quietBit
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// ToFloat32 returns the value of the bfloat16 h, exactly.
func ToFloat32(h uint16) float32 {
	return math.Float32frombits(uint32(h) << 16)
}

// Narrow rounds src into dst. Both must have the same length.
func Narrow(dst []uint16, src []float32) {
	mustMatch(len(dst), len(src))
	for i, f := range src {
		dst[i] = FromFloat32(f)
	}
}

// Widen expands src into dst. Both must have the same length.
func Widen(dst []float32, src []uint16) {
	mustMatch(len(dst), len(src))
	for i, h := range src {
		dst[i] = ToFloat32(h)
	}
}

// Decode reads len(dst) little-endian bfloat16 values from src, which must hold
// exactly that many.
func Decode(dst []uint16, src []byte) {
	mustMatch(2*len(dst), len(src))
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint16(src[2*i:])
	}
}

// DecodeWiden reads len(dst) little-endian bfloat16 values from src as float32.
func DecodeWiden(dst []float32, src []byte) {
	mustMatch(2*len(dst), len(src))
	for i := range dst {
		dst[i] = ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// EncodeNarrow writes src to dst as little-endian bfloat16, rounded as
// [FromFloat32] does. dst must hold exactly 2*len(src) bytes.
func EncodeNarrow(dst []byte, src []float32) {
	mustMatch(len(dst), 2*len(src))
	for i, f := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], FromFloat32(f))
	}
}

func mustMatch(a, b int) {
	if a != b {
		panic("bf16: source and destination differ in length")
	}
}
