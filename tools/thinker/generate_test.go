package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// prompts are the golden cases as lines of prompts.
func prompts(t testing.TB, model string) (text string, all []map[string]any) {
	t.Helper()
	for _, c := range goldenCases(t, model) {
		p := map[string]any{"messages": c.Messages}
		all = append(all, p)
		text += jsonLine(t, p)
	}
	return text, all
}

// TestScoreOfGenerate feeds the samples of generate to score, which must print the same digits.
func TestScoreOfGenerate(t *testing.T) {
	t.Parallel()
	logprobs := regexp.MustCompile(`"logprobs": (\[[^]]*\])`)
	type variant struct {
		name, model, dtype string
		policy, generate   []string
	}
	variants := []variant{
		{"f32", "tiny", "f32", nil, nil},
		{"temperature and ban", "tiny", "bf16", []string{"--temperature", "0.7", "--ban", "none"}, nil},
		{"bf16", "wide", "bf16", nil, []string{"--prefill-chunk", "70", "--batch", "3"}},
		{"filters do not count", "tiny", "f32", []string{"--temperature", "1.3"}, []string{"--top-k", "20", "--top-p", "0.9", "--min-p", "0.05"}},
		{"greedy", "tiny", "f32", []string{"--temperature", "0"}, []string{"--threads", "1"}},
	}
	if testing.Short() {
		variants = variants[:2]
	}
	for _, tt := range variants {
		t.Run(tt.name, func(t *testing.T) {
			in, all := prompts(t, tt.model)
			common := append([]string{"--model", testdata(t, "golden", tt.model), "--dtype", tt.dtype}, append(small, tt.policy...)...)
			samples := mustRun(t, in, append(append([]string{"generate", "--n", "3", "--seed", "5", "--max-tokens", "20"}, common...), tt.generate...)...)
			var completions strings.Builder
			for _, s := range lines[sampleLine](t, samples) {
				line := map[string]any{"completion_ids": s.IDs}
				for k, v := range all[s.Index] {
					line[k] = v
				}
				completions.WriteString(jsonLine(t, line))
			}
			scores := mustRun(t, completions.String(), append([]string{"score"}, common...)...)
			want, got := logprobs.FindAllStringSubmatch(samples, -1), logprobs.FindAllStringSubmatch(scores, -1)
			if len(want) != 3*len(all) || len(got) != len(want) {
				t.Fatalf("%d scores of %d samples", len(got), len(want))
			}
			for i := range want {
				if got[i][1] != want[i][1] {
					t.Errorf("sample %d: score says %s, generate %s", i, got[i][1], want[i][1])
				}
			}
		})
	}
}

// TestGenerateLines checks the contract of the output: keys, their order, the order of lines, the ends of samples.
func TestGenerateLines(t *testing.T) {
	t.Parallel()
	in, all := prompts(t, "tiny")
	args := append([]string{"generate", "--model", testdata(t, "golden", "tiny"), "--n", "5", "--max-tokens", "150", "--seed", "3"}, small...)
	stdout := mustRun(t, in, args...)
	shape := regexp.MustCompile(`^\{"index": \d+, "sample": \d+, "ids": \[\d+(, \d+)*\], "text": ".*", "logprobs": \[-?\d[^]]*\], "finish_reason": "(stop|length)"\}$`)
	finished := map[string]int{}
	for i, l := range strings.Split(strings.TrimSuffix(stdout, "\n"), "\n") {
		if !shape.MatchString(l) {
			t.Fatalf("line %d is %s", i+1, l)
		}
		var s sampleLine
		if err := json.Unmarshal([]byte(l), &s); err != nil {
			t.Fatal(err)
		}
		if s.Index != i/5 || s.Sample != i%5 || len(s.IDs) != len(s.LogProbs) || strings.Contains(s.Text, "<|im_end|>") {
			t.Errorf("line %d has index %d, sample %d, %d ids, %d log-probs, text %q", i+1, s.Index, s.Sample, len(s.IDs), len(s.LogProbs), s.Text)
		}
		if want := finish(s.IDs); s.Finish != want || (want == "length" && len(s.IDs) != 150) {
			t.Errorf("line %d ends with id %d after %d, finish_reason %q", i+1, s.IDs[len(s.IDs)-1], len(s.IDs), s.Finish)
		}
		for _, id := range s.IDs {
			if id >= 609 && id <= 613 || id >= 622 {
				t.Errorf("line %d has the banned id %d", i+1, id)
			}
		}
		finished[s.Finish]++
	}
	if finished["stop"]+finished["length"] != 5*len(all) || finished["stop"] == 0 {
		t.Errorf("%v samples of %d prompts", finished, len(all))
	}
}

// TestGenerateInvariance runs the same prompts in other batches, chunks and threads, which change no byte.
func TestGenerateInvariance(t *testing.T) {
	t.Parallel()
	in, _ := prompts(t, "tiny")
	path := writeFile(t, filepath.Join(t.TempDir(), "in.jsonl"), in)
	args := append([]string{"generate", "--model", testdata(t, "golden", "tiny"), "--n", "4", "--max-tokens", "12", "--seed", "18446744073709551615"}, small...)
	want := mustRun(t, in, args...)
	variants := [][]string{
		{"--batch", "17", "--prefill-chunk", "33"}, {"--threads", "1"}, {"--threads", "2", "--batch", "3"}, {"--batch", "1"}, {"--in", path},
	}
	if testing.Short() {
		variants = variants[:2]
	}
	for _, flags := range variants {
		if got := mustRun(t, in, append(slices.Clone(args), flags...)...); got != want {
			t.Errorf("%v changes the samples", flags)
		}
	}
	if got := mustRun(t, in, append(slices.Clone(args), "--seed", "1")...); got == want {
		t.Error("another seed gives the same samples")
	}
}

func TestGenerateMany(t *testing.T) {
	t.Parallel()
	in := `{"messages": [{"role": "user", "content": "Hi"}]}`
	n := 3000
	if testing.Short() {
		n = 300
	}
	args := append([]string{"generate", "--model", testdata(t, "golden", "tiny"), "--n", fmt.Sprint(n), "--max-tokens", "3", "--ignore-eos"}, small...)
	out := thinker(t, in, args...)
	if out.code != 0 {
		t.Fatal(out.stderr)
	}
	got := lines[sampleLine](t, out.stdout)
	if len(got) != n {
		t.Fatalf("%d samples, want %d", len(got), n)
	}
	first := map[int32]int{}
	for i, s := range got {
		if s.Index != 0 || s.Sample != i || len(s.IDs) != 3 || s.Finish != "length" {
			t.Fatalf("line %d: %+v", i+1, s)
		}
		first[s.IDs[0]]++
	}
	if len(first) < 20 {
		t.Errorf("%d samples begin with %d ids", n, len(first))
	}
	summary := regexp.MustCompile(fmt.Sprintf(`^thinker: %d samples of 1 prompt in [\d.]+ s: prefill \d+ tokens at [\d.]+ tokens/s, decode \d+ tokens at [\d.]+ tokens/s(, peak memory [\d.]+ [KMG]iB)?\n$`, n))
	if !summary.MatchString(out.stderr) {
		t.Errorf("the summary is %q", out.stderr)
	}
	if out := thinker(t, in, append(args, "--n", "1", "--quiet")...); out.stderr != "" || out.code != 0 {
		t.Errorf("--quiet says %q", out.stderr)
	}
}

func TestScoreText(t *testing.T) {
	t.Parallel()
	model := testdata(t, "golden", "tiny")
	const text = "A dog. <answer> 42 </answer><|im_end|>"
	var want struct{ IDs []int32 }
	if err := json.Unmarshal([]byte(mustRun(t, jsonLine(t, map[string]string{"text": text}), "tokenize", "--model", model)), &want); err != nil {
		t.Fatal(err)
	}
	messages := json.RawMessage(`[{"role": "user", "content": "What is it?"}]`)
	in := jsonLine(t, map[string]any{"messages": messages, "completion": text}) +
		jsonLine(t, map[string]any{"messages": messages, "completion_ids": want.IDs, "completion": text}) +
		jsonLine(t, map[string]any{"messages": messages, "completion_ids": []int32{}}) +
		jsonLine(t, map[string]any{"messages": messages, "completion": ""})
	stdout := mustRun(t, in, append([]string{"score", "--model", model}, small...)...)
	got := lines[scoreLine](t, stdout)
	if len(got) != 4 || !slices.Equal(got[0].CompletionIDs, want.IDs) || len(got[0].LogProbs) != len(want.IDs) || len(got[0].Entropy) != len(want.IDs) {
		t.Fatalf("%+v, want the ids %v", got, want.IDs)
	}
	if !slices.Equal(got[0].LogProbs, got[1].LogProbs) {
		t.Error("ids and text have different log-probs")
	}
	if l := strings.Split(stdout, "\n"); !strings.HasSuffix(l[2], `"completion_ids": [], "logprobs": [], "entropy": []}`) || l[2] != l[3] {
		t.Errorf("an empty completion gives %s and %s", l[2], l[3])
	}
	for _, x := range got[0].LogProbs {
		if x > 0 || math.IsNaN(float64(x)) {
			t.Errorf("log-prob %v", x)
		}
	}
}
