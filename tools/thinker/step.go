package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

type stepFlags struct {
	engineFlags
	batch, loss, out, grads string
	steps                   int
	train                   engine.TrainOptions
}

func (a *app) stepCommand() *cobra.Command {
	f := &stepFlags{}
	c := &cobra.Command{
		Use:   "step --model DIR --batch FILE --loss FILE --out DIR",
		Short: "Make optimizer steps on given sequences",
		Long: `Make optimizer steps on given sequences: the policy's log-probs, the loss, its gradients by hand-written backward kernels, AdamW.

Batch: a prompt as in generate ({"messages": [...]}, or {"prompt_ids": [...], "images": [...]}), with {"completion_ids": [...]} or
       {"completion": STRING}, and {"old_logprobs": [...], "ref_logprobs": [...], "advantage": NUMBER, or "group": KEY, "reward": NUMBER}
Loss:  a YAML file of settings: loss_type, beta, epsilon, learning_rate, ... ; a key that is not known is refused
Out:   a folder with the updated checkpoint, in the layout and the type that it was read in

All lines are one batch. Standard output has one object a step: {"step", "loss", "grad_norm" (before clipping), "learning_rate", "kl",
"entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "num_tokens"}; kl is the mean k3 over all completion tokens, where ref_logprobs
are given. Without old_logprobs the ratio is 1. loss_type sft needs neither reward nor advantage. --grads takes the gradients of the first
step, before clipping, f32 under the released names. A step whose gradient is not finite is skipped: its line says "skipped": true.
No number depends on --threads, --micro-batch, --recompute or the order of the lines.`,
		Example: `  thinker step --model Qwen2.5-VL-3B --batch batch.jsonl --loss grpo.yaml --out updated --grads grads.safetensors`,
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.step(c, f) },
	}
	requiredDir(c, &f.model, "model", "checkpoint folder")
	fs := c.Flags()
	for _, x := range []struct {
		p           *string
		name, usage string
	}{{&f.batch, "batch", `sequences, one JSON object a line; "-" is standard input`}, {&f.loss, "loss", "settings of loss and optimizer, YAML"}} {
		fs.StringVar(x.p, x.name, "", x.usage)
		c.MarkFlagRequired(x.name)
	}
	requiredDir(c, &f.out, "out", "folder to make")
	fs.StringVar(&f.grads, "grads", "", "file for the first step's gradients, replaced when all is complete")
	fs.IntVar(&f.steps, "steps", 1, "steps on the same batch")
	dtypeVar(c, &f.options.DType, "storage of weights and activations; gradients, masters and sums are f32 in both")
	fs.IntVar(&f.train.MicroBatchRows, "micro-batch", 0, "most decoder rows of a pass, 0 for 4096; it changes no number")
	fs.BoolVar(&f.train.Recompute, "recompute", false, "keep no activations inside blocks: less memory, a third more work; it changes no number")
	threadFlags(fs, &f.options.Threads)
	isaVar(c, &f.options.ISA)
	pixelFlags(fs, &f.options.MinPixels, &f.options.MaxPixels)
	return c
}

func (a *app) step(c *cobra.Command, f *stepFlags) (err error) {
	ctx, clock := c.Context(), time.Now()
	if f.steps < 1 || f.steps > 1e9 {
		return usagef("--steps is %d: want 1 or more", f.steps)
	}
	if f.train.MicroBatchRows < 0 {
		return usagef("--micro-batch is %d: want 0 (the default) or more", f.train.MicroBatchRows)
	}
	// Nothing is generated: the cache and the batch of the sampler are kept small.
	f.options.MaxBatch, f.options.PrefillChunk, f.cache = 1, 64, 64<<20
	if err := f.engineFlags.check(); err != nil {
		return err
	}
	text, err := os.ReadFile(f.loss)
	if err != nil {
		return err
	}
	settings, err := grpo.ParseYAML(f.loss, text)
	if err != nil {
		return err
	}
	if settings.FreezeVisionTower {
		f.train.Freeze = []string{"visual."}
	}
	if err := freshFolder(f.out); err != nil {
		return err
	}

	s := &source{completion: true}
	s.check = func(engine.Completion) error { return nil }
	b := &batch{source: s, settings: settings}
	done, _, err := a.prepare(ctx, c, s, &f.engineFlags, &lineFlags{in: f.batch})
	if err != nil {
		return err
	}
	defer done()
	if err := b.read(); err != nil {
		return err
	}
	p := grpo.Policy{Math: s.e.Math()}
	defer func() { err = errors.Join(err, p.Math.(*engine.Math).Close()) }()
	plan, err := s.e.PlanTraining(f.train, b.shape())
	if err != nil {
		return err
	}
	if a.verbose {
		fmt.Fprintf(a.stderr, "thinker: memory of training: %v\n", plan)
	}
	if p.Trainer, err = s.e.NewTrainer(ctx, f.train); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Trainer.Close()) }()
	var grads string
	defer func() {
		if grads != "" {
			os.Remove(grads)
		}
	}()
	bar := a.progress("training", int64(f.steps))
	defer bar.end()
	for i := range f.steps {
		u, err := settings.Gradients(ctx, p, b.episodes)
		if err != nil {
			return b.locate(err)
		}
		u.LearningRate = settings.LearningRateAt(i, f.steps)
		if i == 0 && f.grads != "" {
			var random [8]byte
			rand.Read(random[:]) // never fails
			grads = filepath.Join(filepath.Dir(f.grads), "."+filepath.Base(f.grads)+"-"+hex.EncodeToString(random[:]))
			if err := p.Trainer.SaveGradients(grads); err != nil {
				return err
			}
		}
		if u.NonFinite == nil {
			if err := settings.Step(p, u); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(a.stderr, "thinker: step %d is skipped: %v\n", i+1, u.NonFinite)
		}
		if _, err := a.stdout.Write(appendStep(nil, i+1, settings, u)); err != nil {
			return err
		}
		bar.add(1)
	}
	bar.end()
	bar = a.progress("saving", 100)
	if err := p.Trainer.SaveModel(ctx, f.out, func(done, total int64) { bar.set(100 * done / max(total, 1)) }); err != nil {
		return err
	}
	if grads != "" {
		if err := os.Rename(grads, f.grads); err != nil {
			return err
		}
		grads = ""
	}
	bar.end()
	if !a.quiet {
		fmt.Fprintf(a.stderr, "thinker: %s on %s in %.1f s, peak memory %s\n", count(f.steps, "step"), count(len(b.episodes), "sequence"),
			time.Since(clock).Seconds(), formatBytes(peakMemory()))
	}
	return nil
}

// freshFolder refuses an output folder that holds anything, before hours are spent on it.
func freshFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("--out %s holds %s already: choose another folder, nothing is overwritten", dir, entries[0].Name())
	}
	return nil
}

// A batch is the lines of step.
type batch struct {
	*source
	settings *grpo.Settings
	episodes []grpo.Episode
	lines    []int
}

// read makes the episodes, with their pictures. Prompts of the same ids and picture files share one.
func (b *batch) read() error {
	prompts := map[string]*engine.Prompt{}
	err := b.each(func(r *jsonl.Reader, line []byte) error {
		c, err := b.take(len(b.episodes), line)
		if err != nil {
			return r.Wrap(err)
		}
		e := grpo.Episode{Prompt: c.Prompt, IDs: c.IDs}
		key := fmt.Sprint(c.Prompt.IDs)
		for _, m := range c.Prompt.Images {
			key += "\x00" + m.Path
		}
		if same := prompts[key]; same != nil {
			e.Prompt = same
		}
		prompts[key] = e.Prompt
		if err := parseEpisode(line, b.settings, &e); err != nil {
			return r.Wrap(err)
		}
		b.episodes, b.lines = append(b.episodes, e), append(b.lines, r.Line())
		return nil
	})
	if err == nil && len(b.episodes) == 0 {
		err = fmt.Errorf("%s has no lines: want a batch of sequences", b.name)
	}
	return err
}

// shape is the largest family of the batch, no dimension below any line's.
func (b *batch) shape() engine.FamilyShape {
	s := engine.FamilyShape{CompletionTokens: 1}
	alike := map[*engine.Prompt]int{}
	for i := range b.episodes {
		e := &b.episodes[i]
		alike[e.Prompt]++
		s.CompletionTokens, s.Completions = max(s.CompletionTokens, len(e.IDs)), max(s.Completions, alike[e.Prompt])
		s.Grow(e.Prompt)
	}
	return s
}

// parseEpisode reads what a line says beside prompt and completion.
func parseEpisode(line []byte, s *grpo.Settings, e *grpo.Episode) error {
	o, err := jsonl.Parse(line)
	if err != nil {
		return err
	}
	if len(e.IDs) == 0 {
		return errors.New("the completion is empty: there is nothing to learn")
	}
	for _, x := range []struct {
		key string
		p   *[]float32
	}{{"old_logprobs", &e.OldLogProbs}, {"ref_logprobs", &e.RefLogProbs}} {
		if !o.Has(x.key) || string(o.Raw(x.key)) == "null" {
			continue
		}
		values, err := o.Floats(x.key)
		if err != nil {
			return err
		}
		if len(values) != len(e.IDs) {
			return fmt.Errorf("%s has %d numbers, the completion %d ids", x.key, len(values), len(e.IDs))
		}
		for i, v := range values {
			if math.IsInf(float64(float32(v)), 0) {
				return fmt.Errorf("%s[%d] is %v: no log-prob is that large", x.key, i, v)
			}
			*x.p = append(*x.p, float32(v))
		}
	}
	if s.Beta > 0 && e.RefLogProbs == nil {
		return fmt.Errorf("the line has no ref_logprobs, which beta %v needs", s.Beta)
	}
	if o.Has("truncated") {
		if e.Truncated, err = o.Bool("truncated"); err != nil {
			return err
		}
	}
	if s.LossType == grpo.SFT {
		return nil
	}
	e.Sample, err = parseSample(o)
	return err
}

// locate puts file and line before an error about an episode.
func (b *batch) locate(err error) error {
	if e, ok := errors.AsType[*grpo.SampleError](err); ok {
		return &jsonl.Error{File: b.name, Line: b.lines[e.Index], Err: e.Err}
	}
	return err
}

// appendStep writes a step's line.
func appendStep(b []byte, step int, s *grpo.Settings, u *grpo.Update) []byte {
	b = fmt.Appendf(b, `{"step": %d`, step)
	number := func(key string, v float64) {
		b = fmt.Appendf(b, `, %q: `, key)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
			return
		}
		b = jsonl.AppendFloat64(b, v)
	}
	number("loss", u.Loss)
	norm := u.GradNorm
	if u.NonFinite != nil {
		norm = math.NaN()
	}
	number("grad_norm", norm)
	number("learning_rate", u.LearningRate)
	if u.KL != nil {
		number("kl", *u.KL)
	}
	if u.Entropy != nil {
		number("entropy", *u.Entropy)
	}
	if s.LossType != grpo.SFT {
		number("clip_ratio/low_mean", u.ClipLow)
		number("clip_ratio/high_mean", u.ClipHigh)
	}
	b = fmt.Appendf(b, `, "num_tokens": %d`, u.NumTokens)
	if u.NonFinite != nil {
		b = append(b, `, "skipped": true`...)
	}
	return append(b, "}\n"...)
}
