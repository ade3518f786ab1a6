// Package exif finds the orientation of a picture in its metadata, where and
// as Pillow looks for it.
package exif

import (
	"bytes"
	"encoding/binary"
	"regexp"
)

const orientationTag = 0x0112

// Orientation returns the orientation that Exif data holds: the value as it
// is, which need not be 1 to 8. Damaged data holds what can be read before the
// damage. It reports false if there is none.
func Orientation(data []byte) (int, bool) {
	for range 2 {
		data = bytes.TrimPrefix(data, []byte("Exif\x00\x00"))
	}
	if len(data) < 8 {
		return 0, false
	}
	var order binary.ByteOrder
	switch string(data[:4]) {
	case "II*\x00", "II\x00*":
		order = binary.LittleEndian
	case "MM\x00*", "MM*\x00":
		order = binary.BigEndian
	default:
		return 0, false
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return 0, false
	}
	n := int(order.Uint16(data[at:]))
	at += 2
	for range n {
		if at+12 > uint64(len(data)) {
			return 0, false
		}
		e := data[at : at+12]
		at += 12
		if order.Uint16(e) != orientationTag {
			continue
		}
		kind, count, value := order.Uint16(e[2:]), uint64(order.Uint32(e[4:])), e[8:12]
		size := uint64(0)
		switch kind {
		case 6: // signed byte
			size = 1
		case 3, 8: // short
			size = 2
		case 4, 9, 13: // long
			size = 4
		}
		if size == 0 || count == 0 {
			continue
		}
		if count*size > 4 {
			p := uint64(order.Uint32(value))
			if p+count*size > uint64(len(data)) {
				continue
			}
			value = data[p:]
		}
		switch size {
		case 1:
			return int(int8(value[0])), true
		case 2:
			return int(order.Uint16(value)), true
		}
		return int(order.Uint32(value)), true
	}
	return 0, false
}

var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

// XMPOrientation returns the orientation that an XMP packet holds.
func XMPOrientation(data []byte) (int, bool) {
	m := xmpOrientation.FindSubmatch(data)
	if m == nil {
		return 0, false
	}
	return int(m[1][0] - '0'), true
}
