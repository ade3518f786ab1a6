package chat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// Options are the parameters of the chat template.
type Options struct {
	AddGenerationPrompt bool // end with the start of an assistant's message
	AddVisionID         bool // write "Picture N: " before each picture, counted from 1 over all messages
}

// Render returns the prompt of messages and the paths of its pictures in order. Each
// picture is one <|image_pad|>, which stands for as many as the picture has tokens.
// Text may hold that string too: if the prompt's ids have more of its id than there
// are pictures, some are no picture's; see [Segments].
func Render(messages []Message, options Options) (prompt string, images []string, err error) {
	segments, images, err := Segments(messages, options)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	for _, s := range segments {
		b.WriteString(s.Text)
	}
	return b.String(), images, nil
}

// A Segment is a piece of a prompt: a special token of the template, or text between
// two of them.
type Segment struct {
	Text    string
	Special bool
}

// Segments is Render in pieces, so that the template's special tokens are told from
// strings in the messages' text that look like one.
func Segments(messages []Message, options Options) (segments []Segment, images []string, err error) {
	if len(messages) == 0 {
		return nil, nil, errors.New("chat: no messages, want at least one")
	}
	var b strings.Builder
	special := func(tokens ...string) {
		if b.Len() > 0 {
			segments = append(segments, Segment{Text: b.String()})
			b.Reset()
		}
		for _, t := range tokens {
			segments = append(segments, Segment{t, true})
		}
	}
	if messages[0].Role != "system" {
		special("<|im_start|>")
		b.WriteString("system\nYou are a helpful assistant.")
		special("<|im_end|>")
		b.WriteByte('\n')
	}
	for i, m := range messages {
		if err := checkRole(m.Role); err != nil {
			return nil, nil, fmt.Errorf("chat: messages[%d]: %w", i, err)
		}
		special("<|im_start|>")
		b.WriteString(m.Role)
		b.WriteByte('\n')
		for k, p := range m.Content {
			if err := p.check(); err != nil {
				return nil, nil, fmt.Errorf("chat: messages[%d].content[%d]: %w", i, k, err)
			}
			if p.Type == TypeText {
				b.WriteString(p.Text)
				continue
			}
			images = append(images, p.Image)
			if options.AddVisionID {
				b.WriteString("Picture ")
				b.WriteString(strconv.Itoa(len(images)))
				b.WriteString(": ")
			}
			special("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
		}
		special("<|im_end|>")
		b.WriteByte('\n')
	}
	if options.AddGenerationPrompt {
		special("<|im_start|>")
		b.WriteString("assistant\n")
	}
	special()
	return segments, images, nil
}

func (p Part) check() error {
	switch p.Type {
	case TypeText, TypeImage:
		return nil
	}
	return fmt.Errorf("a part of type %s is not known, want %q or %q", rawjson.Quote(p.Type), TypeText, TypeImage)
}
