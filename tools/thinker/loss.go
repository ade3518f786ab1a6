package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

func (a *app) lossCommand() *cobra.Command {
	var files lineFlags
	c := &cobra.Command{
		Use:   "loss [--in FILE] [--out FILE]",
		Short: "Compute losses, advantages and gradients from log-probs and rewards",
		Long: `Compute losses, advantages and gradients from log-probs and rewards, in double precision. No checkpoint is needed.

In:  {"settings": {"loss_type": "grpo", "beta": 0.04, ...},
      "sequences": [{"logprobs": [...], "old_logprobs": [...], "ref_logprobs": [...], "reward": NUMBER, "group": STRING or NUMBER}...]}
Out: {"loss": NUMBER, "advantages": [NUMBER...], "grad": [[NUMBER...]...]}

A line is a batch. grad is d loss / d logprobs, a list a sequence. old_logprobs left out are logprobs (the ratio is 1); ref_logprobs are
needed where beta is not 0. "advantage": NUMBER wins over reward and group; a reward that is null masks its sample. "truncated": true
says that a completion ended at the length limit, for mask_truncated_completions. Groups are found by key, in any order; a group of one is
refused, but in dialect verl. A key of settings that is not known is refused; other keys are ignored.`,
		Example: `  echo '{"settings": {"dialect": "verl"}, "sequences": [{"logprobs": [-0.5, -1], "reward": 1, "group": "a"},
    {"logprobs": [-2], "reward": 0, "group": "a"}]}' | tr -d '\n' | thinker loss`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.loss(c, files) },
	}
	files.add(c)
	return c
}

func (a *app) loss(c *cobra.Command, files lineFlags) (err error) {
	in, err := a.openInput(files.in, c.Flags().Changed("in"))
	if err != nil {
		return err
	}
	m, err := engine.OpenMath()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	out, err := a.create(files.out)
	if err != nil {
		return err
	}
	defer out.Close()
	bar := a.progress("computing losses", -1)
	defer bar.end()
	var buf []byte
	err = in.each(func(r *jsonl.Reader, line []byte) error {
		if err := c.Context().Err(); err != nil {
			return err
		}
		s, sequences, err := parseLoss(line)
		if err != nil {
			return r.Wrap(err)
		}
		batch, err := s.Batch(m, sequences)
		if at, ok := errors.AsType[*grpo.SampleError](err); ok {
			err = fmt.Errorf("sequences[%d]: %w", at.Index, at.Err)
		}
		if err != nil {
			return r.Wrap(err)
		}
		buf = appendLoss(buf[:0], batch)
		bar.add(1)
		_, err = out.Write(buf)
		return err
	})
	if err != nil {
		return err
	}
	return out.Commit()
}

// parseLoss reads a line.
func parseLoss(line []byte) (*grpo.Settings, []grpo.Sequence, error) {
	o, err := jsonl.Parse(line)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range []string{"settings", "sequences"} {
		if !o.Has(key) {
			return nil, nil, fmt.Errorf("the line has no %s, but %s", key, o.Keys())
		}
	}
	s, err := grpo.ParseJSON(o.Raw("settings"))
	if err != nil {
		return nil, nil, err
	}
	all, err := o.Array("sequences")
	if err != nil {
		return nil, nil, err
	}
	sequences := make([]grpo.Sequence, len(all))
	for i, raw := range all {
		if len(raw) == 0 || raw[0] != '{' {
			return nil, nil, fmt.Errorf("sequences[%d] is %s, want an object", i, jsonl.Short(raw))
		}
		q, err := jsonl.Parse(raw)
		if err == nil {
			err = parseSequence(q, s, &sequences[i])
		}
		if err != nil {
			return nil, nil, fmt.Errorf("sequences[%d]: %w", i, err)
		}
	}
	return s, sequences, nil
}

func parseSequence(o *jsonl.Object, s *grpo.Settings, q *grpo.Sequence) (err error) {
	if q.LogProbs, err = o.Floats("logprobs"); err != nil {
		return err
	}
	for _, x := range []struct {
		key string
		p   *[]float64
	}{{"old_logprobs", &q.OldLogProbs}, {"ref_logprobs", &q.RefLogProbs}} {
		if o.Has(x.key) {
			if *x.p, err = o.Floats(x.key); err != nil {
				return err
			}
		}
	}
	if o.Has("truncated") {
		if q.Truncated, err = o.Bool("truncated"); err != nil {
			return err
		}
	}
	if s.LossType == grpo.SFT {
		return nil
	}
	q.Sample, err = parseSample(o)
	return err
}

// parseSample reads what a sequence was worth: an advantage, or a reward and the group that it is compared in.
func parseSample(o *jsonl.Object) (x grpo.Sample, err error) {
	if o.Has("advantage") {
		v, err := o.Float("advantage")
		x.Advantage = &v
		return x, err
	}
	switch raw := o.Raw("reward"); {
	case raw == nil:
		return x, fmt.Errorf("neither advantage nor reward, but %s", o.Keys())
	case string(raw) == "null": // a judge that failed
		x.Reward = math.NaN()
	default:
		if x.Reward, err = o.Float("reward"); err != nil {
			return x, err
		}
	}
	x.Group, err = groupKey(o)
	return x, err
}

// groupKey is a name for the group's key, the same for equal keys: a string in quotes, or a number.
func groupKey(o *jsonl.Object) (string, error) {
	if !o.Has("group") {
		return "", errors.New("group is missing, want a string or a number: it says which rewards are compared")
	}
	raw := o.Raw("group")
	if raw[0] == '"' {
		s, err := o.String("group")
		return strconv.Quote(s), err
	}
	if !bytes.ContainsAny(raw, ".eE") && json.Valid(raw) && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		return string(raw), nil // an integer of any length
	}
	v, err := o.Float("group")
	if err != nil {
		return "", fmt.Errorf("group is %s, want a string or a number", jsonl.Short(raw))
	}
	return strconv.FormatFloat(v, 'f', -1, 64), nil
}

func appendLoss(b []byte, x *grpo.Batch) []byte {
	b = append(b, `{"loss": `...)
	b = jsonl.AppendFloat64(b, x.Loss)
	b = append(b, `, "advantages": `...)
	b = jsonl.AppendFloat64s(b, x.Advantages.Values)
	b = append(b, `, "grad": [`...)
	for i, g := range x.Gradients {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = jsonl.AppendFloat64s(b, g.LogProbs)
	}
	return append(b, "]}\n"...)
}
