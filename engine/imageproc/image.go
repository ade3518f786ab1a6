package imageproc

import (
	"crypto/sha256"
	"encoding/binary"
)

// An Image is a picture at the size at which the model sees it.
type Image struct {
	// Path is the file that it was loaded from, empty if there is none.
	Path string
	// OrigH and OrigW are the size of the upright picture in pixels.
	OrigH, OrigW int
	// ResizedH and ResizedW are the size after resizing in pixels. The model
	// gives coordinates in this size; see ToOriginal.
	ResizedH, ResizedW int
	// Grid is the number of patches in time, height and width.
	Grid [3]int
	// Pixels holds the resized picture: ResizedH rows of ResizedW pixels of 3
	// bytes, red, green, blue.
	Pixels []byte

	cut cutter
}

// Tokens returns the number of tokens that the picture takes in a prompt.
func (im *Image) Tokens() int {
	merge := max(im.cut.merge, 1)
	return im.Grid[0] * im.Grid[1] * im.Grid[2] / (merge * merge)
}

// NumPatches returns the number of rows of Patches.
func (im *Image) NumPatches() int { return im.Grid[0] * im.Grid[1] * im.Grid[2] }

// PatchLen returns the length of a row of Patches: 3 channels times
// TemporalPatchSize times PatchSize squared, 1176 for Qwen2.5-VL.
func (im *Image) PatchLen() int { return im.cut.patchLen() }

// Hash returns a key for caches of what is computed from the picture's
// patches: equal pixels at the same size give equal keys. It does not cover the
// Processor's settings for normalizing and cutting.
func (im *Image) Hash() [32]byte {
	h := sha256.New()
	var head [24]byte
	for i, g := range im.Grid {
		binary.LittleEndian.PutUint64(head[8*i:], uint64(g))
	}
	h.Write(head[:])
	h.Write(im.Pixels)
	return [32]byte(h.Sum(nil))
}

// A Box is a rectangle in pixels: X to the right and Y down from the upper left
// corner of the picture.
type Box struct{ X0, Y0, X1, Y1 float64 }

// ToOriginal maps a box that the model gave, which is in pixels of the resized
// picture, to the upright original.
func (im *Image) ToOriginal(b Box) Box {
	return b.scale(float64(im.OrigW)/float64(im.ResizedW), float64(im.OrigH)/float64(im.ResizedH))
}

// ToResized maps a box of the upright original to what the model calls it.
func (im *Image) ToResized(b Box) Box {
	return b.scale(float64(im.ResizedW)/float64(im.OrigW), float64(im.ResizedH)/float64(im.OrigH))
}

func (b Box) scale(x, y float64) Box {
	return Box{b.X0 * x, b.Y0 * y, b.X1 * x, b.Y1 * y}
}
