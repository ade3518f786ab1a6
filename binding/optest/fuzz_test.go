package optest

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// A garbler calls ops with args that are picked from a string of bytes: good calls with some fields and indices spoiled, or nothing
// but garbage. Its buffers are large enough for every call whose sizes are small; sizes that are not are so large that they must be
// refused. Whatever the bytes, a call must return, and one that fails must have left memory alone.
type garbler struct {
	d        *binding.Device
	problems []*Problem
	buffers  map[string]*binding.Buffer
	before   map[string][]byte
	done     map[string]int // calls that were not refused, by op
}

const (
	garbleBytes  = 1 << 17 // of a buffer
	scratchBytes = 1 << 22
	garbleInts   = 256 // of which this many 32-bit words begin it with garbage
)

func newGarbler(t testing.TB) *garbler {
	g := &garbler{d: open(t, binding.ISAAuto, 2), problems: refusalBases(), buffers: map[string]*binding.Buffer{}, before: map[string][]byte{}, done: map[string]int{}}
	for _, p := range g.problems {
		f := argsValue(p.Args(Memory{}))
		for i := range f.NumField() {
			name := headerName(f.Type().Field(i).Name)
			if f.Field(i).Kind() != reflect.Uint64 || g.buffers[name] != nil { // (the ABI's counts get one too)
				continue
			}
			n := garbleBytes
			if name == "workspace" {
				n = scratchBytes
			}
			b, err := g.d.Alloc(n)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			g.buffers[name], g.before[name] = b, make([]byte, garbleBytes)
		}
	}
	return g
}

// call makes one call.
func (g *garbler) call(t testing.TB, data []byte) {
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b)
	}
	p := g.problems[next()%len(g.problems)]
	spoil := []int{0, 8, 4, 1}[next()%4] // one field in so many is garbage, or none
	garbage := func() bool { return spoil > 0 && next()%spoil == 0 }
	memory, names := Memory{}, map[string]bool{}
	for name := range g.buffers {
		memory[name] = Place{g.buffers[name].Addr(), g.buffers[name].Len()}
	}
	args := p.Args(memory)
	f := argsValue(args)
	small := []int64{1, 2, 3, 4, 8, 16, 5, 7, 9, 17, 33, 0, -1, math.MinInt64, math.MaxInt64, 1 << 62}
	for i := range f.NumField() {
		field, x := f.Type().Field(i), f.Field(i)
		if !field.IsExported() {
			continue
		}
		name := headerName(field.Name)
		if g.buffers[name] != nil && x.Kind() == reflect.Uint64 && field.Name != "WorkspaceBytes" {
			names[name] = true
		}
		if !garbage() {
			continue
		}
		switch b := next(); {
		case field.Name == "WorkspaceBytes":
			x.SetUint(uint64([]int{scratchBytes, 0, 64, 1}[b%4]))
		case field.Name == "N" && x.Kind() == reflect.Uint64:
			x.SetUint(uint64(small[b%len(small)]))
		case field.Name == "PageStride":
			x.SetInt([]int64{8192, 4096, 0, -1, 100, math.MaxInt64}[b%6])
		case field.Name == "Dim":
			x.SetInt([]int64{16, 2, 8, 32, 1, 0, -2, 1 << 62}[b%8])
		case x.Kind() == reflect.Uint64:
			x.SetUint(0)
		case x.Kind() == reflect.Int64:
			x.SetInt(small[b%len(small)])
		case field.Name == "Axes" || field.Name == "Causal" || field.Name == "Inverse" || field.Name == "Accumulate":
			x.SetUint(uint64(b % 5))
		case x.Kind() == reflect.Uint32:
			x.SetUint([]uint64{1, 2, 0, 3}[b%4])
		case x.Kind() == reflect.Float32, x.Kind() == reflect.Float64:
			x.SetFloat([]float64{1, 0.5, 1e-6, 0, -1, math.NaN(), math.Inf(1), 1e30}[b%8])
		}
	}
	r := rand.New(rand.NewPCG(uint64(next()), uint64(next())))
	delete(names, "workspace")
	for name := range names {
		before := g.before[name]
		if o := p.tensors[name]; o != nil {
			copy(before, o.before)
			if o.kind == i32 && garbage() {
				binary.LittleEndian.PutUint32(before[4*r.IntN(max(1, len(o.ints))):], uint32(int32(r.IntN(14)-2)))
			}
		}
		if garbage() {
			for i := range garbleInts {
				binary.LittleEndian.PutUint32(before[4*i:], uint32(int32(r.IntN(12)-1)))
			}
		}
		copy(g.buffers[name].Bytes(), before)
	}
	err := Call(g.d, args)
	if err != nil && !strings.Contains(err.Error(), "logit ") { // which a sampler finds out row by row
		for name := range names {
			if !bytes.Equal(g.buffers[name].Bytes(), g.before[name]) {
				t.Errorf("%s %+v: refused (%v), but %s was written", p.Op, f.Interface(), err, name)
			}
		}
		return
	}
	if err == nil {
		g.done[p.Op]++
	}
	for name := range names {
		clear(g.buffers[name].Bytes())
		clear(g.before[name])
	}
}

// garbageSeed is a string of bytes for call.
func garbageSeed(r *rand.Rand) []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// FuzzOps feeds the garbler.
func FuzzOps(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		f.Add(garbageSeed(r))
	}
	g := newGarbler(f)
	f.Fuzz(func(t *testing.T, data []byte) { g.call(t, data) })
}

// TestGarbage is a fixed stretch of fuzzing. Of every op some calls go through.
func TestGarbage(t *testing.T) {
	g := newGarbler(t)
	r := rand.New(rand.NewPCG(3, 4))
	calls := 20000
	if testing.Short() {
		calls = 3000
	}
	for range calls {
		g.call(t, garbageSeed(r))
	}
	for _, p := range g.problems {
		if g.done[p.Op] < calls/200 {
			t.Errorf("%s: only %d of about %d calls went through", p.Op, g.done[p.Op], calls/len(g.problems))
		}
	}
}
