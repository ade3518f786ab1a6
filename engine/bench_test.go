package engine

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkGenerate times rollouts of the golden checkpoints: one prompt with a picture, samples of 64 ids.
func BenchmarkGenerate(b *testing.B) {
	for _, name := range goldenModels {
		for _, dtype := range []DType{F32, BF16} {
			for _, n := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("model=%s/dtype=%v/n=%d", name, dtype, n), func(b *testing.B) {
					e := openGolden(b, name, Options{DType: dtype})
					p := goldenCases(b, name)[1].prompt(b, e)
					before := e.Stats()
					for b.Loop() {
						for _, err := range e.Generate(context.Background(), Prompts(p), Sampling{N: n, Temperature: 1, MaxTokens: 64, IgnoreEOS: true}) {
							if err != nil {
								b.Fatal(err)
							}
						}
					}
					s := e.Stats()
					b.ReportMetric(float64(s.DecodeTokens-before.DecodeTokens)/(s.DecodeSeconds-before.DecodeSeconds), "decode-tok/s")
					b.ReportMetric(float64(s.PrefillTokens-before.PrefillTokens)/(s.PrefillSeconds-before.PrefillSeconds), "prefill-tok/s")
					b.ReportMetric(float64(s.VisionPatches-before.VisionPatches)/(s.VisionSeconds-before.VisionSeconds), "patches/s")
				})
			}
		}
	}
}

// BenchmarkScore times scoring: the golden completions of every case.
func BenchmarkScore(b *testing.B) {
	for _, name := range goldenModels {
		e := openGolden(b, name, Options{})
		var in []Completion
		tokens := 0
		for _, c := range goldenCases(b, name) {
			p := c.prompt(b, e)
			for _, k := range c.Completions {
				in = append(in, Completion{p, k.IDs})
				tokens += len(p.IDs) + len(k.IDs)
			}
		}
		b.Run("model="+name, func(b *testing.B) {
			for b.Loop() {
				for _, err := range e.Score(context.Background(), Completions(in...), Scoring{Ban: BanNone}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
