package safetensors

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// put writes a folder: files ending in .safetensors hold the tensors named, one
// byte each, that is the tensor's place in the list; others hold the text.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if filepath.Ext(name) != ".safetensors" {
			if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var tensors []Tensor
		for i, n := range strings.Fields(content) {
			tensors = append(tensors, Tensor{n, U8, []int64{1}, []byte{byte(i)}})
		}
		if err := WriteFile(path, tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenDir(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string            // names
		at    map[string]string // tensor: shard
	}{
		{"single", map[string]string{"model.safetensors": "b a"}, "a b", map[string]string{"a": "model.safetensors"}},
		{"another name", map[string]string{"weights.safetensors": "a"}, "a", nil},
		{"several without an index", map[string]string{"x.safetensors": "a c", "y.safetensors": "b"}, "a b c", map[string]string{"b": "y.safetensors"}},
		{"single beside others", map[string]string{"model.safetensors": "a", "other.safetensors": "z"}, "a", nil},
		{"hidden files", map[string]string{"x.safetensors": "a", ".tmp.safetensors": "a"}, "a", nil},
		{"index", map[string]string{
			"1.safetensors": "a", "2.safetensors": "b c",
			IndexFile: `{"metadata":{"total_size":3},"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}}`,
		}, "a b c", map[string]string{"a": "1.safetensors", "c": "2.safetensors"}},
		{"index decides between shards", map[string]string{
			"1.safetensors": "a b", "2.safetensors": "b",
			IndexFile: `{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`,
		}, "a b", map[string]string{"b": "2.safetensors"}},
		{"index of a single file", map[string]string{
			"model.safetensors": "a b", IndexFile: `{"weight_map":{"a":"model.safetensors","b":"model.safetensors"}}`,
		}, "a b", nil},
		{"index leaves tensors and files out", map[string]string{
			"1.safetensors": "a b", "2.safetensors": "c", IndexFile: `{"weight_map":{"a":"1.safetensors"}}`,
		}, "a", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := put(t, tt.files)
			s, err := OpenDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := strings.Join(s.Names(), " "); got != tt.want || s.Dir() != dir {
				t.Errorf("names %q of %s, want %q", got, s.Dir(), tt.want)
			}
			for _, name := range s.Names() {
				info, ok := s.Lookup(name)
				if v, err := s.Int64s(name); !ok || info.Name != name || err != nil || len(v) != 1 {
					t.Errorf("%s: %+v, %v, %v, %v", name, info, ok, v, err)
				}
			}
			for name, shard := range tt.at {
				if got := filepath.Base(s.Shard(name).Path()); got != shard {
					t.Errorf("%s is in %s, want %s", name, got, shard)
				}
			}
			if _, ok := s.Lookup("absent"); ok || s.Shard("absent") != nil {
				t.Error("a tensor that is not there was found")
			}
			for _, err := range []error{s.ReadTensor("absent", nil), s.ReadAt("absent", nil, 0)} {
				if err == nil || !strings.Contains(err.Error(), `no tensor "absent"`) {
					t.Error(err)
				}
			}
		})
	}
}

func TestOpenDirRefuses(t *testing.T) {
	index := func(s string) map[string]string { return map[string]string{"1.safetensors": "a", IndexFile: s} }
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", nil, "no model.safetensors.index.json, model.safetensors or other"},
		{"the same tensor twice", map[string]string{"x.safetensors": "a", "y.safetensors": "a"}, `tensor "a" is in x.safetensors and in y.safetensors`},
		{"two checkpoints", map[string]string{"1.safetensors": "a", "model.safetensors": "a", IndexFile: `{"weight_map":{"a":"1.safetensors"}}`}, "remove the one that is stale"},
		{"index cut short", index(`{"weight_map":{"a":"1.safe`), "not valid JSON"},
		{"index no object", index(`[]`), "want an object"},
		{"no weight_map", index(`{"metadata":{}}`), "weight_map is missing"},
		{"weight_map empty", index(`{"weight_map":{}}`), "weight_map is empty"},
		{"weight_map no object", index(`{"weight_map":["a"]}`), "weight_map: want an object"},
		{"shard no string", index(`{"weight_map":{"a":1}}`), `tensor "a": want a string, got 1`},
		{"tensor twice", index(`{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}`), `"a" occurs twice`},
		{"tensor not in its shard", index(`{"weight_map":{"b":"1.safetensors"}}`), `no tensor "b", though`},
		{"shard missing", index(`{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`), "names it as a shard"},
		{"absolute path", index(`{"weight_map":{"a":"/etc/x.safetensors"}}`), `shard "/etc/x.safetensors" is not the name`},
		{"parent folder", index(`{"weight_map":{"a":"../x.safetensors"}}`), "is not the name"},
		{"dots", index(`{"weight_map":{"a":"..safetensors"}}`), "is not the name"},
		{"backslash", index(`{"weight_map":{"a":"x\\y.safetensors"}}`), "is not the name"},
		{"drive", index(`{"weight_map":{"a":"C:x.safetensors"}}`), "is not the name"},
		{"NUL", index(`{"weight_map":{"a":"x\u0000.safetensors"}}`), "is not the name"},
		{"empty shard name", index(`{"weight_map":{"a":""}}`), "is not the name"},
		{"other ending", index(`{"weight_map":{"a":"pytorch_model.bin"}}`), "is not the name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := put(t, tt.files)
			s, err := OpenDir(dir)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "safetensors: ") || !strings.Contains(msg, dir) || !strings.Contains(msg, tt.want) {
				t.Errorf("error %q, want the folder and %q", msg, tt.want)
			}
		})
	}
	if _, err := OpenDir(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent folder: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, SingleFile), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a folder as shard: %v", err)
	}
}

func TestReferenceSet(t *testing.T) {
	s, err := OpenDir(testdata.Path(t, "golden", "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := len(s.Shards()); n != 2 {
		t.Errorf("%d shards, want 2", n)
	}
	names := s.Names()
	if !slices.Contains(names, "model.layers.2.mlp.down_proj.weight") || !slices.IsSorted(names) {
		t.Errorf("names %q", names)
	}
	w, err := s.Float32s("model.norm.weight")
	if err != nil || len(w) != 64 {
		t.Errorf("%d elements, %v", len(w), err)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":3},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../1.safetensors"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		shardOf, shards, err := parseIndex(data)
		if err != nil {
			return
		}
		for tensor, shard := range shardOf {
			if !slices.Contains(shards, shard) || filepath.Base(shard) != shard || !filepath.IsLocal(shard) {
				t.Fatalf("tensor %q in %q", tensor, shard)
			}
		}
	})
}
