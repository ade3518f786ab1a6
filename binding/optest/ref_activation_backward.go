package optest

import "math"

// refSwiGLUBackward is the gradient of refSwiGLU: with s = 1/(1 + e^-gate), dup = dy gate s and dgate = dy up s (1 + gate (1 - s)).
func refSwiGLUBackward[T real](gate, up, dy []T) (dgate, dup []T) {
	dgate, dup = make([]T, len(gate)), make([]T, len(gate))
	for i, z := range gate {
		s := 1 / (1 + T(math.Exp(float64(-z))))
		dup[i] = dy[i] * T(z*s)
		dgate[i] = T(dy[i]*up[i]) * T(s*(1+T(z*(1-s))))
	}
	return dgate, dup
}

// refGELUBackward is the gradient of refGELU: dx = dy (F(x) + x f(x)), F the normal distribution function and f its density.
func refGELUBackward[T real](x, dy []T) []T {
	dx := make([]T, len(x))
	for i, v := range x {
		below := T(0.5) * (1 + T(math.Erf(float64(v*T(math.Sqrt2/2)))))
		density := T(math.Exp(float64(T(v*v)*T(-0.5)))) * T(1/math.Sqrt(2*math.Pi))
		dx[i] = dy[i] * (below + T(v*density))
	}
	return dx
}
