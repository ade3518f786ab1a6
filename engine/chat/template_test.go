package chat

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

// released returns the released template.
func released(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(testdata.Path(t, "qwen2.5-vl-3b", "chat_template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Template string `json:"chat_template"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Template
}

func TestTemplate(t *testing.T) {
	if got := released(t); got != Template {
		t.Errorf("the released template is\n%q\nTemplate is\n%q", got, Template)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(Template), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckTemplate(dir); err != nil {
		t.Error(err)
	}
}

func TestCheckTemplate(t *testing.T) {
	template := Template
	object := func(v any) string {
		data, err := json.Marshal(map[string]any{"chat_template": v})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	other := strings.Replace(template, "helpful", "terse", 1)
	tests := []struct {
		name  string
		files map[string]string
		bad   string // the file with another template
	}{
		{"none", nil, ""},
		{"jinja", map[string]string{"chat_template.jinja": template}, ""},
		{"newline at the end", map[string]string{"chat_template.jinja": template + "\n"}, ""},
		{"line ends", map[string]string{"chat_template.jinja": strings.ReplaceAll(template, "\n", "\r\n")}, ""},
		{"json", map[string]string{"chat_template.json": object(template)}, ""},
		{"configuration", map[string]string{"tokenizer_config.json": object(template)}, ""},
		{"list", map[string]string{"tokenizer_config.json": object([]any{
			map[string]string{"name": "tools", "template": other}, map[string]string{"name": "default", "template": template},
		})}, ""},
		{"null", map[string]string{"tokenizer_config.json": object(nil)}, ""},
		{"no key", map[string]string{"tokenizer_config.json": "{}"}, ""},
		{"first of three", map[string]string{"chat_template.jinja": template, "chat_template.json": object(other), "tokenizer_config.json": object(other)}, ""},
		{"other jinja", map[string]string{"chat_template.jinja": other, "chat_template.json": object(template)}, "chat_template.jinja"},
		{"other json", map[string]string{"chat_template.json": object(other)}, "chat_template.json"},
		{"other configuration", map[string]string{"chat_template.json": object(nil), "tokenizer_config.json": object(other)}, "tokenizer_config.json"},
		{"two newlines", map[string]string{"chat_template.jinja": template + "\n\n"}, "chat_template.jinja"},
		{"other default", map[string]string{"tokenizer_config.json": object([]any{map[string]string{"name": "default", "template": other}})}, "tokenizer_config.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := CheckTemplate(dir)
			if test.bad == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*TemplateError](err); !ok || e.File != filepath.Join(dir, test.bad) || !strings.Contains(err.Error(), e.SHA256) {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, model := range []string{"qwen2.5-vl-3b", "golden/tiny", "golden/wide"} {
		if err := CheckTemplate(testdata.Path(t, model)); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckTemplateBadFiles(t *testing.T) {
	tests := []struct {
		name, file, content string
		words               []string
	}{
		{"cut", "chat_template.json", `{"chat_template": "`, []string{"JSON"}},
		{"no object", "chat_template.json", `[]`, []string{"object"}},
		{"template of another type", "tokenizer_config.json", `{"chat_template": 5}`, []string{"chat_template", "5"}},
		{"list of strings", "tokenizer_config.json", `{"chat_template": ["x"]}`, []string{"chat_template[0]", `"x"`}},
		{"no name", "tokenizer_config.json", `{"chat_template": [{"template": "x"}]}`, []string{"chat_template[0]", "name"}},
		{"no template", "tokenizer_config.json", `{"chat_template": [{"name": "default"}]}`, []string{"template"}},
		{"too large", "chat_template.jinja", strings.Repeat("x", maxTemplate+1), []string{"1048576"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := CheckTemplate(dir)
			if err == nil || !strings.HasPrefix(err.Error(), "chat: ") {
				t.Fatalf("error %v", err)
			}
			for _, word := range append(test.words, test.file) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %q", err, word)
				}
			}
		})
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "chat_template.jinja"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := CheckTemplate(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder as template: %v", err)
	}
}
