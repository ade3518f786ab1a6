package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkLoaded uses a tokenizer that hostile files may have made.
func checkLoaded(t *testing.T, tok *Tokenizer) {
	if tok.VocabSize() > maxID+1 {
		t.Errorf("VocabSize = %d", tok.VocabSize())
	}
	for _, text := range []string{"", "hello world's <|im_end|> e\u0301 \xff", strings.Repeat("ab", maxShort)} {
		for _, id := range tok.Encode(text) {
			if !tok.HasToken(id) {
				t.Errorf("%q gives %d, which has no token", text, id)
			}
		}
		want := tok.normalizer.string(validString(text))
		if got := tok.Decode(tok.EncodeOrdinary(text), false); got != want {
			t.Errorf("%q decodes to %q", text, got)
		}
	}
}

// fuzzError accepts errors that name the file and are short.
func fuzzError(t *testing.T, err error, files ...string) {
	named := slices.ContainsFunc(files, func(name string) bool { return strings.Contains(err.Error(), name) })
	if !named || len(err.Error()) > 8*maxContent {
		t.Errorf("error %q", err)
	}
}

func FuzzTokenizerJSON(f *testing.F) {
	m := miniJSON()
	f.Add([]byte(marshal(m)), []byte(`{"added_tokens_decoder": {"274": {"content": "<x>"}}}`))
	m["post_processor"] = textTemplate()
	m["normalizer"] = object{"type": "Sequence", "normalizers": []any{object{"type": "NFC"}}}
	m["added_tokens"] = []any{miniToken{ID: 271, Content: "é", LStrip: true, RStrip: true, SingleWord: true, Normalized: true}}
	f.Add([]byte(marshal(m)), []byte("{}"))
	f.Add([]byte(`{"model": {"vocab": {"a": 0, "\u0061": 1}, "merges": ["a a"]}}`), []byte(`{"eos_token": {"content": "x"}}`))
	f.Fuzz(func(t *testing.T, data, config []byte) {
		cfg, err := parseConfig(&file{"tokenizer_config.json", config})
		if err != nil {
			fuzzError(t, err, "tokenizer_config.json:")
			return
		}
		tok, err := fromTokenizerJSON(&file{"tokenizer.json", data}, cfg)
		if err != nil {
			fuzzError(t, err, "tokenizer.json:", "tokenizer_config.json:")
			return
		}
		checkLoaded(t, tok)
	})
}

func FuzzVocabulary(f *testing.F) {
	files := miniFiles()
	f.Add(files["vocab.json"], files["merges.txt"], `{"<|im_end|>": 271, "<x>": 272}`)
	f.Add(`{"!": 0, "\"": 1, "\u0022": 2, "a": 1048576}`, "a b\r\n\n# #\n", `{"": 5}`)
	f.Fuzz(func(t *testing.T, vocab, merges, added string) {
		tokens, err := parseAddedTokens(&file{"added_tokens.json", []byte(added)}, map[string]bool{"<|im_end|>": true})
		if err != nil {
			fuzzError(t, err, "added_tokens.json:")
			return
		}
		tok, err := fromVocabulary(&file{"vocab.json", []byte(vocab)}, &file{"merges.txt", []byte(merges)}, tokens)
		if err != nil {
			fuzzError(t, err, "vocab.json:", "merges.txt:", "added_tokens.json:")
			return
		}
		checkLoaded(t, tok)
	})
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{
		"", "hello world", "I'm they'LL '\u017f", "e\u0301 \u1100\u1161\u11a8 a\u1dfa\u0323", "<|im_end|><tool_call> <x>\t<x>",
		" \r\n\n x", "\xff\xf0\x9f\x98a", strings.Repeat("lo", 60), "q" + strings.Repeat("\u0301\u0323", 30), "\U00011935\U00011930 12½",
	} {
		f.Add(s)
	}
	tok := mini(f, miniToken{Content: "<x>", LStrip: true, RStrip: true}, miniToken{Content: "  ", RStrip: true, SingleWord: true},
		miniToken{Content: "é<", Normalized: true})
	f.Fuzz(func(t *testing.T, s string) {
		valid := validString(s)
		if !utf8.ValidString(valid) || utf8.ValidString(s) && valid != s {
			t.Fatalf("%q made valid is %q", s, valid)
		}
		normal := tok.normalizer.string(valid)
		if again := tok.normalizer.string(normal); again != normal {
			t.Errorf("%+q normalized twice is %+q", normal, again)
		}
		ordinary := tok.EncodeOrdinary(s)
		if got := tok.Decode(ordinary, false); got != normal {
			t.Errorf("%+q decodes to %+q, want %+q", s, got, normal)
		}
		ids := tok.Encode(s)
		if !slices.Equal(ids, tok.Encode(valid)) {
			t.Errorf("%q and %q have other ids", s, valid)
		}
		if !strings.ContainsAny(normal, "<é ") && !slices.Equal(ids, ordinary) {
			t.Errorf("%q has ids %v and, without added tokens, %v", s, ids, ordinary)
		}
		for text := normal; text != ""; {
			word := text[:tok.classes.word(text)]
			if len(word) <= maxShort && !slices.Equal(tok.appendShort(nil, word), tok.appendLong(nil, word)) {
				t.Errorf("%q: %v and %v", word, tok.appendShort(nil, word), tok.appendLong(nil, word))
			}
			text = text[len(word):]
		}
		if got, want := stream(tok, ids, true), tok.Decode(ids, true); got != want {
			t.Errorf("Decoder = %q, Decode = %q", got, want)
		}
	})
}
