package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// releasedTemplate is the SHA-256 of the chat template of Qwen2.5-VL-3B-Instruct,
// which the models of the family share.
const releasedTemplate = "a0bc6f6fc7a29a80017a433e8f03a1cc1236e838a944a2d034295a60c4f2fddb"

// A TemplateError says that a checkpoint has a chat template other than the one that
// [Render] follows.
type TemplateError struct {
	File   string // where the template stands
	SHA256 string // of the template, in hexadecimal
}

func (e *TemplateError) Error() string {
	return fmt.Sprintf("chat: %s holds another chat template (sha256 %s) than Qwen2.5-VL's (%s), the only one that is implemented: replace it by the released one if the model was trained with that, else give prompts as ids",
		e.File, e.SHA256, releasedTemplate)
}

const (
	maxTemplate = 1 << 20
	maxConfig   = 64 << 20 // tokenizer_config.json lists added tokens too
)

// CheckTemplate compares the chat template of a checkpoint folder with the one that
// [Render] follows. It looks where transformers' processor does, in this order, and
// judges the first template it finds: chat_template.jinja, chat_template.json,
// tokenizer_config.json. A folder without any passes. Line ends and one newline at
// the end, which the template engine drops, make no difference. A template that
// differs is a [*TemplateError].
func CheckTemplate(dir string) error {
	for _, source := range []struct {
		name  string
		limit int64
		read  func([]byte) (string, bool, error)
	}{
		{"chat_template.jinja", maxTemplate, func(data []byte) (string, bool, error) { return string(data), true, nil }},
		{"chat_template.json", maxTemplate, jsonTemplate},
		{"tokenizer_config.json", maxConfig, jsonTemplate},
	} {
		name := filepath.Join(dir, source.name)
		data, err := regfile.ReadFile(name, source.limit)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("chat: %w", err)
		}
		template, ok, err := source.read(data)
		if err != nil {
			return fmt.Errorf("chat: %s: %w", name, err)
		}
		if !ok {
			continue
		}
		template = strings.ReplaceAll(template, "\r\n", "\n")
		sum := sha256.Sum256([]byte(strings.TrimSuffix(template, "\n")))
		if got := hex.EncodeToString(sum[:]); got != releasedTemplate {
			return &TemplateError{name, got}
		}
		return nil
	}
	return nil
}

// jsonTemplate returns the value of chat_template in a JSON file: a string, or a
// list of templates with names, of which the one called default is used.
func jsonTemplate(data []byte) (template string, ok bool, err error) {
	root, err := rawjson.Parse(data)
	if err != nil {
		return "", false, err
	}
	m, err := root.Map()
	if err != nil {
		return "", false, err
	}
	v, ok := m["chat_template"]
	if !ok || v.Kind() == rawjson.Null {
		return "", false, nil
	}
	if v.Kind() != rawjson.Array {
		template, err = v.Text()
		if err != nil {
			return "", false, fmt.Errorf("chat_template: %w", err)
		}
		return template, true, nil
	}
	ok = false
	err = v.Elements(func(i int, v rawjson.Value) error {
		m, err := v.Map()
		if err != nil {
			return fmt.Errorf("chat_template[%d]: %w", i, err)
		}
		name, err := text(m, "name")
		if err != nil {
			return fmt.Errorf("chat_template[%d]: %w", i, err)
		}
		if name == "default" {
			template, err = text(m, "template")
			ok = err == nil
		}
		return err
	})
	return template, ok, err
}
