package chat

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

// readLines decodes a file of JSON lines.
func readLines[T any](t *testing.T, elem ...string) []T {
	t.Helper()
	path := testdata.Path(t, elem...)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []T
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var line T
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%s:%d: %v", path, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestGoldenChats(t *testing.T) {
	type chat struct {
		Messages            json.RawMessage `json:"messages"`
		AddGenerationPrompt bool            `json:"add_generation_prompt"`
		AddVisionID         bool            `json:"add_vision_id"`
		Text                string          `json:"text"`
		IDs                 []int32         `json:"ids"`
	}
	chats := readLines[chat](t, "golden", "tokenizer", "chats.jsonl")
	if len(chats) < 40 {
		t.Fatalf("only %d chats", len(chats))
	}
	tok, err := tokenizer.Load(testdata.Path(t, "qwen2.5-vl-3b"))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range chats {
		messages, err := ParseMessages(c.Messages)
		if err != nil {
			t.Errorf("chat %d: %v", i+1, err)
			continue
		}
		text, images, err := Render(messages, Options{c.AddGenerationPrompt, c.AddVisionID})
		if err != nil || text != c.Text {
			t.Errorf("chat %d renders as %q, %v, want %q", i+1, text, err, c.Text)
		}
		if got, want := len(images), strings.Count(c.Text, "<|image_pad|>"); got != want {
			t.Errorf("chat %d has %d pictures, want %d", i+1, got, want)
		}
		if diff := cmp.Diff(c.IDs, tok.Encode(text)); diff != "" {
			t.Errorf("chat %d: ids: (-want +got)\n%s", i+1, diff)
		}
	}
}

// TestGoldenCases renders the conversations of the golden checkpoints, whose
// prompts have their image tokens expanded.
func TestGoldenCases(t *testing.T) {
	type conversation struct {
		Name     string    `json:"name"`
		Messages []Message `json:"messages"`
		Images   []string  `json:"images"`
		Text     string    `json:"text"`
		IDs      []int32   `json:"prompt_ids"`
	}
	for _, model := range []string{"tiny", "wide"} {
		tok, err := tokenizer.Load(testdata.Path(t, "golden", model))
		if err != nil {
			t.Fatal(err)
		}
		pad, _ := tok.ID("<|image_pad|>")
		for _, c := range readLines[conversation](t, "golden", model+"-cases", "cases.jsonl") {
			text, images, err := Render(c.Messages, Options{AddGenerationPrompt: true})
			if err != nil || text != c.Text {
				t.Errorf("%s/%s renders as %q, %v, want %q", model, c.Name, text, err, c.Text)
			}
			if diff := cmp.Diff(c.Images, images); diff != "" && len(c.Images)+len(images) > 0 {
				t.Errorf("%s/%s: pictures: (-want +got)\n%s", model, c.Name, diff)
			}
			var want []int32 // with one image token a picture
			for i, id := range c.IDs {
				if id != pad || c.IDs[i-1] != pad {
					want = append(want, id)
				}
			}
			if diff := cmp.Diff(want, tok.Encode(text)); diff != "" {
				t.Errorf("%s/%s: ids: (-want +got)\n%s", model, c.Name, diff)
			}
		}
	}
}

// TestPublishedIDs holds the prefix of a prompt against the ids in Hugging Face's
// test of the model.
func TestPublishedIDs(t *testing.T) {
	tok, err := tokenizer.Load(testdata.Path(t, "qwen2.5-vl-3b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		content []Part
		want    []int32
	}{
		{"picture and question", []Part{Image("dog.jpg"), Text("What kind of dog is this?")}, []int32{
			151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198, 151644, 872, 198, 151652, 151655, 151653,
			3838, 3093, 315, 5562, 374, 419, 30, 151645, 198, 151644, 77091, 198,
		}},
		{"text", []Part{Text("Hello")}, []int32{
			151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198, 151644, 872, 198, 9707, 151645, 198,
			151644, 77091, 198,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, _, err := Render([]Message{{Role: "user", Content: test.content}}, Options{AddGenerationPrompt: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, tok.Encode(text)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
