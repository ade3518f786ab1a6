package engine

import (
	"errors"

	"github.com/thinker-vl/thinker/binding"
)

// gradients holds the f32 gradient of every buffer of weights that learns, row-major, and the backward ops that add to them.
type gradients struct {
	d     *binding.Device
	of    map[*binding.Buffer]*binding.Buffer
	owned scratch
}

// newGradients takes memory for the gradients of the buffers that learn says.
func newGradients(d *binding.Device, w *weights, learns func(s *stored) bool) (*gradients, error) {
	g := &gradients{d: d, of: map[*binding.Buffer]*binding.Buffer{}, owned: scratch{d: d}}
	for i := range w.stored {
		if s := &w.stored[i]; learns(s) {
			g.of[s.buf] = g.owned.alloc(4 * s.n * s.k)
		}
	}
	if g.owned.err != nil {
		return nil, errors.Join(g.owned.err, g.owned.Close())
	}
	return g, nil
}

func (g *gradients) Close() error { return g.owned.Close() }

// zero forgets what the gradients hold.
func (g *gradients) zero() error {
	for _, b := range g.of {
		if err := fillZero(g.d, b); err != nil {
			return err
		}
	}
	return nil
}

func fillZero(d *binding.Device, b *binding.Buffer) error {
	return d.Fill(&binding.FillArgs{DType: binding.F32, X: b.Addr(), N: uint64(b.Len() / 4)})
}

// addr is the address of a weight's gradient, 0 if it does not learn.
func (g *gradients) addr(weight *binding.Buffer) uint64 {
	if b := g.of[weight]; b != nil {
		return b.Addr()
	}
	return 0
}

// matmulWorkspace is what the backward ops of a linear need for so many rows.
func matmulWorkspace(s *scratch, m *model, l *linear, rows int) uint64 {
	a := binding.MatMulBackwardWorkspaceArgs{DType: m.dtype, M: int64(rows), N: int64(l.n), K: int64(l.k)}
	if err := m.d.MatMulBackwardWorkspace(&a); err != nil && s.err == nil {
		s.err = err
	}
	return a.Bytes
}

// matmulDw adds a linear's gradient from its result's gradient dy [rows, n] and its input x [rows, k].
func (g *gradients) matmulDw(m *model, work *binding.Buffer, rows int, l *linear, dy *binding.Buffer, x uint64) error {
	dw := g.addr(l.w)
	if dw == 0 {
		return nil
	}
	a := binding.MatMulDwArgs{DType: m.dtype, Dy: dy.Addr(), X: x, Dw: dw, Workspace: work.Addr(), WorkspaceBytes: uint64(work.Len()),
		M: int64(rows), N: int64(l.n), K: int64(l.k), LdDy: int64(l.n), LdX: int64(l.k), LdDw: int64(l.k)}
	if l.bias != nil {
		a.Db = g.addr(l.bias)
	}
	return g.d.MatMulDw(&a)
}

// matmulDx is dx [rows, k] = dy [rows, n] W.
func (g *gradients) matmulDx(m *model, work *binding.Buffer, rows int, l *linear, dy, dx *binding.Buffer) error {
	return g.d.MatMulDx(&binding.MatMulDxArgs{DType: m.dtype, Dy: dy.Addr(), W: l.w.Addr(), Dx: dx.Addr(), Workspace: work.Addr(), WorkspaceBytes: uint64(work.Len()),
		M: int64(rows), N: int64(l.n), K: int64(l.k), LdDy: int64(l.n), LdDx: int64(l.k)})
}

// normBackward is the gradient of norm(x) in dx, or adds it there, and the weight's.
func (g *gradients) normBackward(x, weight, rstd, dy, dx *binding.Buffer, rows, cols int, dtype uint32, accumulate bool) error {
	a := binding.RMSNormBackwardArgs{DType: dtype, X: x.Addr(), Weight: weight.Addr(), Rstd: rstd.Addr(), Dy: dy.Addr(), Dx: dx.Addr(), Dw: g.addr(weight),
		Rows: int64(rows), Cols: int64(cols), LdX: int64(cols), LdDy: int64(cols), LdDx: int64(cols)}
	if accumulate {
		a.Accumulate = 1
	}
	return g.d.RMSNormBackward(&a)
}
