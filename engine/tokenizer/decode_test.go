package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// invalid holds ill-formed sequences with what Rust's from_utf8_lossy and Python's
// errors="replace" make of them.
var invalid = []struct {
	name, in, want string
}{
	{"nothing", "", ""},
	{"valid", "aé中😀", "aé中😀"},
	{"continuation", "a\x80b", "a\uFFFDb"},
	{"two continuations", "\x80\xbf", "\uFFFD\uFFFD"},
	{"short of two", "\xc3", "\uFFFD"},
	{"short of three", "\xe4\xb8", "\uFFFD"},
	{"short of four", "\xf0\x9f\x98", "\uFFFD"},
	{"cut by a letter", "\xf0\x9f\x98a", "\uFFFDa"},
	{"cut by a start", "\xe4\xb8\xe4\xb8\xad", "\uFFFD中"},
	{"overlong of two", "\xc0\x80", "\uFFFD\uFFFD"},
	{"overlong of three", "\xe0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
	{"overlong of four", "\xf0\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
	{"surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
	{"above the last", "\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
	{"no start", "\xf5\xff", "\uFFFD\uFFFD"},
	{"Unicode Standard, table 3-8", "a\xf1\x80\x80\xe1\x80\xc2b\x80c\x80\xbfd", "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd"},
}

// byteIDs returns an id for each byte.
func byteIDs(tok *Tokenizer, s string) []int32 {
	var ids []int32
	for i := range len(s) {
		ids = append(ids, tok.byteIDs[s[i]])
	}
	return ids
}

func TestInvalidUTF8(t *testing.T) {
	tok := mini(t)
	for _, test := range invalid {
		t.Run(test.name, func(t *testing.T) {
			if got := tok.Decode(byteIDs(tok, test.in), false); got != test.want {
				t.Errorf("Decode = %q, want %q", got, test.want)
			}
			if got := tok.Decode(tok.Encode(test.in), false); got != test.want {
				t.Errorf("Decode(Encode) = %q, want %q", got, test.want)
			}
			if got := tok.Decode(tok.EncodeOrdinary(test.in), false); got != test.want {
				t.Errorf("Decode(EncodeOrdinary) = %q, want %q", got, test.want)
			}
			if got := stream(tok, byteIDs(tok, test.in), false); got != test.want {
				t.Errorf("Decoder = %q, want %q", got, test.want)
			}
		})
	}
}

func stream(tok *Tokenizer, ids []int32, skipSpecial bool) string {
	d := tok.NewDecoder(skipSpecial)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Next(id))
	}
	return b.String() + d.Flush()
}

func TestDecode(t *testing.T) {
	tok := mini(t)
	hello, _ := tok.ID("hello")
	tests := []struct {
		name        string
		ids         []int32
		skip        bool
		want        string
		wantVisible string
	}{
		{"none", nil, false, "", ""},
		{"special", []int32{hello, 272, 273, 271}, false, "hello<|im_end|><tool_call><|endoftext|>", "hello<tool_call>"},
		{"without a token", []int32{-1, hello, 274, 1 << 30, -1 << 31}, false, "hello", "hello"},
		{"special within a character", []int32{tok.byteIDs[0xc3], 272, tok.byteIDs[0xa9]}, false, "\uFFFD<|im_end|>\uFFFD", "é"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := tok.Decode(test.ids, false); got != test.want {
				t.Errorf("Decode = %q, want %q", got, test.want)
			}
			if got := tok.Decode(test.ids, true); got != test.wantVisible {
				t.Errorf("Decode without special tokens = %q, want %q", got, test.wantVisible)
			}
		})
	}
}

func TestDecoder(t *testing.T) {
	tok := mini(t)
	d := tok.NewDecoder(true)
	var got []string
	for _, id := range byteIDs(tok, "aé😀\xe4\xb8") {
		got = append(got, d.Next(id))
	}
	got = append(got, d.Flush(), d.Next(tok.byteIDs['b']), d.Flush())
	want := []string{"a", "", "é", "", "", "", "😀", "", "", "\uFFFD", "b", ""}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDecoderRandom checks that the pieces of a stream are valid and add up.
func TestDecoderRandom(t *testing.T) {
	tok := mini(t)
	rng := rand.New(rand.NewPCG(9, 10))
	for range 5000 {
		ids := make([]int32, rng.IntN(12))
		for i := range ids {
			ids[i] = int32(rng.IntN(tok.VocabSize()+2)) - 1
			if rng.IntN(2) == 0 { // bytes of long sequences
				ids[i] = tok.byteIDs[0x80+rng.IntN(0x80)]
			}
		}
		skip := rng.IntN(2) == 0
		got, want := stream(tok, ids, skip), tok.Decode(ids, skip)
		if got != want || !utf8.ValidString(got) {
			t.Fatalf("%v: Decoder = %q, Decode = %q", ids, got, want)
		}
	}
}
