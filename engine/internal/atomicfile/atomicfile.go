// Package atomicfile replaces a file in one step.
//
// What is written goes to a temporary file in the same folder. Commit flushes
// it to the disk, renames it over the target and flushes the folder, so that
// after a crash at any point the target is either the old file or the whole new
// one. Close without Commit removes the temporary file and leaves the target as
// it was.
package atomicfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A File is a file that is being written.
type File struct {
	f    *os.File // nil after Commit or Close
	path string
	tmp  string
}

// Create starts the replacement of the file at path. A symbolic link is
// followed: the file that it points to is replaced. A target that exists and is
// no regular file (a folder, a device) is refused, because a rename would
// remove it.
func Create(path string) (*File, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	switch fi, err := os.Stat(path); {
	case err == nil && !fi.Mode().IsRegular():
		return nil, &fs.PathError{Op: "create", Path: path,
			Err: fmt.Errorf("it exists and is not a regular file (%v)", fi.Mode().Type())}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	dir, base := filepath.Split(path)
	if base == "" {
		return nil, &fs.PathError{Op: "create", Path: path, Err: errors.New("the path names no file")}
	}
	var suffix [8]byte
	rand.Read(suffix[:]) // never fails
	tmp := filepath.Join(dir, "."+base+".tmp-"+hex.EncodeToString(suffix[:]))
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &File{f: f, path: path, tmp: tmp}, nil
}

// Write appends to the temporary file.
func (a *File) Write(p []byte) (int, error) {
	if a.f == nil {
		return 0, fs.ErrClosed
	}
	return a.f.Write(p)
}

// Commit makes what was written the contents of the target. After an error the
// target is as it was and the temporary file is gone; only an error of the last
// step, flushing the folder, leaves the new file in place.
func (a *File) Commit() error {
	if a.f == nil {
		return fs.ErrClosed
	}
	f := a.f
	a.f = nil
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(a.tmp, a.path)
	}
	if err != nil {
		os.Remove(a.tmp)
		return err
	}
	return SyncDir(filepath.Dir(a.path))
}

// Close gives up the replacement. After Commit or a first Close it does nothing.
func (a *File) Close() error {
	if a.f == nil {
		return nil
	}
	f := a.f
	a.f = nil
	err := f.Close()
	if rerr := os.Remove(a.tmp); err == nil {
		err = rerr
	}
	return err
}

// WriteFile replaces the file at path by data.
func WriteFile(path string, data []byte) error {
	a, err := Create(path)
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.Write(data); err != nil {
		return err
	}
	return a.Commit()
}

// SyncDir flushes the entries of a folder to the disk, which makes renames
// within it durable. Where folders cannot be flushed it does nothing.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
