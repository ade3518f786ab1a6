package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowMerge merges as the definition says, one pair after a search of all.
func slowMerge(t *Tokenizer, word string) []int32 {
	var ids []int32
	for _, b := range []byte(word) {
		ids = append(ids, t.byteIDs[b])
	}
	for {
		best, at := merge{rank: noRank}, -1
		for i := range len(ids) - 1 {
			if m := t.merges.of(ids[i], ids[i+1]); m.rank < best.rank {
				best, at = m, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, best.id)
	}
}

func TestMerge(t *testing.T) {
	tokenizers := map[string]*Tokenizer{"mini": mini(t)}
	t.Run("released", func(t *testing.T) { tokenizers["released"] = released(t) })
	alphabets := map[string]string{"few": "helowrd a", "one": "a", "text": "etaoin shrdlu'\n.,", "bytes": ""}
	rng := rand.New(rand.NewPCG(7, 8))
	for name, tok := range tokenizers {
		for alphabet, letters := range alphabets {
			for range 300 {
				word := make([]byte, 1+rng.IntN(maxShort))
				for i := range word {
					if word[i] = byte(rng.IntN(256)); letters != "" {
						word[i] = letters[rng.IntN(len(letters))]
					}
				}
				want := slowMerge(tok, string(word))
				for path, got := range map[string][]int32{
					"short":  tok.appendShort(nil, string(word)),
					"long":   tok.appendLong(nil, string(word)),
					"cold":   tok.appendWord(nil, string(word)),
					"cached": tok.appendWord(nil, string(word)),
				} {
					if !slices.Equal(got, want) {
						t.Fatalf("%s, %s letters, %s: %q gives %v, want %v", name, alphabet, path, word, got, want)
					}
				}
			}
		}
	}
}

func TestMergeOrder(t *testing.T) {
	tok := mini(t)
	tests := []struct {
		name, word string
		want       []string
	}{
		{"lower rank first", "hello", []string{"hello"}},
		{"leftmost of equals", "aaa", []string{"aaa"}},
		{"all pairs of a rank first", "aaaaa", []string{"aa", "aaa"}},
		{"pairs of pairs", "aaaa", []string{"aaaa"}},
		{"overlapping", "lll", []string{"ll", "l"}},
		{"nothing to merge", "xyz", []string{"x", "y", "z"}},
		{"bytes of a character", "é", []string{"Ã©"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, id := range tok.EncodeOrdinary(test.word) {
				token, _ := tok.Token(id)
				got = append(got, token)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q gives %q, want %q", test.word, got, test.want)
			}
		})
	}
}

// TestLongWord encodes words that a quadratic algorithm would take hours for.
func TestLongWord(t *testing.T) {
	tok := mini(t)
	const n = 1 << 18
	tests := []struct {
		name, text string
		ids        int
	}{
		{"one letter", strings.Repeat("a", n), n / 4},
		{"a word", strings.Repeat("hello", n/5), n / 5},
		{"nothing to merge", strings.Repeat("x", n), n},
		{"marks", "q" + strings.Repeat("\u0301\u0323", n/4), 1 + n},
		{"spaces", strings.Repeat(" ", n), n},
		{"newlines and spaces", strings.Repeat("\n ", n/2), n},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			ids := tok.EncodeOrdinary(test.text)
			if len(ids) != test.ids {
				t.Errorf("%d ids, want %d", len(ids), test.ids)
			}
			if got, want := tok.Decode(ids, false), tok.normalizer.string(test.text); got != want {
				t.Error("the ids do not decode to the text")
			}
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	tok := mini(t)
	text := "hello world <|im_end|>he'll e\u0301 " + strings.Repeat("lo", 100)
	want := tok.Encode(text)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 200 {
				tok.Encode(strings.Repeat("w", 1+(i*j)%maxShort))
				if got := tok.Encode(text); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
	wait.Wait()
}
