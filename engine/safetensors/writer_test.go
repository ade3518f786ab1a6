package safetensors

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bytes are those of the reference implementation (safetensors 0.8,
// serialize_file) for the same tensors.
func TestWriteFileBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	err := WriteFile(path, []Tensor{
		{"b", F32, []int64{1, 2}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{"a<>é", F32, []int64{}, []byte{9, 10, 11, 12}},
		{"c", I64, []int64{1}, []byte{13, 14, 15, 16, 17, 18, 19, 20}},
		{"d", U8, []int64{0, 3}, nil},
	}, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	header := `{"__metadata__":{"format":"pt"},"c":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a<>é":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[12,20]},"d":{"dtype":"U8","shape":[0,3],"data_offsets":[20,20]}}`
	header += strings.Repeat(" ", -len(header)&7)
	want := append(raw(header, 0), 13, 14, 15, 16, 17, 18, 19, 20, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8)
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWriterStreams(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	infos := []Info{
		{Name: "none", DType: F32, Shape: []int64{0}},
		{Name: "a", DType: U8, Shape: []int64{3}},
		{Name: "b", DType: BF16, Shape: []int64{1 << 18}},
		{Name: "last none", DType: F32, Shape: []int64{2, 0}},
	}
	w, err := Create(path, infos, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	b := bytes.Repeat([]byte{1, 2, 3, 4}, 1<<17)
	r := bytes.NewReader(append(bytes.Clone(b), 99))
	for i, err := range []error{
		w.Write("none", nil), w.WriteFrom("none", r), w.Write("a", []byte{7, 8}), w.Write("a", nil), w.Write("a", []byte{9}),
		w.WriteFrom("b", r), w.Write("last none", nil),
	} {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if r.Len() != 1 {
		t.Errorf("WriteFrom left %d bytes, want the 1 that is not the tensor's", r.Len())
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the target is there before Commit: %v", err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(len(data)) || w.Checksum() != crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) {
		t.Errorf("Size %d, Checksum %#x of a file of %d bytes", w.Size(), w.Checksum(), len(data))
	}
	if n := len(data); n%8 != (3+len(b))%8 || !bytes.Equal(data[n-len(b)-3:], append([]byte{7, 8, 9}, b...)) {
		t.Error("the data is not what was written, or the header is not aligned")
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close after Commit: %v", err)
	}
	if err := w.Write("a", nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Commit: %v", err)
	}
}

func TestWriterMisuse(t *testing.T) {
	infos := []Info{{Name: "a", DType: U8, Shape: []int64{4}}, {Name: "b", DType: U8, Shape: []int64{4}}, {Name: "none", DType: U8, Shape: []int64{0}}}
	tests := []struct {
		name string
		do   func(w *Writer) error
		want string
	}{
		{"out of turn", func(w *Writer) error { return w.Write("b", []byte{1}) }, `it is the turn of "a", of which 4 bytes are missing`},
		{"unknown", func(w *Writer) error { return w.Write("c", []byte{1}) }, "was not told of it"},
		{"too long", func(w *Writer) error { return w.Write("a", make([]byte, 5)) }, "5 bytes are written where 4 are missing"},
		{"again", func(w *Writer) error { w.Write("a", make([]byte, 4)); return w.Write("a", []byte{1}) }, "it is complete"},
		{"bytes for nothing", func(w *Writer) error { return w.Write("none", []byte{1}) }, "has no elements"},
		{"incomplete", func(w *Writer) error { w.Write("a", make([]byte, 4)); return w.Commit() }, `"b" is incomplete, 4 bytes`},
		{"reader short", func(w *Writer) error { return w.WriteFrom("a", strings.NewReader("xyz")) }, "1 bytes are missing: unexpected EOF"},
		{"reader empty", func(w *Writer) error { return w.WriteFrom("a", strings.NewReader("")) }, "unexpected EOF"},
		{"reader fails", func(w *Writer) error { return w.WriteFrom("a", io.MultiReader(strings.NewReader("x"), failing{})) }, "3 bytes are missing: disk on fire"},
		{"closed", func(w *Writer) error { w.Close(); return w.Commit() }, "closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.safetensors")
			if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
				t.Fatal(err)
			}
			w, err := Create(path, infos, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.do(w); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the path", err, tt.want)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if got, _ := os.ReadFile(path); string(got) != "old" {
				t.Errorf("the target holds %q", got)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("%d files are left in the folder", len(entries))
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestCreateRefuses(t *testing.T) {
	u8 := func(name string, shape ...int64) Info { return Info{Name: name, DType: U8, Shape: shape} }
	tests := []struct {
		name  string
		infos []Info
		meta  map[string]string
		want  string
	}{
		{"twice", []Info{u8("a", 1), u8("a", 1)}, nil, `"a" is given twice`},
		{"reserved name", []Info{u8("__metadata__", 1)}, nil, "reserved"},
		{"bad name", []Info{u8("\xff", 1)}, nil, "UTF-8"},
		{"long name", []Info{u8(strings.Repeat("n", MaxName+1), 1)}, nil, "1025 bytes"},
		{"no dtype", []Info{{Name: "a", Shape: []int64{1}}}, nil, `unknown dtype ""`},
		{"negative", []Info{u8("a", -1)}, nil, "negative"},
		{"overflow", []Info{u8("a", 1<<40, 1<<40)}, nil, "more elements"},
		{"sum overflows", []Info{u8("a", 1<<59), u8("b", 1<<59), u8("c", 1<<59), u8("d", 1<<59), u8("e", 1<<59), u8("f", 1<<59), u8("g", 1<<59),
			u8("h", 1<<59), u8("i", 1<<59), u8("j", 1<<59), u8("k", 1<<59), u8("l", 1<<59), u8("m", 1<<59), u8("n", 1<<59), u8("o", 1<<59), u8("p", 1<<59)}, nil, "too large"},
		{"rank", []Info{u8("a", make([]int64, 65)...)}, nil, "65 dimensions"},
		{"bad metadata", nil, map[string]string{"a": "\xff"}, "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Create(filepath.Join(dir, "x.safetensors"), tt.infos, tt.meta)
			if err == nil {
				w.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Error("a file is left in the folder")
			}
		})
	}
	if err := WriteFile(filepath.Join(t.TempDir(), "x"), []Tensor{{"a", U8, []int64{2}, []byte{1}}}, nil); err == nil || !strings.Contains(err.Error(), "does not take 1 bytes") {
		t.Errorf("WriteFile with data of another size: %v", err)
	}
	if _, err := Create(t.TempDir(), nil, nil); err == nil {
		t.Error("Create over a folder was accepted")
	}
}

func BenchmarkWriter(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.safetensors")
	data := make([]byte, 16<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w, err := Create(path, []Info{{Name: "a", DType: U8, Shape: []int64{int64(len(data))}}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Write("a", data); err != nil {
			b.Fatal(err)
		}
		w.Close() // not Commit: the disk is not what is measured
	}
}
