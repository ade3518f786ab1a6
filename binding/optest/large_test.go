package optest

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

// TestLarge runs ops over the vocabulary of the 3B model, where a byte offset no longer fits 31 bits by much, and checks some of what
// comes out. The weight is a block of random bf16 numbers over and over.
func TestLarge(t *testing.T) {
	if testing.Short() || thinProperties > 1 {
		t.Skip("takes 0.7 GB of memory")
	}
	const n, k, m = 151936, 2048, 3
	d := open(t, binding.ISAAuto, 2)
	alloc := func(bytes int) *binding.Buffer {
		b, err := d.Alloc(bytes)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	w, x, y, ids, rows := alloc(binding.PackedBytes(binding.BF16, n, k)), alloc(m*k*2), alloc(m*n*4), alloc(4*4), alloc(4*k*2)
	r := rand.New(rand.NewPCG(1, 1))
	block := make([]byte, 3<<20+94) // of a length that panels are no multiple of
	for i := 0; i < len(block); i += 2 {
		bf16.put(block, i/2, float32(r.NormFloat64()/45))
	}
	for at := 0; at < w.Len(); at += len(block) {
		part := block[:min(len(block), w.Len()-at)]
		if err := copyBytes(d, w.Addr()+uint64(at), part, true); err != nil {
			t.Fatal(err)
		}
	}
	weight := func(i, j int) float32 { return bf16.get(block, packedIndex(bf16, k, i, j)%(len(block)/2)) }
	input := make([]byte, m*k*2)
	for i := range m * k {
		bf16.put(input, i, float32(r.NormFloat64()))
	}
	if err := copyBytes(d, x.Addr(), input, true); err != nil {
		t.Fatal(err)
	}

	if err := d.MatMul(&binding.MatMulArgs{DType: binding.BF16, DTypeY: binding.F32, X: x.Addr(), W: w.Addr(), Y: y.Addr(), M: m, N: n, K: k, LdX: k, LdY: n}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, m*n*4)
	if err := copyBytes(d, y.Addr(), got, false); err != nil {
		t.Fatal(err)
	}
	tn := &tensor{operand: operand{name: "y", kind: f32, rows: 1}}
	var sampled []byte
	for c := range 600 {
		i, j := c%m, r.IntN(n)
		if c >= 500 {
			j = n - 1 - c%100
		}
		var a, b []float32
		for s := range k {
			a, b = append(a, bf16.get(input, i*k+s)), append(b, weight(j, s))
		}
		tn.ref, tn.naive = append(tn.ref, refDot(widen(a), widen(b))), append(tn.naive, float64(refDot(a, b)))
		sampled = append(sampled, got[4*(i*n+j):][:4]...)
	}
	tn.cols, tn.ld = len(tn.ref), len(tn.ref)
	abs, norm := distance(tn.naive, tn.ref)
	if err := tn.checkValues(sampled, tolerance{2 * abs, 2 * norm, f32.roundoff()}); err != nil {
		t.Error(err)
	}

	wanted := []int32{n - 1, 0, n / 2, n - 33}
	var idBytes []byte
	for _, id := range wanted {
		idBytes = binary.LittleEndian.AppendUint32(idBytes, uint32(id))
	}
	if err := copyBytes(d, ids.Addr(), idBytes, true); err != nil {
		t.Fatal(err)
	}
	if err := d.Embed(&binding.EmbedArgs{DType: binding.BF16, IDs: ids.Addr(), W: w.Addr(), Y: rows.Addr(), M: 4, N: n, K: k, LdY: k}); err != nil {
		t.Fatal(err)
	}
	embedded := make([]byte, 4*k*2)
	if err := copyBytes(d, rows.Addr(), embedded, false); err != nil {
		t.Fatal(err)
	}
	for i, id := range wanted {
		for j := range k {
			if g, want := bf16.get(embedded, i*k+j), weight(int(id), j); g != want {
				t.Fatalf("embedding %d, element %d is %v, want %v", id, j, g, want)
			}
		}
	}
}
