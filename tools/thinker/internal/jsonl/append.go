package jsonl

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// AppendString appends s as a JSON string. Other than encoding/json's default it leaves <, > and & as they are.
func AppendString(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // a string and a buffer: it cannot fail
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// AppendInt32s appends an array of integers. A nil slice is an empty array.
func AppendInt32s(dst []byte, v []int32) []byte {
	dst = append(dst, '[')
	for i, x := range v {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = strconv.AppendInt(dst, int64(x), 10)
	}
	return append(dst, ']')
}

// AppendFloat32s appends an array of numbers, each as [AppendFloat32] writes it.
func AppendFloat32s(dst []byte, v []float32) []byte {
	dst = append(dst, '[')
	for i, x := range v {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = AppendFloat32(dst, x)
	}
	return append(dst, ']')
}

// AppendFloat32 appends the shortest decimal that gives x again, bit for bit, to a reader that parses to 32 bits and to one that
// parses to 64 bits and rounds. It has a point or an exponent always, so that readers that tell integers from floating-point numbers
// take it for the latter: -0 among others would lose its sign. x must be finite: JSON has no other numbers.
func AppendFloat32(dst []byte, x float32) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, float64(x), 'g', -1, 32)
	// The shortest decimal for 32 bits may lie so near to the middle between two of them that the nearest 64-bit number is the middle.
	if wide, err := strconv.ParseFloat(string(dst[start:]), 64); err != nil || math.Float32bits(float32(wide)) != math.Float32bits(x) {
		dst = strconv.AppendFloat(dst[:start], float64(x), 'g', -1, 64)
	}
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

// AppendFloat64s appends an array of numbers, each as [AppendFloat64] writes it.
func AppendFloat64s(dst []byte, v []float64) []byte {
	dst = append(dst, '[')
	for i, x := range v {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = AppendFloat64(dst, x)
	}
	return append(dst, ']')
}

// AppendFloat64 appends the shortest decimal that gives x again, bit for bit, with a point or an exponent always. x must be finite.
func AppendFloat64(dst []byte, x float64) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, x, 'g', -1, 64)
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}
