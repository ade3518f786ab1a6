package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/safetensors"
	"github.com/thinker-vl/thinker/engine/tokenizer"
)

type initFlags struct {
	config, tokenizer, out string
	seed                   uint64
	dtype                  storage
	layout                 checkpoint.Layout
	shard                  byteSize
}

// storage is a type to store weights in; "" is the config's.
type storage string

func (s storage) String() string { return string(s) }

func parseStorage(s string) (storage, error) {
	if s == "f32" || s == "bf16" {
		return storage(s), nil
	}
	return "", fmt.Errorf("%q: want f32 or bf16", s)
}

func parseLayout(s string) (checkpoint.Layout, error) {
	for _, l := range []checkpoint.Layout{checkpoint.Released, checkpoint.Nested} {
		if s == l.String() {
			return l, nil
		}
	}
	return 0, fmt.Errorf("%q: want released or nested", s)
}

func (a *app) initCommand() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init --config CONFIG.json --tokenizer DIR --out DIR",
		Short: "Make a checkpoint with random weights",
		Long: `Make a checkpoint folder with random weights, of any size that a config.json describes: to test and to measure without a model.

Matrices are normal with the config's initializer_range, biases are 0 and norms 1, as transformers initializes them. The weights are a
function of config and seed alone. The files of tokenizer, chat template and preprocessor are copied from the folder --tokenizer, and
generation_config.json with them. A folder that holds a checkpoint is refused.`,
		Example: `  thinker init --config Qwen2.5-VL-3B/config.json --tokenizer Qwen2.5-VL-3B --seed 1 --out random-3b`,
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.init(c.Context(), &f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.config, "config", "", "config.json of the model")
	c.MarkFlagRequired("config")
	c.MarkFlagFilename("config", "json")
	requiredDir(c, &f.tokenizer, "tokenizer", "folder with the files to copy")
	requiredDir(c, &f.out, "out", "folder to make")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of the weights")
	enumVar(c, &f.dtype, "dtype", parseStorage, "type to store the weights in; the config's when left out", "f32", "bf16")
	enumVar(c, &f.layout, "layout", parseLayout, "names of the tensors: released (model.layers...), or nested (model.language_model.layers...)", "released", "nested")
	f.shard = 5e9
	fs.Var(&f.shard, "max-shard", "most bytes of a file")
	return c
}

func (a *app) init(ctx context.Context, f *initFlags) error {
	clock := time.Now()
	if f.shard < 1 {
		return usagef("--max-shard is 0: want at least a byte")
	}
	if err := checkFolder(f.tokenizer); err != nil {
		return err
	}
	c, err := config.LoadFile(f.config)
	if err != nil {
		return err
	}
	tok, err := tokenizer.Load(f.tokenizer)
	if err != nil {
		return err
	}
	if err := engine.CheckFrontend(f.tokenizer, c, tok); err != nil {
		return err
	}
	bar := a.progress("making weights", 100)
	defer bar.end()
	err = checkpoint.Init(ctx, f.out, c, checkpoint.InitOptions{
		Tokenizer: f.tokenizer, Seed: f.seed, Layout: f.layout, MaxShardBytes: int64(f.shard),
		DType:    map[storage]safetensors.DType{"f32": safetensors.F32, "bf16": safetensors.BF16}[f.dtype],
		Progress: func(done, total int64) { bar.set(100 * done / max(total, 1)) },
	})
	bar.end()
	if err == nil && a.verbose {
		fmt.Fprintf(a.stderr, "thinker: %s parameters in %s, %.1f s\n", formatCount(checkpoint.Parameters(c)), f.out, time.Since(clock).Seconds())
	}
	return err
}
