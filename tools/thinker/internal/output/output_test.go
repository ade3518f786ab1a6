package output

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// only checks that the folder holds nothing but these files: no temporary file is left behind.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func contents(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", filepath.Base(path), got, err, want)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	for _, text := range []string{"first\n", "second\n"} {
		o, err := Create(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !o.Replaces() {
			t.Error("a file is not replaced")
		}
		if text == "second\n" {
			contents(t, path, "first\n")
		}
		if _, err := o.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := o.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Errorf("Close after Commit: %v", err)
		}
		contents(t, path, text)
	}
	only(t, dir, "out")
}

func TestGiveUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	os.WriteFile(path, []byte("old"), 0o640)
	o, err := Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Write(bytes.Repeat([]byte("new"), 1<<18))
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := o.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := o.Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit after Close: %v", err)
	}
	contents(t, path, "old")
	only(t, dir, "out")
}

func TestKeepsMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	os.WriteFile(path, nil, 0o600)
	o, err := Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(); err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want that of the file replaced", fi.Mode())
	}
}

func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "zlink")
	os.WriteFile(target, []byte("old"), 0o666)
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	o, err := Create(link, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Write([]byte("new"))
	if err := o.Commit(); err != nil {
		t.Fatal(err)
	}
	contents(t, target, "new")
	if fi, _ := os.Lstat(link); fi.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced and not what it points to")
	}
	only(t, dir, "target", "zlink")
}

func TestStdoutAndDevices(t *testing.T) {
	var stdout bytes.Buffer
	o, err := Create(Stdout, &stdout)
	if err != nil {
		t.Fatal(err)
	}
	o.Write([]byte("line\n"))
	if stdout.String() != "line\n" {
		t.Error("a line to standard output waits for more")
	}
	if o.Replaces() {
		t.Error("standard output is replaced")
	}
	if err := o.Commit(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(os.DevNull); err != nil {
		t.Skip(err)
	}
	o, err = Create(os.DevNull, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Write([]byte("x"))
	if err := o.Commit(); err != nil {
		t.Error(err)
	}
	if fi, err := os.Stat(os.DevNull); err != nil || fi.Mode()&fs.ModeDevice == 0 {
		t.Fatalf("%s was replaced: %v, %v", os.DevNull, fi.Mode(), err)
	}
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "no", "such", "folder"), dir + "/", "", "/dev/full/x"} {
		if o, err := Create(path, nil); err == nil {
			o.Close()
			t.Errorf("%q: no error", path)
		}
	}
	only(t, dir)
	if _, err := os.Stat("/dev/full"); err == nil {
		o, err := Create("/dev/full", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "/dev/full") {
			t.Errorf("a full device: %v", err)
		}
		o.Close()
	}
}
