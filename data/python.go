package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pythonDict turns what Python prints of a dict into JSON: such strings stand where data sets were written by way of tables. It knows
// strings, numbers, True, False, None, lists, tuples and dicts with strings or numbers as keys, and runs nothing.
func pythonDict(s string) (json.RawMessage, error) {
	p := python{s: s}
	p.space()
	if p.peek() != '{' {
		return nil, errors.New("not a Python dict")
	}
	err := p.value(0)
	if p.space(); err == nil && p.i < len(s) {
		err = errors.New("text behind the dict")
	}
	if err != nil {
		return nil, fmt.Errorf("not a Python dict at byte %d: %v", p.i+1, err)
	}
	return p.out, nil
}

const pythonDepth = 64

type python struct {
	s   string
	i   int
	out []byte
}

func (p *python) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *python) space() {
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
}

func (p *python) value(depth int) error {
	if depth > pythonDepth {
		return fmt.Errorf("nested deeper than %d", pythonDepth)
	}
	switch c := p.peek(); c {
	case '{':
		return p.items(depth, '}', '{', '}')
	case '[':
		return p.items(depth, ']', '[', ']')
	case '(':
		return p.items(depth, ')', '[', ']')
	case '\'', '"':
		s, err := p.str()
		if err != nil {
			return err
		}
		p.put(s)
		return nil
	}
	word := p.s[p.i:]
	if n := strings.IndexAny(word, ",:]}) \t\r\n"); n >= 0 {
		word = word[:n]
	}
	switch word {
	case "None", "nan", "inf", "-inf": // of the last three JSON has none
		p.out = append(p.out, "null"...)
	case "True":
		p.out = append(p.out, "true"...)
	case "False":
		p.out = append(p.out, "false"...)
	default:
		if word == "" || word[0] != '-' && (word[0] < '0' || word[0] > '9') || !json.Valid([]byte(word)) {
			return fmt.Errorf("%s is no value", quote(word))
		}
		p.out = append(p.out, word...)
	}
	p.i += len(word)
	return nil
}

// items reads what stands between two brackets, and writes it between open and end.
func (p *python) items(depth int, last, open, end byte) error {
	keys := map[string]bool{}
	p.out = append(p.out, open)
	p.i++
	for n := 0; ; n++ {
		p.space()
		if p.peek() == last {
			p.i++
			p.out = append(p.out, end)
			return nil
		}
		if n > 0 {
			p.out = append(p.out, ',')
		}
		if open == '{' {
			key, err := p.key()
			if err != nil {
				return err
			}
			if keys[key] {
				return fmt.Errorf("the key %s occurs twice", quote(key))
			}
			keys[key] = true
			p.put(key)
			if p.space(); p.peek() != ':' {
				return errors.New("a colon is missing")
			}
			p.i++
			p.out = append(p.out, ':')
			p.space()
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
		switch p.space(); p.peek() {
		case ',':
			p.i++
		case last:
		default:
			return errors.New("a comma or a bracket is missing")
		}
	}
}

func (p *python) key() (string, error) {
	if c := p.peek(); c == '\'' || c == '"' {
		return p.str()
	}
	from := len(p.out)
	if err := p.value(pythonDepth); err != nil { // a container has no place here
		return "", err
	}
	key := string(p.out[from:])
	if key[0] == '{' || key[0] == '[' {
		return "", errors.New("a key is no string")
	}
	p.out = p.out[:from]
	return key, nil
}

func (p *python) put(s string) {
	b, _ := json.Marshal(s) // a string: it cannot fail
	p.out = append(p.out, b...)
}

// str reads a string in single or double quotes, as repr writes it.
func (p *python) str() (string, error) {
	mark := p.s[p.i]
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		if c == mark {
			return b.String(), nil
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		c = p.peek()
		p.i++
		switch c {
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'a':
			b.WriteByte('\a')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'v':
			b.WriteByte('\v')
		case '\n':
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			if p.i+n > len(p.s) {
				return "", errors.New("a string ends in an escape")
			}
			r, err := strconv.ParseUint(p.s[p.i:p.i+n], 16, 32)
			if err != nil || r > utf8.MaxRune {
				return "", fmt.Errorf("%s is no escape", quote(p.s[p.i-2:p.i+n]))
			}
			p.i += n
			b.WriteRune(rune(r))
		case '0', '1', '2', '3', '4', '5', '6', '7':
			n := 1
			for n < 3 && p.i-1+n < len(p.s) && p.s[p.i-1+n] >= '0' && p.s[p.i-1+n] <= '7' {
				n++
			}
			r, _ := strconv.ParseUint(p.s[p.i-1:p.i-1+n], 8, 32)
			p.i += n - 1
			b.WriteRune(rune(r))
		default: // no escape: both stand for themselves
			b.WriteByte('\\')
			p.i--
		}
	}
	p.i = len(p.s)
	return "", errors.New("a string has no end")
}
