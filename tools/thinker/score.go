package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

type scoreFlags struct {
	engineFlags
	lineFlags
	scoring engine.Scoring
}

func (a *app) scoreCommand() *cobra.Command {
	f := &scoreFlags{}
	c := &cobra.Command{
		Use:   "score --model DIR [--in FILE] [--out FILE]",
		Short: "Compute the log-probs of given answers",
		Long: `Compute the log-probs of given answers.

In:  a prompt as in generate ({"messages": [...]}, or {"prompt_ids": [...], "images": [...]}), and with it
     {"completion": STRING} or {"completion_ids": [INTEGER...]}
Out: {"prompt_tokens": N, "completion_ids": [...], "logprobs": [...], "entropy": [...]}

One line a line of input, in its order. A completion that is text is tokenized, strings of special tokens in it included; no stop id is
added. Log-probs and entropies are in nats, of the policy at this temperature under the ban; temperature 0 counts as 1. A completion id
that the ban forbids is refused. prompt_tokens counts the prompt's ids with the image tokens expanded. Other keys are ignored.`,
		Example: `  thinker score --model Qwen2.5-VL-3B --dtype f32 --in answers.jsonl --out scores.jsonl
  echo '{"messages": [{"role": "user", "content": "12 + 30?"}], "completion": "42<|im_end|>"}' | thinker score --model Qwen2.5-VL-3B`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.score(c, f) },
	}
	requiredDir(c, &f.model, "model", "checkpoint folder")
	f.lineFlags.add(c)
	c.Flags().Float64Var(&f.scoring.Temperature, "temperature", 1, "temperature of the policy")
	banVar(c, &f.scoring.Ban)
	f.engineFlags.add(c)
	return c
}

func (a *app) score(c *cobra.Command, f *scoreFlags) error {
	ctx, clock := c.Context(), time.Now()
	if t := f.scoring.Temperature; !(t == 0 || t >= 1e-6 && t <= 1e6) {
		return usagef("--temperature is %v: want 1e-6 to 1e6, or 0, which counts as 1", t)
	}
	if err := f.engineFlags.check(); err != nil {
		return err
	}
	s := &source{completion: true}
	s.check = func(c engine.Completion) error { return s.e.CheckCompletion(c, f.scoring) }
	done, records, err := a.prepare(ctx, c, s, &f.engineFlags, &f.lineFlags)
	if err != nil {
		return err
	}
	defer done()
	out, err := a.create(f.out)
	if err != nil {
		return err
	}
	defer out.Close()
	bar := a.progress("scoring", int64(records))
	defer bar.end()
	var line []byte
	for x, err := range s.e.Score(ctx, s.completions, f.scoring) {
		if err != nil {
			return s.locate(err)
		}
		for _, v := range []struct {
			name   string
			values []float32
		}{{"log-prob", x.LogProbs}, {"entropy", x.Entropy}} {
			if err := finite(v.name, v.values); err != nil {
				return s.locate(&engine.PromptError{Prompt: x.Completion, Err: err})
			}
		}
		if _, err := out.Write(appendScore(line[:0], x)); err != nil {
			return err
		}
		bar.add(1)
	}
	bar.end()
	if err := out.Commit(); err != nil {
		return err
	}
	a.summary(count(len(s.lines), "completion"), s.e.Stats(), time.Since(clock))
	return nil
}

func appendScore(b []byte, x *engine.Score) []byte {
	b = append(b, `{"prompt_tokens": `...)
	b = strconv.AppendInt(b, int64(x.PromptTokens), 10)
	b = append(b, `, "completion_ids": `...)
	b = jsonl.AppendInt32s(b, x.IDs)
	b = append(b, `, "logprobs": `...)
	b = jsonl.AppendFloat32s(b, x.LogProbs)
	b = append(b, `, "entropy": `...)
	b = jsonl.AppendFloat32s(b, x.Entropy)
	return append(b, "}\n"...)
}
