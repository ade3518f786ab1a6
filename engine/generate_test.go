package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// collect gathers samples by prompt and number.
func collect(t testing.TB, samples iter.Seq2[*Sample, error]) map[[2]int]*Sample {
	t.Helper()
	all := map[[2]int]*Sample{}
	for s, err := range samples {
		if err != nil {
			t.Fatal(err)
		}
		key := [2]int{s.Prompt, s.Sample}
		if all[key] != nil {
			t.Fatalf("sample %v came twice", key)
		}
		all[key] = s
	}
	return all
}

func bits(f []float32) []uint32 {
	b := make([]uint32, len(f))
	for i := range f {
		b[i] = math.Float32bits(f[i])
	}
	return b
}

func sameSample(a, b *Sample) bool {
	return slices.Equal(a.IDs, b.IDs) && slices.Equal(bits(a.LogProbs), bits(b.LogProbs)) && slices.Equal(bits(a.Entropy), bits(b.Entropy)) &&
		a.Text == b.Text && a.FinishReason == b.FinishReason
}

// TestOnePolicy is the first law: sampler and scorer agree bit for bit, and nothing but prompt, weights and random numbers shows in a
// sample: not the batch, the chunks in which prompts and completions are fed, nor the number of threads.
func TestOnePolicy(t *testing.T) {
	n := 5
	options := []Options{
		{MaxBatch: 17, PrefillChunk: 512, Threads: 1},
		{MaxBatch: 3, PrefillChunk: 7, Threads: 2},
		{MaxBatch: 64, PrefillChunk: 100, Threads: 3},
		{MaxBatch: 1, PrefillChunk: 512, Threads: 2},
		{MaxBatch: 17, PrefillChunk: 64, Threads: 2},
	}
	if testing.Short() {
		n, options = 2, options[:3]
	}
	for _, name := range someModels() {
		for _, dtype := range []DType{F32, BF16} {
			t.Run(name+"/"+dtype.String(), func(t *testing.T) {
				t.Parallel()
				sampling := Sampling{N: n, Temperature: 0.9, MaxTokens: 20, Seed: 7, IgnoreEOS: true}
				scoring := Scoring{Temperature: 0.9}
				cases := goldenCases(t, name)
				var reference map[[2]int]*Sample
				for _, o := range options {
					o.DType = dtype
					e := openGolden(t, name, o)
					var prompts []*Prompt
					for _, c := range cases {
						prompts = append(prompts, c.prompt(t, e))
					}
					got := collect(t, e.Generate(context.Background(), Prompts(prompts...), sampling))
					if len(got) != n*len(cases) {
						t.Fatalf("%+v: %d samples, want %d", o, len(got), n*len(cases))
					}
					if reference == nil {
						reference = got
					}
					var in []Completion
					var keys [][2]int
					for key, s := range got {
						if !sameSample(s, reference[key]) {
							t.Errorf("%+v: sample %v differs from the first run's", o, key)
						}
						in, keys = append(in, Completion{prompts[key[0]], s.IDs}), append(keys, key)
					}
					i := 0
					for s, err := range e.Score(context.Background(), Completions(in...), scoring) {
						if err != nil {
							t.Fatal(err)
						}
						want := reference[keys[i]]
						if !slices.Equal(bits(s.LogProbs), bits(want.LogProbs)) || !slices.Equal(bits(s.Entropy), bits(want.Entropy)) {
							t.Errorf("%+v: score of sample %v is not what the sampler recorded", o, keys[i])
						}
						i++
					}
					if i != len(in) {
						t.Errorf("%+v: %d scores of %d", o, i, len(in))
					}
				}
			})
		}
	}
}

// A prompt's samples do not depend on the prompts around it: its random numbers are keyed by its own index.
func TestPromptAlone(t *testing.T) {
	e := openGolden(t, "tiny", Options{MaxBatch: 8})
	cases := goldenCases(t, "tiny")
	var prompts []*Prompt
	for _, c := range cases {
		prompts = append(prompts, c.prompt(t, e))
	}
	s := Sampling{N: 3, Temperature: 1, MaxTokens: 8, Seed: 3}
	all := collect(t, e.Generate(context.Background(), Prompts(prompts...), s))
	for i, p := range prompts {
		s.FirstPrompt = uint32(i)
		for key, alone := range collect(t, e.Generate(context.Background(), Prompts(p), s)) {
			if !sameSample(alone, all[[2]int{i, key[1]}]) {
				t.Errorf("%s: sample %d alone differs from the one in the batch", cases[i].Name, key[1])
			}
		}
	}
}

// TestPromptsOnTheWay: prompts that are chosen by what came of earlier ones join the running batch, and draw what they would have drawn.
func TestPromptsOnTheWay(t *testing.T) {
	e := openGolden(t, "tiny", Options{MaxBatch: 8})
	var prompts []*Prompt
	for _, c := range goldenCases(t, "tiny") {
		prompts = append(prompts, c.prompt(t, e))
	}
	s := Sampling{N: 2, Temperature: 1, MaxTokens: 8, Seed: 3}
	want := collect(t, e.Generate(context.Background(), Prompts(prompts...), s))
	given, finished, asked := 0, 0, 0
	source := func(yield func(*Prompt, error) bool) {
		for given < len(prompts) {
			// At most three prompts are under way.
			if given*s.N-finished > 2*s.N {
				asked++
				if !yield(nil, nil) {
					return
				}
				continue
			}
			given++
			if !yield(prompts[given-1], nil) {
				return
			}
		}
	}
	got := map[[2]int]*Sample{}
	for x, err := range e.Generate(context.Background(), source, s) {
		if err != nil {
			t.Fatal(err)
		}
		got[[2]int{x.Prompt, x.Sample}] = x
		finished++
	}
	if len(got) != len(want) || asked == 0 {
		t.Errorf("%d samples, want %d; asked %d times in vain", len(got), len(want), asked)
	}
	for key, x := range got {
		if !sameSample(x, want[key]) {
			t.Errorf("sample %v differs from that of prompts given at once", key)
		}
	}
}

// TestSamplingGolden tests the first id of many samples against the reference distributions by chi-square.
func TestSamplingGolden(t *testing.T) {
	type line struct {
		Case        string             `json:"case"`
		Temperature float64            `json:"temperature"`
		TopK        int                `json:"top_k"`
		TopP        float64            `json:"top_p"`
		MinP        float64            `json:"min_p"`
		Probs       map[string]float64 `json:"probs"`
	}
	n := 20000
	if testing.Short() {
		n = 2000
	}
	for _, name := range someModels() {
		e := openGolden(t, name, Options{DType: F32})
		cases := goldenCases(t, name)
		for i, l := range readLines[line](t, "golden", name+"-cases", "sampling.jsonl") {
			c := cases[slices.IndexFunc(cases, func(c goldenCase) bool { return c.Name == l.Case })]
			s := Sampling{N: n, Temperature: l.Temperature, TopK: l.TopK, TopP: l.TopP, MinP: l.MinP, MaxTokens: 1, Seed: uint64(i) + 1}
			counts := map[string]float64{}
			for o, err := range e.Generate(context.Background(), Prompts(c.prompt(t, e)), s) {
				if err != nil {
					t.Fatal(err)
				}
				counts[fmt.Sprint(o.IDs[0])]++
			}
			// Ids with fewer than 5 expected draws are pooled.
			var chi, pooledWant, pooledGot float64
			bins := -1
			add := func(want, got float64) {
				chi += (got - want) * (got - want) / want
				bins++
			}
			for id, p := range l.Probs {
				if want := p * float64(n); want >= 5 {
					add(want, counts[id])
				} else {
					pooledWant += want
					pooledGot += counts[id]
				}
				delete(counts, id)
			}
			if pooledWant > 0.5 {
				add(pooledWant, pooledGot)
			}
			if len(counts) > 0 {
				t.Errorf("%s: line %d: drew %d ids outside the distribution", name, i+1, len(counts))
			}
			// Wilson and Hilferty: the cube root of chi^2/k is about normal.
			if k := float64(bins); k > 0 {
				z := (math.Cbrt(chi/k) - (1 - 2/(9*k))) / math.Sqrt(2/(9*k))
				t.Logf("%s: line %d: chi-square %.1f of %d degrees of freedom, z = %.2f", name, i+1, chi, bins, z)
				if z > 4 {
					t.Errorf("%s: line %d: the draws do not follow the distribution: z = %.1f", name, i+1, z)
				}
			}
		}
	}
}

func TestStopIDs(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	p := goldenCases(t, "tiny")[0].prompt(t, e)
	all := collect(t, e.Generate(context.Background(), Prompts(p), Sampling{N: 40, Temperature: 2, MaxTokens: 30, Stop: []int32{200, 201, 202, 203, 204, 205}}))
	reasons := map[FinishReason]int{}
	for _, s := range all {
		reasons[s.FinishReason]++
		for i, id := range s.IDs {
			last := i == len(s.IDs)-1
			stop := id >= 200 && id <= 205 || slices.Contains(e.StopIDs(), id)
			if stop && !last {
				t.Fatalf("stop id %d inside %v", id, s.IDs)
			}
			if last && stop != (s.FinishReason == FinishStop) {
				t.Fatalf("%v ended with %q", s.IDs, s.FinishReason)
			}
			if e.banned(id) {
				t.Fatalf("drew banned id %d", id)
			}
		}
	}
	if reasons[FinishStop] == 0 || reasons[FinishLength] == 0 {
		t.Errorf("reasons %v: want both", reasons)
	}
	for _, s := range collect(t, e.Generate(context.Background(), Prompts(p), Sampling{N: 4, Temperature: 2, MaxTokens: 30, IgnoreEOS: true, Stop: []int32{5}})) {
		if len(s.IDs) != 30 || s.FinishReason != FinishLength {
			t.Errorf("IgnoreEOS: %d ids, %q", len(s.IDs), s.FinishReason)
		}
	}
}

// A cache too small for the batch makes samples wait, and changes nothing else.
func TestSmallCache(t *testing.T) {
	o := Options{MaxBatch: 16, DType: F32}
	e := openGolden(t, "tiny", o)
	s := Sampling{N: 9, Temperature: 1, MaxTokens: 70, IgnoreEOS: true}
	var prompts []*Prompt
	for _, c := range goldenCases(t, "tiny") {
		prompts = append(prompts, c.prompt(t, e))
	}
	want := collect(t, e.Generate(context.Background(), Prompts(prompts...), s))
	o.CacheBytes = int64(6 * e.cache.pageBytes)
	small := openGolden(t, "tiny", o)
	got := collect(t, small.Generate(context.Background(), Prompts(prompts...), s))
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	for key, g := range got {
		if !sameSample(g, want[key]) {
			t.Errorf("sample %v differs", key)
		}
	}
	if small.cache.available() != small.cache.pages {
		t.Errorf("%d of %d pages are free after the call", small.cache.available(), small.cache.pages)
	}
	o.CacheBytes = int64(3 * e.cache.pageBytes)
	tooSmall := openGolden(t, "tiny", o)
	for _, err := range tooSmall.Generate(context.Background(), Prompts(prompts...), s) {
		var pe *PromptError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), "pages") {
			t.Errorf("got %v, want a PromptError about pages", err)
		}
	}
	if tooSmall.cache.available() != tooSmall.cache.pages {
		t.Errorf("%d of %d pages are free after the failed call", tooSmall.cache.available(), tooSmall.cache.pages)
	}
}

func TestCancel(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	p := goldenCases(t, "tiny")[1].prompt(t, e)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	tokens := 0
	s := Sampling{N: 100, Temperature: 1, MaxTokens: 1000, IgnoreEOS: true, OnToken: func(Token) {
		if tokens++; tokens == 200 {
			cancel(why)
		}
	}}
	var got error
	for _, err := range e.Generate(ctx, Prompts(p), s) {
		got = err
	}
	if !errors.Is(got, why) {
		t.Errorf("got %v, want the cause of the cancellation", got)
	}
	if tokens > 400 {
		t.Errorf("%d tokens were drawn after cancelling at 200", tokens)
	}
	for range e.Generate(context.Background(), Prompts(p), Sampling{N: 100, Temperature: 1, MaxTokens: 50}) {
		break // leaving early gives everything back
	}
	if e.cache.available() != e.cache.pages {
		t.Errorf("%d of %d pages are free", e.cache.available(), e.cache.pages)
	}
}

func TestStreaming(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	p := goldenCases(t, "tiny")[0].prompt(t, e)
	texts := map[int]string{}
	ids := map[int][]int32{}
	s := Sampling{N: 6, Temperature: 1.5, MaxTokens: 40, OnToken: func(tk Token) {
		texts[tk.Sample] += tk.Text
		ids[tk.Sample] = append(ids[tk.Sample], tk.ID)
	}}
	for key, o := range collect(t, e.Generate(context.Background(), Prompts(p), s)) {
		if texts[key[1]] != o.Text || !slices.Equal(ids[key[1]], o.IDs) {
			t.Errorf("sample %d: streamed %q %v, returned %q %v", key[1], texts[key[1]], ids[key[1]], o.Text, o.IDs)
		}
	}
}

func TestInOrder(t *testing.T) {
	e := openGolden(t, "tiny", Options{MaxBatch: 5})
	var prompts []*Prompt
	for _, c := range goldenCases(t, "tiny") {
		prompts = append(prompts, c.prompt(t, e))
	}
	next := [2]int{}
	for s, err := range InOrder(e.Generate(context.Background(), Prompts(prompts...), Sampling{N: 3, Temperature: 1, MaxTokens: 25}), 3) {
		if err != nil {
			t.Fatal(err)
		}
		if [2]int{s.Prompt, s.Sample} != next {
			t.Fatalf("got sample %d of prompt %d, want %v", s.Sample, s.Prompt, next)
		}
		if next[1]++; next[1] == 3 {
			next = [2]int{next[0] + 1, 0}
		}
	}
	if next != [2]int{len(prompts), 0} {
		t.Errorf("ended at %v", next)
	}
}

func TestBadRequests(t *testing.T) {
	e := openGolden(t, "tiny", Options{})
	p := goldenCases(t, "tiny")[0].prompt(t, e)
	image, err := e.Images().Load(testdata.Path(t, "golden", "pictures", "a8x8.png"))
	if err != nil {
		t.Fatal(err)
	}
	prompts := []struct {
		name string
		ids  []int32
		n    int // pictures
		want string
	}{
		{"empty", nil, 0, "empty"},
		{"negative", []int32{1, -1}, 0, "position 1"},
		{"beyond the vocabulary", []int32{640}, 0, "640"},
		{"image token without picture", []int32{1, 612}, 0, "no picture"},
		{"picture without image token", []int32{1, 2}, 1, "1"},
		{"too few image tokens", []int32{609, 612, 612, 610}, 1, "image tokens"},
		{"video", []int32{613}, 0, "video"},
		{"longer than the context", make([]int32, 4096), 0, "4096"},
	}
	for _, test := range prompts {
		_, err := e.PromptFromIDs(test.ids, slices.Repeat([]*imageproc.Image{image}, test.n))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error about %q", test.name, err, test.want)
		}
	}
	completions := []struct {
		name string
		ids  []int32
		ban  Ban
		want string
	}{
		{"banned", []int32{1, 612}, BanVision, "612"},
		{"without a token", []int32{639}, BanVision, "639"},
		{"out of range", []int32{1, 2, 640}, BanNone, "position 2"},
		{"too long", make([]int32, 4090), BanNone, "context"},
	}
	for _, test := range completions {
		var got error
		for _, err := range e.Score(context.Background(), Completions(Completion{p, []int32{5}}, Completion{p, test.ids}), Scoring{Ban: test.ban}) {
			if err != nil {
				got = err
			}
		}
		var pe *PromptError
		if !errors.As(got, &pe) || pe.Prompt != 1 || !strings.Contains(got.Error(), test.want) {
			t.Errorf("%s: got %v, want a PromptError of completion 1 about %q", test.name, got, test.want)
		}
	}
	for _, s := range []Sampling{{N: -1}, {Temperature: -1}, {Temperature: math.NaN()}, {TopP: 1.5}, {MinP: -0.1}, {TopK: -2}, {MaxTokens: -1}, {Stop: []int32{640}}, {Ban: 7}} {
		var got error
		for _, err := range e.Generate(context.Background(), Prompts(p), s) {
			got = err
		}
		if got == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
	e.Close()
	for _, err := range e.Generate(context.Background(), Prompts(p), Sampling{}) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	}
}

// With ban none the policy may write image tokens; they are ids like any other.
func TestUnbanned(t *testing.T) {
	e := openGolden(t, "tiny", Options{PrefillChunk: 16})
	c := goldenCases(t, "tiny")[1]
	p := c.prompt(t, e)
	ids := []int32{5, 612, 639, 609, 612, 612, 7}
	for s, err := range e.Score(context.Background(), Completions(Completion{p, ids}), Scoring{Ban: BanNone}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range s.LogProbs {
			if !(l <= 0) || math.IsInf(float64(l), 0) {
				t.Errorf("log-probs %v", s.LogProbs)
			}
		}
	}
}
