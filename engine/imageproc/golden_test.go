package imageproc

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

// testdata returns the path of a file of the shared test data, and skips the
// test if the data is not there.
func testdata(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				t.Fatal("no go.mod above the test's directory")
			}
			dir = parent
		}
		root = filepath.Join(dir, "..", "shared", "testdata")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("test data is missing (set THINKER_TESTDATA): %v", err)
	}
	return path
}

// readLines decodes a file of JSON lines.
func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<26)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s:%d: %v", path, len(out)+1, err)
		}
		out = append(out, v)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("%s: no lines", path)
	}
	return out
}

func hexHash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// floatBytes returns the values in little-endian order.
func floatBytes(v []float32) []byte {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
	}
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

type goldenPicture struct {
	File       string
	Format     string
	Mode       string
	Exact      bool
	Size       [2]int
	ResizedPNG string `json:"resized_png"`
	Budgets    []struct {
		MinPixels int    `json:"min_pixels"`
		MaxPixels int    `json:"max_pixels"`
		Resized   [2]int `json:"resized"`
		Grid      [3]int `json:"grid_thw"`
		RGB       string `json:"rgb_sha256"`
		Values    string `json:"pixel_values_sha256"`
	}
}

// TestGoldenPictures compares with what the reference made of each picture for
// three budgets of pixels. All must be equal in every byte, the lossy formats
// too, although for those the reference data allows a small difference.
func TestGoldenPictures(t *testing.T) {
	dir := testdata(t, "golden", "images")
	for _, g := range readLines[goldenPicture](t, filepath.Join(dir, "images.jsonl")) {
		t.Run(g.File, func(t *testing.T) {
			if testing.Short() && g.Size[0]*g.Size[1] > 500*500 {
				t.Skip("a large picture")
			}
			path := filepath.Join(dir, g.File)
			if _, err := os.Stat(path); err != nil {
				path = filepath.Join(dir, "..", g.File)
			}
			rgb, err := DecodeFile(path, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range g.Budgets {
				p := Processor{MinPixels: b.MinPixels, MaxPixels: b.MaxPixels}
				im, err := p.FromRGB(rgb)
				if err != nil {
					t.Fatal(err)
				}
				if got := [2]int{im.OrigH, im.OrigW}; got != g.Size {
					t.Fatalf("size %v, want %v", got, g.Size)
				}
				if got := [2]int{im.ResizedH, im.ResizedW}; got != b.Resized || im.Grid != b.Grid {
					t.Fatalf("resized %v with grid %v, want %v and %v", got, im.Grid, b.Resized, b.Grid)
				}
				if got := hexHash(im.Pixels); got != b.RGB {
					t.Errorf("budget %d to %d: sha256 of the pixels is %s, want %s", b.MinPixels, b.MaxPixels, got, b.RGB)
				}
				if got := hexHash(floatBytes(im.Patches())); got != b.Values {
					t.Errorf("budget %d to %d: sha256 of the patches is %s, want %s", b.MinPixels, b.MaxPixels, got, b.Values)
				}
				if g.ResizedPNG != "" && b.MinPixels == 3136 && b.MaxPixels == 18816 {
					compareResized(t, im, filepath.Join(dir, g.ResizedPNG))
				}
			}
		})
	}
}

// compareResized holds the pixels against the reference's within the bounds
// that the reference data sets for lossy formats.
func compareResized(t *testing.T, im *Image, path string) {
	t.Helper()
	want, err := DecodeFile(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Pix) != len(im.Pixels) {
		t.Fatalf("%d bytes, want %d", len(im.Pixels), len(want.Pix))
	}
	sum, far, most := 0, 0, 0
	for i, v := range want.Pix {
		d := int(v) - int(im.Pixels[i])
		d = max(d, -d)
		sum += d
		most = max(most, d)
		if d > 6 {
			far++
		}
	}
	mean, close := float64(sum)/float64(len(want.Pix)), 1-float64(far)/float64(len(want.Pix))
	t.Logf("mean difference %.4f, largest %d, %.2f %% within 6", mean, most, 100*close)
	if mean > 1 || close < 0.995 {
		t.Errorf("mean difference %.3f and %.2f %% within 6, want at most 1 and at least 99.5 %%", mean, 100*close)
	}
}

// TestGoldenCases checks the pictures of the reference's conversations.
func TestGoldenCases(t *testing.T) {
	type golden struct {
		Name    string
		Images  []string
		Grid    [][3]int `json:"image_grid_thw"`
		Resized [][2]int
		Values  string `json:"pixel_values_sha256"`
	}
	for _, model := range []string{"tiny", "wide"} {
		for _, g := range readLines[golden](t, testdata(t, "golden", model+"-cases", "cases.jsonl")) {
			if g.Values == "" {
				continue
			}
			t.Run(model+"/"+g.Name, func(t *testing.T) {
				p := Processor{MaxPixels: 100352}
				var values []float32
				for i, f := range g.Images {
					im, err := p.Load(testdata(t, "golden", f))
					if err != nil {
						t.Fatal(err)
					}
					if im.Grid != g.Grid[i] || [2]int{im.ResizedH, im.ResizedW} != g.Resized[i] {
						t.Errorf("%s: grid %v of %dx%d, want %v of %v", f, im.Grid, im.ResizedH, im.ResizedW, g.Grid[i], g.Resized[i])
					}
					values = im.AppendPatches(values)
				}
				if got := hexHash(floatBytes(values)); got != g.Values {
					t.Errorf("sha256 of the patches is %s, want %s", got, g.Values)
				}
			})
		}
	}
}

// TestGoldenSmartResize checks sizes that the reference computed, or refused.
func TestGoldenSmartResize(t *testing.T) {
	type golden struct {
		H, W      int
		MinPixels int `json:"min_pixels"`
		MaxPixels int `json:"max_pixels"`
		Out       *[2]int
	}
	for _, g := range readLines[golden](t, testdata(t, "golden", "images", "smart_resize.jsonl")) {
		h, w, err := SmartResize(g.H, g.W, 28, g.MinPixels, g.MaxPixels)
		switch {
		case g.Out == nil && err == nil:
			t.Errorf("%dx%d within %d to %d: %dx%d, want an error", g.H, g.W, g.MinPixels, g.MaxPixels, h, w)
		case g.Out != nil && (err != nil || [2]int{h, w} != *g.Out):
			t.Errorf("%dx%d within %d to %d: %dx%d, %v; want %v", g.H, g.W, g.MinPixels, g.MaxPixels, h, w, err, *g.Out)
		}
	}
}
