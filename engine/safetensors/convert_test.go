package safetensors

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		got := float64(half(h))
		exp, frac := int(h>>10&0x1f), float64(h&0x3ff)
		var want float64
		switch exp {
		case 0x1f:
			want = math.Inf(1)
			if frac != 0 {
				want = math.NaN()
			}
		case 0:
			want = math.Ldexp(frac, -24)
		default:
			want = math.Ldexp(1024+frac, exp-25)
		}
		if h&0x8000 != 0 {
			want = -want
		}
		if got != want && !(got != got && want != want) || math.Signbit(got) != math.Signbit(want) && want == want {
			t.Fatalf("half(%#04x) = %v, want %v", h, got, want)
		}
	}
}

func le[E any](t *testing.T, v []E) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConversions(t *testing.T) {
	long := make([]float32, 200_001) // more than a piece
	for i := range long {
		long[i] = float32(i) / 3
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	err := WriteFile(path, []Tensor{
		{"f32", F32, []int64{200_001}, le(t, long)},
		{"f64", F64, []int64{3}, le(t, []float64{1, -0.5, math.Inf(1)})},
		{"f64 inexact", F64, []int64{2}, le(t, []float64{1, 0.1})},
		{"bf16", BF16, []int64{2}, le(t, []uint16{0x3f80, 0xc000})},
		{"f16", F16, []int64{3}, le(t, []uint16{0x3c00, 0xc000, 0x0001})},
		{"bool", BOOL, []int64{2}, []byte{0, 1}},
		{"i8", I8, []int64{2}, []byte{255, 1}},
		{"u8", U8, []int64{2}, []byte{255, 1}},
		{"i16", I16, []int64{1}, le(t, []int16{-3})},
		{"u16", U16, []int64{1}, le(t, []uint16{65535})},
		{"i32", I32, []int64{1}, le(t, []int32{-4})},
		{"u32", U32, []int64{1}, le(t, []uint32{1 << 31})},
		{"i64", I64, []int64{2}, le(t, []int64{-1 << 63, 1<<63 - 1})},
		{"u64", U64, []int64{1}, le(t, []uint64{1<<63 - 1})},
		{"u64 large", U64, []int64{1}, le(t, []uint64{1 << 63})},
		{"f4", F4, []int64{2}, []byte{0}},
		{"empty", F32, []int64{0}, nil},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string][]float32{
		"f32": long, "f64": {1, -0.5, float32(math.Inf(1))}, "bf16": {1, -2}, "f16": {1, -2, 0x1p-24}, "empty": {},
	} {
		if got, err := f.Float32s(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("Float32s(%s): %d elements, %v", name, len(got), err)
		}
		got, err := f.Float64s(name)
		if err != nil || !slices.EqualFunc(got, want, func(a float64, b float32) bool { return a == float64(b) }) {
			t.Errorf("Float64s(%s): %d elements, %v", name, len(got), err)
		}
	}
	if got, err := f.Float64s("f64 inexact"); err != nil || got[1] != 0.1 {
		t.Errorf("Float64s: %v, %v", got, err)
	}
	for name, want := range map[string][]int64{
		"bool": {0, 1}, "i8": {-1, 1}, "u8": {255, 1}, "i16": {-3}, "u16": {65535}, "i32": {-4}, "u32": {1 << 31},
		"i64": {-1 << 63, 1<<63 - 1}, "u64": {1<<63 - 1},
	} {
		if got, err := f.Int64s(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("Int64s(%s) = %v, %v, want %v", name, got, err, want)
		}
	}
	fail := func(what, want string, err error) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "safetensors: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", what, err, want)
		}
	}
	_, err = f.Float32s("f64 inexact")
	fail("inexact", "element 1, 0.1, is not exact", err)
	_, err = f.Float32s("i32")
	fail("integer as float", "dtype I32 is not read as float32", err)
	_, err = f.Float64s("i64")
	fail("integer as float", "dtype I64", err)
	_, err = f.Int64s("f32")
	fail("float as integer", "dtype F32 is not read as int64", err)
	_, err = f.Int64s("u64 large")
	fail("too large", "9223372036854775808", err)
	_, err = f.Float32s("f4")
	fail("half bytes", "dtype F4", err)
	_, err = f.Float32s("absent")
	fail("absent", `no tensor "absent"`, err)
	fail("lengths", "do not make", DecodeFloat32(make([]float32, 2), make([]byte, 7), F32))
}
