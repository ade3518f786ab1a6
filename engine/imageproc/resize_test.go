package imageproc

import (
	"fmt"
	"slices"
	"testing"
)

// TestResizeRows checks single rows and columns against Pillow.
func TestResizeRows(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []byte
	}{
		{"enlarge edges", []byte{0, 255, 0, 255}, []byte{0, 54, 216, 215, 40, 39, 201, 255}},
		{"shrink slope", []byte{10, 20, 30, 40, 50, 60, 70, 80}, []byte{19, 45, 71}},
		{"shrink steps", []byte{0, 0, 0, 255, 255, 255, 0, 0, 128, 64}, []byte{0, 209, 109, 65}},
		{"shrink alternation", []byte{0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255}, []byte{114, 129, 127, 126, 141}},
		{"enlarge two", []byte{0, 255}, []byte{0, 0, 76, 179, 255, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			gray := func(v []byte) (p []byte) {
				for _, x := range v {
					p = append(p, x, x, x)
				}
				return p
			}
			row, err := Resize(&RGB{1, len(c.in), gray(c.in)}, 1, len(c.want), 1)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(row.Pix, gray(c.want)) {
				t.Errorf("row %v, want %v", row.Pix, gray(c.want))
			}
			column, err := Resize(&RGB{len(c.in), 1, gray(c.in)}, len(c.want), 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(column.Pix, gray(c.want)) {
				t.Errorf("column %v, want %v", column.Pix, gray(c.want))
			}
		})
	}
}

// noise returns the high bytes of a linear congruential sequence.
func noise(h, w int) *RGB {
	p := &RGB{H: h, W: w, Pix: make([]byte, 3*h*w)}
	s := uint32(1)
	for i := range p.Pix {
		s = s*1664525 + 1013904223
		p.Pix[i] = byte(s >> 24)
	}
	return p
}

// TestResizePillow compares with Pillow 13.0, for either order of the passes
// and on both sides of the rule that decides it.
func TestResizePillow(t *testing.T) {
	for _, c := range []struct {
		h, w, h2, w2 int
		sum          string
	}{
		{40, 10, 12, 14, "6ab0a9c72ebcab230ed78373a85636d3e70a23eb6a7538e093416708e1688443"},
		{10, 40, 14, 12, "0f3f1a6475cafe0535ce0a1c90ae1959f54ee6e63b808f2e4edab1f7336bb9ec"},
		{40, 40, 28, 28, "d32c6d8d678fd7536e0ebed4a5fab2994cf04b86813c342fe05521174ab6e6ab"},
		{41, 37, 20, 30, "7b93948e2664cd987e832090811544dc510a23586450f03062bba4ea5648e508"},
		{60, 50, 28, 34, "1d2ff15af1097af45537b211cc20d221906862ebc990a1b965ce9b8f3f3d20be"},
		{60, 50, 28, 33, "291f90cefecc8cd0846bb9b063b49ee00ae1154a650b9c35c3bb7cd8b211c599"},
		{61, 50, 28, 33, "ad252b669a45a458163751fe3fb2027244dace4095632dab9c60c1bd24350f66"},
		{5, 7, 56, 84, "b44bf02484f2f0c834b2f9e89e3b88a3adc6a0b172cd6d6c5106d4bc2bac10a8"},
		{100, 3, 28, 3, "79e68bd59f185ba594328c804c8f454018bcda81c7452732a087710e71b38850"},
		{100, 3, 100, 28, "f86d4a15bde7cbb880683dbfc19fb15ee79e705428e1db14ddbe7b6eab988b08"},
		{64, 64, 64, 64, "bb6515e35f63e5f7c935cb5d012560e803066906396db8b1586acb1455aeb6cf"},
		{1, 90, 28, 532, "928024369bc5d6c6be7b658bfd1f3bf8376cf6f0a63371baa6f6c2f296953fc7"},
		{300, 20, 1, 1, "84a23b3edc66d2e104ffd3392e4a05f34184c788669699c02912992a73cf4569"},
		{33, 31, 1, 50, "3024b9777d61f5c09ec0d0a4038b7f8ccf8da5ee8bc67ac7202692af5b2b91fa"},
		{99, 101, 1, 2, "34a9f7950037d4a2bb5e7c817377df8ad9f78d97807c8a69aa3523f14e83669f"},
		{3, 500, 56, 28, "e8f9b6366fc1cff62b90c66c6ff7cdd3c5fa1a7f5be60b529db8f80f7710f760"},
	} {
		t.Run(fmt.Sprintf("%dx%d to %dx%d", c.h, c.w, c.h2, c.w2), func(t *testing.T) {
			for _, workers := range []int{0, 1, 2, 7} {
				got, err := Resize(noise(c.h, c.w), c.h2, c.w2, workers)
				if err != nil {
					t.Fatal(err)
				}
				if got.H != c.h2 || got.W != c.w2 {
					t.Fatalf("size %dx%d", got.H, got.W)
				}
				if sum := hexHash(got.Pix); sum != c.sum {
					t.Errorf("workers %d: sha256 is %s, want %s", workers, sum, c.sum)
				}
			}
		})
	}
}

func TestResizeErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		src  RGB
		h, w int
	}{
		{"to nothing", RGB{1, 1, make([]byte, 3)}, 0, 1},
		{"negative", RGB{1, 1, make([]byte, 3)}, 1, -1},
		{"of nothing", RGB{}, 1, 1},
		{"pixels missing", RGB{2, 2, make([]byte, 11)}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Resize(&c.src, c.h, c.w, 1); err == nil {
				t.Error("no error")
			}
		})
	}
}
