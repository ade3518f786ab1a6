package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// Names of the files that hold a checkpoint's tensors.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// Limits of an index.
const (
	maxIndex  = 64 << 20 // bytes
	maxShards = 1024
)

// A Set is a folder of safetensors files that make one checkpoint.
type Set struct {
	dir    string
	shards []*File // by name
	where  map[string]*File
	names  []string // sorted
}

// OpenDir opens the tensors of a checkpoint folder:
//
//   - those that model.safetensors.index.json names, each in the shard that the
//     index gives for it; what else a shard holds is ignored, as the reference
//     implementation ignores it;
//   - without an index, those of model.safetensors;
//   - without that, those of all *.safetensors files in the folder, in which no
//     name may occur twice.
//
// A folder with model.safetensors and an index that does not refer to it holds
// two checkpoints, and is refused.
func OpenDir(dir string) (*Set, error) {
	s := &Set{dir: dir, where: make(map[string]*File)}
	err := s.open()
	if err != nil {
		s.Close()
		return nil, err
	}
	for name := range s.where {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	return s, nil
}

func (s *Set) open() error {
	index := filepath.Join(s.dir, IndexFile)
	_, err := os.Lstat(index)
	if err == nil {
		return s.openIndex(index)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("safetensors: %w", err)
	}
	var shards []string
	if _, err := os.Lstat(filepath.Join(s.dir, SingleFile)); err == nil {
		shards = []string{SingleFile}
	} else if shards, err = listShards(s.dir); err != nil {
		return err
	}
	if len(shards) == 0 {
		return fmt.Errorf("safetensors: %s: no %s, %s or other .safetensors file in the folder", s.dir, IndexFile, SingleFile)
	}
	for _, name := range shards {
		f, err := s.openShard(name)
		if err != nil {
			return err
		}
		for _, t := range f.infos {
			if other := s.where[t.Name]; other != nil {
				return fmt.Errorf("safetensors: %s: tensor %s is in %s and in %s, and no %s says which one counts",
					s.dir, rawjson.Quote(t.Name), filepath.Base(other.path), name, IndexFile)
			}
			s.where[t.Name] = f
		}
	}
	return nil
}

// listShards returns the names of the safetensors files in dir, sorted.
func listShards(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".safetensors") && n[0] != '.' {
			names = append(names, n)
		}
	}
	if len(names) > maxShards {
		return nil, fmt.Errorf("safetensors: %s: %d .safetensors files, the limit is %d", dir, len(names), maxShards)
	}
	return names, nil
}

func (s *Set) openIndex(path string) error {
	data, err := regfile.ReadFile(path, maxIndex)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	shardOf, shards, err := parseIndex(data)
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", path, err)
	}
	if !slices.Contains(shards, SingleFile) {
		if _, err := os.Lstat(filepath.Join(s.dir, SingleFile)); err == nil {
			return fmt.Errorf("safetensors: %s holds both %s and an %s that does not refer to it: remove the one that is stale",
				s.dir, SingleFile, IndexFile)
		}
	}
	files := make(map[string]*File, len(shards))
	for _, name := range shards {
		f, err := s.openShard(name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s names it as a shard", err, IndexFile)
		}
		if err != nil {
			return err
		}
		files[name] = f
	}
	for name, shard := range shardOf {
		f := files[shard]
		if _, ok := f.index[name]; !ok {
			return fmt.Errorf("safetensors: %s: no tensor %s, though %s places it there", f.path, rawjson.Quote(name), IndexFile)
		}
		s.where[name] = f
	}
	return nil
}

// parseIndex returns the weight_map of an index and its shards, sorted.
func parseIndex(data []byte) (shardOf map[string]string, shards []string, err error) {
	root, err := rawjson.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	members, err := root.Map()
	if err != nil {
		return nil, nil, err
	}
	wm, ok := members["weight_map"]
	if !ok {
		return nil, nil, errors.New("weight_map is missing")
	}
	shardOf = make(map[string]string)
	seen := make(map[string]string) // one copy of each shard's name
	err = wm.Members(func(tensor string, v rawjson.Value) error {
		name, err := v.Text()
		if err == nil {
			err = checkName(tensor)
		}
		if err != nil {
			return fmt.Errorf("tensor %s: %w", rawjson.Quote(tensor), err)
		}
		if _, ok := seen[name]; !ok {
			if !isShardName(name) {
				return fmt.Errorf("tensor %s: shard %s is not the name of a .safetensors file in the same folder", rawjson.Quote(tensor), rawjson.Quote(name))
			}
			if len(seen) == maxShards {
				return fmt.Errorf("more than %d shards", maxShards)
			}
			seen[name] = name
			shards = append(shards, name)
		}
		shardOf[tensor] = seen[name]
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("weight_map: %w", err)
	}
	if len(shardOf) == 0 {
		return nil, nil, errors.New("weight_map is empty")
	}
	slices.Sort(shards)
	return shardOf, shards, nil
}

// isShardName reports whether name is a plain file name with the right ending.
// Both separators are refused on every system, so that a checkpoint that one
// accepts the other accepts too.
func isShardName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") && len(name) <= 255 &&
		!strings.ContainsAny(name, "/\\:\x00") && !strings.Contains(name, "..")
}

func (s *Set) openShard(name string) (*File, error) {
	f, err := Open(filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	s.shards = append(s.shards, f)
	return f, nil
}

// Close closes all files.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.shards {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Dir returns the folder.
func (s *Set) Dir() string {
	return s.dir
}

// Shards returns the open files, sorted by name.
func (s *Set) Shards() []*File {
	return slices.Clone(s.shards)
}

// Shard returns the file that holds a tensor, or nil.
func (s *Set) Shard(name string) *File {
	return s.where[name]
}

// Names returns the names of the tensors, sorted.
func (s *Set) Names() []string {
	return slices.Clone(s.names)
}

// Lookup returns the description of a tensor and whether the set holds it.
func (s *Set) Lookup(name string) (Info, bool) {
	if f := s.where[name]; f != nil {
		return f.Lookup(name)
	}
	return Info{}, false
}

// ReadTensor is [File.ReadTensor].
func (s *Set) ReadTensor(name string, dst []byte) error {
	f, err := s.file(name)
	if err != nil {
		return err
	}
	return f.ReadTensor(name, dst)
}

// ReadAt is [File.ReadAt].
func (s *Set) ReadAt(name string, dst []byte, off int64) error {
	f, err := s.file(name)
	if err != nil {
		return err
	}
	return f.ReadAt(name, dst, off)
}

// Float32s is [File.Float32s].
func (s *Set) Float32s(name string) ([]float32, error) { return float32s(s, name) }

// Float64s is [File.Float64s].
func (s *Set) Float64s(name string) ([]float64, error) { return float64s(s, name) }

// Int64s is [File.Int64s].
func (s *Set) Int64s(name string) ([]int64, error) { return int64s(s, name) }

func (s *Set) file(name string) (*File, error) {
	f := s.where[name]
	if f == nil {
		return nil, fmt.Errorf("safetensors: %s: no tensor %s", s.dir, rawjson.Quote(name))
	}
	return f, nil
}

func (s *Set) lookup(name string) (*Info, error) {
	f, err := s.file(name)
	if err != nil {
		return nil, err
	}
	return f.lookup(name)
}
