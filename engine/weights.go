package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
)

// A linear is a packed weight [n, k] with an optional f32 bias [n]. Projections that read the same input are one linear: q, k and v;
// gate and up.
type linear struct {
	w, bias *binding.Buffer
	n, k    int
}

// A block is one pre-norm transformer block, of the decoder or of the vision tower.
type block struct {
	norm1, norm2     *binding.Buffer // f32 [hidden]
	qkv, out         linear
	gateUp, down     linear
	fullAttention    bool // vision: a whole frame, not a window
	heads, kvHeads   int
	headDim, hidden  int
	intermediateSize int
}

// weights holds a model's parameters as the kernels read them: packed matrices in the engine's dtype; biases and norms in f32.
type weights struct {
	embed, head linear // the same buffer when tied
	layers      []block
	norm        *binding.Buffer
	patch       linear
	blocks      []block
	lnQ         *binding.Buffer
	merge1      linear
	merge2      linear

	stored []stored
	owned  []*binding.Buffer
}

// A stored is what a buffer of weights holds: tensors of the checkpoint one below the other, packed, or as they are in f32.
type stored struct {
	buf    *binding.Buffer
	packed bool
	n, k   int
	parts  []part
}

func (w *weights) Close() error {
	var errs []error
	for _, b := range w.owned {
		errs = append(errs, b.Close())
	}
	w.owned = nil
	return errors.Join(errs...)
}

// A loader fills weights from a checkpoint, a bounded stretch of rows at a time.
type loader struct {
	ctx      context.Context
	d        *binding.Device
	ck       *checkpoint.Checkpoint
	dtype    uint32
	w        *weights
	staging  *binding.Buffer
	progress func(done, total int64)
	done     int64
	total    int64
}

const stagingBytes = 16 << 20

func loadWeights(ctx context.Context, d *binding.Device, ck *checkpoint.Checkpoint, dtype uint32, progress func(done, total int64)) (_ *weights, err error) {
	l := &loader{ctx: ctx, d: d, ck: ck, dtype: dtype, w: &weights{}, progress: progress}
	l.total = checkpoint.Parameters(ck.Config)
	if l.staging, err = d.Alloc(stagingBytes); err != nil {
		return nil, err
	}
	defer l.staging.Close()
	defer func() {
		if err != nil {
			l.w.Close()
		}
	}()
	c := ck.Config
	t, v := &c.Text, &c.Vision
	w := l.w
	if w.embed, err = l.linear(t.HiddenSize, false, part{"model.embed_tokens", t.VocabSize}); err != nil {
		return nil, err
	}
	w.head = w.embed
	if !c.TieWordEmbeddings {
		if w.head, err = l.linear(t.HiddenSize, false, part{"lm_head", t.VocabSize}); err != nil {
			return nil, err
		}
	}
	for i := range t.Layers {
		b, err := l.decoderLayer(fmt.Sprintf("model.layers.%d.", i), t)
		if err != nil {
			return nil, err
		}
		w.layers = append(w.layers, b)
	}
	if w.norm, err = l.vector("model.norm.weight", t.HiddenSize); err != nil {
		return nil, err
	}
	patch := v.InChannels * v.TemporalPatchSize * v.PatchSize * v.PatchSize
	if w.patch, err = l.linear(patch, false, part{"visual.patch_embed.proj", v.HiddenSize}); err != nil {
		return nil, err
	}
	for i := range v.Depth {
		b, err := l.visionBlock(fmt.Sprintf("visual.blocks.%d.", i), v)
		if err != nil {
			return nil, err
		}
		for _, f := range v.FullAttnBlocks {
			b.fullAttention = b.fullAttention || f == i
		}
		w.blocks = append(w.blocks, b)
	}
	if w.lnQ, err = l.vector("visual.merger.ln_q.weight", v.HiddenSize); err != nil {
		return nil, err
	}
	merged := v.HiddenSize * v.SpatialMergeSize * v.SpatialMergeSize
	if w.merge1, err = l.linear(merged, true, part{"visual.merger.mlp.0", merged}); err != nil {
		return nil, err
	}
	if w.merge2, err = l.linear(merged, true, part{"visual.merger.mlp.2", v.OutHiddenSize}); err != nil {
		return nil, err
	}
	return w, nil
}

func (l *loader) decoderLayer(p string, t *config.Text) (b block, err error) {
	b = block{heads: t.Heads, kvHeads: t.KVHeads, headDim: t.HeadDim, hidden: t.HiddenSize, intermediateSize: t.IntermediateSize}
	q, kv := t.Heads*t.HeadDim, t.KVHeads*t.HeadDim
	if b.norm1, err = l.vector(p+"input_layernorm.weight", t.HiddenSize); err != nil {
		return b, err
	}
	if b.norm2, err = l.vector(p+"post_attention_layernorm.weight", t.HiddenSize); err != nil {
		return b, err
	}
	if b.qkv, err = l.linear(t.HiddenSize, true, part{p + "self_attn.q_proj", q}, part{p + "self_attn.k_proj", kv}, part{p + "self_attn.v_proj", kv}); err != nil {
		return b, err
	}
	if b.out, err = l.linear(q, false, part{p + "self_attn.o_proj", t.HiddenSize}); err != nil {
		return b, err
	}
	if b.gateUp, err = l.linear(t.HiddenSize, false, part{p + "mlp.gate_proj", t.IntermediateSize}, part{p + "mlp.up_proj", t.IntermediateSize}); err != nil {
		return b, err
	}
	b.down, err = l.linear(t.IntermediateSize, false, part{p + "mlp.down_proj", t.HiddenSize})
	return b, err
}

func (l *loader) visionBlock(p string, v *config.Vision) (b block, err error) {
	b = block{heads: v.Heads, kvHeads: v.Heads, headDim: v.HeadDim, hidden: v.HiddenSize, intermediateSize: v.IntermediateSize}
	if b.norm1, err = l.vector(p+"norm1.weight", v.HiddenSize); err != nil {
		return b, err
	}
	if b.norm2, err = l.vector(p+"norm2.weight", v.HiddenSize); err != nil {
		return b, err
	}
	if b.qkv, err = l.linear(v.HiddenSize, true, part{p + "attn.qkv", 3 * v.HiddenSize}); err != nil {
		return b, err
	}
	if b.out, err = l.linear(v.HiddenSize, true, part{p + "attn.proj", v.HiddenSize}); err != nil {
		return b, err
	}
	if b.gateUp, err = l.linear(v.HiddenSize, true, part{p + "mlp.gate_proj", v.IntermediateSize}, part{p + "mlp.up_proj", v.IntermediateSize}); err != nil {
		return b, err
	}
	b.down, err = l.linear(v.IntermediateSize, true, part{p + "mlp.down_proj", v.HiddenSize})
	return b, err
}

func (l *loader) alloc(bytes int) (*binding.Buffer, error) {
	b, err := l.d.Alloc(bytes)
	if err == nil {
		l.w.owned = append(l.w.owned, b)
	}
	return b, err
}

func (l *loader) advance(elements int) error {
	l.done += int64(elements)
	if l.progress != nil {
		l.progress(l.done, l.total)
	}
	return l.ctx.Err()
}

// vector reads a tensor of n elements as f32.
func (l *loader) vector(name string, n int) (*binding.Buffer, error) {
	b, err := l.alloc(4 * n)
	if err != nil {
		return nil, err
	}
	if err := l.ck.ReadF32(name, b.Float32s()[:n]); err != nil {
		return nil, err
	}
	l.w.stored = append(l.w.stored, stored{buf: b, n: n, k: 1, parts: []part{{name, n}}})
	return b, l.advance(n)
}

// A part is one tensor of a linear: rows rows of it.
type part struct {
	name string // without .weight and .bias, but in a stored, which has the whole name
	rows int
}

// linear reads and packs the parts' weights, one below the other, and their biases.
func (l *loader) linear(k int, bias bool, parts ...part) (linear, error) {
	lin := linear{k: k}
	for _, p := range parts {
		lin.n += p.rows
	}
	var err error
	if lin.w, err = l.alloc(binding.PackedBytes(l.dtype, lin.n, k)); err != nil {
		return lin, err
	}
	if bias {
		if lin.bias, err = l.alloc(4 * lin.n); err != nil {
			return lin, err
		}
	}
	weight := stored{buf: lin.w, packed: true, n: lin.n, k: k}
	biases := stored{buf: lin.bias, n: lin.n, k: 1}
	row := 0
	for _, p := range parts {
		weight.parts = append(weight.parts, part{p.name + ".weight", p.rows})
		biases.parts = append(biases.parts, part{p.name + ".bias", p.rows})
		step := max(1, stagingBytes/(k*binding.DTypeBytes(l.dtype)))
		for r := 0; r < p.rows; r += step {
			n := min(step, p.rows-r)
			name := p.name + ".weight"
			if l.dtype == binding.BF16 {
				err = l.ck.ReadRowsBF16(name, r, n, l.staging.Uint16s()[:n*k])
			} else {
				err = l.ck.ReadRowsF32(name, r, n, l.staging.Float32s()[:n*k])
			}
			if err != nil {
				return lin, err
			}
			err = l.d.Pack(&binding.PackArgs{DType: l.dtype, DTypeSrc: l.dtype, Src: l.staging.Addr(), Packed: lin.w.Addr(),
				N: int64(lin.n), K: int64(k), Row0: int64(row + r), Rows: int64(n), Ld: int64(k)})
			if err != nil {
				return lin, err
			}
			if err := l.advance(n * k); err != nil {
				return lin, err
			}
		}
		if bias {
			if err := l.ck.ReadF32(p.name+".bias", lin.bias.Float32s()[row:row+p.rows]); err != nil {
				return lin, err
			}
			if err := l.advance(p.rows); err != nil {
				return lin, err
			}
		}
		row += p.rows
	}
	l.w.stored = append(l.w.stored, weight)
	if bias {
		l.w.stored = append(l.w.stored, biases)
	}
	return lin, nil
}
