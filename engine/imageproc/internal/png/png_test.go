package png

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/png"
	"io"
	"testing"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// TestDamage checks that damage is an error only if the pixels need what is
// broken.
func TestDamage(t *testing.T) {
	var b bytes.Buffer
	m := image.NewGray(image.Rect(0, 0, 40, 40))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 3)
	}
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	flip := func(at int) []byte {
		c := bytes.Clone(whole)
		c[at] ^= 0x55
		return c
	}
	text := func(c []byte, at int, sum string) []byte {
		return append(append(bytes.Clone(c[:at]), "\x00\x00\x00\x03tEXta\x00b"+sum...), c[at:]...)
	}
	end := len(whole) - 12 // of IDAT
	// idat is the file with change made to its picture's data, compressed anew, and cut bytes less of those.
	idat := func(change func([]byte) []byte, cut int) []byte {
		z, err := zlib.NewReader(bytes.NewReader(whole[41 : end-4]))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		w.Write(change(raw))
		w.Close()
		data := b.Bytes()[:b.Len()-cut]
		c := binary.BigEndian.AppendUint32(bytes.Clone(whole[:33]), uint32(len(data)))
		c = append(append(c, "IDAT"...), data...)
		return append(append(c, "sum?"...), whole[end:]...)
	}
	same := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name string
		data []byte
		ok   bool
	}{
		{"whole", whole, true},
		{"no IEND", whole[:end], true},
		{"IEND cut", whole[:len(whole)-3], true},
		{"checksum of IDAT", flip(end - 1), true},
		{"checksum of IHDR", flip(30), false},
		{"checksum of text before IDAT", text(whole, 33, "abcd"), false},
		{"checksum of text after IDAT", text(whole, end, "abcd"), true},
		{"half of IDAT", whole[:len(whole)/2], false},
		{"data in IDAT", flip(len(whole) / 2), false},
		{"no IDAT", whole[:33], false},
		{"compressed anew", idat(same, 0), true},
		{"more data than rows", idat(func(b []byte) []byte { return append(b, 0) }, 0), true},
		{"much more data than rows", idat(func(b []byte) []byte { return append(b, make([]byte, 1e6)...) }, 0), true},
		{"no checksum of the data", idat(same, 4), true},
		{"a byte less than rows", idat(func(b []byte) []byte { return b[:len(b)-1] }, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode(c.data, raster.Options{})
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				for i, v := range m.Pix {
					if got.Pix[3*i+1] != v {
						t.Fatalf("pixel %d is %d, want %d", i, got.Pix[3*i+1], v)
					}
				}
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	profile := "\nexif\n       4\n" + hex.EncodeToString([]byte("MM\x00*")) + "\n"
	for _, c := range []struct {
		name      string
		chunks    []chunk
		exif, xmp string
	}{
		{"eXIf", []chunk{{"eXIf", []byte("II*\x00")}}, "II*\x00", ""},
		{"text profile", []chunk{{"tEXt", []byte(profileKey + "\x00" + profile)}}, "MM\x00*", ""},
		{"eXIf before profile", []chunk{{"eXIf", []byte("II*\x00")}, {"tEXt", []byte(profileKey + "\x00" + profile)}}, "II*\x00", ""},
		{"profile that is no hex", []chunk{{"tEXt", []byte(profileKey + "\x00\n\n\nxyz")}}, "", ""},
		{"profile too short", []chunk{{"tEXt", []byte(profileKey + "\x00")}}, "", ""},
		{"XMP", []chunk{{"iTXt", []byte(xmpKey + "\x00\x00\x00en\x00\x00<xmp>")}}, "", "<xmp>"},
		{"XMP cut", []chunk{{"iTXt", []byte(xmpKey + "\x00\x00\x00en")}}, "", ""},
		{"XMP not deflate", []chunk{{"iTXt", []byte(xmpKey + "\x00\x01\x00en\x00\x00<xmp>")}}, "", ""},
		{"other text", []chunk{{"tEXt", []byte("Title\x00abc")}, {"zTXt", []byte("Title\x00\x00abc")}, {"tEXt", []byte("broken")}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m metadata
			for _, ch := range c.chunks {
				m.add(ch)
			}
			if got := string(m.exifData()); got != c.exif || string(m.xmp) != c.xmp {
				t.Errorf("Exif %q, XMP %q; want %q, %q", got, m.xmp, c.exif, c.xmp)
			}
		})
	}
}

// TestDataSize holds the size of a picture's data against rows counted by hand.
func TestDataSize(t *testing.T) {
	for _, h := range []struct {
		h    header
		want int64
	}{
		{header{width: 5, height: 3, depth: 8, color: 2}, 3 * 16},
		{header{width: 5, height: 3, depth: 16, color: 6}, 3 * 41},
		{header{width: 9, height: 2, depth: 1, color: 0}, 2 * 3},
		{header{width: 5, height: 3, depth: 4, color: 3}, 3 * 4},
		{header{width: 1, height: 1, depth: 8, color: 0, interlaced: true}, 2},
		{header{width: 8, height: 8, depth: 8, color: 0, interlaced: true}, 64 + 1 + 1 + 1 + 2 + 2 + 4 + 4},
		{header{width: 5, height: 2, depth: 8, color: 0, interlaced: true}, 2 + 2 + 0 + 2 + 0 + 3 + 6},
	} {
		if got := h.h.dataSize(); got != h.want {
			t.Errorf("%+v: %d bytes, want %d", h.h, got, h.want)
		}
	}
}
