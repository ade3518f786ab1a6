package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("draws and reads pictures of real size")
	}
	dir := t.TempDir()
	o := options{pictures: 5, steps: 2, group: 2, tokens: 4, pixels: 112 * 112, every: 2, save: 1, freeze: true,
		dir: filepath.Join(dir, "data"), heap: filepath.Join(dir, "heap")}
	for range 2 { // the second time the pictures are there
		var out strings.Builder
		if err := run(t.Context(), &out, &o); err != nil {
			t.Fatal(err)
		}
		number := `\d+(\.\d)?`
		if runtime.GOOS != "linux" {
			number = `(-|\d+(\.\d)?)`
		}
		line := `\| %d` + strings.Repeat(` \| `+number, 7) + ` \|\n`
		want := regexp.MustCompile(`(?s)^5 records kept of 5 in 4 files .*\n4 pictures seen, .*\n\n\| step .*\n\| ---.*\n` +
			strings.ReplaceAll(line, "%d", "1") + strings.ReplaceAll(line, "%d", "2") + `$`)
		if !want.MatchString(out.String()) {
			t.Errorf("output\n%s", &out)
		}
		if info, err := os.Stat(o.heap); err != nil || info.Size() == 0 {
			t.Errorf("heap profile: %v", err)
		}
	}
	if err := run(t.Context(), new(strings.Builder), &options{pictures: 3, steps: 4, every: 1}); err == nil || !strings.Contains(err.Error(), "3 pictures, 4 steps") {
		t.Errorf("error %v", err)
	}
}
