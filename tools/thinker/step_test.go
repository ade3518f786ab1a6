package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/safetensors"
	"github.com/thinker-vl/thinker/grpo"
)

// goldenBatch writes the batch of a golden step with absolute paths of pictures.
func goldenBatch(t testing.TB, elem ...string) string {
	t.Helper()
	root := testdata(t, "golden")
	var b strings.Builder
	for _, line := range lines[map[string]any](t, readFile(t, testdata(t, append(append([]string{"golden"}, elem...), "batch.jsonl")...))) {
		var images []string
		for _, x := range line["images"].([]any) {
			images = append(images, filepath.Join(root, x.(string)))
		}
		line["images"] = append([]string{}, images...)
		b.WriteString(jsonLine(t, line))
	}
	return writeFile(t, filepath.Join(t.TempDir(), "batch.jsonl"), b.String())
}

// tensors reads a safetensors file.
func tensors(t testing.TB, path string) map[string][]float32 {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, name := range f.Names() {
		if all[name], err = f.Float32s(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// modelTensors reads the weights of a checkpoint folder.
func modelTensors(t testing.TB, dir string) map[string][]float32 {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for _, p := range paths {
		for name, v := range tensors(t, p) {
			all[name] = v
		}
	}
	return all
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

func difference32(a, b []float32) []float32 {
	d := make([]float32, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d
}

// TestStepGolden makes every golden step: metrics within 2e-4, the gradient of every tensor within 1e-4 in norm, and where the weights
// after three steps are known, those within 1e-2 of the update's norm in every tensor and 1e-4 in the median.
func TestStepGolden(t *testing.T) {
	for _, x := range []struct{ model, step string }{{"tiny", "step-grpo"}, {"tiny", "step-dapo"}, {"tiny", "step-gspo"}, {"tiny", "step-sft"}, {"wide", "step-grpo"}} {
		t.Run(x.model+"/"+x.step, func(t *testing.T) {
			t.Parallel()
			dir := testdata(t, "golden", x.model+"-cases", x.step)
			var want []map[string]float64
			if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, "expect.json"))), &want); err != nil {
				t.Fatal(err)
			}
			out, grads := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "grads.safetensors")
			model := testdata(t, "golden", x.model)
			got := lines[map[string]float64](t, mustRun(t, "", "step", "--model", model, "--dtype", "f32", "--batch", goldenBatch(t, x.model+"-cases", x.step),
				"--loss", filepath.Join(dir, "loss.yaml"), "--out", out, "--grads", grads, "--steps", string(rune('0'+len(want)))))
			if len(got) != len(want) {
				t.Fatalf("%d lines, want %d", len(got), len(want))
			}
			for i := range want {
				for key, v := range want[i] {
					if g, ok := got[i][key]; !ok || math.Abs(g-v) > 2e-4*max(1, math.Abs(v)) {
						t.Errorf("step %d: %s is %v, want %v", i+1, key, g, v)
					}
				}
			}
			g := tensors(t, grads)
			for name, want := range tensors(t, filepath.Join(dir, "grads.safetensors")) {
				if err := norm(difference32(g[name], want)) / norm(want); !(err < 1e-4) {
					t.Errorf("the gradient of %s is off by %.3g in norm", name, err)
				}
			}
			var norms map[string]struct{ Norm, Sum float64 }
			if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, "grad_norms.json"))), &norms); err != nil {
				t.Fatal(err)
			}
			if len(norms) != len(g) {
				t.Errorf("%d gradients, want %d", len(g), len(norms))
			}
			for name, want := range norms {
				if n := norm(g[name]); math.Abs(n-want.Norm) > 1e-4*want.Norm {
					t.Errorf("the gradient of %s has norm %v, want %v", name, n, want.Norm)
				}
			}
			after := filepath.Join(dir, "after3.safetensors")
			if _, err := os.Stat(after); err != nil {
				return
			}
			before, end := modelTensors(t, model), modelTensors(t, out)
			var errs []float64
			for name, want := range tensors(t, after) {
				err := norm(difference32(end[name], want)) / norm(difference32(want, before[name]))
				errs = append(errs, err)
				if !(err < 1e-2) {
					t.Errorf("%s: three steps are off by %.3g of the update", name, err)
				}
			}
			slices.Sort(errs)
			if median := errs[len(errs)/2]; !(median < 1e-4) {
				t.Errorf("three steps are off by %.3g of the update in the median tensor", median)
			}
		})
	}
}

// TestStepSame: threads, micro-batches, recomputation and the order of lines change no byte of checkpoint, gradients and metrics.
func TestStepSame(t *testing.T) {
	t.Parallel()
	model, dir := testdata(t, "golden", "tiny"), testdata(t, "golden", "tiny-cases", "step-grpo")
	batch := goldenBatch(t, "tiny-cases", "step-grpo")
	all := strings.SplitAfter(strings.TrimSpace(readFile(t, batch))+"\n", "\n")
	slices.Reverse(all)
	turned := writeFile(t, filepath.Join(t.TempDir(), "turned.jsonl"), strings.Join(all, ""))
	var want []string
	for _, flags := range [][]string{
		{"--batch", batch, "--threads", "1"},
		{"--batch", batch, "--threads", "2", "--micro-batch", "1", "--recompute"},
		{"--batch", turned, "--threads", "3", "--micro-batch", "200"},
	} {
		out := t.TempDir()
		stdout := mustRun(t, "", append([]string{"step", "--model", model, "--dtype", "bf16", "--loss", filepath.Join(dir, "loss.yaml"),
			"--out", filepath.Join(out, "model"), "--grads", filepath.Join(out, "grads"), "--steps", "2"}, flags...)...)
		got := []string{stdout, readFile(t, filepath.Join(out, "grads"))}
		shards, err := filepath.Glob(filepath.Join(out, "model", "*.safetensors"))
		if err != nil || len(shards) == 0 {
			t.Fatalf("%v: the checkpoint has shards %v, %v", flags, shards, err)
		}
		for _, path := range shards {
			got = append(got, readFile(t, path))
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: other bytes; metrics\n%swant\n%s", flags, got[0], want[0])
		}
	}
}

// TestStepRefuses gives step what it must refuse: with the reason, and without touching what is there.
func TestStepRefuses(t *testing.T) {
	t.Parallel()
	model := testdata(t, "golden", "tiny")
	dir := t.TempDir()
	grads := writeFile(t, filepath.Join(dir, "grads"), "old")
	settings := writeFile(t, filepath.Join(dir, "loss.yaml"), "loss_type: grpo\nbeta: 0.04\n")
	free := writeFile(t, filepath.Join(dir, "free.yaml"), "loss_type: grpo\n")
	typo := writeFile(t, filepath.Join(dir, "typo.yaml"), "loss_type: grpo\nbetta: 0.04\n")
	line := func(rest string) string {
		return `{"prompt_ids": [601, 82], "images": [], "completion_ids": [1, 2]` + rest + "}\n"
	}
	good := line(`, "ref_logprobs": [-1, -1], "advantage": 1`)
	picture := testdata(t, "golden", "pictures", "a8x8.png")
	for _, x := range []struct{ loss, batch, want string }{
		{typo, good, `typo.yaml:2: betta`},
		{settings, line(`, "advantage": 1`), "ref_logprobs"},
		{settings, good + line(`, "ref_logprobs": [-1], "advantage": 1`), "standard input:2: ref_logprobs has 1 numbers, the completion 2 ids"},
		{free, line(`, "old_logprobs": [-1, -1, -1], "advantage": 1`), "old_logprobs has 3 numbers"},
		{free, line(`, "old_logprobs": [-1, 1e999], "advantage": 1`), "old_logprobs"},
		{free, line(`, "old_logprobs": [-1, -1e300], "advantage": 1`), "old_logprobs[1]"},
		{free, line(`, "advantage": 1e999`), "advantage"},
		{free, line(`, "reward": 1`), "group"},
		{free, line(`, "reward": 1e400, "group": "a"`), "reward"},
		{free, line(`, "reward": 1, "group": "a"`), "standard input:1: group"},
		{free, line(``), "neither advantage nor reward"},
		{free, `{"prompt_ids": [601, 82], "completion_ids": []}` + "\n", "empty"},
		{free, strings.Replace(line(`, "advantage": 1`), "[1, 2]", "[1, 612]", 1), "standard input:1: completion id 612"},
		{free, strings.Replace(line(`, "advantage": 1`), "[1, 2]", "[1, 5000]", 1), "outside the vocabulary"},
		{free, strings.Replace(line(`, "advantage": 1`), `[]`, jsonLine(t, []string{picture})[:len(jsonLine(t, []string{picture}))-1], 1), "standard input:1"},
		{free, "", "no lines"},
		{free, "{", "standard input:1"},
	} {
		out := filepath.Join(dir, "out")
		o := thinker(t, x.batch, "step", "--model", model, "--batch", "-", "--loss", x.loss, "--out", out, "--grads", grads)
		if o.code != 1 || !strings.Contains(o.stderr, x.want) {
			t.Errorf("%s: exit status %d, %s, want %q", strings.TrimSpace(x.batch), o.code, o.stderr, x.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%s: %s was made", strings.TrimSpace(x.batch), out)
		}
		if readFile(t, grads) != "old" {
			t.Fatalf("%s: the old gradients are gone", strings.TrimSpace(x.batch))
		}
	}
	if o := thinker(t, good, "step", "--model", model, "--batch", "-", "--loss", settings, "--out", model); o.code != 1 || !strings.Contains(o.stderr, "choose another folder") {
		t.Errorf("--out on a checkpoint: exit status %d, %s", o.code, o.stderr)
	}
}

func FuzzEpisode(f *testing.F) {
	for _, s := range []string{
		`{"old_logprobs": [-1, -2], "ref_logprobs": [-1, -2], "reward": 1, "group": "a"}`, `{"advantage": -1e5, "truncated": true}`,
		`{"old_logprobs": null, "reward": null, "group": 7}`, `{"old_logprobs": [1e39, 0], "advantage": 1}`, `{}`, `[`,
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, line []byte, beta bool) {
		s := grpo.Defaults(grpo.TRL, grpo.GRPO)
		if beta {
			s.Beta = 0.04
		}
		e := grpo.Episode{IDs: []int32{1, 2}}
		if err := parseEpisode(line, &s, &e); err != nil {
			return
		}
		for _, v := range [][]float32{e.OldLogProbs, e.RefLogProbs} {
			if v != nil && len(v) != len(e.IDs) {
				t.Errorf("%d log-probs for %d ids", len(v), len(e.IDs))
			}
			for _, x := range v {
				if x-x != 0 {
					t.Errorf("the log-prob %v was taken", x)
				}
			}
		}
		if beta && e.RefLogProbs == nil {
			t.Error("no ref_logprobs, which beta needs")
		}
		if e.Advantage == nil && e.Group == "" {
			t.Error("neither advantage nor group")
		}
	})
}
