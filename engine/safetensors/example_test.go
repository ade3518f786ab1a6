package safetensors_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/thinker-vl/thinker/engine/safetensors"
)

func Example() {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")

	// Write two tensors in pieces, without holding the file in memory.
	w, err := safetensors.Create(path, []safetensors.Info{
		{Name: "weight", DType: safetensors.BF16, Shape: []int64{2, 2}},
		{Name: "step", DType: safetensors.U8, Shape: []int64{1}},
	}, map[string]string{"format": "pt"})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close() // removes what is half written, and does nothing after Commit
	for row := range 2 {
		if err := w.Write("weight", []byte{0x80, 0x3f, byte(row), 0x40}); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Write("step", []byte{7}); err != nil {
		log.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		t, _ := f.Lookup(name)
		fmt.Println(t.Name, t.DType, t.Shape, t.Bytes())
	}
	weight, err := f.Float32s("weight")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(weight)
	// Output:
	// weight BF16 [2 2] 8
	// step U8 [1] 1
	// [1 2 1 2.015625]
}
