package imageproc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMeasure holds sizes against those of the whole file: in all formats, upright and not.
func TestMeasure(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "pillow", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no pictures: %v", err)
	}
	if root := os.Getenv("THINKER_TESTDATA"); root != "" {
		more, err := filepath.Glob(filepath.Join(root, "golden", "images", "pictures", "*"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	p := &Processor{}
	for _, path := range files {
		whole, wholeErr := p.Load(path)
		got, err := p.Measure(path)
		if wholeErr != nil {
			continue // a header may be sound where the rest is not
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got.Pixels != nil || got.Path != path {
			t.Errorf("%s: %d bytes of pixels, path %s", path, len(got.Pixels), got.Path)
		}
		same := got.OrigH == whole.OrigH && got.OrigW == whole.OrigW && got.Grid == whole.Grid
		turned := got.OrigH == whole.OrigW && got.OrigW == whole.OrigH
		if !same && !turned {
			t.Errorf("%s: %dx%d, want %dx%d", path, got.OrigH, got.OrigW, whole.OrigH, whole.OrigW)
		}
		if got.Tokens() != whole.Tokens() {
			t.Errorf("%s: %d tokens, want %d", path, got.Tokens(), whole.Tokens())
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.png")
	if err := os.WriteFile(text, []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{text: "no pict", dir: "directory", filepath.Join(dir, "missing.png"): "no such file"} {
		if _, err := (&Processor{}).Measure(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
