package grpo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/gonum/mathext"

	"github.com/thinker-vl/thinker/engine"
)

// confidence is that of the intervals.
const confidence = 0.95

// An estimate is a metric with its interval; low and high are NaN where there is none.
type estimate struct{ value, low, high float64 }

// Metrics are means over all samples and, as NAME/KIND, over those of a kind:
//
//	reward           of the samples that have one
//	mean@k           the mean over prompts of the mean reward of their k samples
//	accuracy         share of samples that pass
//	pass@1 ... @k    powers of two and k: the chance that one of so many samples passes, by the unbiased estimator of Chen et al.
//	                 (Evaluating Large Language Models Trained on Code, 2021): 1 - C(n-c, k)/C(n, k) for c of n that pass
//	extracted_ratio  share of samples that an answer was found in, where a reward says
//	clipped_ratio    share of samples that were cut at the most tokens
//	mean_length      in tokens
//
// and rewards/NAME/mean by reward, rewards/masked, rewards/failed.
func (v *Evaluated) Metrics() map[string]float64 {
	m := map[string]float64{}
	for name, e := range v.estimates() {
		m[name] = e.value
	}
	masked := 0
	for k, name := range v.rewards {
		var g gauge
		for i := range v.Outcomes {
			g.add(v.Outcomes[i].Parts[k])
		}
		if g.n > 0 {
			m["rewards/"+name+"/mean"] = g.mean()
		}
	}
	for i := range v.Outcomes {
		if math.IsNaN(v.Outcomes[i].Reward) {
			masked++
		}
	}
	m["rewards/masked"], m["rewards/failed"] = float64(masked), float64(v.Failed)
	return m
}

// Intervals are the metrics' 95 % confidence intervals, [low, high], where there are two prompts or more.
//
// Prompts are what was drawn at random; the samples of one are alike. So a mean's variance is that between prompts (each prompt's sum about
// its share of the mean, as for a ratio), and its interval is Student's with a degree of freedom less than there are prompts. A share's is
// Wilson's, which stays within 0 and 1 and does not vanish where all or none pass; for its number of samples it has the one that independent
// samples would need for the variance found, but at least the prompts' and at most the samples' own number.
func (v *Evaluated) Intervals() map[string][2]float64 {
	m := map[string][2]float64{}
	for name, e := range v.estimates() {
		if !math.IsNaN(e.low) {
			m[name] = [2]float64{e.low, e.high}
		}
	}
	return m
}

func (v *Evaluated) estimates() map[string]estimate {
	all := map[string]estimate{}
	kinds := map[string][]int{} // prompts
	var every []int
	for i := range v.Prompts {
		every = append(every, i)
		if kind := v.Outcomes[i*v.K].Kind; kind != "" {
			kinds[kind] = append(kinds[kind], i)
		}
	}
	v.estimate(all, every, "")
	for kind, prompts := range kinds {
		v.estimate(all, prompts, "/"+kind)
	}
	return all
}

// estimate adds the metrics of some prompts.
func (v *Evaluated) estimate(all map[string]estimate, prompts []int, suffix string) {
	share := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	perSample := func(name string, isShare bool, value func(o *Outcome) float64) {
		var c clusters
		for _, p := range prompts {
			var x cluster
			for j := range v.K {
				if y := value(&v.Outcomes[p*v.K+j]); !math.IsNaN(y) {
					x.sum += y
					x.n++
				}
			}
			c.add(x)
		}
		if e, ok := c.estimate(isShare, c.n); ok {
			all[name+suffix] = e
		}
	}
	perPrompt := func(name string, isShare bool, value func(outcomes []Outcome) float64) {
		var c clusters
		for _, p := range prompts {
			if y := value(v.Outcomes[p*v.K : (p+1)*v.K]); !math.IsNaN(y) {
				c.add(cluster{y, 1})
			}
		}
		if e, ok := c.estimate(isShare, c.n*float64(v.K)); ok {
			all[name+suffix] = e
		}
	}
	perSample("reward", false, func(o *Outcome) float64 { return o.Reward })
	perPrompt(fmt.Sprintf("mean@%d", v.K), false, func(outcomes []Outcome) float64 {
		var g gauge
		for i := range outcomes {
			g.add(outcomes[i].Reward)
		}
		return g.mean()
	})
	perSample("accuracy", true, func(o *Outcome) float64 {
		if math.IsNaN(o.Reward) {
			return o.Reward
		}
		return share(o.Reward >= v.Pass)
	})
	for k := 1; ; k = min(2*k, v.K) {
		perPrompt(fmt.Sprintf("pass@%d", k), true, func(outcomes []Outcome) float64 {
			n, c := 0, 0
			for i := range outcomes {
				if r := outcomes[i].Reward; !math.IsNaN(r) {
					n++
					if r >= v.Pass {
						c++
					}
				}
			}
			return passAt(n, c, k)
		})
		if k == v.K {
			break
		}
	}
	perSample("extracted_ratio", true, func(o *Outcome) float64 {
		if !o.Judged {
			return math.NaN()
		}
		return share(o.Found)
	})
	perSample("clipped_ratio", true, func(o *Outcome) float64 { return share(o.FinishReason == engine.FinishLength) })
	perSample("mean_length", false, func(o *Outcome) float64 { return float64(o.Length) })
}

// passAt is the chance that k of n samples, c of which pass, hold one that passes; NaN for fewer than k.
func passAt(n, c, k int) float64 {
	if n < k || n == 0 {
		return math.NaN()
	}
	none := 1.0
	for i := range k { // the i-th sample drawn does not pass, either
		none *= float64(max(n-c-i, 0)) / float64(n-i)
	}
	return 1 - none
}

// A cluster is the samples of a prompt.
type cluster struct{ sum, n float64 }

type clusters struct {
	all    []cluster
	sum, n float64
}

func (c *clusters) add(x cluster) {
	if x.n > 0 {
		c.all = append(c.all, x)
		c.sum += x.sum
		c.n += x.n
	}
}

// estimate is the mean of the clusters' samples; samples is how many are behind it. It reports whether there is any.
func (c *clusters) estimate(share bool, samples float64) (estimate, bool) {
	e := estimate{c.sum / c.n, math.NaN(), math.NaN()}
	m := float64(len(c.all))
	if m == 0 {
		return e, false
	}
	if m == 1 {
		return e, true
	}
	variance := 0.0 // of the mean
	for _, x := range c.all {
		d := (x.sum - e.value*x.n) / c.n
		variance += d * d * m / (m - 1)
	}
	if !share {
		half := studentT(m-1) * math.Sqrt(variance)
		e.low, e.high = e.value-half, e.value+half
		return e, true
	}
	p := min(max(e.value, 0), 1)
	n := m
	if variance > 0 {
		n = min(max(p*(1-p)/variance, m), samples)
	}
	e.low, e.high = wilson(p, n)
	return e, true
}

// wilson is the score interval of a share of n samples.
func wilson(p, n float64) (low, high float64) {
	z := math.Sqrt2 * math.Erfinv(confidence)
	center := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(center-half, 0), min(center+half, 1)
}

// studentT is the t that a variable with so many degrees of freedom is within by the confidence, on both sides.
func studentT(freedom float64) float64 {
	x := mathext.InvRegIncBeta(freedom/2, 0.5, 1-confidence)
	return math.Sqrt(freedom * (1/x - 1))
}

// WriteFiles writes step-STEP.jsonl, a line a sample, and step-STEP.json, the metrics, into a folder that it makes if need be. Each
// replaces its older self at once or not at all.
func (v *Evaluated) WriteFiles(dir string, step int64) error {
	var lines, summary bytes.Buffer
	enc := json.NewEncoder(&lines)
	enc.SetEscapeHTML(false)
	for i := range v.Outcomes {
		if err := enc.Encode(v.Outcomes[i].line()); err != nil {
			return err
		}
	}
	finite := map[string]*float64{}
	for name, value := range v.Metrics() {
		finite[name] = number64(value)
	}
	enc = json.NewEncoder(&summary)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(struct {
		Step        int64                 `json:"step"`
		Update      int64                 `json:"update"`
		Prompts     int                   `json:"prompts"`
		K           int                   `json:"k"`
		Pass        float64               `json:"pass"`
		Temperature float64               `json:"temperature"`
		Seed        uint64                `json:"seed"`
		Metrics     map[string]*float64   `json:"metrics"`
		CI          map[string][2]float64 `json:"ci"`
	}{step, v.Update, v.Prompts, v.K, v.Pass, v.Temperature, v.Seed, finite, v.Intervals()})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("grpo: evaluation: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("step-%d", step))
	// The summary last: where it is, the samples are.
	if err := replaceFile(name+".jsonl", lines.Bytes()); err != nil {
		return err
	}
	return replaceFile(name+".json", summary.Bytes())
}

// number64 is v, nil for what JSON has no number for.
func number64(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// outcomeLine is an outcome's line.
type outcomeLine struct {
	ID           string   `json:"id"`
	Kind         string   `json:"type,omitempty"`
	Question     string   `json:"question,omitempty"`
	Gold         string   `json:"gt,omitempty"`
	Images       []string `json:"images,omitempty"`
	ImageSize    *[2]int  `json:"image_size,omitempty"`
	ResizedSize  *[2]int  `json:"resized_size,omitempty"`
	Sample       int      `json:"sample"`
	Text         string   `json:"text"`
	Extracted    *string  `json:"extracted"`
	Reward       *float64 `json:"reward"`
	Why          string   `json:"why,omitempty"`
	FinishReason string   `json:"finish_reason"`
	Length       int      `json:"length"`
}

func (o *Outcome) line() *outcomeLine {
	l := &outcomeLine{ID: o.ID, Kind: o.Kind, Question: o.Question, Gold: o.Gold, Images: o.Images, Sample: o.Sample, Text: o.Text, Reward: number64(o.Reward),
		Why: o.Reason, FinishReason: string(o.FinishReason), Length: o.Length}
	if o.Found {
		l.Extracted = &o.Answer
	}
	if o.ImageSize != [2]int{} {
		l.ImageSize, l.ResizedSize = &o.ImageSize, &o.ResizedSize
	}
	return l
}

// replaceFile writes a file that is there whole or, after an error or a crash, as it was. What a kill leaves has a name of its own, so that the
// run that goes on writes over it.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("grpo: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("grpo: %w", err)
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
