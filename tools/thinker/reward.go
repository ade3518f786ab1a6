package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/grpo/reward/mixed"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

// rewardFlags say how responses are verified.
type rewardFlags struct {
	extract string

	judge       reward.JudgeConfig
	rewardModel reward.RewardModelConfig
	keyEnv      string
	policy      reward.Policy
	images      string
	exec, http  []string
	memory      byteSize
}

func (f *rewardFlags) add(c *cobra.Command) {
	fs := c.Flags()
	var places []string
	for _, p := range reward.Places() {
		places = append(places, p.Name)
	}
	fs.StringVar(&f.extract, "extract", places[0], "where the answer stands: "+strings.Join(places, ", "))
	c.RegisterFlagCompletionFunc("extract", cobra.FixedCompletions(places, cobra.ShellCompDirectiveNoFileComp))
	fs.StringArrayVar(&f.exec, "exec", nil, "TYPE=PROGRAM ARGS...: verify TYPE by a program that speaks JSON lines; may be repeated")
	fs.StringArrayVar(&f.http, "http", nil, "TYPE=URL: verify TYPE by a service that answers JSON; may be repeated")
	fs.Var(&f.memory, "exec-memory", "most address space of a program of --exec, as 2GiB; 0 for no limit")
}

// addOpen adds the flags of open_ended.
func (f *rewardFlags) addOpen(fs *pflag.FlagSet) {
	fs.StringVar(&f.judge.URL, "judge", "", "open_ended: address of an OpenAI-compatible API whose model judges, as http://localhost:8000/v1")
	fs.StringVar(&f.judge.Model, "judge-model", "", "the judge's name")
	fs.BoolVar(&f.judge.NoImages, "judge-blind", false, "the judge gets no pictures")
	fs.StringVar(&f.rewardModel.URL, "reward-model", "", "open_ended: address of a reward model, for 1 - exp(-beta (S(answer) - S(gt)))")
	fs.Float64Var(&f.rewardModel.Beta, "beta", 0.2, "of the reward model's score")
	fs.StringVar(&f.keyEnv, "key-env", "", "environment variable that holds the key of judge, reward model and services")
	fs.StringVar(&f.images, "images", "", "folder that pictures' paths start from; the input's when left out")
	fs.IntVar(&f.policy.Concurrency, "concurrency", 8, "calls of judges and services at once")
	fs.Float64Var(&f.policy.Rate, "rate", 0, "most calls a second, 0 for as many as there are")
	fs.DurationVar(&f.policy.Timeout, "timeout", 0, "of one call; 0 for 1m")
	fs.DurationVar(&f.policy.Deadline, "deadline", 0, "of one score with its retries; 0 for 3m")
	fs.IntVar(&f.policy.Attempts, "attempts", 0, "most calls for one score, 0 for 4")
	fs.Int64Var(&f.policy.MaxCalls, "max-calls", 0, "budget of calls, 0 for no limit")
	fs.Int64Var(&f.policy.MaxTokens, "max-tokens", 0, "budget of the judge's tokens, 0 for no limit")
}

func (f *rewardFlags) open() (*mixed.Mixed, error) {
	key := ""
	if f.keyEnv != "" {
		if key = os.Getenv(f.keyEnv); key == "" {
			return nil, usagef("--key-env: the environment variable %s is not set", f.keyEnv)
		}
	}
	c := mixed.Config{Extract: f.extract, Judge: f.judge, RewardModel: f.rewardModel, Exec: map[string]reward.ProcessConfig{}, HTTP: map[string]mixed.Service{}}
	c.Judge.Key, c.Judge.Policy = key, f.policy
	c.RewardModel.Key, c.RewardModel.Policy = key, f.policy
	for _, x := range f.exec {
		name, line, ok := strings.Cut(x, "=")
		fields := strings.Fields(line)
		if !ok || name == "" || len(fields) == 0 {
			return nil, usagef("--exec is %q: want TYPE=PROGRAM ARGS...", x)
		}
		c.Exec[name] = reward.ProcessConfig{Path: fields[0], Args: fields[1:], Timeout: f.policy.Timeout, Memory: int64(f.memory)}
	}
	for _, x := range f.http {
		name, url, ok := strings.Cut(x, "=")
		if !ok || name == "" {
			return nil, usagef("--http is %q: want TYPE=URL", x)
		}
		c.HTTP[name] = mixed.Service{URL: url, Key: key, Policy: f.policy}
	}
	m, err := mixed.Open(c)
	if bad, ok := errors.AsType[*mixed.ConfigError](err); ok {
		return nil, &usageError{bad.Err}
	}
	return m, err
}

func (a *app) rewardCommand() *cobra.Command {
	f := &rewardFlags{}
	var files lineFlags
	var explain bool
	c := &cobra.Command{
		Use:   "reward [--in FILE] [--out FILE]",
		Short: "Verify answers: a reward from 0 to 1 for each response, with the rule that decided",
		Long: `Verify answers: a reward from 0 to 1 for each response, with the rule that decided.

In:  {"verifier_type": "digit|mcq|math|iou|open_ended", "gt": STRING or NUMBER, "response": STRING, "question": STRING,
     "options": [STRING...] or {"A": STRING...}, "image_size": [H, W], "resized_size": [H, W], "image": PATH}
     of which question, options, sizes and image are for those types that use them, where they are known
Out: {"reward": NUMBER or null, "extracted": STRING or null, "why": STRING}

One line a line of input, in its order. The answer is the content of the only <answer> block, unless --extract says otherwise. Whatever is
wrong with a response scores 0. null masks a sample for what is not its fault: a gold answer that cannot be read, a judge that failed.

  digit       the answer is the integer and nothing else, but for a dot at its end
  mcq         the answer names one option by letter or text; options are read from the question where there are none in the record
  math        the answer equals gt in mathematics
  iou         intersection over union of boxes, the value itself; pixels are those of the resized picture where resized_size is known
  open_ended  a reward model's 1 - exp(-beta (S(answer) - S(gt))), or a judge's grade; without --reward-model and --judge masked

Rewards of one's own are programs and services that get the record and the response as a JSON object and answer
{"id": the one they got, "reward": 0 to 1 or null, "extracted": STRING, "why": STRING}; a program line by line.`,
		Example: `  echo '{"verifier_type": "mcq", "gt": "B", "response": "<answer>(B)</answer>"}' | thinker reward
  thinker reward --in responses.jsonl --out rewards.jsonl
  thinker reward --in responses.jsonl --judge http://localhost:8000/v1 --judge-model Qwen2.5-VL-72B --explain
  thinker reward --in responses.jsonl --exec 'length=python3 length.py' --exec-memory 2GiB
  thinker reward dry-run --data VLAA-Thinking-GRPO-25K.json --n 200`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.reward(c, f, files, explain) },
	}
	files.add(c)
	c.Flags().BoolVar(&explain, "explain", false, "write for people, on standard output; JSON goes to --out only where that is a file")
	f.add(c)
	f.addOpen(c.Flags())
	c.AddCommand(a.rewardDryRunCommand())
	return c
}

// A verdict is a line's result under way.
type verdict struct {
	line   int
	record *reward.Record
	done   chan struct{}
	result reward.Result
	err    error
}

func (a *app) reward(c *cobra.Command, f *rewardFlags, files lineFlags, explain bool) error {
	if f.policy.Concurrency < 1 {
		return usagef("--concurrency is %d: want 1 or more", f.policy.Concurrency)
	}
	in, err := a.openInput(files.in, c.Flags().Changed("in"))
	if err != nil {
		return err
	}
	rewards, err := f.open()
	if err != nil {
		return err
	}
	defer rewards.Close()
	d := &rewardReader{rewards: rewards.Registry, response: true, images: rewards.Judged() || rewards.Custom(), extra: rewards.Custom(), root: f.images, dir: in.dir}
	records := -1
	if in.again { // an error in the last line must not cost a judge's work on those before
		records = 0
		err := in.each(func(r *jsonl.Reader, line []byte) error {
			if err := c.Context().Err(); err != nil {
				return err
			}
			records++
			if _, _, err := d.parse(line); err != nil {
				return r.Wrap(err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var out io.Writer = io.Discard
	commit := func() error { return nil }
	if !explain || files.out != "-" {
		file, err := a.create(files.out)
		if err != nil {
			return err
		}
		defer file.Close()
		out, commit = file, file.Commit
	}
	people := io.Discard
	if explain {
		text, err := a.create("-")
		if err != nil {
			return err
		}
		defer text.Close()
		people = text
	}
	bar := a.progress("verifying", int64(records))
	defer bar.end()
	var buf []byte
	err = a.verdicts(c.Context(), in, d, f.policy.Concurrency, func(v *verdict) error {
		buf = appendReward(buf[:0], v.result)
		if _, err := out.Write(buf); err != nil {
			return err
		}
		bar.add(1)
		if !explain {
			return nil
		}
		_, err := io.WriteString(people, explanation(v))
		return err
	})
	if err != nil {
		return err
	}
	bar.end()
	if err := commit(); err != nil {
		return err
	}
	a.rewardSummary(rewards)
	return nil
}

// verdicts calls f with each line's result, in order, of which some are worked on at once.
func (a *app) verdicts(ctx context.Context, in *input, d *rewardReader, concurrency int, f func(v *verdict) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	queue := make(chan *verdict, concurrency) // with the one that f waits for, a bound on what is under way
	slots := make(chan struct{}, concurrency)
	work.Go(func() {
		defer close(queue)
		stop := errors.New("stop")
		err := in.each(func(r *jsonl.Reader, line []byte) error {
			record, response, err := d.parse(line)
			if err != nil {
				return r.Wrap(err)
			}
			v := &verdict{line: r.Line(), record: record, done: make(chan struct{})}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			work.Go(func() {
				defer close(v.done)
				defer func() { <-slots }()
				v.result, v.err = d.rewards.Score(ctx, record, response)
			})
			select {
			case queue <- v:
				return nil
			case <-ctx.Done():
				return stop
			}
		})
		if err != nil && err != stop {
			v := &verdict{done: make(chan struct{}), err: err}
			close(v.done)
			select {
			case queue <- v:
			case <-ctx.Done():
			}
		}
	})
	for v := range queue {
		select {
		case <-v.done:
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if v.err != nil {
			return v.err
		}
		if err := f(v); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func appendReward(b []byte, x reward.Result) []byte {
	b = append(b, `{"reward": `...)
	if x.Masked {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendFloat(b, x.Score, 'g', -1, 64)
	}
	b = append(b, `, "extracted": `...)
	if x.Found {
		b = jsonl.AppendString(b, x.Answer)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `, "why": `...)
	b = jsonl.AppendString(b, x.Reason)
	return append(b, "}\n"...)
}

// explanation is a result for people.
func explanation(v *verdict) string {
	var b strings.Builder
	score := "masked"
	if !v.result.Masked {
		score = strconv.FormatFloat(v.result.Score, 'f', 4, 64)
	}
	name := ""
	if v.record.ID != "" {
		name = ", " + printable(v.record.ID)
	}
	fmt.Fprintf(&b, "line %d%s: %s %s\n", v.line, name, v.record.Type, score)
	fmt.Fprintf(&b, "  gold    %s\n", printable(v.record.Gold))
	if v.result.Found {
		fmt.Fprintf(&b, "  answer  %s\n", printable(v.result.Answer))
	} else {
		b.WriteString("  answer  none\n")
	}
	fmt.Fprintf(&b, "  why     %s\n", printable(v.result.Reason))
	return b.String()
}

// printable is a text on one line, without what a terminal would obey.
func printable(s string) string {
	const most = 400
	cut := ""
	if r := []rune(s); len(r) > most {
		s, cut = string(r[:most]), "..."
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), `\\`, `\`) + cut
}

// rewardSummary says what the rewards were.
func (a *app) rewardSummary(r *mixed.Mixed) {
	if a.quiet {
		return
	}
	stats := r.Stats()
	var parts []string
	total, masked := 0, 0
	for _, name := range r.Types() {
		s, ok := stats[name]
		if !ok {
			continue
		}
		total += s.Scored + s.Masked
		masked += s.Masked
		part := fmt.Sprintf("%s %d", name, s.Scored+s.Masked)
		if s.Scored > 0 {
			part += fmt.Sprintf(" (mean %.4f)", s.Mean)
		}
		parts = append(parts, part)
	}
	line := fmt.Sprintf("thinker: %s", count(total, "response"))
	if total > 0 {
		line += fmt.Sprintf(", %d masked: %s", masked, strings.Join(parts, ", "))
	}
	fmt.Fprintln(a.stderr, line)
	if s, ok := stats[reward.OpenEnded]; ok && !r.Judged() && s.Masked > 0 {
		fmt.Fprintf(a.stderr, "thinker: open_ended is masked without --judge or --reward-model\n")
	}
	if r.Judged() {
		s := r.Calls()
		line := fmt.Sprintf("thinker: judge: %d scores, %d cached, %d failed; %d calls, %d of them again, %d tokens", s.Scores, s.Cached, s.Failed, s.Attempts, s.Retries, s.Tokens)
		var kinds []string
		for k, n := range s.Failures {
			kinds = append(kinds, fmt.Sprintf("%s %d", k, n))
		}
		slices.Sort(kinds)
		if len(kinds) > 0 {
			line += "; failures: " + strings.Join(kinds, ", ")
		}
		fmt.Fprintln(a.stderr, line)
	}
}
