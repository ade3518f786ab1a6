package optest

import (
	"bytes"
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// backwardProperties: gradients are the chains that the ABI says, however the rows are cut into calls.
func backwardProperties() []Property {
	var ps []Property
	for _, dtype := range dtypes {
		suffix := "/dtype=" + kind(dtype).String()
		ps = append(ps,
			property("matmul_dx/chain"+suffix, func(d *binding.Device) error { return dxIsProduct(d, dtype) }),
			property("matmul_dw/chain"+suffix, func(d *binding.Device) error { return dwIsProduct(d, dtype) }),
			property("matmul_dw/calls"+suffix, func(d *binding.Device) error { return dwInCalls(d, dtype) }),
			property("logprob_backward/calls"+suffix, func(d *binding.Device) error { return scoresInCalls(d, dtype) }),
			property("logprob_backward/logprob"+suffix, func(d *binding.Device) error { return scoresAreLogProbs(d, dtype) }))
	}
	return ps
}

// transposed is xᵀ [cols, rows] of x [rows, cols].
func transposed(x []float32, rows, cols int) []float32 {
	y := make([]float32, len(x))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = x[i*cols+j]
		}
	}
	return y
}

// dxIsProduct: dx = dy W is, to the bit, the f32 product of dy with W's transpose, whose sums have the same order; and its columns do not
// depend on how many there are.
func dxIsProduct(d *binding.Device, dtype uint32) error {
	const m, n, k = 57, 1060, 300
	dy, w := floats(60, binding.F32, m*n), floats(61, dtype, n*k)
	want, err := run(d, "matmul", binding.F32, matmul{dtype: binding.F32, dtypeY: binding.F32, m: m, n: k, k: n, x: fixed(dy), w: fixed(transposed(w, n, k))})
	if err != nil {
		return err
	}
	for _, cols := range []int{1, 31, 32, 45, 256, 257, k} {
		part := make([]float32, 0, n*cols)
		for j := range n {
			part = append(part, w[j*k:][:cols]...)
		}
		got, err := run(d, "matmul_dx", dtype, matmulDx{dtype: dtype, m: m, n: n, k: cols, dy: fixed(dy), w: fixed(part)})
		if err != nil {
			return err
		}
		for i := range m {
			if !bytes.Equal(got["dx"][4*i*cols:][:4*cols], want["y"][4*i*k:][:4*cols]) {
				return fmt.Errorf("row %d of %d columns is not the product of dy with W's transpose", i, cols)
			}
		}
	}
	return nil
}

// dwIsProduct: from 0 on, dw = dyᵀ x is, to the bit, the f32 product of dy's transpose with x's, and db that with ones.
func dwIsProduct(d *binding.Device, dtype uint32) error {
	const m, n, k = 1060, 57, 299
	dy, x := floats(62, binding.F32, m*n), floats(63, dtype, m*k)
	xt := transposed(x, m, k)
	for range m {
		xt = append(xt, 1)
	}
	want, err := run(d, "matmul", binding.F32, matmul{dtype: binding.F32, dtypeY: binding.F32, m: n, n: k + 1, k: m, x: fixed(transposed(dy, m, n)), w: fixed(xt)})
	if err != nil {
		return err
	}
	got, err := run(d, "matmul_dw", dtype, matmulDw{dtype: dtype, m: m, n: n, k: k, bias: true, dy: fixed(dy), x: fixed(x), dw: constant(0), db: constant(0)})
	if err != nil {
		return err
	}
	for j := range n {
		row := want["y"][4*j*(k+1):][:4*(k+1)]
		if !bytes.Equal(got["dw"][4*j*k:][:4*k], row[:4*k]) {
			return fmt.Errorf("row %d of dw is not the product of the transposes", j)
		}
		if !bytes.Equal(got["db"][4*j:][:4], row[4*k:]) {
			return fmt.Errorf("db[%d] is %v, the sum of the column %v", j, f32.get(got["db"], j), f32.get(row, k))
		}
	}
	return nil
}

// dwInCalls: rows that are cut into several calls, in order, give the same bits.
func dwInCalls(d *binding.Device, dtype uint32) error {
	const m, n, k = 1060, 57, 75
	dy, x := floats(64, binding.F32, m*n), floats(65, dtype, m*k)
	calls := func(ends ...int) (dw, db []float32, err error) {
		dw, db = floats(66, binding.F32, n*k), floats(67, binding.F32, n)
		at := 0
		for _, end := range ends {
			s := matmulDw{dtype: dtype, m: end - at, n: n, k: k, bias: true, dy: fixed(dy[at*n:]), x: fixed(x[at*k:]), dw: fixed(dw), db: fixed(db)}
			r, err := run(d, "matmul_dw", dtype, s)
			if err != nil {
				return nil, nil, err
			}
			dw, db, at = f32s(r["dw"]), f32s(r["db"]), end
		}
		return dw, db, nil
	}
	wantW, wantB, err := calls(m)
	if err != nil {
		return err
	}
	for _, ends := range [][]int{{1, m}, {512, m}, {512, 1024, m}, {0, 7, 300, 301, 900, m}} {
		dw, db, err := calls(ends...)
		if err != nil {
			return err
		}
		if i := firstOther(dw, wantW); i >= 0 {
			return fmt.Errorf("rows up to %v in calls of their own: dw[%d %d] is %v, in one call %v", ends, i/k, i%k, dw[i], wantW[i])
		}
		if i := firstOther(db, wantB); i >= 0 {
			return fmt.Errorf("rows up to %v in calls of their own: db[%d] is %v, in one call %v", ends, i, db[i], wantB[i])
		}
	}
	return nil
}

// scoresInCalls: rows that are cut into several calls, in order, give the same bits, and so does each gradient by itself.
func scoresInCalls(d *binding.Device, dtype uint32) error {
	const rows, n, k = 1100, 75, 40
	x, w := floats(70, dtype, rows*k), floats(71, dtype, n*k)
	targets, dlogprob, dentropy := indices(72, rows, n), floats(73, binding.F32, rows), floats(74, binding.F32, rows)
	calls := func(dx, dw bool, ends ...int) (allDx, lastDw []float32, err error) {
		lastDw = floats(75, binding.F32, n*k)
		at := 0
		for _, end := range ends {
			s := logprobBackward{rows: end - at, n: n, k: k, targets: targets[at:end], entropy: true, dx: dx, dw: dw, x: fixed(x[at*k:]), w: fixed(w),
				dlogprob: fixed(dlogprob[at:]), dentropy: fixed(dentropy[at:]), dwBefore: fixed(lastDw)}
			r, err := run(d, "logprob_backward", dtype, s.complete(dtype))
			if err != nil {
				return nil, nil, err
			}
			allDx = append(allDx, f32s(r["dx"])...)
			if dw {
				lastDw = f32s(r["dw"])
			}
			at = end
		}
		return allDx, lastDw, nil
	}
	wantDx, wantDw, err := calls(true, true, rows)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		dx, dw bool
		ends   []int
	}{{true, false, []int{rows}}, {false, true, []int{rows}}, {true, true, []int{1, 13, 700, rows}}, {false, true, []int{1024, rows}}} {
		dx, dw, err := calls(c.dx, c.dw, c.ends...)
		if err != nil {
			return err
		}
		if i := firstOther(dx, wantDx); i >= 0 {
			return fmt.Errorf("%+v: dx[%d %d] is %v, in one call for both %v", c, i/k, i%k, dx[i], wantDx[i])
		}
		if i := firstOther(dw, wantDw); i >= 0 && c.dw {
			return fmt.Errorf("%+v: dw[%d %d] is %v, in one call for both %v", c, i/k, i%k, dw[i], wantDw[i])
		}
	}
	return nil
}

// scoresAreLogProbs: the logits are logprob's to the bit. Where the ban leaves one column, its logit is the lse that logprob gives, so that
// p is exactly 1 and nothing has a gradient.
func scoresAreLogProbs(d *binding.Device, dtype uint32) error {
	const rows, n, k = 50, 2100, 300
	x, w := floats(80, dtype, rows*k), floats(81, dtype, n*k)
	for _, only := range []int32{0, 31, 700, 1024, 1500, n - 1} {
		ban := func(j int) bool { return j != int(only) }
		targets := make([]int32, rows)
		for i := range targets {
			targets[i] = only
		}
		scored, err := run(d, "logprob", dtype, logprob{dtype: dtype, rows: rows, n: n, k: k, inv: 0.7, ban: ban, targets: targets, lse: true, x: fixed(x), w: fixed(w)})
		if err != nil {
			return err
		}
		s := logprobBackward{rows: rows, n: n, k: k, inv: 0.7, ban: ban, targets: targets, dx: true, dw: true, x: fixed(x), w: fixed(w)}
		p := problem("logprob_backward", dtype, s.complete(dtype))
		p.tensors["lse"].before = scored["lse"]
		r, err := p.Run(d)
		if err != nil {
			return err
		}
		if i := firstOther(f32s(r.memory["dx"]), make([]float32, rows*k)); i >= 0 {
			return fmt.Errorf("column %d alone: dx[%d %d] is %v", only, i/k, i%k, f32.get(r.memory["dx"], i))
		}
		if i := firstOther(f32s(r.memory["dw"]), p.tensors["dw"].dense); i >= 0 {
			return fmt.Errorf("column %d alone: dw[%d %d] became %v", only, i/k, i%k, f32.get(r.memory["dw"], i))
		}
	}
	return nil
}

// f32s is the f32 numbers in b.
func f32s(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = f32.get(b, i)
	}
	return x
}

// firstOther is the first place where a and b differ, -1 if there is none.
func firstOther(a, b []float32) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
