package jpeg

// A convertFunc writes one row of pixels from one row of each component.
type convertFunc func(dst, c0, c1, c2, c3 []byte)

func rowConverter(space ColorSpace) convertFunc {
	switch space {
	case Gray:
		return grayRow
	case RGB:
		return rgbRow
	case CMYK:
		return cmykRow
	case YCCK:
		return ycckRow
	}
	return ycbcrRow
}

// The conversion of JFIF in 16-bit fixed point, rounded as libjpeg's tables
// are: red and blue terms by themselves, the two green ones together.
const (
	fix140200 = 91881 // 1.40200
	fix177200 = 116130
	fix071414 = 46802
	fix034414 = 22554
	fixHalf   = 1 << 15
)

func rgbOf(y, cb, cr uint8) (r, g, b uint8) {
	yy, u, v := int32(y), int32(cb)-128, int32(cr)-128
	return clip(yy + (fix140200*v+fixHalf)>>16),
		clip(yy + (-fix034414*u-fix071414*v+fixHalf)>>16),
		clip(yy + (fix177200*u+fixHalf)>>16)
}

func clip(x int32) uint8 {
	if uint32(x) > 255 {
		return uint8(^(x >> 31))
	}
	return uint8(x)
}

func ycbcrRow(dst, y, cb, cr, _ []byte) {
	cb, cr = cb[:len(y)], cr[:len(y)]
	dst = dst[:3*len(y)]
	for i := range y {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = rgbOf(y[i], cb[i], cr[i])
	}
}

func grayRow(dst, y, _, _, _ []byte) {
	dst = dst[:3*len(y)]
	for i, v := range y {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = v, v, v
	}
}

func rgbRow(dst, r, g, b, _ []byte) {
	for i := range r {
		dst[3*i], dst[3*i+1], dst[3*i+2] = r[i], g[i], b[i]
	}
}

func cmykRow(dst, c, m, y, k []byte) {
	for i := range c {
		dst[4*i], dst[4*i+1], dst[4*i+2], dst[4*i+3] = c[i], m[i], y[i], k[i]
	}
}

// ycckRow converts to the complement of RGB and keeps the black.
func ycckRow(dst, y, cb, cr, k []byte) {
	for i := range y {
		r, g, b := rgbOf(y[i], cb[i], cr[i])
		dst[4*i], dst[4*i+1], dst[4*i+2], dst[4*i+3] = 255-r, 255-g, 255-b, k[i]
	}
}
