package chat

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const defaultSystem = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"

func TestRender(t *testing.T) {
	const picture = "<|vision_start|><|image_pad|><|vision_end|>"
	tests := []struct {
		name     string
		messages string
		options  Options
		want     string
		images   []string
	}{
		{"default system message", `[{"role": "user", "content": "Hi"}]`, Options{},
			defaultSystem + "<|im_start|>user\nHi<|im_end|>\n", nil},
		{"generation prompt", `[{"role": "user", "content": "Hi"}]`, Options{AddGenerationPrompt: true},
			defaultSystem + "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", nil},
		{"system message of its own", `[{"content": "", "role": "system"}, {"role": "user", "content": []}]`, Options{},
			"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n", nil},
		{"system message later", `[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]`, Options{},
			defaultSystem + "<|im_start|>user\na<|im_end|>\n<|im_start|>system\nb<|im_end|>\n", nil},
		{"text is kept as it is", `[{"role": "user", "content": " <b>&amp; {{ x }}\r\n<|im_end|>\u0000 "}]`, Options{},
			defaultSystem + "<|im_start|>user\n <b>&amp; {{ x }}\r\n<|im_end|>\x00 <|im_end|>\n", nil},
		{"unpaired surrogate", `[{"role": "user", "content": "\ud83d!"}]`, Options{},
			defaultSystem + "<|im_start|>user\n\uFFFD!<|im_end|>\n", nil},
		{"pictures in any role", `[{"role": "system", "content": [{"type": "image", "image": "a"}]},
			{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image", "image": "b"}, {"type": "text", "text": "y"}]},
			{"role": "assistant", "content": [{"type": "image", "image": "c"}]}]`, Options{AddVisionID: true},
			"<|im_start|>system\nPicture 1: " + picture + "<|im_end|>\n<|im_start|>user\nxPicture 2: " + picture + "y<|im_end|>\n" +
				"<|im_start|>assistant\nPicture 3: " + picture + "<|im_end|>\n", []string{"a", "b", "c"}},
		{"keys for pictures", `[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}, {"type": "image_url", "image_url": "b"},
			{"image": "c"}, {"image_url": "d"}, {"type": "image", "path": "e"}, {"type": "image", "url": "f"}, {"type": "image"}]}]`, Options{},
			defaultSystem + "<|im_start|>user\n" + strings.Repeat(picture, 7) + "<|im_end|>\n", []string{"a", "b", "c", "d", "e", "f", ""}},
		{"picture before text in an item", `[{"role": "user", "content": [{"type": "text", "text": "lost", "image": "a"}, {"type": "image", "image": "b", "text": null}]}]`, Options{},
			defaultSystem + "<|im_start|>user\n" + picture + picture + "<|im_end|>\n", []string{"a", "b"}},
		{"text of any type", `[{"role": "user", "content": [{"text": "a"}, {"type": "input_text", "text": "b"}, {"type": "image_url", "text": "c"}]}]`, Options{},
			defaultSystem + "<|im_start|>user\nabc<|im_end|>\n", nil},
		{"image token in text", `[{"role": "user", "content": "<|image_pad|>"}]`, Options{},
			defaultSystem + "<|im_start|>user\n<|image_pad|><|im_end|>\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			messages, err := ParseMessages([]byte(test.messages))
			if err != nil {
				t.Fatal(err)
			}
			text, images, err := Render(messages, test.options)
			if err != nil || text != test.want {
				t.Errorf("got %q, %v\nwant %q", text, err, test.want)
			}
			if diff := cmp.Diff(test.images, images); diff != "" {
				t.Errorf("pictures: (-want +got)\n%s", diff)
			}
			var again []Message
			data, err := json.Marshal(messages)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(messages, again); diff != "" {
				t.Errorf("after %s: (-want +got)\n%s", data, diff)
			}
		})
	}
}

func TestBadMessages(t *testing.T) {
	user := func(s string) string {
		return `[{"role": "system", "content": "x"}, {"role": "user", "content": [{"text": "y"}, ` + s + `]}]`
	}
	const at = "messages[1].content[1]"
	tests := []struct {
		name, messages string
		words          []string
	}{
		{"nothing", ``, []string{"messages", "JSON"}},
		{"cut", `[{"role": "user"`, []string{"messages", "JSON", "16"}},
		{"not UTF-8", "[{\"role\": \"user\", \"content\": \"\xff\"}]", []string{"messages", "UTF-8"}},
		{"no list", `{"role": "user"}`, []string{"messages", "array"}},
		{"no messages", `[]`, []string{"messages is empty"}},
		{"no object", `["Hi"]`, []string{"messages[0]", "object", `"Hi"`}},
		{"no role", `[{"content": "Hi"}]`, []string{"messages[0]", "no role"}},
		{"no content", `[{"role": "user"}]`, []string{"messages[0]", "no content"}},
		{"role of another type", `[{"role": 1, "content": "Hi"}]`, []string{"messages[0]", "role", "1"}},
		{"unknown role", `[{"role": "user", "content": ""}, {"role": "tool", "content": "Hi"}]`, []string{"messages[1]", `"tool"`, "assistant"}},
		{"role in other case", `[{"role": "User", "content": "Hi"}]`, []string{`"User"`}},
		{"key in other case", `[{"Role": "user", "content": "Hi"}]`, []string{`"Role"`}},
		{"unknown key", `[{"role": "user", "content": "Hi", "tool_calls": []}]`, []string{"messages[0]", `"tool_calls"`}},
		{"key twice", `[{"role": "user", "content": "Hi", "content": "Ho"}]`, []string{"messages[0]", `"content"`, "twice"}},
		{"content of another type", `[{"role": "user", "content": 5}]`, []string{"messages[0]", "content is 5"}},
		{"content null", `[{"role": "user", "content": null}]`, []string{"messages[0]", "null"}},
		{"content object", `[{"role": "user", "content": {"type": "text", "text": "x"}}]`, []string{"messages[0]", "content"}},
		{"item is a string", user(`"image"`), []string{at, `"image"`}},
		{"unknown item", user(`{"type": "audio"}`), []string{at, `"audio"`}},
		{"unknown item with a key", user(`{"type": "audio", "audio": "a.wav"}`), []string{at, `"audio"`}},
		{"empty item", user(`{}`), []string{at}},
		{"text item without text", user(`{"type": "text"}`), []string{at, `"text"`}},
		{"text of another type", user(`{"type": "text", "text": 5}`), []string{at, "text", "5"}},
		{"text null", user(`{"type": "text", "text": null}`), []string{at, "text", "null"}},
		{"type of another type", user(`{"type": null, "text": "x"}`), []string{at, "type", "null"}},
		{"video", user(`{"type": "video", "video": "a.mp4"}`), []string{at, "video"}},
		{"video without a type", user(`{"video": "a.mp4"}`), []string{at, "video"}},
		{"picture null", user(`{"type": "text", "text": "x", "image": null}`), []string{at, "image", "null"}},
		{"picture of another type", user(`{"type": "image", "image": [1]}`), []string{at, "image", "array"}},
		{"empty path", user(`{"type": "image", "image": ""}`), []string{at, "path"}},
		{"path with a zero byte", user(`{"type": "image", "image": "a\u0000b"}`), []string{at, `a\x00b`}},
		{"two pictures", user(`{"type": "image", "image": "a", "image_url": "b"}`), []string{at, "image", "image_url"}},
		{"image_url without url", user(`{"image_url": {}}`), []string{at, "image_url", "url"}},
		{"image_url with detail", user(`{"image_url": {"url": "a", "detail": "low"}}`), []string{at, "image_url", "detail"}},
		{"image_url of another type", user(`{"image_url": 7}`), []string{at, "image_url", "7"}},
		{"pixel limit", user(`{"type": "image", "image": "a", "min_pixels": 5}`), []string{at, "min_pixels"}},
		{"path without a type", user(`{"path": "a.png"}`), []string{at, "image"}},
		{"URL", user(`{"type": "image", "image": "https://a/b.png"}`), []string{at, "https://a/b.png", "URL"}},
		{"deep nesting", strings.Repeat("[", 1<<20), []string{"messages", "depth"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			messages, err := ParseMessages([]byte(test.messages))
			if err == nil {
				t.Fatalf("parsed as %v", messages)
			}
			if !strings.HasPrefix(err.Error(), "chat: messages") || len(err.Error()) > 500 {
				t.Errorf("error %q", err)
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %q", err, word)
				}
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	tests := []struct {
		name     string
		messages []Message
		words    []string
	}{
		{"nothing", nil, []string{"no messages"}},
		{"zero message", []Message{{}}, []string{"messages[0]", `role ""`}},
		{"unknown role", []Message{{Role: "user"}, {Role: "function"}}, []string{"messages[1]", `"function"`}},
		{"zero part", []Message{{Role: "user", Content: []Part{Text("x"), {}}}}, []string{"messages[0].content[1]", `type ""`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Render(test.messages, Options{})
			if err == nil || !strings.HasPrefix(err.Error(), "chat: ") {
				t.Fatalf("error %v", err)
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %q", err, word)
				}
			}
		})
	}
	if _, err := json.Marshal([]Message{{Role: "user", Content: []Part{{}}}}); err == nil {
		t.Error("a part without a type was encoded")
	}
	if data, err := json.Marshal(Message{Role: "user"}); err != nil || string(data) != `{"role":"user","content":[]}` {
		t.Errorf("an empty message is %s, %v", data, err)
	}
}

func TestResolveImage(t *testing.T) {
	abs := filepath.Join(t.TempDir(), "a.png")
	good := []struct{ base, path, want string }{
		{"dir", "a.png", filepath.Join("dir", "a.png")},
		{"dir", "../b/a.png", filepath.Join("b", "a.png")},
		{"dir", abs, abs},
		{"", "a.png", "a.png"},
		{"dir", "a:b.png", filepath.Join("dir", "a:b.png")},
		{"dir", "http.png", filepath.Join("dir", "http.png")},
		{"dir", "1://x", filepath.Join("dir", "1:", "x")},
		{"dir", " é中.png", filepath.Join("dir", " é中.png")},
	}
	for _, test := range good {
		if got, err := ResolveImage(test.base, test.path); err != nil || got != test.want {
			t.Errorf("ResolveImage(%q, %q) = %q, %v, want %q", test.base, test.path, got, err, test.want)
		}
	}
	for _, path := range []string{
		"", "a\x00b", "http://a/b.png", "HTTPS://a/b.png", "file:///a.png", "file:a.png", "data:image/png;base64,AAAA",
		"s3://bucket/a.png", "oss+x://a", "blob:abc",
	} {
		got, err := ResolveImage("dir", path)
		if err == nil || !strings.HasPrefix(err.Error(), "chat: ") {
			t.Errorf("ResolveImage(%q) = %q, %v", path, got, err)
		}
	}
	long := "data:" + strings.Repeat("A", 1<<20)
	if _, err := ResolveImage("dir", long); err == nil || len(err.Error()) > 500 || !strings.Contains(err.Error(), "data:AAAA") {
		t.Errorf("error %.600v", err)
	}
}
