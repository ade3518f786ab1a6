package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/runfile"
)

type evalFlags struct {
	runFlags
	k, maxTokens int
	temperature  float64
	step         int64
	json         bool
}

func (a *app) evalCommand() *cobra.Command {
	f := &evalFlags{runFlags: runFlags{kind: runfile.GRPO}}
	c := &cobra.Command{
		Use:   "eval --model DIR --data FILE --out DIR [--k N] [--temperature T]",
		Short: "Evaluate a checkpoint: rewards of its answers, pass@k and mean@k, with confidence intervals",
		Long: `Evaluate a checkpoint: it answers each question k times, and the verifiers of train score the answers.

The folder --out gets step-N.json, the metrics with 95 % confidence intervals, and step-N.jsonl, a line a sample: {"id", "type",
"question", "gt", "images", "sample", "text", "extracted", "reward", "why", "finish_reason", "length"}. Metrics, over all samples and as
NAME/TYPE: reward, accuracy (share of samples of a reward of 0.5 or more), mean@k, pass@1 to pass@k, extracted_ratio, clipped_ratio,
mean_length. Standard output has a table, or with --json the content of step-N.json on one line.

A run file of train does too (--config): its held-out records are evaluated, or those of --data. So

  thinker eval --config RUN/run.yaml --model RUN/step-49/model --out RUN/final

evaluates a run's checkpoint with the run's own prompts and rewards. Samples are a function of the seed; batch and threads change nothing.`,
		Example: `  thinker eval --model Qwen2.5-VL-3B-Instruct --data held-out.jsonl --out before
  thinker eval --model runs/paper/step-49/model --data held-out.jsonl --k 8 --temperature 0.8 --out after --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runError(f.kind, a.eval(c, f)) },
	}
	f.add(c)
	fs := c.Flags()
	fs.IntVar(&f.k, "k", 1, "evaluation.num_generations_eval: samples of a question")
	fs.Float64Var(&f.temperature, "temperature", 0, "evaluation.temperature: 0 is greedy")
	fs.IntVar(&f.maxTokens, "max-tokens", 0, "evaluation.max_completion_length: most tokens of an answer; 0 for grpo.max_completion_length, 512")
	fs.Int64Var(&f.step, "step", 0, "the step that the checkpoint is of: N of the files' names")
	fs.BoolVar(&f.json, "json", false, "write JSON in the place of the table")
	return c
}

func (a *app) eval(c *cobra.Command, flags *evalFlags) (err error) {
	var more []string
	changed := c.Flags().Changed
	if changed("k") {
		more = append(more, "evaluation.num_generations_eval="+strconv.Itoa(flags.k))
	}
	if changed("temperature") {
		more = append(more, fmt.Sprintf("evaluation.temperature=%g", flags.temperature))
	}
	if changed("max-tokens") {
		more = append(more, "evaluation.max_completion_length="+strconv.Itoa(flags.maxTokens))
	}
	if changed("data") {
		more = append(more, "data.held_out=null", "data.sha256=null") // those of another run
	}
	if flags.step < 0 {
		return usagef("--step is %d: want 0 or more", flags.step)
	}
	f, err := flags.load(c, more...)
	if err != nil {
		return err
	}
	if flags.print {
		_, err := a.stdout.Write(f.YAML(version()))
		return err
	}
	if err := need(f); err != nil {
		return err
	}
	ctx, clock := c.Context(), time.Now()
	s := &session{a: a, f: f, status: &status{a: a}}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.openRewards(); err != nil {
		return err
	}
	if err := s.openSets(ctx, data.WantGold); err != nil {
		return err
	}
	set := s.held
	if set == nil {
		set = s.train
	}
	if err := s.openPolicy(ctx); err != nil {
		return err
	}
	v := &f.Evaluation
	most := v.MaxCompletionLength
	if most == 0 {
		most = f.Settings.MaxCompletionLength
	}
	prompts, err := s.prompts(ctx, "data", set, most)
	if err != nil {
		return err
	}
	rewards, err := s.rewardList()
	if err != nil {
		return err
	}
	config := f.Config()
	sampling := config.Sampling
	sampling.N, sampling.Temperature, sampling.MaxTokens, sampling.Ban, sampling.Seed = v.K, v.Temperature, most, f.Settings.Ban, f.Seed
	a.computing.Store(true)
	bar := a.progress("answering", int64(prompts.Len()))
	defer bar.end()
	e, err := grpo.Evaluate(ctx, s.policy, prompts, rewards, grpo.EvaluationConfig{Sampling: sampling, Pass: v.Pass, Judging: config.Judging,
		Progress: func(done, _ int) { bar.set(int64(done)) }})
	a.computing.Store(false)
	bar.end()
	if err != nil {
		return err
	}
	for _, err := range e.Failures {
		s.status.print("warning: a reward failed; its samples are masked: " + err.Error())
	}
	if err := e.WriteFiles(f.Checkpoints.Dir, flags.step); err != nil {
		return err
	}
	out, err := a.create("-")
	if err != nil {
		return err
	}
	defer out.Close()
	if flags.json {
		err = writeEvaluationJSON(out, e, f.Checkpoints.Dir, flags.step)
	} else {
		err = writeEvaluation(out, e)
	}
	if err != nil {
		return err
	}
	if !a.quiet {
		fmt.Fprintf(a.stderr, "thinker: %s of %s in %.1f s, peak memory %s\n", count(len(e.Outcomes), "sample"), count(e.Prompts, "question"), time.Since(clock).Seconds(), formatBytes(peakMemory()))
	}
	return out.Commit()
}

// writeEvaluation writes a table: all, then type by type.
func writeEvaluation(w io.Writer, e *grpo.Evaluated) error {
	metrics, intervals := e.Metrics(), e.Intervals()
	types := map[string]int{}
	for i := range e.Outcomes {
		types[e.Outcomes[i].Kind]++
	}
	columns := []string{"reward", "accuracy"}
	if e.K > 1 {
		columns = append(columns, fmt.Sprintf("mean@%d", e.K), fmt.Sprintf("pass@%d", e.K))
	}
	columns = append(columns, "extracted_ratio", "clipped_ratio", "mean_length")
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "type\tsamples\t%s\t\n", strings.Join(columns, "\t"))
	row := func(name, suffix string, n int) {
		fmt.Fprintf(t, "%s\t%d", name, n)
		for _, c := range columns {
			v, ok := metrics[c+suffix]
			switch ci, wide := intervals[c+suffix]; {
			case !ok || math.IsNaN(v):
				fmt.Fprint(t, "\t-")
			case c == "mean_length":
				fmt.Fprintf(t, "\t%.1f", v)
			case wide && (c == "reward" || c == "accuracy"):
				fmt.Fprintf(t, "\t%.3f [%.3f, %.3f]", v, ci[0], ci[1])
			default:
				fmt.Fprintf(t, "\t%.3f", v)
			}
		}
		fmt.Fprint(t, "\t\n")
	}
	row("all", "", len(e.Outcomes))
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if name != "" {
			row(name, "/"+name, types[name])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeEvaluationJSON writes what step-N.json has, on one line, and where the files are.
func writeEvaluationJSON(w io.Writer, e *grpo.Evaluated, dir string, step int64) error {
	finite := map[string]float64{}
	for k, v := range e.Metrics() {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			finite[k] = v
		}
	}
	line, err := json.Marshal(struct {
		Step        int64                 `json:"step"`
		Prompts     int                   `json:"prompts"`
		K           int                   `json:"k"`
		Temperature float64               `json:"temperature"`
		Seed        uint64                `json:"seed"`
		Metrics     map[string]float64    `json:"metrics"`
		CI          map[string][2]float64 `json:"ci"`
		Out         string                `json:"out"`
	}{step, e.Prompts, e.K, e.Temperature, e.Seed, finite, e.Intervals(), dir})
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
