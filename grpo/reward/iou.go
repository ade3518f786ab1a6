package reward

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// An iouVerifier scores boxes by intersection over union, the value itself.
//
// Boxes are normalised where every coordinate is at most 1, or at most 2 with a fraction: those reach beyond the picture. Others are
// pixels: a gold answer's of the picture, a response's of the picture as the model saw it, so that they are scaled by image_size over
// resized_size. Where a size that is needed is not known, coordinates are compared as they are.
//
// Where there are several boxes on a side, the score is the sum over the best matching of one to one, over the larger number of boxes.
type iouVerifier struct{ read reader }

func (v *iouVerifier) CheckGold(r *Record) error {
	_, err := goldBoxes(r.Gold)
	return err
}

func goldBoxes(gold string) ([]box, error) {
	if len(gold) > defaultAnswer {
		return nil, fmt.Errorf("the gold has %d bytes", len(gold))
	}
	boxes, err := parseBoxes(gold)
	if err == nil && len(boxes) == 0 {
		err = errors.New("no box")
	}
	for _, b := range boxes {
		if err == nil {
			err = b.valid()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the gold %s is no box: %v", quote(gold), err)
	}
	return boxes, nil
}

func (v *iouVerifier) Verify(_ context.Context, r *Record, response string) Result {
	answer, x, ok := v.read.answer(response)
	if !ok {
		return x
	}
	gold, err := goldBoxes(r.Gold)
	if err != nil {
		return found(answer, Mask("%v", err))
	}
	boxes, err := parseBoxes(answer)
	switch {
	case err != nil:
		return found(answer, Wrong("%v", err))
	case len(boxes) == 0:
		return found(answer, Wrong("the answer has no box"))
	case len(boxes) == 1:
		if err := boxes[0].valid(); err != nil {
			return found(answer, Wrong("%v", err))
		}
	}
	frame := align(r, gold, boxes)
	scores := make([][]float64, len(boxes))
	var bad error
	for i, b := range boxes {
		scores[i] = make([]float64, len(gold))
		if err := b.valid(); err != nil {
			bad = err
			continue
		}
		for j, g := range gold {
			scores[i][j] = b.iou(g)
		}
	}
	x = Result{Score: min(1, match(scores)/float64(max(len(gold), len(boxes))))}
	switch {
	case len(gold) == 1 && len(boxes) == 1:
		x.Reason = fmt.Sprintf("IoU of %v with the gold %v%s", boxes[0], gold[0], frame)
	case bad != nil:
		x.Reason = fmt.Sprintf("IoU of the best matching of %d boxes with %d gold ones%s; %v", len(boxes), len(gold), frame, bad)
	default:
		x.Reason = fmt.Sprintf("IoU of the best matching of %d boxes with %d gold ones%s", len(boxes), len(gold), frame)
	}
	return found(answer, x)
}

// normalised reports whether boxes are in units of the picture's sides.
func normalised(boxes []box) bool {
	for _, b := range boxes {
		most, whole := 0.0, true
		for _, v := range b {
			most = max(most, math.Abs(v))
			whole = whole && v == math.Trunc(v)
		}
		if !(most <= 1 || most <= 2 && !whole) {
			return false
		}
	}
	return true
}

// scale multiplies boxes' coordinates.
func scale(boxes []box, x, y float64) {
	for i := range boxes {
		for k := range boxes[i] {
			if k%2 == 0 {
				boxes[i][k] *= x
			} else {
				boxes[i][k] *= y
			}
		}
	}
}

// align brings a response's boxes to the coordinates of the gold ones, and says how.
func align(r *Record, gold, boxes []box) string {
	image, seen := r.ImageSize, r.ResizedSize
	if seen == [2]int{} {
		seen = image
	}
	known := func(size [2]int) bool { return size[0] > 0 && size[1] > 0 }
	switch ng, nb := normalised(gold), normalised(boxes); {
	case ng && nb:
		return ", both normalised"
	case ng && known(seen):
		scale(boxes, 1/float64(seen[1]), 1/float64(seen[0]))
		return fmt.Sprintf(", pixels of %d x %d (h x w) normalised", seen[0], seen[1])
	case ng:
		return ", pixels against normalised: the record has no size"
	case nb:
		if !known(image) {
			image = seen
		}
		if !known(image) {
			return ", compared as they are: the record has no size"
		}
		scale(boxes, float64(image[1]), float64(image[0]))
		return fmt.Sprintf(", normalised to pixels of %d x %d (h x w)", image[0], image[1])
	case known(image) && known(seen) && image != seen:
		scale(boxes, float64(image[1])/float64(seen[1]), float64(image[0])/float64(seen[0]))
		return fmt.Sprintf(", pixels of %d x %d mapped to %d x %d (h x w)", seen[0], seen[1], image[0], image[1])
	}
	return ", in pixels"
}

// match returns the largest sum of scores[i][j] over matchings of rows with columns, one to one, by the Hungarian method: in the cube of
// the number of boxes.
func match(scores [][]float64) float64 {
	n, m := len(scores), len(scores[0])
	cost := func(i, j int) float64 { return -scores[i][j] }
	if n > m {
		cost = func(i, j int) float64 { return -scores[j][i] }
		n, m = m, n
	}
	// Potentials of rows and columns, the row matched to each column, and the column before on the path; 0 is no row and no column.
	u, v := make([]float64, n+1), make([]float64, m+1)
	row, way := make([]int, m+1), make([]int, m+1)
	for i := 1; i <= n; i++ {
		row[0] = i
		least, used := make([]float64, m+1), make([]bool, m+1)
		for j := range least {
			least[j] = math.Inf(1)
		}
		j0 := 0
		for row[j0] != 0 {
			used[j0] = true
			delta, j1 := math.Inf(1), 0
			for j := 1; j <= m; j++ {
				if used[j] {
					continue
				}
				if c := cost(row[j0]-1, j-1) - u[row[j0]] - v[j]; c < least[j] {
					least[j], way[j] = c, j0
				}
				if least[j] < delta {
					delta, j1 = least[j], j
				}
			}
			for j := range used {
				if used[j] {
					u[row[j]] += delta
					v[j] -= delta
				} else {
					least[j] -= delta
				}
			}
			j0 = j1
		}
		for j0 != 0 {
			j1 := way[j0]
			row[j0], j0 = row[j1], j1
		}
	}
	sum := 0.0
	for j := 1; j <= m; j++ {
		if row[j] != 0 {
			sum -= cost(row[j]-1, j-1)
		}
	}
	return sum
}

// Boxes returns the boxes of a record's gold and those of an answer in parts of the picture's sides, [x1, y1, x2, y2] from 0 to 1 where they
// lie within it: as the verifier of boxes reads them and maps them on each other. Boxes that score nothing are left out, and named by err.
func Boxes(r *Record, answer string) (gold, answered [][4]float64, err error) {
	g, err := goldBoxes(r.Gold)
	if err != nil {
		return nil, nil, fmt.Errorf("reward: %w", err)
	}
	if len(answer) > defaultAnswer {
		answer, err = "", fmt.Errorf("reward: the answer has %d bytes", len(answer))
	}
	read, bad := parseBoxes(answer)
	var boxes []box
	for _, b := range read {
		if e := b.valid(); e != nil {
			bad = e
			continue
		}
		boxes = append(boxes, b)
	}
	if bad != nil {
		err = fmt.Errorf("reward: the answer: %w", bad)
	}
	align(r, g, boxes)
	if !normalised(g) {
		size := r.ImageSize
		if size[0] <= 0 || size[1] <= 0 {
			size = r.ResizedSize
		}
		if size[0] <= 0 || size[1] <= 0 {
			return nil, nil, errors.New("reward: boxes are in pixels, and the record has no size")
		}
		scale(g, 1/float64(size[1]), 1/float64(size[0]))
		scale(boxes, 1/float64(size[1]), 1/float64(size[0]))
	}
	parts := func(boxes []box) (out [][4]float64) {
		for _, b := range boxes {
			out = append(out, b)
		}
		return out
	}
	return parts(g), parts(boxes), err
}
