package main

import (
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/tools/internal/program"
)

// TestProgram runs the program as a user would.
func TestProgram(t *testing.T) {
	exe, model := program.Build(t), program.Checkpoint(t)
	picture := filepath.Join(t.TempDir(), "picture.png")
	f, err := os.Create(picture)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, image.NewGray(image.Rect(0, 0, 60, 90))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, model, picture, "What is it?").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "answer "); n != 4 || strings.Count(string(out), "log-probs [-") != 4 {
		t.Errorf("%d answers, want 4 with log-probs:\n%s", n, out)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no arguments": {nil, "usage: ask CHECKPOINT PICTURE QUESTION"},
		"no model":     {[]string{"none", picture, "?"}, "none"},
		"no picture":   {[]string{model, "none.png", "?"}, "none.png"},
	} {
		if out, err := exec.Command(exe, tt.args...).CombinedOutput(); err == nil || !strings.Contains(string(out), tt.want) || strings.Contains(string(out), "goroutine") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestReadme holds the README's program against this one.
func TestReadme(t *testing.T) {
	if n := program.InReadme(t, ".Generate("); n > 40 {
		t.Errorf("%d lines, the README promises a short program", n)
	}
}
