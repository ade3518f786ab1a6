package jpeg

// An upsampler gives the rows of a component at the picture's resolution.
type upsampler struct {
	c     *component
	width int // of the picture
	h, v  int // how many pixels a sample covers

	// filterH and filterV say that the direction is interpolated by the
	// triangle filter: a pixel takes three quarters of the nearest sample and
	// one of the next nearest. Otherwise samples are repeated.
	filterH, filterV bool

	out  []byte
	sums []int32 // a row interpolated vertically, in quarters
}

func (d *decoder) newUpsampler(c *component) upsampler {
	u := upsampler{c: c, width: d.width, h: d.maxH / c.h, v: d.maxV / c.v}
	switch {
	case u.h == 2 && u.v <= 2 && c.width > 2:
		u.filterH, u.filterV = true, u.v == 2
	case u.h == 1 && u.v == 2:
		u.filterV = true
	}
	if u.h > 1 || u.filterV {
		// The filters write whole pairs of pixels.
		u.out = make([]byte, c.width*u.h)
	}
	if u.filterH && u.filterV {
		u.sums = make([]int32, c.width)
	}
	return u
}

// row returns row y of the picture. It is valid until the next call.
func (u *upsampler) row(y int) []byte {
	c := u.c
	sy := y / u.v
	near := c.plane[sy*c.stride:][:c.width]
	switch {
	case u.filterV:
		// The next nearest row is above for even rows and below for odd ones,
		// and at the picture's edge the row itself.
		other := max(sy-1, 0)
		if y&1 != 0 {
			other = min(sy+1, c.height-1)
		}
		next := c.plane[other*c.stride:][:c.width]
		if u.filterH {
			for i := range u.sums {
				u.sums[i] = 3*int32(near[i]) + int32(next[i])
			}
			triangleSums(u.out, u.sums)
			break
		}
		bias := int32(1 + y&1)
		for i := range near {
			u.out[i] = uint8((3*int32(near[i]) + int32(next[i]) + bias) >> 2)
		}
	case u.filterH:
		triangle(u.out, near)
	case u.h > 1:
		for i, s := range near {
			for j := range u.h {
				u.out[i*u.h+j] = s
			}
		}
	default:
		return near[:u.width]
	}
	return u.out[:u.width]
}

// triangle doubles a row of at least two samples. The rounding alternates, so
// that it does not drift.
func triangle(out []byte, in []byte) {
	n := len(in)
	out = out[:2*n]
	out[0] = in[0]
	out[1] = uint8((3*int32(in[0]) + int32(in[1]) + 2) >> 2)
	prev, cur := int32(in[0]), int32(in[1])
	for i := 1; i < n-1; i++ {
		next := int32(in[i+1])
		o := out[2*i : 2*i+2 : 2*i+2]
		o[0] = uint8((3*cur + prev + 1) >> 2)
		o[1] = uint8((3*cur + next + 2) >> 2)
		prev, cur = cur, next
	}
	out[2*n-2] = uint8((3*cur + prev + 1) >> 2)
	out[2*n-1] = in[n-1]
}

// triangleSums doubles a row of at least two samples that are given in
// quarters.
func triangleSums(out []byte, in []int32) {
	n := len(in)
	out = out[:2*n]
	out[0] = uint8((4*in[0] + 8) >> 4)
	out[1] = uint8((3*in[0] + in[1] + 7) >> 4)
	prev, cur := in[0], in[1]
	for i := 1; i < n-1; i++ {
		next := in[i+1]
		o := out[2*i : 2*i+2 : 2*i+2]
		o[0] = uint8((3*cur + prev + 8) >> 4)
		o[1] = uint8((3*cur + next + 7) >> 4)
		prev, cur = cur, next
	}
	out[2*n-2] = uint8((3*cur + prev + 8) >> 4)
	out[2*n-1] = uint8((4*cur + 7) >> 4)
}
