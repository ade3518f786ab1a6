package prompt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/data"
)

func TestPaper(t *testing.T) {
	system := data.Message{Role: "system", Parts: []data.Part{{Text: System}}}
	a, b := data.Part{Image: "/a.png"}, data.Part{Image: "/b.png"}
	text := func(s string) data.Part { return data.Part{Text: s} }
	user := func(parts ...data.Part) []data.Message {
		return []data.Message{system, {Role: "user", Parts: parts}}
	}
	tests := []struct {
		name string
		r    data.Record
		want []data.Message
	}{
		{"a picture first", data.Record{Question: "How many?", Images: []string{"/a.png"}}, user(a, text("How many?"))},
		{"two pictures", data.Record{Question: "Which?", Images: []string{"/a.png", "/b.png"}}, user(a, b, text("Which?"))},
		{"none", data.Record{Question: "2 + 2?"}, user(text("2 + 2?"))},
		{"options", data.Record{Question: "Which?", Options: []string{"red", "blue"}}, user(text("Which?\nChoices:\nA: red\nB: blue"))},
		{"options in the question", data.Record{Question: "Which?\nChoices:\nA: red  dot\nB: blue", Options: []string{"red dot", "blue"}}, user(text("Which?\nChoices:\nA: red  dot\nB: blue"))},
		{"options in brackets", data.Record{Question: "Which? (A) red (B) blue", Options: []string{"red", "blue"}}, user(text("Which? (A) red (B) blue"))},
		{"options without letters", data.Record{Question: "Is it red or blue?", Options: []string{"red", "blue"}}, user(text("Is it red or blue?\nChoices:\nA: red\nB: blue"))},
		{"another order", data.Record{Question: "A: red B: blue", Options: []string{"blue", "red"}}, user(text("A: red B: blue\nChoices:\nA: blue\nB: red"))},
		{"options that are letters", data.Record{Question: "Which?", Options: []string{"A", "(B)"}}, user(text("Which?"))},
		{"without a picture it is text", data.Record{Question: "What does <image> mean?"}, user(text("What does <image> mean?"))},
		{"with a number it is text", data.Record{Question: "The angle in <image1>?", Images: []string{"/a.png"}}, user(a, text("The angle in <image1>?"))},
		{"special tokens are text", data.Record{Question: "<|image_pad|><|im_end|>", Images: []string{"/a.png"}}, user(a, text("<|image_pad|><|im_end|>"))},
		{"a template's marks are text", data.Record{Question: "{{.Pictures}}"}, user(text("{{.Pictures}}"))},
		{"messages", data.Record{Messages: []data.Message{{Role: "user", Parts: []data.Part{text("Hi")}}}}, user(text("Hi"))},
		{"messages with options", data.Record{Options: []string{"red", "blue"}, Messages: []data.Message{{Role: "user", Parts: []data.Part{text("Is "), a, text(" like"), b, text("?")}}}},
			user(text("Is "), a, text(" like"), b, text("?"), text("\nChoices:\nA: red\nB: blue"))},
		{"messages that list options", data.Record{Options: []string{"red", "blue"}, Messages: []data.Message{{Role: "user", Parts: []data.Part{a, text("A) red B) blue")}}}},
			user(a, text("A) red B) blue"))},
		{"messages with a system message", data.Record{Messages: []data.Message{{Role: "system", Parts: []data.Part{text("Be brief.")}}, {Role: "user", Parts: []data.Part{a}}}},
			[]data.Message{{Role: "system", Parts: []data.Part{text("Be brief.")}}, {Role: "user", Parts: []data.Part{a}}}},
	}
	l := Paper()
	for _, tt := range tests {
		got, err := l.Messages(&tt.r)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if !strings.HasSuffix(System, "answer here </answer>") || !strings.HasPrefix(System, "You are VL-Thinking🤔, ") || len(System) != 435 {
		t.Errorf("the paper's system prompt has %d bytes", len(System))
	}
}

func TestTemplates(t *testing.T) {
	r := &data.Record{ID: "q7", Type: "mcq", Question: "Which?", Options: []string{"red", "blue"}, Images: []string{"/a.png", "/b.png"},
		Extra: map[string]json.RawMessage{"caption": json.RawMessage(`"a dot"`), "level": json.RawMessage(`3`)}}
	flat := func(messages []data.Message) string {
		var b strings.Builder
		for _, m := range messages {
			b.WriteString(m.Role + "[")
			for _, p := range m.Parts {
				if p.Image != "" {
					b.WriteString("<" + p.Image + ">")
				}
				b.WriteString(p.Text)
			}
			b.WriteString("]")
		}
		return b.String()
	}
	for text, want := range map[string]string{
		`{{define "user"}}{{.Question}}{{end}}`: "user[</a.png></b.png>Which?]",
		"\n{{define \"system\"}}\n  Be brief.\n{{end}}\n{{define \"user\"}}{{.Question}} {{.Pictures}}{{end}}\n":        "system[Be brief.]user[Which? </a.png></b.png>]",
		`{{define "user"}}{{.Picture 2}} before {{.Picture 1}}, {{.Count}}{{end}}`:                                      "user[</b.png> before </a.png>, 2]",
		`{{define "user"}}{{range $i, $o := .Options}}({{letter $i}}) {{$o}} {{end}}{{end}}`:                            "user[</a.png></b.png>(A) red (B) blue]",
		`{{define "user"}}{{if eq .Type "mcq"}}Answer with a letter.{{else}}Answer.{{end}}{{end}}`:                      "user[</a.png></b.png>Answer with a letter.]",
		`{{define "user"}}{{.Extra "caption"}}, {{.Extra "level"}}, {{.Extra "none"}}{{.ID}}{{end}}{{/* a comment */}}`: "user[</a.png></b.png>a dot, 3, q7]",
		`{{define "system"}}{{end}}{{define "user"}}x{{end}}`:                                                           "user[</a.png></b.png>x]",
		`{{define "user"}}{{with .Options}}{{len .}}{{end}}{{end}}`:                                                     "user[</a.png></b.png>2]",
	} {
		l, err := Parse("my.tmpl", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := l.Messages(r)
		if err != nil || flat(got) != want {
			t.Errorf("%s: %q, %v, want %q", text, flat(got), err, want)
		}
	}
}

// TestBadTemplates refuses templates, with the line, and in no time.
func TestBadTemplates(t *testing.T) {
	const user = `{{define "user"}}x{{end}}`
	for text, want := range map[string]string{
		"":                                      "no block user",
		"hello":                                 "my.tmpl:1: \"hello\" stands outside",
		user + "\n\n{{.Question}}":              "my.tmpl:3: \"{{.Question}}\" stands outside",
		user + `{{define "assistant"}}y{{end}}`: `"assistant" is none of`,
		"{{define \"user\"}}\n{{.Qestion}}{{end}}":                                                     "my.tmpl:2:",
		`{{define "user"}}{{.Qestion}}{{end}}`:                                                         "want .ID, .Type, .Question",
		"{{define \"user\"}}\n\n{{if}}{{end}}{{end}}":                                                  "my.tmpl:3:",
		`{{define "user"}}{{range 1000000000000}}{{end}}{{end}}`:                                       "want .Options",
		`{{define "user"}}{{range .Options}}{{range $.Options}}{{end}}{{end}}{{end}}`:                  "a range in a range",
		"{{define \"user\"}}\n{{template \"user\" .}}{{end}}":                                          "my.tmpl:2: {{template \"user\" .}}: templates call no others",
		`{{define "user"}}{{block "more" .}}{{end}}{{end}}`:                                            "is none of system, user",
		`{{define "user"}}{{call .Question}}{{end}}`:                                                   "the function call",
		`{{define "user"}}{{readFile "/etc/passwd"}}{{end}}`:                                           `"readFile" not defined`,
		`{{define "user"}}{{"\x00"}}{{end}}`:                                                           "zero bytes",
		"{{define \"user\"}}\n{{printf `%1000000d` 1}}{{end}}":                                         "my.tmpl:2: the function printf: want one of and, or,",
		`{{define "user"}}{{if .Count}}{{with (print . .)}}{{end}}{{end}}{{end}}`:                      "the function print",
		`{{define "user"}}{{if (js (js .ID)).X}}{{end}}{{end}}`:                                        "the function js",
		`{{define "user"}}{{range .Options}}{{if true}}{{range .Options}}{{end}}{{end}}{{end}}{{end}}`: "a range in a range",
		user + "\xff": "UTF-8",
		user + strings.Repeat(" ", MaxTemplateBytes): "want a template of at most",
	} {
		start := time.Now()
		_, err := Parse("my.tmpl", text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "prompt: my.tmpl") || len(err.Error()) > 400 {
			t.Errorf("%.100q: %v, want %q", text, err, want)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%.100q: it took %v", text, took)
		}
	}
	l, err := Parse("my.tmpl", `{{define "user"}}{{.Picture 1}}{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		images []string
		want   string
	}{{nil, "there is no picture 1"}, {[]string{"a", "b"}, "picture 2 of 2 0 times"}} {
		if _, err := l.Messages(&data.Record{Images: x.images}); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%d pictures: %v, want %q", len(x.images), err, x.want)
		}
	}
	if _, err := Paper().Messages(&data.Record{Question: "a\x00b"}); err == nil || !strings.Contains(err.Error(), "the question has a zero byte") {
		t.Errorf("a zero byte: %v", err)
	}
	if _, err := Paper().Messages(&data.Record{Question: strings.Repeat("a", maxOutput+1)}); err == nil || !strings.Contains(err.Error(), "the block user writes more than") {
		t.Errorf("a long question: %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "short.tmpl")
	text := `{{define "user"}}{{.Question}} Be brief.{{end}}`
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	l, err := Load(path)
	if err != nil || l.Name() != path || l.Text() != text {
		t.Errorf("%v, %v", l, err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "none.tmpl")} {
		if _, err := Load(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestResponse(t *testing.T) {
	if got := Response("It is red.", "A"); got != "<think>It is red.</think> <answer>A</answer>" || CheckResponse(got) != nil {
		t.Errorf("%q: %v", got, CheckResponse(got))
	}
	if err := CheckResponse("\n<think>\na\n</think>\n\n<answer>\nb\n</answer>\n"); err != nil {
		t.Error(err)
	}
	for s, want := range map[string]string{
		"":                                                       "0 times <think>",
		"<think>a</think>":                                       "0 times <answer>",
		"<think>a</think> <answer></answer>":                     "empty",
		"<think>a</think> <answer> </answer>":                    "empty",
		"so <think>a</think> <answer>b</answer>":                 "does not begin",
		"<think>a</think> so <answer>b</answer>":                 "between",
		"<think>a</think> <answer>b</answer> so":                 "behind",
		"<think>a <think>b</think> <answer>c</answer>":           "2 times <think>",
		"<answer>b</answer> <think>a</think>":                    "does not begin",
		"<think>a<answer>b</answer></think>":                     "between",
		"<think>a</think> <answer>b</answer> <answer>c</answer>": "2 times <answer>",
		"<think>a</think> </answer><answer>b":                    "between",
		"<think></answer>a</think> <answer>b":                    "before",
	} {
		if err := CheckResponse(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(paperText)
	f.Add(`{{define "user"}}{{range $i, $o := .Options}}({{letter $i}}) {{$o}} {{end}}{{.Picture 1}}{{end}}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse("f", text)
		if err != nil {
			return
		}
		r := &data.Record{Question: text, Images: []string{"a"}, Options: []string{text}}
		messages, err := l.Messages(r)
		if err != nil {
			return
		}
		pictures := 0
		for _, m := range messages {
			for _, p := range m.Parts {
				if p.Image != "" {
					pictures++
				}
				if p.Image != "" && p.Text != "" || p == (data.Part{}) {
					t.Errorf("the part %q", p)
				}
			}
		}
		if pictures != 1 {
			t.Errorf("%d pictures", pictures)
		}
	})
}

// A program's own records may hold anything: bytes that are no text are no reason to panic.
func TestBytes(t *testing.T) {
	for _, r := range []*data.Record{
		{Question: "Q\xff", Options: []string{"a\xff", "b"}},
		{Question: "A: a\xff\nB: b", Options: []string{"a\xff", "b"}},
		{Messages: []data.Message{{Role: "user", Parts: []data.Part{{Text: "Q"}}}}, Options: []string{"\xff", "\xfe"}},
	} {
		if _, err := Paper().Messages(r); err != nil {
			t.Errorf("%q: %v", r.Options, err)
		}
	}
}
