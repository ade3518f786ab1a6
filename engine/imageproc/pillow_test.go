package imageproc

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

type pillowPicture struct {
	file, sum string
	h, w      int
}

// pillowPictures lists testdata/pillow: small files of every format, layout and
// kind of metadata, with the SHA-256 of the RGB bytes that Pillow 13.0 makes of
// them by Image.open, ImageOps.exif_transpose and convert("RGB"). Only for gray
// pictures of 16 bits the sum is of the high bytes, where Pillow would clip.
func pillowPictures(t testing.TB) []pillowPicture {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "pillow", "sums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []pillowPicture
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var p pillowPicture
		if _, err := fmt.Sscan(sc.Text(), &p.sum, &p.h, &p.w, &p.file); err != nil {
			t.Fatalf("%q: %v", sc.Text(), err)
		}
		p.file = filepath.Join("testdata", "pillow", p.file)
		out = append(out, p)
	}
	if len(out) < 100 {
		t.Fatalf("%d pictures", len(out))
	}
	return out
}

// TestPillow compares every byte with Pillow's, with one worker and with
// several.
func TestPillow(t *testing.T) {
	for _, p := range pillowPictures(t) {
		t.Run(filepath.Base(p.file), func(t *testing.T) {
			for _, workers := range []int{1, 3} {
				rgb, err := decodeFile(p.file, Limits{}, workers)
				if err != nil {
					t.Fatal(err)
				}
				if rgb.H != p.h || rgb.W != p.w {
					t.Fatalf("size %dx%d, want %dx%d", rgb.H, rgb.W, p.h, p.w)
				}
				if got := hexHash(rgb.Pix); got != p.sum {
					t.Errorf("workers %d: sha256 of the pixels is %s, want %s", workers, got, p.sum)
				}
			}
		})
	}
}

// TestTruncated cuts files of every format short. A third of a file is always
// too little; wherever the cut is, the result is an error or a whole picture.
func TestTruncated(t *testing.T) {
	for _, p := range pillowPictures(t) {
		data, err := os.ReadFile(p.file)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(data)/60)
		for n := 0; n < len(data); n += step {
			rgb, err := DecodeBytes(data[:n], Limits{})
			if err == nil && (n <= len(data)/3 || len(rgb.Pix) != 3*rgb.H*rgb.W) {
				t.Errorf("%s: no error for %d of %d bytes", p.file, n, len(data))
			}
		}
	}
}
