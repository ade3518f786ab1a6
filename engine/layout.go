package engine

// A Grid is a picture's size in patches: frames, rows, columns.
type Grid = [3]int

// mergedTokens is the number of decoder tokens of a picture: one for each merge x merge patches.
func mergedTokens(g Grid, merge int) int { return g[0] * g[1] * g[2] / (merge * merge) }

// windowLayout gives the order in which the vision tower holds its merged tokens, and the boundaries of its attention windows in
// patches. The merged grid of every frame is cut into window x window tiles, row-major, ragged at the edges; order lists the tokens
// tile by tile. (Reference: transformers' get_window_index, whose padding yields the same tiles once its empty windows are dropped.)
func windowLayout(grids []Grid, merge, window int) (order, cu []int32) {
	cu = []int32{0}
	base := 0
	for _, g := range grids {
		rows, cols := g[1]/merge, g[2]/merge
		for f := range g[0] {
			for y0 := 0; y0 < rows; y0 += window {
				for x0 := 0; x0 < cols; x0 += window {
					y1, x1 := min(y0+window, rows), min(x0+window, cols)
					for y := y0; y < y1; y++ {
						for x := x0; x < x1; x++ {
							order = append(order, int32(base+(f*rows+y)*cols+x))
						}
					}
					cu = append(cu, cu[len(cu)-1]+int32((y1-y0)*(x1-x0)*merge*merge))
				}
			}
		}
		base += g[0] * rows * cols
	}
	return order, cu
}

// frameLayout gives the boundaries in patches of full attention: one segment a frame.
func frameLayout(grids []Grid) []int32 {
	cu := []int32{0}
	for _, g := range grids {
		for range g[0] {
			cu = append(cu, cu[len(cu)-1]+int32(g[1]*g[2]))
		}
	}
	return cu
}

// patchPositions gives the row and column of every patch in the order in which preprocessing lays them out: by merge x merge blocks.
func patchPositions(grids []Grid, merge int) (h, w []int32) {
	for _, g := range grids {
		for range g[0] {
			for y0 := 0; y0 < g[1]; y0 += merge {
				for x0 := 0; x0 < g[2]; x0 += merge {
					for y := y0; y < y0+merge; y++ {
						for x := x0; x < x0+merge; x++ {
							h, w = append(h, int32(y)), append(w, int32(x))
						}
					}
				}
			}
		}
	}
	return h, w
}

// mropePositions gives the (t, h, w) positions of a prompt of n tokens whose pictures lie at spans, and the position of the token
// after it. Text advances all three by one; a picture at position c has t = c, h = c + row, w = c + column of its merged grid, and
// the text goes on at c + max(rows, columns). (Reference: transformers' get_rope_index; its rope delta is next - n.)
func mropePositions(n int, spans []Span, merge int) (pos [3][]int32, next int32) {
	for i := range pos {
		pos[i] = make([]int32, 0, n)
	}
	text := func(k int) {
		for range k {
			for i := range pos {
				pos[i] = append(pos[i], next)
			}
			next++
		}
	}
	at := 0
	for _, s := range spans {
		text(s.Start - at)
		rows, cols := s.Grid[1]/merge, s.Grid[2]/merge
		for range s.Grid[0] {
			for y := range rows {
				for x := range cols {
					pos[0] = append(pos[0], next)
					pos[1] = append(pos[1], next+int32(y))
					pos[2] = append(pos[2], next+int32(x))
				}
			}
		}
		next += int32(max(rows, cols))
		at = s.Start + s.Tokens
	}
	text(n - at)
	return pos, next
}
