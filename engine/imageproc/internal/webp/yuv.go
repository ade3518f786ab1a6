package webp

import (
	"image"
	"sync"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// toRGB converts the planes of a lossy picture. The rows are independent: a
// row takes three quarters of its chroma from the nearest chroma row and one
// from the next nearest, and so it goes along the row.
func toRGB(dst *raster.Image, src *image.YCbCr, workers int) {
	workers = min(max(workers, 1), (dst.Height+15)/16)
	var wg sync.WaitGroup
	for w := range workers {
		from, to := dst.Height*w/workers, dst.Height*(w+1)/workers
		if w == workers-1 {
			convertRows(dst, src, from, to)
		} else {
			wg.Go(func() { convertRows(dst, src, from, to) })
		}
	}
	wg.Wait()
}

func convertRows(dst *raster.Image, src *image.YCbCr, from, to int) {
	wide, high := (dst.Width+1)/2, (dst.Height+1)/2
	for y := from; y < to; y++ {
		near, next := y/2, y/2-1
		if y&1 != 0 {
			next = near + 1
		}
		next = min(max(next, 0), high-1)
		row := func(plane []byte, r int) []byte { return plane[r*src.CStride:][:wide] }
		convertRow(dst.Pix[3*y*dst.Width:][:3*dst.Width], src.Y[y*src.YStride:][:dst.Width],
			row(src.Cb, near), row(src.Cb, next), row(src.Cr, near), row(src.Cr, next))
	}
}

// convertRow converts one row. near is the nearest row of chroma, next the
// next nearest.
func convertRow(dst, y, uNear, uNext, vNear, vNext []byte) {
	n := len(y)
	// At the edge there is no neighbour to the side.
	edge := func(x, i int) {
		put(dst, y, x, (3*int32(uNear[i])+int32(uNext[i])+2)>>2, (3*int32(vNear[i])+int32(vNext[i])+2)>>2)
	}
	edge(0, 0)
	for i := 1; i <= (n-1)/2; i++ {
		ul, ur := pair(int32(uNear[i-1]), int32(uNear[i]), int32(uNext[i-1]), int32(uNext[i]))
		vl, vr := pair(int32(vNear[i-1]), int32(vNear[i]), int32(vNext[i-1]), int32(vNext[i]))
		put(dst, y, 2*i-1, ul, vl)
		put(dst, y, 2*i, ur, vr)
	}
	if n&1 == 0 {
		edge(n-1, n/2-1)
	}
}

// pair interpolates between two samples of the nearest row, l and r, and the
// two beside them, weighing 9:3:3:1, with libwebp's two roundings.
func pair(l, r, nextL, nextR int32) (left, right int32) {
	sum := l + r + nextL + nextR + 8
	towardsL := (sum + 2*(r+nextL)) >> 3
	towardsR := (sum + 2*(l+nextR)) >> 3
	return (towardsL + l) >> 1, (towardsR + r) >> 1
}

// put converts one pixel in 14-bit fixed point.
func put(dst, y []byte, x int, u, v int32) {
	l := int32(y[x]) * 19077 >> 8
	d := dst[3*x : 3*x+3 : 3*x+3]
	d[0] = clip(l + v*26149>>8 - 14234)
	d[1] = clip(l - u*6419>>8 - v*13320>>8 + 8708)
	d[2] = clip(l + u*33050>>8 - 17685)
}

func clip(v int32) uint8 {
	if uint32(v) >= 256<<6 {
		return uint8(^(v >> 31))
	}
	return uint8(v >> 6)
}
