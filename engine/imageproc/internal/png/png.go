// Package png decodes PNG pictures to RGB.
//
// The work is done by the standard library's image/png. This package walks the
// chunks itself to check sizes before memory is taken and to find metadata,
// and hands on only the chunks that make the pixels: transparency is dropped
// by leaving out tRNS, and damage that does not touch the pixels, such as a
// missing IEND or a palette that is too long, does not matter, as it does not
// to Pillow. Of an animation the first picture is decoded.
package png

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"strings"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// Signature is what a PNG file begins with.
const Signature = "\x89PNG\r\n\x1a\n"

// maxRatio is the most that deflate can expand its input: 258 bytes from the
// two bits of a length and a distance code.
const maxRatio = 1032

// maxText bounds a compressed text chunk.
const maxText = 1 << 20

var errTruncated = raster.Truncated("png")

type chunk struct {
	kind string
	data []byte
}

type header struct {
	width, height int
	depth, color  uint8
	interlaced    bool
}

// Decode decodes a picture.
func Decode(data []byte, opt raster.Options) (*raster.Image, error) {
	if !bytes.HasPrefix(data, []byte(Signature)) {
		return nil, errors.New("png: no PNG signature")
	}
	var (
		h        *header
		ihdr     []byte
		palette  []byte
		idat     [][]byte
		idatSize int
		meta     metadata
		done     bool // with the run of IDAT chunks
	)
	for rest := data[len(Signature):]; ; {
		c, sum, next, whole := nextChunk(rest)
		if c.kind == "" || c.kind == "IEND" || !whole && c.kind != "IDAT" {
			break
		}
		rest = next
		if idat == nil && c.kind != "IDAT" && !sum {
			return nil, fmt.Errorf("png: chunk %q has a wrong checksum", c.kind)
		}
		if h == nil && c.kind != "IHDR" {
			return nil, fmt.Errorf("png: the first chunk is %q, want \"IHDR\"", c.kind)
		}
		switch c.kind {
		case "IHDR":
			if h != nil {
				continue
			}
			var err error
			if h, err = readHeader(c.data); err != nil {
				return nil, err
			}
			if err := opt.CheckSize("png", h.width, h.height); err != nil {
				return nil, err
			}
			ihdr = c.data[:13]
		case "PLTE":
			if idat == nil {
				palette = c.data
			}
		case "IDAT":
			if !done {
				idat = append(idat, c.data)
				idatSize += len(c.data)
			}
		default:
			meta.add(c)
		}
		if idat != nil && c.kind != "IDAT" {
			done = true
		}
	}
	if h == nil {
		return nil, errTruncated
	}
	if int64(idatSize) < h.size()/maxRatio {
		return nil, errTruncated
	}
	img, err := decodePixels(h, ihdr, palette, idat)
	if err != nil {
		return nil, err
	}
	img.Exif, img.XMP = meta.exifData(), meta.xmp
	return img, nil
}

// nextChunk splits the first chunk off. It reports whether its checksum is
// right and whether it is there in full; its kind is empty at the end.
func nextChunk(b []byte) (c chunk, sum bool, rest []byte, whole bool) {
	if len(b) < 8 {
		return chunk{}, false, nil, false
	}
	n, kind := uint64(binary.BigEndian.Uint32(b)), string(b[4:8])
	if n+12 > uint64(len(b)) {
		// At most the checksum and the end of the data are missing.
		return chunk{kind, b[8:min(uint64(len(b)), n+8)]}, false, nil, false
	}
	data := b[8 : n+8]
	sum = kind == "IDAT" || crc32.ChecksumIEEE(b[4:n+8]) == binary.BigEndian.Uint32(b[n+8:])
	return chunk{kind, data}, sum, b[n+12:], true
}

func readHeader(b []byte) (*header, error) {
	if len(b) < 13 {
		return nil, fmt.Errorf("png: IHDR chunk of %d bytes, want 13", len(b))
	}
	w, hh := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if w > 1<<31-1 || hh > 1<<31-1 {
		return nil, fmt.Errorf("png: size %dx%d", w, hh)
	}
	h := &header{width: int(w), height: int(hh), depth: b[8], color: b[9], interlaced: b[12] != 0}
	ok := false
	switch h.color {
	case 0:
		ok = h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8 || h.depth == 16
	case 3:
		ok = h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8
	case 2, 4, 6:
		ok = h.depth == 8 || h.depth == 16
	}
	if !ok {
		return nil, fmt.Errorf("png: color type %d with %d bits a sample", h.color, h.depth)
	}
	if b[10] != 0 || b[11] != 0 || b[12] > 1 {
		return nil, fmt.Errorf("png: unknown compression %d, filter %d or interlace method %d", b[10], b[11], b[12])
	}
	return h, nil
}

// size is the number of bytes of the picture's samples.
func (h *header) size() int64 {
	return int64(h.width) * int64(h.height) * h.pixelBits() / 8
}

func (h *header) pixelBits() int64 {
	samples := [7]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[h.color]
	return samples * int64(h.depth)
}

// dataSize is the number of bytes that inflate to the picture: rows with a filter's byte each, of one pass or of seven.
func (h *header) dataSize() int64 {
	bits := h.pixelBits()
	rows := func(w, hh int) int64 {
		if w == 0 {
			return 0
		}
		return int64(hh) * (1 + (int64(w)*bits+7)/8)
	}
	if !h.interlaced {
		return rows(h.width, h.height)
	}
	var n int64
	for _, p := range [7]struct{ x, y, dx, dy int }{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}} {
		n += rows((h.width-p.x+p.dx-1)/p.dx, (h.height-p.y+p.dy-1)/p.dy)
	}
	return n
}

// trim compresses the picture's data anew, without what follows them: more data, or a checksum that is wrong or missing. It reports
// whether they are all there.
func trim(h *header, idat [][]byte) ([]byte, bool) {
	z, err := zlib.NewReader(bytes.NewReader(bytes.Join(idat, nil)))
	if err != nil {
		return nil, false
	}
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.NoCompression)
	if err != nil {
		return nil, false
	}
	if n, _ := io.Copy(w, io.LimitReader(z, h.dataSize())); n < h.dataSize() || w.Close() != nil {
		return nil, false
	}
	return b.Bytes(), true
}

// assemble puts a minimal PNG file together.
func assemble(ihdr, palette []byte, idat [][]byte) io.Reader {
	readers := []io.Reader{strings.NewReader(Signature)}
	add := func(kind string, data []byte) {
		head := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		head = append(head, kind...)
		sum := crc32.Update(crc32.ChecksumIEEE(head[4:]), crc32.IEEETable, data)
		readers = append(readers, bytes.NewReader(head), bytes.NewReader(data),
			bytes.NewReader(binary.BigEndian.AppendUint32(nil, sum)))
	}
	add("IHDR", ihdr)
	if palette != nil {
		add("PLTE", palette)
	}
	for _, d := range idat {
		add("IDAT", d)
	}
	add("IEND", nil)
	return io.MultiReader(readers...)
}

// decodePixels decodes the chunks that make the pixels.
func decodePixels(h *header, ihdr, palette []byte, idat [][]byte) (*raster.Image, error) {
	var colors [256][3]byte
	if h.color == 3 {
		n := min(len(palette)/3, 1<<h.depth)
		if n == 0 {
			return nil, errors.New("png: no palette")
		}
		for i := range n {
			colors[i] = [3]byte(palette[3*i:])
		}
		palette = palette[:3*n]
	} else {
		palette = nil
	}
	img, err := png.Decode(assemble(ihdr, palette, idat))
	if err != nil { // Pillow looks no further than at the last row's data
		if data, ok := trim(h, idat); ok {
			img, err = png.Decode(assemble(ihdr, palette, [][]byte{data}))
		}
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "not enough pixel data") {
			return nil, errTruncated
		}
		if !strings.HasPrefix(err.Error(), "png: ") {
			err = fmt.Errorf("png: %w", err)
		}
		return nil, err
	}

	out := &raster.Image{Width: h.width, Height: h.height}
	switch m := img.(type) {
	case *image.RGBA: // opaque, for lack of tRNS
		out.Pix = raster.Compact(m.Pix, 4)
	case *image.NRGBA:
		out.Pix = raster.Compact(m.Pix, 4)
	case *image.RGBA64:
		out.Pix = raster.CompactHigh(m.Pix, 8)
	case *image.NRGBA64:
		out.Pix = raster.CompactHigh(m.Pix, 8)
	case *image.Gray:
		out.Pix = make([]byte, 3*len(m.Pix))
		for i, v := range m.Pix {
			d := out.Pix[3*i : 3*i+3 : 3*i+3]
			d[0], d[1], d[2] = v, v, v
		}
	case *image.Gray16:
		out.Pix = make([]byte, 3*len(m.Pix)/2)
		for i := 0; i < len(m.Pix); i += 2 {
			v := m.Pix[i]
			d := out.Pix[3*i/2 : 3*i/2+3 : 3*i/2+3]
			d[0], d[1], d[2] = v, v, v
		}
	case *image.Paletted:
		out.Pix = make([]byte, 3*len(m.Pix))
		for i, v := range m.Pix {
			*(*[3]byte)(out.Pix[3*i:]) = colors[v]
		}
	default:
		return nil, fmt.Errorf("png: unexpected picture type %T", img)
	}
	return out, nil
}

// metadata collects what may hold an orientation.
type metadata struct {
	exif, profile, xmp []byte
}

func (m *metadata) add(c chunk) {
	switch c.kind {
	case "eXIf":
		m.exif = c.data
	case "tEXt":
		if k, v, ok := bytes.Cut(c.data, []byte{0}); ok {
			m.text(string(k), v)
		}
	case "zTXt":
		if k, v, ok := bytes.Cut(c.data, []byte{0}); ok && len(v) > 0 && v[0] == 0 && string(k) == profileKey {
			if t, ok := inflate(v[1:]); ok {
				m.text(string(k), t)
			}
		}
	case "iTXt":
		k, r, ok := bytes.Cut(c.data, []byte{0})
		if !ok || len(r) < 2 || string(k) != profileKey && string(k) != xmpKey {
			return
		}
		compressed, method := r[0] != 0, r[1]
		parts := bytes.SplitN(r[2:], []byte{0}, 3)
		if len(parts) < 3 || compressed && method != 0 {
			return
		}
		text := parts[2]
		if compressed {
			if text, ok = inflate(text); !ok {
				return
			}
		}
		m.text(string(k), text)
	}
}

const (
	profileKey = "Raw profile type exif"
	xmpKey     = "XML:com.adobe.xmp"
)

func (m *metadata) text(key string, value []byte) {
	switch key {
	case "exif":
		m.exif = value
	case profileKey:
		m.profile = value
	case xmpKey:
		m.xmp = value
	}
}

// exifData returns the Exif data, which ImageMagick writes as a text of hex
// digits after a line with the profile's name and one with its length.
func (m *metadata) exifData() []byte {
	if m.exif != nil || m.profile == nil {
		return m.exif
	}
	lines := strings.Split(string(m.profile), "\n")
	b, err := hex.DecodeString(strings.Join(strings.Fields(strings.Join(lines[min(3, len(lines)):], "")), ""))
	if err != nil {
		return nil
	}
	return b
}

func inflate(b []byte) ([]byte, bool) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, false
	}
	defer z.Close()
	t, err := io.ReadAll(io.LimitReader(z, maxText+1))
	return t, err == nil && len(t) <= maxText
}
