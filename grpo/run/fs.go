package run

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// An FS is what this package asks of a file system. [Disk] is the real one;
// tests put others in its place, which crash and fail at will.
//
// Errors wrap those of package io/fs where there is one that fits.
type FS interface {
	Mkdir(name string) error                    // whose parent exists
	Create(name string) (WriteFile, error)      // a new file; one that exists is an error
	Open(name string) (io.ReadCloser, error)    // a regular file, no link
	Rename(old, new string) error               // to a name that is free
	Remove(name string) error                   // a file, a link or an empty directory
	SyncFile(name string) error                 // a file's data
	SyncDir(name string) error                  // a directory's entries
	List(name string) ([]Info, error)           // a directory's entries, in the order of their names
	Stat(name string) (Info, error)             // of the entry itself, no link is followed
	Free(name string) (bytes int64, ok bool)    // what may be written to the disk of a directory; ok is false if it is not known
	Lock(name string) (release func(), _ error) // a file that is made if it is missing; ErrLocked if another holds it
}

// A WriteFile is a file that is being written.
type WriteFile interface {
	io.WriteCloser
	Sync() error
}

// An Info describes an entry of a directory.
type Info struct {
	Name string      // without the directory
	Type fs.FileMode // the type bits
	Size int64       // of a regular file
}

// ErrLocked says that another process has the run directory open.
var ErrLocked = errors.New("the run directory is in use by another process")

// Disk is the operating system's file system.
type Disk struct{}

// Mkdir makes a directory.
func (Disk) Mkdir(name string) error { return os.Mkdir(name, 0o777) }

// Create makes a file.
func (Disk) Create(name string) (WriteFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a regular file. It does not wait for the other end of a pipe.
func (Disk) Open(name string) (io.ReadCloser, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("it is not a regular file (%v)", fi.Mode().Type())}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Rename gives a file or directory another name.
func (Disk) Rename(old, new string) error { return os.Rename(old, new) }

// Remove removes a file, a link or an empty directory.
func (Disk) Remove(name string) error { return os.Remove(name) }

// SyncFile flushes a file's data to the disk.
func (Disk) SyncFile(name string) error { return flush(name) }

// SyncDir flushes a directory's entries to the disk. Where directories cannot
// be flushed it does nothing.
func (Disk) SyncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return flush(name)
}

func flush(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// List returns the entries of a directory. One that vanishes meanwhile is left
// out.
func (Disk) List(name string) ([]Info, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(entries))
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info(fi))
	}
	return infos, nil
}

// Stat describes an entry, a link as a link.
func (Disk) Stat(name string) (Info, error) {
	fi, err := os.Lstat(name)
	if err != nil {
		return Info{}, err
	}
	return info(fi), nil
}

func info(fi fs.FileInfo) Info {
	return Info{Name: fi.Name(), Type: fi.Mode().Type(), Size: fi.Size()}
}

// Free returns how many bytes this user may write to the disk of a directory.
func (Disk) Free(name string) (int64, bool) { return diskFree(name) }

// Lock takes the lock of a file, which the system gives back when the process
// ends, however it ends.
func (Disk) Lock(name string) (func(), error) { return lock(name) }
