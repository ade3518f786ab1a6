package optest

import (
	"math"
	"math/rand/v2"
)

// A gen makes the contents of a float operand [rows, cols].
type gen func(r *rand.Rand, rows, cols int) []float32

// normal draws from a normal distribution of mean 0.
func normal(scale float64) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = float32(scale * r.NormFloat64())
		}
		return x
	}
}

// unit draws weights of rows whose products with a normal vector are of order 1.
func unit(r *rand.Rand, rows, cols int) []float32 {
	return normal(1/math.Sqrt(float64(max(cols, 1))))(r, rows, cols)
}

// around draws from a normal distribution of the given mean, as norm weights do.
func around(mean, scale float64) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := normal(scale)(r, rows, cols)
		for i := range x {
			x[i] += float32(mean)
		}
		return x
	}
}

// uniform draws from [lo, hi).
func uniform(lo, hi float64) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = float32(lo + (hi-lo)*r.Float64())
		}
		return x
	}
}

// constant is the same value everywhere.
func constant(v float32) gen {
	return func(_ *rand.Rand, rows, cols int) []float32 {
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = v
		}
		return x
	}
}

// impulses has a single 1 a row, in a column that moves from row to row.
func impulses(_ *rand.Rand, rows, cols int) []float32 {
	x := make([]float32, rows*cols)
	for i := range rows {
		if cols > 0 {
			x[i*cols+(i*7+cols-1)%cols] = 1
		}
	}
	return x
}

// wide draws magnitudes from 2^-lim to 2^lim, with either sign.
func wide(lim float64) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = float32(math.Exp2(lim * (2*r.Float64() - 1)))
			if r.IntN(2) == 0 {
				x[i] = -x[i]
			}
		}
		return x
	}
}

// rowScales is g with row i scaled by 10^(i mod 7 - 3).
func rowScales(g gen) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := g(r, rows, cols)
		for i := range x {
			x[i] *= float32(math.Pow(10, float64(i/cols%7-3)))
		}
		return x
	}
}

// listed is the values in turn, over and over.
func listed(values ...float32) gen {
	return func(_ *rand.Rand, rows, cols int) []float32 {
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = values[i%len(values)]
		}
		return x
	}
}

// ties draws from a few values only.
func ties(values ...float32) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = values[r.IntN(len(values))]
		}
		return x
	}
}

// sparse is g with one value in p left, the others 0.
func sparse(p int, g gen) gen {
	return func(r *rand.Rand, rows, cols int) []float32 {
		x := g(r, rows, cols)
		for i := range x {
			if r.IntN(p) != 0 {
				x[i] = 0
			}
		}
		return x
	}
}

// permutation is 0 .. n-1 in an order that the seed decides.
func permutation(seed uint64, n int) []int32 {
	p := make([]int32, n)
	for i, v := range rand.New(rand.NewPCG(seed, 1)).Perm(n) {
		p[i] = int32(v)
	}
	return p
}

// indices draws n values from [0, limit).
func indices(seed uint64, n, limit int) []int32 {
	r := rand.New(rand.NewPCG(seed, 2))
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(r.IntN(limit))
	}
	return p
}

// fixed is the values themselves.
func fixed(values []float32) gen {
	return func(_ *rand.Rand, rows, cols int) []float32 { return append([]float32(nil), values[:rows*cols]...) }
}
