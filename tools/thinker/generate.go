package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

type generateFlags struct {
	engineFlags
	lineFlags
	sampling engine.Sampling
}

func (a *app) generateCommand() *cobra.Command {
	f := &generateFlags{}
	c := &cobra.Command{
		Use:   "generate --model DIR [--in FILE] [--out FILE]",
		Short: "Draw answers to prompts",
		Long: `Draw answers to prompts.

In:  {"messages": [...]} as in tokenize, rendered with the generation prompt, or
     {"prompt_ids": [INTEGER...], "images": [PATH...]}, with each image token expanded to its picture's number of tokens
Out: {"index": I, "sample": J, "ids": [...], "text": STRING, "logprobs": [...], "finish_reason": "stop|length"}

One line a sample, in the order of the input and within a prompt of the samples; index and sample count from 0. ids end with the stop id
that ended the sample, if one did. text is without special tokens. Other keys of the input are ignored.

The log-probs are those of the policy at this temperature under the ban, before top-k, top-p and min-p, so that score gives the same,
bit for bit. Temperature 0 is greedy, with log-probs at temperature 1. A sample is a function of prompt, weights, settings, seed, index
and sample: neither batch nor threads change it. Of generation_config.json nothing but the stop ids is used.

Prompts are decoded together as memory allows, and the samples of a prompt share its prefill and its pictures. Standard input is read
ahead as far as the batch has room; with --batch 1 each line is answered before the next is read. The last line on standard error tells
the speed of prefill and decode and the peak of memory.`,
		Example: `  thinker generate --model Qwen2.5-VL-3B --in questions.jsonl --out answers.jsonl --n 8 --temperature 0.9 --max-tokens 1024
  echo '{"messages": [{"role": "user", "content": [{"type": "image", "image": "dog.jpg"}, {"type": "text", "text": "What is it?"}]}]}' |
      thinker generate --model Qwen2.5-VL-3B --temperature 0`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.generate(c, f) },
	}
	requiredDir(c, &f.model, "model", "checkpoint folder")
	f.lineFlags.add(c)
	fs, s := c.Flags(), &f.sampling
	fs.IntVar(&s.N, "n", 1, "samples a prompt")
	fs.Float64Var(&s.Temperature, "temperature", 1, "temperature; 0 is greedy")
	fs.IntVar(&s.TopK, "top-k", 0, "draw from the k likeliest ids alone, 0 for all")
	fs.Float64Var(&s.TopP, "top-p", 1, "draw from the likeliest ids of this total probability alone, 1 for all")
	fs.Float64Var(&s.MinP, "min-p", 0, "draw from ids of at least this share of the likeliest one's probability alone, 0 for all")
	fs.IntVar(&s.MaxTokens, "max-tokens", engine.DefaultMaxTokens, "most tokens of a sample")
	fs.Uint64Var(&s.Seed, "seed", 0, "seed of the random numbers")
	banVar(c, &s.Ban)
	fs.BoolVar(&s.IgnoreEOS, "ignore-eos", false, "no id ends a sample before --max-tokens")
	f.engineFlags.add(c)
	return c
}

func (f *generateFlags) check() error {
	s := &f.sampling
	switch {
	case s.N < 1 || s.N > math.MaxInt32:
		return usagef("--n is %d: want 1 to %d", s.N, math.MaxInt32)
	case !(s.Temperature == 0 || s.Temperature >= 1e-6 && s.Temperature <= 1e6):
		return usagef("--temperature is %v: want 0 (greedy), or 1e-6 to 1e6", s.Temperature)
	case s.TopK < 0:
		return usagef("--top-k is %d: want 0 (off) or more", s.TopK)
	case !(float32(s.TopP) > 0 && s.TopP <= 1): // the kernels take it as float32
		return usagef("--top-p is %v: want more than 0, at most 1 (off)", s.TopP)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return usagef("--min-p is %v: want 0 (off) to 1", s.MinP)
	case s.MaxTokens < 1:
		return usagef("--max-tokens is %d: want 1 or more", s.MaxTokens)
	}
	return f.engineFlags.check()
}

func (a *app) generate(c *cobra.Command, f *generateFlags) error {
	ctx, clock := c.Context(), time.Now()
	if err := f.check(); err != nil {
		return err
	}
	s := &source{}
	s.check = func(c engine.Completion) error { return s.e.CheckPrompt(c.Prompt, f.sampling) }
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

	total := int64(-1)
	if records >= 0 {
		total = int64(records) * int64(f.sampling.N)
	}
	bar := a.progress("generating", total)
	defer bar.end()
	if bar != nil {
		f.sampling.OnToken = func(engine.Token) { bar.token() }
	}
	samples := 0
	var line []byte
	for x, err := range engine.InOrder(s.e.Generate(ctx, s.prompts, f.sampling), f.sampling.N) {
		if err != nil {
			return s.locate(err)
		}
		if err := finite("log-prob", x.LogProbs); err != nil {
			return s.locate(&engine.PromptError{Prompt: x.Prompt, Err: err})
		}
		if _, err := out.Write(appendSample(line[:0], x)); err != nil {
			return err
		}
		samples++
		bar.add(1)
	}
	bar.end()
	if err := out.Commit(); err != nil {
		return err
	}
	a.summary(fmt.Sprintf("%s of %s", count(samples, "sample"), count(len(s.lines), "prompt")), s.e.Stats(), time.Since(clock))
	return nil
}

func appendSample(b []byte, x *engine.Sample) []byte {
	b = append(b, `{"index": `...)
	b = strconv.AppendInt(b, int64(x.Prompt), 10)
	b = append(b, `, "sample": `...)
	b = strconv.AppendInt(b, int64(x.Sample), 10)
	b = append(b, `, "ids": `...)
	b = jsonl.AppendInt32s(b, x.IDs)
	b = append(b, `, "text": `...)
	b = jsonl.AppendString(b, x.Text)
	b = append(b, `, "logprobs": `...)
	b = jsonl.AppendFloat32s(b, x.LogProbs)
	b = append(b, `, "finish_reason": `...)
	b = jsonl.AppendString(b, string(x.FinishReason))
	return append(b, "}\n"...)
}

// prepare does what generate and score have in common: it looks at the input, loads the weights and checks the prompts. It fills s,
// and returns what frees the engine and the number of records, -1 if that is not known.
func (a *app) prepare(ctx context.Context, c *cobra.Command, s *source, f *engineFlags, files *lineFlags) (done func(), records int, err error) {
	if s.input, err = a.openInput(files.in, c.Flags().Changed("in")); err != nil {
		return nil, 0, err
	}
	if err := checkFolder(f.model); err != nil {
		return nil, 0, err
	}
	if records, err = s.checkForm(ctx); err != nil {
		return nil, 0, err
	}
	a.computing.Store(true)
	bar := a.progress("loading weights", 100)
	defer func() { bar.end() }()
	f.options.Progress = func(done, total int64) { bar.set(100 * done / max(total, 1)) }
	if s.e, err = engine.Open(ctx, f.model, f.options); err != nil {
		return nil, 0, err
	}
	bar.end()
	if a.verbose {
		a.describe(s.e)
	}
	bar = a.progress("checking prompts", int64(records))
	if err := s.checkPrompts(ctx, bar); err != nil {
		s.e.Close()
		return nil, 0, err
	}
	return func() { s.e.Close() }, records, nil
}

// describe says what the engine runs on and what it takes.
func (a *app) describe(e *engine.Engine) {
	if info, err := e.Device(); err == nil {
		fmt.Fprintf(a.stderr, "thinker: %s, %s of %s, %s\n", info.Device, info.ISA, info.Backend, count(info.Threads, "thread"))
	}
	fmt.Fprintf(a.stderr, "thinker: memory: %v\n", e.Plan())
}

// summary is the last line of generate and score on standard error.
func (a *app) summary(what string, s engine.Stats, took time.Duration) {
	if a.quiet {
		return
	}
	line := fmt.Sprintf("thinker: %s in %.1f s: prefill %s", what, took.Seconds(), speed(s.PrefillTokens, s.PrefillSeconds, "token"))
	if s.VisionPatches > 0 {
		line += fmt.Sprintf(", pictures %s", speed(s.VisionPatches, s.VisionSeconds, "patch"))
	}
	if s.DecodeTokens > 0 {
		line += fmt.Sprintf(", decode %s", speed(s.DecodeTokens, s.DecodeSeconds, "token"))
	}
	if peak := peakMemory(); peak > 0 {
		line += ", peak memory " + formatBytes(peak)
	}
	fmt.Fprintln(a.stderr, line)
}

func speed(n int64, seconds float64, what string) string {
	text := count(int(n), what)
	if n > 0 && seconds > 0 {
		text += fmt.Sprintf(" at %.1f %s/s", float64(n)/seconds, plural(what))
	}
	return text
}

func count(n int, what string) string {
	if n != 1 {
		what = plural(what)
	}
	return fmt.Sprintf("%d %s", n, what)
}

func plural(what string) string {
	if what == "patch" {
		return "patches"
	}
	return what + "s"
}

// finite refuses numbers that JSON does not have. Weights that are broken, or that overflow, give them.
func finite(what string, v []float32) error {
	for i, x := range v {
		if x != x || math.IsInf(float64(x), 0) {
			return fmt.Errorf("%s %d is %v: %w", what, i, x, engine.ErrNotFinite)
		}
	}
	return nil
}
