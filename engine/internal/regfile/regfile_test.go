package regfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	want := bytes.Repeat([]byte("abc"), 1000)
	if err := os.WriteFile(path, want, 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path, int64(len(want)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("ReadFile at its limit: %d bytes, %v", len(got), err)
	}
	if _, err := ReadFile(path, int64(len(want)-1)); err == nil || !strings.Contains(err.Error(), "the limit is 2999") {
		t.Errorf("ReadFile over its limit: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if got, err := ReadFile(link, 1<<20); err != nil || len(got) != len(want) {
		t.Errorf("through a symbolic link: %d bytes, %v", len(got), err)
	}
	if _, err := ReadFile(filepath.Join(dir, "absent"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v, want fs.ErrNotExist", err)
	}
}

func TestReadFileGrowing(t *testing.T) {
	const path = "/proc/self/stat" // a regular file whose size is given as 0
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /proc here")
	}
	if got, err := ReadFile(path, 1<<16); err != nil || len(got) == 0 {
		t.Errorf("%s: %d bytes, %v", path, len(got), err)
	}
	if _, err := ReadFile(path, 4); err == nil {
		t.Errorf("%s: no error over the limit", path)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct{ name, path, want string }{
		{"directory", t.TempDir(), "directory"},
		{"device", os.DevNull, "device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _, err := Open(tt.path)
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
				t.Errorf("error %q names neither %q nor the path", err, tt.want)
			}
		})
	}
}
