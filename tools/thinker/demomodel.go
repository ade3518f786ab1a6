package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"github.com/thinker-vl/thinker/data/scenes"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/safetensors"
	"github.com/thinker-vl/thinker/engine/scratch"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

const promptFile = "prompt.tmpl"

// demoPrompt is the layout of the demo's prompts: shorter than the paper's, which would be more than half of every sequence.
const (
	demoSystem = "Think inside <think> </think>, then answer inside <answer> </answer>."
	demoPrompt = `{{define "system"}}` + demoSystem + `{{end}}
{{define "user"}}{{.Pictures}}{{.QuestionWithOptions}}{{end}}
`
)

// demoPixels is the area of the pictures as the model sees them: nine tokens.
const demoPixels = 84 * 84

// demoSizes are the small model's: some half a million parameters. The pictures are three tokens a side and the texts short, so positions
// are told apart by a small base of the rotary angles.
func demoSizes() scratch.Sizes {
	return scratch.Sizes{Hidden: 96, Layers: 3, Heads: 3, KVHeads: 1, Intermediate: 264, VisionHidden: 64, VisionDepth: 2, VisionHeads: 2, VisionIntermediate: 192,
		FullAttention: []int{1}, Positions: 4096, InitializerRange: 0.05, RopeTheta: 10}
}

// makeModel trains the tokenizer and initializes the model.
func (d *demo) makeModel(ctx context.Context) error {
	d.say(2, "tokenizer and model: %s", d.path("init"))
	if _, err := os.Stat(d.path("init", config.FileName)); err == nil { // which comes last
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Made anew where a kill has left a part of it.
	for _, part := range []string{"tokenizer", "init"} {
		if err := os.RemoveAll(d.path(part)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(d.path(promptFile), []byte(demoPrompt), 0o666); err != nil {
		return err
	}
	var failed error
	tok, err := tokenizer.Train(corpus(d.path("warm-up", scenes.RecordsFile), &failed), tokenizer.TrainOptions{VocabSize: 420, Fewer: true})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	c, err := scratch.Config(tok, demoSizes())
	if err != nil {
		return err
	}
	if err := scratch.WriteCompanions(d.path("tokenizer"), tok, c, scratch.Pixels{Max: demoPixels}); err != nil {
		return err
	}
	return checkpoint.Init(ctx, d.path("init"), c, checkpoint.InitOptions{Tokenizer: d.path("tokenizer"), Seed: d.seed, DType: safetensors.F32})
}

// corpus is the text that the tokenizer is trained on: prompts and responses.
func corpus(path string, failed *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		f, err := os.Open(path)
		if err != nil {
			*failed = err
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var r struct{ Question, Response string }
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				*failed = fmt.Errorf("%s: %w", path, err)
				return
			}
			for _, text := range []string{"system\n" + demoSystem, "user\n" + r.Question, "assistant\n" + r.Response} {
				if !yield(text) {
					return
				}
			}
		}
		*failed = lines.Err()
	}
}
