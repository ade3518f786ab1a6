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
// are pictures, some are no picture's.
func Render(messages []Message, options Options) (prompt string, images []string, err error) {
	if len(messages) == 0 {
		return "", nil, errors.New("chat: no messages, want at least one")
	}
	var b strings.Builder
	if messages[0].Role != "system" {
		b.WriteString("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
	}
	for i, m := range messages {
		if err := checkRole(m.Role); err != nil {
			return "", nil, fmt.Errorf("chat: messages[%d]: %w", i, err)
		}
		b.WriteString("<|im_start|>")
		b.WriteString(m.Role)
		b.WriteByte('\n')
		for k, p := range m.Content {
			if err := p.check(); err != nil {
				return "", nil, fmt.Errorf("chat: messages[%d].content[%d]: %w", i, k, err)
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
			b.WriteString("<|vision_start|><|image_pad|><|vision_end|>")
		}
		b.WriteString("<|im_end|>\n")
	}
	if options.AddGenerationPrompt {
		b.WriteString("<|im_start|>assistant\n")
	}
	return b.String(), images, nil
}

func (p Part) check() error {
	switch p.Type {
	case TypeText, TypeImage:
		return nil
	}
	return fmt.Errorf("a part of type %s is not known, want %q or %q", rawjson.Quote(p.Type), TypeText, TypeImage)
}
