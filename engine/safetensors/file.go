package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// A File is an open safetensors file.
type File struct {
	f        *os.File
	path     string
	size     int64
	infos    []Info // in the order of the data
	index    map[string]int
	metadata map[string]string
}

// Open opens the file at path and checks its header. The data is read later,
// tensor by tensor. Only a regular file is opened.
func Open(path string) (*File, error) {
	f, fi, err := regfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	s, err := newFile(f, fi.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	s.path = path
	return s, nil
}

func newFile(f *os.File, size int64) (*File, error) {
	if size < 8 {
		return nil, fmt.Errorf("the file has %d bytes, too few for a header length: it is cut short or no safetensors file", size)
	}
	var length [8]byte
	if _, err := f.ReadAt(length[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	switch {
	case n > MaxHeader:
		return nil, fmt.Errorf("the header length is given as %d bytes, the limit is %d: it is no safetensors file", n, MaxHeader)
	case int64(n) > size-8:
		return nil, fmt.Errorf("the header length is given as %d bytes, but the file has only %d after it: it is cut short", n, size-8)
	case n < 2:
		return nil, fmt.Errorf("the header length is given as %d bytes, too few for a header", n)
	}
	header := make([]byte, n)
	if _, err := f.ReadAt(header, 8); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	s := &File{f: f, size: size}
	var err error
	if s.infos, s.metadata, err = parseHeader(header, 8+int64(n), size-8-int64(n)); err != nil {
		return nil, err
	}
	s.index = make(map[string]int, len(s.infos))
	for i, t := range s.infos {
		s.index[t.Name] = i
	}
	return s, nil
}

// Close closes the file.
func (s *File) Close() error {
	return s.f.Close()
}

// Path returns the path that the file was opened by.
func (s *File) Path() string {
	return s.path
}

// Size returns the size of the file in bytes.
func (s *File) Size() int64 {
	return s.size
}

// Names returns the names of the tensors in the order of their data.
func (s *File) Names() []string {
	names := make([]string, len(s.infos))
	for i, t := range s.infos {
		names[i] = t.Name
	}
	return names
}

// Lookup returns the description of a tensor and whether the file holds it.
func (s *File) Lookup(name string) (Info, bool) {
	i, ok := s.index[name]
	if !ok {
		return Info{}, false
	}
	return s.infos[i].clone(), true
}

// Metadata returns the free-form strings of the header, or nil.
func (s *File) Metadata() map[string]string {
	return maps.Clone(s.metadata)
}

// ReadTensor reads the whole data of a tensor into dst, which must have exactly
// its size.
func (s *File) ReadTensor(name string, dst []byte) error {
	t, err := s.lookup(name)
	if err != nil {
		return err
	}
	if n := t.Bytes(); n != int64(len(dst)) {
		return fmt.Errorf("safetensors: %s: tensor %s has %d bytes, the destination %d", s.path, rawjson.Quote(name), n, len(dst))
	}
	return s.read(t, dst, 0)
}

// ReadAt fills dst with the data of a tensor from byte off on.
func (s *File) ReadAt(name string, dst []byte, off int64) error {
	t, err := s.lookup(name)
	if err != nil {
		return err
	}
	if n := t.Bytes(); off < 0 || off > n || int64(len(dst)) > n-off {
		return fmt.Errorf("safetensors: %s: tensor %s has %d bytes, bytes [%d, %d) are not in it",
			s.path, rawjson.Quote(name), n, off, off+int64(len(dst)))
	}
	return s.read(t, dst, off)
}

// lookup returns the tensor without copying its shape.
func (s *File) lookup(name string) (*Info, error) {
	i, ok := s.index[name]
	if !ok {
		return nil, fmt.Errorf("safetensors: %s: no tensor %s", s.path, rawjson.Quote(name))
	}
	return &s.infos[i], nil
}

func (s *File) read(t *Info, dst []byte, off int64) error {
	n, err := s.f.ReadAt(dst, t.begin+off)
	if n == len(dst) {
		return nil
	}
	if err == io.EOF {
		err = fmt.Errorf("%w: the file has become shorter", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("safetensors: %s: tensor %s: %w", s.path, rawjson.Quote(t.Name), err)
}
