package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// An Object is the members of one line.
type Object struct {
	keys   []string // in the order of the line
	values map[string]json.RawMessage
}

// Parse reads a line as one JSON object. A member that is null counts as absent: tables exported with empty cells have those.
func Parse(line []byte) (*Object, error) { return ParseExcept(line, "") }

// ParseExcept is Parse for lines in which the string at the key except may hold bytes that are not UTF-8. They read as U+FFFD.
func ParseExcept(line []byte, except string) (*Object, error) {
	bad := !utf8.Valid(line)
	if bad && except == "" {
		return nil, fmt.Errorf("the line is not UTF-8 at byte %d: %s", invalidAt(line), short(line))
	}
	if !json.Valid(line) {
		var raw json.RawMessage
		err := json.Unmarshal(line, &raw) // for its message
		at := ""
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = fmt.Sprintf(" at byte %d", syntax.Offset)
		}
		return nil, fmt.Errorf("the line is not JSON%s: %v: %s: want one JSON object a line", at, err, short(line))
	}
	if line = bytes.TrimSpace(line); line[0] != '{' {
		return nil, fmt.Errorf("the line is %s, want a JSON object", short(line))
	}
	o := &Object{values: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(line))
	d.Token() // the brace; the syntax is known to be good
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		key := token.(string)
		if bad && (strings.ContainsRune(key, utf8.RuneError) || key != except && !utf8.Valid(value)) {
			return nil, fmt.Errorf("the line is not UTF-8 at its key %s: %s", Quote(key), short(value))
		}
		if s := loneSurrogate(value); s != "" && key != except {
			return nil, fmt.Errorf("the key %s has %s, half of a surrogate pair, which is no character: take it out", Quote(key), s)
		}
		if _, twice := o.values[key]; twice {
			return nil, fmt.Errorf("the key %s occurs twice", Quote(key))
		}
		o.keys = append(o.keys, key)
		o.values[key] = value
	}
	return o, nil
}

// loneSurrogate is the first escape in a JSON text that is half of a surrogate pair without the other, "" if there is none. (Package json
// reads such as U+FFFD.)
func loneSurrogate(text []byte) string {
	code := func(i int) (r rune, ok bool) {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 32)
		return rune(n), err == nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if r, ok := code(i); ok && utf16.IsSurrogate(r) {
			if low, ok := code(i + 6); !ok || utf16.DecodeRune(r, low) == unicode.ReplacementChar {
				return string(text[i : i+6])
			}
			i += 6
		}
		i++ // what is escaped
	}
	return ""
}

func invalidAt(b []byte) int {
	at := 0
	for at < len(b) {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

// Has reports whether the object has the key, with a value other than null.
func (o *Object) Has(key string) bool {
	v, ok := o.values[key]
	return ok && string(v) != "null"
}

// Keys lists the object's keys for a message, in the order of the line.
func (o *Object) Keys() string {
	if len(o.keys) == 0 {
		return "no keys"
	}
	var names []string
	for i, k := range o.keys {
		if i == 12 {
			names = append(names, "...")
			break
		}
		names = append(names, Quote(k))
	}
	return "the keys " + strings.Join(names, ", ")
}

// Names lists the object's keys, in the order of the line.
func (o *Object) Names() []string { return o.keys }

// Raw returns the JSON text of the value at key, nil if there is none.
func (o *Object) Raw(key string) []byte { return o.values[key] }

// String returns the string at key.
func (o *Object) String(key string) (string, error) {
	v := o.values[key]
	if len(v) == 0 || v[0] != '"' {
		return "", wrong(key, v, "a string")
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err
}

// Bool returns the boolean at key.
func (o *Object) Bool(key string) (bool, error) {
	switch v := o.values[key]; string(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, wrong(key, v, "true or false")
	}
}

// Array returns the elements of the array at key.
func (o *Object) Array(key string) ([]json.RawMessage, error) {
	v := o.values[key]
	if len(v) == 0 || v[0] != '[' {
		return nil, wrong(key, v, "an array")
	}
	var a []json.RawMessage
	err := json.Unmarshal(v, &a)
	return a, err
}

// Strings returns the array of strings at key. It is not nil.
func (o *Object) Strings(key string) ([]string, error) {
	a, err := o.Array(key)
	if err != nil {
		return nil, err
	}
	s := make([]string, len(a))
	for i, v := range a {
		if v[0] != '"' {
			return nil, wrong(fmt.Sprintf("%s[%d]", key, i), v, "a string")
		}
		if err := json.Unmarshal(v, &s[i]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// IDs returns the array of token ids at key: integers from 0 to 2^31-1. It is not nil.
func (o *Object) IDs(key string) ([]int32, error) {
	v := o.values[key]
	if len(v) == 0 || v[0] != '[' {
		return nil, wrong(key, v, "an array of token ids")
	}
	// The array is known to be well formed, so its elements end at a comma, a space or the bracket.
	ids := make([]int32, 0, min(len(v)/4+1, 1<<16))
	for i := 1; ; {
		for v[i] == ' ' || v[i] == ',' || v[i] == '\t' || v[i] == '\r' || v[i] == '\n' {
			i++
		}
		if v[i] == ']' {
			return ids, nil
		}
		end := i + bytes.IndexAny(v[i:], ", \t\r\n]")
		id, err := strconv.ParseInt(string(v[i:end]), 10, 32)
		if err != nil || id < 0 {
			if c := v[i]; c == '"' || c == '[' || c == '{' { // these may hold what ends a number
				end = len(v) - 1
			}
			return nil, wrong(fmt.Sprintf("%s[%d]", key, len(ids)), v[i:end], "a token id: an integer from 0 to 2147483647")
		}
		ids = append(ids, int32(id))
		i = end
	}
}

// Float returns the number at key.
func (o *Object) Float(key string) (float64, error) { return parseFloat(key, o.values[key]) }

// Floats returns the array of numbers at key. It is not nil.
func (o *Object) Floats(key string) ([]float64, error) {
	v := o.values[key]
	if len(v) == 0 || v[0] != '[' {
		return nil, wrong(key, v, "an array of numbers")
	}
	// As in IDs.
	x := make([]float64, 0, min(len(v)/8+1, 1<<16))
	for i := 1; ; {
		for v[i] == ' ' || v[i] == ',' || v[i] == '\t' || v[i] == '\r' || v[i] == '\n' {
			i++
		}
		if v[i] == ']' {
			return x, nil
		}
		end := i + bytes.IndexAny(v[i:], ", \t\r\n]")
		if c := v[i]; c == '"' || c == '[' || c == '{' { // these may hold what ends a number
			end = len(v) - 1
		}
		f, err := parseFloat(fmt.Sprintf("%s[%d]", key, len(x)), v[i:end])
		if err != nil {
			return nil, err
		}
		x = append(x, f)
		i = end
	}
}

// parseFloat reads a JSON number that a float64 holds.
func parseFloat(key string, v []byte) (float64, error) {
	if len(v) == 0 || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return 0, wrong(key, v, "a number")
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return 0, wrong(key, v, "a finite number")
	}
	return f, nil
}

func wrong(key string, v []byte, want string) error {
	if len(v) == 0 {
		return fmt.Errorf("%s is missing, want %s", key, want)
	}
	return fmt.Errorf("%s is %s, want %s", key, short(v), want)
}

const shortLength = 80

// Short cuts JSON text to a length that fits a message.
func Short(v []byte) string { return short(v) }

func short(v []byte) string {
	if len(v) <= shortLength && utf8.Valid(v) {
		return string(v)
	}
	n := min(len(v), shortLength)
	for n > 0 && n < len(v) && !utf8.RuneStart(v[n]) {
		n--
	}
	if !utf8.Valid(v[:n]) {
		return strconv.Quote(string(v[:n])) + "..."
	}
	return string(v[:n]) + "..."
}

// Quote puts s in quotes, cut to a length that fits a message.
func Quote(s string) string {
	if len(s) <= shortLength {
		return strconv.Quote(s)
	}
	n := shortLength
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "..."
}
