package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/tokenizer"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

func (a *app) tokenizeCommand() *cobra.Command {
	var model string
	var files lineFlags
	c := &cobra.Command{
		Use:   "tokenize --model DIR [--in FILE] [--out FILE]",
		Short: "Turn texts and conversations into token ids",
		Long: `Turn texts and conversations into token ids. No weights are needed, and no picture is opened.

In:  {"text": STRING}, or
     {"messages": [{"role": "system|user|assistant", "content": STRING or
         [{"type": "text", "text": STRING} | {"type": "image", "image": PATH}]}], "add_generation_prompt": BOOL}
Out: {"ids": [INTEGER...]}

Text is taken as it is: strings of special tokens in it, as <|im_end|>, become their ids, and nothing is added. Messages are rendered by
the checkpoint's chat template, with one image token a picture; add_generation_prompt is false when left out, and so is add_vision_id,
which numbers the pictures. Other keys are ignored. A line with text and messages must have the text that the messages render to.`,
		Example: `  echo '{"text": "How many dogs are there?"}' | thinker tokenize --model Qwen2.5-VL-3B
  thinker tokenize --model Qwen2.5-VL-3B --in chats.jsonl --out ids.jsonl`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.tokenize(c, model, files) },
	}
	requiredDir(c, &model, "model", "checkpoint folder; its tokenizer and chat template are read")
	files.add(c)
	return c
}

func (a *app) tokenize(c *cobra.Command, model string, files lineFlags) error {
	in, err := a.openInput(files.in, c.Flags().Changed("in"))
	if err != nil {
		return err
	}
	if err := checkFolder(model); err != nil {
		return err
	}
	tok, err := tokenizer.Load(model)
	if err != nil {
		return err
	}
	out, err := a.create(files.out)
	if err != nil {
		return err
	}
	defer out.Close()
	t := &textSource{model: model}
	bar := a.progress("tokenizing", -1)
	defer bar.end()
	var buf []byte
	err = in.each(func(r *jsonl.Reader, line []byte) error {
		if err := c.Context().Err(); err != nil {
			return err
		}
		text, err := t.text(line)
		if err != nil {
			return r.Wrap(err)
		}
		buf = append(buf[:0], `{"ids": `...)
		buf = jsonl.AppendInt32s(buf, tok.Encode(text))
		buf = append(buf, "}\n"...)
		bar.add(1)
		_, err = out.Write(buf)
		return err
	})
	if err != nil {
		return err
	}
	return out.Commit()
}

// A textSource renders lines to text.
type textSource struct {
	model   string
	checked bool // the folder's template is the one that package chat renders
}

func (t *textSource) text(line []byte) (string, error) {
	o, err := jsonl.Parse(line)
	if err != nil {
		return "", err
	}
	given := o.Has("text")
	text := ""
	if given {
		if text, err = o.String("text"); err != nil {
			return "", err
		}
	}
	if !o.Has("messages") {
		if !given {
			return "", fmt.Errorf("the line has neither text nor messages, but %s", o.Keys())
		}
		return text, nil
	}
	messages, err := chat.ParseMessages(o.Raw("messages"))
	if err != nil {
		return "", err
	}
	var options chat.Options
	for key, p := range map[string]*bool{"add_generation_prompt": &options.AddGenerationPrompt, "add_vision_id": &options.AddVisionID} {
		if o.Has(key) {
			if *p, err = o.Bool(key); err != nil {
				return "", err
			}
		}
	}
	if !t.checked {
		if err := chat.CheckTemplate(t.model); err != nil {
			return "", err
		}
		t.checked = true
	}
	rendered, _, err := chat.Render(messages, options)
	if err == nil && given && rendered != text {
		err = errors.New("the line has text and messages, and the messages do not render to the text: leave one of the two out")
	}
	return rendered, err
}
