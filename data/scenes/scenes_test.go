package scenes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/prompt"
)

// Every question is answered again from the shapes, by other means than those that wrote the answer.
func TestAnswers(t *testing.T) {
	for _, c := range []Config{{Seed: 1, Untagged: 40}, {Seed: 2, Colors: 8, Shapes: 6, MaxShapes: 9}, {Seed: 3, Columns: 1, Rows: 3, MinShapes: 1, MaxShapes: 3}, {Seed: 4, Columns: 2, Rows: 1, MinShapes: 2, MaxShapes: 2, Width: 640, Height: 48}} {
		g, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		untagged := 0
		for i := range 700 {
			s := g.Scene(i)
			if want := Kinds()[i%7]; s.Kind != want {
				t.Fatalf("%s: kind %s, want %s", s.ID, s.Kind, want)
			}
			if err := answered(s); err != nil {
				t.Errorf("%s: %q: %v; answer %q of %v", s.ID, s.Question, err, s.Answer, s.Shapes)
			}
			want := "<think>" + s.Trace + "</think> <answer>" + s.Answer + "</answer>"
			if s.untagged {
				want = s.Trace + " The answer is " + s.Answer + "."
				untagged++
			}
			if s.Response() != want {
				t.Errorf("%s: response %q", s.ID, s.Response())
			}
		}
		if share := float64(untagged) / 7; math.Abs(share-float64(c.Untagged)) > 6 {
			t.Errorf("seed %d: %.0f %% without tags, want %d", c.Seed, share, c.Untagged)
		}
	}
}

// named counts the shapes that a word of the plural names.
func named(s *Scene, set string) int {
	n := 0
	for _, x := range s.Shapes {
		if set == "shapes" || set == x.Color+" shapes" || set == x.Form+"s" || set == x.Form+"es" {
			n++
		}
	}
	return n
}

func answered(s *Scene) error {
	var a, b string
	var k, n int
	question, _, _ := strings.Cut(s.Question, "\n")
	want := func(text string) error {
		if s.Answer != text {
			return fmt.Errorf("want %s", text)
		}
		return nil
	}
	between := func(before, after string) string {
		x := strings.TrimPrefix(question, before)
		x, _, _ = strings.Cut(x, after)
		return x
	}
	switch s.Kind {
	case Count:
		return want(fmt.Sprint(named(s, between("How many ", " are there"))))
	case Subtract:
		return want(fmt.Sprint(len(s.Shapes) - named(s, between("Subtract all ", "."))))
	case Compare:
		x := between("Are there more ", "?")
		a, b, _ = strings.Cut(x, " or more ")
		switch n, m := named(s, a), named(s, b); {
		case n > m:
			return want("A")
		case n < m:
			return want("B")
		}
		return want("C")
	case Choose:
		right := s.Options[s.Answer[0]-'A']
		for _, x := range s.Shapes {
			if question == "What color is the "+x.Form+"?" && x.Color != right || question == "Which shape is "+x.Color+"?" && x.Form != right {
				return errors.New("another option")
			}
		}
		if !strings.Contains(s.Question, "\n"+s.Answer+": "+right) {
			return errors.New("the option is not in the question")
		}
	case Fraction:
		return want(fmt.Sprintf(`\frac{%d}{%d}`, named(s, between("What fraction of the shapes are ", "?")), len(s.Shapes)))
	case Express:
		a = between("Let $a$ be the number of ", " and $b$")
		b = strings.TrimPrefix(question, "Let $a$ be the number of "+a+" and $b$ that of ")
		b, rest, _ := strings.Cut(b, ". What is $")
		if _, err := fmt.Sscanf(rest, "%d", &k); err != nil {
			return err
		}
		return want(fmt.Sprintf("$%d$", k*named(s, a)+named(s, b)))
	case Ground:
		x := between("Where is the ", "?")
		for i := range s.Shapes {
			if s.Shapes[i].String() == x {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("%d of %s", n, x)
		}
	}
	return nil
}

// A box holds every pixel of its shape and no row or column more than rounding makes.
func TestBoxesArePixels(t *testing.T) {
	g, err := New(Config{Seed: 5, Width: 300, Height: 240, MinShapes: 1, MaxShapes: 1, Shapes: 6, Kinds: []Kind{Ground}})
	if err != nil {
		t.Fatal(err)
	}
	n := 60
	if testing.Short() {
		n = 5
	}
	for i := range n {
		s := g.Scene(i)
		empty := *s
		empty.Shapes = nil
		with, without := s.Draw(), empty.Draw()
		x1, y1, x2, y2 := 300, 240, 0, 0
		for y := range 240 {
			for x := range 300 {
				if with.RGBAAt(x, y) != without.RGBAAt(x, y) {
					x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x+1), max(y2, y+1)
				}
			}
		}
		b := s.Shapes[0].box(s.config)
		for k, v := range []float64{float64(x1) - b[0]*300, float64(y1) - b[1]*240, float64(x2) - b[2]*300, float64(y2) - b[3]*240} {
			if math.Abs(v) > 1.5 {
				t.Errorf("%s: %v: side %d is %.1f pixels off", s.ID, &s.Shapes[0], k, v)
			}
		}
		var list [4]float64
		if err := json.Unmarshal([]byte(s.Answer), &list); err != nil || math.Abs(list[0]-b[0]) > 0.0051 || list[0] >= list[2] || list[1] >= list[3] || list[2] > 1 || list[3] > 1 {
			t.Errorf("%s: answer %s of box %v: %v", s.ID, s.Answer, b, err)
		}
	}
}

func TestShapesDoNotOverlap(t *testing.T) {
	g, _ := New(Config{Seed: 6, MinShapes: 9, MaxShapes: 9})
	for i := range 100 {
		s := g.Scene(i)
		for a := range s.Shapes {
			for b := range a {
				x, y := &s.Shapes[a], &s.Shapes[b]
				if math.Abs(x.X-y.X) < x.R+y.R && math.Abs(x.Y-y.Y) < x.R+y.R {
					t.Fatalf("%s: %v and %v overlap", s.ID, *x, *y)
				}
			}
		}
	}
}

// A set is a function of its configuration, and the beginning of a larger one.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	read := func(name string, n int) ([]byte, []byte) {
		t.Helper()
		calls := 0
		to := filepath.Join(dir, name)
		if err := Write(t.Context(), to, Config{N: n, Seed: 9, Noise: 8}, func(done, total int) {
			if calls++; done != calls || total != n {
				t.Errorf("call %d of progress says %d of %d", calls, done, total)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if calls != n {
			t.Errorf("%d calls of progress, want %d", calls, n)
		}
		records, err := os.ReadFile(filepath.Join(to, RecordsFile))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := os.ReadFile(filepath.Join(to, ImageFolder, imageName(n-1)))
		if err != nil {
			t.Fatal(err)
		}
		return records, picture
	}
	// An empty folder stays: here one behind a link.
	real := t.TempDir()
	if err := os.Symlink(real, filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	small, _ := read("a", 10)
	again, one := read("b/c", 10)
	large, _ := read("d", 20)
	if !bytes.Equal(small, again) || !bytes.HasPrefix(large, small) {
		t.Error("the records differ")
	}
	if names, err := filepath.Glob(filepath.Join(real, "*")); err != nil || len(names) != 2 {
		t.Errorf("behind the link are %q", names)
	}
	g, _ := New(Config{Seed: 9, Noise: 8})
	got, err := png.Decode(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	want := g.Scene(9).Draw()
	for y := range 168 {
		for x := range 168 {
			if color.RGBAModel.Convert(got.At(x, y)) != want.At(x, y) {
				t.Fatalf("pixel %d, %d is %v, want %v", x, y, got.At(x, y), want.At(x, y))
			}
		}
	}
	var r record
	if err := json.Unmarshal(small[:bytes.IndexByte(small, '\n')], &r); err != nil {
		t.Fatal(err)
	}
	if r.VerifierType != "digit" || r.Image != "scene-000000.png" || r.ImageSize != [2]int{168, 168} || r.Response != g.Scene(0).Response() {
		t.Errorf("record %+v", r)
	}
	if err := Write(t.Context(), filepath.Join(dir, "a"), Config{N: 1}, nil); err == nil || !strings.Contains(err.Error(), "holds files") {
		t.Errorf("a folder with files: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := Write(ctx, filepath.Join(dir, "e"), Config{N: 100}, func(done, _ int) {
		if done == 5 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !reflect.DeepEqual(names, []string{"a", "b", "d"}) {
		t.Errorf("the folder holds %q", names)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{N: -1}, "N is -1"},
		{Config{Width: 5}, "Width is 5"},
		{Config{Rows: 4}, "Rows is 4"},
		{Config{MinShapes: 6}, "MaxShapes is 5: want 6 to 9"},
		{Config{MaxShapes: 10}, "MaxShapes is 10"},
		{Config{Colors: 9}, "Colors is 9"},
		{Config{Shapes: 1}, "Shapes is 1"},
		{Config{Noise: 256}, "Noise is 256"},
		{Config{Untagged: 101}, "Untagged is 101"},
		{Config{Kinds: []Kind{"cound"}}, `the kind "cound" is not known`},
	} {
		if _, err := New(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
	if err := Write(t.Context(), filepath.Join(t.TempDir(), "x"), Config{}, nil); err == nil {
		t.Error("a set of no scenes was written")
	}
}

// Grain changes pixels by no more than it says, and both ways.
func TestNoise(t *testing.T) {
	plain, _ := New(Config{Seed: 3})
	grainy, _ := New(Config{Seed: 3, Noise: 12})
	a, b := plain.Scene(4), grainy.Scene(4)
	a.Shapes, b.Shapes = nil, nil
	x, y := a.Draw(), b.Draw()
	low, high := 0, 0
	for i := range x.Pix {
		d := int(y.Pix[i]) - int(x.Pix[i])
		low, high = min(low, d), max(high, d)
	}
	if low != -12 || high != 12 {
		t.Errorf("differences from %d to %d", low, high)
	}
}

func BenchmarkDraw(b *testing.B) {
	for _, side := range []int{168, 1024} {
		b.Run(fmt.Sprint(side), func(b *testing.B) {
			g, err := New(Config{Width: side, Height: side})
			if err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				g.Scene(i).Draw()
				i++
			}
		})
	}
}

// Where there is least to choose from, there is a scene for every kind of question, and boxes are inside the picture and no lines.
func TestEdges(t *testing.T) {
	for _, c := range []Config{
		{Seed: 1, Width: 28, Height: 28, Columns: 1, Rows: 1, MinShapes: 1, MaxShapes: 1, Colors: 2, Shapes: 2},
		{Seed: 2, Width: 28, Height: 28, MinShapes: 9, MaxShapes: 9, Colors: 2, Shapes: 2},
		{Seed: 3, MinShapes: 9, MaxShapes: 9, Colors: 8, Shapes: 6},
		{Seed: 4, Width: 8192, Height: 28, Shapes: 6},
		{Seed: 5, Width: 30, Height: 2000, Columns: 2, Rows: 3, Shapes: 5},
		{Seed: 6, Width: 31, Height: 37, Columns: 3, Rows: 2, Shapes: 6},
	} {
		g, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 140 {
			s := g.Scene(i)
			if err := answered(s); err != nil {
				t.Errorf("seed %d: %s: %q: %v", c.Seed, s.ID, s.Question, err)
			}
			for k := range s.Shapes {
				if b := s.Shapes[k].box(s.config); b[0] < 0 || b[1] < 0 || b[2] > 1 || b[3] > 1 {
					t.Errorf("seed %d: %s: box %v", c.Seed, s.ID, b)
				}
			}
			if s.Kind != Ground {
				continue
			}
			var a, b [4]float64
			if err := json.Unmarshal([]byte(s.Answer), &a); err != nil {
				t.Fatal(err)
			}
			for k := range s.Shapes {
				if x := &s.Shapes[k]; strings.Contains(s.Question, " "+x.String()+"?") {
					b = x.box(s.config)
				}
			}
			w, h := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
			both := (a[2]-a[0])*(a[3]-a[1]) + (b[2]-b[0])*(b[3]-b[1]) - w*h
			if iou := w * h / both; !(w > 0 && h > 0 && iou > 0.7) {
				t.Errorf("seed %d: %s: the answer %s is %.2f of the box %v", c.Seed, s.ID, s.Answer, iou, b)
			}
		}
	}
}

// No answer is so frequent that it is a strategy, and letters are even.
func TestBalance(t *testing.T) {
	g, _ := New(Config{Seed: 8})
	const n = 7 * 600
	most := map[Kind]float64{Count: 0.45, Subtract: 0.45, Compare: 0.5, Choose: 0.35, Fraction: 0.3, Express: 0.3, Ground: 0.02}
	seen := map[Kind]map[string]int{}
	for i := range n {
		s := g.Scene(i)
		if seen[s.Kind] == nil {
			seen[s.Kind] = map[string]int{}
		}
		seen[s.Kind][s.Answer]++
	}
	for k, answers := range seen {
		for a, c := range answers {
			if share := float64(c) / (n / 7); share > most[k] {
				t.Errorf("%s: the answer %s in %.0f %%", k, a, 100*share)
			}
		}
	}
	t.Log(seen[Count], seen[Subtract], seen[Compare], seen[Choose])
}

// Sets of different seeds have no picture in common, with a question or without one.
func TestScenesDiffer(t *testing.T) {
	seen := map[string]string{}
	for seed := range uint64(4) {
		g, _ := New(Config{Seed: seed << 32})
		for i := range 2500 {
			s := g.Scene(i)
			key := fmt.Sprint(s.Shapes)
			if other, ok := seen[key]; ok {
				t.Errorf("%s is %s: %s", s.ID, other, key)
			}
			seen[key] = s.ID
		}
	}
}

// Package data reads what is written: all of it, without a word of its own.
func TestRecordsAreRead(t *testing.T) {
	for _, c := range []Config{{N: 140, Seed: 4, Untagged: 50}, {N: 70, Seed: 5, NoTrace: true, Colors: 8, Shapes: 6}} {
		c.Width, c.Height = 60, 40
		dir := t.TempDir() // empty: it gets the files
		if err := Write(t.Context(), dir, c, nil); err != nil {
			t.Fatal(err)
		}
		want := data.WantGold | data.WantResponse
		if c.NoTrace {
			want = data.WantGold
		}
		set, report, err := data.Open(t.Context(), data.Options{Want: want, Types: []string{"digit", "mcq", "math", "iou"}}, filepath.Join(dir, RecordsFile))
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		if report.Left() > 0 || set.Len() != c.N {
			t.Errorf("%v", report)
		}
		g, _ := New(c)
		for i := range set.Len() {
			r, err := set.Record(i)
			if err != nil {
				t.Fatal(err)
			}
			s := g.Scene(i)
			response := s.Response()
			if c.NoTrace {
				response = ""
			}
			if r.ID != s.ID || r.Type != s.Kind.VerifierType() || r.Gold != fmt.Sprint(s.Gold) || r.Question != s.Question || r.Messages != nil ||
				!slices.Equal(r.Options, s.Options) || r.Response != response || r.ImageSize != [2]int{40, 60} || len(r.Images) != 1 {
				t.Errorf("record %+v of scene %+v", r, s)
			}
			// The question lists the options: the layout adds none.
			m, err := prompt.Paper().Messages(r)
			if err != nil {
				t.Fatal(err)
			}
			last := m[len(m)-1].Parts
			if len(last) != 2 || last[0].Image != r.Images[0] || last[1].Text != s.Question {
				t.Errorf("%s: parts %+v", r.ID, last)
			}
			f, err := set.OpenImage(r.Images[0])
			if err != nil {
				t.Fatal(err)
			}
			if p, err := png.DecodeConfig(f); err != nil || p.Width != 60 || p.Height != 40 {
				t.Errorf("%s: %d x %d, %v", r.Images[0], p.Width, p.Height, err)
			}
			f.Close()
		}
	}
}
