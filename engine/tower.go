package engine

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// An attention says which rows of a tower's block see which: the segments of the ABI's op attention.
type attention struct {
	cu, prefix *binding.Buffer // i32; prefix may be nil
	segments   int
	keys       int // over all segments, prefixes included, each rounded up to a chunk
	causal     bool
}

// A tower is a stack of transformer blocks in training, the decoder's or the vision tower's: a forward pass that keeps what the
// backward pass reads, and the backward pass.
//
// Rows are packed sequences. A row of the forward pass is computed by the kernels of the sampler and has its bits.
type tower struct {
	*model
	grads     *gradients
	blocks    []block
	eps       float64
	rows      int
	cos, sin  *binding.Buffer // f32 [rows, headDim/2]
	attention func(b *block) attention
	recompute bool

	x    []*binding.Buffer // the input of each block, and the output of the last
	kept []*activations    // of each block; with recompute one for all
	held int               // with recompute: the block whose activations kept[0] holds

	dx, dy, dattn, dqkv, dgateUp, dact *binding.Buffer // f32
	workspace                          *binding.Buffer
}

// activations are what the backward pass of a block reads besides its input, each [rows, ...].
type activations struct {
	rstd1, y1, qkv, attn, lse, mid, rstd2, y2, gateUp, act *binding.Buffer
}

// newTower takes the tower's memory from s. All blocks have the shape of the first. Without g the tower runs forward alone, and keeps
// nothing.
func newTower(s *scratch, m *model, g *gradients, blocks []block, eps float64, rows int, recompute bool, attn func(*block) attention) *tower {
	b := &blocks[0]
	size := binding.DTypeBytes(m.dtype)
	width, heads, inter := (b.heads+2*b.kvHeads)*b.headDim, b.heads*b.headDim, b.intermediateSize
	t := &tower{model: m, grads: g, blocks: blocks, eps: eps, rows: rows, attention: attn, recompute: recompute || g == nil, held: -1}
	t.cos, t.sin = s.alloc(4*rows*b.headDim/2), s.alloc(4*rows*b.headDim/2)
	for l := range len(blocks) + 1 {
		if g == nil && l >= 2 {
			t.x = append(t.x, t.x[l-2])
			continue
		}
		t.x = append(t.x, s.alloc(size*rows*b.hidden))
	}
	sets := len(blocks)
	if t.recompute {
		sets = 1
	}
	for range sets {
		t.kept = append(t.kept, &activations{
			rstd1: s.alloc(4 * rows), y1: s.alloc(size * rows * b.hidden), qkv: s.alloc(size * rows * width), attn: s.alloc(size * rows * heads),
			lse: s.alloc(4 * rows * b.heads), mid: s.alloc(size * rows * b.hidden), rstd2: s.alloc(4 * rows), y2: s.alloc(size * rows * b.hidden),
			gateUp: s.alloc(size * rows * 2 * inter), act: s.alloc(size * rows * inter),
		})
	}
	if g != nil {
		t.dx, t.dy = s.alloc(4*rows*b.hidden), s.alloc(4*rows*b.hidden)
		t.dattn, t.dqkv = s.alloc(4*rows*heads), s.alloc(4*rows*width)
		t.dgateUp, t.dact = s.alloc(4*rows*2*inter), s.alloc(4*rows*inter)
	}
	t.workspace = s.alloc(t.workspaceBytes(s))
	return t
}

// workspaceBytes is the most that an op of the tower asks for.
func (t *tower) workspaceBytes(s *scratch) int {
	most := uint64(0)
	for i := range t.blocks {
		b := &t.blocks[i]
		at := t.attention(b)
		f := binding.AttentionWorkspaceArgs{DType: t.dtype, Rows: int64(t.rows), Keys: int64(at.keys), Heads: int64(b.heads), KVHeads: int64(b.kvHeads), Dim: int64(b.headDim)}
		if err := t.d.AttentionWorkspace(&f); err != nil && s.err == nil {
			s.err = err
		}
		most = max(most, f.Bytes)
		if t.grads == nil {
			continue
		}
		g := binding.AttentionBackwardWorkspaceArgs{DType: t.dtype, Rows: f.Rows, Keys: f.Keys, Heads: f.Heads, KVHeads: f.KVHeads, Dim: f.Dim}
		if err := t.d.AttentionBackwardWorkspace(&g); err != nil && s.err == nil {
			s.err = err
		}
		most = max(most, g.Bytes)
		for _, l := range []*linear{&b.qkv, &b.out, &b.gateUp, &b.down} {
			most = max(most, matmulWorkspace(s, t.model, l, t.rows))
		}
	}
	return int(most)
}

// forward runs all blocks from x[0] to the last x.
func (t *tower) forward() error {
	for l := range t.blocks {
		if err := t.block(l, t.x[l+1]); err != nil {
			return fmt.Errorf("engine: block %d: %w", l, err)
		}
	}
	return nil
}

// block runs block l and keeps its activations; its result goes to out, or is left out where that is nil.
func (t *tower) block(l int, out *binding.Buffer) error {
	b, a, x := &t.blocks[l], t.activations(l), t.x[l]
	t.held = l
	rows, inter := int64(t.rows), int64(b.intermediateSize)
	size := uint64(binding.DTypeBytes(t.dtype))
	return sequence(
		func() error { return t.normKept(x, b.norm1, a.y1, a.rstd1, t.rows, b.hidden, t.eps) },
		func() error { return t.matmul(&b.qkv, a.y1.Addr(), a.qkv.Addr(), 0, t.rows) },
		func() error { return t.rope(b, t.dtype, a.qkv, 0) },
		func() error {
			at := t.attention(b)
			q, k, v, width := t.qkv(b, a.qkv, size)
			return t.d.Attention(&binding.AttentionArgs{DType: t.dtype, Q: q, K: k, V: v, Out: a.attn.Addr(), LSE: a.lse.Addr(),
				Cu: at.cu.Addr(), Prefix: at.prefixAddr(), Workspace: t.workspace.Addr(), WorkspaceBytes: uint64(t.workspace.Len()),
				Segments: int64(at.segments), Heads: int64(b.heads), KVHeads: int64(b.kvHeads), Dim: int64(b.headDim),
				LdQ: width, LdK: width, LdV: width, LdO: int64(b.heads * b.headDim), Scale: attentionScale(b.headDim), Causal: at.causalFlag()})
		},
		func() error { return t.matmul(&b.out, a.attn.Addr(), a.mid.Addr(), x.Addr(), t.rows) },
		func() error { return t.normKept(a.mid, b.norm2, a.y2, a.rstd2, t.rows, b.hidden, t.eps) },
		func() error { return t.matmul(&b.gateUp, a.y2.Addr(), a.gateUp.Addr(), 0, t.rows) },
		func() error {
			return t.d.SwiGLU(&binding.SwiGLUArgs{DType: t.dtype, Gate: a.gateUp.Addr(), Up: a.gateUp.Addr() + uint64(inter)*size, Y: a.act.Addr(),
				Rows: rows, Cols: inter, LdGate: 2 * inter, LdUp: 2 * inter, LdY: inter})
		},
		func() error {
			if out == nil {
				return nil
			}
			return t.matmul(&b.down, a.act.Addr(), out.Addr(), a.mid.Addr(), t.rows)
		},
	)
}

// backward takes the gradient of the last x in dx and leaves that of x[0] there, adding the blocks' parameter gradients on the way.
func (t *tower) backward() error {
	for l := len(t.blocks) - 1; l >= 0; l-- {
		if t.recompute && t.held != l {
			if err := t.block(l, nil); err != nil {
				return fmt.Errorf("engine: block %d again: %w", l, err)
			}
		}
		if err := t.backwardBlock(l); err != nil {
			return fmt.Errorf("engine: backward of block %d: %w", l, err)
		}
	}
	return nil
}

func (t *tower) backwardBlock(l int) error {
	b, a, x, g := &t.blocks[l], t.activations(l), t.x[l], t.grads
	rows, inter := int64(t.rows), int64(b.intermediateSize)
	size := uint64(binding.DTypeBytes(t.dtype))
	return sequence(
		// The MLP: x + down(silu(gate(y2)) up(y2)).
		func() error { return g.matmulDw(t.model, t.workspace, t.rows, &b.down, t.dx, a.act.Addr()) },
		func() error { return g.matmulDx(t.model, t.workspace, t.rows, &b.down, t.dx, t.dact) },
		func() error {
			return t.d.SwiGLUBackward(&binding.SwiGLUBackwardArgs{DType: t.dtype, Gate: a.gateUp.Addr(), Up: a.gateUp.Addr() + uint64(inter)*size, Dy: t.dact.Addr(),
				Dgate: t.dgateUp.Addr(), Dup: t.dgateUp.Addr() + uint64(4*inter), Rows: rows, Cols: inter,
				LdGate: 2 * inter, LdUp: 2 * inter, LdDy: inter, LdDgate: 2 * inter, LdDup: 2 * inter})
		},
		func() error { return g.matmulDw(t.model, t.workspace, t.rows, &b.gateUp, t.dgateUp, a.y2.Addr()) },
		func() error { return g.matmulDx(t.model, t.workspace, t.rows, &b.gateUp, t.dgateUp, t.dy) },
		func() error {
			return g.normBackward(a.mid, b.norm2, a.rstd2, t.dy, t.dx, t.rows, b.hidden, t.dtype, true)
		},
		// Attention.
		func() error { return g.matmulDw(t.model, t.workspace, t.rows, &b.out, t.dx, a.attn.Addr()) },
		func() error { return g.matmulDx(t.model, t.workspace, t.rows, &b.out, t.dx, t.dattn) },
		func() error {
			at := t.attention(b)
			q, k, v, width := t.qkv(b, a.qkv, size)
			dq, dk, dv, _ := t.qkv(b, t.dqkv, 4)
			heads := int64(b.heads * b.headDim)
			return t.d.AttentionBackward(&binding.AttentionBackwardArgs{DType: t.dtype, Q: q, K: k, V: v, Out: a.attn.Addr(), LSE: a.lse.Addr(), Dout: t.dattn.Addr(),
				Dq: dq, Dk: dk, Dv: dv, Cu: at.cu.Addr(), Prefix: at.prefixAddr(), Workspace: t.workspace.Addr(), WorkspaceBytes: uint64(t.workspace.Len()),
				Segments: int64(at.segments), Heads: int64(b.heads), KVHeads: int64(b.kvHeads), Dim: int64(b.headDim),
				LdQ: width, LdK: width, LdV: width, LdO: heads, LdDo: heads, LdDq: width, LdDk: width, LdDv: width,
				Scale: attentionScale(b.headDim), Causal: at.causalFlag()})
		},
		func() error { return t.rope(b, binding.F32, t.dqkv, 1) },
		func() error { return g.matmulDw(t.model, t.workspace, t.rows, &b.qkv, t.dqkv, a.y1.Addr()) },
		func() error { return g.matmulDx(t.model, t.workspace, t.rows, &b.qkv, t.dqkv, t.dy) },
		func() error { return g.normBackward(x, b.norm1, a.rstd1, t.dy, t.dx, t.rows, b.hidden, t.dtype, true) },
	)
}

func (t *tower) activations(l int) *activations {
	if t.recompute {
		return t.kept[0]
	}
	return t.kept[l]
}

// rope turns the query and key heads of qkv in place, which are consecutive heads of a row; inverse 1 turns gradients back.
func (t *tower) rope(b *block, dtype uint32, qkv *binding.Buffer, inverse uint32) error {
	return t.d.Rope(&binding.RopeArgs{DType: dtype, X: qkv.Addr(), Cos: t.cos.Addr(), Sin: t.sin.Addr(), Rows: int64(t.rows), Heads: int64(b.heads + b.kvHeads),
		Dim: int64(b.headDim), LdX: int64((b.heads + 2*b.kvHeads) * b.headDim), Inverse: inverse})
}

// qkv is where q, k and v of row 0 stand in a fused buffer of elements of size bytes, and the row stride.
func (t *tower) qkv(b *block, buf *binding.Buffer, size uint64) (q, k, v uint64, width int64) {
	q = buf.Addr()
	k = q + uint64(b.heads*b.headDim)*size
	v = k + uint64(b.kvHeads*b.headDim)*size
	return q, k, v, int64((b.heads + 2*b.kvHeads) * b.headDim)
}

func (a *attention) prefixAddr() uint64 {
	if a.prefix == nil {
		return 0
	}
	return a.prefix.Addr()
}

func (a *attention) causalFlag() uint32 {
	if a.causal {
		return 1
	}
	return 0
}

// normKept is norm that keeps 1/rms of each row for the backward pass.
func (m *model) normKept(x, weight, y, rstd *binding.Buffer, rows, cols int, eps float64) error {
	return m.d.RMSNorm(&binding.RMSNormArgs{DType: m.dtype, X: x.Addr(), Weight: weight.Addr(), Y: y.Addr(), Rstd: rstd.Addr(),
		Rows: int64(rows), Cols: int64(cols), LdX: int64(cols), LdY: int64(cols), Eps: float32(eps)})
}

// sequence runs steps up to the first error.
func sequence(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
