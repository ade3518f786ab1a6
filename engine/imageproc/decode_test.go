package imageproc

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// pngFile puts a PNG file together. The data is compressed unless it is raw.
func pngFile(w, h uint32, depth, color byte, data []byte, raw bool) []byte {
	var b bytes.Buffer
	b.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		head := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		body := append([]byte(kind), data...)
		b.Write(head)
		b.Write(body)
		b.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))
	}
	ihdr := binary.BigEndian.AppendUint32(nil, w)
	ihdr = binary.BigEndian.AppendUint32(ihdr, h)
	chunk("IHDR", append(ihdr, depth, color, 0, 0, 0))
	if !raw {
		var z bytes.Buffer
		zw := zlib.NewWriter(&z)
		zw.Write(data)
		zw.Close()
		data = z.Bytes()
	}
	chunk("IDAT", data)
	chunk("IEND", nil)
	return b.Bytes()
}

// riff puts a WebP file together.
func riff(id string, data []byte) []byte {
	b := append([]byte(id), binary.LittleEndian.AppendUint32(nil, uint32(len(data)))...)
	b = append(b, data...)
	b = append(b, make([]byte, len(b)&1)...)
	head := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(len(b)+4))...)
	return append(append(head, "WEBP"...), b...)
}

// tiffFile puts a little-endian TIFF file of the given fields together, all of
// type LONG and one value.
func tiffFile(fields ...[2]uint32) []byte {
	b := []byte("II*\x00\x08\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(fields)))
	for _, f := range fields {
		b = binary.LittleEndian.AppendUint16(b, uint16(f[0]))
		b = binary.LittleEndian.AppendUint16(b, 4)
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, f[1])
	}
	return append(b, make([]byte, 64)...)
}

// jpegHeader is a JPEG file that ends after its headers.
func jpegHeader(w, h uint16, sof byte, tail string) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{1}, 64)...)
	b = append(b, 0xff, sof, 0, 17, 8)
	b = binary.BigEndian.AppendUint16(b, h)
	b = binary.BigEndian.AppendUint16(b, w)
	b = append(b, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0)
	b = append(b, 0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0)
	if sof == 0xc2 {
		b[len(b)-2] = 0
	}
	return append(b, tail...)
}

// hostile are files that claim more than they hold or that are broken. Each
// must be refused fast, without memory that the claim would take.
func hostile() map[string][]byte {
	le := binary.LittleEndian
	bmp := func(w, h uint32, bits uint16, compression uint32, body string) []byte {
		b := append([]byte("BM"), make([]byte, 12)...)
		le.PutUint32(b[10:], 54)
		b = le.AppendUint32(b, 40)
		b = le.AppendUint32(b, w)
		b = le.AppendUint32(b, h)
		b = le.AppendUint16(b, 1)
		b = le.AppendUint16(b, bits)
		b = le.AppendUint32(b, compression)
		return append(append(b, make([]byte, 20)...), body...)
	}
	gif := func(w, h, fw, fh uint16, data string) []byte {
		b := le.AppendUint16([]byte("GIF89a"), w)
		b = le.AppendUint16(b, h)
		b = append(b, 0x80, 0, 0, 1, 2, 3, 4, 5, 6, ',', 0, 0, 0, 0)
		b = le.AppendUint16(b, fw)
		b = le.AppendUint16(b, fh)
		return append(append(b, 0), data...)
	}
	vp8 := func(w, h uint16) []byte {
		b := []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a}
		b = le.AppendUint16(b, w)
		b = le.AppendUint16(b, h)
		return append(b, make([]byte, 200)...)
	}
	vp8l := func(w, h uint32) []byte {
		return append(le.AppendUint32([]byte{0x2f}, (w-1)|(h-1)<<14), make([]byte, 200)...)
	}
	return map[string][]byte{
		"png 60000x60000":           pngFile(60000, 60000, 8, 2, make([]byte, 100), false),
		"png 13000x13000 short":     pngFile(13000, 13000, 8, 6, make([]byte, 100), false),
		"png 13000x13000 16 bits":   pngFile(13000, 13000, 16, 6, make([]byte, 1<<16), false),
		"png largest":               pngFile(1<<31-1, 1<<31-1, 16, 6, nil, false),
		"png too large":             pngFile(1<<32-1, 1<<32-1, 8, 2, nil, false),
		"png empty size":            pngFile(0, 10, 8, 2, nil, false),
		"png not deflate":           pngFile(10, 10, 8, 2, []byte("this is no zlib stream"), true),
		"png no data":               pngFile(10, 10, 8, 2, nil, true),
		"png bad depth":             pngFile(10, 10, 3, 2, nil, false),
		"png bad filter":            pngFile(1, 1, 8, 0, []byte{9, 9}, false),
		"png signature only":        []byte("\x89PNG\r\n\x1a\n"),
		"png header cut":            pngFile(10, 10, 8, 2, nil, false)[:20],
		"jpeg 65535x65535":          jpegHeader(65535, 65535, 0xc0, "\x00\xff\xd9"),
		"jpeg 13000x13000":          jpegHeader(13000, 13000, 0xc0, "\x00\xff\xd9"),
		"jpeg progressive":          jpegHeader(13000, 13000, 0xc2, "\x00\xff\xd9"),
		"jpeg no data":              jpegHeader(64, 64, 0xc0, ""),
		"jpeg arithmetic":           jpegHeader(64, 64, 0xc9, "\x00\xff\xd9"),
		"jpeg lossless":             jpegHeader(64, 64, 0xc3, "\x00\xff\xd9"),
		"jpeg SOI only":             []byte("\xff\xd8\xff"),
		"jpeg SOI and EOI":          []byte("\xff\xd8\xff\xd9"),
		"jpeg long segment":         []byte("\xff\xd8\xff\xe0\xff\xff\x00"),
		"gif 65535x65535":           gif(65535, 65535, 65535, 65535, "\x02\x02\x4c\x01\x00;"),
		"gif 13000x13000":           gif(13000, 13000, 13000, 13000, "\x02\x02\x4c\x01\x00;"),
		"gif large screen":          gif(13000, 13000, 1, 1, "\x02\x02\x44\x01\x00;"),
		"gif no data":               gif(5, 5, 5, 5, "\x02\x00;"),
		"gif code size":             gif(5, 5, 5, 5, "\x0e\x02\x4c\x01\x00;"),
		"gif empty":                 []byte("GIF89a\x05\x00\x05\x00\x00\x00\x00;"),
		"bmp 30000x30000":           bmp(30000, 30000, 24, 0, "abc"),
		"bmp 13000x13000":           bmp(13000, 13000, 24, 0, "abc"),
		"bmp negative":              bmp(1<<31, 1<<31, 24, 0, "abc"),
		"bmp run lengths":           bmp(13000, 13000, 8, 1, strings.Repeat("\x00\x02\xff\xff", 600)),
		"bmp PNG inside":            bmp(5, 5, 24, 5, "abc"),
		"webp lossy 16383x16383":    riff("VP8 ", vp8(16383, 16383)),
		"webp lossy 13000x13000":    riff("VP8 ", vp8(13000, 13000)),
		"webp lossless":             riff("VP8L", vp8l(16384, 16384)),
		"webp lossless 13000x13000": riff("VP8L", vp8l(13000, 13000)),
		"webp canvas":               riff("VP8X", []byte("\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff")),
		"webp no picture":           riff("XMP ", []byte("abc")),
		"webp cut":                  riff("VP8L", vp8l(5, 5))[:30],
		"tiff no tags":              tiffFile(),
		"tiff 13000x13000":          tiffFile([2]uint32{256, 13000}, [2]uint32{257, 13000}, [2]uint32{262, 1}, [2]uint32{273, 8}, [2]uint32{279, 50}),
		"tiff largest":              tiffFile([2]uint32{256, 1<<32 - 1}, [2]uint32{257, 1<<32 - 1}, [2]uint32{262, 1}, [2]uint32{273, 8}),
		"tiff many strips":          tiffFile([2]uint32{256, 1}, [2]uint32{257, 100000000}, [2]uint32{262, 1}, [2]uint32{278, 1}, [2]uint32{273, 8}),
		"tiff huge tiles":           tiffFile([2]uint32{256, 100}, [2]uint32{257, 100}, [2]uint32{258, 8}, [2]uint32{259, 8}, [2]uint32{262, 1}, [2]uint32{322, 1 << 30}, [2]uint32{323, 1 << 30}, [2]uint32{324, 8}, [2]uint32{325, 50}),
		"tiff no tile size":         tiffFile([2]uint32{256, 5}, [2]uint32{257, 5}, [2]uint32{262, 1}, [2]uint32{324, 8}),
		"tiff offset past end":      tiffFile([2]uint32{256, 5}, [2]uint32{257, 5}, [2]uint32{262, 1}, [2]uint32{273, 1 << 31}),
		"tiff bits":                 tiffFile([2]uint32{256, 5}, [2]uint32{257, 5}, [2]uint32{258, 1 << 20}, [2]uint32{262, 1}, [2]uint32{273, 8}),
		"tiff samples":              tiffFile([2]uint32{256, 5}, [2]uint32{257, 5}, [2]uint32{262, 2}, [2]uint32{273, 8}, [2]uint32{277, 1 << 30}),
		"tiff compression":          tiffFile([2]uint32{256, 5}, [2]uint32{257, 5}, [2]uint32{259, 9999}, [2]uint32{262, 1}, [2]uint32{273, 8}, [2]uint32{279, 50}),
		"tiff directory past end":   []byte("II*\x00\xff\xff\xff\xff"),
		"tiff header cut":           []byte("MM\x00*"),
		"bigtiff":                   []byte("II+\x00\x08\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
		"empty":                     {},
		"text":                      []byte("hello, this is not a picture"),
		"zeros":                     make([]byte, 5000),
		"HTML":                      []byte("<!DOCTYPE html><html><body>404</body></html>"),
		"AVIF":                      []byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00"),
		"Git LFS":                   []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
	}
}

func TestHostile(t *testing.T) {
	for name, data := range hostile() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			p, err := DecodeBytes(data, Limits{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("no error, %dx%d", p.H, p.W)
			}
			t.Log(err)
			if !strings.HasPrefix(err.Error(), "imageproc: ") || strings.Contains(err.Error(), "the decoder failed") {
				t.Errorf("error %q", err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 20<<20 {
				t.Errorf("took %d bytes", n)
			}
			if took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestBomb checks that a stream that goes on after the picture is not inflated.
func TestBomb(t *testing.T) {
	data := pngFile(10, 10, 8, 0, make([]byte, 8<<20), false)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	DecodeBytes(data, Limits{}) // an error or not
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("took %d bytes", n)
	}
}

func TestLimits(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, noise(30, 40).image()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.png")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		lim  Limits
		want string // in the error; empty for none
	}{
		{"defaults", Limits{}, ""},
		{"just enough", Limits{MaxPixels: 1200, MaxBytes: int64(b.Len())}, ""},
		{"pixels", Limits{MaxPixels: 1199}, "40x30 (width x height) is more than the limit of 1199 pixels"},
		{"bytes", Limits{MaxBytes: int64(b.Len()) - 1}, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeFile(path, c.lim)
			_, err2 := Decode(bytes.NewReader(b.Bytes()), c.lim)
			for _, err := range []error{err, err2} {
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("error %v, want %q", err, c.want)
				}
			}
			if err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not name the path", err)
			}
		})
	}
}

// TestSpecialFiles checks that what is no regular file is refused, at once.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.png")
	special := map[string]string{
		dir:                              "directory",
		"/dev/zero":                      "device",
		"/dev/null":                      "device",
		filepath.Join(dir, "absent.png"): "no such file",
		"https://example.com/a.png":      "URL",
		"data:image/png;base64,AAAA":     "URL",
		"a\x00b":                         "invalid",
	}
	if runtime.GOOS == "windows" {
		t.Skip("no device files")
	}
	if makeFIFO(fifo) == nil {
		special[fifo] = "pipe"
		link := filepath.Join(dir, "link.png")
		if err := os.Symlink(fifo, link); err == nil {
			special[link] = "pipe"
		}
	}
	for path, want := range special {
		done := make(chan error, 1)
		go func() {
			_, err := new(Processor).Load(path)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want one about %q", path, err, want)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%q: hangs", path)
		}
	}
}

// TestNotAPicture checks that the error names the path and how the file begins.
func TestNotAPicture(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, content, want string }{
		{"a.png", "hello world", `begins with "hello world"`},
		{"b.jpg", "", "empty"},
		{"c.webp", "RIFF\x00\x00\x00\x00AVI LIST", "not a picture"},
		{"d.gif", "version https://git-lfs.github.com/spec/v1", "Git LFS"},
		{"e.jpg", "\x00\x00\x00\x1cftypheic", "HEIF"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := DecodeFile(path, Limits{})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// TestPanic checks that a panic in a decoder becomes an error.
func TestPanic(t *testing.T) {
	f := &format{name: "X", decode: func([]byte, raster.Options) (*raster.Image, error) {
		var s []int
		return nil, map[int]error{0: io.EOF}[s[3]]
	}}
	if _, err := f.safely(nil, raster.Options{}); err == nil || !strings.Contains(err.Error(), "the decoder failed") {
		t.Errorf("error %v", err)
	}
}

// TestJPEGOfGo checks a picture from another encoder against the standard
// library's decoder, within the few levels that their arithmetic differs by.
func TestJPEGOfGo(t *testing.T) {
	src := photo(65, 101)
	for i := range src.Pix {
		src.Pix[i] = src.Pix[i/3*3] // gray, so that interpolating chroma is no matter
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, src.image(), &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBytes(b.Bytes(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for y := range got.H {
		for x := range got.W {
			c := color.NRGBAModel.Convert(want.At(x, y)).(color.NRGBA)
			for i, v := range [3]byte{c.R, c.G, c.B} {
				if d := int(v) - int(got.Pix[3*(y*got.W+x)+i]); d < -4 || d > 4 {
					t.Fatalf("pixel %d,%d: channel %d differs by %d", x, y, i, d)
				}
			}
		}
	}
}
