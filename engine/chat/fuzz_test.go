package chat

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func FuzzParseMessages(f *testing.F) {
	for _, s := range []string{
		`[{"role": "user", "content": "Hi"}]`,
		`[{"role": "system", "content": [{"type": "text", "text": "\ud800"}]}, {"role": "assistant", "content": []}]`,
		`[{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"image_url": {"url": "b"}}, {"type": "image"}, {"text": "<|image_pad|>"}]}]`,
		`[{"role": "user", "content": [{"type": "video", "video": "a"}]}]`,
		`[{"role": "tool", "content": null}]`,
		`[{"role": "user", "content": [{"type": "image", "image": "https://a/b"}]}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, err := ParseMessages(data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "chat: messages") || len(err.Error()) > 1000 {
				t.Errorf("error %q", err)
			}
			return
		}
		prompt, images, err := Render(messages, Options{AddGenerationPrompt: true, AddVisionID: true})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, m := range messages {
			for _, p := range m.Content {
				text.WriteString(p.Text)
				text.WriteByte(' ') // no part's end and another's beginning make the token
			}
		}
		const pad = "<|image_pad|>"
		// Parts that follow each other may make more of them.
		if strings.Count(prompt, pad) < strings.Count(text.String(), pad)+len(images) {
			t.Errorf("%q has too few image tokens for %d pictures", prompt, len(images))
		}
		for _, image := range images {
			if _, err := ResolveImage("dir", image); err != nil && image != "" {
				t.Error(err)
			}
		}
		again, err := json.Marshal(messages)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseMessages(again)
		if err != nil || !reflect.DeepEqual(parsed, messages) {
			t.Errorf("%s encoded as %s is %v, %v", data, again, parsed, err)
		}
	})
}
