package jpeg

import (
	"errors"
	"fmt"
)

// scanHeader is what SOS says (T.81, B.2.3).
type scanHeader struct {
	comps              []*component
	first, last        int  // spectral selection
	high, low          uint // successive approximation
	mcusWide, mcusHigh int  // in the scan
}

// readScans reads all scans of the picture. d.pos is past the first SOS marker.
func (d *decoder) readScans() error {
	for {
		d.scans++
		limit := maxSequentialScans
		if d.progressive {
			limit = maxProgressiveScans
		}
		if d.scans > limit || d.scans > manyScans && d.scans > manyScansBlocks/d.blocks {
			return fmt.Errorf("jpeg: %d scans of %dx%d pixels are more than any encoder writes", d.scans, d.width, d.height)
		}
		sc, err := d.readSOS()
		if err != nil {
			return err
		}
		if err := d.decodeScan(sc); err != nil {
			return err
		}
		if !d.progressive && len(sc.comps) == len(d.comps) && d.scans == 1 {
			// The picture is complete; what follows is not looked at, but it
			// must be a marker, or the last bits may be missing.
			if d.bits.marker == 0 {
				_, err := d.marker()
				return err
			}
			return nil
		}
		more, err := d.nextScan()
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// nextScan reads up to the next SOS marker and reports whether there is one.
func (d *decoder) nextScan() (bool, error) {
	for {
		m := d.bits.marker
		d.bits.marker = 0
		if m == 0 {
			var err error
			if m, err = d.marker(); err != nil {
				return false, err
			}
		}
		switch {
		case m == tem || rst0 <= m && m <= rst7:
			continue
		case m == eoi:
			return false, nil
		case m == sos:
			return true, nil
		case m == soi:
			return false, errors.New("jpeg: a second SOI marker")
		case sof0 <= m && m <= sof15 && m != dht && m != jpg && m != dac:
			return false, errors.New("jpeg: a second SOF marker")
		}
		s, err := d.segment()
		if err != nil {
			return false, err
		}
		if err := d.table(m, s); err != nil {
			return false, err
		}
	}
}

// readSOS reads a scan header and makes ready for its data.
func (d *decoder) readSOS() (*scanHeader, error) {
	s, err := d.segment()
	if err != nil {
		return nil, err
	}
	if len(s) < 1 || s[0] < 1 || s[0] > 4 || len(s) != 4+2*int(s[0]) {
		return nil, fmt.Errorf("jpeg: SOS segment of %d bytes", len(s))
	}
	n := int(s[0])
	sc := new(scanHeader)
	used := [4]bool{}
	perMCU := 0
	for i := range n {
		id, tables := s[1+2*i], s[2+2*i]
		var c *component
		for j := range d.comps {
			if d.comps[j].id == id && !used[j] {
				c, used[j] = &d.comps[j], true
				break
			}
		}
		if c == nil {
			return nil, fmt.Errorf("jpeg: scan of an unknown component %d", id)
		}
		c.dcSelector, c.acSelector = tables>>4, tables&15
		if c.dcSelector > 3 || c.acSelector > 3 {
			return nil, fmt.Errorf("jpeg: component %d uses Huffman tables %d and %d, want 0 to 3", id, c.dcSelector, c.acSelector)
		}
		perMCU += c.h * c.v
		sc.comps = append(sc.comps, c)
	}
	if n > 1 && perMCU > 10 {
		return nil, fmt.Errorf("jpeg: %d blocks in an MCU, want at most 10", perMCU)
	}
	t := s[1+2*n:]
	if d.progressive {
		sc.first, sc.last = int(t[0]), int(t[1])
		sc.high, sc.low = uint(t[2]>>4), uint(t[2]&15)
		bad := sc.low > 13 || sc.high != 0 && sc.high != sc.low+1
		if sc.first == 0 {
			bad = bad || sc.last != 0
		} else {
			bad = bad || sc.last < sc.first || sc.last > 63 || n != 1
		}
		if bad {
			return nil, fmt.Errorf("jpeg: progressive scan of coefficients %d to %d, bits %d to %d, of %d components",
				sc.first, sc.last, sc.high, sc.low, n)
		}
	} else {
		sc.last = 63
	}
	for _, c := range sc.comps {
		if err := d.prepare(c, sc); err != nil {
			return nil, err
		}
	}
	if n == 1 {
		sc.mcusWide, sc.mcusHigh = sc.comps[0].blocksWide, sc.comps[0].blocksHigh
	} else {
		sc.mcusWide, sc.mcusHigh = d.mcusWide, d.mcusHigh
	}
	return sc, nil
}

// prepare gives a component the tables and the memory that a scan needs.
func (d *decoder) prepare(c *component, sc *scanHeader) error {
	if c.quant == nil {
		if c.tq > 3 || d.quant[c.tq] == nil {
			return fmt.Errorf("jpeg: component %d uses quantization table %d, which is not defined", c.id, c.tq)
		}
		c.quant = d.quant[c.tq]
	}
	if sc.first == 0 && sc.high == 0 {
		if c.dcTable = d.dc[c.dcSelector]; c.dcTable == nil {
			if c.dcTable = standardTable(&standardDCLuma, &standardDCChroma, c.dcSelector); c.dcTable == nil {
				return fmt.Errorf("jpeg: component %d uses DC Huffman table %d, which is not defined", c.id, c.dcSelector)
			}
		}
		if c.dcTable.maxValue > 15 {
			return errHuffman
		}
	}
	if sc.last > 0 {
		if c.acTable = d.ac[c.acSelector]; c.acTable == nil {
			if c.acTable = standardTable(&standardACLuma, &standardACChroma, c.acSelector); c.acTable == nil {
				return fmt.Errorf("jpeg: component %d uses AC Huffman table %d, which is not defined", c.id, c.acSelector)
			}
		}
	}
	if d.progressive {
		if c.coefs == nil {
			c.coefs = make([][][64]int16, c.paddedHigh)
		}
	} else if c.plane == nil {
		c.plane = make([]byte, c.stride*c.blocksHigh*8)
	}
	return nil
}

func standardTable(luma, chroma *huffmanSpec, id uint8) *huffmanTable {
	var t *huffmanTable
	switch id {
	case 0:
		t, _ = newHuffmanTable(luma)
	case 1:
		t, _ = newHuffmanTable(chroma)
	}
	return t
}

// decodeScan decodes the entropy-coded data of one scan.
func (d *decoder) decodeScan(sc *scanHeader) error {
	d.bits = bitReader{data: d.data, pos: d.pos}
	d.restarts, d.nextRST, d.eobRun = d.interval, 0, 0
	for _, c := range sc.comps {
		c.pred = 0
	}
	for y := range sc.mcusHigh {
		for x := range sc.mcusWide {
			if d.interval > 0 {
				if d.restarts == 0 {
					if err := d.restart(sc); err != nil {
						return err
					}
				}
				d.restarts--
			}
			skip := d.bits.short
			if len(sc.comps) == 1 {
				d.block(sc, sc.comps[0], x, y, skip)
			} else {
				for _, c := range sc.comps {
					for i := range c.v {
						for j := range c.h {
							d.block(sc, c, x*c.h+j, y*c.v+i, skip)
						}
					}
				}
			}
			if d.bits.short && d.bits.marker == 0 {
				return errTruncated
			}
		}
	}
	d.pos = d.bits.pos
	return nil
}

// block decodes the block in column x and row y of a component. It leaves the
// coefficients as they are if skip is set, because the segment ended in an
// earlier MCU.
func (d *decoder) block(sc *scanHeader, c *component, x, y int, skip bool) {
	if !d.progressive {
		var coef [64]int16
		last := 0
		if !skip {
			last = d.sequential(&coef, c)
		}
		if x < c.blocksWide && y < c.blocksHigh {
			idct(&coef, c.quant, last, c.plane[8*(y*c.stride+x):], c.stride)
		}
		return
	}
	if c.coefs[y] == nil {
		c.coefs[y] = make([][64]int16, c.paddedWide)
	}
	coef := &c.coefs[y][x]
	switch {
	case sc.first == 0 && sc.high == 0:
		if !skip {
			d.dcFirst(coef, c, sc.low)
		}
	case sc.first == 0:
		d.dcRefine(coef, sc.low)
	case skip:
	case sc.high == 0:
		d.acFirst(coef, c.acTable, sc.first, sc.last, sc.low)
	default:
		d.acRefine(coef, c.acTable, sc.first, sc.last, sc.low)
	}
}

// restart reads a restart marker and begins a new segment.
func (d *decoder) restart(sc *scanHeader) error {
	b := &d.bits
	m := b.marker
	d.pos = b.pos
	next := func() (err error) {
		m, err = d.marker()
		return err
	}
	if m == 0 {
		if err := next(); err != nil {
			return err
		}
	}
	// If the marker is not the one due, guess whether data was lost or markers
	// were, as libjpeg does: an earlier marker or garbage is skipped, one of
	// the next two or the end of the scan is left to be met again.
	for m != rst0+d.nextRST {
		if m >= sof0 {
			if m < rst0 || m > rst7 {
				break
			}
			ahead := (m - rst0 - d.nextRST) & 7
			if ahead == 1 || ahead == 2 {
				break
			}
			if ahead != 6 && ahead != 7 {
				m = rst0 + d.nextRST
				continue
			}
		}
		if err := next(); err != nil {
			return err
		}
	}
	due := m == rst0+d.nextRST
	short := b.short
	*b = bitReader{data: d.data, pos: d.pos, short: short}
	if due {
		b.short = false
	} else {
		b.marker = m
	}
	d.nextRST = (d.nextRST + 1) & 7
	d.restarts = d.interval
	d.eobRun = 0
	for _, c := range sc.comps {
		c.pred = 0
	}
	return nil
}
