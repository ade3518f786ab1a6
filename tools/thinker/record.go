package main

import (
	"fmt"
	"slices"

	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

// A record is a line that holds a prompt, and for score a completion. Keys that no command knows are passed over, so that records with
// names and notes of their own can be used as they are. A line may say a thing twice, in messages and in ids; then both must agree.
type record struct {
	messages []chat.Message // nil: the prompt is given as ids
	ids      []int32        // nil: the prompt is given as messages
	images   []string       // pictures of either

	completion    *string
	completionIDs []int32 // nil: the completion is given as text
}

// parseRecord reads a line of generate or, with a completion, of score.
func parseRecord(line []byte, completion bool) (*record, error) {
	o, err := jsonl.Parse(line)
	if err != nil {
		return nil, err
	}
	r := &record{}
	messages, ids := o.Has("messages"), o.Has("prompt_ids")
	if !messages && !ids {
		return nil, fmt.Errorf("the line has neither messages nor prompt_ids, but %s", o.Keys())
	}
	if messages {
		if r.messages, err = chat.ParseMessages(o.Raw("messages")); err != nil {
			return nil, err
		}
		if _, r.images, err = chat.Render(r.messages, chat.Options{AddGenerationPrompt: true}); err != nil {
			return nil, err
		}
	}
	if ids {
		if r.ids, err = o.IDs("prompt_ids"); err != nil {
			return nil, err
		}
	}
	if o.Has("images") {
		images, err := o.Strings("images")
		if err != nil {
			return nil, err
		}
		if messages && !slices.Equal(images, r.images) {
			return nil, fmt.Errorf("images has %q, but the messages have the pictures %q: leave images out, it belongs to prompt_ids", images, r.images)
		}
		r.images = images
	}
	if !completion {
		return r, nil
	}
	text, ids := o.Has("completion"), o.Has("completion_ids")
	if !text && !ids {
		return nil, fmt.Errorf("the line has neither completion nor completion_ids, but %s", o.Keys())
	}
	if text {
		s, err := o.String("completion")
		if err != nil {
			return nil, err
		}
		r.completion = &s
	}
	if ids {
		r.completionIDs, err = o.IDs("completion_ids")
	}
	return r, err
}
