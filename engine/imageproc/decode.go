package imageproc

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"strings"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/bmp"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/exif"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/gif"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/jpeg"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/png"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/tiff"
	"github.com/thinker-vl/thinker/engine/imageproc/internal/webp"
)

// RGB is a picture of 8-bit samples.
type RGB struct {
	H, W int
	// Pix holds H rows of W pixels of 3 bytes: red, green, blue.
	Pix []byte
}

// Limits bound what a picture file may ask for. The zero value stands for the
// defaults.
type Limits struct {
	// MaxPixels is the largest number of pixels of a picture, before and after
	// resizing; 0 means DefaultMaxPixels.
	MaxPixels int
	// MaxBytes is the largest size of a file; 0 means DefaultMaxBytes.
	MaxBytes int64
}

const (
	// DefaultMaxPixels is where Pillow refuses a picture as a decompression
	// bomb: twice its MAX_IMAGE_PIXELS.
	DefaultMaxPixels = 178_956_970
	// DefaultMaxBytes is 256 MiB.
	DefaultMaxBytes = 256 << 20
)

func (l Limits) maxPixels() int {
	if l.MaxPixels > 0 {
		return l.MaxPixels
	}
	return DefaultMaxPixels
}

func (l Limits) maxBytes() int64 {
	if l.MaxBytes > 0 {
		return l.MaxBytes
	}
	return DefaultMaxBytes
}

// Decode reads a picture from r, which is read to its end.
func Decode(r io.Reader, limits Limits) (*RGB, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, limits.maxBytes()+1))
	if err != nil {
		return nil, fmt.Errorf("imageproc: %w", err)
	}
	if n > limits.maxBytes() {
		return nil, fmt.Errorf("imageproc: more than %d bytes of picture data", limits.maxBytes())
	}
	return DecodeBytes(b.Bytes(), limits)
}

// DecodeBytes decodes the picture that data holds.
func DecodeBytes(data []byte, limits Limits) (*RGB, error) {
	p, err := decode(data, limits, 1)
	if err != nil {
		return nil, fmt.Errorf("imageproc: %w", err)
	}
	return p, nil
}

// DecodeFile decodes a picture file. Only regular files are read. Errors name
// the path.
func DecodeFile(path string, limits Limits) (*RGB, error) {
	return decodeFile(path, limits, 1)
}

func decodeFile(path string, limits Limits, workers int) (*RGB, error) {
	data, err := readPictureFile(path, limits.maxBytes())
	if err != nil {
		return nil, fmt.Errorf("imageproc: %w", err)
	}
	p, err := decode(data, limits, workers)
	if err != nil {
		return nil, fmt.Errorf("imageproc: %s: %w", path, err)
	}
	return p, nil
}

// decode decodes a picture and turns it upright.
func decode(data []byte, limits Limits, workers int) (*RGB, error) {
	f := formatOf(data)
	if f == nil {
		return nil, unknownFormat(data)
	}
	img, err := f.safely(data, raster.Options{MaxPixels: limits.maxPixels(), Workers: workers})
	if err != nil {
		return nil, err
	}
	return upright(img), nil
}

// upright applies the orientation that a picture's metadata asks for.
func upright(img *raster.Image) *RGB {
	o, ok := img.Orientation, img.Orientation != 0
	if !ok {
		o, ok = exif.Orientation(img.Exif)
	}
	if !ok {
		o, _ = exif.XMPOrientation(img.XMP)
	}
	return orient(&RGB{H: img.Height, W: img.Width, Pix: img.Pix}, o)
}

// A format is a kind of picture file.
type format struct {
	name   string
	magics []string // prefixes; "?" stands for any byte
	decode func([]byte, raster.Options) (*raster.Image, error)
}

// safely decodes a picture. A panic becomes an error.
func (f *format) safely(data []byte, opt raster.Options) (img *raster.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, fmt.Errorf("%s: the decoder failed: %v", strings.ToLower(f.name), r)
		}
	}()
	return f.decode(data, opt)
}

func (f *format) match(data []byte) bool {
	for _, m := range f.magics {
		if matchMagic(data, m) {
			return true
		}
	}
	return false
}

func matchMagic(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

var formats = []format{
	{"PNG", []string{png.Signature}, png.Decode},
	{"JPEG", []string{"\xff\xd8\xff"}, decodeJPEG},
	{"WebP", []string{"RIFF????WEBP"}, webp.Decode},
	{"GIF", []string{"GIF87a", "GIF89a"}, gif.Decode},
	{"TIFF", []string{"II*\x00", "MM\x00*", "II\x00*", "MM*\x00", "II+\x00", "MM\x00+"}, tiff.Decode},
	{"BMP", []string{"BM"}, bmp.Decode},
}

func formatOf(data []byte) *format {
	for i := range formats {
		if formats[i].match(data) {
			return &formats[i]
		}
	}
	return nil
}

// others names what a file may be that is not read.
var others = []struct{ magic, name string }{
	{"????ftypavi", "an AVIF picture"},
	{"????ftyphei", "an HEIF picture"},
	{"????ftypmif1", "an HEIF picture"},
	{"????ftyp", "an MP4 or QuickTime file"},
	{"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"},
	{"\xff\x4f\xff\x51", "a JPEG 2000 picture"},
	{"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"},
	{"\xff\x0a", "a JPEG XL picture"},
	{"\x00\x00\x01\x00", "a Windows icon"},
	{"8BPS", "a Photoshop file"},
	{"%PDF", "a PDF document"},
	{"%!PS", "a PostScript file"},
	{"PK\x03\x04", "a ZIP archive"},
	{"\x1f\x8b", "a gzip file"},
	{"qoif", "a QOI picture"},
	{"P1", "a PNM picture"},
	{"P2", "a PNM picture"},
	{"P3", "a PNM picture"},
	{"P4", "a PNM picture"},
	{"P5", "a PNM picture"},
	{"P6", "a PNM picture"},
	{"version https://git-lfs", "a pointer to a file in Git LFS that has not been fetched"},
	{"<svg", "an SVG picture"},
	{"<?xml", "an XML file"},
	{"<!DOCTYPE", "an HTML page"},
	{"<html", "an HTML page"},
}

func unknownFormat(data []byte) error {
	const reads = "PNG, JPEG, WebP, GIF, BMP and TIFF pictures are read"
	if len(data) == 0 {
		return fmt.Errorf("the file is empty; %s", reads)
	}
	for _, o := range others {
		if matchMagic(data, o.magic) {
			return fmt.Errorf("this is %s (it begins with %q); %s; convert it first", o.name, data[:min(16, len(data))], reads)
		}
	}
	return fmt.Errorf("not a picture of a known format (it begins with %q); %s", data[:min(16, len(data))], reads)
}

// decodeJPEG decodes a JPEG file. CMYK is taken to be inverted, as Adobe
// writes it.
func decodeJPEG(data []byte, opt raster.Options) (*raster.Image, error) {
	m, err := jpeg.Decode(data, jpeg.Options{MaxPixels: opt.MaxPixels, Workers: opt.Workers})
	if err != nil {
		return nil, err
	}
	if m.Channels == 4 {
		for i := range m.Pix {
			m.Pix[i] = ^m.Pix[i]
		}
		m.Pix = raster.CMYK(m.Pix)
	}
	return &raster.Image{Width: m.Width, Height: m.Height, Pix: m.Pix, Exif: m.Exif, XMP: m.XMP}, nil
}

// FromImage converts a picture that a Go program has decoded. Alpha is dropped
// from the straight colors, and of 16 bits the high byte is kept. Chroma is not
// interpolated: a JPEG file should rather be given to Decode.
func FromImage(m image.Image) (*RGB, error) {
	b := m.Bounds()
	if b.Dx() <= 0 || b.Dy() <= 0 {
		return nil, fmt.Errorf("imageproc: size %dx%d", b.Dx(), b.Dy())
	}
	p := &RGB{H: b.Dy(), W: b.Dx(), Pix: make([]byte, 3*b.Dx()*b.Dy())}
	rgbFromImage(p.Pix, m)
	return p, nil
}
