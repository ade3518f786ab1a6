package prompt

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/data"
)

// A view is what a template sees of a record.
type view struct {
	r      *data.Record
	placed []int // how often each picture was placed; nil: none was
	err    error // of the record's text
}

// ID is the record's id.
func (v *view) ID() string { return v.clean("id", v.r.ID) }

// Type is the record's verifier_type.
func (v *view) Type() string { return v.clean("verifier_type", v.r.Type) }

// Question is the question as it stands in the record.
func (v *view) Question() string { return v.clean("question", v.r.Question) }

// Options are those of a multiple choice.
func (v *view) Options() []string {
	all := make([]string, len(v.r.Options))
	for i, o := range v.r.Options {
		all[i] = v.clean("options", o)
	}
	return all
}

// QuestionWithOptions is the question, with the options below it where it does not list them itself, and they are more than the letters.
func (v *view) QuestionWithOptions() string {
	q := v.Question()
	return q + choices(q, v.Options())
}

// choices is what is added to a question that has these options.
func choices(question string, options []string) string {
	if len(options) == 0 || len(options) > 26 || onlyLetters(options) || lists(question, options) {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nChoices:")
	for i, o := range options {
		fmt.Fprintf(&b, "\n%c: %s", 'A'+i, o)
	}
	return b.String()
}

// onlyLetters reports whether the options are A, B, ... and stand in the picture.
func onlyLetters(options []string) bool {
	for i, o := range options {
		if strings.Trim(strings.TrimSpace(o), "().") != string(rune('A'+i)) {
			return false
		}
	}
	return true
}

// lists reports whether a question has all options in their order, each behind its letter.
func lists(question string, options []string) bool {
	rest := squeeze(question)
	for i, o := range options {
		at := regexp.MustCompile(fmt.Sprintf(`(?:^|[\s(\[])%c\s*[).:\]]\s*%s`, 'A'+i, regexp.QuoteMeta(squeeze(o)))).FindStringIndex(rest)
		if at == nil {
			return false
		}
		rest = rest[at[1]:]
	}
	return true
}

// squeeze makes one space of white space, and text of bytes that are none.
func squeeze(s string) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
}

// Extra is a further field of the record: a string's text, anything else as JSON, "" where there is none.
func (v *view) Extra(key string) string {
	raw := v.r.Extra[key]
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	return v.clean(key, s)
}

// Pictures places all pictures.
func (v *view) Pictures() string {
	var b strings.Builder
	for i := range v.r.Images {
		b.WriteString(v.place(i))
	}
	return b.String()
}

// Picture places picture n, from 1.
func (v *view) Picture(n int) (string, error) {
	if n < 1 || n > len(v.r.Images) {
		return "", fmt.Errorf("there is no picture %d: the record has %d", n, len(v.r.Images))
	}
	return v.place(n - 1), nil
}

// Count is the number of pictures.
func (v *view) Count() int { return len(v.r.Images) }

func (v *view) place(i int) string {
	if v.placed == nil {
		v.placed = make([]int, len(v.r.Images))
	}
	v.placed[i]++
	return mark + strconv.Itoa(i) + mark
}

// clean refuses text that could pass for a mark.
func (v *view) clean(key, s string) string {
	if strings.Contains(s, mark) {
		v.err = fmt.Errorf("prompt: the %s has a zero byte", key)
	}
	return s
}
