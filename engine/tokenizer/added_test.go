package tokenizer

import (
	"strings"
	"testing"
)

// The expected tokens are those of Hugging Face tokenizers 0.22.1.
func TestAddedTokens(t *testing.T) {
	x := func(set func(*miniToken)) []miniToken {
		token := miniToken{Content: "<x>"}
		set(&token)
		return []miniToken{token}
	}
	tests := []struct {
		name   string
		tokens []miniToken
		cases  map[string]string // text: tokens joined by |
	}{
		{"plain", x(func(*miniToken) {}), map[string]string{
			"a <x> b": "a|Ġ|<x>|Ġ|b", "<x><x>": "<x>|<x>", "<x": "<|x", "<<x>>": "<|<x>|>", "": "",
		}},
		{"lstrip", x(func(t *miniToken) { t.LStrip = true }), map[string]string{
			"a \n<x> b": "a|<x>|Ġ|b", "<x>  <x>": "<x>|<x>", "\u00a0<x>": "<x>",
		}},
		{"rstrip", x(func(t *miniToken) { t.RStrip = true }), map[string]string{
			"a <x> \n b": "a|Ġ|<x>|b", "<x>  <x>": "<x>|<x>", "<x>\u3000": "<x>",
		}},
		{"lstrip and rstrip", x(func(t *miniToken) { t.LStrip, t.RStrip = true, true }), map[string]string{
			"a <x>  <x> b": "a|<x>|<x>|b",
		}},
		{"single_word", x(func(t *miniToken) { t.SingleWord = true }), map[string]string{
			"a<x>": "a|<|x|>", "<x>b": "<|x|>|b", " <x> ": "Ġ|<x>|Ġ", "_<x>": "_|<|x|>", "1<x>": "1|<|x|>",
			"\u0301<x>": "Ì|ģ|<|x|>", "-<x>-": "-|<x>|-", "<x><x>": "<x>|<x>", "\u200d<x>": "â|Ģ|į|<|x|>",
		}},
		{"longest", []miniToken{{Content: "ab"}, {Content: "abcd"}, {Content: "bcx"}}, map[string]string{
			"abc": "ab|c", "abcd": "abcd", "abcx": "ab|c|x", "xbcx": "x|bcx", "aabcdab": "a|abcd|ab",
		}},
		{"normalized", []miniToken{{Content: "é<", Normalized: true}}, map[string]string{
			"ae\u0301<b": "a|é<|b", "aé<b": "a|é<|b",
		}},
		{"verbatim", []miniToken{{Content: "é<"}}, map[string]string{
			"ae\u0301<b": "a|Ã©|<|b", "aé<b": "a|é<|b",
		}},
		{"verbatim before normalized", []miniToken{{Content: "ab", Normalized: true}, {Content: "bc"}}, map[string]string{
			"abc": "a|bc",
		}},
		{"tokens of white space", []miniToken{{Content: "<x>", RStrip: true}, {Content: "  "}, {Content: " y", LStrip: true}}, map[string]string{
			"<x>   y": "<x>|  | y", "<x>    hello": "<x>|  |  |hello", "a   y": "a|  | y",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok := mini(t, test.tokens...)
			for text, want := range test.cases {
				var got []string
				for _, id := range tok.Encode(text) {
					token, ok := tok.Token(id)
					if !ok {
						t.Errorf("%q: id %d has no token", text, id)
					}
					got = append(got, token)
				}
				if got := strings.Join(got, "|"); got != want {
					t.Errorf("%q gives %s, want %s", text, got, want)
				}
			}
		})
	}
}

func TestEncodeOrdinary(t *testing.T) {
	tok := mini(t)
	text := "hello<|im_end|><tool_call>"
	for _, id := range tok.EncodeOrdinary(text) {
		if id >= 271 {
			t.Errorf("EncodeOrdinary gives the added token %d", id)
		}
	}
	if got := tok.Decode(tok.EncodeOrdinary(text), true); got != text {
		t.Errorf("decodes to %q, want %q", got, text)
	}
	for _, ids := range [][]int32{tok.Encode(""), tok.EncodeOrdinary("")} {
		if ids == nil || len(ids) != 0 {
			t.Errorf("empty text gives %v", ids)
		}
	}
}
