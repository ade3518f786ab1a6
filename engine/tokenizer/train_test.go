package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// naiveMerges is the definition of training: all pairs of all words are counted
// anew for each merge.
func naiveMerges(corpus []string, vocabSize, minCount int) []string {
	b := newByteBuilder()
	words := countWords(b, slices.Values(corpus))
	var merges []string
	for len(b.tokens) < vocabSize {
		counts := make(map[[2]int32]int64)
		for _, w := range words {
			for k := 1; k < len(w.ids); k++ {
				counts[[2]int32{w.ids[k-1], w.ids[k]}] += w.count
			}
		}
		best, most := [2]int32{}, int64(0)
		for p, n := range counts {
			if n < int64(minCount) {
				continue
			}
			if n > most || n == most && (p[0] < best[0] || p[0] == best[0] && p[1] < best[1]) {
				best, most = p, n
			}
		}
		if most == 0 {
			break
		}
		left, right := b.tokens[best[0]], b.tokens[best[1]]
		id := int32(len(b.tokens))
		b.set(id, left+right)
		merges = append(merges, left+" "+right)
		for i, w := range words {
			var ids []int32
			for k := 0; k < len(w.ids); k++ {
				if k+1 < len(w.ids) && w.ids[k] == best[0] && w.ids[k+1] == best[1] {
					ids = append(ids, id)
					k++
				} else {
					ids = append(ids, w.ids[k])
				}
			}
			words[i].ids = ids
		}
	}
	return merges
}

// randomTexts returns texts of few letters, so that pairs tie and repeat, with what
// else the pre-tokenizer tells apart.
func randomTexts(rng *rand.Rand) []string {
	letters := []rune("aaab é的\n '1-")
	if rng.IntN(2) == 0 {
		letters = []rune("abc ")
	}
	texts := make([]string, 1+rng.IntN(8))
	for i := range texts {
		var b strings.Builder
		for range rng.IntN(120) {
			switch rng.IntN(60) {
			case 0:
				b.WriteString("<|im_end|>")
			case 1:
				b.WriteString("e\u0301")
			case 2:
				b.WriteByte(0xFF)
			default:
				b.WriteRune(letters[rng.IntN(len(letters))])
			}
		}
		texts[i] = b.String()
	}
	return texts
}

func train(tb testing.TB, corpus []string, o TrainOptions) *Tokenizer {
	tb.Helper()
	tok, err := Train(slices.Values(corpus), o)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

// checkTrained compares a training with its definition.
func checkTrained(t *testing.T, corpus []string, o TrainOptions) {
	t.Helper()
	tok := train(t, corpus, o)
	if got, want := tok.mergeList(), naiveMerges(corpus, o.VocabSize, cmp.Or(o.MinCount, 2)); !slices.Equal(got, want) {
		t.Fatalf("%q, %+v:\nmerges %q\nwant   %q", corpus, o, got, want)
	}
	base := 256 + tok.merges.n // no two merges make the same token
	if got := tok.VocabSize(); got != base+len(qwen2Added) {
		t.Errorf("%d ids, want %d and %d added ones", got, base, len(qwen2Added))
	}
	for _, e := range tok.merges.entries {
		if e.rank >= 0 && e.id != 256+e.rank {
			t.Errorf("merge %d makes id %d", e.rank, e.id)
		}
	}
	for _, text := range corpus {
		if got, want := tok.Decode(tok.Encode(text), false), tok.normalizer.string(validString(text)); got != want {
			t.Errorf("%+q decodes to %+q, want %+q", text, got, want)
		}
		normal := tok.normalizer.string(validString(text))
		if got := tok.Decode(tok.EncodeOrdinary(text), false); got != normal {
			t.Errorf("%+q decodes to %+q, want %+q", text, got, normal)
		}
	}
}

func TestTrainEqualsNaive(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 0))
		checkTrained(t, append(randomTexts(rng), "x"), TrainOptions{VocabSize: 256 + rng.IntN(80), MinCount: 2 + rng.IntN(3), Fewer: true})
	}
}

// The words end as the encoder cuts them, so that what was counted is what is used.
func TestTrainedWordsAreEncoded(t *testing.T) {
	seeds := uint64(50)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		corpus := append(randomTexts(rand.New(rand.NewPCG(seed, 1))), strings.Repeat("ab", 40), "aaaaaaaaaaa aaaaaaa")
		b := newByteBuilder()
		words := countWords(b, slices.Values(corpus))
		texts := make([]string, len(words))
		for i, w := range words {
			for _, id := range w.ids {
				texts[i] += string(b.letters.decode(nil, b.tokens[id]))
			}
		}
		tr := newTrainer(b, words)
		for b.base < 320 {
			p, ok := tr.next(2)
			if !ok {
				break
			}
			tr.merge(p)
		}
		counts := make(map[[2]int32]int64)
		for _, w := range words {
			for k := 1; k < len(w.ids); k++ {
				counts[[2]int32{w.ids[k-1], w.ids[k]}] += w.count
			}
		}
		for key, p := range tr.pairs {
			if p.count != counts[key] {
				t.Errorf("seed %d: the pair %d is counted %d times, it occurs %d times", seed, key, p.count, counts[key])
			}
			delete(counts, key)
		}
		if len(counts) > 0 {
			t.Errorf("seed %d: the pairs %v are not counted", seed, counts)
		}
		tok := b.tokenizer()
		for i, w := range words {
			if got := tok.appendWord(nil, texts[i]); !slices.Equal(got, w.ids) {
				t.Errorf("seed %d: %q is encoded as %v, trained as %v", seed, texts[i], got, w.ids)
			}
		}
	}
}

// Neither the order of the texts nor their number matters.
func TestTrainIsAFunctionOfTheWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var corpus []string
	for range 20 {
		corpus = append(corpus, randomTexts(rng)...)
	}
	o := TrainOptions{VocabSize: 400}
	want := train(t, corpus, o).mergeList()
	for range 5 {
		rng.Shuffle(len(corpus), func(i, j int) { corpus[i], corpus[j] = corpus[j], corpus[i] })
		if got := train(t, corpus, o).mergeList(); !slices.Equal(got, want) {
			t.Fatalf("merges %q, in another order of the texts %q", got, want)
		}
	}
	joined := []string{strings.Join(corpus, "<|endoftext|>")}
	if got := train(t, joined, o).mergeList(); !slices.Equal(got, want) {
		t.Errorf("merges %q, of one text %q", got, want)
	}
}

func TestTrainTies(t *testing.T) {
	// The characters of é, Ã and ©, have higher ids than letters.
	for _, test := range []struct {
		corpus []string
		want   []string
	}{
		{[]string{"ba", "ba", "ac", "ac", "ab", "ab"}, []string{"a b", "a c", "b a"}},
		{[]string{"ab", "ab", "ba", "ba", "ba"}, []string{"b a", "a b"}},
		{[]string{"é", "é", "ab", "ab"}, []string{"a b", "Ã ©"}},
		{[]string{"aaa", "bc", "bc"}, []string{"a a", "b c"}}, // overlapping pairs count
		{[]string{"aaaa", "aaaa"}, []string{"a a", "aa aa"}},
		{[]string{"a<|im_end|>b", "a<|im_end|>b", "<|im_start|>", "<|im_start|>"}, nil},
	} {
		if got := train(t, test.corpus, TrainOptions{VocabSize: 300, Fewer: true}).mergeList(); !slices.Equal(got, test.want) {
			t.Errorf("%q: merges %q, want %q", test.corpus, got, test.want)
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	none := func(yield func(string) bool) {}
	some := slices.Values([]string{"abab abab"})
	for _, test := range []struct {
		name   string
		corpus iter.Seq[string]
		o      TrainOptions
		want   string
	}{
		{"no texts", none, TrainOptions{VocabSize: 300}, "corpus is empty"},
		{"empty texts", slices.Values([]string{"", ""}), TrainOptions{VocabSize: 300}, "corpus is empty"},
		{"added tokens only", slices.Values([]string{"<|im_end|>"}), TrainOptions{VocabSize: 300}, "corpus is empty"},
		{"no size", some, TrainOptions{}, "0 tokens does not hold the 256 bytes"},
		{"small", some, TrainOptions{VocabSize: 255}, "255 tokens does not hold the 256 bytes"},
		{"large", some, TrainOptions{VocabSize: maxID + 1 - 21}, "too large: at most 1048554 and 22 added"},
		{"count", some, TrainOptions{VocabSize: 300, MinCount: -1}, "-1 times"},
		{"short", some, TrainOptions{VocabSize: 300}, "gives 258 tokens of the 300 asked for: no other pair occurs 2 times"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tok, err := Train(test.corpus, test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) || tok != nil {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			var short *ShortCorpusError
			if errors.As(err, &short) != (test.name == "short") {
				t.Errorf("error %#v", err)
			}
		})
	}
	tok := train(t, []string{"a"}, TrainOptions{VocabSize: 256})
	if got := tok.VocabSize(); got != 278 {
		t.Errorf("%d ids, want 278", got)
	}
}

func TestTrainedTokensAreQwen2s(t *testing.T) {
	released := released(t)
	tok := train(t, []string{"ab ab"}, TrainOptions{VocabSize: 257})
	for i, content := range qwen2Added {
		id, ok := tok.ID(content)
		if want := int32(257 + i); !ok || id != want {
			t.Errorf("%s has id %d, want %d", content, id, want)
		}
		want, ok := released.ID(content)
		if !ok || want != int32(151643+i) || tok.IsSpecial(id) != released.IsSpecial(want) {
			t.Errorf("%s: special %t; the released tokenizer has it as %d, special %t", content, tok.IsSpecial(id), want, released.IsSpecial(want))
		}
	}
	for id := range int32(256) {
		got, _ := tok.Token(id)
		if want, _ := released.Token(id); got != want {
			t.Errorf("id %d is %q, in the released vocabulary %q", id, got, want)
		}
	}
	if got, want := tok.Encode("<|im_end|>ab"), []int32{259, 256}; !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v", got, want)
	}
}

func FuzzTrain(f *testing.F) {
	f.Add("abab abab aaaa", "e\u0301\xff<|im_end|>", uint8(20), uint8(2))
	f.Add(strings.Repeat("lo", 60), "  \n\n x", uint8(255), uint8(1))
	f.Fuzz(func(t *testing.T, a, b string, merges, minCount uint8) {
		if len(a)+len(b) > 1000 {
			return // the naive trainer is quadratic
		}
		checkTrained(t, []string{a, b, "x"}, TrainOptions{VocabSize: 256 + int(merges), MinCount: 1 + int(minCount%4), Fewer: true})
	})
}

// trainingText is real answers.
func trainingText(b *testing.B) []string {
	type answer struct {
		Response string `json:"response"`
	}
	var texts []string
	for _, a := range readLines[answer](b, testdata.Path(b, "mathvision", "graded_outputs.jsonl")) {
		texts = append(texts, a.Response)
	}
	return texts
}

func BenchmarkTrain(b *testing.B) {
	texts := trainingText(b)
	bytes := 0
	for _, t := range texts {
		bytes += len(t)
	}
	for _, size := range []int{1000, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for b.Loop() {
				train(b, texts, TrainOptions{VocabSize: size})
			}
		})
	}
}
