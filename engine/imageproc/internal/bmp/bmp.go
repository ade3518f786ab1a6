// Package bmp decodes Windows and OS/2 bitmaps to RGB.
//
// It reads what Pillow reads and x/image/bmp does not: 16 bits a pixel, color
// masks, run-length encoding and the OS/2 headers.
package bmp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

var errTruncated = raster.Truncated("bmp")

// The values of the compression field.
const (
	rgb       = 0
	rle8      = 1
	rle4      = 2
	bitFields = 3
)

type header struct {
	width, height int
	topDown       bool
	bits          int
	compression   uint32
	masks         [4]uint32 // red, green, blue, alpha
	palette       [256][3]byte
	offset        int // of the pixels
}

// Decode decodes a picture.
func Decode(data []byte, opt raster.Options) (*raster.Image, error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	if err := opt.CheckSize("bmp", h.width, h.height); err != nil {
		return nil, err
	}
	if h.offset > len(data) {
		return nil, errTruncated
	}
	body := data[h.offset:]
	if h.compression == rle8 || h.compression == rle4 {
		if err := raster.CheckEvidence("bmp", h.width, h.height, int64(len(body)), 4096); err != nil {
			return nil, err
		}
		if body, err = h.expand(body); err != nil {
			return nil, err
		}
		h.bits = 8
	}
	stride := (h.width*h.bits + 31) / 32 * 4
	if h.compression == rle8 || h.compression == rle4 {
		stride = h.width
	}
	// The last row may lack its padding.
	if int64(stride)*int64(h.height-1)+int64(h.width*h.bits+7)/8 > int64(len(body)) {
		return nil, errTruncated
	}
	unpack, err := h.unpacker()
	if err != nil {
		return nil, err
	}
	img := raster.New(h.width, h.height)
	for y := range h.height {
		to := y
		if !h.topDown {
			to = h.height - 1 - y
		}
		unpack(img.Pix[3*to*h.width:][:3*h.width], body[y*stride:])
	}
	return img, nil
}

func readHeader(b []byte) (*header, error) {
	if len(b) < 18 {
		return nil, errTruncated
	}
	if string(b[:2]) != "BM" {
		return nil, errors.New("bmp: no BM signature")
	}
	u16 := binary.LittleEndian.Uint16
	u32 := binary.LittleEndian.Uint32
	h := &header{offset: int(u32(b[10:]))}
	size := int(u32(b[14:]))
	switch size {
	case 12, 40, 52, 56, 64, 108, 124:
	default:
		return nil, fmt.Errorf("bmp: header of %d bytes, want 12, 40, 52, 56, 64, 108 or 124", size)
	}
	if len(b) < 14+size {
		return nil, errTruncated
	}
	i := b[14 : 14+size]
	rest := b[14+size:] // masks, palette
	entry, colors := 4, 0
	if size == 12 {
		entry = 3
		h.width, h.height, h.bits = int(u16(i[4:])), int(u16(i[6:])), int(u16(i[10:]))
	} else {
		h.width, h.height = int(int32(u32(i[4:]))), int(int32(u32(i[8:])))
		if h.height < 0 {
			h.height, h.topDown = -h.height, true
		}
		h.bits, h.compression = int(u16(i[14:])), u32(i[16:])
		colors = int(u32(i[32:]))
		if h.compression == bitFields {
			masks := rest
			if size >= 52 {
				masks = i[40:]
			} else if len(rest) < 12 {
				return nil, errTruncated
			} else {
				rest = rest[12:]
			}
			for j := range 3 {
				h.masks[j] = u32(masks[4*j:])
			}
			if size >= 56 {
				h.masks[3] = u32(masks[12:])
			}
		}
	}
	switch h.bits {
	case 1, 2, 4, 8:
		if colors == 0 {
			colors = 1 << h.bits
		}
		if colors > 65536 {
			return nil, fmt.Errorf("bmp: palette of %d colors", colors)
		}
		for j := range min(colors, len(h.palette)) {
			if len(rest) < entry*(j+1) {
				return nil, errTruncated
			}
			e := rest[entry*j:]
			h.palette[j] = [3]byte{e[2], e[1], e[0]}
		}
		if h.offset == 0 {
			h.offset = len(b) - len(rest) + entry*colors
		}
		if h.offset == 14+size {
			// Some files forget the palette here.
			h.offset += entry * colors
		}
	case 16, 24, 32:
		if h.offset == 0 {
			h.offset = len(b) - len(rest)
		}
	default:
		return nil, fmt.Errorf("bmp: %d bits a pixel are not supported", h.bits)
	}
	switch h.compression {
	case rgb, bitFields:
	case rle8, rle4:
		if h.bits > 8 {
			return nil, fmt.Errorf("bmp: run-length encoding of %d bits a pixel", h.bits)
		}
	default:
		return nil, fmt.Errorf("bmp: compression %d is not supported", h.compression)
	}
	return h, nil
}

// unpacker returns the function that turns a row of the file into RGB.
func (h *header) unpacker() (func(dst, src []byte), error) {
	type masks = [4]uint32
	switch h.bits {
	case 1, 2, 4, 8:
		if h.compression == bitFields {
			break
		}
		bits := h.bits
		return func(dst, src []byte) {
			for x := range len(dst) / 3 {
				at := x * bits
				v := src[at/8] << (at % 8) >> (8 - bits)
				*(*[3]byte)(dst[3*x:]) = h.palette[v]
			}
		}, nil
	case 16:
		green := 5
		if h.compression == bitFields {
			switch ([3]uint32)(h.masks[:3]) {
			case [3]uint32{0xf800, 0x7e0, 0x1f}:
				green = 6
			case [3]uint32{0x7c00, 0x3e0, 0x1f}:
			default:
				return nil, h.badMasks()
			}
		}
		return func(dst, src []byte) {
			for x := range len(dst) / 3 {
				v := int(src[2*x]) | int(src[2*x+1])<<8
				g := 1<<green - 1
				dst[3*x+2] = uint8(v & 31 * 255 / 31)
				dst[3*x+1] = uint8(v >> 5 & g * 255 / g)
				dst[3*x] = uint8(v >> (5 + green) & 31 * 255 / 31)
			}
		}, nil
	case 24:
		if h.compression == bitFields && ([3]uint32)(h.masks[:3]) != [3]uint32{0xff0000, 0xff00, 0xff} {
			break
		}
		return func(dst, src []byte) {
			for i := 0; i < len(dst); i += 3 {
				dst[i], dst[i+1], dst[i+2] = src[i+2], src[i+1], src[i]
			}
		}, nil
	case 32:
		r, g, b := 2, 1, 0
		if h.compression == bitFields {
			switch h.masks {
			case masks{0xff0000, 0xff00, 0xff, 0}, masks{0xff0000, 0xff00, 0xff, 0xff000000}, masks{}:
			case masks{0xff000000, 0xff0000, 0xff00, 0}, masks{0xff000000, 0xff0000, 0xff00, 0xff}:
				r, g, b = 3, 2, 1
			case masks{0xff000000, 0xff00, 0xff, 0}, masks{0xff000000, 0xff00, 0xff, 0xff0000}:
				r, g, b = 3, 1, 0
			case masks{0xff, 0xff00, 0xff0000, 0xff000000}, masks{0xff, 0xff00, 0xff0000, 0}:
				r, g, b = 0, 1, 2
			default:
				return nil, h.badMasks()
			}
		}
		return func(dst, src []byte) {
			for x := range len(dst) / 3 {
				s := src[4*x : 4*x+4 : 4*x+4]
				dst[3*x], dst[3*x+1], dst[3*x+2] = s[r], s[g], s[b]
			}
		}, nil
	}
	return nil, h.badMasks()
}

func (h *header) badMasks() error {
	return fmt.Errorf("bmp: color masks %#x of %d bits a pixel are not supported", h.masks, h.bits)
}

// expand undoes the run-length encoding. It returns a byte a pixel.
func (h *header) expand(b []byte) ([]byte, error) {
	w, n := h.width, h.width*h.height
	var out []byte
	x := 0
	nibbles := h.compression == rle4
	for len(out) < n && len(b) >= 2 {
		count, value := int(b[0]), b[1]
		b = b[2:]
		if count > 0 {
			count = min(count, max(w-x, 0))
			for i := range count {
				v := value
				if nibbles {
					if i&1 == 0 {
						v >>= 4
					} else {
						v &= 15
					}
				}
				out = append(out, v)
			}
			x += count
			continue
		}
		switch value {
		case 0: // end of row
			out = append(out, make([]byte, (w-len(out)%w)%w)...)
			x = 0
		case 1: // end of bitmap
			b = nil
		case 2: // skip
			if len(b) < 2 {
				b = nil
				break
			}
			skip := min(n-len(out), int(b[0])+int(b[1])*w)
			out = append(out, make([]byte, skip)...)
			b = b[2:]
			x = len(out) % w
		default: // as many pixels as they are
			pixels := min(n-len(out), int(value))
			size := pixels
			if nibbles {
				size = (pixels + 1) / 2
			}
			if len(b) < size {
				return nil, errTruncated
			}
			for i := range pixels {
				switch {
				case !nibbles:
					out = append(out, b[i])
				case i&1 == 0:
					out = append(out, b[i/2]>>4)
				default:
					out = append(out, b[i/2]&15)
				}
			}
			x += int(value)
			b = b[min((size+1)&^1, len(b)):]
		}
	}
	if len(out) < n {
		return nil, errTruncated
	}
	return out[:n], nil
}
