package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// Tags (TIFF 6.0, appendix A).
const (
	tagWidth           = 256
	tagHeight          = 257
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagStripOffsets    = 273
	tagOrientation     = 274
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
	tagPlanarConfig    = 284
	tagT4Options       = 292
	tagPredictor       = 317
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileHeight      = 323
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
	tagExtraSamples    = 338
	tagSampleFormat    = 339
	tagJPEGTables      = 347
	tagXMP             = 700
)

var errTruncated = raster.Truncated("tiff")

// entry is one field of a directory; its values are in data.
type entry struct {
	kind  uint16
	count uint64
	data  []byte
}

// directory is the first image file directory of a file.
type directory struct {
	file  []byte
	order binary.ByteOrder
	tags  map[uint16]entry
}

// typeSizes holds the size of each field type.
var typeSizes = [...]uint64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

// readDirectory reads the header and the first directory of a TIFF or BigTIFF
// file.
func readDirectory(b []byte) (*directory, error) {
	if len(b) < 8 {
		return nil, errTruncated
	}
	d := &directory{file: b, tags: make(map[uint16]entry)}
	big := false
	switch string(b[:4]) {
	case "II*\x00", "II\x00*":
		d.order = binary.LittleEndian
	case "MM\x00*", "MM*\x00":
		d.order = binary.BigEndian
	case "II+\x00":
		d.order, big = binary.LittleEndian, true
	case "MM\x00+":
		d.order, big = binary.BigEndian, true
	default:
		return nil, errors.New("tiff: no TIFF signature")
	}
	// Positions are checked against the file's size, so sums cannot overflow.
	size := uint64(len(b))
	entrySize, inline := uint64(12), uint64(4)
	at, n := uint64(d.order.Uint32(b[4:])), uint64(0)
	if big {
		entrySize, inline = 20, 8
		if size < 16 {
			return nil, errTruncated
		}
		if at = d.order.Uint64(b[8:]); at > size || at+8 > size {
			return nil, errTruncated
		}
		n = d.order.Uint64(b[at:])
		at += 8
	} else {
		if at+2 > size {
			return nil, errTruncated
		}
		n = uint64(d.order.Uint16(b[at:]))
		at += 2
	}
	if n > (size-at)/entrySize {
		return nil, errTruncated
	}
	for ; n > 0; n-- {
		f := b[at : at+entrySize]
		at += entrySize
		e := entry{kind: d.order.Uint16(f[2:]), data: f[entrySize-inline:]}
		if big {
			e.count = d.order.Uint64(f[4:])
		} else {
			e.count = uint64(d.order.Uint32(f[4:]))
		}
		if int(e.kind) >= len(typeSizes) || typeSizes[e.kind] == 0 || e.count > size {
			continue
		}
		length := e.count * typeSizes[e.kind]
		if length > inline {
			p := uint64(d.order.Uint32(e.data))
			if big {
				p = d.order.Uint64(e.data)
			}
			if p > size || length > size-p {
				continue
			}
			e.data = b[p:]
		}
		e.data = e.data[:length]
		tag := d.order.Uint16(f)
		if _, ok := d.tags[tag]; !ok && e.count > 0 {
			d.tags[tag] = e
		}
	}
	return d, nil
}

// uint returns value i of a field.
func (d *directory) uint(e entry, i int) uint64 {
	switch typeSizes[e.kind] {
	case 1:
		return uint64(e.data[i])
	case 2:
		return uint64(d.order.Uint16(e.data[2*i:]))
	case 4:
		return uint64(d.order.Uint32(e.data[4*i:]))
	}
	return d.order.Uint64(e.data[8*i:])
}

// number returns the first value of a field, or a default if there is none. It
// must be at most limit.
func (d *directory) number(tag uint16, missing, limit int) (int, error) {
	e, ok := d.tags[tag]
	if !ok {
		return missing, nil
	}
	v := d.uint(e, 0)
	if v > uint64(limit) {
		return 0, fmt.Errorf("tiff: tag %d is %d, want at most %d", tag, v, limit)
	}
	return int(v), nil
}

// numbers returns the values of a field, which must not be more than limit.
func (d *directory) numbers(tag uint16, limit int) ([]int, error) {
	e, ok := d.tags[tag]
	if !ok {
		return nil, nil
	}
	if e.count > uint64(limit) {
		return nil, fmt.Errorf("tiff: tag %d has %d values, want at most %d", tag, e.count, limit)
	}
	v := make([]int, e.count)
	for i := range v {
		x := d.uint(e, i)
		if x > 1<<62 {
			return nil, fmt.Errorf("tiff: tag %d has the value %d", tag, x)
		}
		v[i] = int(x)
	}
	return v, nil
}
