package chat_test

import (
	"fmt"
	"log"

	"github.com/thinker-vl/thinker/engine/chat"
)

func ExampleRender() {
	messages := []chat.Message{
		{Role: "user", Content: []chat.Part{chat.Image("dog.jpg"), chat.Text("What is it?")}},
	}
	prompt, images, err := chat.Render(messages, chat.Options{AddGenerationPrompt: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(prompt)
	fmt.Println(images)
	// Output:
	// <|im_start|>system
	// You are a helpful assistant.<|im_end|>
	// <|im_start|>user
	// <|vision_start|><|image_pad|><|vision_end|>What is it?<|im_end|>
	// <|im_start|>assistant
	// [dog.jpg]
}

func ExampleParseMessages() {
	messages, err := chat.ParseMessages([]byte(`[
		{"role": "system", "content": "Be brief."},
		{"role": "user", "content": [{"type": "image", "image": "dog.jpg"}, {"type": "text", "text": "What is it?"}]}
	]`))
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range messages {
		fmt.Println(m.Role, len(m.Content))
	}
	_, err = chat.ParseMessages([]byte(`[{"role": "tool", "content": "42"}]`))
	fmt.Println(err)
	// Output:
	// system 1
	// user 2
	// chat: messages[0]: role "tool" is not known, want system, user or assistant
}
