package optest

// A real is the arithmetic that a reference is computed in: float64 gives the reference itself, float32 the naive implementation whose
// error sets the tolerance. Products are converted explicitly, which keeps compilers from fusing them.
type real interface{ float32 | float64 }

// widen is x in double precision.
func widen(x []float32) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// refMatMul is y = x wᵀ + bias + residual.
//
//	x [m, k], w [n, k], bias [n] or nil, residual [m, n] or nil; returns y [m, n]
func refMatMul[T real](x, w, bias, residual []T, m, n, k int) []T {
	y := make([]T, m*n)
	for i := range m {
		for j := range n {
			sum := refDot(x[i*k:(i+1)*k], w[j*k:(j+1)*k])
			if bias != nil {
				sum += bias[j]
			}
			if residual != nil {
				sum += residual[i*n+j]
			}
			y[i*n+j] = sum
		}
	}
	return y
}

// refDot is the sum of a[i] b[i], in order.
func refDot[T real](a, b []T) T {
	b = b[:len(a)]
	var sum T
	for i, v := range a {
		sum += T(v * b[i])
	}
	return sum
}
