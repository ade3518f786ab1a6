package reward

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestBoxes(t *testing.T) {
	type boxes = [][4]float64
	tests := []struct {
		name           string
		r              Record
		answer         string
		gold, answered boxes
		wrong          string // in the error, "": none
	}{
		{"normalised", Record{Gold: "[0.1, 0.2, 0.5, 0.6]"}, "[0, 0, 0.5, 1]", boxes{{0.1, 0.2, 0.5, 0.6}}, boxes{{0, 0, 0.5, 1}}, ""},
		{"pixels of both sizes", Record{Gold: "[20, 10, 100, 50]", ImageSize: [2]int{100, 200}, ResizedSize: [2]int{200, 400}}, "[40, 20, 200, 100]",
			boxes{{0.1, 0.1, 0.5, 0.5}}, boxes{{0.1, 0.1, 0.5, 0.5}}, ""},
		{"pixels of one size", Record{Gold: "[20, 10, 100, 50]", ImageSize: [2]int{100, 200}}, "[20, 10, 200, 100]", boxes{{0.1, 0.1, 0.5, 0.5}}, boxes{{0.1, 0.1, 1, 1}}, ""},
		{"pixels against normalised", Record{Gold: "[0.1, 0.1, 0.5, 0.5]", ImageSize: [2]int{50, 50}, ResizedSize: [2]int{100, 200}}, "[20, 10, 200, 100]",
			boxes{{0.1, 0.1, 0.5, 0.5}}, boxes{{0.1, 0.1, 1, 1}}, ""},
		{"normalised against pixels", Record{Gold: "[20, 10, 100, 50]", ImageSize: [2]int{100, 200}}, "[0, 0, 0.5, 0.5]", boxes{{0.1, 0.1, 0.5, 0.5}}, boxes{{0, 0, 0.5, 0.5}}, ""},
		{"several", Record{Gold: "[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]"}, "[0.1, 0.1, 0.2, 0.2] [0.3, 0.3, 0.2, 0.2]", boxes{{0, 0, 0.5, 0.5}, {0.5, 0.5, 1, 1}}, boxes{{0.1, 0.1, 0.2, 0.2}}, "reversed"},
		{"no answer", Record{Gold: "[0, 0, 0.5, 0.5]"}, "left of the tree", boxes{{0, 0, 0.5, 0.5}}, nil, ""},
		{"no size", Record{Gold: "[20, 10, 100, 50]"}, "[1, 2, 3, 4]", nil, nil, "no size"},
		{"no gold", Record{Gold: "a tree"}, "[1, 2, 3, 4]", nil, nil, "no box"},
		{"a long answer", Record{Gold: "[0, 0, 0.5, 0.5]"}, strings.Repeat("[0, 0, 1, 1]", 10000), boxes{{0, 0, 0.5, 0.5}}, nil, "120000 bytes"},
	}
	near := func(a, b [4]float64) bool {
		for i := range a {
			if math.Abs(a[i]-b[i]) > 1e-12 {
				return false
			}
		}
		return true
	}
	for _, test := range tests {
		gold, answered, err := Boxes(&test.r, test.answer)
		if !slices.EqualFunc(gold, test.gold, near) || !slices.EqualFunc(answered, test.answered, near) {
			t.Errorf("%s: gold %v, answered %v", test.name, gold, answered)
		}
		if test.wrong == "" && err != nil || test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.wrong)
		}
	}
}
