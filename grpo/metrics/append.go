package metrics

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 20

// A file is what an [os.File] is to an appender.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Name() string
}

// An appender appends whole lines to a file.
type appender struct {
	f      file
	size   int64
	before int64 // the size before the last append
	last   int64 // step, -1 for none
	prev   int64 // step before the last append
	broken error // the file ends in the middle of a line, and could not be cut
}

// openAppender opens a file of lines with steps and cuts away those after a step.
func openAppender(path string, after int64) (*appender, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	a := &appender{f: f}
	if err := a.cut(f, after); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// cut finds where the lines of steps up to after end, and ends the file there.
func (a *appender) cut(f *os.File, after int64) error {
	if fi, err := f.Stat(); err != nil {
		return err
	} else if !fi.Mode().IsRegular() {
		return fmt.Errorf("it is not a regular file (%v)", fi.Mode().Type())
	}
	a.last = -1
	r := bufio.NewReaderSize(f, 1<<16)
	var (
		pos  int64
		end  = int64(-1) // where the first line begins that goes
		why  error       // why it does
		line []byte
	)
	for number := 1; ; number++ {
		var err error
		line, err = readLine(r, line[:0])
		if err != nil && err != io.EOF {
			return err
		}
		if len(line) == 0 && err == io.EOF {
			break
		}
		step, bad := lineStep(line)
		switch {
		case end < 0 && (bad != nil || step > after):
			end, why = pos, bad
			if bad == nil {
				why = fmt.Errorf("step %d", step)
			}
			why = fmt.Errorf("line %d: %w, before lines of steps up to %d: repair or move the file", number, why, after)
		case end < 0 && step < a.last:
			return fmt.Errorf("line %d: step %d comes after step %d: repair or move the file", number, step, a.last)
		case end < 0:
			a.last = step
		case bad == nil && step <= after:
			return why
		}
		pos += int64(len(line))
		if err == io.EOF {
			break
		}
	}
	if end < 0 {
		end = pos
	}
	if end < pos {
		if err := f.Truncate(end); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	a.size, a.before, a.prev = end, end, a.last
	return nil
}

// readLine appends a line with its newline to b.
func readLine(r *bufio.Reader, b []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		if len(b) > maxLine {
			return b, fmt.Errorf("a line has more than %d bytes", maxLine)
		}
		if err != bufio.ErrBufferFull {
			return b, err
		}
	}
}

// lineStep returns the step of a whole line.
func lineStep(line []byte) (int64, error) {
	if line[len(line)-1] != '\n' {
		return 0, errors.New("it is cut short")
	}
	var v struct {
		Step   *int64 `json:"step"`
		Update *int64 `json:"update"` // of warnings
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return 0, err
	}
	if v.Step == nil {
		v.Step = v.Update
	}
	if v.Step == nil || *v.Step < 0 {
		return 0, errors.New("it has no step")
	}
	return *v.Step, nil
}

// append writes lines in one call, or takes back what came of it.
func (a *appender) append(b []byte, step int64) error {
	if a.broken != nil {
		return a.broken
	}
	n, err := a.f.WriteAt(b, a.size)
	if err != nil {
		if n > 0 {
			if terr := a.f.Truncate(a.size); terr != nil {
				a.broken = fmt.Errorf("%s ends in a torn line: %w", a.f.Name(), terr)
			}
		}
		return err
	}
	a.before, a.size = a.size, a.size+int64(len(b))
	a.prev, a.last = a.last, step
	return nil
}

// undo takes the last append back.
func (a *appender) undo() error {
	if err := a.f.Truncate(a.before); err != nil {
		return err
	}
	a.size, a.last = a.before, a.prev
	return nil
}
