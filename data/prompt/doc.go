// Package prompt lays records out as conversations, and says what a response looks like.
//
//	layout := prompt.Paper()
//	messages, err := layout.Messages(record)
//
// The paper's layout is the system prompt of VLAA-Thinking, then a user's turn: the pictures, the question, and the options of a multiple
// choice where the question does not list them. Other layouts are template files ([Load]) in the language of text/template with two
// blocks:
//
//	{{define "system"}}You are a careful observer.{{end}}
//	{{define "user"}}{{.Pictures}}{{.QuestionWithOptions}}
//	Answer with a letter.{{end}}
//
// A template reads the record and nothing else, in bounded time and memory: it has no loops but over the options, calls no other template
// and no function that makes text, and opens no file. It differs from the chat templates of checkpoints in that it says nothing of roles and special tokens: those are the chat
// template's, which the engine renders.
//
// The text of records is text. A [data.Message] has pictures as parts, never as strings to search for, and whoever turns messages into
// ids takes what looks like a special token in their text for text.
package prompt
