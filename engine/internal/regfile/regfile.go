// Package regfile opens regular files and nothing else.
//
// A path from outside may name a FIFO, on which open blocks; a device, on which
// a read never ends or does harm; or a directory. Open looks before it opens,
// opens without blocking, and looks again at what it has opened.
package regfile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open opens the regular file at path for reading. Symbolic links are followed.
// Its errors are of type [*fs.PathError].
func Open(path string) (*os.File, fs.FileInfo, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := check(path, fi); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	// The file may have been replaced between the two calls.
	if fi, err = f.Stat(); err == nil {
		err = check(path, fi)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

// ReadFile returns the contents of the regular file at path. A file of more
// than limit bytes is an error and is not read.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, fi, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi.Size() > limit {
		return nil, tooLarge(path, fi.Size(), limit)
	}
	// The size may be stale or, under /proc, zero: read until the end, but
	// never past the limit.
	data := make([]byte, 0, fi.Size()+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if int64(len(data)) > limit {
			return nil, tooLarge(path, int64(len(data)), limit)
		}
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

func tooLarge(path string, size, limit int64) error {
	return &fs.PathError{Op: "read", Path: path,
		Err: fmt.Errorf("file has %d bytes or more, the limit is %d", size, limit)}
}

func check(path string, fi fs.FileInfo) error {
	kind := "a special file"
	switch m := fi.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		kind = "a directory"
	case m&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case m&fs.ModeSocket != 0:
		kind = "a socket"
	case m&fs.ModeDevice != 0:
		kind = "a device"
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is %s, not a regular file", kind)}
}
