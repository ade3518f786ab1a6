package jpeg

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// picture returns a JPEG file of the parent package's test data.
func picture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "pillow", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// insert puts a segment after the SOI marker.
func insert(b []byte, marker byte, data string) []byte {
	n := len(data) + 2
	s := append([]byte{0xff, marker, byte(n >> 8), byte(n)}, data...)
	return slices.Concat(b[:2], s, b[2:])
}

// without removes the first segment of a marker.
func without(t *testing.T, b []byte, marker byte) []byte {
	t.Helper()
	i := bytes.Index(b, []byte{0xff, marker})
	if i < 0 {
		t.Fatalf("no marker %#x", marker)
	}
	return slices.Concat(b[:i], b[i+2+int(b[i+2])<<8+int(b[i+3]):])
}

func TestSpace(t *testing.T) {
	three := without(t, picture(t, "jpeg-444.jpg"), app0)
	named := bytes.Clone(three)
	i := bytes.Index(named, []byte{0xff, sof0})
	s := bytes.Index(named, []byte{0xff, sos})
	for j, c := range []byte("RGB") {
		named[i+10+3*j], named[s+5+2*j] = c, c
	}
	four := without(t, picture(t, "jpeg-cmyk.jpg"), app14)
	const jfif = "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
	adobe := func(transform string) string { return "Adobe\x00\x64\x00\x00\x00\x00" + transform }
	for _, c := range []struct {
		name string
		data []byte
		want ColorSpace
	}{
		{"three components", three, YCbCr},
		{"named R, G, B", named, RGB},
		{"named R, G, B but JFIF", insert(named, app0, jfif), YCbCr},
		{"Adobe 0", insert(three, app14, adobe("\x00")), RGB},
		{"Adobe 1", insert(three, app14, adobe("\x01")), YCbCr},
		{"Adobe 0 but JFIF", insert(insert(three, app14, adobe("\x00")), app0, jfif), YCbCr},
		{"four components", four, CMYK},
		{"four, Adobe 0", insert(four, app14, adobe("\x00")), CMYK},
		{"four, Adobe 2", insert(four, app14, adobe("\x02")), YCCK},
		{"one component", picture(t, "jpeg-gray.jpg"), Gray},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decoder{data: c.data}
			if err := d.readHeader(); err != nil {
				t.Fatal(err)
			}
			if got, err := d.space(); err != nil || got != c.want {
				t.Errorf("space %v, %v; want %v", got, err, c.want)
			}
			want, err := Decode(c.data, Options{Space: c.want})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(c.data, Options{})
			if err != nil || !bytes.Equal(got.Pix, want.Pix) {
				t.Errorf("another picture, %v", err)
			}
		})
	}
	if _, err := Decode(three, Options{Space: CMYK}); err == nil {
		t.Error("three components as CMYK: no error")
	}
}

// TestAbbreviated decodes a stream whose tables come apart from it.
func TestAbbreviated(t *testing.T) {
	whole := picture(t, "jpeg-420.jpg")
	var tables, rest []byte
	tables = append(tables, 0xff, soi)
	rest = append(rest, 0xff, soi)
	i := 2
	for whole[i+1] != sos {
		n := 2 + int(whole[i+2])<<8 + int(whole[i+3])
		if m := whole[i+1]; m == dqt || m == dht {
			tables = append(tables, whole[i:i+n]...)
		} else {
			rest = append(rest, whole[i:i+n]...)
		}
		i += n
	}
	tables = append(tables, 0xff, eoi)
	rest = append(rest, whole[i:]...)
	want, err := Decode(whole, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(rest, Options{Tables: tables})
	if err != nil || !bytes.Equal(got.Pix, want.Pix) {
		t.Errorf("another picture, %v", err)
	}
	if _, err := Decode(rest, Options{}); err == nil || !strings.Contains(err.Error(), "quantization table") {
		t.Errorf("without tables: error %v", err)
	}
}

// TestManyScans checks that scans that cost nothing in the file are bounded.
func TestManyScans(t *testing.T) {
	for _, c := range []struct {
		name string
		file string
		max  int
	}{
		{"sequential", "jpeg-gray.jpg", maxSequentialScans},
		{"progressive", "jpeg-gray-progressive.jpg", maxProgressiveScans},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := picture(t, c.file)
			i := bytes.Index(b, []byte{0xff, sos})
			// Three components in the frame, so that no scan is the last one.
			f := bytes.Index(b[:i], []byte{0xff, 0xc0})
			if f < 0 {
				f = bytes.Index(b[:i], []byte{0xff, 0xc2})
			}
			frame := []byte{0xff, b[f+1], 0, 17, 8, 0, 16, 0, 16, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0}
			head := slices.Concat(b[:f], frame, b[f+2+int(b[f+2])<<8+int(b[f+3]):i])
			scan := []byte{0xff, sos, 0, 8, 1, 1, 0, 0, 0, 0}
			for _, n := range []int{c.max, c.max + 1} {
				data := slices.Concat(head, bytes.Repeat(scan, n), []byte{0xff, eoi})
				if _, err := Decode(data, Options{}); (err != nil) != (n > c.max) {
					t.Errorf("%d scans: %v", n, err)
				}
			}
		})
	}
}

// TestEarlyEnd checks that a marker that ends the data early leaves gray, and
// the end of the file is an error.
func TestEarlyEnd(t *testing.T) {
	b := picture(t, "jpeg-gray.jpg")
	i := bytes.Index(b, []byte{0xff, sos}) + 2
	i += int(b[i])<<8 + int(b[i+1])
	cut := b[: i+(len(b)-i)/2 : i+(len(b)-i)/2]
	if _, err := Decode(cut, Options{}); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("end of file: error %v", err)
	}
	m, err := Decode(append(cut, 0xff, eoi), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Pix[len(m.Pix)-3:]; !bytes.Equal(p, []byte{128, 128, 128}) {
		t.Errorf("the last pixel is %v, want gray", p)
	}
}

// TestUpsample checks the filters at the edges and in the middle.
func TestUpsample(t *testing.T) {
	out := make([]byte, 6)
	if triangle(out, []byte{0, 100, 200}); !bytes.Equal(out, []byte{0, 25, 75, 125, 175, 200}) {
		t.Errorf("triangle: %v", out)
	}
	// Rounding goes down at even pixels and up at odd ones.
	if triangle(out, []byte{1, 3, 5}); !bytes.Equal(out, []byte{1, 2, 2, 4, 4, 5}) {
		t.Errorf("triangle: %v", out)
	}
	if triangleSums(out, []int32{0, 400, 800}); !bytes.Equal(out, []byte{0, 25, 75, 125, 175, 200}) {
		t.Errorf("triangleSums: %v", out)
	}
}
