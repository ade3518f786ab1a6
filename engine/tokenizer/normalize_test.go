package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// The expected values are those of Hugging Face tokenizers 0.22.1.
func TestNormalize(t *testing.T) {
	tests := []struct {
		name, in, want string
	}{
		{"composes", "e\u0301", "é"},
		{"orders", "a\u0307\u0323", "\u1ea1\u0307"},
		{"blocked by a class", "\u1e9b\u0323", "\u1e9b\u0323"},
		{"mark without a starter", "\u0308\u0301a", "\u0308\u0301a"},
		{"decomposes for good", "\u0344", "\u0308\u0301"},
		{"singletons", "\u212b\u2126", "ÅΩ"},
		{"compatibility ideograph", "\uf900", "\u8c48"},
		{"excluded from composition", "\u0958", "\u0915\u093c"},
		{"three parts", "\u0cc6\u0cc2\u0cd5", "\u0ccb"},
		{"Hangul", "\u1100\u1161\u11a8", "\uac01"},
		{"Hangul syllable and final", "\uac00\u11a8", "\uac01"},
		{"Hangul, more vowels than one", "\u1100" + strings.Repeat("\u1161", 40), "\uac00" + strings.Repeat("\u1161", 39)},
		{"mark of Unicode 16", "a\u0897\u0323", "a\u0897\u0323"},
		{"mark of Unicode 14", "a\u1dfa\u0323\u0301", "a\u1dfa\u0323\u0301"},
		{"composition of Unicode 13", "\U00011935\U00011930", "\U00011935\U00011930"},
		{"composition of Unicode 16", "\U000105d2\u0307", "\U000105d2\u0307"},
		{"composition of Unicode 5", "\U00011099\U000110ba", "\U0001109a"},
		{"symbol of Unicode 11", "a\U0001f970\u0301", "a\U0001f970\u0301"},
		{"many marks to compose", "a" + strings.Repeat("\u0323\u0301", 40), "\u1ea1" + strings.Repeat("\u0323", 39) + strings.Repeat("\u0301", 40)},
		{"many marks to order", "q" + strings.Repeat("\u0301\u0323", 40), "q" + strings.Repeat("\u0323", 40) + strings.Repeat("\u0301", 40)},
	}
	n := newNormalizer()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := n.string(test.in); got != test.want {
				t.Errorf("%+q: got %+q, want %+q", test.in, got, test.want)
			}
			padded := "0" + test.in + "\u4e00"
			if got, want := n.string(padded), "0"+test.want+"\u4e00"; got != want {
				t.Errorf("%+q: got %+q, want %+q", padded, got, want)
			}
		})
	}
}

// TestNormalizeLongSegment holds the general algorithm against package norm where
// that follows the standard.
func TestNormalizeLongSegment(t *testing.T) {
	pool := []rune("aAeoqÅệ\u0300\u0301\u0307\u0308\u0323\u0328\u0338\u0344\u0345\u05b0\u3099\u0b47\u0b3e\u0b56" +
		"\u1100\u1112\u1161\u1175\u11a8\u11c2\uac00\uac01\ud7a3かは\u0f71\u0f72\u0f74\u1025\u102e")
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		runes := make([]rune, rng.IntN(safeRunes+1))
		for i := range runes {
			runes[i] = pool[rng.IntN(len(pool))]
		}
		s := string(runes)
		if got, want := string(appendLongSegment(nil, s)), norm.NFC.String(s); got != want {
			t.Fatalf("%+q: got %+q, want %+q", s, got, want)
		}
	}
}
