package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// What encoding/json takes and a data set should not have: text that is not UTF-8, a key twice, keys that differ in case. So it checks
// the syntax (and the nesting), and the functions below walk text that is known to be good.

// checkJSON returns a fault if b is not one JSON value in UTF-8.
func checkJSON(b []byte) error {
	if !utf8.Valid(b) {
		at := 0
		for at < len(b) {
			r, n := utf8.DecodeRune(b[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return bad(badUTF8, "byte %d of the record is not UTF-8, near %s: convert the file, or take the byte out", at+1, near(b, at))
	}
	if json.Valid(b) {
		return nil
	}
	var raw json.RawMessage
	err := json.Unmarshal(b, &raw) // for its message
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return bad(badJSON, "not JSON: %v", err)
	}
	at := min(max(int(syntax.Offset)-1, 0), len(b))
	hint := "want one JSON object a record"
	switch rest := b[at:]; {
	case syntax.Offset >= int64(len(b)) && syntax.Error() == "unexpected end of JSON input":
		return bad(badJSON, "the record ends in its middle, near %s: the file is cut off, or the record goes over several lines, which only a JSON array may have",
			near(b, max(len(b)-1, 0)))
	case bytes.HasPrefix(rest, []byte("NaN")), bytes.HasPrefix(rest, []byte("Infinity")), bytes.HasPrefix(rest, []byte("nfinity")), bytes.HasPrefix(rest, []byte("aN")):
		hint = "JSON has neither NaN nor Infinity: write null"
	case bytes.HasPrefix(rest, []byte("'")):
		hint = "JSON has double quotes only"
	case at < len(b) && b[at] == '\\' || at > 0 && b[at-1] == '\\':
		hint = `a backslash is written \\`
	case at < len(b) && b[at] < ' ':
		hint = `in a string a line break is written \n, and a tab \t`
	case at < len(b) && b[at] == ',' && len(bytes.TrimSpace(rest)) == 1:
		hint = "no comma stands behind a record of a JSON Lines file"
	}
	return bad(badJSON, "not JSON at byte %d of the record, near %s: %v: %s", syntax.Offset, near(b, at), syntax, hint)
}

// near quotes what stands around b[at].
func near(b []byte, at int) string {
	const each = 20
	from, to := max(at-each, 0), min(at+each, len(b))
	for from > 0 && from > at-each-utf8.UTFMax && !utf8.RuneStart(b[from]) {
		from--
	}
	for to < len(b) && to < at+each+utf8.UTFMax && !utf8.RuneStart(b[to]) {
		to++
	}
	return strconv.Quote(string(b[from:to]))
}

// kind says what a value is, as a message puts it.
func kind(v []byte) string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// members calls f for each member of the object v, in their order, and stops at the first error. A key that occurs twice is one.
func members(v []byte, f func(key string, v []byte) error) error {
	var few [16]string
	keys := few[:0]
	var many map[string]struct{} // in the place of keys, where there are more
	for i := space(v, 1); v[i] != '}'; {
		end := stringEnd(v, i)
		key := text(v[i:end])
		if many == nil {
			for _, k := range keys {
				if k == key {
					return bad(badKey, "the key %s occurs twice: leave one of them", quote(key))
				}
			}
			if keys = append(keys, key); len(keys) > len(few) {
				many = make(map[string]struct{}, 2*len(keys))
				for _, k := range keys {
					many[k] = struct{}{}
				}
			}
		} else if _, twice := many[key]; twice {
			return bad(badKey, "the key %s occurs twice: leave one of them", quote(key))
		} else {
			many[key] = struct{}{}
		}
		i = space(v, space(v, end)+1) // behind the colon
		end = valueEnd(v, i)
		if err := f(key, v[i:end:end]); err != nil {
			return err
		}
		if i = space(v, end); v[i] == ',' {
			i = space(v, i+1)
		}
	}
	return nil
}

// elements calls f for each element of the array v, in their order, and stops at the first error.
func elements(v []byte, f func(i int, v []byte) error) error {
	n := 0
	for i := space(v, 1); v[i] != ']'; n++ {
		end := valueEnd(v, i)
		if err := f(n, v[i:end:end]); err != nil {
			return err
		}
		if i = space(v, end); v[i] == ',' {
			i = space(v, i+1)
		}
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func space(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// stringEnd returns the index behind the string that begins at b[i].
func stringEnd(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		n := i
		for b[n-1] == '\\' {
			n--
		}
		if (i-n)%2 == 0 {
			return i + 1
		}
	}
}

// valueEnd returns the index behind the value that begins at b[i].
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = stringEnd(b, i)
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
	for i < len(b) && !isSpace(b[i]) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	return i
}

// text returns what the string v says. Half a surrogate pair is U+FFFD, as in encoding/json.
func text(v []byte) string {
	v = v[1 : len(v)-1]
	i := bytes.IndexByte(v, '\\')
	if i < 0 {
		return string(v)
	}
	out := make([]byte, 0, len(v))
	for i >= 0 {
		out = append(out, v[:i]...)
		c := v[i+1]
		v = v[i+2:]
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex(v)
			v = v[4:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(v) >= 6 && v[0] == '\\' && v[1] == 'u' {
					low = hex(v[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					v = v[6:]
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		i = bytes.IndexByte(v, '\\')
	}
	return string(append(out, v...))
}

func hex(v []byte) rune {
	n, _ := strconv.ParseUint(string(v[:4]), 16, 16) // known to be four digits
	return rune(n)
}

const shortest = 80

// quote puts s in quotes, cut to a length that fits a message.
func quote(s string) string {
	if len(s) <= shortest {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:cutAt(s, shortest)]) + "..."
}

// short cuts JSON text to a length that fits a message.
func short(v []byte) string {
	if len(v) <= shortest {
		return string(v)
	}
	return fmt.Sprintf("%s...", v[:cutAt(string(v[:shortest+1]), shortest)])
}

// cutAt returns the longest length up to n at which s may be cut between its runes.
func cutAt(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
