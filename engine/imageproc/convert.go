package imageproc

import (
	"image"
	"image/color"

	"github.com/thinker-vl/thinker/engine/imageproc/internal/raster"
)

// rgbFromImage writes the pixels of m.
func rgbFromImage(dst []byte, m image.Image) {
	b := m.Bounds()
	switch m := m.(type) {
	case *image.NRGBA:
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				s := m.Pix[m.PixOffset(x, y):][:3]
				dst[0], dst[1], dst[2] = s[0], s[1], s[2]
				dst = dst[3:]
			}
		}
	case *image.Gray:
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				v := m.Pix[m.PixOffset(x, y)]
				dst[0], dst[1], dst[2] = v, v, v
				dst = dst[3:]
			}
		}
	case *image.CMYK:
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				px := [4]byte(m.Pix[m.PixOffset(x, y):])
				copy(dst, raster.CMYK(px[:]))
				dst = dst[3:]
			}
		}
	default:
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				c := straight(m.At(x, y))
				dst[0], dst[1], dst[2] = c[0], c[1], c[2]
				dst = dst[3:]
			}
		}
	}
}

// straight returns a color without its alpha, not multiplied by it.
func straight(c color.Color) [3]byte {
	switch c := c.(type) {
	case color.NRGBA:
		return [3]byte{c.R, c.G, c.B}
	case color.NRGBA64:
		return [3]byte{byte(c.R >> 8), byte(c.G >> 8), byte(c.B >> 8)}
	case color.YCbCr:
		r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
		return [3]byte{r, g, b}
	case color.CMYK:
		px := [4]byte{c.C, c.M, c.Y, c.K}
		return [3]byte(raster.CMYK(px[:]))
	}
	n := color.NRGBA64Model.Convert(c).(color.NRGBA64)
	return [3]byte{byte(n.R >> 8), byte(n.G >> 8), byte(n.B >> 8)}
}
