package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPaths runs one prompt with a picture in the ways that input, output and picture can be named.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	model := testdata(t, "golden", "tiny")
	picture := testdata(t, "golden", "pictures", "a8x8.png")
	if err := os.Mkdir(filepath.Join(dir, "pictures"), 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "pictures", "a.png"), readFile(t, picture))
	line := func(path string) string {
		return jsonLine(t, map[string]any{"messages": []any{map[string]any{"role": "user", "content": []any{
			map[string]string{"type": "image", "image": path}, map[string]string{"type": "text", "text": "What?"}}}}})
	}
	args := append([]string{"generate", "--model", model, "--max-tokens", "4", "--temperature", "0"}, small...)
	want := mustRun(t, line(picture), args...)

	in := writeFile(t, filepath.Join(dir, "in.jsonl"), line("pictures/a.png"))
	t.Run("relative to the input file", func(t *testing.T) {
		if got := mustRun(t, "", append(args, "--in", in)...); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("relative to the working directory for standard input", func(t *testing.T) {
		t.Chdir(dir)
		if got := mustRun(t, line("pictures/a.png"), append(args, "--in", "-", "--out", "-")...); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("a line at a time", func(t *testing.T) {
		// A program at the other end of the pipes waits for each answer before it asks again.
		r, w := io.Pipe()
		answers, stdout := io.Pipe()
		done := make(chan int)
		go func() {
			code := run(context.Background(), append(args, "--batch", "1", "--quiet"), r, stdout, io.Discard)
			r.Close()
			stdout.Close()
			done <- code
		}()
		answer := bufio.NewReader(answers)
		for i := range 3 {
			io.WriteString(w, line(picture))
			got, err := answer.ReadString('\n')
			if want := strings.Replace(want, `"index": 0`, fmt.Sprintf(`"index": %d`, i), 1); got != want || err != nil {
				t.Errorf("%s, %v, want %s", got, err, want)
			}
		}
		w.Close()
		if code := <-done; code != 0 {
			t.Errorf("exit status %d", code)
		}
	})
	t.Run("output in place of the input", func(t *testing.T) {
		mustRun(t, "", append(args, "--in", in, "--out", in)...)
		if got := readFile(t, in); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := entries(t, dir); got != "in.jsonl pictures" {
			t.Errorf("the folder holds %s", got)
		}
	})
	t.Run("an input without a line", func(t *testing.T) {
		empty := writeFile(t, filepath.Join(dir, "empty.jsonl"), "\n")
		out := filepath.Join(dir, "out.jsonl")
		mustRun(t, "", append(args, "--in", empty, "--out", out)...)
		if got := readFile(t, out); got != "" {
			t.Errorf("the output is %q", got)
		}
	})
	t.Run("a device as output", func(t *testing.T) {
		if _, err := os.Stat(os.DevNull); err != nil {
			t.Skip(err)
		}
		mustRun(t, line(picture), append(args, "--out", os.DevNull)...)
		if fi, err := os.Stat(os.DevNull); err != nil || fi.Mode().IsRegular() {
			t.Fatalf("%s was replaced", os.DevNull)
		}
	})
}

// TestPictureKeys names a picture in the ways that the chat template takes.
func TestPictureKeys(t *testing.T) {
	picture := string(must(json.Marshal(testdata(t, "golden", "pictures", "a8x8.png"))))
	args := append([]string{"generate", "--model", testdata(t, "golden", "tiny"), "--max-tokens", "4"}, small...)
	var want string
	for i, part := range []string{
		`{"type": "image", "image": ` + picture + `}`,
		`{"type": "image_url", "image_url": {"url": ` + picture + `}}`,
		`{"type": "image_url", "image_url": ` + picture + `}`,
	} {
		got := mustRun(t, `{"messages": [{"role": "user", "content": [`+part+`, {"type": "text", "text": "What?"}]}]}`, args...)
		if i == 0 {
			want = got
		} else if got != want {
			t.Errorf("%s: %s, want %s", part, got, want)
		}
	}
	// In any role.
	mustRun(t, `{"messages": [{"role": "system", "content": [{"type": "image", "image": `+picture+`}]}, {"role": "user", "content": "What?"}, {"role": "assistant", "content": [{"type": "image", "image": `+picture+`}]}]}`, args...)
}

// TestLongLines gives lines of five megabytes.
func TestLongLines(t *testing.T) {
	t.Parallel()
	model := testdata(t, "golden", "tiny")
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	text := strings.Repeat("a line of five megabytes. ", n)
	got := lines[struct{ IDs []int32 }](t, mustRun(t, jsonLine(t, map[string]string{"text": text})+`{"text": "short"}`, "tokenize", "--model", model))
	if len(got) != 2 || len(got[0].IDs) < len(text)/10 {
		t.Fatalf("%d lines", len(got))
	}
	line := jsonLine(t, map[string]any{"messages": []any{map[string]string{"role": "user", "content": "Hi"}}, "completion": "a", "notes": text})
	plain := jsonLine(t, map[string]any{"messages": []any{map[string]string{"role": "user", "content": "Hi"}}, "completion": "a"})
	args := append([]string{"score", "--model", model}, small...)
	if long, short := mustRun(t, line+plain, args...), mustRun(t, plain+plain, args...); long != short {
		t.Errorf("a long note changes the score: %s, %s", long, short)
	}
}

// TestPictures runs generate over every picture of the test data.
func TestPictures(t *testing.T) {
	t.Parallel()
	ask := func(path, question string) string {
		return jsonLine(t, map[string]any{"messages": []any{map[string]any{"role": "user", "content": []any{
			map[string]string{"type": "image", "image": path}, map[string]string{"type": "text", "text": question}}}}})
	}
	type record struct{ Image, Question string }
	var all []string
	for _, r := range lines[record](t, readFile(t, testdata(t, "vlaa", "records.jsonl"))) {
		all = append(all, ask(testdata(t, "vlaa", "images", filepath.FromSlash(r.Image)), r.Question))
	}
	for _, r := range lines[record](t, readFile(t, testdata(t, "mathvision", "questions.jsonl"))) {
		all = append(all, ask(testdata(t, "mathvision", filepath.FromSlash(r.Image)), r.Question))
	}
	if len(all) != 195 {
		t.Fatalf("%d records, want 195", len(all))
	}
	some := slices.Concat(all[:5], all[185:])
	of := map[string][]string{"tiny": all, "wide": some} // preprocessing is the same for both
	if testing.Short() {
		of = map[string][]string{"tiny": slices.Concat(all[:3], all[193:])}
	}
	for model, in := range of {
		n, path := len(in), writeFile(t, filepath.Join(t.TempDir(), "in.jsonl"), strings.Join(in, ""))
		got := lines[sampleLine](t, mustRun(t, "", append([]string{"generate", "--model", testdata(t, "golden", model), "--in", path, "--max-tokens", "3"}, small...)...))
		for i, s := range got {
			if s.Index != i || len(s.IDs) == 0 {
				t.Fatalf("%s: line %d: %+v", model, i+1, s)
			}
		}
		if len(got) != n {
			t.Errorf("%s: %d samples, want %d", model, len(got), n)
		}
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	model := testdata(t, "golden", "tiny")
	make := func(name string, args ...string) string {
		dir := filepath.Join(base, name)
		mustRun(t, "", append([]string{"init", "--config", filepath.Join(model, "config.json"), "--tokenizer", model, "--seed", "7", "--out", dir}, args...)...)
		return dir
	}
	first := make("first")
	in := `{"messages": [{"role": "user", "content": "Hi"}]}`
	generate := func(dir string) string {
		return mustRun(t, in, append([]string{"generate", "--model", dir, "--dtype", "f32", "--max-tokens", "8"}, small...)...)
	}
	want := generate(first)
	again := make("again")
	for _, f := range []string{"model.safetensors", "config.json", "tokenizer.json"} {
		if readFile(t, filepath.Join(first, f)) != readFile(t, filepath.Join(again, f)) {
			t.Errorf("%s differs for the same seed", f)
		}
	}
	if got := generate(make("nested", "--layout", "nested", "--max-shard", "200kB")); got != want {
		t.Error("layout and shards change the weights")
	}
	if got := generate(make("other", "--seed", "8")); got == want {
		t.Error("another seed gives the same weights")
	}
	if got := generate(make("narrow", "--dtype", "bf16")); got == want {
		t.Error("bf16 weights score like f32 weights, to the last bit")
	}
	before := readFile(t, filepath.Join(first, "model.safetensors"))
	o := thinker(t, "", "init", "--config", filepath.Join(model, "config.json"), "--tokenizer", model, "--out", first)
	if o.code != 1 || !strings.Contains(o.stderr, first) || readFile(t, filepath.Join(first, "model.safetensors")) != before {
		t.Errorf("a folder with a checkpoint: exit status %d: %s", o.code, o.stderr)
	}
	if o := thinker(t, "", "init", "--config", filepath.Join(base, "none.json"), "--tokenizer", model, "--out", filepath.Join(base, "x")); o.code != 1 || !strings.Contains(o.stderr, "none.json") {
		t.Errorf("no config: exit status %d: %s", o.code, o.stderr)
	}
	text := readFile(t, filepath.Join(model, "config.json"))
	for _, tt := range []struct{ name, from, to, want string }{
		{"half precision", `"torch_dtype": "float32"`, `"torch_dtype": "float16"`, "--dtype"},
		{"fewer ids than the tokenizer", `"vocab_size": 640`, `"vocab_size": 620`, "620"},
	} {
		if !strings.Contains(text, tt.from) {
			t.Fatalf("the config has no %s", tt.from)
		}
		path := writeFile(t, filepath.Join(t.TempDir(), "config.json"), strings.Replace(text, tt.from, tt.to, 1))
		if o := thinker(t, "", "init", "--config", path, "--tokenizer", model, "--out", filepath.Join(base, "x")); o.code != 1 || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("%s: exit status %d: %s", tt.name, o.code, o.stderr)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"init", "--config", filepath.Join(model, "config.json"), "--tokenizer", model, "--out", filepath.Join(base, "cancelled")}, nil, &stdout, &stderr); code != 130 {
		t.Errorf("cancelled: exit status %d: %s", code, stderr.String())
	}
	if got := entries(t, base); got != "again first narrow nested other" {
		t.Errorf("the folder holds %s", got)
	}
}

func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		model, layout, dtype       string
		shards                     int
		parameters, layers, hidden int
	}{
		{"tiny", "released", "F32", 2, 236352, 3, 64},
		{"wide", "nested", "BF16", 1, 3508016, 2, 384},
	} {
		var got struct {
			Model, Layout string
			Parameters    int
			Tied          bool
			DTypes        []struct{ DType string }
			Shards        []struct{ File string }
			Parts         []struct {
				Part       string
				Parameters int
			}
			Text    struct{ Layers, Hidden, Vocab int }
			StopIDs []int `json:"stop_ids"`
			Context int
			Pixels  []int
			Memory  struct {
				Total, Weights int64
				Fits           bool
			}
			List []struct {
				Name  string
				Shape []int
			} `json:"tensor_list"`
		}
		args := []string{"inspect", "--model", testdata(t, "golden", tt.model), "--cache", "1MiB"}
		if err := json.Unmarshal([]byte(mustRun(t, "", append(args, "--json")...)), &got); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, p := range got.Parts {
			sum += p.Parameters
		}
		if got.Layout != tt.layout || got.Parameters != tt.parameters || sum != tt.parameters || len(got.DTypes) != 1 || got.DTypes[0].DType != tt.dtype || len(got.Shards) != tt.shards || !got.Tied {
			t.Errorf("%s: %+v", tt.model, got)
		}
		if got.Text.Layers != tt.layers || got.Text.Hidden != tt.hidden || got.Text.Vocab != 640 || !slices.Equal(got.StopIDs, []int{600, 602}) || got.Context != 4096 ||
			!slices.Equal(got.Pixels, []int{3136, 100352}) || !got.Memory.Fits || got.Memory.Total <= got.Memory.Weights || got.List != nil {
			t.Errorf("%s: %+v", tt.model, got)
		}
		table := mustRun(t, "", append(args, "--tensors")...)
		for _, want := range []string{fmt.Sprint(tt.parameters), tt.layout, tt.dtype, "[600 602]", "4096", "model.layers.1.self_attn.q_proj.weight", "visual.merger.mlp.2.bias"} {
			if !strings.Contains(table, want) {
				t.Errorf("%s: the table has no %q:\n%s", tt.model, want, table)
			}
		}
		if err := json.Unmarshal([]byte(mustRun(t, "", append(args, "--json", "--tensors")...)), &got); err != nil || len(got.List) == 0 {
			t.Errorf("%d tensors, %v", len(got.List), err)
		}
	}
}

func TestDoctor(t *testing.T) {
	var got struct {
		CPU, ISA, Backend, Transport string
		ISAAvailable                 []string `json:"isa_available"`
		CPUs, Threads                int
		Peaks                        *struct{}
		Build                        struct{ Go string }
	}
	if err := json.Unmarshal([]byte(mustRun(t, "", "doctor", "--json", "--no-peaks", "--threads", "1", "--isa", "scalar")), &got); err != nil {
		t.Fatal(err)
	}
	if got.CPU == "" || got.ISA != "scalar" || got.Backend != "cpu" || got.Threads != 1 || got.CPUs < 1 || len(got.ISAAvailable) == 0 || got.ISAAvailable[0] != "scalar" ||
		got.Peaks != nil || got.Build.Go == "" || got.Transport != transport {
		t.Errorf("%+v", got)
	}
	text := mustRun(t, "", "doctor", "--no-peaks")
	for _, want := range []string{got.CPU, "threads", "cpu, reached by"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
