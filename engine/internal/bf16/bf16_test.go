package bf16

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestFromFloat32(t *testing.T) {
	tests := []struct {
		name string
		in   uint32 // float32 bits
		want uint16
	}{
		{"zero", 0x00000000, 0x0000},
		{"negative zero", 0x80000000, 0x8000},
		{"one", 0x3f800000, 0x3f80},
		{"below half rounds down", 0x3f807fff, 0x3f80},
		{"tie to even, down", 0x3f808000, 0x3f80},
		{"tie to even, up", 0x3f818000, 0x3f82},
		{"above half rounds up", 0x3f808001, 0x3f81},
		{"carry into the exponent", 0x3fffffff, 0x4000},
		{"largest finite float32 overflows", 0x7f7fffff, 0x7f80},
		{"largest that stays finite", 0x7f7f7fff, 0x7f7f},
		{"infinity", 0x7f800000, 0x7f80},
		{"negative infinity", 0xff800000, 0xff80},
		{"smallest subnormal", 0x00000001, 0x0000},
		{"subnormal kept", 0x00010000, 0x0001},
		{"quiet NaN", 0x7fc00000, 0x7fc0},
		{"NaN with only low bits set", 0x7f800001, 0x7fc0},
		{"NaN that rounding would carry to zero", 0xffffffff, 0xffff},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := FromFloat32(math.Float32frombits(tt.in)); got != tt.want {
				t.Errorf("FromFloat32(%#08x) = %#04x, want %#04x", tt.in, got, tt.want)
			}
		})
	}
}

// Every bfloat16 survives the way through float32, and every float32 rounds to
// a bfloat16 that no neighbour beats.
func TestRoundTripAndNearest(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := ToFloat32(h)
		got := FromFloat32(f)
		if f != f {
			if g := ToFloat32(got); g == g {
				t.Fatalf("NaN %#04x became %#04x", h, got)
			}
			continue
		}
		if got != h {
			t.Fatalf("%#04x came back as %#04x", h, got)
		}
	}
	for b := uint32(0); b < 0x7f7f0000; b += 65521 { // a prime: every residue of the low half occurs
		f := math.Float32frombits(b)
		h := FromFloat32(f)
		err := math.Abs(float64(ToFloat32(h)) - float64(f))
		for _, n := range []uint16{h - 1, h + 1} {
			if n > 0x7f80 {
				continue
			}
			d := math.Abs(float64(ToFloat32(n)) - float64(f))
			if d < err || d == err && h&1 == 1 {
				t.Fatalf("FromFloat32(%#08x) = %#04x, but %#04x is nearer", b, h, n)
			}
		}
	}
}

func TestSlices(t *testing.T) {
	src := []float32{0, 1, -2.5, 3.14159, float32(math.Inf(-1)), 1e-40}
	bits := make([]uint16, len(src))
	Narrow(bits, src)
	raw := make([]byte, 2*len(src))
	EncodeNarrow(raw, src)
	decoded := make([]uint16, len(src))
	Decode(decoded, raw)
	wide, direct := make([]float32, len(src)), make([]float32, len(src))
	Widen(wide, bits)
	DecodeWiden(direct, raw)
	for i, f := range src {
		want := FromFloat32(f)
		if bits[i] != want || decoded[i] != want || binary.LittleEndian.Uint16(raw[2*i:]) != want {
			t.Errorf("%g: Narrow %#04x, Decode %#04x, want %#04x", f, bits[i], decoded[i], want)
		}
		if wide[i] != ToFloat32(want) || direct[i] != wide[i] {
			t.Errorf("%g: Widen %g, DecodeWiden %g, want %g", f, wide[i], direct[i], ToFloat32(want))
		}
	}
}

func TestLengthsMustMatch(t *testing.T) {
	for name, call := range map[string]func(){
		"Narrow":       func() { Narrow(make([]uint16, 1), make([]float32, 2)) },
		"Widen":        func() { Widen(make([]float32, 1), make([]uint16, 2)) },
		"Decode":       func() { Decode(make([]uint16, 1), make([]byte, 3)) },
		"DecodeWiden":  func() { DecodeWiden(make([]float32, 2), make([]byte, 3)) },
		"EncodeNarrow": func() { EncodeNarrow(make([]byte, 3), make([]float32, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic for lengths that differ")
				}
			}()
			call()
		})
	}
}

func BenchmarkEncodeNarrow(b *testing.B) {
	src := make([]float32, 1<<16)
	for i := range src {
		src[i] = float32(i) * 1e-3
	}
	dst := make([]byte, 2*len(src))
	b.SetBytes(int64(6 * len(src)))
	for b.Loop() {
		EncodeNarrow(dst, src)
	}
}

func BenchmarkDecodeWiden(b *testing.B) {
	src := make([]byte, 1<<17)
	dst := make([]float32, len(src)/2)
	b.SetBytes(int64(3 * len(src)))
	for b.Loop() {
		DecodeWiden(dst, src)
	}
}
