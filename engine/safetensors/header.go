package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

const metadataKey = "__metadata__"

// parseHeader reads the JSON header of a file whose data takes dataSize bytes
// from offset dataStart. The tensors come sorted by their place in the file.
func parseHeader(header []byte, dataStart, dataSize int64) ([]Info, map[string]string, error) {
	if header[0] != '{' {
		return nil, nil, fmt.Errorf("the header begins with %q, want '{'", header[0])
	}
	root, err := rawjson.Parse(header)
	if err != nil {
		return nil, nil, fmt.Errorf("the header is %w", err)
	}
	var p headerParser
	if err := root.Members(p.member); err != nil {
		return nil, nil, fmt.Errorf("in the header: %w", err)
	}
	// Writers order the header as they like. Tensors without elements share
	// their offset with a neighbour; the end puts them before it.
	slices.SortStableFunc(p.tensors, func(a, b span) int {
		if a.begin != b.begin {
			return cmp.Compare(a.begin, b.begin)
		}
		return cmp.Compare(a.end, b.end)
	})
	end := int64(0)
	infos := make([]Info, len(p.tensors))
	for i, t := range p.tensors {
		if t.begin != end {
			what := "leaves a gap after"
			if t.begin < end {
				what = "overlaps"
			}
			return nil, nil, fmt.Errorf("tensor %s: data_offsets [%d, %d] %s the tensors before it, which end at %d",
				rawjson.Quote(t.Name), t.begin, t.end, what, end)
		}
		if t.end > dataSize {
			return nil, nil, fmt.Errorf("tensor %s: data_offsets [%d, %d] reach past the end of the data, which has %d bytes: the file is cut short",
				rawjson.Quote(t.Name), t.begin, t.end, dataSize)
		}
		end = t.end
		infos[i] = t.Info
		infos[i].begin = dataStart + t.begin
	}
	if end != dataSize {
		return nil, nil, fmt.Errorf("the tensors end at byte %d of the data, which has %d bytes: the file is longer than its header says", end, dataSize)
	}
	return infos, p.metadata, nil
}

// A span is a tensor with its place in the data.
type span struct {
	Info
	begin, end int64
}

type headerParser struct {
	tensors  []span
	metadata map[string]string
	dtypes   map[string]DType // one copy of each spelling
}

func (p *headerParser) member(key string, v rawjson.Value) error {
	if key == metadataKey {
		p.metadata = make(map[string]string)
		err := v.Members(func(k string, v rawjson.Value) (err error) {
			p.metadata[k], err = v.Text()
			if err != nil {
				err = fmt.Errorf("key %s: %w", rawjson.Quote(k), err)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", metadataKey, err)
		}
		return nil
	}
	t, err := p.tensor(key, v)
	if err != nil {
		return fmt.Errorf("tensor %s: %w", rawjson.Quote(key), err)
	}
	p.tensors = append(p.tensors, t)
	return nil
}

func (p *headerParser) tensor(name string, v rawjson.Value) (span, error) {
	t := span{Info: Info{Name: name}, begin: -1}
	if err := checkName(name); err != nil {
		return t, err
	}
	var haveType, haveShape bool
	err := v.Members(func(key string, v rawjson.Value) (err error) {
		switch key {
		case "dtype":
			haveType = true
			t.DType, err = p.dtype(v)
		case "shape":
			haveShape = true
			t.Shape, err = ints(v, MaxRank)
		case "data_offsets":
			var at []int64
			if at, err = ints(v, 2); err == nil && len(at) != 2 {
				err = fmt.Errorf("want 2 numbers, got %d", len(at))
			}
			if err == nil {
				t.begin, t.end = at[0], at[1]
			}
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", key, err)
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case !haveType:
		return t, errors.New("dtype is missing")
	case !haveShape:
		return t, errors.New("shape is missing")
	case t.begin < 0:
		return t, errors.New("data_offsets is missing")
	case t.end < t.begin:
		return t, fmt.Errorf("data_offsets [%d, %d] end before they begin", t.begin, t.end)
	}
	size, err := t.bytes()
	if err != nil {
		return t, err
	}
	if size != t.end-t.begin {
		return t, fmt.Errorf("shape %v of dtype %s takes %d bytes, data_offsets [%d, %d] hold %d",
			t.Shape, t.DType, size, t.begin, t.end, t.end-t.begin)
	}
	return t, nil
}

func (p *headerParser) dtype(v rawjson.Value) (DType, error) {
	if t, ok := p.dtypes[string(v)]; ok {
		return t, nil
	}
	s, err := v.Text()
	if err != nil {
		return "", err
	}
	t := DType(s)
	if t.bits() == 0 {
		return "", fmt.Errorf("%s is not a type of the format", rawjson.Quote(s))
	}
	if p.dtypes == nil {
		p.dtypes = make(map[string]DType)
	}
	if len(p.dtypes) < 64 { // spellings with escapes are many
		p.dtypes[string(v)] = t
	}
	return t, nil
}

// ints returns an array of at most limit integers, none of them negative.
func ints(v rawjson.Value, limit int) ([]int64, error) {
	var out []int64
	err := v.Elements(func(i int, v rawjson.Value) error {
		if i == limit {
			return fmt.Errorf("more than %d numbers", limit)
		}
		n, err := v.Int64()
		if err == nil && n < 0 {
			err = fmt.Errorf("%d is negative", n)
		}
		out = append(out, n)
		return err
	})
	return slices.Clip(out), err
}

func checkName(name string) error {
	switch {
	case len(name) > MaxName:
		return fmt.Errorf("the name has %d bytes, the limit is %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	case name == metadataKey:
		return fmt.Errorf("the name %s is reserved", metadataKey)
	}
	return nil
}

// formatHeader returns the length and header that a file with these tensors
// begins with, and places them, one after the other, in infos.
func formatHeader(infos []Info, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	b.WriteByte('{')
	if metadata != nil {
		keys := make([]string, 0, len(metadata))
		for k := range metadata {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		writeString(&b, metadataKey)
		b.WriteString(":{")
		for i, k := range keys {
			if !utf8.ValidString(k) || !utf8.ValidString(metadata[k]) {
				return nil, fmt.Errorf("metadata %s is not valid UTF-8", rawjson.Quote(k))
			}
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(&b, k)
			b.WriteByte(':')
			writeString(&b, metadata[k])
		}
		b.WriteByte('}')
	}
	seen := make(map[string]bool, len(infos))
	end := int64(0)
	for i := range infos {
		t := &infos[i]
		if err := checkName(t.Name); err != nil {
			return nil, fmt.Errorf("tensor %s: %w", rawjson.Quote(t.Name), err)
		}
		if seen[t.Name] {
			return nil, fmt.Errorf("tensor %s is given twice", rawjson.Quote(t.Name))
		}
		seen[t.Name] = true
		size, err := t.bytes()
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", rawjson.Quote(t.Name), err)
		}
		if size > math.MaxInt64-MaxHeader-8-end {
			return nil, fmt.Errorf("tensor %s: the file would be too large", rawjson.Quote(t.Name))
		}
		t.begin = end
		end += size
		if b.Len() > 9 {
			b.WriteByte(',')
		}
		writeString(&b, t.Name)
		shape := strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ",")
		fmt.Fprintf(&b, `:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, t.DType, shape, t.begin, end)
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	n := b.Len() - 8
	if n > MaxHeader {
		return nil, fmt.Errorf("the header takes %d bytes, the limit is %d", n, MaxHeader)
	}
	for i := range infos {
		infos[i].begin += int64(b.Len())
	}
	out := b.Bytes()
	binary.LittleEndian.PutUint64(out, uint64(n))
	return out, nil
}

func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.Encode(s)           // a string cannot fail
	b.Truncate(b.Len() - 1) // the newline
}
