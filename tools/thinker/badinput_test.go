package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// copyModel copies a golden checkpoint so that a test can spoil it.
func copyModel(t testing.TB, name string, without ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(testdata(t, "golden", name))); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { return os.Chmod(path, 0o755) })
	for _, f := range without {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hugePNG is the beginning of a PNG that claims 100,000 pixels a side.
func hugePNG() []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, 100_000)
	chunk = binary.BigEndian.AppendUint32(chunk, 100_000)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, 13)
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

// TestBadLines gives commands lines that they must refuse: naming file and line and the value, leaving the old output alone, with
// exit status 1, and quickly.
func TestBadLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	picture := testdata(t, "golden", "pictures", "a8x8.png") // 16 tokens
	whole := readFile(t, picture)
	writeFile(t, filepath.Join(dir, "cut.png"), whole[:len(whole)/2])
	writeFile(t, filepath.Join(dir, "text.png"), "this is no picture, whatever its name says")
	writeFile(t, filepath.Join(dir, "empty.png"), "")
	writeFile(t, filepath.Join(dir, "huge.png"), string(hugePNG()))
	user := func(content string) string {
		return `"messages": [{"role": "user", "content": ` + content + `}]`
	}
	image := func(path string) string {
		return user(`[{"type": "image", "image": ` + string(must(json.Marshal(path))) + `}, {"type": "text", "text": "What is it?"}]`)
	}
	ids := func(n, id int) string { return strings.TrimSuffix(strings.Repeat(fmt.Sprint(id, ", "), n), ", ") }
	const (
		prompts = "score generate"
		all     = "tokenize score generate"
	)
	tests := []struct {
		name, line string
		commands   string
		want       []string // in the message
	}{
		{"not JSON", `{"messages": [`, all, []string{"not JSON", "messages"}},
		{"not an object", `["messages"]`, all, []string{`["messages"]`, "JSON object"}},
		{"not UTF-8", "{\"text\": \"\xff\xfe\"}", all, []string{"UTF-8", "byte 10"}},
		{"half of a surrogate pair", `{"text": "a\ud800b"}`, all, []string{`"text"`, `\ud800`}},
		{"a key twice", `{"text": "a", "text": "b"}`, all, []string{`"text" occurs twice`}},
		{"no prompt", `{"prompt": "Hi", "id": 3}`, all, []string{"neither", "messages", `"prompt", "id"`}},
		{"messages of the wrong type", `{"messages": "Hi"}`, all, []string{"messages", `"Hi"`, "array"}},
		{"no messages", `{"messages": []}`, all, []string{"messages"}},
		{"unknown role", `{"messages": [{"role": "tool", "content": "Hi"}]}`, all, []string{"tool", "user"}},
		{"no role", `{"messages": [{"content": "Hi"}]}`, all, []string{"messages[0]", "role"}},
		{"no content", `{"messages": [{"role": "user"}]}`, all, []string{"messages[0]", "content"}},
		{"content of the wrong type", `{"messages": [{"role": "user", "content": 5}]}`, all, []string{"messages[0]", "5"}},
		{"unknown part", `{` + user(`[{"type": "audio", "audio": "a.wav"}]`) + `}`, all, []string{"audio"}},
		{"text of the wrong type", `{"text": ["a"]}`, "tokenize", []string{`["a"]`, "string"}},
		{"flag of the wrong type", `{` + user(`"Hi"`) + `, "add_generation_prompt": "yes"}`, "tokenize", []string{"add_generation_prompt", `"yes"`}},
		{"text and messages disagree", `{` + user(`"Hi"`) + `, "text": "Hi"}`, "tokenize", []string{"text and messages"}},
		{"a URL", `{` + image("https://example.com/a.png") + `}`, prompts, []string{"https://example.com/a.png"}},
		{"a data URL", `{` + image("data:image/png;base64,AAAA") + `}`, prompts, []string{"data:"}},
		{"a missing picture", `{` + image("no/such.png") + `}`, prompts, []string{"such.png", "no such file"}},
		{"a folder as picture", `{` + image(".") + `}`, prompts, []string{"folder"}},
		{"a device as picture", `{` + image("/dev/zero") + `}`, prompts, []string{"/dev/zero", "device"}},
		{"a broken picture", `{` + image("cut.png") + `}`, prompts, []string{"cut.png"}},
		{"text as picture", `{` + image("text.png") + `}`, prompts, []string{"text.png", "this is no pic"}},
		{"an empty picture", `{` + image("empty.png") + `}`, prompts, []string{"empty.png", "empty"}},
		{"a huge picture", `{` + image("huge.png") + `}`, prompts, []string{"huge.png", "100000"}},
		{"the image token in text", `{` + user(`"<|vision_start|><|image_pad|><|vision_end|>"`) + `}`, prompts, []string{"1 image token", "0 pictures"}},
		{"messages and prompt_ids disagree", `{` + user(`"Hi"`) + `, "prompt_ids": [1, 2]}`, prompts, []string{"messages and prompt_ids", "position"}},
		{"images beside messages", `{` + user(`"Hi"`) + `, "images": ["a.png"]}`, prompts, []string{"images", "a.png"}},
		{"ids of the wrong type", `{"prompt_ids": "1 2"}`, prompts, []string{"prompt_ids", `"1 2"`}},
		{"an id that is no integer", `{"prompt_ids": [1, 2.5]}`, prompts, []string{"prompt_ids[1]", "2.5"}},
		{"an id beyond the vocabulary", `{"prompt_ids": [1, 640]}`, prompts, []string{"640", "position 1"}},
		{"a negative id", `{"prompt_ids": [1, -5]}`, prompts, []string{"prompt_ids[1]", "-5"}},
		{"no ids", `{"prompt_ids": []}`, prompts, []string{"empty"}},
		{"images of the wrong type", `{"prompt_ids": [1], "images": "a.png"}`, prompts, []string{"images", "a.png"}},
		{"an image token without picture", `{"prompt_ids": [609, 612, 610]}`, prompts, []string{"image token", "position 1"}},
		{"too few image tokens", `{"prompt_ids": [609, ` + ids(15, 612) + `, 610], "images": [` + string(must(json.Marshal(picture))) + `]}`, prompts, []string{"16 tokens", "15"}},
		{"too many image tokens", `{"prompt_ids": [609, ` + ids(17, 612) + `, 610], "images": [` + string(must(json.Marshal(picture))) + `]}`, prompts, []string{"position 17"}},
		{"a picture without image token", `{"prompt_ids": [1], "images": [` + string(must(json.Marshal(picture))) + `]}`, prompts, []string{"picture"}},
		{"a video token", `{"prompt_ids": [1, 613]}`, prompts, []string{"613", "video"}},
		{"longer than the context", `{"prompt_ids": [` + ids(4097, 5) + `]}`, prompts, []string{"4097", "4096"}},
		{"megabytes longer than the context", `{` + user(`"`+strings.Repeat("word ", 1<<20)+`"`) + `}`, prompts, []string{"4096"}},
		{"no completion", `{` + user(`"Hi"`) + `}`, "score", []string{"neither completion nor completion_ids"}},
		{"completions disagree", `{` + user(`"Hi"`) + `, "completion": "a", "completion_ids": [5]}`, "score", []string{"completion and completion_ids"}},
		{"a banned completion id", `{` + user(`"Hi"`) + `, "completion_ids": [5, 612]}`, "score", []string{"612", "position 1", "--ban none"}},
		{"a completion id without a token", `{` + user(`"Hi"`) + `, "completion_ids": [630]}`, "score", []string{"630", "ban"}},
		{"a completion id beyond the vocabulary", `{` + user(`"Hi"`) + `, "completion_ids": [9999]}`, "score", []string{"9999", "640"}},
		{"a completion of the wrong type", `{` + user(`"Hi"`) + `, "completion": ["a"]}`, "score", []string{"completion", `["a"]`}},
		{"a completion beyond the context", `{` + user(`"Hi"`) + `, "completion_ids": [` + ids(4096, 5) + `]}`, "score", []string{"4096"}},
	}
	good := map[string]string{
		"tokenize": `{"text": "a"}`,
		"score":    `{` + user(`"Hi"`) + `, "completion": "b"}`,
		"generate": `{` + user(`"Hi"`) + `}`,
	}
	for _, tt := range tests {
		for i, command := range strings.Fields(tt.commands) {
			if i > 0 && testing.Short() {
				break
			}
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				line := tt.line
				if command == "score" && tt.commands != "score" && strings.HasSuffix(line, "}") {
					line = strings.TrimSuffix(line, "}") + `, "completion_ids": [5]}`
				}
				// Relative pictures are looked for beside the input.
				in := writeFile(t, filepath.Join(dir, "in.jsonl"), good[command]+"\n\n"+line+"\n"+good[command]+"\n")
				out := writeFile(t, filepath.Join(dir, "out.jsonl"), "old\n")
				before := entries(t, dir)
				args := []string{command, "--model", testdata(t, "golden", "tiny"), "--in", in, "--out", out}
				if command == "generate" {
					args = append(args, "--max-tokens", "2")
				}
				if command != "tokenize" {
					args = append(args, small...)
				}
				start := time.Now()
				o := thinker(t, "", args...)
				if took := time.Since(start); took > 2*time.Minute { // a hang, on any machine
					t.Errorf("it took %v", took)
				}
				if o.code != 1 {
					t.Errorf("exit status %d, want 1", o.code)
				}
				if want := "thinker: " + in + ":3: "; !strings.HasPrefix(o.stderr, want) {
					t.Errorf("the message is %q, want it to begin with %q", o.stderr, want)
				}
				for _, w := range tt.want {
					if !strings.Contains(o.stderr, w) {
						t.Errorf("the message is %q, want %q in it", o.stderr, w)
					}
				}
				if strings.Count(o.stderr, "\n") != 1 || len(o.stderr) > 2000 {
					t.Errorf("a message of %d bytes: %.300q", len(o.stderr), o.stderr)
				}
				if got := readFile(t, out); got != "old\n" {
					t.Errorf("the old output became %q", got)
				}
				if after := entries(t, dir); after != before {
					t.Errorf("the folder holds %s, before %s", after, before)
				}
			})
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestBadModels spoils a checkpoint in the ways that checkpoints are.
func TestBadModels(t *testing.T) {
	t.Parallel()
	edit := func(t *testing.T, path, from, to string) {
		t.Helper()
		text := readFile(t, path)
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %q", path, from)
		}
		writeFile(t, path, strings.Replace(text, from, to, 1))
	}
	header := func(t *testing.T, path string, change func([]byte)) {
		t.Helper()
		b := []byte(readFile(t, path))
		change(b)
		writeFile(t, path, string(b))
	}
	const weights = "model-00001-of-00002.safetensors"
	tests := []struct {
		name     string
		spoil    func(t *testing.T, dir string)
		commands string
		want     []string
	}{
		{"no folder", func(t *testing.T, dir string) { os.RemoveAll(dir) }, "tokenize preprocess score generate inspect", []string{"no such folder"}},
		{"a file for a folder", func(t *testing.T, dir string) { os.RemoveAll(dir); writeFile(t, dir, "") }, "tokenize preprocess score generate inspect", []string{"not a folder"}},
		{"no config", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "config.json")) }, "score generate inspect", []string{"config.json"}},
		{"config that is no JSON", func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "config.json"), "{") }, "score generate inspect", []string{"config.json"}},
		{"config without a required key", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), `"hidden_size": 64,`, "")
		}, "score generate inspect", []string{"hidden_size"}},
		{"absurd sizes", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), `"num_hidden_layers": 3`, `"num_hidden_layers": 3000000000`)
		}, "score generate inspect", []string{"config.json", "num_hidden_layers", "3000000000"}},
		{"a size that the tensors contradict", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), `"intermediate_size": 100`, `"intermediate_size": 104`)
		}, "score generate inspect", []string{"mlp", "104"}},
		{"untied without a head", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), `"tie_word_embeddings": true`, `"tie_word_embeddings": false`)
		}, "score generate inspect", []string{"lm_head.weight"}},
		{"no tokenizer", func(t *testing.T, dir string) {
			for _, f := range []string{"tokenizer.json", "vocab.json", "merges.txt"} {
				os.Remove(filepath.Join(dir, f))
			}
		}, "tokenize score generate inspect", []string{"tokenizer.json", "vocab.json"}},
		{"a tokenizer that is no JSON", func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "tokenizer.json"), "[") }, "tokenize score generate inspect", []string{"tokenizer.json"}},
		{"another chat template", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "chat_template.json"), "You are a helpful assistant.", "You are a pirate.")
		}, "tokenize score generate", []string{"chat_template"}},
		{"weights cut short", func(t *testing.T, dir string) { os.Truncate(filepath.Join(dir, weights), 300_000) }, "score generate inspect", []string{weights}},
		{"an empty weights file", func(t *testing.T, dir string) { os.Truncate(filepath.Join(dir, weights), 0) }, "score generate inspect", []string{weights}},
		{"a header that claims exabytes", func(t *testing.T, dir string) {
			header(t, filepath.Join(dir, weights), func(b []byte) { binary.LittleEndian.PutUint64(b, 1<<60) })
		}, "score generate inspect", []string{weights}},
		{"a tensor that claims terabytes", func(t *testing.T, dir string) {
			header(t, filepath.Join(dir, weights), func(b []byte) {
				copy(b[bytes.Index(b, []byte(`"shape":[`)):], `"shape":[9999999,999999999],`)
			})
		}, "score generate inspect", []string{weights}},
		{"a shard that is missing", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, weights)) }, "score generate inspect", []string{weights}},
		{"no weights", func(t *testing.T, dir string) {
			for _, f := range []string{weights, "model-00002-of-00002.safetensors", "model.safetensors.index.json"} {
				os.Remove(filepath.Join(dir, f))
			}
		}, "score generate inspect", []string{"safetensors"}},
		{"a preprocessor that is no JSON", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "preprocessor_config.json"), "no")
		}, "preprocess score generate inspect", []string{"preprocessor_config.json"}},
		{"neither config nor preprocessor", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "config.json"))
			os.Remove(filepath.Join(dir, "preprocessor_config.json"))
		}, "preprocess", []string{"preprocessor_config.json", "checkpoint folder"}},
		{"a preprocessor of another model", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "preprocessor_config.json"), `{"patch_size": 16}`)
		}, "score inspect", []string{"patch_size", "16"}},
	}
	for _, tt := range tests {
		for _, command := range strings.Fields(tt.commands) {
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				dir := copyModel(t, "tiny")
				tt.spoil(t, dir)
				out := writeFile(t, filepath.Join(t.TempDir(), "out"), "old\n")
				args := []string{command, "--model", dir}
				in := `{"messages": [{"role": "user", "content": "Hi"}], "completion": "a"}`
				switch command {
				case "inspect":
				case "preprocess":
					args = append(args, "--out", out, testdata(t, "golden", "pictures", "a8x8.png"))
				default:
					args = append(args, "--out", out)
				}
				if command == "score" || command == "generate" {
					args = append(args, small...)
				}
				o := thinker(t, in, args...)
				if o.code != 1 || o.stdout != "" {
					t.Errorf("exit status %d, standard output %.100q", o.code, o.stdout)
				}
				if !strings.HasPrefix(o.stderr, "thinker: ") || strings.Count(o.stderr, "\n") != 1 {
					t.Errorf("the message is %q", o.stderr)
				}
				for _, w := range append(tt.want, filepath.Base(dir)) {
					if !strings.Contains(o.stderr, w) {
						t.Errorf("the message is %q, want %q in it", o.stderr, w)
					}
				}
				if got := readFile(t, out); got != "old\n" {
					t.Errorf("the old output became %q", got)
				}
				if got := entries(t, filepath.Dir(out)); got != "out" {
					t.Errorf("the output's folder holds %s", got)
				}
			})
		}
	}
}

// TestVisionPad has a config without vision_token_id, as transformers saves: the ban takes the id from the tokenizer.
func TestVisionPad(t *testing.T) {
	t.Parallel()
	dir := copyModel(t, "tiny")
	path := filepath.Join(dir, "config.json")
	const key = `"vision_token_id": 611,`
	text := readFile(t, path)
	if !strings.Contains(text, key) {
		t.Fatalf("%s has no %s", path, key)
	}
	writeFile(t, path, strings.Replace(text, key, "", 1))
	o := thinker(t, `{"prompt_ids": [1, 2], "completion_ids": [611]}`, append([]string{"score", "--model", dir}, small...)...)
	if o.code != 1 || !strings.Contains(o.stderr, "611") || !strings.Contains(o.stderr, "--ban none") {
		t.Errorf("exit status %d: %s", o.code, o.stderr)
	}
}

// TestNotFinite spoils a tensor: the message names the line, and says what may be wrong.
func TestNotFinite(t *testing.T) {
	t.Parallel()
	dir := copyModel(t, "tiny")
	path := filepath.Join(dir, "model-00001-of-00002.safetensors")
	b := []byte(readFile(t, path))
	for i := len(b) - 256; i < len(b); i++ {
		b[i] = 0xff // a NaN in every type
	}
	writeFile(t, path, string(b))
	in := `{"messages": [{"role": "user", "content": "Hi"}], "completion": "a"}`
	for _, command := range []string{"score", "generate"} {
		for _, dtype := range []string{"f32", "bf16"} {
			o := thinker(t, in, append([]string{command, "--model", dir, "--dtype", dtype}, small...)...)
			if o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, "standard input:1: ") || !strings.Contains(o.stderr, "not finite") {
				t.Errorf("%s in %s: exit status %d, %q, %s", command, dtype, o.code, o.stdout, o.stderr)
			}
		}
	}
}

func TestBadPictures(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "huge.png"), string(hugePNG()))
	writeFile(t, filepath.Join(dir, "text.png"), "no picture")
	out := writeFile(t, filepath.Join(dir, "out.safetensors"), "old")
	model, good := testdata(t, "golden", "tiny"), testdata(t, "golden", "pictures", "a8x8.png")
	for _, tt := range []struct{ name, picture, want string }{
		{"missing", filepath.Join(dir, "none.png"), "none.png"},
		{"no picture", filepath.Join(dir, "text.png"), "text.png"},
		{"huge", filepath.Join(dir, "huge.png"), "huge.png"},
		{"device", "/dev/zero", "device"},
		{"folder", dir, "directory"},
		{"URL", "https://example.com/a.png", "https://example.com/a.png"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := thinker(t, "", "preprocess", "--model", model, "--out", out, good, tt.picture)
			if o.code != 1 || !strings.HasPrefix(o.stderr, "thinker: ") || !strings.Contains(o.stderr, tt.want) {
				t.Errorf("exit status %d: %s", o.code, o.stderr)
			}
			if got := readFile(t, out); got != "old" {
				t.Error("the old output is gone")
			}
		})
	}
	if o := thinker(t, "", "preprocess", "--model", model, "--max-pixels", "784", "--out", out, good); o.code != 0 {
		t.Errorf("a most below the checkpoint's least, which the reference takes: exit status %d: %s", o.code, o.stderr)
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"tokenise"}, "tokenize"},
		{[]string{"generate"}, "model"},
		{[]string{"generate", "--modle", "x"}, "did you mean --model"},
		{[]string{"generate", "--model", "x", "--n", "0"}, "--n"},
		{[]string{"generate", "--model", "x", "--n", "many"}, "many"},
		{[]string{"generate", "--model", "x", "--n", "1000000000000"}, "1 to 2147483647"},
		{[]string{"generate", "--model", "x", "--top-p", "1e-300"}, "1e-300"},
		{[]string{"generate", "--model", "x", "--temperature", "-1"}, "-1"},
		{[]string{"generate", "--model", "x", "--temperature", "NaN"}, "NaN"},
		{[]string{"generate", "--model", "x", "--top-p", "0"}, "--top-p"},
		{[]string{"generate", "--model", "x", "--top-p", "1.5"}, "1.5"},
		{[]string{"generate", "--model", "x", "--top-k", "-3"}, "-3"},
		{[]string{"generate", "--model", "x", "--min-p", "2"}, "--min-p"},
		{[]string{"generate", "--model", "x", "--max-tokens", "0"}, "--max-tokens"},
		{[]string{"generate", "--model", "x", "--seed", "-1"}, "-1"},
		{[]string{"generate", "--model", "x", "--dtype", "f16"}, "f32 or bf16"},
		{[]string{"generate", "--model", "x", "--ban", "all"}, "vision or none"},
		{[]string{"generate", "--model", "x", "--isa", "sse"}, "avx2"},
		{[]string{"generate", "--model", "x", "--cache", "-1"}, "-1"},
		{[]string{"generate", "--model", "x", "--batch", "-1"}, "--batch"},
		{[]string{"generate", "--model", "x", "--min-pixels", "5", "--max-pixels", "4"}, "--min-pixels 5"},
		{[]string{"score", "--model", "x", "--temperature", "1e-9"}, "1e-09"},
		{[]string{"score", "--model", "x", "y"}, `"y"`},
		{[]string{"generate", "--model", "x", "-q", "-v"}, "--quiet"},
		{[]string{"preprocess", "--model", "x", "--out", "y"}, "pictures"},
		{[]string{"preprocess", "--model", "x", "--out", "-", "a.png"}, "standard output"},
		{[]string{"init", "--config", "c"}, "tokenizer"},
		{[]string{"init", "--config", "c", "--tokenizer", "t", "--out", "o", "--layout", "mixed"}, "released or nested"},
		{[]string{"doctor", "--threads", "-1"}, "-1"},
	} {
		o := thinker(t, "", tt.args...)
		if o.code != 2 || !strings.HasPrefix(o.stderr, "thinker: ") || !strings.Contains(o.stderr, tt.want) || !strings.Contains(o.stderr, "--help") || o.stdout != "" {
			t.Errorf("%v: exit status %d, %q; want 2 and %q", tt.args, o.code, o.stderr, tt.want)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"help", "generate"}, {"--version"}, {"completion", "bash"}, {"generate", "--help"}, {"tokenize", "-h"}} {
		if o := thinker(t, "", args...); o.code != 0 || o.stdout == "" || o.stderr != "" {
			t.Errorf("%v: exit status %d, %d bytes, %q", args, o.code, len(o.stdout), o.stderr)
		}
	}
}

// TestBadFiles gives paths for --in and --out that cannot be read or written.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	model := testdata(t, "golden", "tiny")
	good := writeFile(t, filepath.Join(dir, "in.jsonl"), "{\"text\": \"a\"}\n")
	for _, tt := range []struct{ name, in, out, want string }{
		{"no input", filepath.Join(dir, "none.jsonl"), "-", "none.jsonl"},
		{"a folder as input", dir, "-", "folder"},
		{"an endless device as input", "/dev/zero", "-", "/dev/zero:1: "},
		{"a folder as output", good, dir, "folder"},
		{"no name for the output", good, "", "no name"},
		{"no folder for the output", good, filepath.Join(dir, "no", "out.jsonl"), "no"},
		{"a full disk", good, "/dev/full", "/dev/full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.in+tt.out, "/dev/full") {
				if _, err := os.Stat("/dev/full"); err != nil {
					t.Skip(err)
				}
			}
			o := thinker(t, "", "tokenize", "--model", model, "--in", tt.in, "--out", tt.out)
			if o.code != 1 || !strings.Contains(o.stderr, tt.want) {
				t.Errorf("exit status %d: %s", o.code, o.stderr)
			}
			if got := entries(t, dir); got != "in.jsonl" {
				t.Errorf("the folder holds %s", got)
			}
		})
	}
}

// TestInterrupted cancels commands while they work: they end at once, with the status of an interrupt and the old output.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	model := testdata(t, "golden", "tiny")
	out := writeFile(t, filepath.Join(dir, "out"), "old")
	for _, tt := range []struct {
		name  string
		args  []string
		read  int           // the interrupt follows this read of 2000 bytes
		delay time.Duration // after this time
	}{
		{"generate", append([]string{"generate", "--model", model, "--out", out, "--n", "100000", "--ignore-eos", "--max-tokens", "3000"}, small...), 1, 300 * time.Millisecond},
		{"score", append([]string{"score", "--model", model, "--out", out}, small...), 3, 0},
		{"tokenize", []string{"tokenize", "--model", model, "--out", out}, 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			var stdin, stdout, stderr bytes.Buffer
			for range 1000 {
				stdin.WriteString(`{"messages": [{"role": "user", "content": "` + strings.Repeat("many words ", 30) + `"}], "completion": "a"}` + "\n")
			}
			in := &cancelling{r: &stdin, cancel: cancel, after: tt.read, delay: tt.delay}
			start := time.Now()
			code := run(ctx, tt.args, in, &stdout, &stderr)
			if code != 130 || !strings.Contains(stderr.String(), "interrupted") {
				t.Errorf("exit status %d: %s", code, stderr.String())
			}
			if took := time.Since(start); took > 2*time.Minute {
				t.Errorf("it took %v", took)
			}
			if got := readFile(t, out); got != "old" {
				t.Error("the old output is gone")
			}
			if got := entries(t, dir); got != "out" {
				t.Errorf("the folder holds %s", got)
			}
		})
	}
	t.Run("a blocked input", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		var stdout, stderr bytes.Buffer
		block := make(chan struct{})
		defer close(block)
		time.AfterFunc(100*time.Millisecond, cancel)
		done := make(chan int)
		go func() {
			done <- run(ctx, append([]string{"generate", "--model", model, "--out", out}, small...), blocked(block), &stdout, &stderr)
		}()
		select {
		case code := <-done:
			if code != 130 || readFile(t, out) != "old" || entries(t, dir) != "out" {
				t.Errorf("exit status %d, files %s", code, entries(t, dir))
			}
		case <-time.After(2 * time.Minute):
			t.Error("it waits for its input for ever")
		}
	})
}

// A cancelling reader cancels after some reads and a delay.
type cancelling struct {
	r      *bytes.Buffer
	cancel func()
	after  int
	delay  time.Duration
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.after--; c.after == 0 {
		if c.delay == 0 {
			c.cancel()
		} else {
			time.AfterFunc(c.delay, c.cancel)
		}
	}
	return c.r.Read(p[:min(len(p), 2000)])
}

// A blocked reader waits until its channel is closed.
type blocked chan struct{}

func (b blocked) Read([]byte) (int, error) {
	<-b
	return 0, os.ErrClosed
}

// TestCheckedFirst puts a line that only the engine can refuse behind prompts that take long: it is refused before they are begun.
func TestCheckedFirst(t *testing.T) {
	t.Parallel()
	model := testdata(t, "golden", "tiny")
	prompt := `"messages": [{"role": "user", "content": "Hi"}]`
	for _, tt := range []struct{ name, line, want string }{
		{"a prompt that the cache cannot hold", `{"prompt_ids": [` + strings.Repeat("5, ", 2000) + `5]}`, "raise --cache"},
		{"a prompt without room for an answer", `{"prompt_ids": [` + strings.Repeat("5, ", 4095) + `5]}`, "4096"},
	} {
		in := writeFile(t, filepath.Join(t.TempDir(), "in.jsonl"), strings.Repeat("{"+prompt+"}\n", 50)+tt.line+"\n")
		o := thinker(t, "", "generate", "--model", model, "--in", in, "--n", "100000", "--ignore-eos", "--max-tokens", "1000", "--cache", "500KiB")
		if o.code != 1 || !strings.HasPrefix(o.stderr, "thinker: "+in+":51: ") || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("%s: exit status %d: %s", tt.name, o.code, o.stderr)
		}
	}
	in := writeFile(t, filepath.Join(t.TempDir(), "in.jsonl"), strings.Repeat("{"+prompt+`, "completion_ids": [5]}`+"\n", 50)+"{"+prompt+`, "completion_ids": [612]}`)
	if o := thinker(t, "", append([]string{"score", "--model", model, "--in", in}, small...)...); o.code != 1 || o.stdout != "" || !strings.HasPrefix(o.stderr, "thinker: "+in+":51: ") {
		t.Errorf("a banned id: exit status %d: %s%.100s", o.code, o.stderr, o.stdout)
	}
}
