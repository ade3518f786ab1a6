package tiff

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/jpeg"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// Values of tagCompression.
const (
	compressionNone     = 1
	compressionGroup3   = 3
	compressionGroup4   = 4
	compressionLZW      = 5
	compressionJPEG     = 7
	compressionDeflate  = 8
	compressionPackBits = 32773
	compressionDeflate2 = 32946
)

// maxRatios bounds how much a codec can expand its input: 128 bytes from two,
// a string of at most 4096 bytes from twelve bits, 258 bytes from two bits, and
// a block of 64 pixels of three samples from one bit.
var maxRatios = map[int]float64{
	compressionNone:     1,
	compressionPackBits: 64,
	compressionLZW:      4096 * 8 / 12,
	compressionJPEG:     3 * 64 * 8,
	compressionDeflate:  1032,
	compressionDeflate2: 1032,
}

// decompress returns the rows of a strip or tile, at most as many as are asked
// for. The result may be written to.
func (l *layout) decompress(data []byte, stride, rows int) ([]byte, error) {
	size := stride * rows
	var r io.Reader
	switch l.compression {
	case compressionNone:
		return data[:min(size, len(data))], nil
	case compressionPackBits:
		return unpackBits(data, size), nil
	case compressionLZW:
		z := lzw.NewReader(bytes.NewReader(data), lzw.MSB, 8)
		defer z.Close()
		r = z
	case compressionDeflate, compressionDeflate2:
		z, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("tiff: %w", err)
		}
		defer z.Close()
		r = z
	case compressionGroup3, compressionGroup4:
		order := ccitt.MSB
		if l.reversed {
			order = ccitt.LSB
		}
		format := ccitt.Group4
		if l.compression == compressionGroup3 {
			format = ccitt.Group3
			if l.groupOptions&1 != 0 {
				return nil, errors.New("tiff: two-dimensional CCITT group 3 coding is not supported")
			}
			if l.groupOptions&4 != 0 {
				return nil, errors.New("tiff: CCITT group 3 coding with lines that end on bytes is not supported")
			}
		}
		// A black run is of ones, whatever the photometric interpretation.
		r = ccitt.NewReader(bytes.NewReader(data), order, format, l.chunkWide, rows, &ccitt.Options{Invert: true})
	default:
		return nil, fmt.Errorf("tiff: compression %d is not supported", l.compression)
	}
	// The buffer grows with what the data yields, not with what is claimed.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(size)); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return b.Bytes(), nil
		}
		return nil, fmt.Errorf("tiff: %w", err)
	}
	return b.Bytes(), nil
}

// unpackBits undoes the run-length encoding of TIFF 6.0, section 9.
func unpackBits(b []byte, size int) []byte {
	var out []byte
	for len(out) < size && len(b) > 1 {
		n := int(int8(b[0]))
		b = b[1:]
		switch {
		case n >= 0:
			n = min(n+1, len(b))
			out = append(out, b[:n]...)
			b = b[n:]
		case n > -128:
			out = append(out, bytes.Repeat(b[:1], 1-n)...)
			b = b[1:]
		}
	}
	return out[:min(size, len(out))]
}

// readJPEG decodes a strip or tile that is a JPEG stream without its tables.
func (l *layout) readJPEG(data, pix []byte, plane, x, y, w, h int, opt raster.Options) error {
	if l.bits != 8 {
		return fmt.Errorf("tiff: JPEG of %d bits a sample is not supported", l.bits)
	}
	o := jpeg.Options{MaxPixels: opt.MaxPixels, Workers: opt.Workers, Tables: l.jpegTables}
	switch {
	case l.planar || l.channels == 1:
		o.Space = jpeg.Gray
	case l.photometric == ycbcr:
		o.Space = jpeg.YCbCr
	case l.photometric == rgbColor:
		o.Space = jpeg.RGB
	case l.photometric == separated:
		o.Space = jpeg.CMYK
	}
	img, err := jpeg.Decode(data, o)
	if err != nil {
		return fmt.Errorf("tiff: %w", err)
	}
	if img.Width < w || img.Height < h {
		return fmt.Errorf("tiff: JPEG of %dx%d in a strip or tile of %dx%d", img.Width, img.Height, w, h)
	}
	n := min(img.Channels, l.channels)
	if o.Space == jpeg.Gray {
		n = 1
	}
	for r := range h {
		dst := pix[((y+r)*l.width+x)*l.channels:][:w*l.channels]
		if l.planar {
			dst = dst[plane:]
		}
		src := img.Pix[r*img.Width*img.Channels:]
		for i := range w {
			copy(dst[i*l.channels:][:n], src[i*img.Channels:][:n])
		}
	}
	return nil
}
