package jpeg

// The four kinds of progressive scans (T.81, G.1.2).

// dcFirst decodes the first scan of a DC coefficient.
func (d *decoder) dcFirst(coef *[64]int16, c *component, low uint) {
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
	coef[0] = int16(c.pred << low)
}

// dcRefine adds one bit to a DC coefficient.
func (d *decoder) dcRefine(coef *[64]int16, low uint) {
	b := &d.bits
	if b.n < 1 {
		b.fill()
	}
	if b.take(1) != 0 {
		coef[0] |= 1 << low
	}
	if b.n < 0 {
		b.overrun()
	}
}

// acFirst decodes the first scan of a band of AC coefficients.
func (d *decoder) acFirst(coef *[64]int16, t *huffmanTable, first, last int, low uint) {
	if d.eobRun > 0 {
		d.eobRun--
		return
	}
	b := &d.bits
	for k := first; k <= last; k++ {
		if b.n < minBits {
			b.fill()
		}
		rs := b.code(t)
		run, size := rs>>4, rs&15
		if size != 0 {
			k += run
			coef[zigzag[k&127]&63] = int16(extend(b.take(size), size) << low)
		} else if run == 15 {
			k += 15
		} else {
			d.eobRun = 1<<run + b.take(run) - 1
			break
		}
		if b.n < 0 {
			b.overrun()
		}
	}
	if b.n < 0 {
		b.overrun()
	}
}

// acRefine adds one bit to a band of AC coefficients.
func (d *decoder) acRefine(coef *[64]int16, t *huffmanTable, first, last int, low uint) {
	b := &d.bits
	plus, minus := int16(1)<<low, int16(-1)<<low
	k := first
	if d.eobRun == 0 {
		for ; k <= last; k++ {
			if b.n < minBits {
				b.fill()
			}
			rs := b.code(t)
			run, size := rs>>4, rs&15
			value := int16(0)
			if size != 0 {
				// The size is 1 unless the data is corrupt.
				value = minus
				if b.take(1) != 0 {
					value = plus
				}
			} else if run != 15 {
				d.eobRun = 1<<run + b.take(run)
				break
			}
			if b.n < 0 {
				b.overrun()
			}
			// Skip as many zeros as the run says, giving a bit to each
			// coefficient on the way that is not.
			for ; k <= last; k++ {
				v := &coef[zigzag[k&127]&63]
				if *v != 0 {
					d.correct(v, plus, minus)
				} else {
					if run == 0 {
						break
					}
					run--
				}
			}
			if value != 0 {
				coef[zigzag[k&127]&63] = value
			}
		}
	}
	if d.eobRun > 0 {
		for ; k <= last; k++ {
			if v := &coef[zigzag[k&127]&63]; *v != 0 {
				d.correct(v, plus, minus)
			}
		}
		d.eobRun--
	}
	if b.n < 0 {
		b.overrun()
	}
}

// correct reads the correction bit of a coefficient.
func (d *decoder) correct(v *int16, plus, minus int16) {
	b := &d.bits
	if b.n < 1 {
		b.fill()
	}
	if b.take(1) != 0 && *v&plus == 0 {
		if *v >= 0 {
			*v += plus
		} else {
			*v += minus
		}
	}
	if b.n < 0 {
		b.overrun()
	}
}

// reconstruct transforms the coefficients of a progressive picture.
func (d *decoder) reconstruct(c *component) {
	c.plane = make([]byte, c.stride*c.blocksHigh*8)
	var zero [64]int16
	for y := range c.blocksHigh {
		row := c.coefs[y]
		c.coefs[y] = nil
		for x := range c.blocksWide {
			coef := &zero
			if row != nil {
				coef = &row[x]
			}
			idct(coef, c.quant, 63, c.plane[8*(y*c.stride+x):], c.stride)
		}
	}
}
