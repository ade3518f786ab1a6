package checkpoint

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/thinker-vl/thinker/engine/internal/bf16"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// pieceElems is how many elements are converted at a time.
const pieceElems = 1 << 16

// ReadF32 reads the tensor of this released name into dst, exactly. dst must
// have as many elements.
func (ck *Checkpoint) ReadF32(name string, dst []float32) error {
	return ck.ReadRowsF32(name, 0, ck.rows(name), dst)
}

// ReadBF16 reads the tensor of this released name into dst as bfloat16 bit
// patterns, rounded to nearest, ties to even. dst must have as many elements.
func (ck *Checkpoint) ReadBF16(name string, dst []uint16) error {
	return ck.ReadRowsBF16(name, 0, ck.rows(name), dst)
}

// ReadRowsF32 reads rows [row0, row0+rows) of a tensor, which run along its
// first dimension, into dst, exactly. dst must have as many elements.
func (ck *Checkpoint) ReadRowsF32(name string, row0, rows int, dst []float32) error {
	t, first, err := ck.locate(name, row0, rows, len(dst))
	if err != nil || len(dst) == 0 {
		return err
	}
	if t.info.DType == safetensors.F32 && littleEndian() {
		return ck.set.ReadAt(t.file, unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst)), 4*first)
	}
	return ck.pieces(t, first, len(dst), func(i int, src []byte, n int) error {
		return safetensors.DecodeFloat32(dst[i:i+n], src, t.info.DType)
	})
}

// ReadRowsBF16 reads rows [row0, row0+rows) of a tensor, which run along its
// first dimension, into dst as bfloat16 bit patterns, rounded to nearest, ties to
// even. dst must have as many elements.
func (ck *Checkpoint) ReadRowsBF16(name string, row0, rows int, dst []uint16) error {
	t, first, err := ck.locate(name, row0, rows, len(dst))
	if err != nil || len(dst) == 0 {
		return err
	}
	if t.info.DType == safetensors.BF16 {
		if littleEndian() {
			return ck.set.ReadAt(t.file, unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 2*len(dst)), 2*first)
		}
		return ck.pieces(t, first, len(dst), func(i int, src []byte, n int) error {
			bf16.Decode(dst[i:i+n], src)
			return nil
		})
	}
	wide := make([]float32, min(len(dst), pieceElems))
	return ck.pieces(t, first, len(dst), func(i int, src []byte, n int) error {
		if err := safetensors.DecodeFloat32(wide[:n], src, t.info.DType); err != nil {
			return err
		}
		bf16.Narrow(dst[i:i+n], wide[:n])
		return nil
	})
}

// ReadRangeF32 reads the elements of a tensor from the first-th on into dst, exactly.
func (ck *Checkpoint) ReadRangeF32(name string, first int64, dst []float32) error {
	t, ok := ck.tensors[name]
	if !ok {
		return fmt.Errorf("checkpoint: %s: the model has no tensor %q", ck.Dir(), name)
	}
	if have := t.info.Elements(); first < 0 || first > have || int64(len(dst)) > have-first {
		return fmt.Errorf("checkpoint: %s: tensor %q has %d elements, %d from %d on are not in it", ck.Dir(), name, have, len(dst), first)
	}
	return ck.pieces(t, first, len(dst), func(i int, src []byte, n int) error {
		return safetensors.DecodeFloat32(dst[i:i+n], src, t.info.DType)
	})
}

// rows returns the first dimension, or 0 for a tensor that is not there.
func (ck *Checkpoint) rows(name string) int {
	if t, ok := ck.tensors[name]; ok {
		return int(t.info.Shape[0])
	}
	return 0
}

// locate returns a tensor and the index of the first element of row0, if n is the
// number of elements of the rows.
func (ck *Checkpoint) locate(name string, row0, rows, n int) (tensor, int64, error) {
	t, ok := ck.tensors[name]
	if !ok {
		return t, 0, fmt.Errorf("checkpoint: %s: the model has no tensor %q", ck.Dir(), name)
	}
	have := t.info.Shape[0]
	if row0 < 0 || rows < 0 || int64(row0) > have || int64(rows) > have-int64(row0) {
		return t, 0, fmt.Errorf("checkpoint: %s: tensor %q has %d rows, %d from row %d on are not in it", ck.Dir(), name, have, rows, row0)
	}
	width := t.info.Elements() / have
	if int64(rows)*width != int64(n) {
		return t, 0, fmt.Errorf("checkpoint: %s: tensor %q: %d rows have %d elements, the destination %d", ck.Dir(), name, rows, int64(rows)*width, n)
	}
	return t, int64(row0) * width, nil
}

// pieces reads n elements from the first-th on and gives them to f, a piece at a
// time, with the index of the piece's first element within the n.
func (ck *Checkpoint) pieces(t tensor, first int64, n int, f func(i int, src []byte, n int) error) error {
	size, _ := t.info.DType.Size()
	buf := make([]byte, size*min(n, pieceElems))
	for i := 0; i < n; i += pieceElems {
		k := min(pieceElems, n-i)
		if err := ck.set.ReadAt(t.file, buf[:k*size], (first+int64(i))*int64(size)); err != nil {
			return err
		}
		if err := f(i, buf[:k*size], k); err != nil {
			return fmt.Errorf("%w (tensor %q)", err, t.file)
		}
	}
	return nil
}

// littleEndian reports whether numbers in memory have the byte order of the
// files.
func littleEndian() bool {
	return binary.NativeEndian.Uint16([]byte{1, 0}) == 1
}
