package report

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestThin holds the bins of a long run against its values.
func TestThin(t *testing.T) {
	for _, n := range []int{1, 2, maxBins, maxBins + 1, 2 * maxBins, 10_000} {
		table := newTable()
		y := func(i int) float64 { return math.Sin(float64(i)) * float64(i) }
		for i := range n {
			row := fmt.Sprintf(`{"step":%d,"y":%v,"odd":%v}`, 7+i, y(i), map[bool]string{true: "null", false: "1"}[i%2 == 0])
			if err := table.read([]byte(row)); err != nil {
				t.Fatal(err)
			}
		}
		s := table.get("y")
		if len(s.bins) > maxBins || n > maxBins && len(s.bins) < maxBins/2 {
			t.Errorf("%d updates have %d bins", n, len(s.bins))
		}
		k := 0
		for _, b := range s.bins {
			want := bin{at: b.at, min: math.Inf(1), max: math.Inf(-1)}
			for ; k < n && int64(k)/table.width == b.at; k++ {
				want.join(bin{n: 1, x: float64(7 + k), y: y(k), min: y(k), max: y(k)})
			}
			if want.n != b.n || want.x != b.x || want.min != b.min || want.max != b.max || math.Abs(want.y-b.y) > 1e-9*float64(n*n) {
				t.Fatalf("%d updates: bin %+v, want %+v", n, b, want)
			}
		}
		if k != n || s.first != (point{7, y(0)}) || s.last != (point{float64(6 + n), y(n - 1)}) || s.n != int64(n) {
			t.Errorf("%d updates: %d in bins, first %v, last %v", n, k, s.first, s.last)
		}
		if odd := table.series["odd"]; odd.n != int64(n/2) || odd.missing != int64(n-n/2) {
			t.Errorf("%d updates: %d values and %d nulls", n, odd.n, odd.missing)
		}
	}
	table := newTable()
	for _, row := range []string{`{"step":0,"y":1}`, `{"step":9007199254740992,"y":2}`} {
		if err := table.read([]byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	if s := table.get("y"); len(s.bins) != 2 {
		t.Errorf("two updates far from each other have the bins %v", s.bins)
	}
	for _, row := range []string{``, `null`, `{}`, `{"step":-1}`, `{"step":9007199254740992}`, `{"step":1e300}`, `{"step":"1"}`, `{"step":`} {
		if err := table.read([]byte(row)); err == nil {
			t.Errorf("%q is taken", row)
		}
	}
}

func TestSmooth(t *testing.T) {
	var flat, rising []point
	for i := range 100 {
		flat, rising = append(flat, point{float64(i), 3}), append(rising, point{float64(i), float64(i)})
	}
	for i, p := range smooth(flat) {
		if math.Abs(p.Y-3) > 1e-12 || p.X != float64(i) {
			t.Fatalf("a constant is smoothed to %v", p)
		}
	}
	for i, p := range smooth(rising) {
		if math.Abs(p.Y-float64(i)) > 1e-9 || p.X != float64(i) {
			t.Fatalf("a rising line is smoothed to %v", p)
		}
	}
	// Noise is taken away.
	var noisy []point
	for i := range 100 {
		noisy = append(noisy, point{float64(i), float64(i%2) + 0.01*float64(i)})
	}
	for i, p := range smooth(noisy) {
		if d := math.Abs(p.Y - 0.5 - 0.01*float64(i)); d > 0.25 && i > 0 && i < 99 || d > 0.1 && i >= 10 && i < 90 {
			t.Errorf("noise about %v is smoothed to %v", 0.5+0.01*float64(i), p)
		}
	}
	if out := smooth(rising[:8]); !slices.Equal(out, rising[:8]) {
		t.Errorf("few points are smoothed to %v", out)
	}
}

func TestFormat(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1", -1.5: "−1.5", 0.1234: "0.123", 0.05: "0.05", 0.001234: "0.00123", 1e-4: "0.0001", 1.5e-6: "1.5e−6", 12.34: "12.3", 123.4: "123",
		1234: "1234", 12345: "12.3k", 999_999: "1M", 2.5e6: "2.5M", 3e9: "3G", 7e12: "7T", 1e300: "1e300", 0.9999: "1", -0.0004: "−0.0004", math.Inf(1): "+∞", math.Inf(-1): "-∞"} {
		if got := format(v); got != want {
			t.Errorf("format(%v) is %q, want %q", v, got, want)
		}
	}
	if got := format(math.NaN()); got != "–" {
		t.Errorf("NaN is %q", got)
	}
	for n, want := range map[int64]string{0: "0 updates", 1: "1 update", 9999: "9999 updates", 25195: "25\u202f195 updates", 1234567: "1\u202f234\u202f567 updates"} {
		if got := count(n, "update"); got != want {
			t.Errorf("count(%d) is %q, want %q", n, got, want)
		}
	}
}

// TestTicks has ranges of all sizes: a few ticks each, at round numbers within the range.
func TestTicks(t *testing.T) {
	for _, most := range []int{5, 6} {
		for _, low := range []float64{0, -1, 0.3, -1e-12, 1e-30, 5e15, -7e99} {
			for _, width := range []float64{1e-12, 1e-5, 0.1, 0.999, 1, 7, 1234, 1e18, 1e99} {
				if high := low + width; width > 1e-6*math.Abs(low) {
					out := ticks{most: most}.Ticks(low, high)
					if len(out) < 2 || len(out) > most+1 {
						t.Errorf("%v to %v: %d ticks", low, high, len(out))
					}
					for i, tick := range out {
						if tick.Label == "" || tick.Value < low-0.01*width || tick.Value > high+0.01*width || i > 0 && tick.Label == out[i-1].Label {
							t.Errorf("%v to %v: tick %+v", low, high, tick)
						}
					}
				}
			}
		}
	}
	for _, tick := range (ticks{whole: true, most: 6}).Ticks(1, 2) {
		if tick.Value != math.Trunc(tick.Value) {
			t.Errorf("half an update: %+v", tick)
		}
	}
}

func TestClip(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want text
	}{
		{"", 3, text{}},
		{"abc", 3, text{"abc", 0}},
		{"abcd", 3, text{"abc", 1}},
		{"aéé", 2, text{"a", 4}},
		{"a\x00\x1b\n\r\tb", 9, text{"a␀␛\n\tb", 0}},
		{"a\xff\u202eb", 9, text{"a\ufffd\ufffdb", 0}},
	} {
		if got := clip(test.in, test.n); got != test.want {
			t.Errorf("clip(%q, %d) is %+v, want %+v", test.in, test.n, got, test.want)
		}
	}
	if got := line("  a\n b\t"+strings.Repeat("c", 50), 6); got != "a b cc…" {
		t.Errorf("line is %q", got)
	}
}

// TestLines passes over lines that are too long, and says where the others begin.
func TestLines(t *testing.T) {
	for _, in := range []string{"", "\n", " \n\n"} {
		if bad, _, why := lines(strings.NewReader(in), func(line []byte, _ int64) error { return fmt.Errorf("a line %q", line) }); bad != 0 {
			t.Errorf("%q: %v", in, why)
		}
	}
	in := "one\n\n" + strings.Repeat("x", maxLine+1) + "\ntwo\nbad\nlast"
	var got []string
	bad, first, why := lines(strings.NewReader(in), func(line []byte, at int64) error {
		s := strings.TrimSpace(string(line))
		if !strings.HasPrefix(in[at:], s) {
			t.Errorf("%q is said to be at %d", s, at)
		}
		if s == "bad" {
			return fmt.Errorf("it is bad")
		}
		got = append(got, s)
		return nil
	})
	if !slices.Equal(got, []string{"one", "two", "last"}) || bad != 2 || first != 3 || why == nil {
		t.Errorf("lines %q, %d bad ones, the first %d: %v", got, bad, first, why)
	}
}

// TestTail reads the end of a file from a line's begin on, wherever the end begins.
func TestTail(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", []byte("aaaa\nbbbb\ncccc\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for n, want := range map[int64]string{4: "", 5: "cccc", 6: "cccc", 9: "cccc", 10: "bbbb cccc", 14: "bbbb cccc", 15: "aaaa bbbb cccc", 99: "aaaa bbbb cccc"} {
		var got []string
		found, cut := d.tail("f", n, func(line []byte) error {
			got = append(got, strings.TrimSpace(string(line)))
			return nil
		})
		if s := strings.Join(got, " "); s != want || !found || cut != (n < 15) {
			t.Errorf("the last %d bytes: %q, cut %v, want %q", n, s, cut, want)
		}
	}
}

// TestChoose wants every type, and of each what was learned as well as what was not.
func TestChoose(t *testing.T) {
	before, after := map[string]*trace{}, map[string]*trace{}
	var order []string
	for i, kind := range []string{"b", "a"} {
		for j, r := range [][2]float64{{1, 1}, {0, 0}, {0, 1}, {0, 0.4}, {1, 0}, {0, 0}, {0.2, 1}, {0, math.NaN()}} {
			key := fmt.Sprint(kind, j)
			before[key], after[key] = &trace{kind: kind, reward: r[0]}, &trace{kind: kind, reward: r[1], at: int64(10*i + j)}
			order = append(order, key)
		}
	}
	after["new"] = &trace{kind: "c", reward: 1}
	order = append(order, "new")
	got := choose(before, after, order, 6)
	if want := []string{"a2", "a1", "a6", "b2", "b1", "b6"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	all := choose(before, after, order, 100)
	slices.Sort(all)
	if want := slices.Sorted(maps.Keys(before)); !slices.Equal(all, want) {
		t.Errorf("all: %q, want %q", all, want)
	}
	fates := map[string]string{"a0": kept, "a1": failed, "a2": learned, "a3": learned, "a4": lost, "a6": learned, "a7": masked}
	for key, want := range fates {
		if got := fate(before[key], after[key]); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := choose(nil, after, order, 3); !slices.Equal(got, []string{"a0", "b0", "new"}) {
		t.Errorf("without a first evaluation: %q", got)
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][2]string{
		"<think> a </think> <answer>1</answer>": {"a", "<answer>1</answer>"},
		"<think>a":                              {"a", ""},
		"no reasoning":                          {"", "no reasoning"},
		"x <think>a</think> b":                  {"", "x <think>a</think> b"},
		"":                                      {"", ""},
	} {
		if r := split(in, 100); r.Think.Text != want[0] || r.Rest.Text != want[1] {
			t.Errorf("%q: %q and %q", in, r.Think.Text, r.Rest.Text)
		}
	}
}

func TestInteresting(t *testing.T) {
	samples := map[int][]*completion{}
	for i, x := range []struct {
		kind      string
		advantage number
	}{{"a", 0}, {"a", 1}, {"a", -1}, {"b", 0}, {"b", 2}, {"", number(math.NaN())}} {
		samples[i] = []*completion{{Type: x.kind, Advantage: new(number)}, {Advantage: &x.advantage}}
	}
	if got, want := interesting([]int{0, 1, 2, 3, 4, 5}, samples), []int{1, 4, 2, 0, 3, 5}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTypicalSample: of a prompt's samples the one nearest to their mean stands for it, and what became of it goes by the means: one lucky
// sample is not learned.
func TestTypicalSample(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "eval"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, rewards := range map[string][]string{"a": {"0", "0.8", "0.7", "0.9"}, "b": {"1", "0", "0", "null"}} {
		var b strings.Builder
		for i, r := range rewards {
			fmt.Fprintf(&b, `{"id":"x","type":"iou","sample":%d,"text":"sample %d","extracted":null,"reward":%s}`+"\n", i, i, r)
		}
		if err := os.WriteFile(filepath.Join(dir, "eval", name+".jsonl"), []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	d, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, last := &evaluation{name: "eval/a"}, &evaluation{name: "eval/b", Update: 9}
	got := d.examples(first, last, &album{dir: dir, seen: map[string]picture{}}, 5)
	if len(got) != 1 || len(got[0].Outcomes) != 2 {
		t.Fatalf("%+v", got)
	}
	if x := got[0]; x.Fate != lost || x.Outcomes[0].Response.Rest.Text != "sample 2" || x.Outcomes[1].Response.Rest.Text != "sample 1" || x.Outcomes[1].N != 3 {
		t.Errorf("%s: %+v, then %+v", x.Fate, x.Outcomes[0], x.Outcomes[1])
	}
}
