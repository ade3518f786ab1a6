package binding

import (
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// openTest opens a device that is closed with the test.
func openTest(t testing.TB, o Options) *Device {
	t.Helper()
	d, err := Open(o)
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

func TestOpenErrors(t *testing.T) {
	openTest(t, Options{}) // skips where there is no back-end
	for _, tc := range []struct {
		name string
		o    Options
		is   error // or nil
		want string
	}{
		{"library", Options{Library: "/nonexistent/libthinker_cpu.so"}, nil, "/nonexistent/libthinker_cpu.so"},
		{"no back-end", Options{Library: "libm.so.6"}, nil, "libm.so.6 is no back-end"},
		{"isa", Options{ISA: 99}, ErrUnsupported, "isa 99"},
		{"threads", Options{Threads: 1025}, ErrInvalid, "threads is 1025"},
		{"negative threads", Options{Threads: -1}, ErrInvalid, "threads"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Open(tc.o)
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "binding: ") {
				t.Errorf("got %v, want %v with %q", err, tc.is, tc.want)
			}
		})
	}
}

func TestISA(t *testing.T) {
	for i := ISAAuto; i <= ISAAMX; i++ {
		if got, err := ParseISA(i.String()); err != nil || got != i {
			t.Errorf("ParseISA(%q) = %v, %v", i.String(), got, err)
		}
	}
	if _, err := ParseISA("sse"); err == nil || !strings.Contains(err.Error(), `"sse"`) {
		t.Errorf("ParseISA(sse): %v", err)
	}
	if got := ISA(9).String(); got != "ISA(9)" {
		t.Errorf("ISA(9) is %q", got)
	}
	best := info(t, openTest(t, Options{})).BestISA
	for i := ISAScalar; i <= ISAAMX; i++ {
		d, err := Open(Options{ISA: i, Threads: 1})
		if i > best {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%v on a machine whose best is %v: %v", i, best, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", i, err)
			continue
		}
		if got := info(t, d).ISA; got != i {
			t.Errorf("opened %v, got %v", i, got)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The kernel lists the extensions that it knows of, so the best may be more than these say, but not less. It may refuse tiles.
func TestBestISA(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors have the scalar kernels alone")
	}
	best := info(t, openTest(t, Options{})).BestISA
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	_, flags, _ := strings.Cut(string(cpuinfo), "\nflags")
	flags, _, _ = strings.Cut(flags, "\n")
	want := ISAScalar
	for _, level := range []struct {
		isa   ISA
		flags []string
	}{
		{ISAAVX2, []string{"avx2", "fma"}},
		{ISAAVX512, []string{"avx512f", "avx512bw", "avx512dq", "avx512vl"}},
		{ISAAVX512BF16, []string{"avx512_bf16"}},
	} {
		if slices.ContainsFunc(level.flags, func(f string) bool { return !slices.Contains(strings.Fields(flags), f) }) {
			break
		}
		want = level.isa
	}
	if best < want {
		t.Errorf("the best instruction set is %v; /proc/cpuinfo has %v", best, want)
	}
}

func info(t *testing.T, d *Device) Info {
	t.Helper()
	i, err := d.Info()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInfo(t *testing.T) {
	d := openTest(t, Options{Threads: 3})
	i := info(t, d)
	if i.Backend != "cpu" || i.Device == "" || i.Threads != 3 || i.ISA == ISAAuto || i.ISA > i.BestISA || i.Allocated != 0 || i.Peak != 0 {
		t.Errorf("%+v", i)
	}
	b, err := d.Alloc(1000)
	if err != nil {
		t.Fatal(err)
	}
	during := info(t, d)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	after := info(t, d)
	if during.Allocated < 1000 || during.Allocated > 2000 || after.Allocated != 0 || after.Peak != during.Allocated {
		t.Errorf("allocated %d of 1000, then %d, at most %d", during.Allocated, after.Allocated, after.Peak)
	}
}

func TestErrorIs(t *testing.T) {
	sentinels := []error{ErrInvalid, ErrOutOfMemory, ErrUnsupported, ErrInternal}
	for code, want := range map[int32]error{1: ErrInvalid, 2: ErrOutOfMemory, 3: ErrUnsupported, 4: ErrInternal, 77: ErrInternal} {
		err := error(&Error{Op: "op", Code: code, Message: "op: x is 1"})
		for _, s := range sentinels {
			if errors.Is(err, s) != (s == want) {
				t.Errorf("errors.Is(code %d, %v) = %v", code, s, !(s == want))
			}
		}
		if err.Error() != "binding: op: x is 1" {
			t.Errorf("%q", err)
		}
	}
}

func TestBuffers(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	for _, n := range []int{1, 63, 64, 100, 4096, 1<<20 - 1, 3 << 20} { // small ones and mapped ones
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		if b.Addr() == 0 || b.Addr()%64 != 0 || b.Len() != n {
			t.Errorf("%d bytes: address %#x, length %d", n, b.Addr(), b.Len())
		}
		data := b.Bytes()
		for i, v := range data {
			if v != 0 {
				t.Fatalf("%d bytes: byte %d is %d", n, i, v)
			}
		}
		if len(data) != n || len(b.Float32s()) != n/4 || len(b.Uint16s()) != n/2 || len(b.Int32s()) != n/4 || len(b.Uint32s()) != n/4 || len(b.SampleRows()) != n/40 {
			t.Errorf("%d bytes: views of other lengths", n)
		}
		if n >= 4 {
			b.Float32s()[0] = 1
			if math.Float32frombits(b.Uint32s()[0]) != 1 || b.Uint16s()[1] != 0x3f80 || b.Int32s()[0] != 0x3f800000 {
				t.Errorf("views do not share their memory")
			}
		}
		for range 2 {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		if b.Bytes() != nil || b.Len() != 0 {
			t.Error("a closed buffer has memory")
		}
	}

	empty, err := d.Alloc(0)
	if err != nil || empty.Addr() != 0 || empty.Len() != 0 || empty.Bytes() != nil || empty.Close() != nil {
		t.Errorf("no bytes: %v, %+v", err, empty)
	}
	if err := (*Buffer)(nil).Close(); err != nil {
		t.Errorf("closing no buffer: %v", err)
	}
	for n, want := range map[int]error{-1: nil, 1 << 60: ErrInvalid, 1 << 47: ErrOutOfMemory} {
		b, err := d.Alloc(n)
		if err == nil {
			b.Close()
			t.Errorf("%d bytes were allocated", n)
		} else if want != nil && !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestPart: a part is the same memory, and closing it frees nothing.
func TestPart(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	b, err := d.Alloc(256)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := b.Part(64, 128)
	if p.Addr() != b.Addr()+64 || p.Len() != 128 {
		t.Errorf("128 bytes from 64 on: %d bytes from %d on", p.Len(), p.Addr()-b.Addr())
	}
	p.Bytes()[0] = 7
	if err := p.Close(); err != nil || p.Len() != 128 || b.Bytes()[64] != 7 {
		t.Errorf("after closing the part: %v, it has %d bytes, the buffer %d", err, p.Len(), b.Bytes()[64])
	}
	if e := b.Part(256, 0); e.Addr() != 0 || e.Len() != 0 || e.Bytes() != nil {
		t.Errorf("an empty part has %d bytes at %d", e.Len(), e.Addr())
	}
	for _, c := range [][2]int{{-1, 2}, {0, 257}, {200, 57}, {0, -1}, {1, math.MaxInt}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a part of %d bytes from %d on of 256", c[1], c[0])
				}
			}()
			b.Part(c[0], c[1])
		}()
	}
}

func TestClose(t *testing.T) {
	openTest(t, Options{Threads: 1})
	d, err := Open(Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Alloc(64)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "1 buffers") {
		t.Errorf("closing a device with an open buffer: %v", err)
	}
	if err := d.Fill(&FillArgs{DType: F32, X: b.Addr(), N: 16, Value: 2}); err != nil || b.Float32s()[15] != 2 {
		t.Errorf("the device is of no use after a refused Close: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Alloc(64); !errors.Is(err, ErrClosed) {
		t.Errorf("Alloc on a closed device: %v", err)
	}
	if _, err := d.Info(); !errors.Is(err, ErrClosed) {
		t.Errorf("Info on a closed device: %v", err)
	}
	if err := d.Sync(); !errors.Is(err, ErrClosed) {
		t.Errorf("Sync on a closed device: %v", err)
	}
	if err := d.RMSNorm(&RMSNormArgs{}); !errors.Is(err, ErrClosed) {
		t.Errorf("an op on a closed device: %v", err)
	}
}

func TestCopy(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	b, err := d.Alloc(256)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	copy(b.Bytes(), "thinker")
	if err := d.Copy(b.Addr()+100, b.Addr(), 100); err != nil || string(b.Bytes()[100:107]) != "thinker" {
		t.Errorf("%v, %q", err, b.Bytes()[100:107])
	}
	if err := d.Copy(0, 0, 0); err != nil {
		t.Errorf("no bytes: %v", err)
	}
	for name, args := range map[string][3]uint64{
		"overlap": {b.Addr() + 1, b.Addr(), 2}, "onto itself": {b.Addr(), b.Addr(), 1}, "no source": {b.Addr(), 0, 1}, "no destination": {0, b.Addr(), 1},
		"wraps": {b.Addr(), b.Addr() + 128, math.MaxUint64 - 10}, "negative": {b.Addr(), b.Addr() + 128, math.MaxUint64},
	} {
		if err := d.Copy(args[0], args[1], int(args[2])); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProbe(t *testing.T) {
	for isa := ISAScalar; isa <= info(t, openTest(t, Options{Threads: 1})).BestISA; isa++ {
		d := openTest(t, Options{Threads: 2, ISA: isa})
		b, err := d.Alloc(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for c, buf := range map[Ceiling]*Buffer{CeilingFMA: nil, CeilingDot: nil, CeilingRead: b, CeilingCopy: b} {
			rate, err := d.Probe(c, buf, 2000)
			if c == CeilingRead || c == CeilingCopy {
				rate, err = d.Probe(c, buf, 5)
			}
			if err != nil || !(rate > 1e7 && rate < 1e14) {
				t.Errorf("%v, ceiling %d: %v a second, %v", isa, c, rate, err)
			}
		}
		if rate, err := d.Probe(CeilingTile, nil, 2000); isa == ISAAMX && !(rate > 1e9 && rate < 1e14) || isa != ISAAMX && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v, tiles: %v a second, %v", isa, rate, err)
		}
		for name, f := range map[string]func() (float64, error){
			"kind": func() (float64, error) { return d.Probe(77, nil, 1) }, "read of nothing": func() (float64, error) { return d.Probe(CeilingRead, nil, 1) },
			"copy of nothing": func() (float64, error) { return d.Probe(CeilingCopy, nil, 1) },
		} {
			if _, err := f(); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestManyCalls: calls of few and of many jobs, to workers that spin and that sleep, do every job before they return.
func TestManyCalls(t *testing.T) {
	const n, k, most = 5, 512, 300
	for _, threads := range []int{2, 3, 8} {
		d := openTest(t, Options{Threads: threads})
		alloc := func(bytes int) *Buffer {
			b, err := d.Alloc(bytes)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		}
		w, packed, y, ids := alloc(4*n*k), alloc(PackedBytes(F32, n, k)), alloc(4*most*k), alloc(4*most)
		for i := range w.Float32s() {
			w.Float32s()[i] = float32(i)
		}
		if err := d.Pack(&PackArgs{DType: F32, DTypeSrc: F32, Src: w.Addr(), Packed: packed.Addr(), N: n, K: k, Rows: n, Ld: k}); err != nil {
			t.Fatal(err)
		}
		for call := range 2000 {
			m := 1 + call*7919%8
			if call%16 == 0 {
				m = most
			}
			if call%100 == 0 {
				time.Sleep(time.Millisecond) // the workers go to sleep
			}
			for i := range m {
				ids.Int32s()[i] = int32((i + call) % n)
			}
			clear(y.Bytes()[:4*m*k])
			if err := d.Embed(&EmbedArgs{DType: F32, IDs: ids.Addr(), W: packed.Addr(), Y: y.Addr(), M: int64(m), N: n, K: k, LdY: k}); err != nil {
				t.Fatal(err)
			}
			for i, id := range ids.Int32s()[:m] {
				if got, want := y.Float32s()[i*k:(i+1)*k], w.Float32s()[int(id)*k:int(id+1)*k]; !slices.Equal(got, want) {
					t.Fatalf("%d threads, call %d: row %d of %d is not that of id %d", threads, call, i, m, id)
				}
			}
		}
	}
}

// TestConcurrent: calls from many goroutines, on one device and on several.
func TestConcurrent(t *testing.T) {
	shared := openTest(t, Options{Threads: 2})
	var wg sync.WaitGroup
	for g := range 6 {
		d := shared
		if g >= 3 {
			d = openTest(t, Options{Threads: 2})
		}
		b, err := d.Alloc(4 * 3000)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		wg.Go(func() {
			for i := range 200 {
				v := float32(g*1000 + i)
				err := d.Fill(&FillArgs{DType: F32, X: b.Addr(), N: 3000, Value: v})
				if err == nil {
					err = d.Add(&AddArgs{DType: F32, A: b.Addr(), B: b.Addr(), Y: b.Addr(), N: 3000})
				}
				if err != nil || b.Float32s()[0] != 2*v || b.Float32s()[2999] != 2*v {
					t.Errorf("goroutine %d: %v, %v of %v", g, err, b.Float32s()[2999], 2*v)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		got, want int
	}{
		{DTypeBytes(F32), 4}, {DTypeBytes(BF16), 2},
		{PackedBytes(F32, 32, 10), 1280}, {PackedBytes(F32, 33, 10), 2560}, {PackedBytes(BF16, 1, 1), 128}, {PackedBytes(BF16, 64, 11), 2 * 6 * 128}, {PackedBytes(BF16, 0, 11), 0},
		{KVTileBytes(F32, 16), 4 * (16*64 + 64*16)}, {KVTileBytes(BF16, 80), 4 * (40*64 + 32*80)}, {KVTileBytes(BF16, 18), 4 * (9*64 + 32*32)},
	} {
		if tc.got != tc.want {
			t.Errorf("got %d, want %d", tc.got, tc.want)
		}
	}
	if unsafe.Sizeof(SampleRow{}) != 40 {
		t.Errorf("a sample row has %d bytes", unsafe.Sizeof(SampleRow{}))
	}
}
