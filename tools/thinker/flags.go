package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine"
)

// A parsed flag is one whose values a function knows.
type parsed[T fmt.Stringer] struct {
	p     *T
	parse func(string) (T, error)
	kind  string
}

func (f parsed[T]) String() string {
	if f.p == nil { // pflag asks a zero value
		return ""
	}
	return (*f.p).String()
}

func (f parsed[T]) Set(s string) error {
	v, err := f.parse(s)
	if err == nil {
		*f.p = v
	}
	return err
}

func (f parsed[T]) Type() string { return f.kind }

func enumVar[T fmt.Stringer](c *cobra.Command, p *T, name string, parse func(string) (T, error), usage string, values ...string) {
	c.Flags().Var(parsed[T]{p, parse, strings.Join(values, "|")}, name, usage)
	c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func dtypeVar(c *cobra.Command, p *engine.DType, usage string) {
	enumVar(c, p, "dtype", engine.ParseDType, usage, "f32", "bf16")
}

func banVar(c *cobra.Command, p *engine.Ban) {
	enumVar(c, p, "ban", engine.ParseBan, "ids that the policy may never emit: vision bans the five vision ids and the ids without a token", "vision", "none")
}

// byteSize is a flag for a number of bytes with an optional suffix.
type byteSize int64

var sizeSuffixes = []struct {
	suffix string
	unit   int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1}, {"", 1},
}

func (b *byteSize) Set(s string) error {
	for _, x := range sizeSuffixes {
		number, ok := strings.CutSuffix(s, x.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v >= 0 && v*float64(x.unit) < math.MaxInt64) {
			break
		}
		*b = byteSize(v * float64(x.unit))
		return nil
	}
	return fmt.Errorf("%q is no size: want a number of bytes, as 1500000000, 512MiB, 1.5GiB or 2GB", s)
}

func (b *byteSize) String() string {
	if *b == 0 {
		return "0"
	}
	return formatBytes(int64(*b))
}

func (b *byteSize) Type() string { return "size" }

// formatBytes writes a size in binary units.
func formatBytes(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%d B", n)
			}
			return fmt.Sprintf("%.2f %s", f, unit)
		}
		f /= 1024
	}
	return fmt.Sprintf("%.2f TiB", f)
}

func requiredDir(c *cobra.Command, p *string, name, usage string) {
	c.Flags().StringVar(p, name, "", usage)
	c.MarkFlagRequired(name)
	c.MarkFlagDirname(name)
}

// lineFlags are the input and output of a command that turns lines into lines.
type lineFlags struct{ in, out string }

func (f *lineFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.in, "in", "-", `input, one JSON object a line; "-" is standard input`)
	c.Flags().StringVar(&f.out, "out", "-", `output, replaced when complete; "-" is standard output`)
	c.MarkFlagFilename("in", "jsonl")
	c.MarkFlagFilename("out", "jsonl")
}

func threadFlags(fs *pflag.FlagSet, threads *int) {
	fs.IntVar(threads, "threads", 0, "threads, 0 for one a CPU; they change no number")
}

func isaVar(c *cobra.Command, p *binding.ISA) {
	enumVar(c, p, "isa", binding.ParseISA, "instruction set of the kernels; auto is the fastest on the CPU", "auto", "scalar", "avx2", "avx512", "avx512bf16", "amx")
}

func pixelFlags(fs *pflag.FlagSet, lo, hi *int) {
	fs.IntVar(lo, "min-pixels", 0, "least pixels of a picture after resizing, 0 for the checkpoint's")
	fs.IntVar(hi, "max-pixels", 0, "most pixels of a picture after resizing, 0 for the checkpoint's")
}

func checkPixels(lo, hi int) error {
	if lo < 0 || hi < 0 || (hi > 0 && lo > hi) {
		return usagef("--min-pixels %d, --max-pixels %d: want 0 (the checkpoint's own) or 1 <= min <= max", lo, hi)
	}
	return nil
}

// engineFlags are the options of the commands that load weights.
type engineFlags struct {
	model   string
	options engine.Options
	cache   byteSize
}

func (f *engineFlags) add(c *cobra.Command) {
	fs := c.Flags()
	dtypeVar(c, &f.options.DType, "storage of weights, activations and KV cache; sums are f32 in both")
	threadFlags(fs, &f.options.Threads)
	isaVar(c, &f.options.ISA)
	pixelFlags(fs, &f.options.MinPixels, &f.options.MaxPixels)
	fs.IntVar(&f.options.MaxBatch, "batch", 0, "sequences decoded together, 0 for 64; it changes no number")
	fs.IntVar(&f.options.PrefillChunk, "prefill-chunk", 0, "most tokens of a forward pass, 0 for 512; it changes no number")
	fs.Var(&f.cache, "cache", "size of the KV cache, as 2GiB; 0 for what the batch needs, at most an eighth of memory or 4 GiB")
}

func (f *engineFlags) check() error {
	o := &f.options
	for _, x := range []struct {
		name  string
		value int
		most  int
	}{{"threads", o.Threads, 4096}, {"batch", o.MaxBatch, 1 << 16}, {"prefill-chunk", o.PrefillChunk, 1 << 20}} {
		if x.value < 0 || x.value > x.most {
			return usagef("--%s is %d: want 0 (the default) to %d", x.name, x.value, x.most)
		}
	}
	o.CacheBytes = int64(f.cache)
	return checkPixels(o.MinPixels, o.MaxPixels)
}

// noArgs refuses arguments that are no flags.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes flags alone, %q is none", c.Name(), args[0])
	}
	return nil
}
