package jpeg

import (
	"fmt"
	"sync"
)

// output turns the planes into pixels.
func (d *decoder) output() (*Image, error) {
	for i := range d.comps {
		c := &d.comps[i]
		switch {
		case c.coefs != nil:
			d.reconstruct(c)
		case c.plane == nil:
			// No scan has it: all its coefficients are zero.
			c.plane = make([]byte, c.stride*c.blocksHigh*8)
			for i := range c.plane {
				c.plane[i] = 128
			}
		}
	}
	space, err := d.space()
	if err != nil {
		return nil, err
	}
	img := &Image{Width: d.width, Height: d.height, Channels: 3}
	if len(d.comps) == 4 {
		img.Channels = 4
	}
	img.Pix = make([]byte, d.width*d.height*img.Channels)

	convert := rowConverter(space)
	workers := min(max(d.opt.Workers, 1), ceilDiv(d.height, 16))
	var wg sync.WaitGroup
	for w := range workers {
		from, to := d.height*w/workers, d.height*(w+1)/workers
		if w == workers-1 {
			d.outputRows(img, convert, from, to)
		} else {
			wg.Go(func() { d.outputRows(img, convert, from, to) })
		}
	}
	wg.Wait()
	return img, nil
}

// outputRows writes the pixels of some rows.
func (d *decoder) outputRows(img *Image, convert convertFunc, from, to int) {
	ups := make([]upsampler, len(d.comps))
	for i := range ups {
		ups[i] = d.newUpsampler(&d.comps[i])
	}
	var rows [4][]byte
	size := img.Width * img.Channels
	for y := from; y < to; y++ {
		for i := range ups {
			rows[i] = ups[i].row(y)
		}
		convert(img.Pix[y*size:(y+1)*size], rows[0], rows[1], rows[2], rows[3])
	}
}

// space decides what the components are, as libjpeg does.
func (d *decoder) space() (ColorSpace, error) {
	n := len(d.comps)
	if s := d.opt.Space; s != Auto {
		want := 3
		switch s {
		case Gray:
			want = 1
		case CMYK, YCCK:
			want = 4
		}
		if n != want {
			return 0, fmt.Errorf("jpeg: %d components, want %d", n, want)
		}
		return s, nil
	}
	switch n {
	case 1:
		return Gray, nil
	case 3:
		switch {
		case d.jfif:
			return YCbCr, nil
		case d.adobe:
			if d.adobeTransform == 0 {
				return RGB, nil
			}
			return YCbCr, nil
		case d.comps[0].id == 'R' && d.comps[1].id == 'G' && d.comps[2].id == 'B':
			return RGB, nil
		}
		return YCbCr, nil
	}
	if d.adobe && d.adobeTransform != 0 {
		return YCCK, nil
	}
	return CMYK, nil
}
