// Package webp decodes WebP pictures, of animations the first frame, to the
// RGB that libwebp gives.
//
// The bit streams are decoded by golang.org/x/image/vp8 and vp8l. This package
// reads the container, which x/image/webp does not do for animations, and
// turns the planes of lossy pictures into RGB with libwebp's interpolation of
// chroma and its fixed-point conversion. Alpha is not looked at.
package webp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

var errTruncated = raster.Truncated("webp")

// container is what the RIFF chunks say.
type container struct {
	// Canvas and frame, in pixels. Without VP8X they are not known yet.
	extended                   bool
	width, height              int
	x, y, frameWide, frameHigh int

	lossy, lossless []byte // the frame's bit stream, one of them
	exif, xmp       []byte
}

// Decode decodes a picture.
func Decode(data []byte, opt raster.Options) (*raster.Image, error) {
	c, err := readContainer(data)
	if err != nil {
		return nil, err
	}
	if c.extended {
		if err := opt.CheckSize("webp", c.width, c.height); err != nil {
			return nil, err
		}
	}
	var frame *raster.Image
	switch {
	case c.lossy != nil:
		frame, err = decodeLossy(c, opt)
	case c.lossless != nil:
		frame, err = decodeLossless(c, opt)
	default:
		return nil, errors.New("webp: there is no picture in the file")
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errTruncated
		}
		if !strings.HasPrefix(err.Error(), "webp: ") {
			err = fmt.Errorf("webp: %w", err)
		}
		return nil, err
	}
	img := frame
	if c.extended && (frame.Width != c.width || frame.Height != c.height) {
		// The rest of the canvas is transparent black.
		if err := raster.CheckEvidence("webp", c.width, c.height, int64(frame.Width*frame.Height), 64); err != nil {
			return nil, err
		}
		img = raster.New(c.width, c.height)
		for y := range frame.Height {
			copy(img.Pix[3*((c.y+y)*c.width+c.x):], frame.Pix[3*y*frame.Width:][:3*frame.Width])
		}
	}
	img.Exif, img.XMP = c.exif, c.xmp
	return img, nil
}

// checkFrame checks the size that a bit stream says it has.
func (c *container) checkFrame(w, h int, opt raster.Options) error {
	if c.extended && (w != c.frameWide || h != c.frameHigh) {
		return fmt.Errorf("webp: picture of %dx%d in a frame of %dx%d", w, h, c.frameWide, c.frameHigh)
	}
	return opt.CheckSize("webp", w, h)
}

func decodeLossy(c *container, opt raster.Options) (*raster.Image, error) {
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(c.lossy), len(c.lossy))
	h, err := d.DecodeFrameHeader()
	if err != nil {
		return nil, err
	}
	if !h.KeyFrame {
		return nil, errors.New("webp: the frame is no key frame")
	}
	if err := c.checkFrame(h.Width, h.Height, opt); err != nil {
		return nil, err
	}
	// A macroblock of 256 pixels takes at least three bits for its modes.
	if h.Width*h.Height/1024 > len(c.lossy) {
		return nil, errTruncated
	}
	m, err := d.DecodeFrame()
	if err != nil {
		return nil, err
	}
	img := raster.New(h.Width, h.Height)
	toRGB(img, m, opt.Workers)
	return img, nil
}

func decodeLossless(c *container, opt raster.Options) (*raster.Image, error) {
	cfg, err := vp8l.DecodeConfig(bytes.NewReader(c.lossless))
	if err != nil {
		return nil, err
	}
	if err := c.checkFrame(cfg.Width, cfg.Height, opt); err != nil {
		return nil, err
	}
	if err := raster.CheckEvidence("webp", cfg.Width, cfg.Height, int64(len(c.lossless)), 1<<16); err != nil {
		return nil, err
	}
	m, err := vp8l.Decode(bytes.NewReader(c.lossless))
	if err != nil {
		return nil, err
	}
	n, ok := m.(*image.NRGBA)
	if !ok || len(n.Pix) != 4*cfg.Width*cfg.Height {
		return nil, fmt.Errorf("webp: unexpected picture type %T", m)
	}
	return &raster.Image{Width: cfg.Width, Height: cfg.Height, Pix: raster.Compact(n.Pix, 4)}, nil
}

// nextChunk splits the first chunk off. Its id is empty at the end.
func nextChunk(b []byte) (id string, data, rest []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, nil
	}
	n := uint64(binary.LittleEndian.Uint32(b[4:]))
	if n+8 > uint64(len(b)) {
		return "", nil, nil, errTruncated
	}
	return string(b[:4]), b[8 : n+8], b[min(n+8+n&1, uint64(len(b))):], nil
}

func u24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func readContainer(b []byte) (*container, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" {
		return nil, errors.New("webp: no RIFF header of type WEBP")
	}
	size := uint64(binary.LittleEndian.Uint32(b[4:])) + 8
	if size > uint64(len(b)) {
		return nil, errTruncated
	}
	if size < 12 {
		return nil, fmt.Errorf("webp: RIFF chunk of %d bytes", size-8)
	}
	c := new(container)
	animated, framed := false, false
	for rest := b[12:size]; ; {
		id, data, next, err := nextChunk(rest)
		if err != nil {
			return nil, err
		}
		if id == "" {
			return c, nil
		}
		rest = next
		switch id {
		case "VP8X":
			if len(data) < 10 {
				return nil, fmt.Errorf("webp: VP8X chunk of %d bytes, want 10", len(data))
			}
			c.extended = true
			animated = data[0]&2 != 0
			c.width, c.height = u24(data[4:])+1, u24(data[7:])+1
			c.frameWide, c.frameHigh = c.width, c.height
		case "ANMF":
			if !animated || framed {
				continue
			}
			framed = true
			if err := c.readFrame(data); err != nil {
				return nil, err
			}
		case "VP8 ", "VP8L":
			if !animated {
				c.setStream(id, data)
			}
		case "EXIF":
			c.exif = data
		case "XMP ":
			c.xmp = data
		}
		if !c.extended && (c.lossy != nil || c.lossless != nil) {
			return c, nil
		}
	}
}

// setStream keeps the first bit stream.
func (c *container) setStream(id string, data []byte) {
	if c.lossy == nil && c.lossless == nil {
		if id == "VP8 " {
			c.lossy = data
		} else {
			c.lossless = data
		}
	}
}

// readFrame reads an ANMF chunk.
func (c *container) readFrame(b []byte) error {
	if len(b) < 16 {
		return errTruncated
	}
	c.x, c.y = 2*u24(b), 2*u24(b[3:])
	c.frameWide, c.frameHigh = u24(b[6:])+1, u24(b[9:])+1
	if c.x+c.frameWide > c.width || c.y+c.frameHigh > c.height {
		return fmt.Errorf("webp: frame of %dx%d at %d,%d on a canvas of %dx%d", c.frameWide, c.frameHigh, c.x, c.y, c.width, c.height)
	}
	for rest := b[16:]; ; {
		id, data, next, err := nextChunk(rest)
		if err != nil {
			return err
		}
		if id == "" {
			return nil
		}
		if id == "VP8 " || id == "VP8L" {
			c.setStream(id, data)
		}
		rest = next
	}
}
