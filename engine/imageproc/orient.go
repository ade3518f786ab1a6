package imageproc

// orient turns a picture by an EXIF orientation. Values other than 2 to 8
// leave it as it is.
func orient(p *RGB, orientation int) *RGB {
	if orientation < 2 || orientation > 8 {
		return p
	}
	out := &RGB{H: p.H, W: p.W, Pix: make([]byte, len(p.Pix))}
	if orientation >= 5 {
		out.H, out.W = p.W, p.H
	}
	// The source of the first pixel, and the steps to the sources of the next
	// pixels along a row and down a column, in pixels.
	right, down := 1, p.W
	first, dx, dy := 0, 0, 0
	switch last := p.W - 1; orientation {
	case 2: // mirrored left to right
		first, dx, dy = last, -right, down
	case 3: // upside down
		first, dx, dy = p.H*p.W-1, -right, -down
	case 4: // mirrored top to bottom
		first, dx, dy = (p.H-1)*p.W, right, -down
	case 5: // mirrored at the main diagonal
		first, dx, dy = 0, down, right
	case 6: // to be turned clockwise
		first, dx, dy = (p.H-1)*p.W, -down, right
	case 7: // mirrored at the other diagonal
		first, dx, dy = p.H*p.W-1, -down, -right
	case 8: // to be turned counterclockwise
		first, dx, dy = last, down, -right
	}
	// In squares, so that columns of the source stay in the cache.
	const tile = 32
	for y0 := 0; y0 < out.H; y0 += tile {
		for x0 := 0; x0 < out.W; x0 += tile {
			for y := y0; y < min(y0+tile, out.H); y++ {
				from := first + y*dy + x0*dx
				row := out.Pix[3*(y*out.W+x0):]
				for i := range min(tile, out.W-x0) {
					*(*[3]byte)(row[3*i:]) = [3]byte(p.Pix[3*(from+i*dx):])
				}
			}
		}
	}
	return out
}
