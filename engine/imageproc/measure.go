package imageproc

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
)

// Measure is Load without pixels: of the common formats only the header is
// read, so that a data set can be checked before it is used. The size is that
// of the picture as stored, which is the upright one or its transpose; both
// take the same number of tokens. A file whose header is sound may be broken
// further on, which Load finds.
func (p *Processor) Measure(path string) (*Image, error) {
	q, err := p.settled()
	if err != nil {
		return nil, err
	}
	h, w, err := headerSize(path, q.Limits)
	if err != nil {
		return nil, err
	}
	im, err := q.shaped(h, w)
	if err != nil {
		return nil, fmt.Errorf("imageproc: %s: %w", path, err)
	}
	im.Path = path
	return im, nil
}

// headerSize is the size of a picture file: from its header where that tells,
// else from all of it.
func headerSize(path string, limits Limits) (h, w int, err error) {
	f, head, _, err := openPictureFile(path, limits.maxBytes())
	if err != nil {
		return 0, 0, fmt.Errorf("imageproc: %w", err)
	}
	defer f.Close()
	var read func(io.Reader) (image.Config, error)
	switch formatOf(head).name {
	case "PNG":
		read = png.DecodeConfig
	case "JPEG":
		read = jpeg.DecodeConfig
	}
	if read != nil {
		c, err := read(bufio.NewReader(io.MultiReader(bytes.NewReader(head), f)))
		if err == nil && c.Width > 0 && c.Height > 0 && c.Height <= limits.maxPixels()/c.Width {
			return c.Height, c.Width, nil
		}
	}
	rgb, err := decodeFile(path, limits, 1)
	if err != nil {
		return 0, 0, err
	}
	return rgb.H, rgb.W, nil
}
