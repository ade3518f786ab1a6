package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	maxEvaluations = 400     // that are read: the first, the last, and others evenly between
	maxSamples     = 200_000 // of one evaluation that are looked at
)

// An evaluation is what eval/step-N.json holds.
type evaluation struct {
	name        string // of its files, without the suffix
	number      int64  // N
	Update      int64
	Prompts, K  int
	Temperature *number
	Metrics     map[string]number
	CI          map[string][]number
}

func (e *evaluation) metric(name string) float64 {
	v, ok := e.Metrics[name]
	if !ok {
		return math.NaN()
	}
	return float64(v)
}

// interval is a metric's confidence interval; ok is false where there is none.
func (e *evaluation) interval(name string) (low, high float64, ok bool) {
	ci := e.CI[name]
	if len(ci) != 2 || !finite(float64(ci[0])) || !finite(float64(ci[1])) {
		return 0, 0, false
	}
	return float64(ci[0]), float64(ci[1]), true
}

// evaluations reads the run's evaluations, by update. total is how many there are.
func (d *folder) evaluations() (list []*evaluation, total int) {
	in, err := d.Open("eval")
	if err != nil {
		return nil, 0
	}
	defer in.Close()
	var numbers []int64
	for {
		entries, err := in.ReadDir(1000)
		for _, e := range entries {
			digits, step := strings.CutPrefix(e.Name(), "step-")
			digits, json := strings.CutSuffix(digits, ".json")
			if step && json {
				if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 && strconv.FormatInt(n, 10) == digits {
					numbers = append(numbers, n)
				}
			}
		}
		if err != nil || len(entries) == 0 {
			if err != nil && err != io.EOF {
				d.problem("eval: %v", reason(err))
			}
			break
		}
	}
	slices.Sort(numbers)
	total = len(numbers)
	for k := range min(total, maxEvaluations) {
		i := k
		if total > maxEvaluations {
			i = int(int64(k) * int64(total-1) / (maxEvaluations - 1))
		}
		e := &evaluation{number: numbers[i], name: fmt.Sprintf("eval/step-%d", numbers[i]), Update: numbers[i]}
		b, whole := d.small(e.name + ".json")
		if b == nil {
			continue
		}
		if !whole {
			d.problem("%s.json is left out: it has more than %d bytes", e.name, maxSmall)
			continue
		}
		if err := json.Unmarshal(b, e); err != nil {
			d.problem("%s.json is left out: %v", e.name, err)
			continue
		}
		if len(e.Metrics) > maxNames {
			d.problem("%s.json is left out: it has %d metrics", e.name, len(e.Metrics))
			continue
		}
		list = append(list, e)
	}
	slices.SortStableFunc(list, func(a, b *evaluation) int { return cmp.Compare(a.Update, b.Update) })
	return list, total
}

// A sample is a line of eval/step-N.jsonl.
type sample struct {
	ID          string
	Type        string
	Question    string
	Gold        gold `json:"gt"`
	Images      []string
	ImageSize   []float64 `json:"image_size"`
	ResizedSize []float64 `json:"resized_size"`
	Sample      int
	Text        string
	Extracted   *string
	Reward      *number
	Why         string
	Finish      string `json:"finish_reason"`
	Length      int
}

// A gold is an answer that is a string in most files, and a number in others.
type gold string

func (g *gold) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*g = gold(s)
	return nil
}

// A trace is what is kept of a prompt's samples while all are looked at.
type trace struct {
	at     int64 // where the line of the sample begins that is shown
	kind   string
	reward float64 // the mean of those that have one
	sum    float64 // of them
	n      int
	all    []scored
}

type scored struct {
	at     int64
	reward float64
}

// key tells the prompts of an evaluation apart.
func (s *sample) key() string {
	if s.ID != "" {
		return s.ID
	}
	return "\x00" + s.Question + "\x00" + strings.Join(s.Images, "\x00")
}

// samples looks at the samples of an evaluation, prompt by prompt in the order of the file. Of a prompt, the sample whose reward is nearest
// to their mean is the one to show: a lucky one says nothing of the policy.
func (d *folder) samples(e *evaluation) (map[string]*trace, []string) {
	traces, order, n := map[string]*trace{}, []string(nil), 0
	d.each(e.name+".jsonl", func(line []byte, at int64) error {
		if n++; n > maxSamples {
			if n == maxSamples+1 {
				return fmt.Errorf("only %d samples are looked at", maxSamples)
			}
			return nil
		}
		var s sample
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		key := s.key()
		if len(key) > 4096 {
			return errors.New("it has no id, and a question of more than 4096 bytes")
		}
		r := optional(s.Reward)
		t := traces[key]
		if t == nil {
			t = &trace{at: at, kind: s.Type}
			traces[key] = t
			order = append(order, key)
		}
		if finite(r) {
			t.sum += r
			t.n++
			t.all = append(t.all, scored{at, r})
		}
		return nil
	})
	for _, t := range traces {
		t.reward = t.mean()
		nearest := math.Inf(1)
		for _, x := range t.all {
			if d := math.Abs(x.reward - t.reward); d < nearest {
				t.at, nearest = x.at, d
			}
		}
		t.all = nil
	}
	return traces, order
}

func (t *trace) mean() float64 {
	if t == nil || t.n == 0 {
		return math.NaN()
	}
	return t.sum / float64(t.n)
}

// sampleAt reads a sample again.
func sampleAt(f *os.File, at int64) (*sample, error) {
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	var s sample
	return &s, json.NewDecoder(io.LimitReader(f, maxLine)).Decode(&s)
}

// What became of a prompt between two evaluations.
const (
	learned = "learned"
	failed  = "not solved"
	kept    = "solved both times"
	lost    = "got worse"
	partly  = "partly solved"
	masked  = "not scored"
	solved  = "solved"
)

// fate compares the mean rewards of a prompt's samples. before is nil in a run of one evaluation.
func fate(before, after *trace) string {
	const full, none = 0.5, 0.05
	switch a := after.reward; {
	case !finite(a):
		return masked
	case before == nil || !finite(before.reward):
		switch {
		case a >= full:
			return solved
		case a > none:
			return partly
		}
		return failed
	case a-before.reward >= 0.25:
		return learned
	case a-before.reward <= -0.25:
		return lost
	case a >= full:
		return kept
	case a > none:
		return partly
	}
	return failed
}

// choose picks the prompts whose samples are shown: of every type about as many, in each the largest gains, what is not solved, and one of
// every other fate, in the order of the file where they are alike.
func choose(before, after map[string]*trace, order []string, most int) []string {
	byType := map[string]map[string][]string{}
	for _, key := range order {
		a := after[key]
		b := before[key]
		if before != nil && b == nil {
			continue // it has no pair
		}
		fates := byType[a.kind]
		if fates == nil {
			fates = map[string][]string{}
			byType[a.kind] = fates
		}
		f := fate(b, a)
		fates[f] = append(fates[f], key)
	}
	for _, fates := range byType {
		for _, f := range []string{learned, lost} {
			slices.SortStableFunc(fates[f], func(x, y string) int {
				return cmp.Compare(math.Abs(after[y].reward-before[y].reward), math.Abs(after[x].reward-before[x].reward))
			})
		}
	}
	turns := [][]string{{learned, solved, partly, kept, failed, lost, masked}, {failed, lost, partly, masked, learned, solved, kept},
		{learned, solved, kept, partly, lost, failed, masked}, {kept, partly, lost, masked, failed, learned, solved}}
	var chosen []string
	types := slices.Sorted(maps.Keys(byType))
	for turn := 0; len(chosen) < most; turn++ {
		any := false
		for _, kind := range types {
			if len(chosen) == most {
				break
			}
			for _, f := range turns[turn%len(turns)] {
				if left := byType[kind][f]; len(left) > 0 {
					chosen, byType[kind][f] = append(chosen, left[0]), left[1:]
					any = true
					break
				}
			}
		}
		if !any {
			break
		}
	}
	// Those of a type stand together.
	slices.SortStableFunc(chosen, func(x, y string) int { return cmp.Compare(after[x].kind, after[y].kind) })
	return chosen
}

// A Change is a held-out metric of the first and of the last evaluation. Null is what has no number.
type Change struct {
	Before *float64 `json:"before"`
	After  *float64 `json:"after"`
	Change *float64 `json:"change"`
}

func change(before, after float64) Change {
	p := func(v float64) *float64 {
		if !finite(v) {
			return nil
		}
		return &v
	}
	return Change{p(before), p(after), p(after - before)}
}

// A Summary is what a run has learned, by its evaluations.
type Summary struct {
	Evaluations int               `json:"evaluations"`
	FirstUpdate int64             `json:"first_update"`
	LastUpdate  int64             `json:"last_update"`
	Reward      Change            `json:"reward"`
	Types       map[string]Change `json:"types"` // reward by verifier type
	Metrics     map[string]Change `json:"metrics"`
}

// ErrNoEvaluation says that a run's folder has no evaluation.
var ErrNoEvaluation = errors.New("report: the run has no evaluation")

// Summarize compares the first evaluation of a run with the last one. It is [ErrNoEvaluation] where there is none.
func Summarize(dir string) (*Summary, error) {
	d, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, total := d.evaluations()
	if len(list) == 0 {
		if d.problems != nil {
			return nil, fmt.Errorf("%w that can be read: %s", ErrNoEvaluation, strings.Join(d.problems, "; "))
		}
		return nil, ErrNoEvaluation
	}
	first, last := list[0], list[len(list)-1]
	s := &Summary{Evaluations: total, FirstUpdate: first.Update, LastUpdate: last.Update, Reward: change(first.metric("reward"), last.metric("reward")),
		Types: map[string]Change{}, Metrics: map[string]Change{}}
	for _, e := range []*evaluation{first, last} {
		for name := range e.Metrics {
			c := change(first.metric(name), last.metric(name))
			s.Metrics[name] = c
			if dir, kind := path.Split(name); dir == "reward/" {
				s.Types[kind] = c
			}
		}
	}
	return s, nil
}
