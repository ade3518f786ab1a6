package data

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
)

// MaxRecord is how long a record may be in bytes. A file that is no text, or has no end, stops there.
const MaxRecord = 64 << 20

// A scanner finds the records of a file: lines, or the elements of an array that is the whole file.
type scanner struct {
	r    io.Reader
	err  error // of r
	most int   // bytes of a record

	window     []byte
	begin, end int   // what is read and not used of window
	at         int64 // where window[begin] stands in the file
	line       int   // the line of window[begin], from 1

	array   bool
	started bool
	n       int  // elements so far
	behind  bool // the last element stands before a comma or the end
	closed  bool // the array is
}

// A span is where a record stands.
type span struct {
	off  int64
	line int
}

func newScanner(r io.Reader, most int) *scanner {
	return &scanner{r: r, most: most, window: make([]byte, 256<<10), line: 1}
}

// fill reads more, and reports whether there is any. Nothing unused may be left.
func (s *scanner) fill() bool {
	for s.begin == s.end && s.err == nil {
		s.begin, s.end = 0, 0
		s.end, s.err = s.r.Read(s.window)
	}
	return s.begin < s.end
}

func (s *scanner) use(n int) {
	s.begin += n
	s.at += int64(n)
}

// failed returns the error of the file, nil at its end.
func (s *scanner) failed() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// start looks at the first bytes of the file: they say what it is.
func (s *scanner) start() error {
	s.started = true
	n, err := io.ReadFull(s.r, s.window)
	s.end, s.err = n, err
	if errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = io.EOF
	}
	if err := s.failed(); err != nil {
		return err
	}
	head := s.window[:n]
	for _, k := range []struct{ magic, what string }{
		{"\x1f\x8b", "it is compressed (gzip): unpack it"},
		{"PK\x03\x04", "it is a ZIP archive: unpack it"},
		{"\x28\xb5\x2f\xfd", "it is compressed (zstd): unpack it"},
		{"PAR1", "it is a Parquet file: write it as JSON Lines"},
		{"\xff\xfe", "it is UTF-16: write it as UTF-8"},
		{"\xfe\xff", "it is UTF-16: write it as UTF-8"},
		{"version https://git-lfs", "it stands for a file in Git LFS that was not fetched: fetch it with git lfs pull"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return errors.New(k.what)
		}
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		s.use(3)
	}
	s.space()
	if s.begin < s.end && s.window[s.begin] == '[' {
		s.use(1)
		s.array, s.behind = true, true
	}
	return s.failed()
}

// space passes over white space.
func (s *scanner) space() {
	for s.fill() {
		for s.begin < s.end {
			c := s.window[s.begin]
			if !isSpace(c) {
				return
			}
			if c == '\n' {
				s.line++
			}
			s.use(1)
		}
	}
}

// next appends the next record to dst. A fault is a bad place in the file behind which others may follow; any other error ends the
// file, and io.EOF is its end.
func (s *scanner) next(dst []byte) ([]byte, span, error) {
	if !s.started {
		if err := s.start(); err != nil {
			return dst, span{s.at, 0}, err
		}
	}
	s.space()
	if s.array {
		return s.element(dst)
	}
	at := span{s.at, s.line}
	from, long := len(dst), false
	for s.fill() {
		w := s.window[s.begin:s.end]
		i := bytes.IndexByte(w, '\n')
		if i >= 0 {
			w = w[:i]
		}
		if long = long || len(dst)-from+len(w) > s.most; !long {
			dst = append(dst, w...)
		}
		s.use(len(w))
		if i >= 0 {
			s.use(1)
			s.line++
			break
		}
	}
	if err := s.failed(); err != nil {
		return dst[:from], at, err
	}
	if long {
		return dst[:from], at, s.tooLong()
	}
	n := len(dst)
	for n > from && isSpace(dst[n-1]) {
		n--
	}
	if n == from {
		return dst[:n], at, io.EOF
	}
	return dst[:n], at, nil
}

func (s *scanner) tooLong() error {
	return bad(badLength, "the record has more than %d MiB: the file must hold one JSON object a line, or an array of objects", s.most>>20)
}

// element appends the next element of the array to dst.
func (s *scanner) element(dst []byte) ([]byte, span, error) {
	at := span{s.at, s.line}
	if s.closed {
		if s.begin < s.end {
			return dst, at, fmt.Errorf("there is more behind the array's end, from %s on: want one array a file", quote(s.peek()))
		}
		return dst, at, cmp.Or(s.failed(), io.EOF)
	}
	if s.begin == s.end {
		s.closed = true
		if err := s.failed(); err != nil {
			return dst, at, err
		}
		return dst, at, bad(badArray, "the array is not closed: the file is cut off behind element %d", s.n)
	}
	switch c := s.window[s.begin]; {
	case c == ']':
		s.use(1)
		s.closed = true
		if s.behind && s.n > 0 {
			return dst, at, bad(badArray, "a comma stands behind the last element of the array: take it out")
		}
		s.space()
		return s.element(dst)
	case c == ',':
		s.use(1)
		if s.behind {
			return dst, at, bad(badArray, "a comma stands where element %d of the array should be", s.n+1)
		}
		s.behind = true
		s.space()
		return s.element(dst)
	case !s.behind:
		return dst, at, fmt.Errorf("want a comma or the end of the array behind its element %d, got %s: without it is not known where the next begins", s.n, quote(s.peek()))
	}
	s.n++
	s.behind = false
	from := len(dst)
	depth, quoted, broken := 0, false, 0 // broken: the first line break within a string
	escaped := false
	for s.fill() {
		w := s.window[s.begin:s.end]
		i, done := 0, false
	scan:
		for ; i < len(w); i++ {
			c := w[i]
			if quoted {
				switch {
				case escaped:
					escaped = false
				case c == '\\':
					escaped = true
				case c == '"':
					quoted = false
					if depth == 0 {
						i, done = i+1, true
						break scan
					}
				case c == '\n':
					if broken == 0 {
						broken = s.line
					}
				}
				if c == '\n' {
					s.line++
				}
				continue
			}
			switch c {
			case '"':
				quoted = true
			case '{', '[':
				depth++
			case '}', ']':
				if depth == 0 {
					done = true // of the array
					break scan
				}
				if depth--; depth == 0 {
					i, done = i+1, true
					break scan
				}
			case ',':
				if depth == 0 {
					done = true
					break scan
				}
			case '\n':
				s.line++
			}
		}
		if len(dst)-from+i > s.most {
			return dst[:from], at, s.lost(at, broken, s.tooLong())
		}
		dst = append(dst, w[:i]...)
		s.use(i)
		if done {
			if len(dst) == from {
				return dst, at, fmt.Errorf("want element %d of the array, got %s: without it is not known where the next begins", s.n, quote(s.peek()))
			}
			for n := len(dst); n > from && isSpace(dst[n-1]); n-- {
				dst = dst[:n-1]
			}
			return dst, at, nil
		}
	}
	if err := s.failed(); err != nil {
		return dst[:from], at, err
	}
	s.closed = true
	return dst[:from], at, s.lost(at, broken, bad(badArray, "the file ends within element %d of the array", s.n))
}

// lost is the error about an element whose end is not found.
func (s *scanner) lost(at span, broken int, err error) error {
	if broken > 0 {
		return fmt.Errorf("%w; a string has a line break in line %d, so a quotation mark may be missing there", err, broken)
	}
	if s.closed {
		return err
	}
	return errors.New(err.Error()) // no fault: what follows is lost
}

func (s *scanner) peek() string { return string(s.window[s.begin:min(s.end, s.begin+20)]) }
