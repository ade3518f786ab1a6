package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/runfile"
)

// runFile is the name of the resolved run file in a run's folder.
const runFile = "run.yaml"

// runFlags say what a run is: a run file, a preset, and what goes over both.
type runFlags struct {
	kind           runfile.Kind
	config, preset string
	set            []string
	model, out     string
	data           []string
	seed           uint64
	print          bool
	resume         bool
}

func (f *runFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVarP(&f.config, "config", "c", "", "run file, YAML")
	c.MarkFlagFilename("config", "yaml", "yml")
	fs.StringVar(&f.preset, "preset", "", "settings that the run file is laid over: "+strings.Join(runfile.Presets(f.kind), ", "))
	c.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(runfile.Presets(f.kind), cobra.ShellCompDirectiveNoFileComp))
	fs.StringArrayVar(&f.set, "set", nil, "KEY=VALUE over the run file, as rollout.prompts=8; may be repeated")
	fs.StringVar(&f.model, "model", "", "model.path: checkpoint folder")
	c.MarkFlagDirname("model")
	fs.StringArrayVar(&f.data, "data", nil, "data.files: records; may be repeated")
	c.MarkFlagFilename("data", "jsonl", "json")
	fs.StringVar(&f.out, "out", "", "checkpoints.output_dir: the folder to write")
	c.MarkFlagDirname("out")
	fs.Uint64Var(&f.seed, "seed", 0, "seed: of order, split and samples")
	fs.BoolVar(&f.print, "print-config", false, "write the resolved run file to standard output, and do nothing else")
}

// overrides are the flags that stand for keys, as KEY=VALUE.
func (f *runFlags) overrides(c *cobra.Command, more ...string) []string {
	all := append([]string{}, f.set...)
	put := func(flag, key string, v any) {
		if c.Flags().Changed(flag) {
			b, err := json.Marshal(v)
			if err != nil {
				panic(err) // of plain values
			}
			all = append(all, key+"="+string(b))
		}
	}
	put("model", "model.path", f.model)
	put("data", "data.files", f.data)
	put("out", "checkpoints.output_dir", f.out)
	put("seed", "seed", f.seed)
	return append(all, more...)
}

// load resolves the run file.
func (f *runFlags) load(c *cobra.Command, more ...string) (*runfile.File, error) {
	config, changed := f.config, c.Flags().Changed
	if config == "" && f.resume && f.preset == "" {
		if f.out == "" {
			return nil, usagef("--resume: name the run's folder by --out, or its run file by --config")
		}
		config = filepath.Join(f.out, runFile)
		if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s holds no run to go on with: there is no %s in it; start one by --config or --preset", f.out, runFile)
		}
	}
	var text []byte
	if config != "" {
		fi, err := os.Stat(config)
		if err != nil {
			return nil, err
		}
		if fi.IsDir() || fi.Size() > runfile.MaxBytes {
			return nil, fmt.Errorf("%s is no run file: want YAML of at most %d bytes", config, runfile.MaxBytes)
		}
		if text, err = os.ReadFile(config); err != nil {
			return nil, err
		}
	} else if f.preset == "" && !changed("set") && !changed("model") && !changed("data") {
		return nil, usagef("nothing says what to run: name a run file by --config, or --preset, --model and --data")
	}
	file, err := runfile.Load(f.kind, f.preset, config, text, f.overrides(c, more...))
	if bad, ok := errors.AsType[*runfile.Error](err); ok && strings.HasPrefix(bad.File, "--set") && !f.ownSet(bad.File) {
		bad.File = "" // of a flag that stands for the key
	}
	return file, err
}

// ownSet reports whether an error is about a --set of the command line, and not about a flag that stands for a key.
func (f *runFlags) ownSet(file string) bool {
	for _, s := range f.set {
		if strings.HasPrefix("--set "+s, strings.TrimSuffix(file, "...")) {
			return true
		}
	}
	return false
}

// need refuses a run without what every run needs, before anything is opened.
func need(f *runfile.File) error {
	for _, x := range []struct {
		there     bool
		key, flag string
	}{{f.Model.Path != "", "model.path", "--model"}, {len(f.Data.Files) > 0, "data.files", "--data"}, {f.Checkpoints.Dir != "", "checkpoints.output_dir", "--out"}} {
		if !x.there {
			return usagef("%s is not set: name it by %s, or in the run file", x.key, x.flag)
		}
	}
	if err := f.Absolute(); err != nil {
		return err
	}
	return checkFolder(f.Model.Path)
}

// keys are what Go programs call some of the keys of a run file.
func runKeys() map[string]string {
	return map[string]string{
		"Prompts": "rollout.prompts", "Group": "rollout.num_generations", "UpdateSequences": "rollout.update_sequences", "Iterations": "rollout.num_iterations",
		"Rollouts": "rollout.max_rollouts", "Epochs": "data.num_train_epochs", "Evaluation": "evaluation", "Overlong.Buffer": "rewards.overlong_buffer",
		"Overlong.Penalty": "rewards.overlong_penalty", "Dynamic.MaxOversampling": "rollout.dynamic_sampling", "Dynamic.Ahead": "rollout.dynamic_ahead",
		"Early.Metric": "early_stop.metric", "Early.Patience": "early_stop.patience", "Early.MinDelta": "early_stop.min_delta", "Early.Target": "early_stop.target",
		"RewardWorkers": "rewards.workers", "Pass": "evaluation.pass",
	}
}

// runError names keys and options as the run file does.
func runError(k runfile.Kind, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if bad, ok := errors.AsType[*grpo.SettingsError](err); ok && bad.File == "" {
		key := runKeys()[bad.Key]
		if key == "" {
			key = string(k) + "." + bad.Key
		}
		text = key + ": " + bad.Err.Error()
	}
	text = strings.NewReplacer("Evaluation.Every", "evaluation.eval_steps", "Evaluation.AtStart", "evaluation.eval_on_start", "with DropLast", "with data.drop_last",
		"Overlong.Buffer", "rewards.overlong_buffer", "a Target", "early_stop.target", "CacheBytes", "model.cache",
		"lower MicroBatchRows", "lower model.micro_batch_rows", "or MaxPixels", "or model.max_pixels", "MaxPixels", "model.max_pixels", "or use bf16", "or set model.dtype to bf16",
		"recompute, or", "set model.gradient_checkpointing, or", "a batch smaller than MaxBatch", "a batch smaller than model.max_batch",
		"or name the folder that it is in", "or name the folder that it is in by data.roots", "as a further folder of pictures", "as a further one of data.roots",
		"or give one for all records without", "or give data.verifier_type for all records without").Replace(text)
	if text == err.Error() {
		return err
	}
	return &renamedError{text, err}
}

// A renamedError is an error in other words.
type renamedError struct {
	text string
	err  error
}

func (e *renamedError) Error() string { return e.text }
func (e *renamedError) Unwrap() error { return e.err }
