package engine

import (
	"errors"
	"fmt"
	"math"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/imageproc"
)

// mlpRows is how many rows go through an MLP at a time: its two wide activations are kept for these rows alone. Rows do not depend
// on each other, so the number changes no result.
const mlpRows = 1024

// invFreq is theta^(-2 i / dim) for i < dim/2, in the f32 steps that the reference implementation takes.
func invFreq(theta float64, dim int) []float32 {
	f := make([]float32, dim/2)
	for i := range f {
		f[i] = 1 / float32(math.Pow(theta, float64(float32(2*i)/float32(dim))))
	}
	return f
}

// encode runs the vision tower and the merger over pictures. It returns their features [tokens, hidden], picture after picture, each
// in row-major order of its merged grid, as a buffer that the caller closes.
//
// All pictures are one packed sequence; attention never crosses a window or a frame, so a picture's features do not depend on the
// others. (Paper: Qwen2.5-VL, arXiv 2502.13923, section 2.1; reference: transformers' Qwen2_5_VisionTransformerPretrainedModel.)
func (m *model) encode(memory *arena, pictures []*imageproc.Image) (_ *binding.Buffer, err error) {
	v := &m.cfg.Vision
	unit := v.SpatialMergeSize * v.SpatialMergeSize
	grids := make([]Grid, len(pictures))
	for i, p := range pictures {
		grids[i] = p.Grid
	}
	layout := m.visionLayout(grids)
	n, tokens := len(layout.patchOrder), len(layout.order)
	dtype, size := m.dtype, binding.DTypeBytes(m.dtype)
	hidden, width, merged := v.HiddenSize, m.w.patch.k, v.HiddenSize*unit
	rows := min(n, mlpRows)
	axis, freq := visionRope(v.HeadDim)

	var pixels, castRows, x, y, qkv, cos, sin, workspace, gateUp, act, inner, outer *binding.Buffer
	var patchOrder, positions, axes, freqs, windows, frames, index *binding.Buffer
	s, err := memory.scratch(func(s *scratch) {
		pixels, castRows = s.alloc(4*n*width), s.alloc(size*n*width)
		x, y = s.alloc(size*n*hidden), s.alloc(size*n*hidden)
		qkv = s.alloc(size * n * 3 * hidden)
		cos, sin = s.alloc(4*n*v.HeadDim/2), s.alloc(4*n*v.HeadDim/2)
		work, err := m.attentionWorkspace(n, max(layout.windowKeys, layout.fullKeys))
		if s.err == nil {
			s.err = err
		}
		workspace = s.alloc(work)
		gateUp, act = s.alloc(size*rows*2*v.IntermediateSize), s.alloc(size*rows*v.IntermediateSize)
		inner, outer = s.alloc(size*tokens*merged), s.alloc(size*tokens*v.OutHiddenSize)
		patchOrder, positions, axes, freqs = s.ints(layout.patchOrder), s.ints(layout.positions), s.ints(axis), s.floats(freq)
		windows, frames, index = s.ints(layout.windows), s.ints(layout.frames), s.ints(layout.order)
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := fillPatches(pixels, pictures); err != nil {
		return nil, err
	}
	d := m.d
	err = d.PatchEmbed(&binding.PatchEmbedArgs{DType: dtype, Pixels: pixels.Addr(), W: m.w.patch.w.Addr(), Y: y.Addr(),
		Workspace: castRows.Addr(), M: int64(n), N: int64(hidden), K: int64(width), LdY: int64(hidden)})
	if err != nil {
		return nil, err
	}
	err = d.Rows(&binding.RowsArgs{DType: dtype, X: y.Addr(), Y: x.Addr(), Src: patchOrder.Addr(), N: int64(n), Cols: int64(hidden),
		LdX: int64(hidden), LdY: int64(hidden), RowsX: int64(n), RowsY: int64(n)})
	if err != nil {
		return nil, err
	}

	err = d.RopeTable(&binding.RopeTableArgs{Axes: 2, Positions: positions.Addr(), Axis: axes.Addr(),
		InvFreq: freqs.Addr(), Cos: cos.Addr(), Sin: sin.Addr(), N: int64(n), Half: int64(v.HeadDim / 2), LdP: int64(n)})
	if err != nil {
		return nil, err
	}
	for i := range m.w.blocks {
		b := &m.w.blocks[i]
		cu, segments := windows, len(layout.windows)-1
		if b.fullAttention {
			cu, segments = frames, len(layout.frames)-1
		}
		steps := []func() error{
			func() error { return m.norm(x, b.norm1, y, n, hidden, v.RMSNormEps) },
			func() error { return m.matmul(&b.qkv, y.Addr(), qkv.Addr(), 0, n) },
			func() error {
				// q and k are 2 x heads consecutive heads of a row.
				return d.Rope(&binding.RopeArgs{DType: dtype, X: qkv.Addr(), Cos: cos.Addr(), Sin: sin.Addr(), Rows: int64(n), Heads: int64(2 * v.Heads), Dim: int64(v.HeadDim), LdX: int64(3 * hidden)})
			},
			func() error {
				return d.Attention(&binding.AttentionArgs{DType: dtype, Q: qkv.Addr(), K: qkv.Addr() + uint64(size*hidden), V: qkv.Addr() + uint64(size*2*hidden), Out: y.Addr(),
					Cu: cu.Addr(), Workspace: workspace.Addr(), WorkspaceBytes: uint64(workspace.Len()), Segments: int64(segments), Heads: int64(v.Heads), KVHeads: int64(v.Heads),
					Dim: int64(v.HeadDim), LdQ: int64(3 * hidden), LdK: int64(3 * hidden), LdV: int64(3 * hidden), LdO: int64(hidden), Scale: attentionScale(v.HeadDim)})
			},
			func() error { return m.matmul(&b.out, y.Addr(), x.Addr(), x.Addr(), n) },
			func() error { return m.norm(x, b.norm2, y, n, hidden, v.RMSNormEps) },
			func() error { return m.mlp(b, y, x, gateUp, act, n, rows) },
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return nil, fmt.Errorf("engine: vision block %d: %w", i, err)
			}
		}
	}

	if err := m.norm(x, m.w.lnQ, y, n, hidden, v.RMSNormEps); err != nil {
		return nil, err
	}
	if err := m.matmul(&m.w.merge1, y.Addr(), inner.Addr(), 0, tokens); err != nil {
		return nil, err
	}
	err = d.GELU(&binding.GELUArgs{DType: dtype, X: inner.Addr(), Y: inner.Addr(), Rows: int64(tokens), Cols: int64(merged), LdX: int64(merged), LdY: int64(merged)})
	if err != nil {
		return nil, err
	}
	if err := m.matmul(&m.w.merge2, inner.Addr(), outer.Addr(), 0, tokens); err != nil {
		return nil, err
	}
	features, err := d.Alloc(size * tokens * v.OutHiddenSize)
	if err != nil {
		return nil, err
	}
	out := int64(v.OutHiddenSize)
	err = d.Rows(&binding.RowsArgs{DType: dtype, X: outer.Addr(), Y: features.Addr(), Dst: index.Addr(), N: int64(tokens), Cols: out, LdX: out, LdY: out, RowsX: int64(tokens), RowsY: int64(tokens)})
	if err != nil {
		features.Close()
		return nil, err
	}
	return features, nil
}

// fillPatches writes the pictures' pixel values, which are to fill the buffer.
func fillPatches(pixels *binding.Buffer, pictures []*imageproc.Image) error {
	at, dst := 0, pixels.Float32s()
	for _, p := range pictures {
		at += len(p.AppendPatches(dst[at:at]))
	}
	if at != len(dst) {
		return fmt.Errorf("engine: the pictures have %d pixel values, their grids %d", at, len(dst))
	}
	return nil
}

// attentionWorkspace is the bytes that the tower's attention needs for so many rows and keys.
func (m *model) attentionWorkspace(rows, keys int) (int, error) {
	v := &m.cfg.Vision
	a := binding.AttentionWorkspaceArgs{DType: m.dtype, Rows: int64(rows), Keys: int64(keys), Heads: int64(v.Heads), KVHeads: int64(v.Heads), Dim: int64(v.HeadDim)}
	err := m.d.AttentionWorkspace(&a)
	return int(a.Bytes), err
}

func attentionScale(headDim int) float32 { return float32(1 / math.Sqrt(float64(headDim))) }
