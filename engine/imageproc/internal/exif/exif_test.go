package exif

import (
	"encoding/binary"
	"testing"
)

// block makes Exif data of one orientation field after some others.
func block(order binary.AppendByteOrder, kind uint16, count uint32, value uint32, others int) []byte {
	magic := "II*\x00"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		magic = "MM\x00*"
	}
	b := order.AppendUint32([]byte("Exif\x00\x00"+magic), 8)
	b = order.AppendUint16(b, uint16(others+1))
	for range others {
		b = append(order.AppendUint32(order.AppendUint16(order.AppendUint16(b, 0x10f), 2), 4), "abc\x00"...)
	}
	b = order.AppendUint32(order.AppendUint16(order.AppendUint16(b, 0x112), kind), count)
	if kind == 3 && count == 1 {
		b = order.AppendUint16(order.AppendUint16(b, uint16(value)), 0)
	} else {
		b = order.AppendUint32(b, value)
	}
	return order.AppendUint32(b, 0)
}

func TestOrientation(t *testing.T) {
	le, be := binary.AppendByteOrder(binary.LittleEndian), binary.AppendByteOrder(binary.BigEndian)
	short := block(le, 3, 1, 6, 2)
	far := append(block(le, 3, 3, 26, 0), "\x08\x00\x01\x00\x02\x00"...)
	for _, c := range []struct {
		name string
		data []byte
		want int
		ok   bool
	}{
		{"little-endian", short, 6, true},
		{"big-endian", block(be, 3, 1, 8, 3), 8, true},
		{"long", block(be, 4, 1, 5, 0), 5, true},
		{"no Exif header", short[6:], 6, true},
		{"two Exif headers", append([]byte("Exif\x00\x00"), short...), 6, true},
		{"out of range", block(le, 3, 1, 77, 0), 77, true},
		{"several values, elsewhere", far, 8, true},
		{"values past the end", block(le, 3, 3, 1<<31, 0), 0, false},
		{"text", block(le, 2, 1, 6, 0), 0, false},
		{"no value", block(le, 3, 0, 6, 0), 0, false},
		{"cut after the field", short[:len(short)-4], 6, true},
		{"cut in the field", short[:len(short)-5], 0, false},
		{"cut before the field", short[:20], 0, false},
		{"no TIFF header", []byte("Exif\x00\x00garbage..."), 0, false},
		{"directory past the end", []byte("II*\x00\xff\xff\xff\xff"), 0, false},
		{"empty", nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := Orientation(c.data); got != c.want || ok != c.ok {
				t.Errorf("%d, %v; want %d, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestXMPOrientation(t *testing.T) {
	for _, c := range []struct {
		name, xmp string
		want      int
		ok        bool
	}{
		{"attribute", `<rdf:Description tiff:Orientation="6"/>`, 6, true},
		{"element", `<tiff:Orientation>3</tiff:Orientation>`, 3, true},
		{"first of two", `tiff:Orientation="2" tiff:Orientation="4"`, 2, true},
		{"none", `<rdf:Description/>`, 0, false},
		{"no number", `tiff:Orientation="x"`, 0, false},
	} {
		if got, ok := XMPOrientation([]byte(c.xmp)); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(block(binary.LittleEndian, 3, 1, 6, 2))
	f.Add(block(binary.BigEndian, 4, 9, 6, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, ok := Orientation(data); !ok && v != 0 {
			t.Errorf("value %d of nothing", v)
		}
	})
}
