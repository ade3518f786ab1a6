// Package gif decodes the first frame of GIF pictures to RGB, on the logical
// screen as Pillow shows it.
//
// It reads the blocks itself, because image/gif refuses files that Pillow
// shows, such as frames that reach past the screen. The codes are decoded by
// compress/lzw.
package gif

import (
	"bytes"
	"compress/lzw"
	"errors"
	"fmt"
	"io"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

var errTruncated = raster.Truncated("gif")

// frame is the first picture of a file.
type frame struct {
	screenWidth, screenHeight int
	x, y, width, height       int
	palette                   []byte // nil for none
	interlaced                bool
	// transparent is the color that shows the background, -1 if none does.
	transparent int
	codeSize    int
	blocks      blockReader
}

// Decode decodes the first frame.
func Decode(data []byte, opt raster.Options) (*raster.Image, error) {
	f, err := readFrame(data)
	if err != nil {
		return nil, err
	}
	// A frame that reaches past the screen enlarges it.
	w, h := max(f.screenWidth, f.x+f.width), max(f.screenHeight, f.y+f.height)
	if err := opt.CheckSize("gif", w, h); err != nil {
		return nil, err
	}
	index, err := f.indices()
	if err != nil {
		return nil, err
	}
	if err := raster.CheckEvidence("gif", w, h, int64(len(index)), 64); err != nil {
		return nil, err
	}
	colors := f.colors()
	img := raster.New(w, h)
	if f.x > 0 || f.y > 0 || f.width < w || f.height < h {
		// The rest shows the transparent color, else the first one.
		fill := colors[max(f.transparent, 0)]
		for i := 0; i < len(img.Pix); i += 3 {
			*(*[3]byte)(img.Pix[i:]) = fill
		}
	}
	for i := range f.height {
		src := index[i*f.width : (i+1)*f.width]
		dst := img.Pix[3*((f.y+f.row(i))*w+f.x):][:3*f.width]
		for x, c := range src {
			*(*[3]byte)(dst[3*x:]) = colors[c]
		}
	}
	return img, nil
}

// readFrame reads the blocks up to the data of the first picture.
func readFrame(b []byte) (*frame, error) {
	if len(b) < 13 {
		return nil, errTruncated
	}
	if s := string(b[:6]); s != "GIF87a" && s != "GIF89a" {
		return nil, errors.New("gif: no GIF signature")
	}
	f := &frame{transparent: -1, screenWidth: u16(b[6:]), screenHeight: u16(b[8:])}
	flags := b[10]
	b = b[13:]
	var global []byte
	if flags&0x80 != 0 {
		n := 3 << (flags&7 + 1)
		if len(b) < n {
			return nil, errTruncated
		}
		global, b = b[:n], b[n:]
	}
	for len(b) > 0 {
		switch b[0] {
		case ';':
			return nil, errors.New("gif: there is no picture in the file")
		case '!':
			if len(b) < 2 {
				return nil, errTruncated
			}
			label := b[1]
			r := blockReader{rest: b[2:]}
			if r.next(); label == 0xf9 && len(r.block) >= 4 && r.block[0]&1 != 0 {
				f.transparent = int(r.block[3])
			}
			for len(r.block) > 0 {
				r.next()
			}
			b = r.rest
		case ',':
			if len(b) < 10 {
				return nil, errTruncated
			}
			f.x, f.y, f.width, f.height = u16(b[1:]), u16(b[3:]), u16(b[5:]), u16(b[7:])
			flags := b[9]
			f.interlaced = flags&0x40 != 0
			f.palette = global
			b = b[10:]
			if flags&0x80 != 0 {
				n := 3 << (flags&7 + 1)
				if len(b) < n {
					return nil, errTruncated
				}
				// Pillow takes a palette of plain grays for none, and so falls
				// back to the global one.
				if !isGray(b[:n]) || global == nil {
					f.palette = b[:n]
				}
				b = b[n:]
			}
			if len(b) == 0 {
				return nil, errTruncated
			}
			f.codeSize = int(b[0])
			f.blocks = blockReader{rest: b[1:]}
			return f, nil
		default:
			b = b[1:]
		}
	}
	return nil, errTruncated
}

func u16(b []byte) int { return int(b[0]) | int(b[1])<<8 }

// colors returns the palette. Without one the colors are grays, and those past
// its end are black.
func (f *frame) colors() (c [256][3]byte) {
	if f.palette == nil || isGray(f.palette) {
		for i := range c {
			c[i] = [3]byte{byte(i), byte(i), byte(i)}
		}
		return c
	}
	for i := range len(f.palette) / 3 {
		c[i] = [3]byte(f.palette[3*i:])
	}
	return c
}

// isGray reports whether each color is the gray of its number, in which case
// the palette does not count.
func isGray(palette []byte) bool {
	for i, v := range palette {
		if int(v) != i/3 {
			return false
		}
	}
	return true
}

// indices decodes the frame's pixels, in the order of the file.
func (f *frame) indices() ([]byte, error) {
	if f.width == 0 || f.height == 0 {
		return nil, nil
	}
	if f.codeSize < 2 || f.codeSize > 8 {
		return nil, fmt.Errorf("gif: codes begin with %d bits, want 2 to 8", f.codeSize)
	}
	r := lzw.NewReader(&f.blocks, lzw.LSB, f.codeSize)
	defer r.Close()
	n := int64(f.width) * int64(f.height)
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, errTruncated
		}
		return nil, fmt.Errorf("gif: %w", err)
	}
	return b.Bytes(), nil
}

// row returns the row that the i-th one of the file is.
func (f *frame) row(i int) int {
	if !f.interlaced {
		return i
	}
	for _, p := range [4]struct{ first, step int }{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		n := (f.height - p.first + p.step - 1) / p.step
		if i < n {
			return p.first + i*p.step
		}
		i -= max(n, 0)
	}
	return f.height - 1
}

// blockReader reads a sequence of data sub-blocks, each of which begins with
// its length. An empty one or the end of the file ends it.
type blockReader struct {
	block, rest []byte
}

// next moves to the next block.
func (r *blockReader) next() {
	r.block = nil
	if len(r.rest) > 0 {
		n := min(int(r.rest[0]), len(r.rest)-1)
		r.block, r.rest = r.rest[1:n+1], r.rest[n+1:]
	}
}

func (r *blockReader) ReadByte() (byte, error) {
	if len(r.block) == 0 {
		if r.next(); len(r.block) == 0 {
			return 0, io.EOF
		}
	}
	c := r.block[0]
	r.block = r.block[1:]
	return c, nil
}

func (r *blockReader) Read(p []byte) (int, error) {
	if len(r.block) == 0 {
		if r.next(); len(r.block) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.block)
	r.block = r.block[n:]
	return n, nil
}
