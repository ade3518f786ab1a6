package prompt

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/thinker-vl/thinker/data"
)

// System is the paper's system prompt, as its authors' inference program has it: without a full stop at the end.
const System = "You are VL-Thinking🤔, a helpful assistant with excellent reasoning ability. A user asks you a question, and you should try to solve it. " +
	"You should first think about the reasoning process in the mind and then provides the user with the answer. " +
	"The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., " +
	"<think> reasoning process here </think> <answer> answer here </answer>"

// PaperName is the name of the paper's layout.
const PaperName = "paper"

const paperText = `{{define "system"}}` + System + `{{end}}{{define "user"}}{{.Pictures}}{{.QuestionWithOptions}}{{end}}`

// MaxTemplateBytes is the most that a template file may hold.
const MaxTemplateBytes = 64 << 10

// maxOutput is the most that a message may hold.
const maxOutput = 16 << 20

// A Layout turns records into conversations. It may be used by many goroutines at once.
type Layout struct {
	name, text   string
	system, user *template.Template // nil where there is no such block
}

// Paper is the paper's layout.
func Paper() *Layout {
	l, err := Parse(PaperName, paperText)
	if err != nil {
		panic(err) // the text is a constant
	}
	return l
}

// Load reads a template file.
func Load(path string) (*Layout, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("prompt: %w", err)
	}
	if !fi.Mode().IsRegular() || fi.Size() > MaxTemplateBytes {
		return nil, fmt.Errorf("prompt: %s: want a template file of at most %d bytes", path, MaxTemplateBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("prompt: %w", err)
	}
	return Parse(path, string(text))
}

// Parse makes a layout of a template's text. Errors name the template and the line.
func Parse(name, text string) (*Layout, error) {
	if len(text) > MaxTemplateBytes || !utf8.ValidString(text) {
		return nil, fmt.Errorf("prompt: %s: %d bytes: want a template of at most %d, in UTF-8", name, len(text), MaxTemplateBytes)
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{"letter": letter}).Parse(text)
	if err != nil {
		return nil, templateError(err)
	}
	if err := checkTree(t); err != nil {
		return nil, err
	}
	l := &Layout{name: name, text: text, system: t.Lookup(blockSystem), user: t.Lookup(blockUser)}
	if l.user == nil {
		return nil, fmt.Errorf(`prompt: %s: there is no block user: want {{define "user"}}{{.Pictures}}{{.QuestionWithOptions}}{{end}}`, name)
	}
	// What a record can never have fails now.
	trial := &data.Record{Images: make([]string, 64), Options: make([]string, 26)}
	for _, b := range []*template.Template{l.system, l.user} {
		if b == nil {
			continue
		}
		if _, err := l.execute(b, &view{r: trial}); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Name is the file's, or "paper".
func (l *Layout) Name() string { return l.name }

// Text is the template.
func (l *Layout) Text() string { return l.text }

// Messages lays a record out, without its response. A record that holds messages keeps them. They get the layout's system message in
// front where they have none, and the options behind the user's last words where those do not list them.
func (l *Layout) Messages(r *data.Record) ([]data.Message, error) {
	var messages []data.Message
	if l.system != nil && !(len(r.Messages) > 0 && r.Messages[0].Role == "system") {
		v := &view{r: r}
		text, err := l.execute(l.system, v)
		if err != nil {
			return nil, err
		}
		if v.placed != nil {
			return nil, fmt.Errorf("prompt: %s: the block system has pictures: they belong to user", l.name)
		}
		if text != "" {
			messages = append(messages, data.Message{Role: "system", Parts: []data.Part{{Text: text}}})
		}
	}
	if len(r.Messages) > 0 {
		return append(messages, withOptions(r)...), nil
	}
	v := &view{r: r}
	text, err := l.execute(l.user, v)
	if err != nil {
		return nil, err
	}
	if v.placed == nil { // they come first
		text = v.Pictures() + text
	}
	for i, placed := range v.placed {
		if placed != 1 {
			return nil, fmt.Errorf("prompt: %s: the block user places picture %d of %d %d times: want each once", l.name, i+1, len(r.Images), placed)
		}
	}
	return append(messages, data.Message{Role: "user", Parts: parts(text, r.Images)}), nil
}

// withOptions are a record's messages with its options.
func withOptions(r *data.Record) []data.Message {
	last := len(r.Messages) - 1
	m := r.Messages[last]
	var said strings.Builder
	for _, p := range m.Parts {
		said.WriteString(p.Text)
	}
	more := choices(said.String(), r.Options)
	if m.Role != "user" || more == "" {
		return r.Messages
	}
	m.Parts = append(slices.Clone(m.Parts), data.Part{Text: more})
	return append(slices.Clone(r.Messages[:last]), m)
}

func (l *Layout) execute(t *template.Template, v *view) (string, error) {
	w := &limited{}
	if err := t.Execute(w, v); err != nil {
		if w.full {
			return "", fmt.Errorf("prompt: %s: the block %s writes more than %d bytes", l.name, t.Name(), maxOutput)
		}
		return "", templateError(err)
	}
	if v.err != nil {
		return "", v.err
	}
	marks := 0
	for _, n := range v.placed {
		marks += 2 * n
	}
	if strings.Count(w.b.String(), mark) != marks {
		return "", fmt.Errorf("prompt: %s: the block %s writes zero bytes, or takes pictures apart", l.name, t.Name())
	}
	return strings.TrimSpace(w.b.String()), nil
}

// templateError takes text/template's own prefix from an error.
func templateError(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	text = strings.Replace(text, " in type *prompt.view", ": want .ID, .Type, .Question, .Options, .QuestionWithOptions, .Pictures, .Picture N, .Count or .Extra KEY", 1)
	return fmt.Errorf("prompt: %s", text)
}

// A limited writer refuses what is too long.
type limited struct {
	b    strings.Builder
	full bool
}

func (w *limited) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > maxOutput {
		w.full = true
		return 0, errors.New("too long")
	}
	return w.b.Write(p)
}

// Pictures are marked in a template's output by a number between zero bytes, which no record's text may have.
const mark = "\x00"

// parts cuts a text at the marks.
func parts(text string, images []string) []data.Part {
	var all []data.Part
	for i, s := range strings.Split(text, mark) {
		switch {
		case i%2 == 1:
			n, _ := strconv.Atoi(s) // written by place
			all = append(all, data.Part{Image: images[n]})
		case s != "":
			all = append(all, data.Part{Text: s})
		}
	}
	return all
}

// letter is the letter of option i: A for 0.
func letter(i int) (string, error) {
	if i < 0 || i > 25 {
		return "", fmt.Errorf("option %d has no letter", i+1)
	}
	return string(rune('A' + i)), nil
}
