package optest

import "math"

// refRopeTable is cos[i][j] = cos(a), sin[i][j] = sin(a) with a = f32(positions[axis[j]][i] * inv[j]): the angle is part of the
// definition and rounded to float32; the reference takes its cosine exactly.
//
//	positions [axes][n], row stride ldp; axis [half]; inv [half]; returns cos, sin [n, half]
func refRopeTable(positions []int32, ldp int, axis []int32, inv []float32, n int) (cos, sin []float64) {
	for i := range n {
		for j := range inv {
			a := float64(float32(positions[int(axis[j])*ldp+i]) * inv[j])
			cos, sin = append(cos, math.Cos(a)), append(sin, math.Sin(a))
		}
	}
	return cos, sin
}

// refRope rotates the pairs (j, j + dim/2) of every head by the angles whose cosines and sines are given (Su et al. 2021, in the
// half-split form).
//
//	x [rows, heads, dim], cos, sin [rows, dim/2]; returns y like x
func refRope[T real](x, cos, sin []T, rows, heads, dim int, inverse bool) []T {
	y := make([]T, len(x))
	half := dim / 2
	for i := range rows {
		for h := range heads {
			o := (i*heads + h) * dim
			for j := range half {
				a, b, c, s := x[o+j], x[o+j+half], cos[i*half+j], sin[i*half+j]
				if inverse {
					s = -s
				}
				y[o+j] = T(a*c) - T(b*s)
				y[o+j+half] = T(b*c) + T(a*s)
			}
		}
	}
	return y
}
