package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 64 << 20

// file is a file's content. Its name is part of every error.
type file struct {
	name string
	data []byte
}

// readFile reads a regular file of at most maxFile bytes. A missing one is an
// error that wraps fs.ErrNotExist.
func readFile(name string) (*file, error) {
	data, err := regfile.ReadFile(name, maxFile)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return &file{name, data}, nil
}

// errorf returns an error at a byte offset.
func (f *file) errorf(offset int, format string, args ...any) error {
	line := 1 + bytes.Count(f.data[:offset], []byte("\n"))
	return fmt.Errorf("tokenizer: %s:%d: %w", f.name, line, fmt.Errorf(format, args...))
}

// checkUTF8 reports the first byte that is not UTF-8.
func (f *file) checkUTF8() error {
	if utf8.Valid(f.data) {
		return nil
	}
	for i := 0; ; {
		n, valid, _ := subpart(f.data[i:])
		if !valid {
			return f.errorf(i, "byte 0x%02x at offset %d is not UTF-8", f.data[i], i)
		}
		i += n
	}
}

// json returns the file's JSON value.
func (f *file) json() (value, error) {
	if err := f.checkUTF8(); err != nil {
		return value{}, err
	}
	root, err := rawjson.Parse(f.data)
	if err != nil {
		return value{}, fmt.Errorf("tokenizer: %s: %w (the file has %d bytes)", f.name, err, len(f.data))
	}
	return value{f, root}, nil
}

// value is a JSON value in a file.
type value struct {
	file *file
	rawjson.Value
}

// errorf returns an error at the value's line.
func (v value) errorf(format string, args ...any) error {
	return v.file.errorf(rawjson.Value(v.file.data).Offset(v.Value), format, args...)
}

func (v value) isNull() bool { return v.Kind() == rawjson.Null }

// object calls visit for each member, in order. what names the value in errors.
func (v value) object(what string, visit func(key string, member value) error) error {
	return v.walk(what, func(stop *error) error {
		return v.Members(func(key string, member rawjson.Value) error {
			*stop = visit(key, value{v.file, member})
			return *stop
		})
	})
}

// array calls visit for each element, in order.
func (v value) array(what string, visit func(i int, element value) error) error {
	return v.walk(what, func(stop *error) error {
		return v.Elements(func(i int, element rawjson.Value) error {
			*stop = visit(i, value{v.file, element})
			return *stop
		})
	})
}

// walk tells the errors of a visit, which name their place, from those of v.
func (v value) walk(what string, run func(stop *error) error) error {
	var stop error
	if err := run(&stop); err != nil && !errors.Is(err, stop) {
		return v.errorf("%s: %w", what, err)
	}
	return stop
}

// members returns the members of an object.
func (v value) members(what string) (map[string]value, error) {
	m := make(map[string]value)
	err := v.object(what, func(key string, member value) error {
		m[key] = member
		return nil
	})
	return m, err
}

func (v value) string(what string) (string, error) {
	s, err := v.Text()
	if err != nil {
		return "", v.errorf("%s: %w", what, err)
	}
	return s, nil
}

func (v value) bool(what string) (bool, error) {
	b, err := v.Bool()
	if err != nil {
		return false, v.errorf("%s: %w", what, err)
	}
	return b, nil
}

// int returns an integer in [0, math.MaxInt32].
func (v value) int() (n int32, ok bool) {
	i, err := v.Int64()
	return int32(i), err == nil && i >= 0 && i <= math.MaxInt32
}
