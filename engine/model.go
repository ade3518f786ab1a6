package engine

import (
	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/config"
)

// A model is weights on a device, and the layers that vision tower and decoder have in common.
type model struct {
	d     *binding.Device
	cfg   *config.Config
	dtype uint32
	w     *weights

	// trace, when set, sees the hidden states: layer 0 is the decoder's input, the last one comes after the final norm. For tests.
	trace func(layer int, x *binding.Buffer, rows int)
}

// norm is y = RMSNorm(x) over rows of cols elements.
func (m *model) norm(x, weight, y *binding.Buffer, rows, cols int, eps float64) error {
	return m.d.RMSNorm(&binding.RMSNormArgs{DType: m.dtype, X: x.Addr(), Weight: weight.Addr(), Y: y.Addr(),
		Rows: int64(rows), Cols: int64(cols), LdX: int64(cols), LdY: int64(cols), Eps: float32(eps)})
}

// matmul is y [rows, n] = x [rows, k] W^T + bias + residual, all dense; residual may be 0, or y.
func (m *model) matmul(l *linear, x, y, residual uint64, rows int) error {
	a := binding.MatMulArgs{DType: m.dtype, DTypeY: m.dtype, X: x, W: l.w.Addr(), Residual: residual, Y: y,
		M: int64(rows), N: int64(l.n), K: int64(l.k), LdX: int64(l.k), LdR: int64(l.n), LdY: int64(l.n)}
	if l.bias != nil {
		a.Bias = l.bias.Addr()
	}
	return m.d.MatMul(&a)
}

// mlp adds down(silu(gate(y)) * up(y)) to x, step rows at a time.
func (m *model) mlp(b *block, y, x, gateUp, act *binding.Buffer, rows, step int) error {
	size, inter := binding.DTypeBytes(m.dtype), int64(b.intermediateSize)
	for r := 0; r < rows; r += step {
		n := min(step, rows-r)
		off := uint64(r * b.hidden * size)
		if err := m.matmul(&b.gateUp, y.Addr()+off, gateUp.Addr(), 0, n); err != nil {
			return err
		}
		err := m.d.SwiGLU(&binding.SwiGLUArgs{DType: m.dtype, Gate: gateUp.Addr(), Up: gateUp.Addr() + uint64(inter)*uint64(size), Y: act.Addr(),
			Rows: int64(n), Cols: inter, LdGate: 2 * inter, LdUp: 2 * inter, LdY: inter})
		if err != nil {
			return err
		}
		if err := m.matmul(&b.down, act.Addr(), x.Addr()+off, x.Addr()+off, n); err != nil {
			return err
		}
	}
	return nil
}
