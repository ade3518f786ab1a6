package jpeg

// The constants of the transform, in units of 2^-13.
const (
	fix0298631336 = 2446
	fix0390180644 = 3196
	fix0541196100 = 4433
	fix0765366865 = 6270
	fix0899976223 = 7373
	fix1175875602 = 9633
	fix1501321110 = 12299
	fix1847759065 = 15137
	fix1961570560 = 16069
	fix2053119869 = 16819
	fix2562915447 = 20995
	fix3072711026 = 25172

	constBits = 13
	pass1Bits = 2
)

// idct8 is the one-dimensional transform of eight values, scaled by 2^13 times
// the square root of 8. The sums of two inputs wrap at 16 bits, as in the SIMD
// versions; only corrupt data gets there.
func idct8(i0, i1, i2, i3, i4, i5, i6, i7 int16) (o0, o1, o2, o3, o4, o5, o6, o7 int32) {
	// Even part.
	z1 := (int32(i2) + int32(i6)) * fix0541196100
	t2 := z1 - int32(i6)*fix1847759065
	t3 := z1 + int32(i2)*fix0765366865
	t0 := int32(i0+i4) << constBits
	t1 := int32(i0-i4) << constBits
	e0, e3 := t0+t3, t0-t3
	e1, e2 := t1+t2, t1-t2

	// Odd part.
	z3, z4 := int32(i7+i3), int32(i5+i1)
	z5 := (z3 + z4) * fix1175875602
	z3 = z5 - z3*fix1961570560
	z4 = z5 - z4*fix0390180644
	y1 := -(int32(i7) + int32(i1)) * fix0899976223
	y2 := -(int32(i5) + int32(i3)) * fix2562915447
	d0 := int32(i7)*fix0298631336 + y1 + z3
	d1 := int32(i5)*fix2053119869 + y2 + z4
	d2 := int32(i3)*fix3072711026 + y2 + z3
	d3 := int32(i1)*fix1501321110 + y1 + z4

	return e0 + d3, e1 + d2, e2 + d1, e3 + d0, e3 - d0, e2 - d1, e1 - d2, e0 - d3
}

// descale1 rounds a result of the first pass to pass1Bits fractional bits.
func descale1(x int32) int16 {
	const shift = constBits - pass1Bits
	x = (x + 1<<(shift-1)) >> shift
	return int16(min(max(x, -1<<15), 1<<15-1))
}

// descale2 rounds a result of the second pass to a sample.
func descale2(x int32) uint8 {
	const shift = constBits + pass1Bits + 3
	x = (x+1<<(shift-1))>>shift + 128
	if uint32(x) > 255 {
		return uint8(^(x >> 31))
	}
	return uint8(x)
}

// idct dequantizes a block of coefficients, in natural order, and writes the 8
// by 8 samples it stands for. Coefficients past place last in zigzag order are
// known to be zero. dst must reach 7*stride+8.
func idct(coef *[64]int16, quant *[64]int16, last int, dst []byte, stride int) {
	dst = dst[:7*stride+8]
	if last == 0 {
		// Only the mean: both passes are exact until the last rounding.
		v := (int32(coef[0]*quant[0])<<pass1Bits+1<<(pass1Bits+2))>>(pass1Bits+3) + 128
		c := uint8(min(max(v, 0), 255))
		for y := range 8 {
			row := dst[y*stride:][:8]
			for x := range row {
				row[x] = c
			}
		}
		return
	}

	var ws [64]int16
	for x := range 8 {
		if coef[x+8]|coef[x+16]|coef[x+24]|coef[x+32]|coef[x+40]|coef[x+48]|coef[x+56] == 0 {
			v := descale1(int32(coef[x]*quant[x]) << constBits)
			for y := 0; y < 64; y += 8 {
				ws[(y+x)&63] = v
			}
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := idct8(
			coef[x]*quant[x], coef[x+8]*quant[x+8], coef[x+16]*quant[x+16], coef[x+24]*quant[x+24],
			coef[x+32]*quant[x+32], coef[x+40]*quant[x+40], coef[x+48]*quant[x+48], coef[x+56]*quant[x+56])
		ws[x], ws[x+8], ws[x+16], ws[x+24] = descale1(o0), descale1(o1), descale1(o2), descale1(o3)
		ws[x+32], ws[x+40], ws[x+48], ws[x+56] = descale1(o4), descale1(o5), descale1(o6), descale1(o7)
	}
	for y := range 8 {
		w := (*[8]int16)(ws[y*8:])
		row := dst[y*stride:][:8]
		if w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7] == 0 {
			c := descale2(int32(w[0]) << constBits)
			for x := range row {
				row[x] = c
			}
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := idct8(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
		row[0], row[1], row[2], row[3] = descale2(o0), descale2(o1), descale2(o2), descale2(o3)
		row[4], row[5], row[6], row[7] = descale2(o4), descale2(o5), descale2(o6), descale2(o7)
	}
}
