package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/grpo/reward"
)

const (
	tailBytes     = 32 << 20 // of completions.jsonl
	maxGroups     = 8
	maxMembers    = 96 // samples of all groups
	textBytes     = 4000
	memberBytes   = 1200
	questionBytes = 1500
	answerBytes   = 300
)

// A response is what the page shows of a completion.
type response struct {
	Think text // between <think> and </think>
	Open  bool // it is short
	Rest  text
}

// split parts a completion's reasoning from what follows.
func split(s string, most int) (r response) {
	trimmed := strings.TrimSpace(s)
	if think, ok := strings.CutPrefix(trimmed, "<think>"); ok {
		think, rest, closed := strings.Cut(think, "</think>")
		r.Think = clip(strings.TrimSpace(think), most)
		if closed {
			r.Rest = clip(strings.TrimSpace(rest), max(most-len(r.Think.Text), most/4))
		}
	} else {
		r.Rest = clip(trimmed, most)
	}
	r.Open = len(r.Think.Text) <= 700
	return r
}

// An outcome is a sample of an evaluation as the page shows it.
type outcome struct {
	Label    string // before, after
	Update   int64
	Response response
	Answer   string
	None     bool // there is no answer
	Reward   string
	Grade    string // good, fair, poor, none: a CSS class
	Why      string
	Length   int
	Cut      bool // at the length limit
	Mean     string
	N        int // samples of the prompt
}

// grade is the class of a reward.
func grade(v float64) string {
	switch {
	case !finite(v):
		return "none"
	case v >= 0.5:
		return "good"
	case v > 0.05:
		return "fair"
	}
	return "poor"
}

func (s *sample) outcome(label string, update int64, t *trace) *outcome {
	v := optional(s.Reward)
	o := &outcome{Label: label, Update: update, Response: split(s.Text, textBytes), None: s.Extracted == nil, Reward: format(v), Grade: grade(v),
		Why: line(s.Why, 300), Length: s.Length, Cut: s.Finish == "length", N: t.n}
	if !finite(v) {
		o.Reward = "none"
	}
	if s.Extracted != nil {
		o.Answer = line(*s.Extracted, answerBytes)
	}
	if t.n > 1 {
		o.Mean = format(t.mean())
	}
	return o
}

// An example is a held-out prompt with what the policy answered.
type example struct {
	ID, Type, Fate, FateClass string
	Question                  text
	Gold                      string
	Pictures                  []picture
	Outcomes                  []*outcome
}

var fateClasses = map[string]string{learned: "good", solved: "good", kept: "good", partly: "fair", failed: "poor", lost: "poor", masked: "none"}

const maxPictures = 3 // of an example

// examples reads the samples of the first evaluation and of the last one that the page shows side by side.
func (d *folder) examples(first, last *evaluation, pictures *album, most int) []example {
	after, order := d.samples(last)
	if len(order) == 0 {
		return nil
	}
	var before map[string]*trace
	if first != last {
		if before, _ = d.samples(first); len(before) == 0 {
			before, first = nil, last
		}
	}
	f := d.open(last.name + ".jsonl")
	if f == nil {
		return nil
	}
	defer f.Close()
	g := f
	if first != last {
		if g = d.open(first.name + ".jsonl"); g == nil {
			return nil
		}
		defer g.Close()
	}
	var list []example
	for _, key := range choose(before, after, order, most) {
		a, b := after[key], before[key]
		s, err := sampleAt(f, a.at)
		if err != nil {
			d.problem("%s.jsonl: a sample is left out: %v", last.name, err)
			continue
		}
		what := fate(b, a)
		x := example{ID: line(s.ID, 80), Type: line(s.Type, 40), Fate: what, FateClass: fateClasses[what], Question: clip(s.Question, questionBytes), Gold: line(string(s.Gold), answerBytes)}
		answers := []*sample{s}
		if b != nil {
			old, err := sampleAt(g, b.at)
			if err != nil {
				d.problem("%s.jsonl: a sample is left out: %v", first.name, err)
				continue
			}
			answers = []*sample{old, s}
			x.Outcomes = append(x.Outcomes, old.outcome("before", first.Update, b), s.outcome("after", last.Update, a))
		} else {
			x.Outcomes = append(x.Outcomes, s.outcome("", last.Update, a))
		}
		for i, path := range s.Images {
			if i == maxPictures {
				break
			}
			p := pictures.get(path, pictureSide)
			if i == 0 && s.Type == reward.IoU && p.Missing == "" {
				p.boxes(answers)
			}
			x.Pictures = append(x.Pictures, p)
		}
		list = append(list, x)
	}
	return list
}

// boxes draws the gold's boxes and those of the answers, the last of which is the newest.
func (p *picture) boxes(answers []*sample) {
	p.Boxes, p.Legend = nil, nil
	var notes []string
	for i, s := range answers {
		kind, label := "after", "predicted"
		if len(answers) > 1 {
			kind = []string{"before", "after"}[i]
			label = "predicted " + kind
		}
		r := &reward.Record{Type: reward.IoU, Gold: string(s.Gold), ImageSize: side(s.ImageSize), ResizedSize: side(s.ResizedSize)}
		if r.ImageSize[0] <= 0 || r.ImageSize[1] <= 0 {
			r.ImageSize = p.size
		}
		answer := ""
		if s.Extracted != nil {
			answer = *s.Extracted
		}
		gold, boxes, err := reward.Boxes(r, answer)
		if gold == nil {
			p.Note = "No boxes are drawn: " + line(strings.TrimPrefix(err.Error(), "reward: "), 200)
			return
		}
		if i == 0 {
			if !p.box("true", gold) {
				notes = append(notes, "the true box is not all on the picture")
			}
			p.Legend = append(p.Legend, legendEntry{"true", "true"})
		}
		if len(boxes) == 0 {
			label += ": no box"
		} else if !p.box(kind, boxes) {
			notes = append(notes, "the box "+label+" is not all on the picture")
		}
		p.Legend = append(p.Legend, legendEntry{kind, label})
	}
	p.Note = strings.Join(notes, "; ")
}

// side is a size of a file, 0 where it makes no sense.
func side(v []float64) (s [2]int) {
	if len(v) != 2 {
		return s
	}
	for i, x := range v {
		if !(x >= 1 && x < 1<<24) {
			return [2]int{}
		}
		s[i] = int(x)
	}
	return s
}

// A completion is a line of completions.jsonl.
type completion struct {
	Step      int64
	Prompt    int
	Sample    int
	ID        string
	Type      string
	Question  string
	Gold      gold `json:"gt"`
	Images    []string
	Text      string
	Extracted json.RawMessage // a string, null, or absent in files of runs without verifiers
	Why       string
	Rewards   map[string]number
	Advantage *number
	Length    int
	Finish    string `json:"finish_reason"`
}

// A group is the samples of a prompt.
type group struct {
	ID, Type, Gold string
	Question       text
	Pictures       []picture
	Members        []member
	Equal          bool // all advantages are zero: nothing is learned from it
}

// A member is a sample of a group.
type member struct {
	Sample    int
	Advantage string
	Sort      string // the advantage as a plain number, "" where it is masked
	Sign      string // up, down, even, masked: a CSS class
	Strength  int    // 0 to 100
	Rewards   []namedReward
	Length    int
	Cut       bool
	Answer    string
	Judged    bool // whether there is an answer is known
	None      bool
	Why       string
	Response  response
}

type namedReward struct{ Name, Value, Grade string }

// groups reads the last rollout's samples.
func (d *folder) groups(pictures *album) (groups []group, update int64, note string, found bool) {
	var rollout []*completion
	begin := false // the rollout's first line was read
	found, cut := d.tail("completions.jsonl", tailBytes, func(line []byte) error {
		var c completion
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		if len(rollout) > 0 && rollout[len(rollout)-1].Step != c.Step {
			rollout, begin = rollout[:0], true
		}
		rollout = append(rollout, &c)
		return nil
	})
	if len(rollout) == 0 {
		return nil, 0, "", found
	}
	index := map[int][]*completion{}
	var order []int
	for _, c := range rollout {
		if index[c.Prompt] == nil {
			order = append(order, c.Prompt)
		}
		index[c.Prompt] = append(index[c.Prompt], c)
	}
	shown := 0
	for _, k := range interesting(order, index) {
		cs := index[k]
		if len(groups) == maxGroups || shown > 0 && shown+len(cs) > maxMembers {
			break
		}
		cs = cs[:min(len(cs), maxMembers)]
		shown += len(cs)
		groups = append(groups, newGroup(cs, pictures))
	}
	if shown < len(rollout) {
		note = fmt.Sprintf("%d groups of %d are shown, with %d of %s: of every type, those that something is learned from first.", len(groups), len(order), shown, count(int64(len(rollout)), "sample"))
	}
	if cut && !begin {
		note += fmt.Sprintf(" Of completions.jsonl only the last %d MiB are read, which do not hold the whole rollout.", tailBytes>>20)
	}
	return groups, rollout[0].Step, strings.TrimSpace(note), true
}

// interesting orders prompts: those whose samples have a signal first, of every type in turn.
func interesting(prompts []int, samples map[int][]*completion) []int {
	turns := map[int][2]int{} // whether there is none, and how many of its type came before
	seen := map[[2]string]int{}
	for _, k := range prompts {
		none, kind := 1, ""
		for _, c := range samples[k] {
			if a := optional(c.Advantage); finite(a) && a != 0 {
				none = 0
			}
			kind = cmp.Or(kind, c.Type)
		}
		key := [2]string{kind, strconv.Itoa(none)}
		turns[k] = [2]int{none, seen[key]}
		seen[key]++
	}
	order := slices.Clone(prompts)
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := turns[a], turns[b]
		return cmp.Or(x[0]-y[0], x[1]-y[1])
	})
	return order
}

func newGroup(cs []*completion, pictures *album) group {
	g := group{Equal: true}
	most := 0.0
	for _, c := range cs {
		if a := optional(c.Advantage); finite(a) {
			most = max(most, a, -a)
		}
		if g.ID == "" {
			g.ID = line(c.ID, 80)
		}
		if g.Type == "" {
			g.Type = line(c.Type, 40)
		}
		if g.Question.Text == "" {
			g.Question, g.Gold = clip(c.Question, questionBytes), line(string(c.Gold), answerBytes)
		}
		if len(g.Pictures) == 0 {
			for _, path := range c.Images[:min(len(c.Images), 2)] {
				g.Pictures = append(g.Pictures, pictures.get(path, thumbSide))
			}
		}
	}
	for _, c := range cs {
		m := member{Sample: c.Sample, Length: c.Length, Cut: c.Finish == "length", Why: line(c.Why, 200), Response: split(c.Text, memberBytes)}
		switch a := optional(c.Advantage); {
		case !finite(a):
			m.Advantage, m.Sign = "masked", "masked"
		default:
			m.Advantage, m.Sort = signed(a), strconv.FormatFloat(a, 'g', -1, 64)
			if a != 0 && a > -100 && a < 100 {
				m.Advantage = minus(fmt.Sprintf("%+.2f", a))
			}
			m.Sign = "even"
			if a > 0 {
				m.Sign = "up"
			} else if a < 0 {
				m.Sign = "down"
			}
			if most > 0 {
				m.Strength = int(100 * (max(a, -a) / most))
			}
			g.Equal = g.Equal && a == 0
		}
		for _, name := range sortedNames(c.Rewards) {
			v := float64(c.Rewards[name])
			if len(m.Rewards) < 12 && !(v != v) {
				m.Rewards = append(m.Rewards, namedReward{line(name, 40), format(v), grade(v)})
			}
		}
		if len(c.Extracted) > 0 {
			var answer *string
			m.Judged = json.Unmarshal(c.Extracted, &answer) == nil
			if m.None = m.Judged && answer == nil; answer != nil {
				m.Answer = line(*answer, 120)
			}
		}
		g.Members = append(g.Members, m)
	}
	return g
}

// signed is format with a plus.
func signed(v float64) string {
	if v > 0 {
		return "+" + format(v)
	}
	return format(v)
}
