package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/data/scenes"
	"github.com/thinker-vl/thinker/grpo/report"
	rundir "github.com/thinker-vl/thinker/grpo/run"
	"github.com/thinker-vl/thinker/grpo/runfile"
)

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a}
	c := &cobra.Command{
		Use:   "demo [--out DIR] [--seed S]",
		Short: "Train a small visual reasoner from nothing, by SFT and GRPO, and write its report",
		Long: `Train a small visual reasoner from nothing. Nothing outside of the program is needed. The demo

  1. draws scenes: coloured shapes, with questions to count, compare, compute in LaTeX, choose and point;
  2. trains a tokenizer on their text and makes a small Qwen2.5-VL with random weights;
  3. warms it up by SFT on reasoning traces, of which more than half leave the tags of thought and answer out;
  4. trains it by GRPO with the verifiers of all rule-based types;
  5. evaluates it before and after on held-out scenes, and writes report.html.

On two cores it takes some four minutes. The folder has the data, the model at every stage and both runs, which sft, train, eval and report
know. When the demo is interrupted it saves, and the same command goes on; that of a finished one writes the reports again. The last line on standard output is a JSON object: the held-out reward before and after, by type,
the share of answers that can be extracted, and the report's path.`,
		Example: `  thinker demo
  thinker demo --out demo-2 --seed 2`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runError(runfile.GRPO, d.run(c.Context())) },
	}
	fs := c.Flags()
	fs.StringVar(&d.dir, "out", "demo", "folder to write")
	c.MarkFlagDirname("out")
	fs.Uint64Var(&d.seed, "seed", 1, "of scenes, weights, order and samples")
	fs.BoolVar(&d.quick, "quick", false, "a few steps of everything, in seconds: to see that it works; nothing is learned")
	return c
}

// A demo is the stages of the demo, each of which is done when its result is there.
type demo struct {
	*app
	dir   string
	seed  uint64
	quick bool
}

// A demoMark says which demo a folder holds.
type demoMark struct {
	Seed  uint64 `json:"seed"`
	Quick bool   `json:"quick"`
}

const (
	demoFile   = "demo.json"
	reportFile = "report.html"
	lockFile   = ".lock"
	demoStages = 5
)

// demoResult is the last line on standard output.
type demoResult struct {
	Reward     report.Change            `json:"reward"` // held-out, mean of the samples
	Types      map[string]report.Change `json:"types"`  // of it, by verifier type
	Accuracy   report.Change            `json:"accuracy"`
	Extracted  report.Change            `json:"extracted_ratio"`
	Seed       uint64                   `json:"seed"`
	Seconds    float64                  `json:"seconds"`
	Checkpoint string                   `json:"checkpoint"`
	Report     string                   `json:"report"`
}

// sizes of the demo's parts.
func (d *demo) scale() (sft, rl, held int) {
	if d.quick {
		return 28, 14, 14
	}
	return 6000, 2100, 280
}

// overrides make the presets those of this demo.
func (d *demo) overrides(quick ...string) []string {
	o := []string{"seed=" + strconv.FormatUint(d.seed, 10), "prompt.layout=" + quote(d.path(promptFile)), "data.held_out=" + quote(d.path("held-out", scenes.RecordsFile))}
	if d.quick {
		o = append(o, quick...)
	}
	return o
}

// quote makes a YAML scalar of a path.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a string
	}
	return string(b)
}

func (d *demo) path(names ...string) string {
	return filepath.Join(append([]string{d.dir}, names...)...)
}

func (d *demo) say(stage int, format string, v ...any) {
	if !d.app.quiet {
		fmt.Fprintf(d.stderr, "thinker: demo %d/%d: %s\n", stage, demoStages, fmt.Sprintf(format, v...))
	}
}

// again is the command that goes on.
func (d *demo) again() string { return d.command(demoMark{d.seed, d.quick}) }

func (d *demo) command(m demoMark) string {
	command := fmt.Sprintf("thinker demo --out %s --seed %d", shellQuote(d.dir), m.Seed)
	if m.Quick {
		command += " --quick"
	}
	return command
}

func (d *demo) run(ctx context.Context) error {
	clock := time.Now()
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	d.dir = dir
	release, err := d.claim()
	if err != nil {
		return err
	}
	defer release()
	d.goOn.Store(d.again())
	d.sparse = true
	for _, stage := range []func(context.Context) error{d.draw, d.makeModel, d.warmUp, d.learn} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := stage(ctx); err != nil {
			return err
		}
	}
	d.say(5, "report")
	result, err := d.result()
	if err != nil {
		return err
	}
	result.Seconds = time.Since(clock).Round(time.Second / 10).Seconds()
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	_, err = d.stdout.Write(append(line, '\n'))
	return err
}

// claim makes the folder, or sees that it holds this demo, and keeps others out of it until it is released.
func (d *demo) claim() (release func(), err error) {
	if _, err := d.begun(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.dir, 0o777); err != nil {
		return nil, err
	}
	if release, err = (rundir.Disk{}).Lock(d.path(lockFile)); errors.Is(err, rundir.ErrLocked) {
		return nil, fmt.Errorf("%s: another demo is at work in it: wait for it, or choose another --out", d.dir)
	} else if err != nil {
		return nil, err
	}
	begun, err := d.begun() // now that nobody else begins one
	if err == nil {
		err = d.tidy()
	}
	if err == nil && !begun {
		var mark []byte
		if mark, err = json.Marshal(demoMark{d.seed, d.quick}); err == nil {
			err = writeWhole(d.path(demoFile), append(mark, '\n'))
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// begun reports whether the folder holds this demo. One that holds anything else is refused.
func (d *demo) begun() (bool, error) {
	text, err := os.ReadFile(d.path(demoFile))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(d.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		for _, e := range entries {
			if e.Name() != lockFile && !passing(e.Name()) {
				return false, fmt.Errorf("%s holds files that are no demo's (%s): choose another --out", d.dir, e.Name())
			}
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var old demoMark
	r := json.NewDecoder(bytes.NewReader(text))
	r.DisallowUnknownFields()
	if err := r.Decode(&old); err != nil {
		return false, fmt.Errorf("%s is no demo's: %w: choose another --out", d.path(demoFile), err)
	}
	if old != (demoMark{d.seed, d.quick}) {
		return false, fmt.Errorf("%s holds another demo: choose another --out, or go on with that one by: %s", d.dir, d.command(old))
	}
	return true, nil
}

// passing reports whether a name is that of something on its way to its own name, as a kill leaves it behind.
func passing(name string) bool {
	for _, final := range []string{demoFile, reportFile, "warm-up", "train", "held-out"} {
		if strings.HasPrefix(name, "."+final+".") {
			return true
		}
	}
	return false
}

// tidy removes what a kill has left behind.
func (d *demo) tidy() error {
	for _, dir := range []string{d.dir, d.path("sft")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if passing(e.Name()) {
				if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// draw makes the three sets of scenes. Their seeds are far from each other: no scene is in two of them.
func (d *demo) draw(ctx context.Context) error {
	sft, rl, held := d.scale()
	d.say(1, "drawing %d scenes", sft+rl+held)
	bar := d.progress("drawing scenes", int64(sft+rl+held))
	defer bar.end()
	before := 0
	for i, set := range []struct {
		name string
		c    scenes.Config
	}{{"warm-up", scenes.Config{N: sft, Untagged: 55}}, {"train", scenes.Config{N: rl, NoTrace: true}}, {"held-out", scenes.Config{N: held}}} {
		c := set.c
		c.Seed = d.seed<<8 + uint64(i)
		c.MinShapes, c.MaxShapes, c.Colors, c.Shapes = 1, 3, 4, 2
		if _, err := os.Stat(d.path(set.name)); errors.Is(err, fs.ErrNotExist) {
			if err := scenes.Write(ctx, d.path(set.name), c, func(done, _ int) { bar.set(int64(before + done)) }); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		before += c.N
	}
	return nil
}

// warmUp makes the run of SFT.
func (d *demo) warmUp(ctx context.Context) error {
	d.say(3, "warming up by SFT on traces: %s", d.path("sft"))
	f, err := runfile.Load(runfile.SFT, "demo", "", nil, append(d.overrides("batch.max_steps=4", "batch.sequences=4", "evaluation.eval_steps=2", "checkpoints.save_steps=1"),
		"model.path="+quote(d.path("init")), "data.files="+quote(d.path("warm-up", scenes.RecordsFile)), "checkpoints.output_dir="+quote(d.path("sft"))))
	if err != nil {
		return err
	}
	return d.train(ctx, f)
}

// learn makes the run of GRPO.
func (d *demo) learn(ctx context.Context) error {
	d.say(4, "GRPO with digit, mcq, math and iou: %s", d.path("grpo"))
	start := lastCheckpoint(d.path("sft"))
	if start == "" {
		return fmt.Errorf("%s holds no checkpoint: remove the folder, and run the demo again", d.path("sft"))
	}
	f, err := runfile.Load(runfile.GRPO, "demo", "", nil, append(d.overrides("rollout.prompts=2", "rollout.num_generations=2", "rollout.max_rollouts=2",
		"evaluation.eval_steps=1", "evaluation.num_generations_eval=2", "rewards.dry_run=8", "checkpoints.save_steps=1"),
		"model.path="+quote(start), "data.files="+quote(d.path("train", scenes.RecordsFile)), "checkpoints.output_dir="+quote(d.path("grpo"))))
	if err != nil {
		return err
	}
	return d.train(ctx, f)
}

// train makes a run, or what is left of it.
func (d *demo) train(ctx context.Context, f *runfile.File) error {
	if err := need(f); err != nil {
		return err
	}
	_, err := d.launch(ctx, f, true, d.again())
	return err
}

// result writes the reports and says what has become of the policy.
func (d *demo) result() (*demoResult, error) {
	for run, path := range map[string]string{"sft": d.path("sft", reportFile), "grpo": d.path(reportFile)} {
		if err := report.WriteFile(path, d.path(run), report.Options{Title: map[string]string{"sft": "Thinker demo: the warm start", "grpo": "Thinker demo"}[run]}); err != nil {
			return nil, err
		}
	}
	s, err := report.Summarize(d.path("grpo"))
	if err != nil {
		return nil, err
	}
	if !d.app.quiet {
		for _, name := range append([]string{""}, slices.Sorted(maps.Keys(s.Types))...) {
			c, label := s.Reward, "all"
			if name != "" {
				c, label = s.Types[name], name
			}
			if c.Before != nil && c.After != nil {
				fmt.Fprintf(d.stderr, "thinker: held-out reward, %-5s %.3f before, %.3f after\n", label+":", *c.Before, *c.After)
			}
		}
		fmt.Fprintf(d.stderr, "thinker: open %s in a browser\n", d.path(reportFile))
	}
	return &demoResult{Reward: s.Reward, Types: s.Types, Accuracy: s.Metrics["accuracy"], Extracted: s.Metrics["extracted_ratio"], Seed: d.seed,
		Checkpoint: lastCheckpoint(d.path("grpo")), Report: d.path(reportFile)}, nil
}
