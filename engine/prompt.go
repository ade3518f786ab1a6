package engine

import (
	"errors"
	"fmt"
	"iter"

	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/imageproc"
)

// A Span is where a picture's tokens stand in a prompt, and the picture's grid.
type Span struct {
	Start, Tokens int
	Grid          Grid
}

// A Prompt is token ids, image tokens expanded, with the pictures that those stand for. Make one with [Engine.Prompt],
// [Engine.PromptFromIDs] or [Engine.Ask].
type Prompt struct {
	IDs    []int32
	Spans  []Span // one a picture, ascending
	Images []*imageproc.Image

	placed int // of the pictures: see positions
}

// positions are those of the prompt's tokens and of what follows, n in all, and the position after them. As in the reference, whose
// get_rope_index counts the image tokens right after <|vision_start|>, so many pictures have the positions of a grid; the tokens of
// others, which no chat template makes, have those of text.
func (p *Prompt) positions(n, merge int) (pos [3][]int32, next int32) {
	return mropePositions(n, p.Spans[:p.placed], merge)
}

// A PromptError says which prompt of a call failed.
type PromptError struct {
	Prompt int // its index in the call
	Err    error
}

func (e *PromptError) Error() string { return fmt.Sprintf("engine: prompt %d: %v", e.Prompt, e.Err) }
func (e *PromptError) Unwrap() error { return e.Err }

// Prompts is a sequence of given prompts, for [Engine.Generate].
func Prompts(p ...*Prompt) iter.Seq2[*Prompt, error] {
	return func(yield func(*Prompt, error) bool) {
		for _, p := range p {
			if p == nil {
				yield(nil, errors.New("the prompt is nil"))
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Prompt renders messages by the chat template with the generation prompt, loads their pictures (paths absolute or relative to dir)
// and expands each image token to the picture's number of tokens.
func (e *Engine) Prompt(messages []chat.Message, dir string) (*Prompt, error) {
	text, images, err := chat.Render(messages, chat.Options{AddGenerationPrompt: true})
	if err != nil {
		return nil, err
	}
	ids := e.tok.Encode(text)
	count := 0
	for _, id := range ids {
		if int(id) == e.cfg.ImageTokenID {
			count++
		}
	}
	// Checked before any picture is opened: text may hold the image token's own string.
	if count != len(images) {
		if id, ok := e.tok.ID(imagePad); ok && int(id) != e.cfg.ImageTokenID {
			return nil, fmt.Errorf("engine: image_token_id of config.json is %d (%q), the tokenizer's %s is %d: they are not of one model", e.cfg.ImageTokenID, e.imageToken(), imagePad, id)
		}
		return nil, fmt.Errorf("engine: the messages have %d image tokens for %d pictures: take %q out of the text", count, len(images), e.imageToken())
	}
	pictures := make([]*imageproc.Image, len(images))
	for i, image := range images {
		path, err := chat.ResolveImage(dir, image)
		if err != nil {
			return nil, err
		}
		if pictures[i], err = e.images.Load(path); err != nil {
			return nil, err
		}
	}
	expanded := make([]int32, 0, len(ids))
	next := 0
	for _, id := range ids {
		n := 1
		if int(id) == e.cfg.ImageTokenID {
			n = pictures[next].Tokens()
			next++
		}
		for range n {
			expanded = append(expanded, id)
		}
	}
	return e.PromptFromIDs(expanded, pictures)
}

// Conversation is the prompt of messages whose text is text: strings in it that look like special tokens, such as <|image_pad|> in a data
// set's questions, become the ids of their letters. In all else it is what Prompt makes. The pictures are given, one for each of the
// messages', in order; those of [imageproc.Processor.Measure] do where only the ids matter.
func (e *Engine) Conversation(messages []chat.Message, pictures []*imageproc.Image) (*Prompt, error) {
	segments, images, err := chat.Segments(messages, chat.Options{AddGenerationPrompt: true})
	if err != nil {
		return nil, err
	}
	if len(images) != len(pictures) {
		return nil, fmt.Errorf("engine: the messages have %d pictures, given are %d", len(images), len(pictures))
	}
	var ids []int32
	next := 0
	for _, s := range segments {
		if !s.Special {
			ids = append(ids, e.tok.EncodeOrdinary(s.Text)...)
			continue
		}
		id, ok := e.tok.ID(s.Text)
		if !ok {
			return nil, fmt.Errorf("engine: the tokenizer has no token %s", s.Text)
		}
		n := 1
		if int(id) == e.cfg.ImageTokenID {
			n = pictures[next].Tokens()
			next++
		}
		for range n {
			ids = append(ids, id)
		}
	}
	return e.PromptFromIDs(ids, pictures)
}

// Ask is the prompt of one user message: pictures, then a question.
func (e *Engine) Ask(question string, pictures ...string) (*Prompt, error) {
	m := chat.Message{Role: "user"}
	for _, p := range pictures {
		m.Content = append(m.Content, chat.Part{Type: "image", Image: p})
	}
	m.Content = append(m.Content, chat.Part{Type: "text", Text: question})
	return e.Prompt([]chat.Message{m}, "")
}

const (
	imagePad  = "<|image_pad|>"
	visionPad = "<|vision_pad|>"
)

func (e *Engine) imageToken() string {
	s, _ := e.tok.Token(int32(e.cfg.ImageTokenID))
	return s
}

// PromptFromIDs takes ids whose image tokens are already expanded: each picture, in order, has a run of exactly its number of tokens.
func (e *Engine) PromptFromIDs(ids []int32, pictures []*imageproc.Image) (*Prompt, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("engine: the prompt is empty")
	}
	p := &Prompt{IDs: ids, Images: pictures}
	for i := 0; i < len(ids); {
		id := int(ids[i])
		if id < 0 || id >= e.cfg.Text.VocabSize {
			return nil, fmt.Errorf("engine: prompt id %d at position %d is outside the vocabulary of %d", id, i, e.cfg.Text.VocabSize)
		}
		if id == e.cfg.VideoTokenID {
			return nil, fmt.Errorf("engine: the prompt has a video token (%d) at position %d: videos are not supported", id, i)
		}
		if id != e.cfg.ImageTokenID {
			i++
			continue
		}
		k := len(p.Spans)
		if k == len(pictures) {
			return nil, fmt.Errorf("engine: the image token at position %d has no picture: the prompt comes with %d", i, len(pictures))
		}
		s := Span{Start: i, Tokens: pictures[k].Tokens(), Grid: pictures[k].Grid}
		for i < len(ids) && i < s.Start+s.Tokens && int(ids[i]) == e.cfg.ImageTokenID {
			i++
		}
		if i < s.Start+s.Tokens {
			return nil, fmt.Errorf("engine: picture %d (%s) is %d tokens (grid %v, resized to %dx%d), the prompt has %d image tokens at position %d",
				k, pictures[k].Path, s.Tokens, s.Grid, pictures[k].ResizedW, pictures[k].ResizedH, i-s.Start, s.Start)
		}
		p.Spans = append(p.Spans, s)
		if s.Start > 0 && int(ids[s.Start-1]) == e.cfg.VisionStartTokenID {
			p.placed++
		}
	}
	if len(p.Spans) != len(pictures) {
		return nil, fmt.Errorf("engine: the prompt has image tokens for %d pictures, and comes with %d", len(p.Spans), len(pictures))
	}
	if limit := e.MaxContext(); len(ids) >= limit {
		return nil, fmt.Errorf("engine: the prompt has %d tokens and leaves none for an answer, the model's context is %d: shorten it, or lower the pixel budget", len(ids), limit)
	}
	return p, nil
}
