package engine

import (
	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/imageproc"
)

// A visionTower is the vision tower and the merger in training, over the pictures of one micro-batch.
type visionTower struct {
	*tower
	tokens                  int
	pixels, cast, embedded  *binding.Buffer
	patchOrder, index       *binding.Buffer // i32: the patch of each row; the feature of each merged token
	y, rstd                 *binding.Buffer // of the merger's norm
	inner, act              *binding.Buffer // of the merger's MLP
	outer, features         *binding.Buffer
	douter, dinner, dmerged *binding.Buffer // f32
	work                    *binding.Buffer
	positions, axis, freq   *binding.Buffer // of the rotary table
}

// newVisionTower takes the memory for pictures of these grids from s.
func newVisionTower(s *scratch, m *model, g *gradients, grids []Grid, recompute bool) *visionTower {
	v := &m.cfg.Vision
	layout := m.visionLayout(grids)
	n, tokens := len(layout.patchOrder), len(layout.order)
	windows := attention{cu: s.ints(layout.windows), segments: len(layout.windows) - 1, keys: layout.windowKeys}
	frames := attention{cu: s.ints(layout.frames), segments: len(layout.frames) - 1, keys: layout.fullKeys}
	t := &visionTower{tokens: tokens}
	t.tower = newTower(s, m, g, m.w.blocks, v.RMSNormEps, n, recompute, func(b *block) attention {
		if b.fullAttention {
			return frames
		}
		return windows
	})
	size, width, merged := binding.DTypeBytes(m.dtype), m.w.patch.k, v.MergedSize()
	t.pixels, t.cast, t.embedded = s.alloc(4*n*width), s.alloc(size*n*width), s.alloc(size*n*v.HiddenSize)
	t.patchOrder, t.index = s.ints(layout.patchOrder), s.ints(layout.order)
	t.y, t.rstd = s.alloc(size*n*v.HiddenSize), s.alloc(4*n)
	t.inner, t.act = s.alloc(size*tokens*merged), s.alloc(size*tokens*merged)
	t.outer, t.features = s.alloc(size*tokens*v.OutHiddenSize), s.alloc(size*tokens*v.OutHiddenSize)
	t.douter, t.dinner, t.dmerged = s.alloc(4*tokens*v.OutHiddenSize), s.alloc(4*tokens*merged), s.alloc(4*tokens*merged)
	most := max(matmulWorkspace(s, m, &m.w.merge1, tokens), matmulWorkspace(s, m, &m.w.merge2, tokens), matmulWorkspace(s, m, &m.w.patch, n))
	t.work = s.alloc(int(most))
	axis, freq := visionRope(v.HeadDim)
	t.positions, t.axis, t.freq = s.ints(layout.positions), s.ints(axis), s.floats(freq)
	return t
}

// forward gives the pictures' features [tokens, hidden], with the bits of [model.encode].
func (t *visionTower) forward(pictures []*imageproc.Image) (*binding.Buffer, error) {
	v := &t.cfg.Vision
	n, hidden, width, merged, out := int64(t.rows), int64(v.HiddenSize), int64(t.w.patch.k), int64(v.MergedSize()), int64(v.OutHiddenSize)
	last := t.x[len(t.blocks)]
	return t.features, sequence(
		func() error { return fillPatches(t.pixels, pictures) },
		func() error {
			return t.d.RopeTable(&binding.RopeTableArgs{Axes: 2, Positions: t.positions.Addr(), Axis: t.axis.Addr(), InvFreq: t.freq.Addr(),
				Cos: t.cos.Addr(), Sin: t.sin.Addr(), N: n, Half: int64(v.HeadDim / 2), LdP: n})
		},
		func() error {
			return t.d.PatchEmbed(&binding.PatchEmbedArgs{DType: t.dtype, Pixels: t.pixels.Addr(), W: t.w.patch.w.Addr(), Y: t.embedded.Addr(), Workspace: t.cast.Addr(),
				M: n, N: hidden, K: width, LdY: hidden})
		},
		func() error {
			return t.d.Rows(&binding.RowsArgs{DType: t.dtype, X: t.embedded.Addr(), Y: t.x[0].Addr(), Src: t.patchOrder.Addr(), N: n, Cols: hidden, LdX: hidden, LdY: hidden, RowsX: n, RowsY: n})
		},
		t.tower.forward,
		func() error { return t.normKept(last, t.w.lnQ, t.y, t.rstd, t.rows, v.HiddenSize, v.RMSNormEps) },
		func() error { return t.matmul(&t.w.merge1, t.y.Addr(), t.inner.Addr(), 0, t.tokens) },
		func() error {
			return t.d.GELU(&binding.GELUArgs{DType: t.dtype, X: t.inner.Addr(), Y: t.act.Addr(), Rows: int64(t.tokens), Cols: merged, LdX: merged, LdY: merged})
		},
		func() error { return t.matmul(&t.w.merge2, t.act.Addr(), t.outer.Addr(), 0, t.tokens) },
		func() error {
			return t.d.Rows(&binding.RowsArgs{DType: t.dtype, X: t.outer.Addr(), Y: t.features.Addr(), Dst: t.index.Addr(), N: int64(t.tokens), Cols: out,
				LdX: out, LdY: out, RowsX: int64(t.tokens), RowsY: int64(t.tokens)})
		},
	)
}

// backward adds the parameter gradients that the features' gradient dfeatures f32 [tokens, hidden] gives.
func (t *visionTower) backward(dfeatures *binding.Buffer) error {
	v := &t.cfg.Vision
	g := t.grads
	n, hidden, width, merged, out := int64(t.rows), int64(v.HiddenSize), int64(t.w.patch.k), int64(v.MergedSize()), int64(v.OutHiddenSize)
	last := t.x[len(t.blocks)]
	return sequence(
		func() error {
			return t.d.Rows(&binding.RowsArgs{DType: binding.F32, X: dfeatures.Addr(), Y: t.douter.Addr(), Src: t.index.Addr(), N: int64(t.tokens), Cols: out,
				LdX: out, LdY: out, RowsX: int64(t.tokens), RowsY: int64(t.tokens)})
		},
		func() error { return g.matmulDw(t.model, t.work, t.tokens, &t.w.merge2, t.douter, t.act.Addr()) },
		func() error { return g.matmulDx(t.model, t.work, t.tokens, &t.w.merge2, t.douter, t.dinner) },
		func() error {
			return t.d.GELUBackward(&binding.GELUBackwardArgs{DType: t.dtype, X: t.inner.Addr(), Dy: t.dinner.Addr(), Dx: t.dinner.Addr(),
				Rows: int64(t.tokens), Cols: merged, LdX: merged, LdDy: merged, LdDx: merged})
		},
		func() error { return g.matmulDw(t.model, t.work, t.tokens, &t.w.merge1, t.dinner, t.y.Addr()) },
		func() error { return g.matmulDx(t.model, t.work, t.tokens, &t.w.merge1, t.dinner, t.dmerged) },
		func() error {
			return g.normBackward(last, t.w.lnQ, t.rstd, t.dmerged, t.dx, t.rows, v.HiddenSize, t.dtype, false)
		},
		t.tower.backward,
		func() error {
			// Back to the order of the pixels.
			return t.d.Rows(&binding.RowsArgs{DType: binding.F32, X: t.dx.Addr(), Y: t.tower.dy.Addr(), Dst: t.patchOrder.Addr(), N: n, Cols: hidden,
				LdX: hidden, LdY: hidden, RowsX: n, RowsY: n})
		},
		func() error {
			x := t.pixels
			if t.dtype != binding.F32 {
				x = t.cast
				err := t.d.Cast(&binding.CastArgs{DTypeX: binding.F32, DTypeY: t.dtype, X: t.pixels.Addr(), Y: x.Addr(), Rows: n, Cols: width, LdX: width, LdY: width})
				if err != nil {
					return err
				}
			}
			return g.matmulDw(t.model, t.work, t.rows, &t.w.patch, t.tower.dy, x.Addr())
		},
	)
}
