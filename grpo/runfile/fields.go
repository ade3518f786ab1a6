package runfile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/dataset"
	"github.com/thinker-vl/thinker/grpo/reward"
)

// A field is a key of a run file.
type field struct {
	key   string
	usage string
	kind  Kind // "": of all
	free  bool // it changes no number: it may be another when a run goes on
	table bool // its value is a map, whose keys may be overridden one by one
	set   func(n *yaml.Node) error
	get   func() any // nil where it stands for nothing
}

// fields are all keys but the settings of the loss, of f, in the order of a file.
func (f *File) fields() []field {
	m, d, p, r, b, w, v, c := &f.Model, &f.Data, &f.Prompt, &f.Rollout, &f.Batch, &f.Rewards, &f.Evaluation, &f.Checkpoints
	free := func(x field) field { x.free = true; return x }
	of := func(k Kind, x field) field { x.kind = k; return x }
	all := []field{
		text("model.path", &m.Path, "checkpoint folder, the start of the policy"),
		of(GRPO, text("model.reference", &m.Reference, "checkpoint folder of the frozen policy that KL is measured from; model.path when left out")),
		parsed("model.dtype", &m.DType, engine.ParseDType, "storage of weights and activations: bf16 or f32"),
		integer("model.min_pixels", &m.MinPixels, 0, math.MaxInt32, "least pixels of a picture after resizing; 0: the checkpoint's"),
		integer("model.max_pixels", &m.MaxPixels, 0, math.MaxInt32, "most pixels of a picture after resizing; 0: the checkpoint's"),
		free(integer("model.threads", &m.Threads, 0, 4096, "0: one a CPU")),
		parsed("model.isa", &m.ISA, binding.ParseISA, "instruction set of the kernels: auto, scalar, avx2, avx512, avx512bf16, amx"),
		text("model.library", &m.Library, "a back-end's shared library; left out: the cpu back-end"),
		free(integer("model.max_batch", &m.MaxBatch, 0, 1<<16, "sequences decoded together; 0: 64")),
		free(integer("model.prefill_chunk", &m.PrefillChunk, 0, 1<<20, "most tokens of a forward pass of the sampler; 0: 512")),
		number("model.vision_lr_scale", &m.VisionLRScale, 0, 1e6, "times the learning rate, for the vision tower; 0: as freeze_vision_tower"),
		free(size("model.cache", &m.Cache, "KV cache, as 2GiB; 0: what the batch needs, at most an eighth of memory or 4 GiB")),
		free(integer("model.micro_batch_rows", &m.MicroBatchRows, 0, math.MaxInt32, "most decoder rows of a training pass; 0: 4096")),
		free(boolean("model.gradient_checkpointing", &m.Recompute, "keep no activations inside blocks: less memory, a third more work")),

		list("data.files", &d.Files, "files of records: JSON lines or an array"),
		list("data.roots", &d.Roots, "folders that pictures may come from; left out: each file's folder and the folder images in it"),
		{key: "data.held_out", usage: "records to evaluate on: files, or a number of those in data.files, drawn by the seed; 0: none", set: f.setHeldOut, get: func() any {
			switch {
			case d.Split > 0:
				return d.Split
			case d.HeldOut != nil:
				return d.HeldOut
			}
			return nil
		}},
		text("data.verifier_type", &d.Type, "of records that have none"),
		list("data.types", &d.Types, "the verifier types that are taken; left out: all that the rewards know"),
		choice("data.on_error", &d.Skip, []string{"strict", "skip"}, []bool{false, true}, "a bad record: strict ends the run before its first step, skip leaves it out and counts it"),
		parsed("data.check", &d.Check, dataset.ParseCheck, "before the first step: header lays all records out and reads the headers of their pictures, full decodes them, none does neither"),
		integer("data.num_train_epochs", &d.Epochs, 1, 1<<20, "passes over the data"),
		boolean("data.shuffle_dataset", &d.Shuffle, "a new order every epoch, by the seed"),
		of(GRPO, boolean("data.drop_last", &d.DropLast, "no last rollout that reaches beyond the last epoch's end")),
		list("data.sha256", &d.SHA256, "of the files, when the run was started"),

		text("prompt.layout", &p.Layout, "paper, or a template file"),
		text("prompt.template", &p.Template, "the template itself"),
		integer("prompt.max_prompt_length", &p.MaxLength, 0, math.MaxInt32, "most tokens of a prompt; 0: what the context holds"),

		of(GRPO, integer("rollout.prompts", &r.Prompts, 1, 1<<24, "of a rollout")),
		of(GRPO, integer("rollout.num_generations", &r.Group, 1, 1<<16, "samples of a prompt, a group")),
		of(GRPO, integer("rollout.update_sequences", &r.UpdateSequences, 0, math.MaxInt32, "sequences of an optimizer step, a multiple of num_generations; 0: the whole rollout")),
		of(GRPO, integer("rollout.num_iterations", &r.Iterations, 1, 1<<16, "passes over a rollout's sequences")),
		of(GRPO, integer("rollout.max_rollouts", &r.Rollouts, 0, math.MaxInt32, "rollouts of the run; 0: as many as the epochs need")),
		of(GRPO, number("rollout.top_p", &r.TopP, 1e-9, 1, "1: off")),
		of(GRPO, integer("rollout.top_k", &r.TopK, 0, math.MaxInt32, "0: off")),
		of(GRPO, number("rollout.min_p", &r.MinP, 0, 1, "0: off")),
		of(GRPO, number("rollout.dynamic_sampling", &r.DynamicSampling, 0, 1000, "replace groups whose rewards are all equal, drawing at most so many times the prompts; 0: off")),
		free(of(GRPO, integer("rollout.dynamic_ahead", &r.DynamicAhead, 0, 1<<16, "prompts decoded beyond those that are needed for certain"))),
		of(GRPO, integer("rollout.max_skipped", &r.MaxSkipped, 1, math.MaxInt32, "updates in a row whose gradient is not finite that end the run")),

		of(SFT, integer("batch.sequences", &b.Sequences, 1, 1<<24, "demonstrations of an optimizer step")),
		of(SFT, integer("batch.max_steps", &b.Updates, 0, math.MaxInt32, "optimizer steps of the run; 0: as many as the epochs need")),
		of(SFT, integer("batch.max_skipped", &b.MaxSkipped, 1, math.MaxInt32, "updates in a row whose gradient is not finite that end the run")),
	}
	rewards := []field{
		choice("rewards.extract", &w.Extract, placeNames(), placeNames(), "where the answer stands: "+strings.Join(placeNames(), ", ")),
		{key: "rewards.weights", usage: "by verifier type; 1 when left out", table: true, set: table(&w.Weights, func(n *yaml.Node) (float64, error) { return floatOf(n, 0, math.MaxFloat64) }),
			get: func() any { return orNil(w.Weights) }},
		number("rewards.format", &w.Format, 0, math.MaxFloat64, "weight of a reward for <think>...</think> <answer>...</answer>; 0: none"),
		integer("rewards.overlong_buffer", &w.OverlongBuffer, 0, math.MaxInt32, "tokens before max_completion_length in which a penalty grows; 0: none"),
		number("rewards.overlong_penalty", &w.OverlongPenalty, 0, math.MaxFloat64, "at max_completion_length; 0: 1"),
		text("rewards.judge.url", &w.JudgeURL, "open_ended: an OpenAI-compatible API whose model judges"),
		text("rewards.judge.model", &w.JudgeModel, "the judge's name"),
		text("rewards.judge.system", &w.JudgeSystem, "the judge's instructions; left out: Thinker's"),
		boolean("rewards.judge.blind", &w.JudgeBlind, "the judge gets no pictures"),
		text("rewards.reward_model.url", &w.ModelURL, "open_ended: a reward model, for 1 - exp(-beta (S(answer) - S(gt)))"),
		text("rewards.reward_model.model", &w.ModelName, "its name, where it wants one"),
		number("rewards.reward_model.beta", &w.ModelBeta, 1e-9, math.MaxFloat64, "its beta"),
		free(text("rewards.calls.key_env", &w.KeyEnv, "environment variable with the key of judge, reward model and services")),
		free(integer("rewards.calls.concurrency", &w.Concurrency, 1, 1<<16, "calls under way at once")),
		free(number("rewards.calls.rate", &w.Rate, 0, 1e9, "most calls a second; 0: as many as there are")),
		free(duration("rewards.calls.timeout", &w.CallTimeout, "of one call")),
		free(duration("rewards.calls.deadline", &w.Deadline, "of a score, with its retries")),
		free(integer("rewards.calls.attempts", &w.Attempts, 1, 1000, "most calls for one score")),
		free(integer("rewards.calls.max_calls", &w.MaxCalls, 0, math.MaxInt32, "budget of calls; 0: no limit")),
		free(integer("rewards.calls.max_tokens", &w.MaxTokens, 0, math.MaxInt32, "budget of the judge's tokens; 0: no limit")),
		{key: "rewards.exec", usage: "programs that verify types of one's own, run in the folder of the command: TYPE: [PROGRAM, ARGS...]", table: true, set: table(&w.Exec, wordsOf), get: func() any { return orNil(w.Exec) }},
		free(size("rewards.exec_memory", &w.ExecMemory, "most address space of a program, as 2GiB; 0: no limit")),
		free(integer("rewards.exec_workers", &w.ExecWorkers, 1, 1024, "copies of a program that run at once")),
		{key: "rewards.http", usage: "services that verify types of one's own: TYPE: URL", table: true, set: table(&w.HTTP, stringOf), get: func() any { return orNil(w.HTTP) }},
		free(duration("rewards.timeout", &w.Timeout, "of the reward of one prompt's samples; what takes longer is masked")),
		free(integer("rewards.workers", &w.Workers, 1, 1<<16, "prompts that are judged at a time")),
		free(integer("rewards.dry_run", &w.DryRun, 0, math.MaxInt32, "gold answers that are verified before the first step; 0: none")),
		free(number("rewards.dry_run_max_rejected", &w.DryRunMaxRejected, 0, 1, "share of them that a reward may reject")),
		free(boolean("rewards.dry_run_warn", &w.DryRunWarn, "warn, and go on")),
	}
	for _, x := range rewards {
		all = append(all, of(GRPO, x))
	}
	return append(all,
		integer("evaluation.eval_steps", &v.Every, 0, math.MaxInt32, "rollouts (sft: updates) between evaluations; 0: only at the end"),
		of(GRPO, boolean("evaluation.eval_on_start", &v.AtStart, "before anything is learned, too")),
		of(GRPO, integer("evaluation.num_generations_eval", &v.K, 1, 1<<16, "samples of a held-out prompt: k of pass@k and mean@k")),
		of(GRPO, number("evaluation.temperature", &v.Temperature, 0, 1e6, "0: greedy")),
		of(GRPO, integer("evaluation.max_completion_length", &v.MaxCompletionLength, 0, math.MaxInt32, "0: that of the training")),
		of(GRPO, number("evaluation.pass", &v.Pass, 1e-9, math.MaxFloat64, "least reward of a sample that passes")),

		of(GRPO, text("early_stop.metric", &f.EarlyStop.Metric, "reward, eval_reward, eval_accuracy, ...; left out: none")),
		of(GRPO, integer("early_stop.patience", &f.EarlyStop.Patience, 0, math.MaxInt32, "values in a row without an improvement that end the run")),
		of(GRPO, number("early_stop.min_delta", &f.EarlyStop.MinDelta, 0, math.MaxFloat64, "least improvement that counts")),
		field{key: "early_stop.target", kind: GRPO, usage: "a value that ends the run when it is reached", set: func(n *yaml.Node) error {
			v, err := floatOf(n, -math.MaxFloat64, math.MaxFloat64)
			f.EarlyStop.Target = &v
			return err
		}, get: func() any {
			if f.EarlyStop.Target == nil {
				return nil
			}
			return *f.EarlyStop.Target
		}},

		free(text("checkpoints.output_dir", &c.Dir, "the run's folder")),
		free(integer("checkpoints.save_steps", &c.Every, 0, math.MaxInt32, "rollouts (sft: updates) between checkpoints; 0: only at the end")),
		free(integer("checkpoints.save_total_limit", &c.Keep, 0, math.MaxInt32, "newest checkpoints that stay; 0: all")),
		free(boolean("checkpoints.keep_best", &c.Best, "the one with the best evaluation stays, too")),
		field{key: "seed", usage: "of order, split and samples", set: func(n *yaml.Node) error {
			v, err := strconv.ParseUint(n.Value, 10, 64)
			if n.Kind != yaml.ScalarNode || err != nil {
				return fmt.Errorf("%s is not an integer from 0 to 2^64 - 1", found(n))
			}
			f.Seed = v
			return nil
		}, get: func() any { return f.Seed }},
	)
}

func placeNames() []string {
	var names []string
	for _, p := range reward.Places() {
		names = append(names, p.Name)
	}
	return names
}

func (f *File) setHeldOut(n *yaml.Node) (err error) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		f.Data.HeldOut = nil
		f.Data.Split, err = intOf(n, 0, math.MaxInt32)
		return err
	}
	f.Data.Split = 0
	f.Data.HeldOut, err = listOf(n)
	return err
}

// found is a value for messages.
func found(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		return map[yaml.Kind]string{yaml.MappingNode: "a map", yaml.SequenceNode: "a list"}[n.Kind]
	case n.ShortTag() == "!!str":
		return strconv.Quote(short(n.Value))
	case n.Value == "":
		return "nothing"
	}
	return short(n.Value)
}

// short cuts text to a length that fits a message.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func text(key string, p *string, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) (err error) { *p, err = stringOf(n); return err }, get: func() any {
		if *p == "" {
			return nil
		}
		return *p
	}}
}

func stringOf(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!bool" || n.Value == "" {
		return "", fmt.Errorf("%s is not a word", found(n))
	}
	return n.Value, nil
}

func listOf(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		s, err := stringOf(n)
		if err != nil {
			return nil, fmt.Errorf("%s is neither a word nor a list of words", found(n))
		}
		return []string{s}, nil
	}
	all := make([]string, len(n.Content))
	for i, c := range n.Content {
		var err error
		if all[i], err = stringOf(c); err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return all, nil
}

// wordsOf is a command line: a list, or words.
func wordsOf(n *yaml.Node) ([]string, error) {
	all, err := listOf(n)
	if err == nil && n.Kind == yaml.ScalarNode {
		all = strings.Fields(all[0])
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s is no command line: want a program and its arguments", found(n))
	}
	return all, err
}

func list(key string, p *[]string, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) (err error) { *p, err = listOf(n); return err }, get: func() any {
		if *p == nil {
			return nil
		}
		return *p
	}}
}

func intOf(n *yaml.Node, lo, hi int) (int, error) {
	v, err := floatOf(n, -math.MaxFloat64, math.MaxFloat64)
	if err != nil || v != math.Trunc(v) || v < float64(lo) || v > float64(hi) {
		return 0, fmt.Errorf("%s is not an integer from %d to %d", found(n), lo, hi)
	}
	return int(v), nil
}

func integer(key string, p *int, lo, hi int, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) (err error) { *p, err = intOf(n, lo, hi); return err }, get: func() any { return *p }}
}

func floatOf(n *yaml.Node, lo, hi float64) (float64, error) {
	v, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return 0, fmt.Errorf("%s is not a number", found(n))
	}
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%s is not a finite number", found(n))
	case v < lo:
		return 0, fmt.Errorf("%s is out of range: want %v or more", found(n), lo)
	case v > hi:
		return 0, fmt.Errorf("%s is out of range: want at most %v", found(n), hi)
	}
	return v, nil
}

func number(key string, p *float64, lo, hi float64, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) (err error) { *p, err = floatOf(n, lo, hi); return err }, get: func() any { return *p }}
}

func boolean(key string, p *bool, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			return fmt.Errorf("%s is not true or false", found(n))
		}
		*p = strings.EqualFold(n.Value, "true")
		return nil
	}, get: func() any { return *p }}
}

func choice[T comparable](key string, p *T, known []string, values []T, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) error {
		i := slices.Index(known, n.Value)
		if n.Kind != yaml.ScalarNode || i < 0 {
			return fmt.Errorf("%s is none of %s%s", found(n), strings.Join(known, ", "), didYouMean(n.Value, known))
		}
		*p = values[i]
		return nil
	}, get: func() any { return known[slices.Index(values, *p)] }}
}

func parsed[T fmt.Stringer](key string, p *T, parse func(string) (T, error), usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) error {
		v, err := parse(n.Value)
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s is not a word", found(n))
		}
		if err == nil {
			*p = v
		}
		return err
	}, get: func() any { return (*p).String() }}
}

func duration(key string, p *time.Duration, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) error {
		v, err := time.ParseDuration(n.Value)
		if seconds, e := floatOf(n, 0, 1e9); e == nil {
			v, err = time.Duration(seconds*float64(time.Second)), nil
		}
		if n.Kind != yaml.ScalarNode || err != nil || v <= 0 {
			return fmt.Errorf("%s is no time: want seconds, or as 90s, 5m, 1h30m", found(n))
		}
		*p = v
		return nil
	}, get: func() any { return p.String() }}
}

func size(key string, p *int64, usage string) field {
	return field{key: key, usage: usage, set: func(n *yaml.Node) error {
		for _, x := range []struct {
			suffix string
			unit   float64
		}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"", 1}} {
			digits, ok := strings.CutSuffix(n.Value, x.suffix)
			if !ok {
				continue
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
			if n.Kind == yaml.ScalarNode && err == nil && v >= 0 && v*x.unit < math.MaxInt64 {
				*p = int64(v * x.unit)
				return nil
			}
			break
		}
		return fmt.Errorf("%s is no size: want a number of bytes, as 1500000000, 512MiB or 2GB", found(n))
	}, get: func() any { return *p }}
}

// table sets a map from words.
func table[T any](p *map[string]T, value func(*yaml.Node) (T, error)) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("%s is not a map", found(n))
		}
		m := map[string]T{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			v, err := value(n.Content[i+1])
			if err != nil {
				return fmt.Errorf("%s: %w", short(key), err)
			}
			if _, twice := m[key]; twice {
				return fmt.Errorf("%s occurs twice", short(key))
			}
			m[key] = v
		}
		*p = m
		return nil
	}
}

func orNil[T any](m map[string]T) any {
	if len(m) == 0 {
		return nil
	}
	return m
}

// didYouMean ends a message.
func didYouMean(word string, known []string) string {
	if n := grpo.Nearest(word, known); n != "" {
		return fmt.Sprintf(": did you mean %s?", n)
	}
	return ""
}
