package optest

import "math"

// refAdamW is one step of AdamW (Loshchilov and Hutter 2019) on w, m and v with gradient g; the scalar factors are in double precision.
func refAdamW[T real](w, m, v, g []T, step int, lr, beta1, beta2, epsilon, weightDecay, gradScale float64) (w1, m1, v1 []T) {
	w1, m1, v1 = make([]T, len(w)), make([]T, len(w)), make([]T, len(w))
	size, root := lr/(1-math.Pow(beta1, float64(step))), math.Sqrt(1-math.Pow(beta2, float64(step)))
	for i := range w {
		grad := g[i] * T(gradScale)
		m1[i] = m[i] + T(T(1-beta1)*(grad-m[i]))
		v1[i] = T(v[i]*T(beta2)) + T(T(1-beta2)*grad)*grad
		denominator := T(math.Sqrt(float64(v1[i])))/T(root) + T(epsilon)
		w1[i] = T(w[i]*T(1-lr*weightDecay)) - T(T(size)*m1[i])/denominator
	}
	return w1, m1, v1
}
