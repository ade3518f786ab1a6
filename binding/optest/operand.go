package optest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/thinker-vl/thinker/binding"
)

// line is the bytes that memory moves at a time.
const line = 64

// A kind is an operand's element type; the first two are the ABI's dtypes.
type kind uint32

const (
	f32  = kind(binding.F32)
	bf16 = kind(binding.BF16)
	i32  = kind(3)
	raw  = kind(4) // bytes
	f64  = kind(5) // of the loss ops, which have no float32 form
)

func (k kind) String() string { return [...]string{"none", "f32", "bf16", "i32", "raw", "f64"}[k] }
func (k kind) float() bool    { return k == f32 || k == bf16 }
func (k kind) bytes() int     { return [...]int{0, 4, 2, 4, 1, 8}[k] }

// roundoff is the unit roundoff: half the distance from 1 to the next number. Of f64 it is 64 times as much: there the reference has no
// more digits than the op, and a sum in another order, or another library's exponential, differs by a few of them.
func (k kind) roundoff() float64 {
	switch k {
	case bf16:
		return 0x1p-8 / 2
	case f64:
		return 64 * 0x1p-52 / 2
	}
	return 0x1p-23 / 2
}

// round is x as an operand of kind k holds it.
func (k kind) round(x float32) float32 {
	if k == bf16 {
		return bf16Float(bf16Bits(x))
	}
	return x
}

// bf16Bits rounds to nearest even; a NaN stays one, and quiet.
func bf16Bits(x float32) uint16 {
	u := math.Float32bits(x)
	if x != x {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

func bf16Float(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// put stores x as element i of b, get is its inverse.
func (k kind) put(b []byte, i int, x float32) {
	if k == bf16 {
		binary.LittleEndian.PutUint16(b[2*i:], bf16Bits(x))
	} else {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
}

func (k kind) get(b []byte, i int) float32 {
	if k == bf16 {
		return bf16Float(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

// store and load are put and get for every kind of number.
func (k kind) store(b []byte, i int, x float64) {
	if k == f64 {
		binary.LittleEndian.PutUint64(b[8*i:], math.Float64bits(x))
	} else {
		k.put(b, i, float32(x))
	}
}

func (k kind) load(b []byte, i int) float64 {
	if k == f64 {
		return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return float64(k.get(b, i))
}

// poison fills b with the pattern of memory that nobody may read or leave as it is.
func (k kind) poison(b []byte) {
	pattern := []byte{0xad, 0xde, 0xc1, 0x7f}
	switch k {
	case bf16:
		pattern = []byte{0xc1, 0x7f, 0xc1, 0x7f}
	case f64:
		pattern = []byte{0xad, 0xde, 0xc1, 0x7f, 0xad, 0xde, 0xf9, 0x7f}
	}
	for n := copy(b, pattern); n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// A layout is where an operand's elements lie.
type layout uint8

const (
	rowMajor layout = iota
	panels          // a packed weight [rows, cols]
	pages           // KV pages: rows of lanes, of which only the op knows what they are
)

// An operand is a region of memory that an op reads or writes.
type operand struct {
	name           string // of the field of the args struct, in lower case
	role           Role
	kind           kind
	layout         layout
	rows, cols, ld int  // elements; ld is 0 for cols
	perRow         bool // row i is of the op's row i alone
	gen            gen  // contents of a float operand; nil is poison
	ints           []int32
	doubles        []float64 // contents of an f64 operand
	raw            []byte
}

// measure fills in what operands may leave open: the stride, and the size of scratch memory.
func (o *operand) measure(s spec, d *binding.Device) error {
	o.ld = max(o.ld, o.cols)
	if w, ok := s.(scratcher); ok && o.role == Scratch {
		n, err := w.scratch(d)
		o.kind, o.rows, o.cols, o.ld = raw, 1, n, n
		return err
	}
	return nil
}

// size is the operand's size in bytes: up to the last element, without the gap that follows the last row.
func (o *operand) size() int {
	switch {
	case o.layout == panels:
		return binding.PackedBytes(uint32(o.kind), o.rows, o.cols)
	case o.rows <= 0 || o.cols <= 0:
		return 0
	}
	return ((o.rows-1)*o.ld + o.cols) * o.kind.bytes()
}

// index is the place of element (i, j), in elements from the start.
func (o *operand) index(i, j int) int {
	if o.layout != panels {
		return i*o.ld + j
	}
	return packedIndex(o.kind, o.cols, i, j)
}

// packedIndex is the place of W[i][j] in a packed weight with rows of k elements, in elements.
func packedIndex(t kind, k, i, j int) int {
	if t == bf16 {
		return ((i/binding.Panel*((k+1)/2)+j/2)*binding.Panel+i%binding.Panel)*2 + j%2
	}
	return (i/binding.Panel*k+j)*binding.Panel + i%binding.Panel
}

// integers is the contents of an operand that holds no floats of a dtype.
func (o *operand) integers() []byte {
	switch o.kind {
	case raw:
		return o.raw
	case f64:
		b := make([]byte, 8*len(o.doubles))
		for i, v := range o.doubles {
			f64.store(b, i, v)
		}
		return b
	}
	b := make([]byte, 4*len(o.ints))
	for i, v := range o.ints {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	}
	return b
}

// A tensor is an operand with contents, and with what it must contain after the call.
type tensor struct {
	operand
	dense  []float32 // [rows, cols], as the op sees them; nil for outputs and integers
	before []byte    // the operand's memory before the call

	// After the call: one of these, for outputs.
	exact      []byte                 // the whole memory, to the bit
	ref, naive []float64              // [rows, cols]
	rough      []float64              // or nil: naive, off by what its sums may be off by, for that error alone
	accept     func(got []byte) error // anything else
}

// newTensor makes o's contents.
func newTensor(o operand, r *rand.Rand) *tensor {
	t := &tensor{operand: o}
	if !o.kind.float() && o.role == In {
		t.before = o.integers()
		return t
	}
	t.before = make([]byte, o.size())
	o.kind.poison(t.before)
	if o.gen == nil {
		return t
	}
	if o.layout == panels {
		clear(t.before) // what is outside W is zero
	}
	t.dense = o.gen(r, o.rows, o.cols)
	for i := range t.dense {
		t.dense[i] = o.kind.round(t.dense[i])
	}
	for i := range o.rows {
		for j := range o.cols {
			o.kind.put(t.before, o.index(i, j), t.dense[i*o.cols+j])
		}
	}
	return t
}

// slice is the tensor of rows lo to hi, sharing its memory.
func (t *tensor) slice(lo, hi int) *tensor {
	s := *t
	s.rows = hi - lo
	e := t.kind.bytes()
	start := lo * t.ld * e
	end := start + s.size()
	cut := func(x []float64) []float64 {
		if x == nil {
			return nil
		}
		return x[lo*t.cols : hi*t.cols]
	}
	s.before = t.before[start:end]
	if t.dense != nil {
		s.dense = t.dense[lo*t.cols : hi*t.cols]
	}
	if t.ints != nil {
		s.ints = t.ints[lo*t.cols : hi*t.cols]
	}
	if t.raw != nil {
		s.raw = t.raw[start:end]
	}
	if t.exact != nil {
		s.exact = t.exact[start:end]
	}
	s.ref, s.naive, s.rough = cut(t.ref), cut(t.naive), cut(t.rough)
	return &s
}

// tensors are a problem's operands by name; an optional operand that is absent is the nil tensor.
type tensors map[string]*tensor

// values is a tensor's dense contents; nil for an absent one.
func (t tensors) values(name string) []float32 {
	if t[name] == nil {
		return nil
	}
	return t[name].dense
}

// expect sets what output name must be: ref in double precision and the same loop in float32, both [rows, cols]. An absent output
// expects nothing.
func (t tensors) expect(name string, ref []float64, naive []float32) {
	o := t[name]
	if o == nil {
		return
	}
	o.ref, o.naive = ref, o.stored(naive)
}

// expectRough says how far off output name may be in more words than the naive loop's: see tensor.rough.
func (t tensors) expectRough(name string, rough []float32) {
	if o := t[name]; o != nil {
		o.rough = o.stored(rough)
	}
}

// stored is x as o's kind holds it.
func (o *operand) stored(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(o.kind.round(v))
	}
	return y
}

// expectDoubles sets what an f64 output must be, but for a few of its last digits.
func (t tensors) expectDoubles(name string, ref []float64) {
	if o := t[name]; o != nil {
		o.ref, o.naive = ref, ref
	}
}

// expectInts sets what an i32 output must be.
func (t tensors) expectInts(name string, want []int32) {
	o := t[name]
	if o == nil {
		return
	}
	o.exact = make([]byte, 4*len(want))
	for i, v := range want {
		binary.LittleEndian.PutUint32(o.exact[4*i:], uint32(v))
	}
}

// expectBits sets what output name must be, to the bit: element (i, j) is value(i, j) rounded to its kind, and the rest of its
// memory is as before.
func (t tensors) expectBits(name string, value func(i, j int) float32) {
	o := t[name]
	o.exact = append([]byte(nil), o.before...)
	for i := range o.rows {
		for j := range o.cols {
			o.kind.put(o.exact, o.index(i, j), value(i, j))
		}
	}
}
