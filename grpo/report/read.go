package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxLine    = 16 << 20 // bytes of a line; longer ones are passed over
	maxSmall   = 4 << 20  // bytes of a file that is read whole
	maxProblem = 24       // problems that the page names
)

// A folder is a run's folder. Nothing outside it is read through it, whatever links it holds.
type folder struct {
	*os.Root
	problems []string
	more     int // problems that were one too many
}

func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return &folder{Root: root}, nil
}

// problem notes what the page lacks.
func (d *folder) problem(format string, v ...any) {
	if len(d.problems) == maxProblem {
		d.more++
		return
	}
	d.problems = append(d.problems, clip(fmt.Sprintf(format, v...), 400).Text)
}

// open opens a regular file. It is nil, with the problem noted, where there is none or where it is something else.
func (d *folder) open(name string) *os.File {
	f, err := d.regular(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.problem("%s: %v", name, reason(err))
		}
		return nil
	}
	return f
}

func (d *folder) regular(name string) (*os.File, error) {
	// Opening a pipe would wait for its other end.
	info, err := d.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file (%v)", info.Mode().Type())
	}
	return d.Open(name)
}

// reason is an error without the path, which the page says already.
func reason(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// small reads a file of at most maxSmall bytes; nil where there is none. whole is false where the file has more.
func (d *folder) small(name string) (b []byte, whole bool) {
	f := d.open(name)
	if f == nil {
		return nil, true
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err != nil {
		d.problem("%s: %v", name, reason(err))
		return nil, true
	}
	if len(b) > maxSmall {
		return b[:maxSmall], false
	}
	return b, true
}

// lines calls f with every line of r, its offset counted from r's begin, and returns how many lines were too long or not taken, the
// number of the first of them and why.
func lines(r io.Reader, f func(line []byte, at int64) error) (bad, first int, why error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var line []byte
	at, next := int64(0), int64(0)
	for number := 1; ; number++ {
		line, at = line[:0], next
		long := false
		var err error
		for {
			var part []byte
			part, err = in.ReadSlice('\n')
			next += int64(len(part))
			if long = long || len(line)+len(part) > maxLine; !long {
				line = append(line, part...)
			}
			if err != bufio.ErrBufferFull {
				break
			}
		}
		var refused error
		switch {
		case long:
			refused = fmt.Errorf("more than %d bytes", maxLine)
		case err != nil && err != io.EOF:
			refused = err
		case len(bytes.TrimSpace(line)) > 0:
			refused = f(line, at)
		}
		if refused != nil {
			if bad++; bad == 1 {
				first, why = number, refused
			}
		}
		if err != nil {
			return bad, first, why
		}
	}
}

// each calls f with every line of a file, and notes what was wrong with some. It reports whether the file is there.
func (d *folder) each(name string, f func(line []byte, at int64) error) bool {
	in := d.open(name)
	if in == nil {
		return false
	}
	defer in.Close()
	d.note(name, "line", func() (int, int, error) { return lines(in, f) })
	return true
}

func (d *folder) note(name, what string, read func() (bad, first int, why error)) {
	switch bad, first, why := read(); {
	case bad == 1:
		d.problem("%s: %s %d is left out: %v", name, what, first, why)
	case bad > 1:
		d.problem("%s: %d lines are left out, the first is %s %d: %v", name, bad, what, first, why)
	}
}

// tail calls f with the lines of the last n bytes of a file. cut says that there were more. Numbers of bad lines count from there.
func (d *folder) tail(name string, n int64, f func(line []byte) error) (found, cut bool) {
	in := d.open(name)
	if in == nil {
		return false, false
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err == nil {
		if cut = size > n; cut {
			_, err = in.Seek(-n-1, io.SeekEnd)
		} else {
			_, err = in.Seek(0, io.SeekStart)
		}
	}
	if err != nil {
		d.problem("%s: %v", name, reason(err))
		return true, cut
	}
	part, what := bufio.NewReader(io.LimitReader(in, n+1)), "line"
	if cut {
		what = "from the part that is read, line"
		for err = bufio.ErrBufferFull; err == bufio.ErrBufferFull; { // what is left of a line, or the newline before the part
			_, err = part.ReadSlice('\n')
		}
	}
	d.note(name, what, func() (int, int, error) {
		return lines(part, func(line []byte, _ int64) error { return f(line) })
	})
	return true, cut
}

// A number is a metric: null is NaN, and infinities are strings.
type number float64

func (x *number) UnmarshalJSON(b []byte) error {
	switch s := string(b); s {
	case "null":
		*x = number(math.NaN())
	case `"Infinity"`:
		*x = number(math.Inf(1))
	case `"-Infinity"`:
		*x = number(math.Inf(-1))
	default: // JSON, but what else than a number ParseFloat knows begins with a letter
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
			return fmt.Errorf("%.20s is no number", s)
		}
		*x = number(v)
	}
	return nil
}

// optional is a number that may be left out: NaN then.
func optional(x *number) float64 {
	if x == nil {
		return math.NaN()
	}
	return float64(*x)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// A text is what the page shows of a longer one.
type text struct {
	Text string
	Cut  int // bytes that are not shown
}

// clip cuts a text that comes from a run, and makes what is not to be seen visible.
func clip(s string, n int) text {
	t := text{Text: s}
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		t = text{s[:n], len(s) - n}
	}
	t.Text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case r < 0x20:
			return 0x2400 + r // the symbol of the control character
		case r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // controls, among them those that turn text around
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(t.Text, "\uFFFD"))
	return t
}

// line is clip for text that stands in a line.
func line(s string, n int) string {
	s = s[:min(len(s), 8*n)]
	t := clip(strings.Join(strings.Fields(s), " "), n)
	if t.Cut > 0 {
		return t.Text + "…"
	}
	return t.Text
}
