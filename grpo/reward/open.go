package reward

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// An AnswerScorer scores an answer to an open question. Where it cannot, it masks the sample.
type AnswerScorer interface {
	ScoreAnswer(ctx context.Context, r *Record, answer string) Result
}

type openVerifier struct {
	read   reader
	scorer AnswerScorer
}

func (v *openVerifier) CheckGold(r *Record) error {
	if strings.TrimSpace(r.Gold) == "" {
		return errors.New("the gold is empty")
	}
	return nil
}

func (v *openVerifier) Verify(ctx context.Context, r *Record, response string) Result {
	answer, x, ok := v.read.answer(response)
	if !ok {
		return x
	}
	if err := v.CheckGold(r); err != nil {
		return found(answer, Mask("%v", err))
	}
	if v.scorer == nil {
		return found(answer, Mask("no judge and no reward model is configured"))
	}
	return found(answer, v.scorer.ScoreAnswer(ctx, r, answer))
}

// A RewardModelConfig says where a reward model is served.
type RewardModelConfig struct {
	URL    string
	Model  string  // named in the request, where not empty
	Key    string  // sent as a bearer token, where not empty
	Beta   float64 // 0 for 0.2
	Policy Policy
}

// A RewardModel is the paper's reward of open questions: with S the score that a reward model gives an answer, and y the gold answer,
// an answer has
//
//	1 - exp(-Beta (S(answer) - S(y)))
//
// where that is positive, else 0. The model is behind HTTP: each POST has {"id", "model", "question", "answer", "images"}, the images
// as data URLs, and is answered by {"id", "score"} with the same id.
type RewardModel struct {
	*client
	config RewardModelConfig
	cache  *cache[float64]
}

const defaultBeta = 0.2

// NewRewardModel prepares the use of a reward model; it is not called yet.
func NewRewardModel(c RewardModelConfig) (*RewardModel, error) {
	if c.Beta == 0 {
		c.Beta = defaultBeta
	}
	if !(c.Beta > 0 && c.Beta < 1e6) {
		return nil, fmt.Errorf("reward: Beta is %v: want a positive number", c.Beta)
	}
	client, err := newClient(c.URL, c.Key, c.Policy)
	if err != nil {
		return nil, err
	}
	return &RewardModel{client, c, newCache[float64](client.Cache)}, nil
}

// ScoreAnswer implements [AnswerScorer].
func (m *RewardModel) ScoreAnswer(ctx context.Context, r *Record, answer string) Result {
	images, err := dataURLs(r.Images)
	if err != nil {
		m.note(func(s *CallStats) { s.Scores++; s.Failed++ })
		return Mask("%v", err)
	}
	gold, err := m.score(ctx, r.Question, r.Gold, images)
	if err != nil {
		return Mask("the reward model failed on the gold: %v", err)
	}
	got, err := m.score(ctx, r.Question, answer, images)
	if err != nil {
		return Mask("the reward model failed: %v", err)
	}
	if !(got > gold) {
		return Wrong("S %.4g is not above the gold's %.4g", got, gold)
	}
	x := Result{Score: -math.Expm1(-m.config.Beta * (got - gold))}
	x.Reason = fmt.Sprintf("1 - exp(-%g (%.4g - %.4g))", m.config.Beta, got, gold)
	return x
}

func (m *RewardModel) score(ctx context.Context, question, answer string, images []string) (float64, error) {
	m.note(func(s *CallStats) { s.Scores++ })
	q := struct {
		ID       string   `json:"id,omitempty"`
		Model    string   `json:"model,omitempty"`
		Question string   `json:"question"`
		Answer   string   `json:"answer"`
		Images   []string `json:"images"`
	}{"", m.config.Model, question, answer, images}
	k := key(sha256.Sum256(encode(q)))
	score, hit, err := m.cache.get(ctx, k, func() (score float64, err error) {
		q.ID = hex.EncodeToString(k[:8])
		err = m.post(ctx, encode(q), func(reply []byte) (int64, error) {
			score, err = parseScore(reply, q.ID)
			return 0, err
		})
		return score, err
	})
	if hit {
		m.note(func(s *CallStats) { s.Cached++ })
	}
	return score, err
}

// encode writes JSON without HTML's escapes. What it is given has no kind that JSON lacks.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// parseScore reads a reward model's reply.
func parseScore(reply []byte, id string) (float64, error) {
	m, err := members(reply)
	if err != nil {
		return 0, err
	}
	if got := string(m["id"]); got != strconv.Quote(id) {
		return 0, fmt.Errorf("the reply has the id %s, not %q", short(got), id)
	}
	return number(m["score"], "score")
}

// number reads a finite number.
func number(raw json.RawMessage, name string) (float64, error) {
	if len(raw) == 0 || raw[0] != '-' && !isDigit(raw[0]) {
		return 0, fmt.Errorf("%s is %s, want a number", name, short(string(raw)))
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s is %s, which is out of range", name, short(string(raw)))
	}
	return v, nil
}

// members returns the members of a JSON object. A key that occurs twice is refused.
func members(b []byte) (map[string]json.RawMessage, error) {
	b = bytes.TrimSpace(b)
	if !json.Valid(b) || b[0] != '{' {
		return nil, fmt.Errorf("not a JSON object: %s", quote(string(b[:min(len(b), 2*shortLength)])))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.Token() // the brace
	m := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		name := t.(string)
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("the key %s occurs twice", quote(name))
		}
		m[name] = v
	}
	return m, nil
}

const (
	maxImages = 16
	maxImage  = 20 << 20
)

// dataURLs reads pictures: regular files in a format that browsers show.
func dataURLs(paths []string) ([]string, error) {
	if len(paths) > maxImages {
		return nil, fmt.Errorf("the record has %d pictures, more than %d", len(paths), maxImages)
	}
	urls := make([]string, len(paths))
	for i, p := range paths {
		b, err := readImage(p)
		if err != nil {
			return nil, fmt.Errorf("picture %s: %w", quote(p), err)
		}
		kind := http.DetectContentType(b)
		switch kind {
		case "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp":
		default:
			return nil, fmt.Errorf("picture %s is %s: want PNG, JPEG, WebP, GIF or BMP", quote(p), kind)
		}
		urls[i] = "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b)
	}
	return urls, nil
}

func readImage(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxImage+1))
	if err == nil && len(b) > maxImage {
		err = fmt.Errorf("more than %d MiB", maxImage>>20)
	}
	return b, err
}
