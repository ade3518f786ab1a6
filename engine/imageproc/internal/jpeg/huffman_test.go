package jpeg

import "testing"

// TestHuffman writes every code of the standard tables and reads it back, with
// bits that follow as they do in a file.
func TestHuffman(t *testing.T) {
	for name, spec := range map[string]*huffmanSpec{
		"DC luma": &standardDCLuma, "DC chroma": &standardDCChroma,
		"AC luma": &standardACLuma, "AC chroma": &standardACChroma,
	} {
		table, err := newHuffmanTable(spec)
		if err != nil {
			t.Fatal(err)
		}
		code, k := 0, 0
		for l := 1; l <= 16; l++ {
			for range spec.counts[l] {
				want := int(spec.values[k])
				size := want & 15
				b := bitReader{acc: uint64(code)<<(64-l) | uint64(0x5a5a)<<(64-l-16), n: 64}
				if got := b.code(table); got != want || b.n != 64-l {
					t.Errorf("%s: code %0*b is %d after %d bits, want %d after %d", name, l, code, got, 64-b.n, want, l)
				}
				if bits := b.take(size); size > 0 && bits != 0x5a5a>>(16-size) {
					t.Errorf("%s: code %0*b: then %b", name, l, code, bits)
				}
				if f := table.fast[uint64(code)<<(64-l)>>(64-lookBits)]; l+size <= lookBits && size > 0 {
					// All further bits are zero: the lowest value of its size.
					if v, run, n := int(f>>8), int(f>>4&15), int(f&15); v != 1-1<<size || run != want>>4 || n != l+size {
						t.Errorf("%s: code %0*b: value %d, run %d, %d bits", name, l, code, v, run, n)
					}
				}
				code++
				k++
			}
			code <<= 1
		}
		if k != len(spec.values) {
			t.Errorf("%s: %d codes, %d values", name, k, len(spec.values))
		}
	}
}

func TestHuffmanErrors(t *testing.T) {
	for name, spec := range map[string]huffmanSpec{
		"too many codes of one bit":  {counts: [17]uint8{1: 3}, values: []uint8{0, 1, 2}},
		"too many codes of two bits": {counts: [17]uint8{1: 1, 2: 3}, values: []uint8{0, 1, 2, 3}},
		"values missing":             {counts: [17]uint8{2: 2}, values: []uint8{0}},
		"too many values":            {values: make([]uint8, 257)},
	} {
		if _, err := newHuffmanTable(&spec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestBadCode checks that bits that begin no code read as zero.
func TestBadCode(t *testing.T) {
	table, err := newHuffmanTable(&huffmanSpec{counts: [17]uint8{2: 1}, values: []uint8{7}})
	if err != nil {
		t.Fatal(err)
	}
	b := bitReader{acc: 0xffff << 48, n: 64}
	if v := b.code(table); v != 0 || b.n != 64-17 {
		t.Errorf("value %d after %d bits", v, 64-b.n)
	}
}

func TestExtend(t *testing.T) {
	for _, c := range []struct{ bits, size, want int }{
		{0, 1, -1}, {1, 1, 1}, {0, 2, -3}, {1, 2, -2}, {2, 2, 2}, {3, 2, 3}, {0, 10, -1023}, {1023, 10, 1023},
	} {
		if got := extend(c.bits, c.size); got != c.want {
			t.Errorf("extend(%b, %d) = %d, want %d", c.bits, c.size, got, c.want)
		}
	}
}

// TestBitReader reads bits one by one over stuffed bytes, padding and a marker.
func TestBitReader(t *testing.T) {
	for _, c := range []struct {
		name   string
		data   []byte
		want   []byte
		marker byte
	}{
		{"plain", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, 0},
		{"stuffed", []byte{1, 0xff, 0, 2, 3, 4, 5, 6, 7, 8, 0xff, 0, 0xff, 0, 9}, []byte{1, 0xff, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xff, 9}, 0},
		{"marker", []byte{1, 2, 3, 0xff, 0xd9, 4, 5, 6, 7, 8, 9}, []byte{1, 2, 3}, 0xd9},
		{"padded marker", []byte{1, 0xff, 0xff, 0xff, 0xd0, 4}, []byte{1}, 0xd0},
		{"half a marker", []byte{1, 2, 0xff}, []byte{1, 2}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bitReader{data: c.data}
			for i, w := range c.want {
				for j := range 8 {
					if b.n < minBits {
						b.fill()
					}
					if got := b.take(1); got != int(w)>>(7-j)&1 || b.n < 0 {
						t.Fatalf("bit %d is %d, %d left", 8*i+j, got, b.n)
					}
				}
			}
			b.fill()
			if b.n != 0 || b.marker != c.marker {
				t.Errorf("%d bits left, marker %#x", b.n, b.marker)
			}
			if b.take(1); b.n >= 0 {
				t.Errorf("%d bits left of none", b.n)
			}
		})
	}
}
