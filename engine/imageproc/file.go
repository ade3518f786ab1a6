package imageproc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// sniffLen is how much of a file is read before it is known to be a picture.
const sniffLen = 4096

// readPictureFile reads a regular file that begins like a picture. Anything
// else, a device, a pipe, a directory, is refused without being read.
func readPictureFile(path string, maxBytes int64) ([]byte, error) {
	f, head, size, err := openPictureFile(path, maxBytes)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, size)
	n := copy(data, head)
	m, err := io.ReadFull(f, data[n:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return data[:n+m], nil
}

// openPictureFile opens such a file, and returns its size and its beginning,
// which is read.
func openPictureFile(path string, maxBytes int64) (_ *os.File, head []byte, size int64, err error) {
	// Opening a pipe or a device can block or have effects, so look first. The
	// file may have been replaced by then; look again, and do not block.
	info, err := os.Stat(path)
	if err != nil {
		if strings.Contains(path, "://") || strings.HasPrefix(path, "data:") {
			return nil, nil, 0, fmt.Errorf("%.100q is a URL; pictures are read from local files only: fetch it and give the file's path", path)
		}
		return nil, nil, 0, err
	}
	if err := checkRegular(path, info); err != nil {
		return nil, nil, 0, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if info, err = f.Stat(); err != nil {
		return nil, nil, 0, err
	}
	if err := checkRegular(path, info); err != nil {
		return nil, nil, 0, err
	}
	if info.Size() > maxBytes {
		return nil, nil, 0, fmt.Errorf("%s: %d bytes are more than the limit of %d for a picture file", path, info.Size(), maxBytes)
	}
	head = make([]byte, min(sniffLen, info.Size()))
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, 0, err
	}
	head = head[:n]
	if formatOf(head) == nil {
		return nil, nil, 0, fmt.Errorf("%s: %w", path, unknownFormat(head))
	}
	return f, head, info.Size(), nil
}

func checkRegular(path string, info fs.FileInfo) error {
	m := info.Mode()
	if m.IsRegular() {
		return nil
	}
	kind := "a special file"
	switch {
	case m.IsDir():
		kind = "a directory"
	case m&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case m&fs.ModeSocket != 0:
		kind = "a socket"
	case m&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%s: %s, not a picture file; give the path of a regular file", path, kind)
}
