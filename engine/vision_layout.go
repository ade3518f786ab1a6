package engine

import "github.com/thinker-vl/thinker/binding"

// A visionLayout is how the vision tower holds pictures: its rows in window order, their positions, and who sees whom.
type visionLayout struct {
	order                []int32 // merged tokens
	patchOrder           []int32
	positions            []int32 // [2, patches]
	windows, frames      []int32
	windowKeys, fullKeys int
}

func (m *model) visionLayout(grids []Grid) visionLayout {
	v := &m.cfg.Vision
	unit := v.SpatialMergeSize * v.SpatialMergeSize
	var l visionLayout
	l.order, l.windows = windowLayout(grids, v.SpatialMergeSize, v.WindowSize/v.PatchSize/v.SpatialMergeSize)
	l.frames = frameLayout(grids)
	h, w := patchPositions(grids, v.SpatialMergeSize)
	n := len(l.order) * unit
	l.patchOrder, l.positions = make([]int32, 0, n), make([]int32, 2*n)
	for i, o := range l.order {
		for j := range unit {
			p := int(o)*unit + j
			l.patchOrder = append(l.patchOrder, int32(p))
			l.positions[i*unit+j], l.positions[n+i*unit+j] = h[p], w[p]
		}
	}
	l.windowKeys, l.fullKeys = chunkedKeys(l.windows), chunkedKeys(l.frames)
	return l
}

// chunkedKeys is the keys of segments, each rounded up to a chunk.
func chunkedKeys(cu []int32) int {
	keys := 0
	for i := 1; i < len(cu); i++ {
		keys += pagesFor(int(cu[i]-cu[i-1])) * binding.Chunk
	}
	return keys
}

// visionRope gives the tower's rotary axes and frequencies: the first half of the pairs turns with the row, the second with the
// column, each with all frequencies.
func visionRope(headDim int) (axis []int32, freq []float32) {
	half := headDim / 2
	freq = invFreq(10000, half)
	axis = make([]int32, half)
	for i := half / 2; i < half; i++ {
		axis[i] = 1
	}
	return axis, append(freq[:len(freq):len(freq)], freq...)
}
