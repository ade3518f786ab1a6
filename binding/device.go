package binding

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// DType is an op's storage type.
const (
	F32  uint32 = 1
	BF16 uint32 = 2
)

// Constants of the ABI: see the header.
const (
	Panel      = 32   // columns of a packed weight panel
	Chunk      = 64   // keys of an attention chunk and of a KV page
	VocabChunk = 1024 // columns of a vocabulary chunk
)

// ScaleGroup and so on say which deviation group_advantage divides by.
const (
	ScaleGroup uint32 = iota
	ScaleBatch
	ScaleNone
)

// LossClip and so on are policy_loss's kinds.
const (
	LossClip uint32 = iota
	LossCISPO
	LossSAPO
	LossNLL
	LossCISPOClip
)

// LevelToken and LevelSequence say what policy_loss's ratio is of.
const (
	LevelToken uint32 = iota
	LevelSequence
)

// KLk1 and so on are policy_loss's estimators of the KL divergence.
const (
	KLk1 uint32 = iota + 1
	KLk2
	KLk3
	KLAbs
)

// An ISA is an instruction set of the cpu back-end.
type ISA uint32

// The cpu back-end's instruction sets. ISAAuto takes the fastest on the machine: the best that it has, but on Intel processors without tiles
// AVX-512 without the bf16 dot product, which is slow there.
const (
	ISAAuto ISA = iota
	ISAScalar
	ISAAVX2
	ISAAVX512
	ISAAVX512BF16
	ISAAMX // AVX-512 with bf16 products on tiles
)

func (i ISA) String() string {
	names := [...]string{"auto", "scalar", "avx2", "avx512", "avx512bf16", "amx"}
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("ISA(%d)", uint32(i))
}

// ParseISA is the inverse of String.
func ParseISA(s string) (ISA, error) {
	for i := ISAAuto; i <= ISAAMX; i++ {
		if i.String() == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("binding: unknown instruction set %q: want auto, scalar, avx2, avx512, avx512bf16 or amx", s)
}

// Status codes of the ABI, as errors: errors.Is(err, binding.ErrUnsupported).
var (
	ErrInvalid     = errors.New("invalid argument")
	ErrOutOfMemory = errors.New("out of memory")
	ErrUnsupported = errors.New("unsupported")
	ErrInternal    = errors.New("internal error")
	ErrClosed      = errors.New("binding: the device is closed")
)

// An Error is what a back-end said of a call that failed.
type Error struct {
	Op      string // the function's name in the header
	Code    int32
	Message string
}

func (e *Error) Error() string { return "binding: " + e.Message }

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case 1:
		return target == ErrInvalid
	case 2:
		return target == ErrOutOfMemory
	case 3:
		return target == ErrUnsupported
	}
	return target == ErrInternal
}

// Options says which device to open. The zero value is the cpu back-end with every CPU and the best instruction set.
type Options struct {
	Threads int    // 0: one per CPU that the process may run on
	ISA     ISA    // ISAAuto: the fastest
	Library string // path of a back-end's shared library; "" is the built-in cpu back-end, or a search for its library without cgo
}

// A Device is an open context of a back-end. Its methods may be called from any goroutine; calls run one at a time.
type Device struct {
	mu      sync.Mutex
	api     *api
	ctx     uint64
	buffers int
	pace    pace
}

// cError mirrors tk_error.
type cError struct {
	code    int32
	message [252]byte
}

// api is a back-end's table, checked against this package's structs.
type api struct {
	backend   string
	functions [numFunctions]uintptr
}

// newAPI reads and checks the table at p; layout is the address of tk_layout, read through call.
func newAPI(p unsafe.Pointer, layout func(uint32) uint32) (*api, error) {
	if p == nil {
		return nil, fmt.Errorf("binding: the library does not speak version %d of the ABI", ABIVersion)
	}
	type header struct {
		size, abi uint32
		backend   [16]byte
	}
	h := (*header)(p)
	if want := unsafe.Sizeof(header{}) + numFunctions*unsafe.Sizeof(uintptr(0)); h.abi != ABIVersion || uintptr(h.size) < want {
		return nil, fmt.Errorf("binding: the library's table has version %d and %d bytes, this package needs version %d and %d bytes: rebuild the library", h.abi, h.size, ABIVersion, want)
	}
	a := &api{backend: cString(h.backend[:])}
	copy(a.functions[:], unsafe.Slice((*uintptr)(unsafe.Add(p, unsafe.Sizeof(header{}))), numFunctions))
	for i, want := range argSizes {
		if got := layout(uint32(i)); got != want {
			return nil, fmt.Errorf("binding: %s takes %d bytes in the library, %d in this package: rebuild the library from the same sources", functionNames[i], got, want)
		}
	}
	return a, nil
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// Open opens a device.
func Open(o Options) (*Device, error) {
	a, err := load(o.Library)
	if err != nil {
		return nil, err
	}
	d := &Device{api: a}
	args := OpenArgs{Threads: uint32(o.Threads), ISA: uint32(o.ISA)}
	args.size = uint32(unsafe.Sizeof(args))
	if err := d.invoke(fnOpen, unsafe.Pointer(&args)); err != nil {
		return nil, err
	}
	d.ctx = args.Ctx
	return d, nil
}

// Close releases the device. Every buffer must have been closed before.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == 0 {
		return nil
	}
	if d.buffers != 0 {
		return fmt.Errorf("binding: close: %d buffers are still open", d.buffers)
	}
	args := NoneArgs{}
	args.size = uint32(unsafe.Sizeof(args))
	err := d.invoke(fnClose, unsafe.Pointer(&args))
	d.ctx = 0
	return err
}

// call runs function f with args, whose size is set.
func (d *Device) call(f int, args unsafe.Pointer) error {
	yield, err := d.callOnce(f, args)
	if yield {
		runtime.Gosched()
	}
	return err
}

func (d *Device) callOnce(f int, args unsafe.Pointer) (yield bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == 0 {
		return false, ErrClosed
	}
	return d.pace.yield(), d.invoke(f, args)
}

func (d *Device) invoke(f int, args unsafe.Pointer) error {
	var e cError
	if code := callFunction(d.api.functions[f], d.ctx, args, unsafe.Pointer(&e)); code != 0 {
		return &Error{Op: functionNames[f], Code: code, Message: cString(e.message[:])}
	}
	return nil
}

// Info describes an open device.
type Info struct {
	Backend   string // "cpu"
	Device    string // the processor's own name
	Threads   int
	ISA       ISA // in use
	BestISA   ISA // the best that the machine has
	Allocated int64
	Peak      int64 // most bytes ever held by buffers
}

// Info asks the device what it is.
func (d *Device) Info() (Info, error) {
	var a InfoArgs
	a.size = uint32(unsafe.Sizeof(a))
	if err := d.call(fnInfo, unsafe.Pointer(&a)); err != nil {
		return Info{}, err
	}
	return Info{d.api.backend, cString(a.Device[:]), int(a.Threads), ISA(a.ISA), ISA(a.BestISA), int64(a.Allocated), int64(a.Peak)}, nil
}

// Sync returns when all work given to the device is done.
func (d *Device) Sync() error {
	a := NoneArgs{}
	a.size = uint32(unsafe.Sizeof(a))
	return d.call(fnSync, unsafe.Pointer(&a))
}

// A Ceiling is what Probe measures.
type Ceiling uint32

// FMA and Dot are FLOP/s of the f32 FMA and the bf16 dot product, Tile of bf16 products on tiles (ErrUnsupported where the instruction set has
// none); Read and Copy are bytes/s of memory.
const (
	CeilingFMA Ceiling = iota + 1
	CeilingDot
	CeilingRead
	CeilingCopy
	CeilingTile
)

// Probe measures a ceiling with all the device's threads: FLOP/s or bytes/s (Copy counts bytes read and written). buf is the memory
// that Read and Copy go over, nil for the others.
func (d *Device) Probe(c Ceiling, buf *Buffer, repeats int) (float64, error) {
	a := ProbeArgs{Kind: uint32(c), Repeats: uint64(repeats)}
	a.size = uint32(unsafe.Sizeof(a))
	if buf != nil {
		a.Addr, a.Bytes = buf.Addr(), uint64(buf.Len())
	}
	if err := d.call(fnProbe, unsafe.Pointer(&a)); err != nil {
		return 0, err
	}
	return a.Work / a.Seconds, nil
}

// A Buffer is zeroed memory of a device, aligned to 64 bytes, outside Go's heap. It lives until Close.
type Buffer struct {
	d    *Device
	addr uint64
	n    int
	part bool // of another buffer, which owns the memory
}

// Alloc returns a buffer of n bytes. n of 0 gives a buffer of no bytes with address 0.
func (d *Device) Alloc(n int) (*Buffer, error) {
	b := &Buffer{d: d, n: n}
	if n == 0 {
		return b, nil
	}
	if n < 0 {
		return nil, fmt.Errorf("binding: alloc: %d bytes", n)
	}
	a := AllocArgs{Bytes: uint64(n)}
	a.size = uint32(unsafe.Sizeof(a))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == 0 {
		return nil, ErrClosed
	}
	if err := d.invoke(fnAlloc, unsafe.Pointer(&a)); err != nil {
		return nil, err
	}
	d.buffers++
	b.addr = a.Addr
	return b, nil
}

// Part is n bytes of the buffer from byte off on, as a buffer. It is valid as long as b is; to close it does nothing. What the buffer held
// before is there: only Alloc zeroes memory.
func (b *Buffer) Part(off, n int) *Buffer {
	if off < 0 || n < 0 || off > b.n-n {
		panic(fmt.Sprintf("binding: %d bytes from %d on of a buffer of %d", n, off, b.n))
	}
	if n == 0 {
		return &Buffer{d: b.d}
	}
	return &Buffer{d: b.d, addr: b.addr + uint64(off), n: n, part: true}
}

// Close frees the buffer. A second Close, or one of a nil buffer or of a part, does nothing.
func (b *Buffer) Close() error {
	if b == nil || b.addr == 0 || b.part {
		return nil
	}
	a := AllocArgs{Addr: b.addr}
	a.size = uint32(unsafe.Sizeof(a))
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	if err := b.d.invoke(fnFree, unsafe.Pointer(&a)); err != nil {
		return err
	}
	b.d.buffers--
	b.addr, b.n = 0, 0
	return nil
}

// Addr is the buffer's address on the device, for args structs. The buffer must stay open while a call uses it.
func (b *Buffer) Addr() uint64 { return b.addr }

// Len is the buffer's size in bytes.
func (b *Buffer) Len() int { return b.n }

// Bytes is the buffer's memory. It is valid until Close.
func (b *Buffer) Bytes() []byte { return view[byte](b) }

// Float64s is the buffer as float64 elements.
func (b *Buffer) Float64s() []float64 { return view[float64](b) }

// Float32s, Uint16s (bf16), Int32s and Uint32s are views of the buffer's memory as elements of that type.
func (b *Buffer) Float32s() []float32 { return view[float32](b) }

// Uint16s is the buffer as bf16 bits.
func (b *Buffer) Uint16s() []uint16 { return view[uint16](b) }

// Int32s is the buffer as int32 elements.
func (b *Buffer) Int32s() []int32 { return view[int32](b) }

// Uint32s is the buffer as uint32 elements.
func (b *Buffer) Uint32s() []uint32 { return view[uint32](b) }

// SampleRows is the buffer as the params of [Device.Sample].
func (b *Buffer) SampleRows() []SampleRow { return view[SampleRow](b) }

func view[T any](b *Buffer) []T {
	if b.addr == 0 {
		return nil
	}
	var t T
	// The address is of memory outside Go's heap, so the conversion names no Go object.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&b.addr))
	s := unsafe.Slice((*T)(p), b.n/int(unsafe.Sizeof(t)))
	runtime.KeepAlive(b)
	return s
}

// Copy copies n bytes between device addresses that do not overlap.
func (d *Device) Copy(dst, src uint64, n int) error {
	a := CopyArgs{Dst: dst, Src: src, Bytes: uint64(n)}
	a.size = uint32(unsafe.Sizeof(a))
	return d.call(fnCopy, unsafe.Pointer(&a))
}

// DTypeBytes is the size of an element of dtype, 4 or 2.
func DTypeBytes(dtype uint32) int {
	if dtype == BF16 {
		return 2
	}
	return 4
}

func ksteps(dtype uint32, k int) int {
	if dtype == BF16 {
		return (k + 1) / 2
	}
	return k
}

// PackedBytes is the size of a weight [n, k] packed for [Device.MatMul]: 128 bytes a panel and k step.
func PackedBytes(dtype uint32, n, k int) int {
	return (n + Panel - 1) / Panel * ksteps(dtype, k) * Panel * 4
}

// KVTileBytes is the size of one KV head's part of a page of keys and values of dimension dim.
func KVTileBytes(dtype uint32, dim int) int {
	return 4 * (ksteps(dtype, dim)*Chunk + ksteps(dtype, Chunk)*((dim+15)/16*16))
}
