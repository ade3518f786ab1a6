package tiff

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

func TestUnpackBits(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		size           int
	}{
		// The example of TIFF 6.0, section 9.
		{"specification", "\xfe\xaa\x02\x80\x00\x2a\xfd\xaa\x03\x80\x00\x2a\x22\xf7\xaa",
			"\xaa\xaa\xaa\x80\x00\x2a\xaa\xaa\xaa\xaa\x80\x00\x2a\x22\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa", 24},
		{"no operation", "\x80\xff\x01\x80", "\x01\x01", 2},
		{"cut to size", "\xf0\x01", "\x01\x01\x01", 3},
		{"data ends in a run", "\xfe", "", 3},
		{"data ends in bytes", "\x05\x01\x02", "\x01\x02", 6},
	} {
		if got := unpackBits([]byte(c.in), c.size); string(got) != c.want {
			t.Errorf("%s: %x, want %x", c.name, got, c.want)
		}
	}
}

func TestPredictor(t *testing.T) {
	d := &directory{order: binary.BigEndian}
	row := []byte{1, 2, 3, 1, 1, 1, 255, 0, 1}
	d.undoPredictor(row, 3, 8)
	if want := []byte{1, 2, 3, 2, 3, 4, 1, 3, 5}; !bytes.Equal(row, want) {
		t.Errorf("8 bits: %v, want %v", row, want)
	}
	row = []byte{0, 255, 0, 1, 0, 1}
	d.undoPredictor(row, 1, 16)
	if want := []byte{0, 255, 1, 0, 1, 1}; !bytes.Equal(row, want) {
		t.Errorf("16 bits: %v, want %v", row, want)
	}
}

// TestPredictorIgnored checks that a picture whose compression has no predictor is read without, whatever the tag says.
func TestPredictorIgnored(t *testing.T) {
	file := func(compression uint32, data []byte) []byte {
		tags := [][2]uint32{{256, 4}, {257, 1}, {258, 8}, {259, compression}, {262, 1}, {273, 8}, {277, 1}, {278, 1}, {279, uint32(len(data))}, {317, 2}}
		b := append([]byte("MM\x00\x2a\x00\x00\x00\x10"), data...)
		b = append(b, make([]byte, 16-len(b))...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(tags)))
		for _, e := range tags {
			b = binary.BigEndian.AppendUint16(b, uint16(e[0]))
			b = binary.BigEndian.AppendUint16(b, 4) // LONG
			b = binary.BigEndian.AppendUint32(b, 1)
			b = binary.BigEndian.AppendUint32(b, e[1])
		}
		return binary.BigEndian.AppendUint32(b, 0)
	}
	for _, tt := range []struct {
		name        string
		compression uint32
		data        []byte
	}{
		{"none", 1, []byte{10, 20, 30, 40}},
		{"PackBits", 32773, []byte{3, 10, 20, 30, 40}},
	} {
		m, err := Decode(file(tt.compression, tt.data), raster.Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if want := []byte{10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40}; !bytes.Equal(m.Pix, want) {
			t.Errorf("%s: %v, want %v", tt.name, m.Pix, want)
		}
	}
}

// TestDirectory checks that fields that do not fit the file are skipped and
// that the first of two counts.
func TestDirectory(t *testing.T) {
	b := []byte("II*\x00\x08\x00\x00\x00\x05\x00")
	field := func(tag, kind uint16, count, value uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, kind)
		b = binary.LittleEndian.AppendUint32(b, count)
		b = binary.LittleEndian.AppendUint32(b, value)
	}
	field(256, 3, 1, 7)
	field(256, 3, 1, 8)
	field(257, 4, 1<<30, 8) // too many values
	field(258, 4, 4, 1<<30) // past the end
	field(259, 99, 1, 1)    // of no known type
	d, err := readDirectory(b)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := d.number(256, 0, 100); err != nil || w != 7 {
		t.Errorf("width %d, %v", w, err)
	}
	for _, tag := range []uint16{257, 258, 259} {
		if v, err := d.number(tag, -1, 100); err != nil || v != -1 {
			t.Errorf("tag %d is %d, %v", tag, v, err)
		}
	}
	if _, err := d.number(256, 0, 6); err == nil {
		t.Error("no error for a value over the limit")
	}
}
