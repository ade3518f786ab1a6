package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// A Checkpoint is an open checkpoint folder. It may be used by several
// goroutines at once.
type Checkpoint struct {
	// Config is the configuration in the folder. It must not be changed.
	Config *config.Config

	set     *safetensors.Set
	specs   []TensorSpec
	tensors map[string]tensor // by released name
	ignored []string          // names in the files, sorted
	layout  Layout
}

// A tensor is a tensor of the model in its file.
type tensor struct {
	file string // its name in the file
	info safetensors.Info
}

// Open opens the checkpoint in the folder dir and checks that it holds exactly
// the tensors that its config.json calls for. No weights are read, but for an
// lm_head.weight beside a tied embedding, which are compared.
func Open(dir string) (*Checkpoint, error) {
	if fi, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	} else if !fi.IsDir() {
		return nil, fmt.Errorf("checkpoint: %s is not a folder, want one with %s and %s", dir, config.FileName, safetensors.SingleFile)
	}
	c, err := config.Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the folder holds no checkpoint", err)
	}
	if err != nil {
		return nil, err
	}
	set, err := safetensors.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	ck := &Checkpoint{Config: c, set: set, specs: Spec(c), tensors: make(map[string]tensor)}
	if err := ck.match(); err != nil {
		set.Close()
		return nil, fmt.Errorf("checkpoint: %s: %w", dir, err)
	}
	return ck, nil
}

// Close closes the checkpoint's files.
func (ck *Checkpoint) Close() error {
	return ck.set.Close()
}

// Dir returns the folder.
func (ck *Checkpoint) Dir() string {
	return ck.set.Dir()
}

// Layout returns how the files name the tensors.
func (ck *Checkpoint) Layout() Layout {
	return ck.layout
}

// Tensors returns the tensors of the model, as [Spec] lists them.
func (ck *Checkpoint) Tensors() []TensorSpec {
	return slices.Clone(ck.specs)
}

// DType returns the type in which a tensor is stored, or "" if the model has no
// tensor of this name.
func (ck *Checkpoint) DType(name string) safetensors.DType {
	return ck.tensors[name].info.DType
}

// match assigns the files' tensors to the model's.
func (ck *Checkpoint) match() error {
	var seen [2]bool
	found := make(map[string]tensor)
	for _, file := range ck.set.Names() {
		name, layout, ok := canonical(file)
		if other, dup := found[name]; dup {
			return fmt.Errorf("tensors %q and %q are the same tensor by two names", other.file, file)
		}
		info, _ := ck.set.Lookup(file)
		found[name] = tensor{file, info}
		if ok {
			seen[layout] = true
		}
	}
	switch seen {
	case [2]bool{Nested: true}:
		ck.layout = Nested
	case [2]bool{true, true}:
		ck.layout = Mixed
	}
	var missing []string
	for _, s := range ck.specs {
		t, ok := found[s.Name]
		if !ok {
			missing = append(missing, s.Name)
			continue
		}
		if !slices.Equal(t.info.Shape, s.Shape) {
			return fmt.Errorf("tensor %q in %s has shape %v, %s calls for %v%s",
				t.file, ck.shard(t), t.info.Shape, config.FileName, s.Shape, ck.Config.DefaultedSizes())
		}
		switch t.info.DType {
		case safetensors.F32, safetensors.BF16, safetensors.F16:
		default:
			return fmt.Errorf("tensor %q in %s is of type %s, only F32, BF16 and F16 are read", t.file, ck.shard(t), t.info.DType)
		}
		ck.tensors[s.Name] = t
		delete(found, s.Name)
	}
	if len(missing) > 0 {
		return ck.missing(missing)
	}
	return ck.leftOver(found)
}

func (ck *Checkpoint) missing(names []string) error {
	if len(names) == 1 && names[0] == headName {
		return fmt.Errorf("tensor %q is missing, and %s unties the embeddings (tie_word_embeddings is false%s): the embedding is not taken for the head; if the model is tied, set tie_word_embeddings to true",
			headName, config.FileName, ck.Config.DefaultedSizes())
	}
	more := ""
	if len(names) > 1 {
		more = fmt.Sprintf(" (and %d others)", len(names)-1)
	}
	return fmt.Errorf("tensor %q%s is missing, %s calls for it%s", names[0], more, config.FileName, ck.Config.DefaultedSizes())
}

// leftOver decides about what the model does not call for.
func (ck *Checkpoint) leftOver(found map[string]tensor) error {
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := found[name]
		switch {
		case isBuffer(name):
		case name == headName: // tied: an untied one is in the Spec
			if err := ck.compareHead(t); err != nil {
				return err
			}
		default:
			return fmt.Errorf("tensor %q in %s is not part of the model that %s describes%s", t.file, ck.shard(t), config.FileName, ck.Config.DefaultedSizes())
		}
		ck.ignored = append(ck.ignored, t.file)
	}
	slices.Sort(ck.ignored)
	return nil
}

// compareHead verifies that a head beside a tied embedding says the same.
func (ck *Checkpoint) compareHead(head tensor) error {
	embed := ck.tensors[embedName]
	differ := func(what string) error {
		return fmt.Errorf("tensor %q in %s differs in %s from %q, but %s ties them: set tie_word_embeddings to false to use it, or remove it",
			head.file, ck.shard(head), what, embed.file, config.FileName)
	}
	if !slices.Equal(head.info.Shape, embed.info.Shape) {
		return differ("shape")
	}
	if head.info.DType != embed.info.DType {
		return differ("type")
	}
	const piece = 1 << 20
	a, b := make([]byte, piece), make([]byte, piece)
	for off, n := int64(0), embed.info.Bytes(); off < n; off += piece {
		k := min(piece, n-off)
		if err := ck.set.ReadAt(head.file, a[:k], off); err != nil {
			return err
		}
		if err := ck.set.ReadAt(embed.file, b[:k], off); err != nil {
			return err
		}
		if !bytes.Equal(a[:k], b[:k]) {
			return differ("value")
		}
	}
	return nil
}

func (ck *Checkpoint) shard(t tensor) string {
	return filepath.Base(ck.set.Shard(t.file).Path())
}
