//go:build cgo

// The back-end is part of the program then, and the examples need no file.

package binding_test

import (
	"fmt"
	"log"

	"github.com/thinker-vl/thinker/binding"
)

// Two rows of activations times a weight with three output columns. A weight is packed once, and used as often as you like.
func ExampleDevice_MatMul() {
	d, err := binding.Open(binding.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	alloc := func(bytes int) *binding.Buffer {
		b, err := d.Alloc(bytes)
		if err != nil {
			log.Fatal(err)
		}
		return b
	}

	const m, n, k = 2, 3, 4
	x, w, y := alloc(4*m*k), alloc(4*n*k), alloc(4*m*n)
	packed := alloc(binding.PackedBytes(binding.F32, n, k))
	for _, b := range []*binding.Buffer{x, w, y, packed} {
		defer b.Close()
	}
	copy(x.Float32s(), []float32{1, 2, 3, 4, 5, 6, 7, 8})
	copy(w.Float32s(), []float32{1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1}) // row j makes column j

	err = d.Pack(&binding.PackArgs{DType: binding.F32, DTypeSrc: binding.F32, Src: w.Addr(), Packed: packed.Addr(), N: n, K: k, Rows: n, Ld: k})
	if err == nil {
		err = d.MatMul(&binding.MatMulArgs{DType: binding.F32, DTypeY: binding.F32, X: x.Addr(), W: packed.Addr(), Y: y.Addr(), M: m, N: n, K: k, LdX: k, LdY: n})
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Float32s())
	// Output: [1 6 10 5 14 26]
}

// What is wrong with a call is said in words; errors.Is tells the kinds apart.
func ExampleError() {
	d, err := binding.Open(binding.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	fmt.Println(d.Fill(&binding.FillArgs{DType: 9, N: 1}))
	// Output: binding: fill: dtype 9 is neither f32 nor bf16
}
