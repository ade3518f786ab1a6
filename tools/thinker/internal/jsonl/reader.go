package jsonl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line in bytes. A device that never ends, or a file that is no text, stops there.
const MaxLine = 64 << 20

// An Error is an error at a line of a file.
type Error struct {
	File string
	Line int // from 1
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// A Reader reads lines. Lines of white space alone are passed over.
type Reader struct {
	name string
	r    *bufio.Reader
	buf  []byte
	line int
}

// NewReader returns a reader of lines from r. name stands for the file in errors.
func NewReader(r io.Reader, name string) *Reader {
	return &Reader{name: name, r: bufio.NewReaderSize(r, 1<<16)}
}

// Name is the file's name in errors.
func (r *Reader) Name() string { return r.name }

// Line is the number of the line that Next returned last, from 1.
func (r *Reader) Line() int { return r.line }

// Next returns the next line that is not blank, without its end, and io.EOF after the last. The bytes are valid until the next call.
func (r *Reader) Next() ([]byte, error) {
	for {
		line, err := r.read()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

func (r *Reader) read() ([]byte, error) {
	r.line++
	r.buf = r.buf[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		r.buf = append(r.buf, part...)
		if len(r.buf) > MaxLine {
			return nil, r.Wrap(fmt.Errorf("the line has more than %d MiB: the file must hold one JSON object a line", MaxLine>>20))
		}
		switch {
		case err == nil, err == io.EOF && len(r.buf) > 0:
			if r.line == 1 {
				return bytes.TrimPrefix(r.buf, byteOrderMark), nil
			}
			return r.buf, nil
		case err == io.EOF:
			return nil, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, r.Wrap(err)
		}
	}
}

// Wrap puts the file's name and the current line's number before an error.
func (r *Reader) Wrap(err error) error { return &Error{File: r.name, Line: r.line, Err: err} }
