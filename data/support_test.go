package data

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder is a data set of a test: pictures at images/a.png, images/sub/b.png and c.png, and what a test writes.
type folder string

func newFolder(t testing.TB) folder {
	d := folder(t.TempDir())
	for _, name := range []string{"images/a.png", "images/sub/b.png", "c.png"} {
		d.write(t, name, "a picture")
	}
	return d
}

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) write(t testing.TB, name, text string) string {
	t.Helper()
	path := d.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a file with text in it.
func (d folder) open(t testing.TB, o Options, text string) (*Set, *Report, error) {
	t.Helper()
	s, report, err := Open(context.Background(), o, d.write(t, "d.jsonl", text))
	if report == nil {
		t.Fatal("no report")
	}
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, report, err
}

// one reads the only record of a file with text in it.
func (d folder) one(t testing.TB, o Options, text string) *Record {
	t.Helper()
	s, _, err := d.open(t, o, text)
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 1 {
		t.Fatalf("%d records, want 1", s.Len())
	}
	r, err := s.Record(0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ids are the ids of a set's records.
func ids(t testing.TB, s *Set) string {
	t.Helper()
	var b strings.Builder
	for i := range s.Len() {
		r, err := s.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.ID)
	}
	return b.String()
}

var types = []string{"digit", "iou", "math", "mcq", "open_ended"}
