package imageproc

import "slices"

// cutter normalizes pixels and cuts them into patches.
type cutter struct {
	patch, merge, temporal int
	workers                int
	table                  *[3][256]float32
}

// normalTable returns the normalized value of each byte in each channel, in
// the precisions that the reference goes through: the product with rescale in
// double, the rest in single precision.
func normalTable(rescale float64, mean, std [3]float64) *[3][256]float32 {
	t := new([3][256]float32)
	for c := range t {
		m, s := float32(mean[c]), float32(std[c])
		for v := range t[c] {
			x := float32(float64(v) * rescale)
			t[c][v] = float32(x-m) / s
		}
	}
	return t
}

func (c *cutter) patchLen() int { return 3 * c.temporal * c.patch * c.patch }

// Patches returns the rows of patches that the vision tower reads, normalized:
// NumPatches rows of PatchLen values.
//
// The rows go by cells of MergeSize by MergeSize patches: by row of cells, by
// cell, by row in the cell, by patch. In a row of values the order is channel,
// frame, height, width; a picture's frames are all the same. This is
// pixel_values of Qwen2VLImageProcessor.
func (im *Image) Patches() []float32 {
	return im.AppendPatches(make([]float32, 0, im.NumPatches()*im.PatchLen()))
}

// AppendPatches appends Patches to dst.
func (im *Image) AppendPatches(dst []float32) []float32 {
	n, c := len(dst), &im.cut
	size := im.NumPatches() * c.patchLen()
	dst = slices.Grow(dst, size)[:n+size]
	out := dst[n:]
	cellRows := im.Grid[1] / max(c.merge, 1)
	perRow := size / max(cellRows, 1)
	parallel(cellRows, c.workers, func(from, to int) {
		for r := from; r < to; r++ {
			c.cellRow(out[r*perRow:][:perRow], im.Pixels, im.ResizedW, r)
		}
	})
	return dst
}

// cellRow writes the patches of one row of cells.
func (c *cutter) cellRow(out []float32, pixels []byte, width, r int) {
	for cell := range width / (c.patch * c.merge) {
		for y := range c.merge {
			for x := range c.merge {
				top := (r*c.merge + y) * c.patch
				left := (cell*c.merge + x) * c.patch
				c.onePatch(out[:c.patchLen()], pixels[3*(top*width+left):], 3*width)
				out = out[c.patchLen():]
			}
		}
	}
}

// onePatch writes one patch, whose rows are stride bytes apart.
func (c *cutter) onePatch(out []float32, pixels []byte, stride int) {
	size := c.patch * c.patch
	for ch := range 3 {
		table := &c.table[ch]
		plane := out[ch*c.temporal*size:][:c.temporal*size]
		for y := range c.patch {
			row := plane[y*c.patch:][:c.patch]
			in := pixels[y*stride+ch:]
			for x := range row {
				row[x] = table[in[3*x]]
			}
		}
		for t := 1; t < c.temporal; t++ {
			copy(plane[t*size:], plane[:size])
		}
	}
}
