package engine

import (
	"context"
	"fmt"
	"strconv"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// SaveModel writes the weights as a Hugging Face checkpoint into the folder dir, in the layout and the type that they were read in,
// with the tokenizer's and the preprocessing's files beside them. dir is made; one that holds a checkpoint is refused.
func (t *Trainer) SaveModel(ctx context.Context, dir string, progress func(done, total int64)) error {
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ck, err := checkpoint.Open(t.e.dir)
	if err != nil {
		return err
	}
	defer ck.Close()
	at := t.tensors()
	source := checkpoint.Float32Source(t.saveDType(ck), func(s *checkpoint.TensorSpec, first int64, dst []float32) error {
		if l, ok := at[s.Name]; ok {
			copy(dst, l.master.Float32s()[l.first+int(first):])
			return nil
		}
		return ck.ReadRangeF32(s.Name, first, dst) // frozen: as it was read
	})
	return checkpoint.SaveFolder(ctx, dir, ck.Config, ck.Dir(), source, checkpoint.SaveOptions{DType: t.saveDType(ck), Layout: ck.Layout(), Progress: progress})
}

// saveDType is the type that the checkpoint stores its embedding in.
func (t *Trainer) saveDType(ck *checkpoint.Checkpoint) safetensors.DType {
	if ck.DType("model.embed_tokens.weight") == safetensors.F32 {
		return safetensors.F32
	}
	return safetensors.BF16
}

// A place is where a tensor stands in its learner's buffers.
type place struct {
	*learner
	first int // element
}

// tensors finds the tensors that learn by their released names.
func (t *Trainer) tensors() map[string]place {
	at := map[string]place{}
	for i := range t.learners {
		l := &t.learners[i]
		row := 0
		for _, p := range l.parts {
			at[p.name] = place{l, row * l.k}
			row += p.rows
		}
	}
	return at
}

// SaveGradients writes the gradients to a safetensors file, f32, under the names and shapes of the released layout.
func (t *Trainer) SaveGradients(path string) error {
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return t.write(path, nil, []kind{{"", func(l *learner) *binding.Buffer { return t.grads.of[l.buf] }}})
}

// A kind is a buffer that every learner has, and the prefix of its tensors' names in a file.
type kind struct {
	prefix string
	buf    func(l *learner) *binding.Buffer
}

// state is what AdamW carries from step to step.
func state() []kind {
	return []kind{
		{"master.", func(l *learner) *binding.Buffer { return l.master }},
		{"exp_avg.", func(l *learner) *binding.Buffer { return l.m }},
		{"exp_avg_sq.", func(l *learner) *binding.Buffer { return l.v }},
	}
}

const stepKey = "step"

// SaveState writes the optimizer's state to a safetensors file: f32 masters and both moments of every tensor that learns, and the number
// of steps. [Trainer.LoadState] continues from it with the same bits.
func (t *Trainer) SaveState(path string) error {
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return t.write(path, map[string]string{"format": "pt", stepKey: strconv.FormatInt(t.step, 10)}, state())
}

// write writes the kinds' tensors, in the order of the checkpoint.
func (t *Trainer) write(path string, metadata map[string]string, kinds []kind) error {
	at := t.tensors()
	var infos []safetensors.Info
	each := func(f func(k kind, s *checkpoint.TensorSpec, p place) error) error {
		for _, k := range kinds {
			for _, s := range checkpoint.Spec(t.e.cfg) {
				if p, ok := at[s.Name]; ok {
					if err := f(k, &s, p); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	each(func(k kind, s *checkpoint.TensorSpec, _ place) error {
		infos = append(infos, safetensors.Info{Name: k.prefix + s.Name, DType: safetensors.F32, Shape: s.Shape})
		return nil
	})
	w, err := safetensors.Create(path, infos, metadata)
	if err != nil {
		return err
	}
	defer w.Close()
	err = each(func(k kind, s *checkpoint.TensorSpec, p place) error {
		return w.Write(k.prefix+s.Name, k.buf(p.learner).Bytes()[4*p.first:4*(p.first+int(s.Elements()))])
	})
	if err != nil {
		return err
	}
	return w.Commit()
}

// LoadState reads what SaveState wrote for a trainer of the same model that learns the same tensors, and gives the weights to the
// kernels.
func (t *Trainer) LoadState(path string) error {
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	step, err := strconv.ParseInt(f.Metadata()[stepKey], 10, 64)
	if err != nil || step < 0 {
		return fmt.Errorf("engine: %s: its metadata has step %q: this is no optimizer state", path, f.Metadata()[stepKey])
	}
	at := t.tensors()
	names := map[string]bool{}
	for _, k := range state() {
		for _, s := range checkpoint.Spec(t.e.cfg) {
			p, ok := at[s.Name]
			if !ok {
				continue
			}
			name := k.prefix + s.Name
			names[name] = true
			info, ok := f.Lookup(name)
			if !ok {
				return fmt.Errorf("engine: %s: tensor %q is missing: the state is that of another model, or of other frozen tensors", path, name)
			}
			if info.DType != safetensors.F32 || info.Elements() != s.Elements() {
				return fmt.Errorf("engine: %s: tensor %q is %s %v, want F32 %v", path, name, info.DType, info.Shape, s.Shape)
			}
			if err := f.ReadTensor(name, k.buf(p.learner).Bytes()[4*p.first:4*(p.first+int(s.Elements()))]); err != nil {
				return err
			}
		}
	}
	for _, name := range f.Names() {
		if !names[name] {
			return fmt.Errorf("engine: %s: tensor %q is not of this trainer: the state is that of another model, or of other frozen tensors", path, name)
		}
	}
	for i := range t.learners {
		if err := t.publish(&t.learners[i]); err != nil {
			return err
		}
	}
	t.step = step
	return nil
}

// SavedBytes is about what SaveModel and SaveState write.
func (t *Trainer) SavedBytes() (model, state int64) {
	for _, l := range t.learners {
		state += 3 * 4 * int64(l.n*l.k)
	}
	return 4 * checkpoint.Parameters(t.e.cfg), state
}
