package data

import (
	"encoding/json"
	"strings"
)

// A Record is an example of a data set: a question about pictures, with its gold answer, a response to imitate, or both.
type Record struct {
	ID       string
	Images   []string  // absolute paths, each under one of the roots
	Question string    // of records in the VLAA-Thinking schema
	Messages []Message // of records with messages, in the place of Question

	Type    string   // verifier_type; "" where there is none
	Gold    string   // gt; of a number its digits, as they stand in the file
	Options []string // of a multiple choice, A first; nil where unknown

	// Response is the completion to imitate: <think>...</think> <answer>...</answer>. "" where there is none.
	Response string

	// Sizes as [height, width] where the record has them: of the picture, and of the picture as the model sees it.
	ImageSize   [2]int
	ResizedSize [2]int

	Extra map[string]json.RawMessage // what else the record holds: caption, meta, ds_answer, ...

	File string // where it stands
	Line int    // from 1; of a JSON array, the line that the element begins in
}

// Text is what the record asks, in words: its question, or what the last message of its user says.
func (r *Record) Text() string {
	if len(r.Messages) == 0 {
		return r.Question
	}
	var b strings.Builder
	for _, p := range r.Messages[len(r.Messages)-1].Parts {
		if p.Text != "" && b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Text)
	}
	return b.String()
}

// A Message is one turn of a conversation. Pictures are parts, never text to search for.
type Message struct {
	Role  string // system, user or assistant
	Parts []Part
}

// A Part is text, or a picture where Image is set.
type Part struct {
	Text  string
	Image string // absolute path, under one of the roots
}
