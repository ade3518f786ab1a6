package png

import (
	"bytes"
	"encoding/hex"
	"image"
	"image/png"
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
