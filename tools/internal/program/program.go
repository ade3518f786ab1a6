// Package program holds what the tests of the README's programs share.
package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/scratch"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

// Build builds the program in the working directory, and returns its path.
func Build(t testing.TB) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return exe
}

// Checkpoint makes a small checkpoint with random weights, and returns its folder.
func Checkpoint(t testing.TB) string {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{"How many circles are there?"}), tokenizer.TrainOptions{VocabSize: 260, Fewer: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := scratch.Config(tok, scratch.Sizes{Hidden: 32, Layers: 2, Heads: 2, KVHeads: 1, VisionHidden: 16, VisionDepth: 2, VisionHeads: 2, Positions: 2048})
	if err != nil {
		t.Fatal(err)
	}
	files, dir := filepath.Join(t.TempDir(), "files"), filepath.Join(t.TempDir(), "model")
	if err := scratch.WriteCompanions(files, tok, c, scratch.Pixels{Max: 112 * 112}); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Init(t.Context(), dir, c, checkpoint.InitOptions{Tokenizer: files, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// InReadme holds main.go against the README's block of Go that calls what mark says: they are the same from the package clause on. It
// returns the file's lines.
func InReadme(t testing.TB, mark string) int {
	t.Helper()
	file, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(file), "package main\n")
	found := 0
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1) {
		if got, is := strings.CutPrefix(string(block[1]), "package main\n"); is && strings.Contains(got, mark) {
			found++
			if got != code {
				t.Errorf("the README's program with %s is not main.go:\n%s", mark, got)
			}
		}
	}
	if found != 1 {
		t.Errorf("the README has %d programs with %s, want 1", found, mark)
	}
	return strings.Count(string(file), "\n")
}
