package imageproc

import (
	"fmt"
	"slices"
	"testing"
)

// TestOrient turns the picture
//
//	a b c
//	d e f
func TestOrient(t *testing.T) {
	for o, want := range map[int]string{
		-1: "abc/def", 0: "abc/def", 1: "abc/def", 9: "abc/def",
		2: "cba/fed",
		3: "fed/cba",
		4: "def/abc",
		5: "ad/be/cf",
		6: "da/eb/fc",
		7: "fc/eb/da",
		8: "cf/be/ad",
	} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			p := &RGB{H: 2, W: 3}
			for _, c := range []byte("abcdef") {
				p.Pix = append(p.Pix, c, c+100, c+101)
			}
			q := orient(p, o)
			got := ""
			for y := range q.H {
				if y > 0 {
					got += "/"
				}
				for x := range q.W {
					c := q.Pix[3*(y*q.W+x):][:3]
					if c[1] != c[0]+100 || c[2] != c[0]+101 {
						t.Errorf("channels %v", c)
					}
					got += string(c[0])
				}
			}
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// TestOrientInverse checks on a picture of several tiles that each orientation
// is undone by its inverse.
func TestOrientInverse(t *testing.T) {
	p := noise(77, 41)
	for o, inverse := range map[int]int{2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6} {
		q := orient(orient(p, o), inverse)
		if q.H != p.H || q.W != p.W || !slices.Equal(q.Pix, p.Pix) {
			t.Errorf("orientation %d is not undone by %d", o, inverse)
		}
	}
}
