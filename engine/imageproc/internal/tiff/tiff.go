// Package tiff decodes the first picture of TIFF and BigTIFF files to RGB.
//
// It reads what golang.org/x/image/tiff does not and Pillow does (CMYK, planes
// kept apart, several extra samples, JPEG), and checks every size against the
// file before it takes memory. The codecs are those of x/image (LZW, CCITT
// groups 3 and 4), the standard library (deflate) and this project (JPEG).
//
// Gray, palette, RGB and CMYK pictures of unsigned samples of 1, 2, 4, 8 or 16
// bits are read, in strips or tiles; of 16 bits the high byte counts. Not read
// are signed and floating point samples, CIE L*a*b*, YCbCr that is not JPEG,
// and the old JPEG compression 6.
package tiff

import (
	"fmt"
	"math/bits"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// Values of tagPhotometric.
const (
	whiteIsZero = 0
	blackIsZero = 1
	rgbColor    = 2
	paletted    = 3
	separated   = 5 // CMYK
	ycbcr       = 6
)

// layout is how the samples of a picture are kept.
type layout struct {
	width, height int
	bits          int
	samples       int // a pixel
	photometric   int
	compression   int
	predictor     bool
	reversed      bool // bits in bytes
	planar        bool
	premultiplied bool

	// channels is how many samples of a pixel make its color.
	channels int

	// The chunks are strips or tiles.
	tiled                 bool
	chunkWide, chunkHigh  int
	chunksWide, chunkRows int
	offsets, counts       []int
	jpegTables            []byte
	groupOptions          int
}

// Decode decodes the first picture.
func Decode(data []byte, opt raster.Options) (*raster.Image, error) {
	d, err := readDirectory(data)
	if err != nil {
		return nil, err
	}
	l, err := d.layout(opt)
	if err != nil {
		return nil, err
	}
	palette, err := d.palette(l)
	if err != nil {
		return nil, err
	}
	pix := make([]byte, l.width*l.height*l.channels)
	if err := d.readChunks(l, pix, opt); err != nil {
		return nil, err
	}
	img := &raster.Image{Width: l.width, Height: l.height, Pix: l.toRGB(pix, palette)}
	if img.Orientation, err = d.number(tagOrientation, 0, 1<<32); err != nil {
		return nil, err
	}
	if e, ok := d.tags[tagXMP]; ok {
		img.XMP = e.data
	}
	return img, nil
}

// layout reads and checks the tags that say how the picture is kept.
func (d *directory) layout(opt raster.Options) (*layout, error) {
	l := new(layout)
	var fill, planar, predictor int
	for _, f := range []struct {
		tag     uint16
		to      *int
		missing int
	}{
		{tagWidth, &l.width, 0},
		{tagHeight, &l.height, 0},
		{tagSamplesPerPixel, &l.samples, 1},
		{tagPhotometric, &l.photometric, whiteIsZero},
		{tagCompression, &l.compression, 1},
		{tagFillOrder, &fill, 1},
		{tagPlanarConfig, &planar, 1},
		{tagPredictor, &predictor, 1},
		{tagT4Options, &l.groupOptions, 0},
	} {
		var err error
		if *f.to, err = d.number(f.tag, f.missing, 1<<31-1); err != nil {
			return nil, err
		}
	}
	if err := opt.CheckSize("tiff", l.width, l.height); err != nil {
		return nil, err
	}
	if l.samples < 1 || l.samples > 64 {
		return nil, fmt.Errorf("tiff: %d samples a pixel, want 1 to 64", l.samples)
	}
	sizes, err := d.numbers(tagBitsPerSample, 64)
	if err != nil {
		return nil, err
	}
	l.bits = 1
	for i, b := range sizes {
		if i > 0 && i < l.samples && b != sizes[0] {
			return nil, fmt.Errorf("tiff: samples of %d bits are not supported", sizes)
		}
		l.bits = sizes[0]
	}
	switch l.bits {
	case 1, 2, 4, 8, 16:
	default:
		return nil, fmt.Errorf("tiff: samples of %d bits are not supported", l.bits)
	}
	if formats, err := d.numbers(tagSampleFormat, 64); err != nil {
		return nil, err
	} else {
		for _, f := range formats {
			if f != 1 && f != 4 {
				return nil, fmt.Errorf("tiff: samples of format %d are not supported, only unsigned integers", f)
			}
		}
	}
	extra, err := d.numbers(tagExtraSamples, 64)
	if err != nil {
		return nil, err
	}
	l.reversed, l.planar = fill == 2, planar == 2 && l.samples > 1
	switch l.compression {
	case compressionLZW, compressionDeflate, compressionDeflate2:
	default:
		predictor = 1 // the others have none, whatever the tag says
	}
	switch predictor {
	case 1:
	case 2:
		if l.bits < 8 {
			return nil, fmt.Errorf("tiff: predictor of %d bits", l.bits)
		}
		l.predictor = true
	default:
		return nil, fmt.Errorf("tiff: predictor %d is not supported", predictor)
	}
	switch l.photometric {
	case whiteIsZero, blackIsZero, paletted:
		l.channels = 1
	case rgbColor:
		l.channels = 3
		if l.samples > 3 && len(extra) > 0 && extra[0] == 1 {
			l.channels, l.premultiplied = 4, true
		}
	case separated:
		l.channels = 4
	case ycbcr:
		l.channels = 3
		if l.compression != compressionJPEG || l.planar {
			return nil, fmt.Errorf("tiff: YCbCr pictures are supported only with JPEG compression, this has %d", l.compression)
		}
	default:
		return nil, fmt.Errorf("tiff: photometric interpretation %d is not supported", l.photometric)
	}
	if l.samples < l.channels {
		return nil, fmt.Errorf("tiff: %d samples a pixel, want %d", l.samples, l.channels)
	}
	if l.bits < 8 && (l.samples > 1 || l.channels > 1) || l.bits == 16 && l.photometric == paletted {
		return nil, fmt.Errorf("tiff: %d samples of %d bits with photometric interpretation %d are not supported", l.samples, l.bits, l.photometric)
	}
	return l, d.chunks(l)
}

// chunks reads where the strips or tiles are.
func (d *directory) chunks(l *layout) error {
	var err error
	offsets, counts := uint16(tagStripOffsets), uint16(tagStripByteCounts)
	if _, l.tiled = d.tags[tagTileOffsets]; l.tiled {
		offsets, counts = tagTileOffsets, tagTileByteCounts
		if l.chunkWide, err = d.number(tagTileWidth, 0, 1<<31-1); err != nil {
			return err
		}
		if l.chunkHigh, err = d.number(tagTileHeight, 0, 1<<31-1); err != nil {
			return err
		}
		if l.chunkWide == 0 || l.chunkHigh == 0 {
			return fmt.Errorf("tiff: tiles of %dx%d", l.chunkWide, l.chunkHigh)
		}
	} else {
		l.chunkWide = l.width
		if l.chunkHigh, err = d.number(tagRowsPerStrip, l.height, 1<<32); err != nil {
			return err
		}
		if l.chunkHigh == 0 || l.chunkHigh > l.height {
			l.chunkHigh = l.height
		}
	}
	l.chunksWide = (l.width-1)/l.chunkWide + 1
	l.chunkRows = (l.height-1)/l.chunkHigh + 1
	planes := 1
	if l.planar {
		planes = l.samples
	}
	need := l.chunksWide * l.chunkRows * planes
	e, ok := d.tags[offsets]
	if !ok || e.count < uint64(need) {
		return fmt.Errorf("tiff: %d strips or tiles, want %d", e.count, need)
	}
	if l.offsets, err = d.numbers(offsets, len(d.file)); err != nil {
		return err
	}
	if l.counts, err = d.numbers(counts, len(d.file)); err != nil {
		return err
	}
	l.offsets = l.offsets[:need]
	for len(l.counts) < need {
		l.counts = append(l.counts, len(d.file))
	}
	total := 0
	for i, p := range l.offsets {
		if p > len(d.file) {
			return errTruncated
		}
		if l.counts[i] > len(d.file)-p {
			l.counts[i] = len(d.file) - p
			if l.compression == compressionNone {
				continue
			}
		}
		total += l.counts[i]
	}
	// Chunks may share their data or be much larger than the picture, which
	// makes work out of nothing.
	work := float64(l.chunkWide) * float64(min(l.chunkHigh, l.height)) * float64(need) * float64(l.samples*l.bits) / 8
	size := float64(l.width) * float64(l.height) * float64(l.samples*l.bits) / 8
	if work > 64*size+1<<28 {
		return fmt.Errorf("tiff: %d tiles of %dx%d for a picture of %dx%d", need, l.chunkWide, l.chunkHigh, l.width, l.height)
	}
	if r := maxRatios[l.compression]; r > 0 && float64(total)*r < size {
		return errTruncated
	}
	if l.compression == compressionGroup3 || l.compression == compressionGroup4 {
		// A row takes at least one bit.
		if total < l.height/8 {
			return errTruncated
		}
		if err := raster.CheckEvidence("tiff", l.width, l.height, int64(total), 1<<17); err != nil {
			return err
		}
	}
	if e, ok := d.tags[tagJPEGTables]; ok {
		l.jpegTables = e.data
	}
	return nil
}

// palette returns the colors of a palette picture. Of their 16 bits the high
// byte counts.
func (d *directory) palette(l *layout) (*[256][3]byte, error) {
	if l.photometric != paletted {
		return nil, nil
	}
	m, err := d.numbers(tagColorMap, 3*1<<16)
	if err != nil {
		return nil, err
	}
	n := len(m) / 3
	if n == 0 {
		return nil, fmt.Errorf("tiff: palette of %d values", len(m))
	}
	p := new([256][3]byte)
	for i := range min(n, len(p)) {
		p[i] = [3]byte{byte(m[i] >> 8), byte(m[n+i] >> 8), byte(m[2*n+i] >> 8)}
	}
	return p, nil
}

// readChunks decodes all strips or tiles into the channels of pix.
func (d *directory) readChunks(l *layout, pix []byte, opt raster.Options) error {
	i := 0
	planes := 1
	if l.planar {
		planes = l.samples
	}
	for plane := range planes {
		for cy := range l.chunkRows {
			for cx := range l.chunksWide {
				x, y := cx*l.chunkWide, cy*l.chunkHigh
				w, h := min(l.chunkWide, l.width-x), min(l.chunkHigh, l.height-y)
				data := d.file[l.offsets[i]:]
				if l.compression != compressionNone {
					data = data[:l.counts[i]]
				}
				i++
				if plane >= l.channels {
					continue
				}
				if err := d.readChunk(l, data, pix, plane, x, y, w, h, opt); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readChunk decodes one strip or tile. Its part in the picture is w by h
// pixels at x, y.
func (d *directory) readChunk(l *layout, data, pix []byte, plane, x, y, w, h int, opt raster.Options) error {
	if l.compression == compressionJPEG {
		return l.readJPEG(data, pix, plane, x, y, w, h, opt)
	}
	samples := l.samples
	if l.planar {
		samples = 1
	}
	stride := (l.chunkWide*samples*l.bits + 7) / 8
	if l.reversed && l.compression != compressionGroup3 && l.compression != compressionGroup4 {
		data = data[:min(len(data), l.reversible(stride, h))]
		r := make([]byte, len(data))
		for i, b := range data {
			r[i] = bits.Reverse8(b)
		}
		data = r
	}
	raw, err := l.decompress(data, stride, h)
	if err != nil {
		return err
	}
	if len(raw) < stride*(h-1)+(w*samples*l.bits+7)/8 {
		return errTruncated
	}
	for r := range h {
		row := raw[r*stride:]
		row = row[:min(stride, len(row))]
		if l.predictor {
			d.undoPredictor(row, samples, l.bits)
		}
		dst := pix[((y+r)*l.width+x)*l.channels:][:w*l.channels]
		if l.planar {
			d.unpack(dst[plane:], row, w, 1, 1, l.channels, l)
		} else {
			d.unpack(dst, row, w, samples, l.channels, l.channels, l)
		}
	}
	return nil
}

// reversible is how much of a chunk's data can matter.
func (l *layout) reversible(stride, rows int) int {
	if l.compression == compressionNone {
		return stride * rows
	}
	return 1<<63 - 1
}

// unpack writes the first n samples of each pixel of a row as bytes. In dst the
// pixels are step bytes apart.
func (d *directory) unpack(dst, row []byte, w, samples, n, step int, l *layout) {
	switch l.bits {
	case 8:
		for i := range w {
			copy(dst[i*step:][:n], row[i*samples:][:n])
		}
	case 16:
		high := 0
		if d.order.Uint16([]byte{1, 0}) == 1 {
			high = 1
		}
		for i := range w {
			for j := range n {
				dst[i*step+j] = row[2*(i*samples+j)+high]
			}
		}
	default:
		scale := uint8(1)
		if l.photometric != paletted {
			scale = 255 / (1<<l.bits - 1)
		}
		for i := range w {
			at := i * l.bits
			dst[i*step] = row[at/8] << (at % 8) >> (8 - l.bits) * scale
		}
	}
}

// undoPredictor adds to each sample the one of the pixel before.
func (d *directory) undoPredictor(row []byte, samples, bits int) {
	if bits == 8 {
		for i := samples; i < len(row); i++ {
			row[i] += row[i-samples]
		}
		return
	}
	for i := 2 * samples; i+2 <= len(row); i += 2 {
		d.order.PutUint16(row[i:], d.order.Uint16(row[i:])+d.order.Uint16(row[i-2*samples:]))
	}
}

// toRGB turns the channels into RGB.
func (l *layout) toRGB(pix []byte, palette *[256][3]byte) []byte {
	switch {
	case l.photometric == separated:
		return raster.CMYK(pix)
	case l.premultiplied:
		raster.Unmultiply(pix)
		return raster.Compact(pix, 4)
	case l.channels == 3:
		return pix
	}
	out := make([]byte, 3*len(pix))
	var colors [256][3]byte
	for i := range colors {
		v := byte(i)
		// Pillow does not invert 16 bits.
		if l.photometric == whiteIsZero && l.bits <= 8 {
			v = ^v
		}
		colors[i] = [3]byte{v, v, v}
	}
	if palette != nil {
		colors = *palette
	}
	for i, v := range pix {
		*(*[3]byte)(out[3*i:]) = colors[v]
	}
	return out
}
