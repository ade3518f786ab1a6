//go:build unix

package data

import (
	"context"
	"strings"
	"syscall"
	"testing"
)

// A pipe is neither a data set nor a picture, and nobody waits for one.
func TestPipes(t *testing.T) {
	d := newFolder(t)
	for _, name := range []string{"pipe", "images/pipe.png"} {
		if err := syscall.Mkfifo(d.path(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Open(context.Background(), Options{}, d.path("pipe")); err == nil || !strings.Contains(err.Error(), "it is no regular file") {
		t.Errorf("a pipe as data set: %v", err)
	}
	_, _, err := d.open(t, Options{}, `{"id":"x","question":"Q","image":"pipe.png"}`)
	if p, ok := err.(*Problem); !ok || p.Reason != badRegular || !strings.Contains(p.Error(), "is no regular file") {
		t.Errorf("a pipe as picture: %v", err)
	}
	s, _, err := d.open(t, Options{}, row("a"))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := s.OpenImage(d.path("images/pipe.png")); err == nil {
		t.Errorf("a pipe is opened: %v", f)
	}
}
