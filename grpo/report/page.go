package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
)

// A page is what the template writes.
type page struct {
	Style      template.CSS
	Script     template.JS
	ScriptHash string

	Title    string
	Kind     string // GRPO, SFT, evaluation
	State    string
	Class    string // of the state: good, fair, poor, none
	Reason   string
	Facts    []fact
	Tiles    []tile
	Warnings []warning
	Unwarned int // earlier warnings

	Before, After string // what the columns of the tables stand for
	Single        bool   // there is one evaluation
	EvalNote      string
	Sampled       bool  // evaluations have several samples a prompt
	Intervals     bool  // there are confidence intervals
	Types         []row // reward by type
	Metrics       []row // the other metrics, overall
	ByType        []row // the same by type
	Evaluations   []pastEvaluation
	EvalColumns   []string
	Charts        []*chart // of the evaluations and the reward
	Others        []*chart
	Thinned       string
	All           []metricRow
	Examples      []example
	ExampleNote   string
	Groups        []group
	GroupUpdate   int64
	GroupNote     string
	GroupTypes    []string
	RunFile       text
	HasRunFile    bool
	Problems      []string
	MoreProblems  int
}

type fact struct{ Name, Value string }

// A tile is a key figure.
type tile struct {
	Name, Before, After, Change string
	Class                       string // of the change: good, poor, none
	Note                        string
}

type warning struct {
	Update string
	Text   text
}

// A row is a metric of the first and of the last evaluation.
type row struct {
	Name                 string
	Before, After        string
	BeforeCI, AfterCI    string
	Change, Class        string
	Share                float64 // width of the bar, in percent; negative: none
	BeforeShare          float64
	Apart                bool // the confidence intervals do not overlap
	Total                bool
	HasBefore, HasChange bool
}

type pastEvaluation struct {
	Update int64
	Values []string
}

type metricRow struct {
	Name, First, Last, Min, Max string
	Values                      int64
	Missing                     int64
}

func (d *folder) page(dir string, o Options) (*page, error) {
	p := &page{Title: line(o.Title, 200)}
	if p.Title == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		p.Title = line(filepath.Base(abs), 200)
	}
	metrics, timing := newTable(), newTable()
	hasMetrics := d.each("metrics.jsonl", func(l []byte, _ int64) error { return metrics.read(l) })
	d.each("timing.jsonl", func(l []byte, _ int64) error { return timing.read(l) })
	list, total := d.evaluations()
	files := len(list) > 0
	if !files {
		list = metrics.evaluations()
	}
	if !hasMetrics && !files {
		d.problem("metrics.jsonl: it is missing, so that there are no curves")
	}
	p.kind(metrics, files)
	p.runFile(d)
	p.state(d, metrics, timing, hasMetrics)
	p.warnings(d)
	p.compare(list, total)
	if err := p.charts(metrics, timing, list, files); err != nil {
		return nil, err
	}
	for _, t := range []*table{metrics, timing} {
		for _, name := range t.names() {
			s := t.series[name]
			if name == "time" || len(p.All) == 300 {
				continue
			}
			r := metricRow{Name: line(name, 120), Values: s.n, Missing: s.missing, First: "–", Last: "–", Min: "–", Max: "–"}
			if s.n > 0 {
				r.First, r.Last, r.Min, r.Max = format(s.first.Y), format(s.last.Y), format(s.min), format(s.max)
			}
			p.All = append(p.All, r)
		}
		if n := len(t.lost); n > 0 {
			d.problem("metrics: %s are left out, only %d are read", count(int64(n), "name"), maxNames)
		}
	}
	pictures := &album{dir: dir, roots: o.Roots, seen: map[string]picture{}}
	most := o.Examples
	if most == 0 {
		most = defaultExamples
	}
	if files && most > 0 {
		p.Examples = d.examples(list[0], list[len(list)-1], pictures, min(most, mostExamples))
	}
	var found bool
	p.Groups, p.GroupUpdate, p.GroupNote, found = d.groups(pictures)
	if p.Kind == "GRPO" && !found {
		d.problem("completions.jsonl: it is missing, so that no groups of the training are shown")
	}
	types := map[string]bool{}
	for _, g := range p.Groups {
		if g.Type != "" {
			types[g.Type] = true
		}
	}
	p.GroupTypes = slices.Sorted(maps.Keys(types))
	if pictures.left > 0 {
		d.problem("%s left out: pictures may take %d KiB of the page", count(int64(pictures.left), "picture"), pageBytes>>10)
	}
	p.Problems, p.MoreProblems = d.problems, d.more
	return p, nil
}

// evaluations are those that only the metrics tell of: the first and the last.
func (t *table) evaluations() []*evaluation {
	first, last := &evaluation{Update: math.MaxInt64, Metrics: map[string]number{}}, &evaluation{Update: -1, Metrics: map[string]number{}}
	for name := range t.series {
		s := t.get(name)
		short, ok := strings.CutPrefix(name, "eval_")
		if s == nil || !ok {
			continue
		}
		if kind, ok := strings.CutPrefix(short, "rewards/"); ok {
			if kind, ok = strings.CutSuffix(kind, "/mean"); ok {
				short = "reward/" + kind
			}
		}
		short = strings.TrimPrefix(short, "completions/")
		first.Metrics[short], last.Metrics[short] = number(s.first.Y), number(s.last.Y)
		first.Update, last.Update = min(first.Update, int64(s.first.X)), max(last.Update, int64(s.last.X))
	}
	switch {
	case len(last.Metrics) == 0:
		return nil
	case first.Update == last.Update:
		return []*evaluation{last}
	}
	return []*evaluation{first, last}
}

func (p *page) kind(t *table, evaluated bool) {
	switch {
	case t.get("reward") != nil:
		p.Kind = "GRPO"
	case t.get("loss") != nil:
		p.Kind = "SFT"
	case t.rows == 0 && evaluated:
		p.Kind = "Evaluation"
	default:
		p.Kind = "Run"
	}
}

const runFileBytes = 32 << 10

func (p *page) runFile(d *folder) {
	b, whole := d.small("run.yaml")
	if b == nil {
		if p.Kind != "Evaluation" {
			d.problem("run.yaml: it is missing, so that the run's settings are not shown")
		}
		return
	}
	p.RunFile, p.HasRunFile = clip(string(b), runFileBytes), true
	if !whole {
		p.RunFile.Cut = max(p.RunFile.Cut, 1)
	}
}

func (p *page) fact(name, value string) {
	if value != "" {
		p.Facts = append(p.Facts, fact{name, line(value, 300)})
	}
}

// state fills the header in: what was trained, when, and how it ended.
func (p *page) state(d *folder, metrics, timing *table, hasMetrics bool) {
	step, manifest := d.newest()
	if manifest != nil {
		p.fact("Model", d.model(step))
	}
	p.settings()
	updates := int64(-1)
	if hasMetrics && metrics.began {
		updates = metrics.last
		value := count(updates, "update")
		if e := metrics.get("epoch"); e != nil {
			value += ", epoch " + format(e.last.Y)
		}
		p.fact("Learned", value)
	}
	if s := timing.get("time"); s != nil {
		begin, end := s.first.Y, s.last.Y
		for _, name := range []string{"time/rollout", "time/learn"} {
			if t := timing.get(name); t != nil && t.first.X == s.first.X {
				begin -= t.first.Y
			}
		}
		if begin > 0 && end >= begin && end < 1e11 {
			from, to := stamp(begin), stamp(end)
			if from[:10] == to[:10] {
				to = to[11:]
			}
			p.fact("Time", duration(end-begin)+", "+from+" to "+to+" UTC")
		}
	}
	if t := metrics.get("num_tokens"); t != nil {
		p.fact("Tokens", format(t.last.Y))
	}
	if t := metrics.get("skipped_updates"); t != nil && t.last.Y > 0 {
		p.fact("Skipped", count(int64(min(t.last.Y, 1<<53)), "update")+" without a finite gradient")
	}
	if manifest != nil {
		p.fact("Checkpoint", fmt.Sprintf("step-%d, after update %d", step, manifest.Policy))
	}
	p.ending(manifest, updates)
}

// A manifest is what the page says of a checkpoint.
type manifest struct {
	Policy int64
	State  struct {
		Step  int64
		Total int64  // steps of the whole run; 0: not known
		Ended string // why it ended early
	}
}

// newest finds the newest checkpoint.
func (d *folder) newest() (step int64, m *manifest) {
	in, err := d.Open(".")
	if err != nil {
		return 0, nil
	}
	defer in.Close()
	step = -1
	for {
		entries, err := in.ReadDir(1000)
		for _, e := range entries {
			if digits, ok := strings.CutPrefix(e.Name(), "step-"); ok && e.IsDir() {
				if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > step {
					step = n
				}
			}
		}
		if err != nil || len(entries) == 0 {
			if err != nil && err != io.EOF {
				d.problem("the folder: %v", reason(err))
			}
			break
		}
	}
	if step < 0 {
		return 0, nil
	}
	name := fmt.Sprintf("step-%d/manifest.json", step)
	b, whole := d.small(name)
	if b == nil || !whole {
		return 0, nil
	}
	m = new(manifest)
	if err := json.Unmarshal(b, m); err != nil {
		d.problem("%s: %v", name, err)
		return 0, nil
	}
	return step, m
}

// model describes the model of a checkpoint by its configuration.
func (d *folder) model(step int64) string {
	name := fmt.Sprintf("step-%d/model/config.json", step)
	b, whole := d.small(name)
	if b == nil || !whole {
		return ""
	}
	c, err := config.Parse(b, name)
	if err != nil {
		d.problem("%v", err)
		return ""
	}
	return fmt.Sprintf("%s parameters, %d layers of %d, vision of %d layers of %d", format(float64(checkpoint.Parameters(c))),
		c.Text.Layers, c.Text.HiddenSize, c.Vision.Depth, c.Vision.HiddenSize)
}

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d/time.Hour%24)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d/time.Minute%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d/time.Second%60)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

func stamp(seconds float64) string {
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02 15:04:05")
}

// warnings shows the last of warnings.jsonl.
func (p *page) warnings(d *folder) {
	const most = 20
	n := 0
	d.tail("warnings.jsonl", 1<<20, func(l []byte) error {
		var w struct {
			Update *number
			Text   string
		}
		if err := json.Unmarshal(l, &w); err != nil {
			return err
		}
		n++
		p.Warnings = append(p.Warnings, warning{format(optional(w.Update)), clip(w.Text, 500)})
		if len(p.Warnings) > most {
			p.Warnings = p.Warnings[1:]
		}
		return nil
	})
	p.Unwarned = n - len(p.Warnings)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// percent tells metrics that are shares from the others.
func percent(name string) bool {
	base, _, _ := strings.Cut(name, "/")
	return base == "accuracy" || strings.HasSuffix(base, "_ratio") || strings.HasPrefix(base, "pass@")
}

func value(name string, v float64) string {
	base, _, _ := strings.Cut(name, "/")
	switch {
	case !finite(v):
	case percent(name):
		return minus(strconv.FormatFloat(100*v, 'f', 1, 64)) + "\u202f%"
	case (base == "reward" || strings.HasSuffix(name, "/mean") || strings.HasPrefix(base, "mean@")) && math.Abs(v) < 100:
		return minus(strconv.FormatFloat(v, 'f', 3, 64))
	}
	return format(v)
}

// worth is 1 where more of a metric is better, -1 where less is, 0 where neither.
func worth(name string) float64 {
	base, _, _ := strings.Cut(name, "/")
	switch {
	case base == "loss" || base == "clipped_ratio" || name == "rewards/masked" || name == "rewards/failed":
		return -1
	case base == "reward" || base == "accuracy" || base == "extracted_ratio" || strings.HasPrefix(base, "pass@") || strings.HasPrefix(base, "mean@"):
		return 1
	}
	return 0
}

// compareMetric compares the first evaluation with the last one.
func compareMetric(first, last *evaluation, name, label string) row {
	b, a := first.metric(name), last.metric(name)
	r := row{Name: label, Before: value(name, b), After: value(name, a), Share: -1, HasBefore: first != last, Class: "none"}
	bl, bh, bok := first.interval(name)
	al, ah, aok := last.interval(name)
	unit := "\u202f%"
	if bok {
		r.BeforeCI = strings.TrimSuffix(value(name, bl), unit) + " – " + value(name, bh)
	}
	if aok {
		r.AfterCI = strings.TrimSuffix(value(name, al), unit) + " – " + value(name, ah)
	}
	if finite(b) && finite(a) && first != last {
		r.HasChange = true
		r.Change = value(name, a-b)
		if percent(name) {
			r.Change = strings.TrimSuffix(r.Change, "%") + "pp"
		}
		if a > b {
			r.Change = "+" + r.Change
		}
		switch w := worth(name) * (a - b); {
		case w > 0:
			r.Class = "good"
		case w < 0:
			r.Class = "poor"
		}
		r.Apart = bok && aok && (al > bh || ah < bl)
	}
	if finite(a) && a >= 0 && a <= 1 {
		r.Share = math.Round(1000*a) / 10
		if finite(b) && b >= 0 && b <= 1 {
			r.BeforeShare = math.Round(1000*b) / 10
		}
	}
	return r
}

// metricOrder sorts what is looked at first to the front.
func metricOrder(name string) int {
	base, _, _ := strings.Cut(name, "/")
	for i, prefix := range []string{"reward", "accuracy", "mean@", "pass@", "extracted_ratio", "loss", "mean_length", "clipped_ratio"} {
		if base == prefix || strings.HasSuffix(prefix, "@") && strings.HasPrefix(base, prefix) {
			return i
		}
	}
	return 100
}

func sortMetrics(names []string) {
	slices.SortFunc(names, func(a, b string) int {
		if c := metricOrder(a) - metricOrder(b); c != 0 {
			return c
		}
		// pass@2 comes before pass@10.
		if c := len(a) - len(b); c != 0 && metricOrder(a) < 100 && strings.Contains(a, "@") && strings.Contains(b, "@") {
			return c
		}
		return strings.Compare(a, b)
	})
}

var metricLabels = map[string]string{"reward": "Reward", "accuracy": "Accuracy", "extracted_ratio": "Answers extracted", "mean_length": "Mean length",
	"clipped_ratio": "Cut at the length limit", "loss": "Loss", "rewards": "Reward function", "rewards/masked": "Samples without a score", "rewards/failed": "Rewards that failed"}

func label(name string) string {
	if l := metricLabels[name]; l != "" {
		return l
	}
	return line(name, 80)
}

// compare fills the tables of the evaluations in.
func (p *page) compare(list []*evaluation, total int) {
	if len(list) == 0 {
		return
	}
	first, last := list[0], list[len(list)-1]
	p.Single, p.Intervals = first == last, len(last.CI) > 0
	p.Before, p.After = fmt.Sprintf("Update %d", first.Update), fmt.Sprintf("Update %d", last.Update)
	names := map[string]bool{}
	for _, e := range []*evaluation{first, last} {
		for name := range e.Metrics {
			names[name] = true
		}
	}
	ordered := slices.Collect(maps.Keys(names))
	sortMetrics(ordered)
	for _, name := range ordered {
		base, kind, typed := strings.Cut(name, "/")
		switch {
		case base == "reward" && typed:
			p.Types = append(p.Types, compareMetric(first, last, name, line(kind, 40)))
		case base == "reward":
			r := compareMetric(first, last, name, "All types")
			r.Total = true
			p.Types = slices.Insert(p.Types, 0, r)
		case typed && metricLabels[name] == "" && len(p.ByType) < 200:
			p.ByType = append(p.ByType, compareMetric(first, last, name, label(base)+" · "+line(kind, 40)))
		case (!typed || metricLabels[name] != "") && len(p.Metrics) < 60:
			p.Metrics = append(p.Metrics, compareMetric(first, last, name, label(name)))
		}
	}
	for _, name := range []string{"reward", "accuracy", "extracted_ratio", "loss", "mean_length"} {
		if a := last.metric(name); finite(a) && len(p.Tiles) < 4 {
			r := compareMetric(first, last, name, "")
			n := "Held-out " + strings.ToLower(label(name))
			if name == "extracted_ratio" || name == "mean_length" {
				n = label(name)
			}
			t := tile{Name: n, Before: r.Before, After: r.After, Change: r.Change, Class: r.Class, Note: ""}
			if r.AfterCI != "" {
				t.Note = "CI " + r.AfterCI
			}
			if name == "mean_length" {
				t.Note = "tokens"
			}
			if first.Update > 0 && r.HasChange && t.Note == "" {
				t.Note = fmt.Sprintf("since update %d", first.Update)
			}
			if p.Single || !r.HasChange {
				t.Before, t.Change = "", ""
			}
			p.Tiles = append(p.Tiles, t)
		}
	}
	var notes []string
	if last.Prompts > 0 {
		notes = append(notes, count(int64(last.Prompts), "held-out prompt"))
	}
	p.Sampled = last.K > 1
	if last.K > 0 {
		notes = append(notes, count(int64(last.K), "sample")+" each")
	}
	if t := optional(last.Temperature); finite(t) {
		notes = append(notes, "temperature "+format(t))
	}
	if len(notes) > 0 {
		p.EvalNote = strings.Join(notes, ", ") + "."
	}
	if len(list) > 2 {
		for _, name := range ordered {
			if !strings.Contains(name, "/") && len(p.EvalColumns) < 10 {
				p.EvalColumns = append(p.EvalColumns, name)
			}
		}
		for i := range min(len(list), 100) {
			e := list[i]
			if len(list) > 100 {
				e = list[i*(len(list)-1)/99]
			}
			past := pastEvaluation{Update: e.Update}
			for _, name := range p.EvalColumns {
				past.Values = append(past.Values, value(name, e.metric(name)))
			}
			p.Evaluations = append(p.Evaluations, past)
		}
		for i, name := range p.EvalColumns {
			p.EvalColumns[i] = label(name)
		}
		if total > len(p.Evaluations) {
			p.EvalNote += fmt.Sprintf(" Of %d evaluations, the first, the last and others evenly between are shown.", total)
		}
	}
}

// charts draws the curves.
func (p *page) charts(metrics, timing *table, list []*evaluation, files bool) error {
	kinds := map[string]bool{}
	for name := range metrics.series {
		if kind, ok := strings.CutPrefix(name, "rewards/"); ok {
			if kind, ok = strings.CutSuffix(kind, "/mean"); ok && metrics.get(name) != nil {
				kinds[kind] = true
			}
		}
	}
	for _, e := range list {
		for name := range e.Metrics {
			if kind, ok := strings.CutPrefix(name, "reward/"); ok {
				kinds[kind] = true
			}
		}
	}
	// Every type has the same colour in all charts. The first is that of the whole.
	types := slices.Sorted(maps.Keys(kinds))
	colour := map[string]int{}
	for i, kind := range types {
		colour[kind] = 2 + i%(maxLines-1)
	}
	if len(types) > maxLines-1 {
		types = types[:maxLines-1]
	}
	share := func(c *chart) *chart {
		c.low, c.high = at(0), at(1)
		return c
	}
	add := func(to *[]*chart, c *chart, curves ...*curve) error {
		for _, u := range curves {
			if u != nil {
				c.Curves = append(c.Curves, u)
			}
		}
		if len(c.Curves) == 0 {
			return nil
		}
		if err := c.draw(); err != nil {
			return fmt.Errorf("chart %s: %w", c.Title, err)
		}
		c.describe()
		*to = append(*to, c)
		return nil
	}
	evaluated := func(metric, name string, colour int, band bool) *curve {
		if files {
			return held(list, metric, name, colour, band)
		}
		old := "eval_" + metric
		if kind, ok := strings.CutPrefix(metric, "reward/"); ok {
			old = "eval_rewards/" + kind + "/mean"
		}
		return metrics.dotted(old, name, colour)
	}
	var heldTypes, trained []*curve
	for _, kind := range types {
		heldTypes = append(heldTypes, evaluated("reward/"+kind, line(kind, 40), colour[kind], false))
		trained = append(trained, metrics.line("rewards/"+kind+"/mean", line(kind, 40), colour[kind]))
	}
	overall := metrics.line("reward", "reward", 1)
	type figure struct {
		c      *chart
		curves []*curve
	}
	front := []figure{
		{share(&chart{Title: "Held-out reward", Unit: "mean and its interval"}), []*curve{evaluated("reward", "all types", 1, true)}},
		{share(&chart{Title: "Held-out reward by type", Unit: "mean"}), heldTypes},
		{share(&chart{Title: "Reward in training", Unit: "mean of a rollout"}), []*curve{overall}},
		{share(&chart{Title: "Reward in training by type", Unit: "mean of a rollout"}), trained},
		{share(&chart{Title: "Held-out accuracy", Unit: "share and its interval"}), []*curve{evaluated("accuracy", "accuracy", 1, true)}},
		{share(&chart{Title: "Answers extracted", Unit: "share of samples"}), []*curve{
			metrics.line("completions/extracted_ratio", "in training", 2), evaluated("extracted_ratio", "held out", 1, false)}},
	}
	loss := metrics.line("loss", "loss", 1)
	held := metrics.dotted("eval_loss", "held out", 2)
	if p.Kind == "SFT" {
		if loss != nil {
			loss.Name = "in training"
		}
		front = append([]figure{{&chart{Title: "Loss", Unit: "nats a token"}, []*curve{loss, held}}}, front...)
		loss = nil
	}
	// Several shades over each other show nothing.
	for _, f := range front {
		if len(f.curves) > 2 {
			for _, u := range f.curves {
				if u != nil {
					u.area = nil
				}
			}
		}
	}
	back := []figure{
		{&chart{Title: "Completion length", Unit: "tokens"}, []*curve{metrics.line("completions/mean_length", "mean", 1), metrics.line("completions/max_length", "longest", 2)}},
		{share(&chart{Title: "Cut at the length limit", Unit: "share of samples"}), []*curve{metrics.line("completions/clipped_ratio", "cut", 1)}},
		{&chart{Title: "KL to the reference", Unit: "nats a token"}, []*curve{metrics.line("kl", "KL", 1)}},
		{&chart{Title: "Entropy", Unit: "nats a token"}, []*curve{metrics.line("entropy", "entropy", 1)}},
		{&chart{Title: "Loss"}, []*curve{loss}},
		{&chart{Title: "Gradient norm", Unit: "before clipping"}, []*curve{metrics.line("grad_norm", "norm", 1)}},
		{&chart{Title: "Learning rate"}, []*curve{metrics.plain("learning_rate", "learning rate", 1)}},
		{share(&chart{Title: "Groups without a signal", Unit: "share of samples"}), []*curve{metrics.line("frac_reward_zero_std", "share", 1)}},
		{&chart{Title: "Clipped by the ratio", Unit: "share of tokens"}, []*curve{metrics.line("clip_ratio/region_mean", "share", 1)}},
		{&chart{Title: "Throughput", Unit: "tokens a second"}, []*curve{timing.line("perf/tokens_per_second", "tokens/s", 1)}},
		{&chart{Title: "Time", Unit: "seconds"}, []*curve{timing.line("time/rollout", "rollout", 1), timing.line("time/learn", "learning", 2)}},
	}
	for _, f := range front {
		if err := add(&p.Charts, f.c, f.curves...); err != nil {
			return err
		}
	}
	for _, f := range back {
		if err := add(&p.Others, f.c, f.curves...); err != nil {
			return err
		}
	}
	if len(p.Charts) < 3 { // not worth a row of their own
		p.Charts, p.Others = append(p.Charts, p.Others...), nil
	}
	if overall != nil && len(p.Tiles) == 0 {
		s := metrics.get("reward")
		p.Tiles = append(p.Tiles, tile{Name: "Reward in training", Before: format(s.first.Y), After: format(s.last.Y), Change: signed(s.last.Y - s.first.Y), Class: "none", Note: "first and last update"})
	}
	switch {
	case metrics.width > 1:
		p.Thinned = fmt.Sprintf("Every point stands for %d updates: the line, and the figure above it, is their mean, smoothed; the shade behind it goes from the least to the largest.", metrics.width)
	case metrics.rows >= 12:
		p.Thinned = "Bold lines, and the figures above them, are a moving average of the single updates, which are faint."
	}
	return nil
}

// rows are a table's.
type rows struct {
	Rows          []row
	Before, After string
	Single        bool
}

// Overall are the metrics over all types.
func (p *page) Overall() rows { return rows{p.Metrics, p.Before, p.After, p.Single} }

// Typed are the metrics by type.
func (p *page) Typed() rows { return rows{p.ByType, p.Before, p.After, p.Single} }
