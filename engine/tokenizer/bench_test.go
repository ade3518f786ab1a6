package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// benchTexts are real answers, scripts other than Latin, and words that no space
// ends.
func benchTexts(b *testing.B) map[string]string {
	type answer struct {
		Response string `json:"response"`
	}
	var english strings.Builder
	for _, a := range readLines[answer](b, testdata.Path(b, "mathvision", "graded_outputs.jsonl")) {
		english.WriteString(a.Response)
		english.WriteByte('\n')
	}
	rng := rand.New(rand.NewPCG(1, 2))
	letters := make([]byte, 1<<20)
	for i := range letters {
		letters[i] = byte('a' + rng.IntN(26))
	}
	return map[string]string{
		"english":    english.String(),
		"chinese":    strings.Repeat("提供了可以轻松地下载并且训练先进的预训练模型的工具。", 4000),
		"decomposed": strings.Repeat("cafe\u0301 nin\u0303o Viê\u0323t ", 10000),
		"oneWord":    string(letters),
		"sameLetter": strings.Repeat("a", 1<<20),
		"brackets":   strings.Repeat("<", 1<<20),
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := released(b)
	for name, text := range benchTexts(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(text)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := released(b)
	for name, text := range benchTexts(b) {
		ids := tok.Encode(text)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Decode(ids, true)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := testdata.Path(b, "qwen2.5-vl-3b")
	b.ReportAllocs()
	for b.Loop() {
		load(b, dir)
	}
}
