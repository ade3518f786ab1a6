package prompt_test

import (
	"fmt"
	"log"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/prompt"
)

func ExampleParse() {
	layout, err := prompt.Parse("short.tmpl", `
{{define "system"}}Answer with a letter.{{end}}
{{define "user"}}{{.QuestionWithOptions}} {{.Pictures}}{{end}}`)
	if err != nil {
		log.Fatal(err)
	}
	messages, err := layout.Messages(&data.Record{Question: "Which colour?", Options: []string{"red", "blue"}, Images: []string{"/data/dot.png"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range messages {
		fmt.Printf("%s: %q\n", m.Role, m.Parts)
	}
	_, err = prompt.Parse("short.tmpl", "\n{{define \"user\"}}{{.Qestion}}{{end}}")
	fmt.Println(err)
	// Output:
	// system: [{"Answer with a letter." ""}]
	// user: [{"Which colour?\nChoices:\nA: red\nB: blue " ""} {"" "/data/dot.png"}]
	// prompt: short.tmpl:2:19: executing "user" at <.Qestion>: can't evaluate field Qestion: want .ID, .Type, .Question, .Options, .QuestionWithOptions, .Pictures, .Picture N, .Count or .Extra KEY
}
