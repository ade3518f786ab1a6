package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/safetensors"
)

func TestTokenizeGolden(t *testing.T) {
	t.Parallel()
	type line struct {
		Messages            json.RawMessage `json:"messages,omitempty"`
		AddGenerationPrompt bool            `json:"add_generation_prompt"`
		AddVisionID         bool            `json:"add_vision_id"`
		Text                string          `json:"text"`
		IDs                 []int32         `json:"ids"`
	}
	model := testdata(t, "qwen2.5-vl-3b") // no weights, no tokenizer.json
	out := filepath.Join(t.TempDir(), "ids.jsonl")
	check := func(t *testing.T, want []line) {
		t.Helper()
		got := lines[line](t, readFile(t, out))
		if len(got) != len(want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		for i := range want {
			if !slices.Equal(got[i].IDs, want[i].IDs) {
				t.Errorf("line %d, %.60q: ids %v, want %v", i+1, want[i].Text, got[i].IDs, want[i].IDs)
			}
		}
	}
	t.Run("texts", func(t *testing.T) {
		in := testdata(t, "golden", "tokenizer", "ids.jsonl")
		mustRun(t, "", "tokenize", "--model", model, "--in", in, "--out", out)
		check(t, lines[line](t, readFile(t, in)))
	})
	chats := testdata(t, "golden", "tokenizer", "chats.jsonl")
	want := lines[line](t, readFile(t, chats))
	t.Run("chats", func(t *testing.T) {
		var in strings.Builder
		for _, l := range want {
			l := l
			type request struct { // without the text and the ids
				Messages            json.RawMessage `json:"messages"`
				AddGenerationPrompt bool            `json:"add_generation_prompt"`
				AddVisionID         bool            `json:"add_vision_id"`
			}
			in.WriteString(jsonLine(t, request{l.Messages, l.AddGenerationPrompt, l.AddVisionID}))
		}
		mustRun(t, in.String(), "tokenize", "--model", model, "--in", "-", "--out", out)
		check(t, want)
	})
	t.Run("chats with their text", func(t *testing.T) {
		mustRun(t, "", "tokenize", "--model", model, "--in", chats, "--out", out)
		check(t, want)
	})
	t.Run("tokenizer.json", func(t *testing.T) {
		for _, name := range someModels() {
			for _, c := range goldenCases(t, name) {
				if len(c.Images) > 0 {
					continue // their image tokens are expanded
				}
				stdout := mustRun(t, `{"messages": `+string(c.Messages)+`, "add_generation_prompt": true}`, "tokenize", "--model", testdata(t, "golden", name))
				if got := lines[line](t, stdout)[0].IDs; !slices.Equal(got, c.PromptIDs) {
					t.Errorf("%s/%s: %v, want %v", name, c.Name, got, c.PromptIDs)
				}
			}
		}
	})
}

func TestPreprocessGolden(t *testing.T) {
	t.Parallel()
	type budget struct {
		MinPixels   int      `json:"min_pixels"`
		MaxPixels   int      `json:"max_pixels"`
		Grid        [3]int64 `json:"grid_thw"`
		PixelValues string   `json:"pixel_values_sha256"`
	}
	pictures := lines[struct {
		File    string   `json:"file"`
		Exact   bool     `json:"exact"`
		Budgets []budget `json:"budgets"`
	}](t, readFile(t, testdata(t, "golden", "images", "images.jsonl")))
	if testing.Short() {
		for i := range (len(pictures) + 3) / 4 {
			pictures[i] = pictures[4*i]
		}
		pictures = pictures[:(len(pictures)+3)/4]
	}
	model, out := testdata(t, "qwen2.5-vl-3b"), filepath.Join(t.TempDir(), "pixels.safetensors")

	// All pictures of a budget go into one file.
	for i, b := range pictures[0].Budgets {
		if i > 0 && testing.Short() {
			break
		}
		args := []string{"preprocess", "--model", model, "--min-pixels", fmt.Sprint(b.MinPixels), "--max-pixels", fmt.Sprint(b.MaxPixels), "--out", out}
		for _, p := range pictures {
			dir := "images"
			if strings.HasPrefix(p.File, "../") {
				dir = "."
			}
			args = append(args, filepath.Join(testdata(t, "golden", dir), filepath.FromSlash(p.File)))
		}
		mustRun(t, "", args...)
		f, err := safetensors.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		grids, err := f.Int64s("image_grid_thw")
		if err != nil {
			t.Fatal(err)
		}
		values, _ := f.Lookup("pixel_values")
		if len(grids) != 3*len(pictures) || len(values.Shape) != 2 || values.Shape[1] != 1176 || values.DType != safetensors.F32 {
			t.Fatalf("%d grid values of %d pictures, pixel_values %s %v", len(grids), len(pictures), values.DType, values.Shape)
		}
		at := int64(0)
		for k, p := range pictures {
			want := p.Budgets[i]
			got := [3]int64(grids[3*k:])
			if got != want.Grid {
				t.Fatalf("%s: grid %v, want %v", p.File, got, want.Grid)
			}
			data := make([]byte, 4*1176*got[0]*got[1]*got[2])
			if err := f.ReadAt("pixel_values", data, at); err != nil {
				t.Fatal(err)
			}
			at += int64(len(data))
			sum := sha256.Sum256(data)
			if p.Exact && hex.EncodeToString(sum[:]) != want.PixelValues {
				t.Errorf("%s at %d to %d pixels: pixel values differ from the reference's", p.File, want.MinPixels, want.MaxPixels)
			}
		}
		if at != values.Bytes() {
			t.Errorf("the grids have %d bytes of pixel values, the file %d", at, values.Bytes())
		}
	}
}

func maxDifference(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var m float64
	for i := range got {
		m = max(m, math.Abs(float64(got[i])-want[i]))
	}
	return m
}

func TestScoreGolden(t *testing.T) {
	t.Parallel()
	const bound = 1e-4
	for _, name := range someModels() {
		cases := goldenCases(t, name)
		var messages, ids strings.Builder
		for _, c := range cases {
			for _, k := range c.Completions {
				messages.WriteString(jsonLine(t, map[string]any{"name": c.Name, "messages": c.Messages, "completion_ids": k.IDs}))
				ids.WriteString(jsonLine(t, map[string]any{"id": 7, "prompt_ids": c.PromptIDs, "images": c.Images, "completion_ids": k.IDs}))
			}
		}
		variants := []struct {
			name string
			in   string
			args []string
			want func(c *goldenCase, k int) []float64
		}{
			{"plain", messages.String(), []string{"--ban", "none"}, func(c *goldenCase, k int) []float64 { return c.Completions[k].LogProbs }},
			{"plain, from ids", ids.String(), []string{"--ban", "none"}, func(c *goldenCase, k int) []float64 { return c.Completions[k].LogProbs }},
			{"temperature 0 counts as 1", ids.String(), []string{"--ban", "none", "--temperature", "0"}, func(c *goldenCase, k int) []float64 { return c.Completions[k].LogProbs }},
			{"temperature", messages.String(), []string{"--ban", "none", "--temperature", "0.8"}, func(c *goldenCase, k int) []float64 { return c.Completions[k].Cooler }},
			{"ban", messages.String(), nil, func(c *goldenCase, k int) []float64 { return c.Completions[k].Banned }},
		}
		if testing.Short() {
			variants = variants[:2]
		}
		for _, v := range variants {
			t.Run(name+"/"+v.name, func(t *testing.T) {
				args := append([]string{"score", "--model", testdata(t, "golden", name), "--dtype", "f32"}, v.args...)
				got := lines[scoreLine](t, mustRun(t, v.in, append(args, small...)...))
				i := 0
				for _, c := range cases {
					for k := range c.Completions {
						g := got[i]
						i++
						if g.PromptTokens != len(c.PromptIDs) || !slices.Equal(g.CompletionIDs, c.Completions[k].IDs) {
							t.Errorf("%s/%d: prompt_tokens %d, want %d; ids %v, want %v", c.Name, k, g.PromptTokens, len(c.PromptIDs), g.CompletionIDs, c.Completions[k].IDs)
						}
						if d := maxDifference(g.LogProbs, v.want(&c, k)); !(d <= bound) {
							t.Errorf("%s/%d: log-probs differ by %.2e", c.Name, k, d)
						}
						if d := maxDifference(g.Entropy, c.Completions[k].Entropy); strings.HasPrefix(v.name, "plain") && !(d <= bound) {
							t.Errorf("%s/%d: entropies differ by %.2e", c.Name, k, d)
						}
					}
				}
				if i != len(got) {
					t.Errorf("%d lines, want %d", len(got), i)
				}
			})
		}
	}
}

func TestGreedyGolden(t *testing.T) {
	t.Parallel()
	for _, name := range someModels() {
		t.Run(name, func(t *testing.T) {
			cases := goldenCases(t, name)
			var in strings.Builder
			for i, c := range cases {
				if i%2 == 0 {
					in.WriteString(jsonLine(t, map[string]any{"messages": c.Messages}))
				} else {
					in.WriteString(jsonLine(t, map[string]any{"prompt_ids": c.PromptIDs, "images": c.Images}))
				}
			}
			args := append([]string{"generate", "--model", testdata(t, "golden", name), "--dtype", "f32", "--temperature", "0", "--max-tokens", "24"}, small...)
			got := lines[sampleLine](t, mustRun(t, in.String(), args...))
			if len(got) != len(cases) {
				t.Fatalf("%d lines, want %d", len(got), len(cases))
			}
			for i, c := range cases {
				g := got[i]
				if g.Index != i || g.Sample != 0 || g.Finish != finish(c.Greedy.IDs) {
					t.Errorf("%s: index %d, sample %d, finish_reason %q", c.Name, g.Index, g.Sample, g.Finish)
				}
				if !slices.Equal(g.IDs, c.Greedy.IDs) {
					t.Errorf("%s: ids %v, want %v", c.Name, g.IDs, c.Greedy.IDs)
				} else if d := maxDifference(g.LogProbs, c.Greedy.LogProbs); !(d <= 1e-4) {
					t.Errorf("%s: log-probs differ by %.2e", c.Name, d)
				}
			}
		})
	}
}

// finish is how a sample of the golden checkpoints ended.
func finish(ids []int32) string {
	if last := ids[len(ids)-1]; last == 600 || last == 602 {
		return "stop"
	}
	return "length"
}
