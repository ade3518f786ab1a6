package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// The types of a [Part].
const (
	TypeText  = "text"
	TypeImage = "image"
)

// A Message is one turn of a conversation.
type Message struct {
	Role    string // system, user or assistant
	Content []Part
}

// A Part is a piece of a message: text or a picture.
type Part struct {
	Type  string // TypeText or TypeImage
	Text  string // of TypeText
	Image string // of TypeImage: a path, absolute or relative; may be empty if no picture is opened
}

// Text is a part with text.
func Text(text string) Part { return Part{Type: TypeText, Text: text} }

// Image is a part with a picture.
func Image(path string) Part { return Part{Type: TypeImage, Image: path} }

// UnmarshalJSON decodes a message as the package comment describes.
func (m *Message) UnmarshalJSON(data []byte) error {
	v, err := rawjson.Parse(data)
	if err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	parsed, err := parseMessage(v)
	if err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	*m = parsed
	return nil
}

// MarshalJSON encodes a message with a list of items as its content.
func (m Message) MarshalJSON() ([]byte, error) {
	content := m.Content
	if content == nil {
		content = []Part{}
	}
	return json.Marshal(struct {
		Role    string `json:"role"`
		Content []Part `json:"content"`
	}{m.Role, content})
}

// MarshalJSON encodes a part as an item of a message's content.
func (p Part) MarshalJSON() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	item := struct {
		Type  string  `json:"type"`
		Text  *string `json:"text,omitempty"`
		Image string  `json:"image,omitempty"`
	}{Type: p.Type, Image: p.Image}
	if p.Type == TypeText {
		item.Text, item.Image = &p.Text, ""
	}
	return json.Marshal(item)
}

// ParseMessages decodes a JSON list of messages. Errors name the message and the
// item by index, as in messages[0].content[1].
func ParseMessages(data []byte) ([]Message, error) {
	v, err := rawjson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("chat: messages: %w", err)
	}
	var messages []Message
	n := 0
	err = v.Elements(func(i int, v rawjson.Value) error {
		n = i + 1
		m, err := parseMessage(v)
		messages = append(messages, m)
		return err
	})
	switch {
	case err != nil && n > 0:
		path := fmt.Sprintf("messages[%d]", n-1)
		if inner, ok := errors.AsType[*pathError](err); ok {
			path, err = path+"."+inner.path, inner.err
		}
		return nil, fmt.Errorf("chat: %w", &pathError{path, err})
	case err != nil:
		return nil, fmt.Errorf("chat: messages: %w", err)
	case n == 0:
		return nil, errors.New("chat: messages is empty, want at least one message")
	}
	return messages, nil
}

// pathError is an error about what is at a path.
type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return e.path + ": " + e.err.Error() }

func (e *pathError) Unwrap() error { return e.err }

func parseMessage(v rawjson.Value) (Message, error) {
	var m Message
	members, err := v.Map()
	if err != nil {
		return m, err
	}
	for key := range members {
		if key != "role" && key != "content" {
			return m, fmt.Errorf("key %s is not known, want role and content", rawjson.Quote(key))
		}
	}
	if m.Role, err = text(members, "role"); err != nil {
		return m, err
	}
	if err := checkRole(m.Role); err != nil {
		return m, err
	}
	content, ok := members["content"]
	if !ok {
		return m, errors.New("there is no content")
	}
	switch content.Kind() {
	case rawjson.String:
		s, err := content.Text()
		m.Content = []Part{Text(s)}
		return m, err
	case rawjson.Array:
		m.Content = []Part{}
		err := content.Elements(func(i int, v rawjson.Value) error {
			p, err := parsePart(v)
			if err != nil {
				return &pathError{fmt.Sprintf("content[%d]", i), err}
			}
			m.Content = append(m.Content, p)
			return nil
		})
		return m, err
	}
	return m, fmt.Errorf("content is %s, want a string or a list", content.Short())
}

func checkRole(role string) error {
	switch role {
	case "system", "user", "assistant":
		return nil
	}
	return fmt.Errorf("role %s is not known, want system, user or assistant", rawjson.Quote(role))
}

// itemKeys are the keys of an item that are known.
var itemKeys = []string{"type", "text", "image", "image_url", "path", "url"}

func parsePart(v rawjson.Value) (Part, error) {
	members, err := v.Map()
	if err != nil {
		return Part{}, err
	}
	kind := ""
	if _, ok := members["type"]; ok {
		if kind, err = text(members, "type"); err != nil {
			return Part{}, err
		}
	}
	has := func(key string) bool { _, ok := members[key]; return ok }
	if kind == "video" || has("video") {
		return Part{}, errors.New("videos are not implemented")
	}
	for key := range members {
		if !slices.Contains(itemKeys, key) {
			return Part{}, fmt.Errorf("key %s is not implemented, want some of %q", rawjson.Quote(key), itemKeys)
		}
	}
	switch {
	case kind == TypeImage || has("image") || has("image_url"):
		path, err := imagePath(members)
		return Image(path), err
	case has("path") || has("url"):
		return Part{}, fmt.Errorf("type is %s, want %q for an item with a path or url", rawjson.Quote(kind), TypeImage)
	case has("text"):
		s, err := text(members, "text")
		return Text(s), err
	}
	return Part{}, fmt.Errorf("an item of type %s without a text or an image is not implemented", rawjson.Quote(kind))
}

// imagePath returns the path of a picture: "" where it has none.
func imagePath(members map[string]rawjson.Value) (string, error) {
	path, from := "", ""
	for _, key := range [...]string{"image", "image_url", "path", "url"} {
		v, ok := members[key]
		if !ok {
			continue
		}
		if from != "" {
			return "", fmt.Errorf("the item has both %s and %s, want one picture", from, key)
		}
		from = key
		if v.Kind() == rawjson.Null {
			return "", fmt.Errorf("%s is null, which the chat template takes for a picture: leave the key out", key)
		}
		var err error
		if key == "image_url" && v.Kind() == rawjson.Object {
			path, err = imageURL(v)
		} else {
			path, err = text(members, key)
		}
		if err != nil {
			return "", err
		}
		if err := checkPath(path); err != nil {
			return "", err
		}
	}
	return path, nil
}

// imageURL returns the path in {"url": path}.
func imageURL(v rawjson.Value) (string, error) {
	members, err := v.Map()
	if err != nil {
		return "", fmt.Errorf("image_url: %w", err)
	}
	for key := range members {
		if key != "url" {
			return "", fmt.Errorf("image_url: key %s is not implemented, want url", rawjson.Quote(key))
		}
	}
	path, err := text(members, "url")
	if err != nil {
		return "", fmt.Errorf("image_url: %w", err)
	}
	return path, nil
}

// text returns the string that is the value of a key.
func text(members map[string]rawjson.Value, key string) (string, error) {
	v, ok := members[key]
	if !ok {
		return "", fmt.Errorf("there is no %s", key)
	}
	s, err := v.Text()
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return s, nil
}
