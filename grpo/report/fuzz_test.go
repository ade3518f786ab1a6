package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzWrite writes pages of arbitrary files: each is one that loads and runs nothing.
func FuzzWrite(f *testing.F) {
	dir := fake{30, 4, 2}.write(f)
	names := []string{"metrics.jsonl", "timing.jsonl", "eval/step-0.json", "eval/step-15.json", "eval/step-15.jsonl", "completions.jsonl", "run.yaml"}
	var seed [7][]byte
	for i, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		seed[i] = b[:min(len(b), 4096)]
	}
	f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6])
	f.Fuzz(func(t *testing.T, metrics, timing, first, last, samples, completions, runFile []byte) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "eval"), 0o777); err != nil {
			t.Fatal(err)
		}
		for i, b := range [][]byte{metrics, timing, first, last, samples, completions, runFile} {
			if err := os.WriteFile(filepath.Join(dir, names[i]), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if err := Write(&b, dir, Options{Roots: []string{dir}}); err != nil {
			t.Fatal(err)
		}
		if b.Len() > mostBytes {
			t.Errorf("the page has %d bytes", b.Len())
		}
		checkPage(t, b.String())
	})
}
