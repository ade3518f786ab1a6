package reward

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestIoU(t *testing.T) {
	const half = "[0.25, 0.25, 0.75, 0.75]"
	norm := &Record{Type: IoU, Gold: half}
	pixels := &Record{Type: IoU, Gold: "[100, 50, 300, 150]"}
	sized := &Record{Type: IoU, Gold: half, ImageSize: [2]int{200, 400}}
	resized := &Record{Type: IoU, Gold: half, ImageSize: [2]int{200, 400}, ResizedSize: [2]int{100, 1000}}
	pixelsResized := &Record{Type: IoU, Gold: "[100, 50, 300, 150]", ImageSize: [2]int{200, 400}, ResizedSize: [2]int{100, 1000}}
	two := &Record{Type: IoU, Gold: "[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]"}
	for _, tt := range []struct {
		r      *Record
		answer string
		want   float64
	}{
		// Forms.
		{norm, half, 1},
		{norm, "0.25, 0.25, 0.75, 0.75", 1},
		{norm, "0.25 0.25 0.75 0.75", 1},
		{norm, "(0.25, 0.25, 0.75, 0.75)", 1},
		{norm, "{0.25, 0.25, 0.75, 0.75}", 1},
		{norm, "<box>0.25, 0.25, 0.75, 0.75</box>", 1},
		{norm, "<|box_start|>(0.25,0.25),(0.75,0.75)<|box_end|>", 1},
		{norm, "(0.25, 0.25), (0.75, 0.75)", 1},
		{norm, "(0.25, 0.25) and (0.75, 0.75)", 1},
		{norm, "from (0.25, 0.25) to (0.75, 0.75)", 1},
		{norm, "top-left: (0.25, 0.25), bottom-right: (0.75, 0.75)", 1},
		{norm, "[[0.25, 0.25], [0.75, 0.75]]", 1},
		{norm, "[[0.25, 0.25, 0.75, 0.75]]", 1},
		{norm, `\boxed{[0.25, 0.25, 0.75, 0.75]}`, 1},
		{norm, `\[0.25, 0.25, 0.75, 0.75\]`, 1},
		{norm, `$\left[0.25, 0.25, 0.75, 0.75\right]$`, 1},
		{norm, `"[0.25, 0.25, 0.75, 0.75]"`, 1},
		{norm, "`[0.25, 0.25, 0.75, 0.75]`", 1},
		{norm, "The box is [0.25, 0.25, 0.75, 0.75].", 1},
		{norm, "the dog's box is [0.25, 0.25, 0.75, 0.75]", 1},
		{norm, "The box: 0.25, 0.25, 0.75, 0.75.", 1},
		{norm, "[.25, 2.5e-1, 0.75, +0.75]", 1},
		{norm, "[0.25,0.25,0.75,0.75]\n", 1},
		{norm, `["0.25", "0.25", "0.75", "0.75"]`, 1},
		{norm, "x1: 0.25, y1: 0.25, x2: 0.75, y2: 0.75", 1},
		{norm, "x1=0.25 y1=0.25 x2=0.75 y2=0.75", 1},
		{norm, `{"x1": 0.25, "y1": 0.25, "x2": 0.75, "y2": 0.75}`, 1},
		{norm, `{"xmin": 0.25, "ymin": 0.25, "xmax": 0.75, "ymax": 0.75}`, 1},
		{norm, "<box>[0.25,0.25,0.75,0.75]</box>", 1},
		{norm, "x1, y1, x2, y2 = 0.25, 0.25, 0.75, 0.75", 1},
		{norm, "[x1, y1, x2, y2] = [0.25, 0.25, 0.75, 0.75]", 1},
		{norm, "(x1, y1) = (0.25, 0.25), (x2, y2) = (0.75, 0.75)", 1},
		{norm, "(x1, y1, x2, y2): (0.25, 0.25, 0.75, 0.75)", 1},
		// JSON.
		{norm, `{"bbox_2d": [0.25, 0.25, 0.75, 0.75], "label": "car"}`, 1},
		{norm, `[{"bbox_2d": [0.25, 0.25, 0.75, 0.75], "label": "car"}]`, 1},
		{norm, "```json\n[{\"bbox_2d\": [0.25, 0.25, 0.75, 0.75], \"label\": \"car\"}]\n```", 1},
		{norm, "```json\n{\"bbox_2d\": [0.25, 0.25, 0.75, 0.75]", 1},
		{norm, `[{"bbox_2d": [0.25, 0.25, 0.75, 0.75], "label": "ca`, 1},
		{norm, `[{"bbox_2d": [0.25, 0.25, 0.75, 0.75], "lab`, 1},
		{norm, `[{"bbox_2d": [0.25, 0.25, 0.75, 0.75`, 1},
		{norm, `[{"bbox_2d": [0.25, 0.25, 0.75`, 0},
		{norm, `{'bbox_2d': [0.25, 0.25, 0.75, 0.75], 'label': 'car 2'}`, 1},
		{norm, `{"bbox": "[0.25, 0.25, 0.75, 0.75]"}`, 1},
		{norm, `{"label": "bus 12, 7 8 9 10", "bbox_2d": [0.25, 0.25, 0.75, 0.75]}`, 1},
		{norm, `{"label": "[0, 0, 1, 1]", "bbox_2d": [0.25, 0.25, 0.75, 0.75]}`, 1},
		{norm, `{"label": "a \"quoted\" [0,0,1,1] box", "bbox_2d": [0.25, 0.25, 0.75, 0.75]}`, 1},
		{norm, `{"label": 4, "score": 0.9, "bbox_2d": [0.25, 0.25, 0.75, 0.75]}`, 1},
		{norm, `{"color": [0, 0, 1, 1], "bbox_2d": [0.25, 0.25, 0.75, 0.75]}`, 1},
		{norm, "car 2 [0.25, 0.25, 0.75, 0.75]", 1},
		{norm, "car 2: 0.25, 0.25, 0.75, 0.75", 1},
		{norm, "bus no. 12 (red): [0.25, 0.25, 0.75, 0.75]", 1},
		{norm, "3D box 1 = [0.25, 0.25, 0.75, 0.75]", 1},
		{norm, "0.25, 0.25, 0.75, 0.75 (the car)", 1},
		{norm, "[0.25, 0.25, 0.75, 0.75] (confidence 0.95)", 1},
		{norm, "[0.25, 0.25, 0.75, 0.75], 0.95", 1},
		{norm, "0.25, 0.25, 0.75 (0.75)", 0},
		{norm, `{\"bbox_2d\": [0.25, 0.25, 0.75, 0.75], \"label\": \"car 2\"}`, 1},
		// Values.
		{norm, "[0.25, 0.25, 0.75, 0.5]", 0.5},
		{norm, "[0, 0, 1, 1]", 0.25},
		{norm, "[0.75, 0.25, 1, 0.75]", 0}, // touching
		{norm, "[0.8, 0.8, 0.9, 0.9]", 0},  // disjoint
		{norm, "[0.5, 0.5, 0.75, 0.75]", 0.25},
		{norm, "[-0.25, 0.25, 0.75, 0.75]", 0.5},
		{norm, "[0.25, 0.25, 1.25, 0.75]", 0.5},
		{norm, "[\u22120.25, 0.25, 0.75, 0.75]", 0.5},
		{pixels, "[100, 50, 300, 150]", 1},
		{pixels, "[100px, 50px, 300px, 150px]", 1},
		{pixels, "[100.0, 50.0, 200.0, 150.0]", 0.5},
		{pixels, `[{"bbox_2d": [100, 50, 200, 150], "label": "dog"}]`, 0.5},
		{&Record{Type: IoU, Gold: "[0, 0, 4, 4]"}, "[0, 0, 2, 2]", 0.25},
		{&Record{Type: IoU, Gold: "[0, 0, 2, 2]"}, "[0, 0, 1, 1]", 0.25},
		// Sizes are [height, width].
		{sized, half, 1},
		{sized, "[100, 50, 300, 150]", 1},
		{sized, "[100, 50, 300, 100]", 0.5},
		{resized, half, 1},
		{resized, "[250, 25, 750, 75]", 1},
		{resized, `[{"bbox_2d": [250, 25, 750, 50]}]`, 0.5},
		{pixelsResized, "[250, 25, 750, 75]", 1},
		{pixelsResized, half, 1},
		{pixelsResized, "[250, 25, 500, 75]", 0.5},
		{&Record{Type: IoU, Gold: half, ResizedSize: [2]int{100, 1000}}, "[250, 25, 750, 75]", 1},
		{norm, "[250, 25, 750, 75]", 0},
		// No boxes.
		{norm, "", 0}, {norm, "here", 0}, {norm, "[0.25, 0.25, 0.75]", 0}, {norm, "[0.25, 0.25, 0.75, 0.75, 1]", 0}, {norm, "0.25", 0},
		{norm, "[]", 0}, {norm, "[a, b, c, d]", 0}, {norm, "[0.25, 0.25, 0.75, x]", 0}, {norm, "[25%, 25%, 75%, 75%]", 0}, {norm, "null", 0},
		{norm, "[1/4, 1/4, 3/4, 3/4]", 0}, {norm, "{}", 0}, {norm, "[{}]", 0}, {norm, `{"point_2d": [0.25, 0.75]}`, 0}, {norm, "1 2 3 4 5 6 7 8", 0},
		// Degenerate, reversed, not finite.
		{norm, "[0.5, 0.25, 0.5, 0.75]", 0}, {norm, "[0.5, 0.5, 0.5, 0.5]", 0}, {norm, "[0, 0, 0, 0]", 0}, {norm, "[0.75, 0.75, 0.25, 0.25]", 0},
		{norm, "[0.75, 0.25, 0.25, 0.75]", 0}, {norm, "[0.25, 0.75, 0.75, 0.25]", 0}, {norm, "[NaN, NaN, NaN, NaN]", 0}, {norm, "[0.25, 0.25, nan, 0.75]", 0},
		{norm, "[-Infinity, -Infinity, Infinity, Infinity]", 0}, {norm, "[0, 0, inf, inf]", 0}, {norm, "[-1e999, -1e999, 1e999, 1e999]", 0},
		{norm, "[-1e308, -1e308, 1e308, 1e308]", 0}, {norm, "[0, 0, 1e-200, 1e-200]", 0}, {norm, `{"bbox_2d": [NaN, 0, 1, 1]}`, 0},
		// Several boxes.
		{norm, half + half, 1}, // the same
		{norm, half + ", [0.8, 0.8, 0.9, 0.9]", 0.5},
		{norm, "[0.8, 0.8, 0.9, 0.9], [0.25, 0.25, 0.75, 0.5]", 0.25},
		{norm, half + ", [0.9, 0.9, 0.8, 0.8]", 0.5},
		{two, "[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]", 1},
		{two, "[[0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5]]", 1},
		{two, `[{"bbox_2d": [0.5, 0.5, 1, 1], "label": "2"}, {"bbox_2d": [0, 0, 0.5, 0.5], "label": "1"}]`, 1},
		{two, "[0, 0, 0.5, 0.5]", 0.5},
		{two, "[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25]", 0.5},
		{two, "(0, 0), (0.5, 0.5); (0.5, 0.5), (1, 1)", 1},
	} {
		x := score(t, tt.r, tt.answer)
		if x.Masked || math.Abs(x.Score-tt.want) > 1e-9 {
			t.Errorf("gold %s %v %v, answer %s: %v (masked %v), want %v: %s", tt.r.Gold, tt.r.ImageSize, tt.r.ResizedSize, tt.answer, x.Score, x.Masked, tt.want, x.Reason)
		}
	}
	for _, gold := range []string{"", "none", "[1, 2, 3]", "[NaN, 0, 1, 1]", "[0.5, 0.5, 0.1, 0.1]", "[1, 1, 1, 1]", strings.Repeat("[", 1000)} {
		if x := score(t, &Record{Type: IoU, Gold: gold}, half); !x.Masked {
			t.Errorf("gold %q is not masked: %+v", gold, x)
		}
	}
}

// TestMatch compares the matching with the best of all permutations.
func TestMatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n, m := 1+rng.IntN(5), 1+rng.IntN(5)
		s := make([][]float64, n)
		for i := range s {
			s[i] = make([]float64, m)
			for j := range s[i] {
				s[i][j] = float64(rng.IntN(8)) / 8
			}
		}
		var best func(i int, used int) float64
		best = func(i, used int) float64 {
			if i == n {
				return 0
			}
			most := best(i+1, used)
			for j := range m {
				if used&(1<<j) == 0 {
					most = max(most, s[i][j]+best(i+1, used|1<<j))
				}
			}
			return most
		}
		if got, want := match(s), best(0, 0); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%v: %v, want %v", s, got, want)
		}
	}
}

// TestIoUProperties: identical boxes score 1, the order of the two does not matter, and neither does the scale or a shift.
func TestIoUProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func() box {
		x, y := rng.Float64()*100, rng.Float64()*100
		return box{x, y, x + 1 + rng.Float64()*100, y + 1 + rng.Float64()*100}
	}
	for range 2000 {
		a, b := random(), random()
		v := a.iou(b)
		if a.iou(a) != 1 || v != b.iou(a) || !(v >= 0 && v <= 1) {
			t.Fatalf("%v %v: %v, %v, %v", a, b, a.iou(a), v, b.iou(a))
		}
		c, d := a, b
		for k := range c {
			c[k], d[k] = 4*c[k]+1024, 4*d[k]+1024
		}
		if w := c.iou(d); math.Abs(v-w) > 1e-9 {
			t.Fatalf("%v %v: %v, scaled %v", a, b, v, w)
		}
		parsed, err := parseBoxes(fmt.Sprintf("{%q: %v}", "bbox_2d", []float64(a[:])))
		if err != nil || len(parsed) != 1 || parsed[0] != a {
			t.Fatalf("%v is read as %v, %v", a, parsed, err)
		}
	}
}
