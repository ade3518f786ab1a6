package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// raw returns a file with this header and n bytes of data.
func raw(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

func writeTemp(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name  string
		data  []byte
		names []string
	}{
		{"one tensor", raw(`{"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}`, 16), []string{"test"}},
		{"no tensor", raw(`{}`, 0), nil},
		{"metadata alone", raw(`{"__metadata__":{"format":"pt"}}`, 0), nil},
		{"scalar", raw(`{"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 4), []string{"s"}},
		{"no elements", raw(`{"e":{"dtype":"F32","shape":[3,0,2],"data_offsets":[0,0]}}`, 0), []string{"e"}},
		{"no elements, other dimensions overflow", raw(`{"e":{"dtype":"F32","shape":[9223372036854775807,0,9223372036854775807],"data_offsets":[0,0]}}`, 0), []string{"e"}},
		{"padded with spaces", raw(`{"s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}      `, 1), []string{"s"}},
		{"header in another order than the data", raw(`{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}}`, 3), []string{"a", "b"}},
		{"empty tensor between others", raw(`{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"e":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 3), []string{"a", "e", "b"}},
		{"unknown key of a tensor", raw(`{"s":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":[{}]}}`, 1), []string{"s"}},
		{"half bytes", raw(`{"s":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}`, 2), []string{"s"}},
		{"name with escapes", raw(`{"a\"\u0062\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), []string{"a\"b\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Open(writeTemp(t, tt.data))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got := f.Names(); !slices.Equal(got, tt.names) {
				t.Errorf("names %q, want %q", got, tt.names)
			}
			if f.Size() != int64(len(tt.data)) {
				t.Errorf("Size %d, want %d", f.Size(), len(tt.data))
			}
		})
	}
}

var hostile = []struct {
	name string
	data []byte
	want string // in the error
}{
	{"empty", nil, "the file has 0 bytes"},
	{"shorter than a length", make([]byte, 7), "the file has 7 bytes"},
	{"length over the limit", append(binary.LittleEndian.AppendUint64(nil, 1<<63), "{}"...), "9223372036854775808 bytes, the limit is 100000000"},
	{"length just over the limit", append(binary.LittleEndian.AppendUint64(nil, MaxHeader+1), "{}"...), "the limit is 100000000"},
	{"length past the end", append(binary.LittleEndian.AppendUint64(nil, 3), "{}"...), "given as 3 bytes, but the file has only 2"},
	{"length 0", make([]byte, 16), "too few for a header"},
	{"no object", raw(`[1,2]   `, 0), `begins with '['`},
	{"space first", raw(` {}`, 0), `begins with ' '`},
	{"bad UTF-8", raw("{\"a\xff\":{}}", 0), "UTF-8"},
	{"bad JSON", raw(`{"a":}`, 0), "not valid JSON at byte 6"},
	{"two values", raw(`{}{}`, 0), "not valid JSON"},
	{"deep", raw(`{"a":`+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)+`}`, 0), "not valid JSON"},
	{"duplicate name", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `"a" occurs twice`},
	{"duplicate key of a tensor", raw(`{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `"dtype" occurs twice`},
	{"duplicate metadata", raw(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `"k" occurs twice`},
	{"metadata no strings", raw(`{"__metadata__":{"k":1}}`, 0), `__metadata__: key "k": want a string, got 1`},
	{"metadata no object", raw(`{"__metadata__":null}`, 0), "__metadata__: want an object"},
	{"tensor no object", raw(`{"a":7}`, 0), `tensor "a": want an object, got 7`},
	{"unknown dtype", raw(`{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}`, 4), `"F31" is not a type`},
	{"dtype in lower case", raw(`{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}`, 4), `"f32" is not a type`},
	{"dtype missing", raw(`{"a":{"shape":[1],"data_offsets":[0,4]}}`, 4), "dtype is missing"},
	{"shape missing", raw(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "shape is missing"},
	{"offsets missing", raw(`{"a":{"dtype":"F32","shape":[1]}}`, 4), "data_offsets is missing"},
	{"keys in another case", raw(`{"a":{"DTYPE":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "dtype is missing"},
	{"negative dimension", raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), "-1 is negative"},
	{"dimension no integer", raw(`{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}`, 4), "want an integer"},
	{"dimension past 64 bits", raw(`{"a":{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]}}`, 4), "want an integer"},
	{"elements overflow", raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967297],"data_offsets":[0,4]}}`, 4), "more elements than fit"},
	{"elements overflow to zero", raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "more elements than fit"},
	{"bytes overflow", raw(`{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}`, 4), "more bits than fit"},
	{"too many dimensions", raw(`{"a":{"dtype":"F32","shape":[`+strings.Repeat("1,", 64)+`1],"data_offsets":[0,4]}}`, 4), "more than 64 numbers"},
	{"a million dimensions", raw(`{"a":{"dtype":"F32","shape":[`+strings.Repeat("1,", 1000000)+`1],"data_offsets":[0,4]}}`, 4), "more than 64 numbers"},
	{"no whole byte", raw(`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}`, 2), "whole byte"},
	{"one offset", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 4), "want 2 numbers, got 1"},
	{"three offsets", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, 4), "more than 2 numbers"},
	{"negative offset", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 4), "-4 is negative"},
	{"offsets reversed", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), "end before they begin"},
	{"size is not the shape's", raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), "takes 8 bytes, data_offsets [0, 4] hold 4"},
	{"gap at the start", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "leaves a gap"},
	{"gap between", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3), `tensor "b": data_offsets [2, 3] leaves a gap`},
	{"overlap", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), `tensor "b": data_offsets [1, 3] overlaps`},
	{"the same bytes twice", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), "overlaps"},
	{"past the end", raw(`{"a":{"dtype":"U8","shape":[100],"data_offsets":[0,100]}}`, 99), "which has 99 bytes: the file is cut short"},
	{"far past the end", raw(`{"a":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}`, 8), "the file is cut short"},
	{"bytes after the last tensor", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2), "longer than its header says"},
	{"bytes without a tensor", raw(`{}`, 1), "longer than its header says"},
	{"long name", raw(`{"`+strings.Repeat("n", MaxName+1)+`":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "the name has 1025 bytes"},
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			path := writeTemp(t, tt.data)
			f, err := Open(path)
			if err == nil {
				f.Close()
				t.Fatal("accepted")
			}
			msg := err.Error()
			if !strings.HasPrefix(msg, "safetensors: ") || !strings.Contains(msg, path) || !strings.Contains(msg, tt.want) {
				t.Errorf("error %q\nwant the prefix, the path and %q", msg, tt.want)
			}
			if len(msg) > 600+len(path) {
				t.Errorf("the error has %d bytes", len(msg))
			}
		})
	}
}

// A header costs memory in proportion to the file, not to what it claims.
func TestHostileHeaderMemory(t *testing.T) {
	for _, tt := range hostile {
		path := writeTemp(t, tt.data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Open(path)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<16+20*len(tt.data)); got > limit {
			t.Errorf("%s: %d bytes allocated for a file of %d", tt.name, got, len(tt.data))
		}
	}
}

// A large header of many small entries is read in seconds.
func TestManyTensors(t *testing.T) {
	const n = 30_000
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"t%d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, n-1-i, n-i)
	}
	b.WriteByte('}')
	start := time.Now()
	f, err := Open(writeTemp(t, raw(b.String(), n)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d := time.Since(start); d > time.Minute { // it takes 50 ms; a quadratic search would take minutes
		t.Errorf("%d tensors took %v", n, d)
	}
	names := f.Names()
	if len(names) != n || names[0] != "t29999" || names[n-1] != "t0" {
		t.Errorf("%d names, %s first", len(names), names[0])
	}
}

func TestRead(t *testing.T) {
	path := writeTemp(t, raw(`{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}}`, 8))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Path() != path || f.Metadata()["k"] != "v" {
		t.Errorf("Path %q, Metadata %v", f.Path(), f.Metadata())
	}
	info, ok := f.Lookup("b")
	if !ok || info.Name != "b" || info.DType != U8 || !slices.Equal(info.Shape, []int64{5}) || info.Elements() != 5 || info.Bytes() != 5 {
		t.Errorf("Lookup: %+v, %v", info, ok)
	}
	info.Shape[0] = 7 // a copy
	if again, _ := f.Lookup("b"); again.Shape[0] != 5 {
		t.Error("Lookup gives out the file's own shape")
	}
	if _, ok := f.Lookup("c"); ok {
		t.Error("Lookup found a tensor that is not there")
	}
	got := make([]byte, 5)
	if err := f.ReadTensor("b", got); err != nil || !bytes.Equal(got, []byte{3, 4, 5, 6, 7}) {
		t.Errorf("ReadTensor: %v, %v", got, err)
	}
	if err := f.ReadAt("b", got[:2], 3); err != nil || !bytes.Equal(got[:2], []byte{6, 7}) {
		t.Errorf("ReadAt: %v, %v", got[:2], err)
	}
	if err := f.ReadAt("b", nil, 5); err != nil {
		t.Errorf("ReadAt of nothing at the end: %v", err)
	}
	for name, err := range map[string]error{
		"no such tensor":      f.ReadTensor("c", got),
		"destination short":   f.ReadTensor("b", got[:4]),
		"destination long":    f.ReadTensor("a", got),
		"past the end":        f.ReadAt("a", got[:2], 2), // b's bytes are not a's
		"negative offset":     f.ReadAt("b", got[:1], -1),
		"offset overflows":    f.ReadAt("a", got, 1<<63-1),
		"offset past the end": f.ReadAt("a", nil, 4),
	} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestFileCutShortWhileOpen(t *testing.T) {
	path := writeTemp(t, raw(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`, 8))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, f.Size()-1); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadTensor("a", make([]byte, 8)); err == nil || !strings.Contains(err.Error(), `tensor "a"`) {
		t.Errorf("error %v", err)
	}
}

func TestOpenSpecialFiles(t *testing.T) {
	for _, path := range []string{t.TempDir(), os.DevNull, filepath.Join(t.TempDir(), "absent")} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): %v", path, err)
		}
	}
}

// Every file of the reference implementation opens and reads whole.
func TestReferenceFiles(t *testing.T) {
	root := testdata.Path(t, "golden")
	n := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".safetensors" {
			return err
		}
		f, err := Open(path)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer f.Close()
		n++
		for _, name := range f.Names() {
			info, _ := f.Lookup(name)
			if err := f.ReadTensor(name, make([]byte, info.Bytes())); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != nil || n < 10 {
		t.Errorf("%d files, %v", n, err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, tt := range hostile {
		if len(tt.data) < 4096 {
			f.Add(tt.data)
		}
	}
	f.Add(raw(`{"__metadata__":{"a":"b"},"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]},"e":{"dtype":"F64","shape":[0],"data_offsets":[16,16]}}`, 16))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "x.safetensors")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			return
		}
		defer s.Close()
		total := int64(0)
		var tensors []Tensor
		for _, name := range s.Names() {
			info, ok := s.Lookup(name)
			if !ok {
				t.Fatalf("%q is named and not found", name)
			}
			n := info.Bytes()
			if n < 0 || n > int64(len(data)) {
				t.Fatalf("%q has %d bytes in a file of %d", name, n, len(data))
			}
			total += n
			buf := make([]byte, n)
			if err := s.ReadTensor(name, buf); err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, Tensor{name, info.DType, info.Shape, buf})
		}
		if header := int64(binary.LittleEndian.Uint64(data)); 8+header+total != int64(len(data)) {
			t.Fatalf("tensors take %d bytes after a header of %d in a file of %d", total, header, len(data))
		}
		// What was read can be written, and reads the same.
		again := filepath.Join(dir, "again.safetensors")
		if err := WriteFile(again, tensors, s.Metadata()); err != nil {
			t.Fatal(err)
		}
		b, err := Open(again)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for _, want := range tensors {
			got := make([]byte, len(want.Data))
			if err := b.ReadTensor(want.Name, got); err != nil || !bytes.Equal(got, want.Data) {
				t.Fatalf("%q came back different: %v", want.Name, err)
			}
		}
	})
}
