package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/binding"
)

func (a *app) doctorCommand() *cobra.Command {
	var o binding.Options
	var asJSON, noPeaks bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what the machine offers",
		Long: `Say what the machine offers: the processor and the instruction set in use, threads, memory and huge pages, how the kernels are reached,
versions, and the peaks that the kernels are measured against: f32 multiply-adds and bf16 dot products in FLOP/s, and the bandwidth of
reading memory in bytes/s, each with all threads, the best of several runs of a tenth of a second.`,
		Example: `  thinker doctor
  thinker doctor --threads 1 --isa avx2 --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context(), o, asJSON, !noPeaks) },
	}
	threadFlags(c.Flags(), &o.Threads)
	isaVar(c, &o.ISA)
	c.Flags().BoolVar(&noPeaks, "no-peaks", false, "do not measure the peaks")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return c
}

// A diagnosis is what doctor finds. Its JSON is a contract.
type diagnosis struct {
	CPU          string   `json:"cpu"`
	ISA          string   `json:"isa"`
	ISAAvailable []string `json:"isa_available"`
	CPUs         int      `json:"cpus"` // that the process may run on
	Threads      int      `json:"threads"`
	Backend      string   `json:"backend"`
	Transport    string   `json:"transport"` // cgo or purego
	Memory       struct {
		Total     int64 `json:"total"`
		Available int64 `json:"available"`
	} `json:"memory"`
	HugePages struct {
		Transparent string `json:"transparent"` // always, madvise, never; "" if the system does not say
		Size        int64  `json:"size"`
		Reserved    int64  `json:"reserved"` // pages
	} `json:"huge_pages"`
	Peaks *peaks `json:"peaks,omitempty"`
	Build build  `json:"build"`
}

// peaks are measured with all threads.
type peaks struct {
	FMA  float64 `json:"fma_flops"`                 // f32
	Dot  float64 `json:"dot_bf16_flops"`            // bf16 products, f32 sums
	Tile float64 `json:"tile_bf16_flops,omitempty"` // the same on tiles, where the instruction set has them
	Read float64 `json:"read_bytes_per_s"`
}

func (a *app) doctor(ctx context.Context, o binding.Options, asJSON, measure bool) error {
	if o.Threads < 0 || o.Threads > 4096 {
		return usagef("--threads is %d: want 0 (one a CPU) to 4096", o.Threads)
	}
	d, err := binding.Open(o)
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Info()
	if err != nil {
		return err
	}
	x := diagnosis{CPU: info.Device, ISA: info.ISA.String(), CPUs: runtime.NumCPU(), Threads: info.Threads, Backend: info.Backend, Transport: transport, Build: buildInfo()}
	for i := binding.ISAScalar; i <= info.BestISA; i++ {
		x.ISAAvailable = append(x.ISAAvailable, i.String())
	}
	m := procKiB("/proc/meminfo")
	x.Memory.Total, x.Memory.Available = m["MemTotal"], m["MemAvailable"]
	x.HugePages.Size, x.HugePages.Reserved = m["Hugepagesize"], m["HugePages_Total"]
	if b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err == nil {
		if chosen := regexp.MustCompile(`\[(\w+)\]`).FindSubmatch(b); chosen != nil {
			x.HugePages.Transparent = string(chosen[1])
		}
	}
	if measure {
		if x.Peaks, err = measurePeaks(ctx, d, x.Memory.Available); err != nil {
			return err
		}
	}
	if asJSON {
		e := json.NewEncoder(a.stdout)
		e.SetEscapeHTML(false)
		return e.Encode(x)
	}
	return a.printDiagnosis(&x)
}

func (a *app) printDiagnosis(x *diagnosis) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, v ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, v...)) }
	row("processor", "%s", x.CPU)
	row("instruction set", "%s (available: %s)", x.ISA, strings.Join(x.ISAAvailable, ", "))
	row("threads", "%d of %s", x.Threads, count(x.CPUs, "CPU"))
	if x.Memory.Total > 0 {
		row("memory", "%s, %s available", formatBytes(x.Memory.Total), formatBytes(x.Memory.Available))
	}
	if x.HugePages.Transparent != "" || x.HugePages.Reserved > 0 {
		row("huge pages", "transparent: %s; %d of %s reserved", x.HugePages.Transparent, x.HugePages.Reserved, formatBytes(x.HugePages.Size))
	}
	row("kernels", "back-end %s, reached by %s", x.Backend, x.Transport)
	if p := x.Peaks; p != nil {
		row("f32 multiply-add", "%.1f GFLOP/s", p.FMA/1e9)
		row("bf16 dot product", "%.1f GFLOP/s", p.Dot/1e9)
		if p.Tile > 0 {
			row("bf16 on tiles", "%.1f GFLOP/s", p.Tile/1e9)
		}
		row("memory read", "%.1f GB/s", p.Read/1e9)
	}
	row("version", "%s", x.Build)
	return w.Flush()
}

// measurePeaks measures the ceilings of the device.
func measurePeaks(ctx context.Context, d *binding.Device, available int64) (*peaks, error) {
	// Larger than the caches of today's servers, where memory allows.
	size := int64(1 << 30)
	if available > 0 {
		size = min(size, available/4)
	}
	buf, err := d.Alloc(int(size))
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	for i, b := 0, buf.Bytes(); i < len(b); i += 4096 {
		b[i] = 1 // a page that was never written is the same page of zeros everywhere
	}
	p := &peaks{}
	for _, x := range []struct {
		c   binding.Ceiling
		buf *binding.Buffer
		out *float64
	}{{binding.CeilingFMA, nil, &p.FMA}, {binding.CeilingDot, nil, &p.Dot}, {binding.CeilingTile, nil, &p.Tile}, {binding.CeilingRead, buf, &p.Read}} {
		if *x.out, err = probe(ctx, d, x.c, x.buf); err != nil && !(x.c == binding.CeilingTile && errors.Is(err, binding.ErrUnsupported)) {
			return nil, err
		}
	}
	return p, nil
}

// probe takes the best of several measurements, each long enough for the clock.
func probe(ctx context.Context, d *binding.Device, c binding.Ceiling, buf *binding.Buffer) (float64, error) {
	const long, runs = 100 * time.Millisecond, 5
	repeats, best := 1, 0.0
	for n := 0; n < runs; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		start := time.Now()
		v, err := d.Probe(c, buf, repeats)
		if err != nil {
			return 0, err
		}
		if took := time.Since(start); took < long && repeats < 1<<40 {
			repeats *= 2
			continue
		}
		best = max(best, v)
		n++
	}
	return best, nil
}
