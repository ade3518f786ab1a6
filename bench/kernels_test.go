package bench

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// benchNames are the ops' names in Go.
var benchNames = map[string]string{
	"fill": "Fill", "cast": "Cast", "add": "Add", "rows": "Rows", "pack": "Pack", "unpack": "Unpack", "matmul": "MatMul", "embed": "Embed",
	"patch_embed": "PatchEmbed", "rmsnorm": "RMSNorm", "swiglu": "SwiGLU", "gelu": "GELU", "rope_table": "RopeTable", "rope": "Rope",
	"kv_write": "KVWrite", "attention_paged": "AttentionPaged", "attention": "Attention", "logprob": "LogProb", "sample": "Sample",
}

// TestMain prints the configuration lines of Go's benchmark format.
func TestMain(m *testing.M) {
	if d, err := binding.Open(binding.Options{}); err == nil {
		if info, err := d.Info(); err == nil {
			fmt.Printf("device: %s\nisa: %v\nthreads: %d\n", info.Device, info.ISA, info.Threads)
		}
		d.Close()
	}
	os.Exit(m.Run())
}

// BenchmarkKernel times every Bench case of the table: BenchmarkKernel/MatMul/m=240/n=2048/k=2048/dtype=bf16/threads=2. Beside ns/op
// it reports the rate and the share of the roof that binds, named in the metric: %dot, %fma, %read or %copy.
func BenchmarkKernel(b *testing.B) {
	for _, threads := range []int{1, 0} {
		r, err := NewRunner(threads, binding.ISAAuto)
		if err != nil {
			b.Fatal(err)
		}
		info, err := r.Info()
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range optest.Cases() {
			if !c.Bench {
				continue
			}
			b.Run(fmt.Sprintf("%s/%s/threads=%d", benchNames[c.Op], c.Name, info.Threads), func(b *testing.B) { benchmarkCase(b, r, c) })
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkCase(b *testing.B, r *Runner, c optest.Case) {
	k, err := r.Cold(c)
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	for range len(k.args) {
		if err := k.Run(); err != nil {
			b.Fatal(err)
		}
	}
	before, err := r.Probe(2)
	if err != nil {
		b.Fatal(err)
	}
	w := c.Work()
	b.SetBytes(int64(w.Read + w.Written))
	b.ReportAllocs()
	for b.Loop() {
		if err := k.Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	after, err := r.Probe(2)
	if err != nil {
		b.Fatal(err)
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	roof := RoofOf(c, before.better(after))
	if roof.Name == "dot" || roof.Name == "fma" {
		b.ReportMetric(w.FLOPs/seconds/1e9, "GFLOP/s")
	}
	b.ReportMetric(100*roof.Seconds/seconds, "%"+roof.Name)
}

func TestNames(t *testing.T) {
	for _, c := range optest.Cases() {
		if benchNames[c.Op] == "" {
			t.Errorf("op %q has no benchmark's name", c.Op)
		}
	}
}

func TestRoofOf(t *testing.T) {
	ceilings := Ceilings{FMA: 100e9, Dot: 200e9, Read: 10e9, Copy: 8e9}
	seen := map[string]bool{}
	for _, c := range optest.Cases() {
		if !c.Bench {
			continue
		}
		r := RoofOf(c, ceilings)
		if !(r.Seconds > 0) || math.IsInf(r.Seconds, 0) {
			t.Errorf("%v: a roof of %g s", c, r.Seconds)
		}
		seen[r.Name] = true
		switch {
		case c.Op == "matmul" && strings.Contains(c.Name, "m=240") && c.DType == binding.BF16 && r.Name != "dot",
			c.Op == "matmul" && strings.Contains(c.Name, "m=240") && c.DType == binding.F32 && r.Name != "fma",
			c.Op == "matmul" && strings.HasPrefix(c.Name, "m=1/") && r.Name != "read",
			c.Op == "add" && r.Name != "copy":
			t.Errorf("%v: bound by %s", c, r.Name)
		}
	}
	for _, name := range []string{"dot", "fma", "read", "copy"} {
		if !seen[name] {
			t.Errorf("no case is bound by %s", name)
		}
	}
}

// Scrambled memory must be ordinary numbers in both dtypes.
func TestScramble(t *testing.T) {
	b := make([]byte, 8<<10)
	scramble(b, 3)
	var sum float64
	for i := 0; i < len(b); i += 2 {
		bits := uint32(b[i])<<16 | uint32(b[i+1])<<24
		x := float64(math.Float32frombits(bits))
		if m := math.Abs(x); !(m >= 0.125 && m < 2) {
			t.Fatalf("value %d is %g", i/2, x)
		}
		sum += x
	}
	if mean := sum / float64(len(b)/2); math.Abs(mean) > 0.2 {
		t.Errorf("the mean is %g", mean)
	}
}
