// Package rawjson walks JSON whose shape is checked by hand.
//
// It differs from encoding/json in what configuration and header files need:
// it refuses duplicate keys, text that is not UTF-8 and numbers that do not fit,
// tells an absent key from a null one, takes keys case for case, and copies
// nothing, so that reading a file costs memory in proportion to the file's size
// and not to what the file claims. Syntax is checked once, by encoding/json,
// which also limits nesting.
package rawjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// A Value is one JSON value: the text of it, known to be well formed.
type Value []byte

// Parse checks that data is one well-formed JSON value in UTF-8, alone, and
// returns it. The value shares data's memory.
func Parse(data []byte) (Value, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	if !json.Valid(data) {
		var raw json.RawMessage
		err := json.Unmarshal(data, &raw) // for its message and offset
		var syn *json.SyntaxError
		if errors.As(err, &syn) {
			return nil, fmt.Errorf("not valid JSON at byte %d: %v", syn.Offset, syn)
		}
		return nil, fmt.Errorf("not valid JSON: %v", err)
	}
	i := skipSpace(data, 0)
	return Value(data[i:skipValue(data, i)]), nil
}

// A Kind says what a value is.
type Kind uint8

// The kinds of values. Invalid is the kind of an empty Value.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind as an error message would put it.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Kind returns what v is.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return Invalid
	}
	switch v[0] {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	}
	return Number
}

// Members calls f for each member of the object v, in the order of the text,
// and stops at the first error. A key that occurs twice is an error.
func (v Value) Members(f func(key string, value Value) error) error {
	if err := v.want(Object); err != nil {
		return err
	}
	var few [8]string
	keys := few[:0]
	var many map[string]struct{}
	for i := skipSpace(v, 1); v[i] != '}'; {
		end := skipString(v, i)
		key := unquote(v[i:end])
		if many == nil {
			for _, k := range keys {
				if k == key {
					return fmt.Errorf("key %s occurs twice", Quote(key))
				}
			}
			if len(keys) < len(few) {
				keys = append(keys, key)
			} else {
				many = make(map[string]struct{}, 64)
				for _, k := range keys {
					many[k] = struct{}{}
				}
			}
		}
		if many != nil {
			if _, dup := many[key]; dup {
				return fmt.Errorf("key %s occurs twice", Quote(key))
			}
			many[key] = struct{}{}
		}
		i = skipSpace(v, skipSpace(v, end)+1) // past the colon
		end = skipValue(v, i)
		if err := f(key, v[i:end]); err != nil {
			return err
		}
		if i = skipSpace(v, end); v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
	return nil
}

// Map returns the members of the object v by key.
func (v Value) Map() (map[string]Value, error) {
	m := make(map[string]Value)
	err := v.Members(func(key string, value Value) error {
		m[key] = value
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Elements calls f for each element of the array v, in order, and stops at the
// first error.
func (v Value) Elements(f func(i int, value Value) error) error {
	if err := v.want(Array); err != nil {
		return err
	}
	n := 0
	for i := skipSpace(v, 1); v[i] != ']'; n++ {
		end := skipValue(v, i)
		if err := f(n, v[i:end]); err != nil {
			return err
		}
		if i = skipSpace(v, end); v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
	return nil
}

// Text returns the string v.
func (v Value) Text() (string, error) {
	if err := v.want(String); err != nil {
		return "", err
	}
	return unquote(v), nil
}

// Bool returns the boolean v.
func (v Value) Bool() (bool, error) {
	if err := v.want(Bool); err != nil {
		return false, err
	}
	return v[0] == 't', nil
}

// Int64 returns the number v, which must be written as an integer: 1.0 and 1e3
// are refused.
func (v Value) Int64() (int64, error) {
	if err := v.want(Number); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(v[:min(len(v), 32)]), 10, 64)
	if err != nil || len(v) > 32 {
		return 0, fmt.Errorf("want an integer of 64 bits, got %s", v.Short())
	}
	return n, nil
}

// Float64 returns the number v, which must be in the range of a float64.
func (v Value) Float64() (float64, error) {
	if err := v.want(Number); err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, fmt.Errorf("want a number, got %s, which is out of range", v.Short())
	}
	return f, nil
}

// Offset returns where v begins in root, for a v that was reached from root.
func (root Value) Offset(v Value) int {
	return cap(root) - cap(v) // all are slices of one array that reach to its end
}

// Short returns the text of v, cut to a length that fits an error message.
func (v Value) Short() string {
	return cut(string(v[:min(len(v), 2*shortLen)]))
}

// Quote returns s in quotes, cut to a length that fits an error message.
func Quote(s string) string {
	return strconv.Quote(cut(s))
}

const shortLen = 80

func cut(s string) string {
	if len(s) <= shortLen {
		return s
	}
	n := shortLen
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

func (v Value) want(k Kind) error {
	if got := v.Kind(); got != k {
		if got == Object || got == Array {
			return fmt.Errorf("want %v, got %v", k, got)
		}
		return fmt.Errorf("want %v, got %s", k, v.Short())
	}
	return nil
}

// The functions below rely on well-formed text: they find ends, they do not
// check.

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at b[i].
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the index after the value that starts at b[i].
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}

func unquote(b []byte) string {
	for _, c := range b {
		if c == '\\' {
			var s string
			json.Unmarshal(b, &s) // well formed, so it cannot fail
			return s
		}
	}
	return string(b[1 : len(b)-1])
}
