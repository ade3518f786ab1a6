package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

var (
	isaFlag   = flag.String("isa", "auto", "instruction set of the cpu back-end to measure")
	arenaFlag = flag.Int("arena", 768, "MiB of each of the two arenas; more than the last-level cache")
)

// shared is the Bench of all benchmarks, opened by the first.
var shared *Bench

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.bench"); f != nil && f.Value.String() != "" {
		// Configuration lines and units for benchfmt.
		isa, err := binding.ParseISA(*isaFlag)
		if err == nil {
			shared, err = Open(Options{ISA: isa, Arena: *arenaFlag << 20})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		info, err := shared.Info()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("backend: %s\ndevice: %s\nisa: %v\nthreads: %v\n", info.Backend, info.Device, info.ISA, shared.o.Threads)
		for _, unit := range []string{"GFLOP/s", "GB/s", "%dot", "%fma", "%read", "%copy"} {
			fmt.Printf("Unit %s better=higher\n", unit)
		}
	}
	code := m.Run()
	if shared != nil {
		if err := shared.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// op benchmarks an op's cases, each on every number of threads.
func op(b *testing.B, name string) {
	for _, c := range optest.Cases() {
		if !c.Bench || c.Op != name {
			continue
		}
		for i, threads := range shared.o.Threads {
			b.Run(fmt.Sprintf("%s/threads=%d", c.Name, threads), func(b *testing.B) {
				m, err := shared.meter(c, i)
				if err != nil {
					b.Fatal(err)
				}
				defer m.k.close()
				w := c.Work()
				for b.Loop() {
					over, err := m.call()
					if err != nil {
						b.Fatal(err)
					}
					if over {
						b.StopTimer()
						if err := m.probe(); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
				}
				if err := m.rest(); err != nil {
					b.Fatal(err)
				}
				r := m.result
				b.ReportMetric(r.Mean*1e9, "ns/op")
				if r.Roof.Memory() {
					b.ReportMetric((w.Read+w.Written)/r.Mean/1e9, "GB/s")
				} else {
					b.ReportMetric(w.FLOPs/r.Mean/1e9, "GFLOP/s")
				}
				b.ReportMetric(100*r.Share, "%"+r.Roof.String())
			})
		}
	}
}

func BenchmarkFill(b *testing.B)              { op(b, "fill") }
func BenchmarkCast(b *testing.B)              { op(b, "cast") }
func BenchmarkAdd(b *testing.B)               { op(b, "add") }
func BenchmarkRows(b *testing.B)              { op(b, "rows") }
func BenchmarkPack(b *testing.B)              { op(b, "pack") }
func BenchmarkMatMul(b *testing.B)            { op(b, "matmul") }
func BenchmarkEmbed(b *testing.B)             { op(b, "embed") }
func BenchmarkPatchEmbed(b *testing.B)        { op(b, "patch_embed") }
func BenchmarkRMSNorm(b *testing.B)           { op(b, "rmsnorm") }
func BenchmarkSwiGLU(b *testing.B)            { op(b, "swiglu") }
func BenchmarkGELU(b *testing.B)              { op(b, "gelu") }
func BenchmarkRopeTable(b *testing.B)         { op(b, "rope_table") }
func BenchmarkRope(b *testing.B)              { op(b, "rope") }
func BenchmarkKVWrite(b *testing.B)           { op(b, "kv_write") }
func BenchmarkAttentionPaged(b *testing.B)    { op(b, "attention_paged") }
func BenchmarkAttention(b *testing.B)         { op(b, "attention") }
func BenchmarkLogProb(b *testing.B)           { op(b, "logprob") }
func BenchmarkSample(b *testing.B)            { op(b, "sample") }
func BenchmarkRMSNormBackward(b *testing.B)   { op(b, "rmsnorm_backward") }
func BenchmarkSwiGLUBackward(b *testing.B)    { op(b, "swiglu_backward") }
func BenchmarkGELUBackward(b *testing.B)      { op(b, "gelu_backward") }
func BenchmarkRowsAdd(b *testing.B)           { op(b, "rows_add") }
func BenchmarkAdamW(b *testing.B)             { op(b, "adamw") }
func BenchmarkSquareSum(b *testing.B)         { op(b, "square_sum") }
func BenchmarkMatMulDx(b *testing.B)          { op(b, "matmul_dx") }
func BenchmarkMatMulDw(b *testing.B)          { op(b, "matmul_dw") }
func BenchmarkLogProbBackward(b *testing.B)   { op(b, "logprob_backward") }
func BenchmarkGroupAdvantage(b *testing.B)    { op(b, "group_advantage") }
func BenchmarkPolicyLoss(b *testing.B)        { op(b, "policy_loss") }
func BenchmarkAttentionBackward(b *testing.B) { op(b, "attention_backward") }
