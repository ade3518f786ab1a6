package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgram runs the program as a user would, on a golden checkpoint.
func TestProgram(t *testing.T) {
	data := os.Getenv("THINKER_TESTDATA")
	if data == "" {
		data = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	golden := filepath.Join(data, "golden")
	if _, err := os.Stat(golden); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", golden)
	}
	bin := filepath.Join(t.TempDir(), "ask")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out, err := exec.Command(bin, filepath.Join(golden, "tiny"), filepath.Join(golden, "pictures", "a10x12.png"), "What is it?").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "answer "); n != 4 || strings.Count(string(out), "log-probs [-") != 4 {
		t.Errorf("%d answers, want 4 with log-probs:\n%s", n, out)
	}
}

// TestReadme holds the README's program against this one.
func TestReadme(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(program), "package main")
	if !strings.Contains(string(readme), "```go\npackage main"+code+"```") {
		t.Error("README.md does not hold the program of tools/ask/main.go word for word")
	}
}
