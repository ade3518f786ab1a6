package optest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// isas are the instruction sets of this machine; with -short, the one that is used.
func isas(t testing.TB) []binding.ISA {
	info, err := open(t, binding.ISAAuto, 1).Info()
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		return []binding.ISA{info.BestISA}
	}
	var all []binding.ISA
	for i := binding.ISAScalar; i <= info.BestISA; i++ {
		all = append(all, i)
	}
	return all
}

// open opens a device that is closed with the test.
func open(t testing.TB, isa binding.ISA, threads int) *binding.Device {
	t.Helper()
	d, err := binding.Open(binding.Options{ISA: isa, Threads: threads})
	skipWithoutLibrary(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// byOp splits cases into those of each op.
func byOp(cases []Case) (ops [][]Case) {
	for len(cases) > 0 {
		n := 1
		for n < len(cases) && cases[n].Op == cases[0].Op {
			n++
		}
		ops = append(ops, cases[:n])
		cases = cases[n:]
	}
	return ops
}

// tested are the cases that are not for benchmarks only; with -short, half of the small ones: the race detector makes the references
// several times slower, and what it looks for does not depend on sizes.
func tested() (cs []Case) {
	for _, c := range Cases() {
		if !c.Bench && !(testing.Short() && (c.Work().FLOPs > 1e5 || c.Seed%2 != 0)) {
			cs = append(cs, c)
		}
	}
	return cs
}

// TestCases runs every case on every instruction set: one thread against the reference, two and three against one; with -short, two.
func TestCases(t *testing.T) {
	for _, cases := range byOp(tested()) {
		t.Run(cases[0].Op, func(t *testing.T) {
			t.Parallel()
			most := 3
			if testing.Short() {
				most = 2
			}
			devices := map[binding.ISA][]*binding.Device{}
			for _, isa := range isas(t) {
				for threads := 1; threads <= most; threads++ {
					devices[isa] = append(devices[isa], open(t, isa, threads))
				}
			}
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					p := c.New()
					for isa, ds := range devices {
						if err := runCase(p, ds); err != nil {
							t.Errorf("%v: %v", isa, err)
						}
					}
				})
			}
		})
	}
}

// runCase runs p on the first device, against the reference, and on the others, against the first.
func runCase(p *Problem, devices []*binding.Device) error {
	one, err := p.Run(devices[0])
	if err == nil && checked {
		err = p.Check(one)
	}
	if err != nil {
		return err
	}
	for i, d := range devices[1:] {
		more, err := p.Run(d)
		if err == nil {
			err = p.Same(one, more)
		}
		if err != nil {
			return fmt.Errorf("1 and %d threads: %w", i+2, err)
		}
	}
	return nil
}

// TestProperties checks what must hold to the bit, on every instruction set; with -short, one in 24.
func TestProperties(t *testing.T) {
	thin := thinProperties
	if testing.Short() {
		thin = 24
	}
	for i, p := range Properties() {
		if i%thin != 0 {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			var devices []*binding.Device
			for _, isa := range isas(t) {
				devices = append(devices, open(t, isa, 2))
			}
			if err := p.Check(devices...); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNames holds the table to unique names.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.String()] {
			t.Errorf("two cases are named %s", c)
		}
		seen[c.String()] = true
	}
	for _, p := range Properties() {
		if seen[p.Name] {
			t.Errorf("two properties are named %s", p.Name)
		}
		seen[p.Name] = true
	}
}

// TestRefusals makes the calls that must be refused.
func TestRefusals(t *testing.T) {
	d := open(t, binding.ISAAuto, 2)
	for _, r := range Refusals() {
		t.Run(r.Name, func(t *testing.T) {
			if err := r.Check(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHeaderName checks the names that refusals look for.
func TestHeaderName(t *testing.T) {
	for field, want := range map[string]string{
		"X": "x", "DType": "dtype", "DTypeX": "dtype_x", "DTypeSrc": "dtype_src", "LdX": "ldx", "LdGate": "ldgate", "LdTable": "ld_table", "KVHeads": "kv_heads",
		"KVLen": "kv_len", "CuQ": "cu_q", "BlockTable": "block_table", "PageStride": "page_stride", "NumPages": "num_pages", "RowsX": "rows_x", "Row0": "row0",
		"InvFreq": "inv_freq", "IDs": "ids", "LSE": "lse", "LogProb": "logprob", "WorkspaceBytes": "workspace", "Rstd": "rstd",
	} {
		if got := headerName(field); got != want {
			t.Errorf("headerName(%s) = %s, want %s", field, got, want)
		}
	}
}

// TestWorkspaces: the queries answer sizes of nothing, grow with what they are asked for, and refuse what no op would take.
func TestWorkspaces(t *testing.T) {
	d := open(t, binding.ISAAuto, 3)
	attention := func(dtype uint32, rows, keys, heads, kvHeads, dim int64) (uint64, error) {
		a := binding.AttentionWorkspaceArgs{DType: dtype, Rows: rows, Keys: keys, Heads: heads, KVHeads: kvHeads, Dim: dim}
		err := d.AttentionWorkspace(&a)
		return a.Bytes, err
	}
	attentionBackward := func(dtype uint32, rows, keys, heads, kvHeads, dim int64) (uint64, error) {
		a := binding.AttentionBackwardWorkspaceArgs{DType: dtype, Rows: rows, Keys: keys, Heads: heads, KVHeads: kvHeads, Dim: dim}
		err := d.AttentionBackwardWorkspace(&a)
		return a.Bytes, err
	}
	logprob := func(dtype uint32, rows, n, k int64) (uint64, error) {
		a := binding.LogProbWorkspaceArgs{DType: dtype, Rows: rows, N: n, K: k}
		err := d.LogProbWorkspace(&a)
		return a.Bytes, err
	}
	matmulBackward := func(dtype uint32, m, n, k int64) (uint64, error) {
		a := binding.MatMulBackwardWorkspaceArgs{DType: dtype, M: m, N: n, K: k}
		err := d.MatMulBackwardWorkspace(&a)
		return a.Bytes, err
	}
	logprobBackward := func(dtype uint32, rows, n, k int64) (uint64, error) {
		a := binding.LogProbBackwardWorkspaceArgs{DType: dtype, Rows: rows, N: n, K: k}
		err := d.LogProbBackwardWorkspace(&a)
		return a.Bytes, err
	}
	sample := func(rows, n int64) (uint64, error) {
		a := binding.SampleWorkspaceArgs{Rows: rows, N: n}
		err := d.SampleWorkspace(&a)
		return a.Bytes, err
	}
	const huge = 1 << 62
	for name, f := range map[string]func() (uint64, error){
		"attention, dtype 0":             func() (uint64, error) { return attention(0, 1, 64, 2, 1, 16) },
		"attention, rows -1":             func() (uint64, error) { return attention(1, -1, 64, 2, 1, 16) },
		"attention, rows 2^62":           func() (uint64, error) { return attention(1, huge, 64, 2, 1, 16) },
		"attention, keys -1":             func() (uint64, error) { return attention(1, 1, -1, 2, 1, 16) },
		"attention, keys 2^62":           func() (uint64, error) { return attention(1, 1, huge, 2, 1, 16) },
		"attention, heads 0":             func() (uint64, error) { return attention(1, 1, 64, 0, 1, 16) },
		"attention, heads 2^62":          func() (uint64, error) { return attention(1, 1, 64, huge, 1, 16) },
		"attention, kv_heads 0":          func() (uint64, error) { return attention(1, 1, 64, 2, 0, 16) },
		"attention, 3 heads of 2":        func() (uint64, error) { return attention(1, 1, 64, 3, 2, 16) },
		"attention, dim -16":             func() (uint64, error) { return attention(1, 1, 64, 2, 1, -16) },
		"attention, dim 2^62":            func() (uint64, error) { return attention(1, 1, 64, 2, 1, huge) },
		"logprob, dtype 7":               func() (uint64, error) { return logprob(7, 1, 10, 10) },
		"logprob, rows -1":               func() (uint64, error) { return logprob(1, -1, 10, 10) },
		"logprob, rows 2^62":             func() (uint64, error) { return logprob(1, huge, 10, 10) },
		"logprob, n -1":                  func() (uint64, error) { return logprob(1, 1, -1, 10) },
		"logprob, n 2^62":                func() (uint64, error) { return logprob(1, 3, huge, 10) },
		"matmul_backward, dtype 0":       func() (uint64, error) { return matmulBackward(0, 1, 10, 10) },
		"matmul_backward, m -1":          func() (uint64, error) { return matmulBackward(1, -1, 10, 10) },
		"matmul_backward, n 0":           func() (uint64, error) { return matmulBackward(1, 1, 0, 10) },
		"matmul_backward, k 2^62":        func() (uint64, error) { return matmulBackward(1, 1, 10, huge) },
		"logprob_backward, dtype 3":      func() (uint64, error) { return logprobBackward(3, 1, 10, 10) },
		"logprob_backward, rows -1":      func() (uint64, error) { return logprobBackward(1, -1, 10, 10) },
		"logprob_backward, rows 2^62":    func() (uint64, error) { return logprobBackward(1, huge, 10, 10) },
		"logprob_backward, n 2^31":       func() (uint64, error) { return logprobBackward(1, 3, 1<<31, 10) },
		"sample, rows -1":                func() (uint64, error) { return sample(-1, 10) },
		"sample, rows 2^62":              func() (uint64, error) { return sample(huge, 10) },
		"sample, n -1":                   func() (uint64, error) { return sample(1, -1) },
		"sample, n 2^62":                 func() (uint64, error) { return sample(3, huge) },
		"attention_backward, dtype 3":    func() (uint64, error) { return attentionBackward(3, 1, 64, 2, 1, 16) },
		"attention_backward, rows -1":    func() (uint64, error) { return attentionBackward(1, -1, 64, 2, 1, 16) },
		"attention_backward, rows 2^62":  func() (uint64, error) { return attentionBackward(1, huge, 64, 2, 1, 16) },
		"attention_backward, keys 2^62":  func() (uint64, error) { return attentionBackward(1, 1, huge, 2, 1, 16) },
		"attention_backward, heads 2^62": func() (uint64, error) { return attentionBackward(1, 1, 64, huge, 1, 16) },
		"attention_backward, dim 3":      func() (uint64, error) { return attentionBackward(1, 1, 64, 2, 1, 3) },
	} {
		if n, err := f(); !errors.Is(err, binding.ErrInvalid) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	for name, f := range map[string]func(rows int64) (uint64, error){
		"attention":          func(rows int64) (uint64, error) { return attention(2, rows, 64*rows, 16, 2, 128) },
		"logprob":            func(rows int64) (uint64, error) { return logprob(2, rows, 151936, 2048) },
		"sample":             func(rows int64) (uint64, error) { return sample(rows, 151936) },
		"matmul_backward":    func(rows int64) (uint64, error) { return matmulBackward(2, rows, 151936, 2048) },
		"logprob_backward":   func(rows int64) (uint64, error) { return logprobBackward(2, rows, 151936, 2048) },
		"attention_backward": func(rows int64) (uint64, error) { return attentionBackward(2, rows, 64*rows, 16, 2, 128) },
	} {
		var last uint64
		for _, rows := range []int64{0, 1, 2, 3, 16, 17, 240, 4096} {
			n, err := f(rows)
			if err != nil || n < last || n > 1<<32 {
				t.Errorf("%s of %d rows: %d bytes, after %d for fewer; %v", name, rows, n, last, err)
			}
			last = n
		}
	}
}

// TestClosed: every op of a closed device says so.
func TestClosed(t *testing.T) {
	open(t, binding.ISAAuto, 1)
	d, err := binding.Open(binding.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range refusalBases() {
		if err := Call(d, p.Args(Memory{})); !errors.Is(err, binding.ErrClosed) {
			t.Errorf("%s: %v", p.Op, err)
		}
	}
	if err := Call(d, nil); err == nil {
		t.Error("a call without args")
	}
}

// TestRefusalBases: the calls that refusals spoil are good, and there is one for every op.
func TestRefusalBases(t *testing.T) {
	d := open(t, binding.ISAAuto, 1)
	has := map[string]bool{}
	for _, p := range refusalBases() {
		has[p.Op] = true
		r, err := p.Run(d)
		if err == nil {
			err = p.Check(r)
		}
		if err != nil {
			t.Error(err)
		}
	}
	for _, c := range Cases() {
		if !has[c.Op] {
			t.Errorf("no refusals of %s", c.Op)
			has[c.Op] = true
		}
	}
}
