package jpeg

// sequential decodes a block of a sequential picture (T.81, F.2.2) into coef,
// which is all zero. It returns the zigzag index of the last coefficient that
// may not be.
func (d *decoder) sequential(coef *[64]int16, c *component) (last int) {
	b := &d.bits
	if b.n < minBits {
		b.fill()
	}
	if size := b.code(c.dcTable); size != 0 {
		c.pred += extend(b.take(size), size)
	}
	if b.n < 0 {
		b.overrun()
	}
	coef[0] = int16(c.pred)
	t := c.acTable
	for k := 1; k < 64; k++ {
		if b.n < minBits {
			b.fill()
		}
		if f := t.fast[b.acc>>(64-lookBits)]; f != 0 {
			k += int(f >> 4 & 15)
			b.acc <<= uint(f & 15)
			b.n -= int(f & 15)
			coef[zigzag[k&127]&63] = f >> 8
			last = k
		} else {
			rs := b.code(t)
			run, size := rs>>4, rs&15
			if size == 0 {
				if run != 15 {
					break
				}
				k += 15
			} else {
				k += run
				coef[zigzag[k&127]&63] = int16(extend(b.take(size), size))
				last = k
			}
		}
		if b.n < 0 {
			b.overrun()
		}
	}
	if b.n < 0 {
		b.overrun()
	}
	return last
}
