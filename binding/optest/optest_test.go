package optest

import (
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// isas are the instruction sets of this machine.
func isas(t testing.TB) []binding.ISA {
	info, err := open(t, binding.ISAAuto, 1).Info()
	if err != nil {
		t.Fatal(err)
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

// byOp runs f for each op's cases, in a subtest each.
func byOp(t *testing.T, cases []Case, f func(t *testing.T, c Case)) {
	for len(cases) > 0 {
		n := 1
		for n < len(cases) && cases[n].Op == cases[0].Op {
			n++
		}
		t.Run(cases[0].Op, func(t *testing.T) {
			for _, c := range cases[:n] {
				t.Run(c.Name, func(t *testing.T) { f(t, c) })
			}
		})
		cases = cases[n:]
	}
}

func tested() (cs []Case) {
	for _, c := range Cases() {
		if !c.Bench {
			cs = append(cs, c)
		}
	}
	return cs
}

// TestCases runs every case on every instruction set: one thread against the reference, two and three against one.
func TestCases(t *testing.T) {
	devices := map[binding.ISA][]*binding.Device{}
	for _, isa := range isas(t) {
		for threads := 1; threads <= 3; threads++ {
			devices[isa] = append(devices[isa], open(t, isa, threads))
		}
	}
	byOp(t, tested(), func(t *testing.T, c Case) {
		p := c.New()
		for _, isa := range isas(t) {
			one, err := p.Run(devices[isa][0])
			if err == nil {
				err = p.Check(one)
			}
			if err != nil {
				t.Errorf("%v: %v", isa, err)
				continue
			}
			for i, d := range devices[isa][1:] {
				more, err := p.Run(d)
				if err == nil {
					err = p.Same(one, more)
				}
				if err != nil {
					t.Errorf("%v, 1 and %d threads: %v", isa, i+2, err)
				}
			}
		}
	})
}

// TestProperties checks what must hold to the bit, on every instruction set.
func TestProperties(t *testing.T) {
	var devices []*binding.Device
	for _, isa := range isas(t) {
		devices = append(devices, open(t, isa, 2))
	}
	for _, p := range Properties() {
		t.Run(p.Name, func(t *testing.T) {
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
