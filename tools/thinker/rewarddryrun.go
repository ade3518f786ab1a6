package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

func (a *app) rewardDryRunCommand() *cobra.Command {
	f := &rewardFlags{}
	var data string
	var n int
	var seed uint64
	var asJSON bool
	c := &cobra.Command{
		Use:   "dry-run --data FILE [--n N]",
		Short: "Say how far the verifiers fit a data set, before it is trained on",
		Long: `Say how far the verifiers fit a data set, before it is trained on: of a sample of its records, what share of the gold answers each
verifier can read, accepts when the gold itself is the answer, and rejects when another record's gold is. Records that can never be
rewarded are listed with their lines, and so are those that accept another's gold. Lines are those of reward, without a response.
Scores of open_ended are not tried.

--json writes {"records": N, "types": [{"type", "records", "parsed", "self", "accepted", "other", "rejected"}],
"never": [{"line", "id", "why"}], "loose": [{"line", "id", "why"}]}.`,
		Example: `  thinker reward dry-run --data VLAA-Thinking-GRPO-25K.json --n 200`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if n < 0 {
				return usagef("--n is %d: want the number of records to try, or 0 for all", n)
			}
			return a.rewardDryRun(c.Context(), f, data, n, seed, asJSON)
		},
	}
	c.Flags().StringVar(&data, "data", "", "records, one JSON object a line")
	c.MarkFlagRequired("data")
	c.MarkFlagFilename("data", "jsonl", "json")
	c.Flags().IntVar(&n, "n", 200, "records to try, drawn from the whole file; 0 for all")
	c.Flags().Uint64Var(&seed, "seed", 0, "of the draw")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	f.add(c)
	return c
}

// A drawn record is one of the sample.
type drawn struct {
	line   int
	record *reward.Record
}

func (a *app) rewardDryRun(ctx context.Context, f *rewardFlags, data string, n int, seed uint64, asJSON bool) error {
	in, err := a.openInput(data, true)
	if err != nil {
		return err
	}
	rewards, err := f.open()
	if err != nil {
		return err
	}
	defer rewards.Close()
	d := &rewardReader{rewards: rewards.Registry, extra: rewards.Custom(), dir: in.dir}
	var sample []drawn
	rng := rand.New(rand.NewPCG(seed, 0))
	total := 0
	err = in.each(func(r *jsonl.Reader, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		record, _, err := d.parse(line)
		if err != nil {
			return r.Wrap(err)
		}
		total++
		if n == 0 || len(sample) < n {
			sample = append(sample, drawn{r.Line(), record})
		} else if i := rng.IntN(total); i < n { // every record is as likely to stay
			sample[i] = drawn{r.Line(), record}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(sample, func(a, b drawn) int { return a.line - b.line })
	records := make([]*reward.Record, len(sample))
	for i, s := range sample {
		records[i] = s.record
	}
	run, err := rewards.Try(ctx, records, rewards.Place.Wrap)
	if err != nil {
		return err
	}
	out, err := a.create("-")
	if err != nil {
		return err
	}
	defer out.Close()
	if asJSON {
		err = writeDryRunJSON(out, run, sample)
	} else {
		err = writeDryRun(out, run, sample, total)
	}
	if err != nil {
		return err
	}
	return out.Commit()
}

func writeDryRun(w io.Writer, run *reward.DryRun, sample []drawn, total int) error {
	ew := &errWriter{w: w}
	fmt.Fprintf(ew, "%d of %s\n\n", len(sample), count(total, "record"))
	fmt.Fprintf(ew, "%-12s %8s %14s %14s %14s\n", "type", "records", "gold parsed", "self accepted", "other rejected")
	for _, t := range run.Types {
		fmt.Fprintf(ew, "%-12s %8d %14s %14s %14s\n", t.Type, t.Records, share(t.Parsed, t.Records), share(t.Accepted, t.Self), share(t.Rejected, t.Other))
	}
	for _, l := range []struct {
		title string
		cases []reward.DryCase
	}{{"can never be rewarded", run.Never}, {"accept the gold of another record", run.Loose}} {
		if len(l.cases) == 0 {
			continue
		}
		fmt.Fprintf(ew, "\n%s %s:\n", count(len(l.cases), "record"), l.title)
		for _, c := range l.cases {
			s := sample[c.Record]
			id := ""
			if s.record.ID != "" {
				id = " (" + printable(s.record.ID) + ")"
			}
			fmt.Fprintf(ew, "  line %d%s, %s: %s\n", s.line, id, s.record.Type, printable(c.Why))
		}
	}
	return ew.err
}

// share is n of all in percent.
func share(n, all int) string {
	if all == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(all))
}

// An errWriter keeps the first error.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(p []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(p)
	}
	return len(p), nil
}

func writeDryRunJSON(w io.Writer, run *reward.DryRun, sample []drawn) error {
	type dryType struct {
		Type     string `json:"type"`
		Records  int    `json:"records"`
		Parsed   int    `json:"parsed"`
		Self     int    `json:"self"`
		Accepted int    `json:"accepted"`
		Other    int    `json:"other"`
		Rejected int    `json:"rejected"`
	}
	type dryCase struct {
		Line int    `json:"line"`
		ID   string `json:"id"`
		Why  string `json:"why"`
	}
	v := struct {
		Records int       `json:"records"`
		Types   []dryType `json:"types"`
		Never   []dryCase `json:"never"`
		Loose   []dryCase `json:"loose"`
	}{len(sample), []dryType{}, []dryCase{}, []dryCase{}}
	for _, t := range run.Types {
		v.Types = append(v.Types, dryType(t))
	}
	for _, c := range run.Never {
		v.Never = append(v.Never, dryCase{sample[c.Record].line, sample[c.Record].record.ID, c.Why})
	}
	for _, c := range run.Loose {
		v.Loose = append(v.Loose, dryCase{sample[c.Record].line, sample[c.Record].record.ID, c.Why})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
