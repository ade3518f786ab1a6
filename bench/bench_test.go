package bench

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// find is the case of that name.
func find(t *testing.T, name string) optest.Case {
	t.Helper()
	for _, c := range optest.Cases() {
		if c.String() == name {
			return c
		}
	}
	t.Fatalf("there is no case %s", name)
	return optest.Case{}
}

const (
	oneRow  = "matmul/m=1/n=2048/k=2048/dtype=bf16"
	rows240 = "matmul/m=240/n=2048/k=2048/dtype=bf16"
	adding  = "add/n=491520/y=a/dtype=f32"
	filling = "fill/n=67108864/dtype=f32"
)

// small is options for measuring quickly what need not be exact.
func small(names ...string) Options {
	return Options{Arena: 48 << 20, Threads: []int{1, 2}, Stretches: 6, Stretch: time.Millisecond, Match: func(c optest.Case) bool {
		for _, name := range names {
			if c.String() == name {
				return true
			}
		}
		return false
	}}
}

// try skips a test where there is no back-end.
func try(t *testing.T) {
	d, err := binding.Open(binding.Options{})
	skipWithoutLibrary(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFloor(t *testing.T) {
	at := Ceilings{RoofFMA: 100e9, RoofDot: 200e9, RoofRead: 10e9, RoofCopy: 8e9}
	for name, want := range map[string]struct {
		roof    Roof
		seconds float64
	}{
		rows240:                                {RoofDot, 2 * 240 * 2048 * 2048 / 200e9},
		"matmul/m=240/n=2048/k=2048/dtype=f32": {RoofFMA, 2 * 240 * 2048 * 2048 / 100e9},
		oneRow:                                 {RoofRead, 2*2*2048/8e9 + 2*2048*2048/10e9}, // x and y as a copy, W read
		adding:                                 {RoofCopy, 2*4*491520/8e9 + 4*491520/10e9},
		filling:                                {RoofCopy, 4 * 67108864 / 8e9},
	} {
		roof, seconds := Floor(find(t, name), at)
		if roof != want.roof || math.Abs(seconds/want.seconds-1) > 1e-12 {
			t.Errorf("%s: %v, %g s, want %v, %g s", name, roof, seconds, want.roof, want.seconds)
		}
	}
	tiles := at
	tiles[RoofTile] = 400e9
	for name, want := range map[string]Roof{rows240: RoofTile, "matmul/m=240/n=2048/k=2048/dtype=f32": RoofFMA} {
		if roof, _ := Floor(find(t, name), tiles); roof != want {
			t.Errorf("%s with tiles: %v, want %v", name, roof, want)
		}
	}
	seen := map[Roof]bool{}
	for _, c := range optest.Cases() {
		if !c.Bench {
			continue
		}
		roof, seconds := Floor(c, at)
		if seen[roof] = true; !(seconds > 0) || math.IsInf(seconds, 0) {
			t.Errorf("%v: a floor of %g s", c, seconds)
		}
	}
	for r := RoofFMA; r <= RoofCopy; r++ {
		if !seen[r] {
			t.Errorf("no benchmark stands under %v", r)
		}
	}
}

// TestShare: a stretch is held against what was probed before and after it, and the median of the stretches counts.
func TestShare(t *testing.T) {
	c := find(t, filling)
	slow, quick := Ceilings{RoofCopy: 10e9}, Ceilings{RoofCopy: 30e9}
	if got, want := share(c, slow, quick, 0.02), 4*67108864/20e9/0.02; math.Abs(got/want-1) > 1e-12 {
		t.Errorf("share %v, want %v", got, want)
	}
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		x := slices.Clone(c.x)
		if got := median(x); got != c.want || !slices.Equal(x, c.x) {
			t.Errorf("median of %v is %v, want %v", c.x, got, c.want)
		}
	}
}

// TestRoofs: an op whose arithmetic and bytes ask for about as long is measured against both.
func TestRoofs(t *testing.T) {
	c := find(t, adding) // copies 2 x 4 bytes and reads 4 for 1 FLOP
	for name, test := range map[string]struct {
		fma  float64
		want []Roof
	}{
		"memory": {1e15, []Roof{RoofRead, RoofCopy}}, "both": {c.Work().FLOPs / 3e-4, []Roof{RoofFMA, RoofRead, RoofCopy}}, "arithmetic": {1e6, []Roof{RoofFMA}},
	} {
		at := Ceilings{RoofFMA: test.fma, RoofRead: 20e9, RoofCopy: 20e9} // 0.3 ms of memory
		m := meter{result: Result{Case: c, At: at}}
		m.result.Roof, m.result.Floor = Floor(c, at)
		if got := slices.Sorted(slices.Values(m.roofs())); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestBenchmarks: every op with cases for benchmarks has a benchmark.
func TestBenchmarks(t *testing.T) {
	source, err := os.ReadFile("kernels_test.go")
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, m := range regexp.MustCompile(`func Benchmark\w+\(b \*testing.B\) +\{ op\(b, "(\w+)"\) \}`).FindAllStringSubmatch(string(source), -1) {
		has[m[1]] = true
	}
	for _, c := range optest.Cases() {
		if c.Bench && !has[c.Op] {
			t.Errorf("%s has no benchmark", c.Op)
			has[c.Op] = true
		}
	}
}

func TestRun(t *testing.T) {
	try(t)
	o := small(oneRow, rows240, adding)
	var progress []Result
	o.Progress = func(r Result) { progress = append(progress, r) }
	report, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 6 || len(progress) != 6 || report.Info.Backend != "cpu" {
		t.Fatalf("%d results, %d reported, back-end %q", len(report.Results), len(progress), report.Info.Backend)
	}
	for i, r := range report.Results {
		if r.Threads != 1+i%2 || r.Calls < 6 || !(r.Best > 0 && r.Best <= r.Mean*1.0001) || !(r.Share > 0) || r.Floor <= 0 {
			t.Errorf("%v: %+v", r.Case, r)
		}
	}
	var b bytes.Buffer
	if err := report.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 7 {
		t.Errorf("%d lines:\n%s", n, &b)
	}
}

func TestRunErrors(t *testing.T) {
	try(t)
	t.Run("arena", func(t *testing.T) {
		if _, err := Run(context.Background(), small(filling)); err == nil || !strings.Contains(err.Error(), "more than an arena") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("library", func(t *testing.T) {
		if _, err := Run(context.Background(), Options{Library: "/nonexistent.so"}); err == nil || !strings.Contains(err.Error(), "/nonexistent.so") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		o := small(oneRow, adding)
		o.Progress = func(Result) { cancel() }
		report, err := Run(ctx, o)
		if !errors.Is(err, context.Canceled) || len(report.Results) != 1 {
			t.Errorf("got %v and %d results", err, len(report.Results))
		}
	})
}

// TestPlace: calls go through all of the memory, and no two of one round write to the same place.
func TestPlace(t *testing.T) {
	try(t)
	b, err := Open(small())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	k, err := place(find(t, oneRow), b.memory, b.in, b.out)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	if want := b.o.Arena / (2048*2048*2 + 2048*2); len(k.args) != want {
		t.Errorf("%d places, want %d", len(k.args), want)
	}
	weights, outputs := map[uint64]bool{}, map[uint64]bool{}
	for _, a := range k.args {
		m := a.(*binding.MatMulArgs)
		weights[m.W], outputs[m.Y] = true, true
		if m.W < b.in.buffer.Addr() || m.W+2048*2048*2 > b.in.buffer.Addr()+uint64(b.in.buffer.Len()) || m.Y < b.out.buffer.Addr() {
			t.Errorf("%+v is outside the arenas", m)
		}
	}
	if len(weights) != len(k.args) || len(outputs) != len(k.args) {
		t.Errorf("%d calls take %d weights and %d outputs", len(k.args), len(weights), len(outputs))
	}
	for range 2*len(k.args) + 1 {
		if err := k.call(b.memory); err != nil {
			t.Fatal(err)
		}
	}
	if k.next != 1 {
		t.Errorf("the next call is number %d of a round", k.next)
	}
}

// TestArena: the numbers are ordinary ones in both dtypes, and none is 0.
func TestArena(t *testing.T) {
	try(t)
	b, err := Open(small())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var sum, squares float64
	half := b.in.buffer.Uint16s()
	for i, h := range half {
		x := float64(math.Float32frombits(uint32(h) << 16))
		if x == 0 || !(math.Abs(x) < 10) {
			t.Fatalf("bf16 number %d is %v", i, x)
		}
		sum += x
		squares += x * x
	}
	n := float64(len(half))
	if mean, variance := sum/n, squares/n; math.Abs(mean) > 0.05 || math.Abs(variance-1) > 0.1 {
		t.Errorf("mean %v, variance %v", mean, variance)
	}
	for i, x := range b.in.buffer.Float32s() {
		if x == 0 || !(math.Abs(float64(x)) < 10) {
			t.Fatalf("f32 number %d is %v", i, x)
		}
	}
}

func TestMarkdown(t *testing.T) {
	at := Ceilings{RoofFMA: 100e9, RoofDot: 250e9, RoofRead: 12.5e9, RoofCopy: 8e9}
	result := func(name string, threads int, best float64) Result {
		c := find(t, name)
		roof, floor := Floor(c, at)
		return Result{Case: c, Threads: threads, Calls: 1, Mean: best, Best: best, Roof: roof, Floor: floor, At: at, Share: floor / best}
	}
	r := Report{Info: binding.Info{Device: "Some CPU", ISA: binding.ISAAVX2}, Results: []Result{
		result(rows240, 1, 0.01), result(rows240, 2, 0.00805306368), result(oneRow, 1, 0.001), result(filling, 2, 2),
	}}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	want := `Some CPU, avx2. Best probes: 1 thread fma 100 GFLOP/s, dot 250 GFLOP/s, read 12.5 GB/s, copy 8.0 GB/s; 2 threads fma 100 GFLOP/s, dot 250 GFLOP/s, read 12.5 GB/s, copy 8.0 GB/s.

| op | sizes | dtype | 1 thread | | | 2 threads | | |
|---|---|---|--:|--:|--:|--:|--:|--:|
| matmul | m=240 n=2048 k=2048 | bf16 | 10.00 ms | 201 GFLOP/s | 81 % dot | 8.05 ms | 250 GFLOP/s | 100 % dot |
| matmul | m=1 n=2048 k=2048 | bf16 | 1.00 ms | 8.4 GB/s | 67 % read | | | |
| fill | n=67108864 | f32 | | | | 2.00 s | 0.1 GB/s | 2 % copy |
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
