package optest

import "github.com/thinker-vl/thinker/binding"

// FLOPs of functions that a definition names: the shortest evaluation known that is accurate to the result's dtype. A multiply-add counts as
// 2, a product, sum or division as 1; rounding to an integer, comparing, selecting and converting count nothing.

// expFLOPs is e^x: n = round(x log2 e) and r = x - n ln 2 (3), a polynomial in r (degree 6; 4 where bf16 is stored), times 2^n (1).
func expFLOPs(dtype uint32) float64 {
	if dtype == binding.BF16 {
		return 3 + 2*4 + 1
	}
	return 3 + 2*6 + 1
}

// erfFLOPs is erf(z) = 1 - e^(-z p(z)), z >= 0: a polynomial p (degree 7; 4 where bf16 is stored), a product, the exponential, a difference.
func erfFLOPs(dtype uint32) float64 {
	degree := 7.0
	if dtype == binding.BF16 {
		degree = 4
	}
	return 2*degree + 1 + expFLOPs(dtype) + 1
}

// sincosFLOPs is cos x and sin x: k = round(2x/pi) (1), r = x - k pi/2 with pi/2 in two parts (4), r^2 (1), sin r = r + r^3 p(r^2) with p
// of degree 2 (4 + 1 + 2), cos r of degree 4 in r^2 (8).
const sincosFLOPs = 1 + 4 + 1 + 7 + 8

// softmaxFLOPs is what a log-sum-exp takes of each column: the scaled logit, its distance from the maximum, the exponential and the sum;
// an entropy takes one multiply-add more.
func softmaxFLOPs(entropy bool) float64 {
	n := 1 + 1 + expFLOPs(binding.F32) + 1
	if entropy {
		n += 2
	}
	return n
}
