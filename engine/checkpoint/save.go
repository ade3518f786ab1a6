package checkpoint

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/internal/atomicfile"
	"github.com/thinker-vl/thinker/engine/internal/bf16"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// A Source gives the data of a checkpoint that is saved: it fills dst with the
// elements of the tensor t from index first on, in the type that the save asks
// for, little endian. Ranges of a tensor come in order unless
// [SaveOptions.Workers] asks for several at a time.
type Source func(t *TensorSpec, first int64, dst []byte) error

// Float32Source makes a Source of a function that gives float32, for a save in
// dtype: F32, or BF16 rounded to nearest, ties to even.
func Float32Source(dtype safetensors.DType, fill func(t *TensorSpec, first int64, dst []float32) error) Source {
	var pool sync.Pool // of *[]float32
	return func(t *TensorSpec, first int64, dst []byte) error {
		size, err := saveSize(dtype)
		if err != nil {
			return err
		}
		n := len(dst) / size
		wide, _ := pool.Get().(*[]float32)
		if wide == nil || cap(*wide) < n {
			wide = new([]float32)
			*wide = make([]float32, n)
		}
		defer pool.Put(wide)
		v := (*wide)[:n]
		if err := fill(t, first, v); err != nil {
			return err
		}
		encode(dst, v, dtype)
		return nil
	}
}

// encode writes v to dst in dtype, F32 or BF16.
func encode(dst []byte, v []float32, dtype safetensors.DType) {
	if dtype == safetensors.BF16 {
		bf16.EncodeNarrow(dst, v)
		return
	}
	for i, f := range v {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(f))
	}
}

// saveSize returns the size of an element in a save of this type.
func saveSize(dtype safetensors.DType) (int, error) {
	switch dtype {
	case safetensors.F32:
		return 4, nil
	case safetensors.BF16:
		return 2, nil
	}
	return 0, fmt.Errorf("checkpoint: type %q is not saved, only F32 and BF16", string(dtype))
}

// SaveOptions says how a checkpoint is saved. The zero value is bfloat16, in the
// released layout, in shards of at most 5 GB.
type SaveOptions struct {
	DType         safetensors.DType // F32 or BF16; empty means BF16
	Layout        Layout            // Released or Nested
	MaxShardBytes int64             // of data; 0 means 5e9. A larger tensor has a shard of its own
	Workers       int               // calls of the source at a time; 0 and 1 mean one, from the caller's goroutine
	Progress      func(done, total int64)
}

// defaultShard is the limit of a shard's data in bytes, as in transformers.
const defaultShard = 5_000_000_000

// A SavedFile is a file that a save has written.
type SavedFile struct {
	Name   string
	Size   int64
	CRC32C uint32 // Castagnoli, of the whole file
}

// Save writes a checkpoint into the folder dir, which is made if it is missing
// and must hold no checkpoint: the tensors of [Spec], from source, and config.json,
// in the bytes of c.Raw if c was read from a file. Of Raw only dtype and
// torch_dtype change, where the weights are saved in another type.
//
// It returns the weight files. Every file is flushed to the disk and then put in
// place by a rename, the index after the shards and config.json at the end: a
// folder with config.json is complete. After an error, the files that were
// written are removed.
func Save(ctx context.Context, dir string, c *config.Config, source Source, opts SaveOptions) ([]SavedFile, error) {
	s := &saver{ctx: ctx, dir: dir, source: source, opts: opts}
	return s.save(c)
}

type saver struct {
	ctx    context.Context
	dir    string
	source Source
	opts   SaveOptions

	size    int // of an element
	done    int64
	total   int64
	saved   []SavedFile
	written []string // for removal after an error
}

// A shard is a file that is to be written.
type shard struct {
	name  string
	specs []TensorSpec
}

func (s *saver) save(c *config.Config) (_ []SavedFile, err error) {
	o := &s.opts
	if o.DType == "" {
		o.DType = safetensors.BF16
	}
	if s.size, err = saveSize(o.DType); err != nil {
		return nil, err
	}
	if o.Layout != Released && o.Layout != Nested {
		return nil, fmt.Errorf("checkpoint: layout %v is not saved, only released and nested", o.Layout)
	}
	if o.MaxShardBytes <= 0 {
		o.MaxShardBytes = defaultShard
	}
	if name := map[safetensors.DType]string{safetensors.F32: "float32", safetensors.BF16: "bfloat16"}[o.DType]; c.DType != name {
		c = c.WithDType(name)
	}
	configFile, err := c.File()
	if err != nil {
		return nil, err
	}
	created := false
	if _, err := os.Stat(s.dir); errors.Is(err, os.ErrNotExist) {
		created = true
	}
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if err := refuseCheckpoint(s.dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, name := range s.written {
				os.Remove(filepath.Join(s.dir, name))
			}
			if created {
				os.Remove(s.dir)
			}
		}
	}()
	shards := s.plan(Spec(c))
	if free, ok := diskFree(s.dir); ok && free < s.total+s.total/100 {
		return nil, fmt.Errorf("checkpoint: %s: the checkpoint takes %d bytes, the disk has %d free", s.dir, s.total, free)
	}
	for _, sh := range shards {
		if err := s.writeShard(sh); err != nil {
			return nil, err
		}
	}
	if len(shards) > 1 {
		index, err := s.index(shards)
		if err != nil {
			return nil, err
		}
		if err := s.writeFile(safetensors.IndexFile, index); err != nil {
			return nil, err
		}
	}
	if err := s.writeFile(config.FileName, configFile); err != nil {
		return nil, err
	}
	return s.saved, nil
}

// plan divides the tensors among shards, in order.
func (s *saver) plan(specs []TensorSpec) []shard {
	var shards []shard
	room := int64(-1)
	for _, t := range specs {
		n := t.Elements() * int64(s.size)
		s.total += n
		if room -= n; room < 0 {
			shards = append(shards, shard{})
			room = s.opts.MaxShardBytes - n
		}
		sh := &shards[len(shards)-1]
		sh.specs = append(sh.specs, t)
	}
	for i := range shards {
		shards[i].name = safetensors.SingleFile
		if len(shards) > 1 {
			shards[i].name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
	}
	return shards
}

func (s *saver) writeShard(sh shard) error {
	infos := make([]safetensors.Info, len(sh.specs))
	for i, t := range sh.specs {
		infos[i] = safetensors.Info{Name: s.opts.Layout.spell(t.Name), DType: s.opts.DType, Shape: t.Shape}
	}
	w, err := safetensors.Create(filepath.Join(s.dir, sh.name), infos, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	defer w.Close()
	if s.opts.Workers > 1 {
		err = s.fillParallel(sh.specs, w)
	} else {
		err = s.fill(sh.specs, w)
	}
	if err != nil {
		return err
	}
	s.written = append(s.written, sh.name)
	if err := w.Commit(); err != nil {
		return err
	}
	s.saved = append(s.saved, SavedFile{sh.name, w.Size(), w.Checksum()})
	return nil
}

// saveElems is how many elements are asked of the source at a time. It is a
// multiple of 4, so that random elements can be made by whole blocks.
const saveElems = 1 << 16

// fill writes the tensors from the caller's goroutine.
func (s *saver) fill(specs []TensorSpec, w *safetensors.Writer) error {
	buf := make([]byte, saveElems*s.size)
	for i := range specs {
		t := &specs[i]
		for first, n := int64(0), t.Elements(); first < n; first += saveElems {
			part := buf[:min(saveElems, n-first)*int64(s.size)]
			if err := s.ctx.Err(); err != nil {
				return fmt.Errorf("checkpoint: saving %s: %w", s.dir, err)
			}
			if err := s.source(t, first, part); err != nil {
				return fmt.Errorf("checkpoint: saving %s: tensor %q: %w", s.dir, t.Name, err)
			}
			if err := s.put(w, t, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *saver) put(w *safetensors.Writer, t *TensorSpec, part []byte) error {
	if err := w.Write(s.opts.Layout.spell(t.Name), part); err != nil {
		return err
	}
	s.done += int64(len(part))
	if s.opts.Progress != nil {
		s.opts.Progress(s.done, s.total)
	}
	return nil
}

// A job is a range of a tensor on its way from the source to the file.
type job struct {
	t     *TensorSpec
	first int64
	data  []byte
	ready chan error
}

// fillParallel has several goroutines make ranges, which it writes in order. The
// file's bytes do not depend on their number.
func (s *saver) fillParallel(specs []TensorSpec, w *safetensors.Writer) error {
	ctx, cancel := context.WithCancel(s.ctx)
	workers := s.opts.Workers
	free := make(chan []byte, 2*workers)
	for range 2 * workers {
		free <- make([]byte, saveElems*s.size)
	}
	todo := make(chan *job)
	order := make(chan *job, 2*workers)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(todo)
		defer close(order)
		for i := range specs {
			t := &specs[i]
			for first, n := int64(0), t.Elements(); first < n; first += saveElems {
				var buf []byte
				select {
				case buf = <-free:
				case <-ctx.Done():
					return
				}
				j := &job{t, first, buf[:min(saveElems, n-first)*int64(s.size)], make(chan error, 1)}
				order <- j // there is room: there are as many buffers
				select {
				case todo <- j:
				case <-ctx.Done():
					j.ready <- ctx.Err()
					return
				}
			}
		}
	})
	for range workers {
		wg.Go(func() {
			for j := range todo {
				j.ready <- s.source(j.t, j.first, j.data)
			}
		})
	}
	var err error
	for j := range order {
		if jerr := <-j.ready; jerr != nil && err == nil {
			err = fmt.Errorf("checkpoint: saving %s: tensor %q: %w", s.dir, j.t.Name, jerr)
		}
		if cerr := s.ctx.Err(); cerr != nil && err == nil {
			err = fmt.Errorf("checkpoint: saving %s: %w", s.dir, cerr)
		}
		if err == nil {
			err = s.put(w, j.t, j.data)
		}
		if err != nil {
			cancel() // and read on until the producer has closed order
			continue
		}
		free <- j.data[:cap(j.data)]
	}
	cancel()
	wg.Wait()
	if err == nil && s.ctx.Err() != nil {
		err = fmt.Errorf("checkpoint: saving %s: %w", s.dir, s.ctx.Err())
	}
	return err
}

// index returns the text of the index file.
func (s *saver) index(shards []shard) ([]byte, error) {
	type metadata struct {
		TotalParameters int64 `json:"total_parameters"`
		TotalSize       int64 `json:"total_size"`
	}
	doc := struct {
		Metadata  metadata          `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"` // written sorted
	}{metadata{s.total / int64(s.size), s.total}, make(map[string]string)}
	for _, sh := range shards {
		for _, t := range sh.specs {
			doc.WeightMap[s.opts.Layout.spell(t.Name)] = sh.name
		}
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	return append(out, '\n'), err
}

func (s *saver) writeFile(name string, data []byte) error {
	s.written = append(s.written, name)
	if err := atomicfile.WriteFile(filepath.Join(s.dir, name), data); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// refuseCheckpoint returns an error if the folder dir holds a checkpoint, or a
// part of one.
func refuseCheckpoint(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	for _, e := range entries {
		n := e.Name()
		if strings.HasSuffix(n, ".safetensors") && n[0] != '.' || n == safetensors.IndexFile || n == config.FileName {
			return fmt.Errorf("checkpoint: %s holds %s already: choose another folder, nothing is overwritten", dir, n)
		}
	}
	return nil
}
