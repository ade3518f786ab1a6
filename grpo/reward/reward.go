package reward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// The verifier types of the paper.
const (
	Digit     = "digit"
	MCQ       = "mcq"
	Math      = "math"
	IoU       = "iou"
	OpenEnded = "open_ended"
)

// A Record is what is known of a question. Verifiers never see the caller's: they get a copy.
type Record struct {
	ID       string
	Type     string   // verifier_type
	Question string   // may hold the options of a multiple choice
	Options  []string // of a multiple choice, A first; nil where unknown
	Gold     string   // gt
	Images   []string // paths of pictures, for a judge that sees

	// Sizes as [height, width], for boxes: of the picture, and of the picture as the model saw it. Zero where unknown.
	ImageSize   [2]int
	ResizedSize [2]int

	Extra map[string]json.RawMessage // further fields, for rewards of one's own
}

func (r *Record) clone() *Record {
	c := *r
	c.Options, c.Images = slices.Clone(r.Options), slices.Clone(r.Images)
	if r.Extra != nil {
		c.Extra = make(map[string]json.RawMessage, len(r.Extra))
		for k, v := range r.Extra {
			c.Extra[k] = slices.Clone(v)
		}
	}
	return &c
}

// A Result is a verdict.
type Result struct {
	Score  float64 // from 0 to 1; 0 where Masked
	Masked bool    // there is no score: the sample must be left out of its group, and out of means

	Answer string // as it stands in the response, cut where it is longer than [Limits] allows
	Found  bool   // there is an answer

	Reason string // the rule that decided
}

// Wrong is the score 0, by the rule that format says. The caller adds the answer.
func Wrong(format string, v ...any) Result { return Result{Reason: fmt.Sprintf(format, v...)} }

// Mask is a result without a score: what happened is not the response's fault.
func Mask(format string, v ...any) Result {
	return Result{Masked: true, Reason: fmt.Sprintf(format, v...)}
}

// A Verifier scores responses. Verify may be called by many goroutines at once. It returns in bounded time, also when the context is
// never done.
type Verifier interface {
	Verify(ctx context.Context, r *Record, response string) Result
}

// A Func is a verifier that is a function. One that may run on without an end belongs in a [Process]: nobody can stop a goroutine.
type Func func(ctx context.Context, r *Record, response string) Result

// Verify calls f.
func (f Func) Verify(ctx context.Context, r *Record, response string) Result {
	return f(ctx, r, response)
}

// A GoldChecker is a verifier that can tell whether a record's gold answer makes sense to it. A record whose does not is masked always.
type GoldChecker interface {
	CheckGold(r *Record) error
}

// Limits bound what is read of a response.
type Limits struct {
	Answer int // bytes of an answer, 0 for 32 KiB; a longer one scores 0
}

const defaultAnswer = 32 << 10

func (l Limits) answer() int {
	if l.Answer > 0 {
		return l.Answer
	}
	return defaultAnswer
}

// A Config says what a [Registry] holds. The zero Config verifies digits, choices and boxes.
type Config struct {
	Extract Extractor // where the answer stands; nil for [AnswerBlock]
	Limits  Limits

	Math      MathVerifier        // of math, and of choices that are answered by their value; nil: math is refused
	OpenEnded AnswerScorer        // of open_ended: a [RewardModel] or a [Judge]; nil: open_ended is masked
	Custom    map[string]Verifier // further types, or others in the place of the paper's
}

// ErrType is wrapped by the errors about a verifier_type that a registry does not have.
var ErrType = errors.New("unknown verifier_type")

// ErrNoMath says that a record needs a verifier of mathematics and the registry was built without one.
var ErrNoMath = errors.New("math is not verified here: the registry was built without a MathVerifier")

// A Registry scores each record by its type. It may be used by many goroutines at once.
type Registry struct {
	verifiers map[string]Verifier
	names     []string

	mu    sync.Mutex
	stats map[string]*tally
}

// New builds a registry.
func New(c Config) (*Registry, error) {
	if c.Limits.Answer < 0 {
		return nil, fmt.Errorf("reward: Limits.Answer is %d: want 0 (the default) or more", c.Limits.Answer)
	}
	read := reader{c.Extract, c.Limits.answer()}
	if read.extract == nil {
		read.extract = AnswerBlock
	}
	g := &Registry{stats: map[string]*tally{}, verifiers: map[string]Verifier{
		Digit:     &digitVerifier{read},
		MCQ:       &mcqVerifier{read, c.Math},
		IoU:       &iouVerifier{read},
		Math:      nil,
		OpenEnded: &openVerifier{read, c.OpenEnded},
	}}
	if c.Math != nil {
		g.verifiers[Math] = &mathVerifier{read, c.Math}
	}
	for name, v := range c.Custom {
		if name == "" || v == nil {
			return nil, fmt.Errorf("reward: the custom verifier %q is %v: want a name and a verifier", name, v)
		}
		g.verifiers[name] = v
	}
	for name := range g.verifiers {
		g.names = append(g.names, name)
	}
	slices.Sort(g.names)
	return g, nil
}

// Types lists the verifier types in order.
func (g *Registry) Types() []string { return slices.Clone(g.names) }

// Verifier returns the verifier of a type. The error wraps [ErrType] or [ErrNoMath].
func (g *Registry) Verifier(name string) (Verifier, error) {
	v, ok := g.verifiers[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w %s: want %s", ErrType, quote(name), strings.Join(g.names, ", "))
	case v == nil:
		return nil, ErrNoMath
	}
	return v, nil
}

// Score verifies a response by the record's type. An error says that the registry has no verifier for it; whatever else goes wrong is
// a result. A verifier that panics, or that returns no score from 0 to 1, masks the sample.
func (g *Registry) Score(ctx context.Context, r *Record, response string) (Result, error) {
	v, err := g.Verifier(r.Type)
	if err != nil {
		return Result{}, err
	}
	x, panicked := verify(ctx, v, r.clone(), response)
	g.count(r.Type, x, panicked)
	return x, nil
}

// verify calls a verifier that is not trusted.
func verify(ctx context.Context, v Verifier, r *Record, response string) (x Result, panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			at := ""
			if s := strings.SplitN(string(debug.Stack()), "\n", 12); len(s) > 8 {
				at = ", " + strings.TrimSpace(s[8])
			}
			x, panicked = Mask("the verifier panicked: %s%s", short(fmt.Sprint(p)), at), true
		}
	}()
	x = v.Verify(ctx, r, response)
	switch {
	case x.Masked:
		x.Score = 0
	case !(x.Score >= 0 && x.Score <= 1): // NaN among them
		masked := Mask("the verifier returned the score %v, want 0 to 1", x.Score)
		masked.Answer, masked.Found = x.Answer, x.Found
		x = masked
	}
	return x, false
}

// Stats count the results of one verifier type.
type Stats struct {
	Scored int     // results with a score
	Masked int     // results without
	Zeros  int     // of the scored
	Mean   float64 // of the scored; 0 where there are none
	Std    float64 // with n, of the scored
	Panics int     // of the masked
}

type tally struct {
	Stats
	sum, squares float64
}

func (g *Registry) count(name string, x Result, panicked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.stats[name]
	if t == nil {
		t = &tally{}
		g.stats[name] = t
	}
	if panicked {
		t.Panics++
	}
	if x.Masked {
		t.Masked++
		return
	}
	t.Scored++
	if x.Score == 0 {
		t.Zeros++
	}
	t.sum += x.Score
	t.squares += x.Score * x.Score
}

// Stats returns the counts so far, of the types that were scored.
func (g *Registry) Stats() map[string]Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string]Stats, len(g.stats))
	for name, t := range g.stats {
		s := t.Stats
		if n := float64(s.Scored); n > 0 {
			s.Mean = t.sum / n
			s.Std = math.Sqrt(max(0, t.squares/n-s.Mean*s.Mean))
		}
		all[name] = s
	}
	return all
}

// A reader takes the answer out of a response, for a verifier.
type reader struct {
	extract Extractor
	limit   int
}

// answer returns the answer, or in x why the response scores 0. The answer is valid UTF-8, not empty and not too long.
func (d reader) answer(response string) (answer string, x Result, ok bool) {
	answer, rule, ok := d.extract(response)
	if !ok {
		x = Wrong("%s", rule)
		x.Answer, x.Found = d.cut(answer), answer != ""
		return "", x, false
	}
	switch {
	case answer == "":
		x = Wrong("the answer is empty")
	case len(answer) > d.limit:
		x = Wrong("the answer has %d bytes, more than %d", len(answer), d.limit)
	case !utf8.ValidString(answer):
		x = Wrong("the answer is not UTF-8")
	default:
		return answer, Result{}, true
	}
	x.Answer, x.Found = d.cut(answer), true
	return "", x, false
}

const cutLength = 200

// cut shortens an answer that no verifier reads.
func (d reader) cut(answer string) string {
	if len(answer) > min(d.limit, cutLength) {
		answer = cutAt(answer, min(d.limit, cutLength)) + "..."
	}
	return strings.ToValidUTF8(answer, "\uFFFD")
}

// found adds the answer to a result.
func found(answer string, x Result) Result {
	x.Answer, x.Found = answer, true
	return x
}

// right scores 1 or 0.
func right(equal bool, format string, v ...any) Result {
	x := Result{Reason: fmt.Sprintf(format, v...)}
	if equal {
		x.Score = 1
	}
	return x
}

const shortLength = 80

// short cuts a text to a length that fits a reason.
func short(s string) string {
	if len(s) > shortLength {
		s = cutAt(s, shortLength) + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func quote(s string) string { return fmt.Sprintf("%q", short(s)) }

// cutAt returns at most the first n bytes of s, without half a rune.
func cutAt(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
