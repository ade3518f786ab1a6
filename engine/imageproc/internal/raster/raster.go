// Package raster holds what the decoders of all picture formats share: the
// decoded picture, the check of its size, and the conversions to RGB.
package raster

import "fmt"

// An Image is a decoded picture as its file stores it, before any orientation
// is applied.
type Image struct {
	Width, Height int
	// Pix holds Height rows of Width pixels of 3 bytes: red, green, blue.
	Pix []byte
	// Exif and XMP hold the file's metadata, nil if it has none. Exif begins
	// with "Exif\x00\x00" or with a TIFF header.
	Exif, XMP []byte
	// Orientation is 1 to 8 if the format itself keeps it, else 0.
	Orientation int
}

// Options direct a decoder.
type Options struct {
	// MaxPixels refuses larger pictures; 0 means no limit.
	MaxPixels int
	// Workers is the number of goroutines that a decoder may use.
	Workers int
}

// CheckSize returns an error if a picture of this size is empty or has more
// pixels than allowed. The format's name begins the error.
func (o Options) CheckSize(format string, width, height int) error {
	if width <= 0 || height <= 0 {
		return fmt.Errorf("%s: size %dx%d", format, width, height)
	}
	if o.MaxPixels > 0 && int64(width) > int64(o.MaxPixels)/int64(height) {
		return fmt.Errorf("%s: size %dx%d (width x height) is more than the limit of %d pixels; shrink the picture or raise the limit",
			format, width, height, o.MaxPixels)
	}
	return nil
}

// Truncated returns the error for a file whose data ends before its picture is
// whole.
func Truncated(format string) error {
	return fmt.Errorf("%s: the picture's data ends early: the file is truncated; fetch or save it again", format)
}

// CheckEvidence returns an error if a large picture has more than ratio pixels
// for each unit of evidence, such as a byte of its data. Some formats can say
// "all the same color" for any size in a few bytes, so there is no strict
// bound; pictures of up to 16 million pixels pass anyway.
func CheckEvidence(format string, width, height int, evidence, ratio int64) error {
	pixels := int64(width) * int64(height)
	if pixels > 1<<24 && pixels/ratio > evidence {
		return fmt.Errorf("%s: size %dx%d (width x height) is more than the file's data can plausibly hold", format, width, height)
	}
	return nil
}

// New returns a black picture.
func New(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
}

// Compact drops all but the first three bytes of every pixel of size bytes, in
// place.
func Compact(pix []byte, size int) []byte {
	n := len(pix) / size
	for i := 1; i < n; i++ {
		d, s := pix[3*i:3*i+3:3*i+3], pix[size*i:size*i+3:size*i+3]
		d[0], d[1], d[2] = s[0], s[1], s[2]
	}
	return pix[: 3*n : 3*n]
}

// CompactHigh turns pixels of size bytes that begin with three big-endian
// 16-bit samples into pixels of the samples' high bytes, in place.
func CompactHigh(pix []byte, size int) []byte {
	n := len(pix) / size
	for i := range n {
		d, s := pix[3*i:3*i+3:3*i+3], pix[size*i:size*i+6:size*i+6]
		d[0], d[1], d[2] = s[0], s[2], s[4]
	}
	return pix[: 3*n : 3*n]
}

// CMYK converts pixels of four bytes, where 255 is full ink, to RGB, in place,
// by Pillow's formula: (255-K) times (255-C)/255, rounded.
func CMYK(pix []byte) []byte {
	n := len(pix) / 4
	for i := range n {
		s := pix[4*i : 4*i+4 : 4*i+4]
		c, m, y, light := uint32(s[0]), uint32(s[1]), uint32(s[2]), 255-uint32(s[3])
		d := pix[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = uint8(light-div255(c*light)), uint8(light-div255(m*light)), uint8(light-div255(y*light))
	}
	return pix[: 3*n : 3*n]
}

// div255 divides by 255 and rounds, for products of two bytes.
func div255(x uint32) uint32 {
	x += 128
	return (x>>8 + x) >> 8
}

// Unmultiply divides the colours of RGBA pixels of four bytes by their alpha.
func Unmultiply(pix []byte) {
	for i := 0; i+4 <= len(pix); i += 4 {
		p := pix[i : i+4 : i+4]
		switch a := uint32(p[3]); a {
		case 255:
		case 0:
			p[0], p[1], p[2] = 0, 0, 0
		default:
			for j := range 3 {
				p[j] = uint8(min(uint32(p[j])*255/a, 255))
			}
		}
	}
}
