package imageproc

import (
	"fmt"
	"math"
)

// maxAspect is the largest ratio of the sides of a picture.
const maxAspect = 200

// SmartResize returns the size to which a picture of h by w pixels is resized:
// multiples of factor whose product is between minPixels and maxPixels if that
// can be, with about the same ratio of the sides. It is smart_resize of
// transformers' image_processing_qwen2_vl.py: sides are rounded half to even,
// then, if the product is out of bounds, scaled down with floor or up with
// ceil. A picture with sides of a ratio of more than 200 is an error.
func SmartResize(h, w, factor, minPixels, maxPixels int) (h2, w2 int, err error) {
	if h2, w2, err = smartResize(h, w, factor, minPixels, maxPixels); err != nil {
		return 0, 0, fmt.Errorf("imageproc: %w", err)
	}
	return h2, w2, nil
}

func smartResize(h, w, factor, minPixels, maxPixels int) (h2, w2 int, err error) {
	if h <= 0 || w <= 0 {
		return 0, 0, fmt.Errorf("size %dx%d (height x width)", h, w)
	}
	if factor <= 0 || minPixels < 0 || maxPixels <= 0 {
		return 0, 0, fmt.Errorf("factor %d, %d to %d pixels: must be positive", factor, minPixels, maxPixels)
	}
	fh, fw, f := float64(h), float64(w), float64(factor)
	if aspect := max(fh, fw) / min(fh, fw); aspect > maxAspect {
		return 0, 0, fmt.Errorf("the sides of %dx%d (height x width) have a ratio of %.1f, more than %d; crop the picture", h, w, aspect, maxAspect)
	}
	rh, rw := math.RoundToEven(fh/f)*f, math.RoundToEven(fw/f)*f
	switch {
	case rh*rw > float64(maxPixels):
		beta := math.Sqrt(fh * fw / float64(maxPixels))
		rh = max(f, math.Floor(fh/beta/f)*f)
		rw = max(f, math.Floor(fw/beta/f)*f)
	case rh*rw < float64(minPixels):
		beta := math.Sqrt(float64(minPixels) / (fh * fw))
		rh = math.Ceil(fh*beta/f) * f
		rw = math.Ceil(fw*beta/f) * f
	}
	// Only a minimum below one cell leaves a side at zero.
	rh, rw = max(rh, f), max(rw, f)
	if rh*rw > math.MaxInt32 {
		return 0, 0, fmt.Errorf("%dx%d (height x width) would be resized to %.0fx%.0f; lower the minimum of %d pixels", h, w, rh, rw, minPixels)
	}
	return int(rh), int(rw), nil
}
