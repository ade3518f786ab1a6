package safetensors

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"

	"github.com/thinker-vl/thinker/engine/internal/atomicfile"
	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// A Writer writes one safetensors file, tensor by tensor, without holding more
// than a buffer. The target changes only when [Writer.Commit] succeeds.
type Writer struct {
	path  string
	f     *atomicfile.File
	buf   *bufio.Writer
	infos []Info
	cur   int   // the tensor that is being written
	left  int64 // bytes of it that are missing
	size  int64
	sum   uint32
	err   error // the first error of writing; final
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Create starts the file at path. infos are the tensors in the order in which
// they will be written, and in which their data will lie; to keep every tensor
// aligned to its element size, put wide types first. metadata may be nil. The
// header is the same bytes for the same arguments.
//
// The data goes to a temporary file in the same folder. Call Commit when all
// tensors are written, and Close in any case.
func Create(path string, infos []Info, metadata map[string]string) (*Writer, error) {
	w := &Writer{path: path, infos: make([]Info, len(infos)), cur: -1}
	for i, t := range infos {
		w.infos[i] = t.clone()
	}
	header, err := formatHeader(w.infos, metadata)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	if w.f, err = atomicfile.Create(path); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	w.buf = bufio.NewWriterSize(w.f, 1<<18)
	if err := w.write(header); err != nil {
		w.Close()
		return nil, err
	}
	w.next()
	return w, nil
}

// Write appends data to the tensor called name, which must be the one whose turn
// it is. A tensor may be written in any number of pieces; when all its bytes are
// there, it is the next one's turn. Tensors without elements need no Write.
func (w *Writer) Write(name string, data []byte) error {
	if err := w.turn(name); err != nil || len(data) == 0 {
		return err
	}
	if w.cur == len(w.infos) || w.infos[w.cur].Name != name {
		return fmt.Errorf("safetensors: %s: tensor %s has no elements, %d bytes are written", w.path, rawjson.Quote(name), len(data))
	}
	if int64(len(data)) > w.left {
		return fmt.Errorf("safetensors: %s: tensor %s: %d bytes are written where %d are missing",
			w.path, rawjson.Quote(name), len(data), w.left)
	}
	return w.advance(data)
}

// WriteFrom appends to the tensor called name what is missing of it, from r. It
// leaves in r what comes after.
func (w *Writer) WriteFrom(name string, r io.Reader) error {
	if err := w.turn(name); err != nil {
		return err
	}
	if w.cur == len(w.infos) || w.infos[w.cur].Name != name { // no elements
		return nil
	}
	buf := make([]byte, min(w.left, chunk))
	for turn := w.cur; w.cur == turn; {
		part := buf[:min(w.left, int64(len(buf)))]
		n, err := io.ReadFull(r, part)
		if err := w.advance(part[:n]); err != nil {
			return err
		}
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("safetensors: %s: tensor %s: %d bytes are missing: %w", w.path, rawjson.Quote(name), w.left, err)
		}
	}
	return nil
}

// turn checks that it is the turn of the tensor called name, or that the tensor
// has no elements, and so no turn.
func (w *Writer) turn(name string) error {
	switch {
	case w.err != nil:
		return w.err
	case w.f == nil:
		return fmt.Errorf("safetensors: %s: %w", w.path, fs.ErrClosed)
	case w.cur < len(w.infos) && w.infos[w.cur].Name == name:
		return nil
	}
	i := slices.IndexFunc(w.infos, func(t Info) bool { return t.Name == name })
	switch {
	case i < 0:
		return fmt.Errorf("safetensors: %s: tensor %s is written, but Create was not told of it", w.path, rawjson.Quote(name))
	case w.infos[i].Bytes() == 0:
		return nil
	case i < w.cur:
		return fmt.Errorf("safetensors: %s: tensor %s is written again, it is complete", w.path, rawjson.Quote(name))
	}
	return fmt.Errorf("safetensors: %s: tensor %s is written, but it is the turn of %s, of which %d bytes are missing",
		w.path, rawjson.Quote(name), rawjson.Quote(w.infos[w.cur].Name), w.left)
}

func (w *Writer) advance(data []byte) error {
	if err := w.write(data); err != nil {
		return err
	}
	if w.left -= int64(len(data)); w.left == 0 {
		w.next()
	}
	return nil
}

// next moves to the next tensor that has data.
func (w *Writer) next() {
	for w.cur++; w.cur < len(w.infos); w.cur++ {
		if w.left = w.infos[w.cur].Bytes(); w.left > 0 {
			return
		}
	}
}

func (w *Writer) write(data []byte) error {
	if _, err := w.buf.Write(data); err != nil {
		w.err = fmt.Errorf("safetensors: writing %s: %w", w.path, err)
		return w.err
	}
	w.size += int64(len(data))
	w.sum = crc32.Update(w.sum, castagnoli, data)
	return nil
}

// Size returns the number of bytes written so far, the header included.
func (w *Writer) Size() int64 { return w.size }

// Checksum returns the CRC-32C of the bytes written so far, the header included.
func (w *Writer) Checksum() uint32 { return w.sum }

// Commit flushes the file to the disk and puts it in the place of the target.
// If a tensor is incomplete or a write has failed, the target stays as it is.
func (w *Writer) Commit() error {
	switch {
	case w.err != nil:
		return w.err
	case w.f == nil:
		return fmt.Errorf("safetensors: %s: %w", w.path, fs.ErrClosed)
	case w.cur < len(w.infos):
		return fmt.Errorf("safetensors: %s: tensor %s is incomplete, %d bytes are missing",
			w.path, rawjson.Quote(w.infos[w.cur].Name), w.left)
	}
	err := w.buf.Flush()
	if err == nil {
		f := w.f
		w.f = nil
		err = f.Commit()
	}
	if err != nil {
		w.err = fmt.Errorf("safetensors: writing %s: %w", w.path, err)
		w.Close()
		return w.err
	}
	return nil
}

// Close gives the file up: it removes the temporary file and leaves the target
// as it was. After Commit it does nothing.
func (w *Writer) Close() error {
	if w.f == nil {
		return nil
	}
	f := w.f
	w.f = nil
	return f.Close()
}

// A Tensor is a tensor in memory.
type Tensor struct {
	Name  string
	DType DType
	Shape []int64
	Data  []byte // little endian, row major
}

// WriteFile writes tensors that are in memory to the file at path, wide types
// first and then by name, as the reference implementation orders them. metadata
// may be nil. An existing file is replaced when the new one is complete.
func WriteFile(path string, tensors []Tensor, metadata map[string]string) error {
	tensors = slices.Clone(tensors)
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.bits(), a.DType.bits()), cmp.Compare(a.Name, b.Name))
	})
	infos := make([]Info, len(tensors))
	var errs []error
	for i, t := range tensors {
		infos[i] = Info{Name: t.Name, DType: t.DType, Shape: t.Shape}
		if n := infos[i].Bytes(); n != int64(len(t.Data)) {
			errs = append(errs, fmt.Errorf("safetensors: %s: tensor %s: shape %v of dtype %s does not take %d bytes",
				path, rawjson.Quote(t.Name), t.Shape, t.DType, len(t.Data)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	w, err := Create(path, infos, metadata)
	if err != nil {
		return err
	}
	defer w.Close()
	for _, t := range tensors {
		if err := w.Write(t.Name, t.Data); err != nil {
			return err
		}
	}
	return w.Commit()
}
