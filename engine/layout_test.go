package engine

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// readLines decodes a JSON-lines file of the test data.
func readLines[T any](t testing.TB, elem ...string) []T {
	t.Helper()
	f, err := os.Open(testdata.Path(t, elem...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	var all []T
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		all = append(all, v)
	}
	if s.Err() != nil || len(all) == 0 {
		t.Fatalf("%s: %d lines, %v", f.Name(), len(all), s.Err())
	}
	return all
}

func TestWindowLayoutGolden(t *testing.T) {
	type line struct {
		Grid  []Grid  `json:"grid_thw"`
		Order []int32 `json:"window_index"`
		Cu    []int32 `json:"cu_window_seqlens"`
	}
	for i, l := range readLines[line](t, "golden", "layouts", "windows.jsonl") {
		order, cu := windowLayout(l.Grid, 2, 4)
		if !slices.Equal(order, l.Order) || !slices.Equal(cu, l.Cu) {
			t.Errorf("line %d, grids %v: got order %v, boundaries %v; want %v, %v", i+1, l.Grid, order, cu, l.Order, l.Cu)
		}
	}
}

// The tables of the reference document: odd merged grids, several frames, and several pictures.
func TestWindowLayout(t *testing.T) {
	tests := []struct {
		grids []Grid
		cu    []int32
	}{
		{[]Grid{{1, 8, 8}}, []int32{0, 64}},
		{[]Grid{{1, 12, 20}}, []int32{0, 64, 128, 160, 192, 224, 240}},
		{[]Grid{{1, 10, 12}}, []int32{0, 64, 96, 112, 120}},
		{[]Grid{{2, 6, 10}}, []int32{0, 48, 60, 108, 120}},
		{[]Grid{{1, 8, 8}, {1, 10, 12}}, []int32{0, 64, 128, 160, 176, 184}},
	}
	for _, test := range tests {
		order, cu := windowLayout(test.grids, 2, 4)
		if diff := cmp.Diff(test.cu, cu); diff != "" {
			t.Errorf("%v: boundaries (-want +got):\n%s", test.grids, diff)
		}
		sorted := slices.Sorted(slices.Values(order))
		for i, o := range sorted {
			if o != int32(i) {
				t.Fatalf("%v: the order is no permutation: %v", test.grids, order)
			}
		}
	}
}

func TestPatchPositions(t *testing.T) {
	h, w := patchPositions([]Grid{{1, 4, 6}}, 2)
	wantH := []int32{0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3, 2, 2, 3, 3}
	wantW := []int32{0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5}
	if !slices.Equal(h, wantH) || !slices.Equal(w, wantW) {
		t.Errorf("got rows %v, columns %v", h, w)
	}
}

// spansOf finds the pictures' spans in ids whose image tokens are expanded.
func spansOf(ids []int32, image int32, grids []Grid) []Span {
	var spans []Span
	for i := 0; i < len(ids); i++ {
		if ids[i] == image {
			g := grids[len(spans)]
			spans = append(spans, Span{Start: i, Tokens: mergedTokens(g, 2), Grid: g})
			i += mergedTokens(g, 2) - 1
		}
	}
	return spans
}

// TestPositionsUnplaced holds pictures whose tokens do not follow <|vision_start|> against transformers' get_rope_index, which gives so many
// pictures the positions of a grid as there are image tokens right after one.
func TestPositionsUnplaced(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	picture, err := e.images.Load(testdata.Path(t, "golden", "pictures", "a8x8.png"))
	if err != nil {
		t.Fatal(err)
	}
	n, start, end, image := picture.Tokens(), int32(e.cfg.VisionStartTokenID), int32(e.cfg.VisionEndTokenID), int32(e.cfg.ImageTokenID)
	run := slices.Repeat([]int32{image}, n)
	for _, tt := range []struct {
		name             string
		ids              []int32
		pictures, placed int
	}{
		{"no start", slices.Concat([]int32{1}, run, []int32{2}), 1, 0},
		{"something between", slices.Concat([]int32{1, start, 5}, run, []int32{end}), 1, 0},
		{"two after one start", slices.Concat([]int32{1, start}, run, run, []int32{end}), 2, 1},
		{"the second without", slices.Concat([]int32{1, start}, run, []int32{end, 7}, run, []int32{8}), 2, 1},
		{"the first without", slices.Concat([]int32{1}, run, []int32{7, start}, run, []int32{end, 8}), 2, 1},
		{"both", slices.Concat([]int32{start}, run, []int32{end, start}, run, []int32{end}), 2, 2},
	} {
		p, err := e.PromptFromIDs(tt.ids, slices.Repeat([]*imageproc.Image{picture}, tt.pictures))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		merge := e.cfg.Vision.SpatialMergeSize
		got, next := p.positions(len(tt.ids)+3, merge)
		want, wantNext := mropePositions(len(tt.ids)+3, p.Spans[:tt.placed], merge)
		if d := cmp.Diff(want, got); d != "" || next != wantNext {
			t.Errorf("%s: next %d, want %d; positions (-want +got):\n%s", tt.name, next, wantNext, d)
		}
	}
}

func TestPositionsGolden(t *testing.T) {
	type line struct {
		Grid      []Grid     `json:"grid_thw"`
		Image     int32      `json:"image_token_id"`
		IDs       []int32    `json:"input_ids"`
		Positions [3][]int32 `json:"position_ids"`
		Delta     *int32     `json:"rope_delta"`
	}
	for i, l := range readLines[line](t, "golden", "layouts", "positions.jsonl") {
		pos, next := mropePositions(len(l.IDs), spansOf(l.IDs, l.Image, l.Grid), 2)
		if diff := cmp.Diff(l.Positions, pos); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i+1, diff)
		}
		if l.Delta != nil && *l.Delta != next-int32(len(l.IDs)) {
			t.Errorf("line %d: delta %d, want %d", i+1, next-int32(len(l.IDs)), *l.Delta)
		}
	}
}
