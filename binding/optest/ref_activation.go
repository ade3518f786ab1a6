package optest

import "math"

// refSwiGLU is y = silu(gate) up with silu(z) = z / (1 + e^-z), elementwise (Shazeer 2020).
func refSwiGLU[T real](gate, up []T) []T {
	y := make([]T, len(gate))
	for i, z := range gate {
		y[i] = T(z/(1+T(math.Exp(float64(-z))))) * up[i]
	}
	return y
}

// refGELU is y = x/2 (1 + erf(x / sqrt 2)), elementwise (Hendrycks and Gimpel 2016, the exact form).
func refGELU[T real](x []T) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v*T(0.5)) * (1 + T(math.Erf(float64(v*T(math.Sqrt2/2)))))
	}
	return y
}
