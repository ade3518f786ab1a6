package jpeg

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// Markers (T.81, Table B.1).
const (
	sof0  = 0xc0 // baseline
	sof1  = 0xc1 // extended sequential
	sof2  = 0xc2 // progressive
	dht   = 0xc4
	jpg   = 0xc8
	sof15 = 0xcf
	dac   = 0xcc
	rst0  = 0xd0
	rst7  = 0xd7
	soi   = 0xd8
	eoi   = 0xd9
	sos   = 0xda
	dqt   = 0xdb
	dri   = 0xdd
	app0  = 0xe0
	app1  = 0xe1
	app14 = 0xee
	tem   = 0x01
)

// Bounds of the scans of a picture, each of which may cost time in proportion
// to the picture while taking only a few bytes of the file. A sequential
// picture needs one for each component at most; of progressive ones encoders
// write about ten. A picture of many scans must not be large.
const (
	maxSequentialScans  = 16
	maxProgressiveScans = 500
	manyScans           = 100
	manyScansBlocks     = 1 << 28
)

var errTruncated = raster.Truncated("jpeg")

// Options direct Decode. The zero value decodes a picture file.
type Options struct {
	// MaxPixels refuses larger pictures; 0 means no limit.
	MaxPixels int
	// Tables is an abbreviated stream of tables to begin with, as TIFF keeps
	// them.
	Tables []byte
	// Space overrides what the file says of its colours.
	Space ColorSpace
	// Workers is the number of goroutines that convert the samples to colours;
	// below 2 means none but the caller's. It does not change the result.
	Workers int
}

// ColorSpace says what the components of a file are.
type ColorSpace int

// The colour spaces of a file.
const (
	Auto ColorSpace = iota // as the JFIF and Adobe markers and the components' names say
	Gray
	YCbCr
	RGB
	CMYK
	YCCK
)

// An Image is a decoded picture of 3 (RGB) or 4 (CMYK) bytes a pixel, and what
// its file said besides. CMYK values are as they are stored, which by Adobe's
// custom is inverted: 255 means no ink.
type Image struct {
	Width, Height int
	Channels      int
	Pix           []byte
	// Exif holds the contents of all Exif segments, beginning with
	// "Exif\x00\x00"; XMP the last XMP packet. Nil if there are none.
	Exif, XMP []byte
}

// component is one plane of the picture.
type component struct {
	id   uint8
	h, v int // sampling factors
	tq   uint8

	quant *[64]int16 // natural order; set at the component's first scan

	// Size in samples that stand for picture, and in blocks: those that hold
	// such samples, and those that whole MCUs hold.
	width, height          int
	blocksWide, blocksHigh int
	paddedWide, paddedHigh int
	stride                 int
	plane                  []byte        // blocksHigh*8 rows of stride = blocksWide*8 samples
	coefs                  [][][64]int16 // progressive: rows of paddedWide blocks
	dcTable, acTable       *huffmanTable
	dcSelector, acSelector uint8
	pred                   int
}

type decoder struct {
	data []byte
	pos  int
	opt  Options

	width, height int
	progressive   bool
	comps         []component
	maxH, maxV    int
	mcusWide      int
	mcusHigh      int
	blocks        int // of all components

	quant    [4]*[64]int16 // natural order
	dc, ac   [4]*huffmanTable
	interval int // restart interval in MCUs, 0 if none
	scans    int

	jfif           bool
	adobe          bool
	adobeTransform uint8
	exif, xmp      []byte

	bits     bitReader
	restarts int // MCUs to go to the next restart marker
	nextRST  uint8
	eobRun   int
}

// Decode decodes a picture.
func Decode(data []byte, opt Options) (*Image, error) {
	d := decoder{opt: opt}
	if len(opt.Tables) > 0 {
		d.data = opt.Tables
		if err := d.readTables(); err != nil {
			return nil, err
		}
	}
	d.data, d.pos = data, 0
	if err := d.readHeader(); err != nil {
		return nil, err
	}
	if err := d.readScans(); err != nil {
		return nil, err
	}
	img, err := d.output()
	if err != nil {
		return nil, err
	}
	img.Exif, img.XMP = d.exif, d.xmp
	return img, nil
}

// marker skips to the next marker, over any bytes that belong to none, and
// returns its second byte.
func (d *decoder) marker() (uint8, error) {
	for {
		i := bytes.IndexByte(d.data[d.pos:], 0xff)
		if i < 0 {
			d.pos = len(d.data)
			return 0, errTruncated
		}
		d.pos += i
		for d.pos < len(d.data) && d.data[d.pos] == 0xff {
			d.pos++
		}
		if d.pos == len(d.data) {
			return 0, errTruncated
		}
		m := d.data[d.pos]
		d.pos++
		if m != 0 {
			return m, nil
		}
	}
}

// segment returns the contents of the marker segment that begins here.
func (d *decoder) segment() ([]byte, error) {
	if d.pos+2 > len(d.data) {
		return nil, errTruncated
	}
	n := int(d.data[d.pos])<<8 | int(d.data[d.pos+1])
	if n < 2 {
		return nil, fmt.Errorf("jpeg: marker segment of length %d", n)
	}
	if d.pos+n > len(d.data) {
		return nil, errTruncated
	}
	s := d.data[d.pos+2 : d.pos+n]
	d.pos += n
	return s, nil
}

// readTables reads an abbreviated stream that holds tables only.
func (d *decoder) readTables() error {
	for {
		m, err := d.marker()
		if err != nil {
			return err
		}
		switch m {
		case soi:
		case eoi:
			return nil
		default:
			s, err := d.segment()
			if err != nil {
				return err
			}
			if err := d.table(m, s); err != nil {
				return err
			}
		}
	}
}

// table reads a segment of tables or parameters, and skips others.
func (d *decoder) table(m uint8, s []byte) error {
	switch m {
	case dht:
		return d.readDHT(s)
	case dqt:
		return d.readDQT(s)
	case dri:
		if len(s) != 2 {
			return fmt.Errorf("jpeg: DRI segment of %d bytes, want 2", len(s))
		}
		d.interval = int(s[0])<<8 | int(s[1])
	case app0:
		if len(s) >= 12 && bytes.HasPrefix(s, []byte("JFIF\x00")) {
			d.jfif = true
		}
	case app1:
		d.readAPP1(s)
	case app14:
		if len(s) >= 12 && bytes.HasPrefix(s, []byte("Adobe")) {
			d.adobe, d.adobeTransform = true, s[11]
		}
	case dac:
		return errors.New("jpeg: arithmetic coding is not supported")
	default:
		if m < sof0 {
			return fmt.Errorf("jpeg: unknown marker %#02x", m)
		}
	}
	return nil
}

const xmpHeader = "http://ns.adobe.com/xap/1.0/\x00"

func (d *decoder) readAPP1(s []byte) {
	if d.scans > 0 {
		return
	}
	if bytes.HasPrefix(s, []byte("Exif\x00\x00")) {
		if d.exif == nil {
			d.exif = append(d.exif, s...)
		} else {
			d.exif = append(d.exif, s[6:]...)
		}
	} else if bytes.HasPrefix(s, []byte(xmpHeader)) {
		d.xmp = s[len(xmpHeader):]
	}
}

// readHeader reads up to the first scan.
func (d *decoder) readHeader() error {
	if len(d.data) < 2 || d.data[0] != 0xff || d.data[1] != soi {
		return errors.New("jpeg: no SOI marker at the beginning")
	}
	d.pos = 2
	for {
		m, err := d.marker()
		if err != nil {
			return err
		}
		switch {
		case m == tem || rst0 <= m && m <= rst7:
			continue
		case m == soi:
			return errors.New("jpeg: a second SOI marker")
		case m == eoi:
			return errors.New("jpeg: no picture before the EOI marker")
		case m == sos:
			if d.comps == nil {
				return errors.New("jpeg: SOS before SOF")
			}
			return nil
		}
		s, err := d.segment()
		if err != nil {
			return err
		}
		if sof0 <= m && m <= sof15 && m != dht && m != jpg && m != dac {
			if err := d.readSOF(m, s); err != nil {
				return err
			}
		} else if err := d.table(m, s); err != nil {
			return err
		}
	}
}

var processNames = [16]string{
	3: "lossless", 5: "hierarchical", 6: "hierarchical", 7: "hierarchical",
	9: "arithmetic-coded", 10: "arithmetic-coded", 11: "arithmetic-coded",
	13: "arithmetic-coded", 14: "arithmetic-coded", 15: "arithmetic-coded",
}

// readSOF reads the frame header (T.81, B.2.2).
func (d *decoder) readSOF(m uint8, s []byte) error {
	if m > sof2 {
		return fmt.Errorf("jpeg: %s pictures (SOF%d) are not supported; save it as baseline or progressive JPEG",
			processNames[m-sof0], m-sof0)
	}
	if d.comps != nil {
		return errors.New("jpeg: a second SOF marker")
	}
	if len(s) < 6 {
		return errTruncated
	}
	if s[0] != 8 {
		return fmt.Errorf("jpeg: %d bits a sample are not supported, only 8", s[0])
	}
	d.progressive = m == sof2
	d.height, d.width = int(s[1])<<8|int(s[2]), int(s[3])<<8|int(s[4])
	n := int(s[5])
	if err := (raster.Options{MaxPixels: d.opt.MaxPixels}).CheckSize("jpeg", d.width, d.height); err != nil {
		return err
	}
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("jpeg: %d components, want 1, 3 or 4", n)
	}
	if len(s) != 6+3*n {
		return fmt.Errorf("jpeg: SOF segment of %d bytes for %d components", len(s), n)
	}
	comps := make([]component, n)
	d.maxH, d.maxV = 1, 1
	for i := range comps {
		c := &comps[i]
		c.id, c.h, c.v, c.tq = s[6+3*i], int(s[7+3*i]>>4), int(s[7+3*i]&15), s[8+3*i]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return fmt.Errorf("jpeg: component %d has sampling factors %dx%d, want 1 to 4", i, c.h, c.v)
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
	}
	d.mcusWide = ceilDiv(d.width, 8*d.maxH)
	d.mcusHigh = ceilDiv(d.height, 8*d.maxV)
	blocks := 0
	for i := range comps {
		c := &comps[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return fmt.Errorf("jpeg: component %d has sampling factors %dx%d of %dx%d, which is no whole ratio", i, c.h, c.v, d.maxH, d.maxV)
		}
		c.width, c.height = ceilDiv(d.width*c.h, d.maxH), ceilDiv(d.height*c.v, d.maxV)
		c.blocksWide, c.blocksHigh = ceilDiv(d.width*c.h, 8*d.maxH), ceilDiv(d.height*c.v, 8*d.maxV)
		c.paddedWide, c.paddedHigh = d.mcusWide*c.h, d.mcusHigh*c.v
		c.stride = 8 * c.blocksWide
		blocks += c.blocksWide * c.blocksHigh
	}
	// A block takes at least one bit for its DC coefficient, and unless the
	// picture is progressive one more for the end of block. So a header cannot
	// claim more memory than a multiple of the file's size.
	bits := 2 * blocks
	if d.progressive {
		bits = blocks
	}
	if bits/8 > len(d.data)-d.pos {
		return errTruncated
	}
	d.comps, d.blocks = comps, blocks
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// readDQT reads quantization tables (T.81, B.2.4.1).
func (d *decoder) readDQT(s []byte) error {
	for len(s) > 0 {
		p, id := s[0]>>4, s[0]&15
		if id > 3 || p > 1 {
			return fmt.Errorf("jpeg: quantization table %d of precision %d", id, p)
		}
		s = s[1:]
		size := 64 << p
		if len(s) < size {
			return errors.New("jpeg: DQT segment is too short")
		}
		t := new([64]int16)
		for i := range 64 {
			if p == 0 {
				t[zigzag[i]] = int16(s[i])
			} else {
				t[zigzag[i]] = int16(uint16(s[2*i])<<8 | uint16(s[2*i+1]))
			}
		}
		d.quant[id] = t
		s = s[size:]
	}
	return nil
}

// readDHT reads Huffman tables (T.81, B.2.4.2).
func (d *decoder) readDHT(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return errors.New("jpeg: DHT segment is too short")
		}
		class, id := s[0]>>4, s[0]&15
		if class > 1 || id > 3 {
			return fmt.Errorf("jpeg: Huffman table %d of class %d", id, class)
		}
		var spec huffmanSpec
		n := 0
		for l := 1; l <= 16; l++ {
			spec.counts[l] = s[l]
			n += int(s[l])
		}
		if n > 256 || len(s) < 17+n {
			return errors.New("jpeg: DHT segment is too short")
		}
		spec.values = s[17 : 17+n]
		t, err := newHuffmanTable(&spec)
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		s = s[17+n:]
	}
	return nil
}
