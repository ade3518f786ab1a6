package imageproc

import (
	"fmt"
	"math"
	"sync"
)

// Resize returns the picture at another size, by Pillow's antialiased bicubic
// filter (Image.resize with BICUBIC of Pillow 13): the kernel of a = -0.5,
// stretched when it shrinks; weights of 22 fractional bits; two passes, each
// skipped if its size does not change, with rounded and clipped bytes between
// them. The horizontal pass comes first, unless the height shrinks by more than
// twice as many pixels as the width.
//
// The work is spread over up to workers goroutines, which does not change the
// result. If the size does not change the result shares the pixels of src.
func Resize(src *RGB, h, w, workers int) (*RGB, error) {
	p, err := resize(src, h, w, workers)
	if err != nil {
		return nil, fmt.Errorf("imageproc: %w", err)
	}
	return p, nil
}

func resize(src *RGB, h, w, workers int) (*RGB, error) {
	if h <= 0 || w <= 0 || src.H <= 0 || src.W <= 0 || len(src.Pix) != 3*src.H*src.W {
		return nil, fmt.Errorf("cannot resize %dx%d pixels of %d bytes to %dx%d", src.H, src.W, len(src.Pix), h, w)
	}
	p := src
	verticalFirst := src.H > h && src.H-h > 2*(src.W-w)
	if verticalFirst {
		p = resizeVertical(p, h, workers)
	}
	p = resizeHorizontal(p, w, workers)
	if !verticalFirst {
		p = resizeVertical(p, h, workers)
	}
	return p, nil
}

// weightBits is the number of fractional bits of a weight.
const weightBits = 22

// kernel holds for each output the range of inputs that it is made of and
// their weights.
type kernel struct {
	first   []int // of the inputs
	starts  []int // of the weights; one more at the end
	weights []int32
}

// newKernel computes the weights for resizing in samples to out.
func newKernel(in, out int) *kernel {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := 2 * stretch
	inverse := 1 / stretch
	k := &kernel{
		first:   make([]int, out),
		starts:  make([]int, out+1),
		weights: make([]int32, 0, out*(int(math.Ceil(support))*2+1)),
	}
	var w []float64
	for i := range out {
		center := (float64(i) + 0.5) * scale
		// The conversions keep the compiler from fusing operations, which
		// would round differently.
		first := max(int(center-support+0.5), 0)
		last := min(int(center+support+0.5), in)
		w = w[:0]
		sum := 0.0
		for x := first; x < last; x++ {
			v := bicubic(float64(float64(x)-center+0.5) * inverse)
			w = append(w, v)
			sum += v
		}
		for _, v := range w {
			if sum != 0 {
				v /= sum
			}
			half := 0.5
			if v < 0 {
				half = -0.5
			}
			k.weights = append(k.weights, int32(half+float64(v*(1<<weightBits))))
		}
		k.first[i] = first
		k.starts[i+1] = len(k.weights)
	}
	return k
}

// bicubic is the convolution kernel of R. Keys (IEEE ASSP 29, 1981) with
// a = -0.5.
func bicubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64(float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a)
	}
	return 0
}

// at returns the inputs and weights of output i.
func (k *kernel) at(i int) (first int, weights []int32) {
	return k.first[i], k.weights[k.starts[i]:k.starts[i+1]]
}

const weightHalf = 1 << (weightBits - 1)

// round turns a weighted sum into a byte.
func round(sum int32) uint8 {
	sum >>= weightBits
	if uint32(sum) > 255 {
		return uint8(^(sum >> 31))
	}
	return uint8(sum)
}

// parallel calls f for parts of 0 to n.
func parallel(n, workers int, f func(from, to int)) {
	workers = max(min(workers, n), 1)
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { f(n*w/workers, n*(w+1)/workers) })
	}
	f(0, n/workers)
	wg.Wait()
}

func resizeHorizontal(src *RGB, w, workers int) *RGB {
	if src.W == w {
		return src
	}
	k := newKernel(src.W, w)
	dst := &RGB{H: src.H, W: w, Pix: make([]byte, 3*src.H*w)}
	parallel(src.H, workers, func(from, to int) {
		for y := from; y < to; y++ {
			horizontalRow(dst.Pix[3*y*w:][:3*w], src.Pix[3*y*src.W:][:3*src.W], k)
		}
	})
	return dst
}

func horizontalRow(dst, src []byte, k *kernel) {
	for i := 0; 3*i < len(dst); i++ {
		first, weights := k.at(i)
		in := src[3*first:]
		r, g, b := int32(weightHalf), int32(weightHalf), int32(weightHalf)
		for len(weights) >= 4 && len(in) >= 12 {
			w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
			r += int32(in[0])*w0 + int32(in[3])*w1 + int32(in[6])*w2 + int32(in[9])*w3
			g += int32(in[1])*w0 + int32(in[4])*w1 + int32(in[7])*w2 + int32(in[10])*w3
			b += int32(in[2])*w0 + int32(in[5])*w1 + int32(in[8])*w2 + int32(in[11])*w3
			weights, in = weights[4:], in[12:]
		}
		for _, w := range weights {
			r += int32(in[0]) * w
			g += int32(in[1]) * w
			b += int32(in[2]) * w
			in = in[3:]
		}
		out := dst[3*i : 3*i+3 : 3*i+3]
		out[0], out[1], out[2] = round(r), round(g), round(b)
	}
}

func resizeVertical(src *RGB, h, workers int) *RGB {
	if src.H == h {
		return src
	}
	k := newKernel(src.H, h)
	size := 3 * src.W
	dst := &RGB{H: h, W: src.W, Pix: make([]byte, h*size)}
	parallel(h, workers, func(from, to int) {
		sums := make([]int32, size)
		for y := from; y < to; y++ {
			first, weights := k.at(y)
			verticalRow(dst.Pix[y*size:][:size], src.Pix[first*size:], sums, weights)
		}
	})
	return dst
}

// verticalRow makes one row of len(dst) samples of the rows that src begins
// with. It runs along the rows, four at a time, so that memory is read in
// order.
func verticalRow(dst, src []byte, sums []int32, weights []int32) {
	n := len(dst)
	sums = sums[:n]
	for i := range sums {
		sums[i] = weightHalf
	}
	for len(weights) > 4 {
		w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
		r0, r1, r2, r3 := src[:n], src[n:2*n], src[2*n:3*n], src[3*n:4*n]
		r0, r1, r2, r3 = r0[:n], r1[:n], r2[:n], r3[:n]
		for i := range sums {
			sums[i] += int32(r0[i])*w0 + int32(r1[i])*w1 + int32(r2[i])*w2 + int32(r3[i])*w3
		}
		weights, src = weights[4:], src[4*n:]
	}
	// The last one to four rows, and the rounding.
	var w [4]int32
	var r [4][]byte
	for i := range r {
		r[i] = src[:n]
		if i < len(weights) {
			w[i] = weights[i]
			r[i] = src[i*n:][:n]
		}
	}
	w0, w1, w2, w3 := w[0], w[1], w[2], w[3]
	r0, r1, r2, r3 := r[0][:n], r[1][:n], r[2][:n], r[3][:n]
	for i := range sums {
		dst[i] = round(sums[i] + int32(r0[i])*w0 + int32(r1[i])*w1 + int32(r2[i])*w2 + int32(r3[i])*w3)
	}
}
