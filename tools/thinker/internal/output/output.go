package output

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Stdout is the path that stands for standard output.
const Stdout = "-"

// ErrClosed is returned by what is done to a closed file.
var ErrClosed = errors.New("the output is closed")

// A File is an output under way. Close may be called from another goroutine than the one that writes, to give up.
type File struct {
	mu     sync.Mutex
	name   string // for messages
	w      *bufio.Writer
	f      *os.File // nil for standard output
	target string   // what Commit replaces; "" for what is written as it comes
	done   bool
}

// Create starts the output to path, or to stdout where path is [Stdout]. A symbolic link is followed. A folder, and a path in a folder
// that does not exist or cannot be written, are refused here and not after hours of work.
func Create(path string, stdout io.Writer) (*File, error) {
	if path == Stdout {
		return &File{name: "standard output", w: bufio.NewWriter(stdout)}, nil
	}
	if path == "" {
		return nil, fmt.Errorf("the output has no name: name a file, or %q for standard output", Stdout)
	}
	target := path
	if t, err := filepath.EvalSymlinks(path); err == nil {
		target = t
	}
	perm := fs.FileMode(0o666)
	switch fi, err := os.Stat(target); {
	case err == nil && fi.IsDir():
		return nil, fmt.Errorf("%s is a folder: name a file", path)
	case err == nil && !fi.Mode().IsRegular():
		// A rename would put a plain file in the place of the device.
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &File{name: path, w: bufio.NewWriter(f), f: f}, nil
	case err == nil:
		perm = fi.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	dir, base := filepath.Split(target)
	if base == "" || base == "." || base == ".." {
		return nil, fmt.Errorf("%q names no file", path)
	}
	var suffix [8]byte
	rand.Read(suffix[:]) // never fails
	f, err := os.OpenFile(filepath.Join(dir, "."+base+".tmp-"+hex.EncodeToString(suffix[:])), os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, fmt.Errorf("cannot write beside %s: %w", path, err)
	}
	return &File{name: path, w: bufio.NewWriterSize(f, 1<<18), f: f, target: target}, nil
}

// Name is the path given to Create, or "standard output".
func (o *File) Name() string { return o.name }

// Replaces reports whether Commit puts a new file in the place of an old one. What does not is written as it comes, and leaves nothing
// to clean up.
func (o *File) Replaces() bool { return o.target != "" }

// Write appends to the output. What is written as it comes is passed on at once, so that a reader at the other end of a pipe sees
// every line as soon as it is there.
func (o *File) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return 0, ErrClosed
	}
	n, err := o.w.Write(p)
	if err == nil && o.target == "" {
		err = o.w.Flush()
	}
	if err != nil {
		err = fmt.Errorf("writing %s: %w", o.name, err)
	}
	return n, err
}

// Commit completes the output: it flushes it to the disk and puts it in the place of the target. After an error the target is as it
// was.
func (o *File) Commit() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return ErrClosed
	}
	o.done = true
	err := o.w.Flush()
	if o.f == nil {
		return o.wrap(err)
	}
	if o.target != "" && err == nil {
		err = o.f.Sync()
	}
	if cerr := o.f.Close(); err == nil {
		err = cerr
	}
	if o.target == "" {
		return o.wrap(err)
	}
	if err == nil {
		err = os.Rename(o.f.Name(), o.target)
	}
	if err != nil {
		os.Remove(o.f.Name())
		return o.wrap(err)
	}
	return o.wrap(syncDir(filepath.Dir(o.target)))
}

func (o *File) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("writing %s: %w", o.name, err)
	}
	return nil
}

// Close gives the output up. After Commit or a first Close it does nothing.
func (o *File) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return nil
	}
	o.done = true
	if o.f == nil {
		return nil
	}
	err := o.f.Close()
	if o.target != "" {
		err = errors.Join(err, os.Remove(o.f.Name()))
	}
	return err
}

// syncDir makes a rename within the folder durable, where folders can be flushed.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
