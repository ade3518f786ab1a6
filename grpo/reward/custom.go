package reward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The JSON that programs and services get, one object a response, and answer by one:
//
//	{"id": "7", "verifier_type": "...", "question": "...", "options": [...], "gt": "...", "image": [...], "image_size": [h, w],
//	 "resized_size": [h, w], "response": "...", and the record's further fields}
//	{"id": "7", "reward": 0.5, "extracted": "...", "why": "..."}
//
// id is a number of the call, as a string, and must come back. A reward that is null masks the sample. extracted and why may be absent.

// encodeCall writes the request for a response.
func encodeCall(id string, r *Record, response string) []byte {
	m := map[string]any{}
	for k, v := range r.Extra {
		m[k] = v
	}
	maps.Copy(m, map[string]any{"id": id, "verifier_type": r.Type, "question": r.Question, "gt": r.Gold, "response": response})
	if r.ID != "" {
		m["record"] = r.ID
	}
	if r.Options != nil {
		m["options"] = r.Options
	}
	if r.Images != nil {
		m["image"] = r.Images
	}
	if r.ImageSize != [2]int{} {
		m["image_size"] = r.ImageSize
	}
	if r.ResizedSize != [2]int{} {
		m["resized_size"] = r.ResizedSize
	}
	return encode(m)
}

// parseCall reads the answer.
func parseCall(line []byte, id string) (x Result, err error) {
	m, err := members(line)
	if err != nil {
		return x, err
	}
	var got string
	if json.Unmarshal(m["id"], &got) != nil || got != id {
		return x, fmt.Errorf("the reply has the id %s, not %q", short(string(m["id"])), id)
	}
	for name, p := range map[string]*string{"extracted": &x.Answer, "why": &x.Reason} {
		if raw := m[name]; len(raw) > 0 && string(raw) != "null" {
			if json.Unmarshal(raw, p) != nil {
				return Result{}, fmt.Errorf("%s is %s, want a string", name, short(string(raw)))
			}
			x.Found = x.Found || name == "extracted"
		}
	}
	switch raw := m["reward"]; string(raw) {
	case "":
		return Result{}, errors.New("the reply has no reward")
	case "null":
		x.Masked = true
	default:
		if x.Score, err = number(raw, "reward"); err != nil {
			return Result{}, err
		}
		if !(x.Score >= 0 && x.Score <= 1) {
			return Result{}, fmt.Errorf("reward is %s, want 0 to 1 or null", short(string(raw)))
		}
	}
	return x, nil
}

// A Service is a custom verifier behind HTTP: each POST has the JSON object of one response, as a [Process] gets it on a line.
type Service struct {
	*client
	ids counter
}

// NewService prepares the use of a service; it is not called yet. key is sent as a bearer token, where not empty. Nothing is cached.
func NewService(url, key string, p Policy) (*Service, error) {
	c, err := newClient(url, key, p)
	if err != nil {
		return nil, err
	}
	return &Service{client: c}, nil
}

// Verify implements [Verifier].
func (s *Service) Verify(ctx context.Context, r *Record, response string) Result {
	s.note(func(s *CallStats) { s.Scores++ })
	id := s.ids.next()
	var x Result
	err := s.post(ctx, encodeCall(id, r, response), func(reply []byte) (_ int64, err error) {
		x, err = parseCall(reply, id)
		return 0, err
	})
	if err != nil {
		return Mask("the service failed: %v", err)
	}
	return x
}

// A Term is one verifier of a [Sum].
type Term struct {
	Name     string
	Weight   float64 // over 0
	Verifier Verifier
}

// Sum is a verifier whose score is the weighted sum of others', whose weights add up to at most 1. Where one of them masks a sample, so
// does the sum. The answer is the first one's.
func Sum(terms ...Term) (Verifier, error) {
	if len(terms) == 0 {
		return nil, errors.New("reward: a sum of nothing")
	}
	total := 0.0
	for _, t := range terms {
		if !(t.Weight > 0) || t.Verifier == nil {
			return nil, fmt.Errorf("reward: the term %q of a sum has the weight %v and the verifier %v: want a weight over 0 and a verifier", t.Name, t.Weight, t.Verifier)
		}
		total += t.Weight
	}
	if !(total <= 1+1e-9) {
		return nil, fmt.Errorf("reward: the weights of a sum add up to %v, more than 1", total)
	}
	terms = slices.Clone(terms)
	return Func(func(ctx context.Context, r *Record, response string) Result {
		var sum Result
		var why []string
		for i, t := range terms {
			x, _ := verify(ctx, t.Verifier, r.clone(), response)
			if i == 0 {
				sum.Answer, sum.Found = x.Answer, x.Found
			}
			if x.Masked {
				sum.Masked, sum.Score = true, 0
				sum.Reason = fmt.Sprintf("%s: %s", t.Name, x.Reason)
				return sum
			}
			sum.Score += t.Weight * x.Score
			why = append(why, fmt.Sprintf("%g x %s %.4g (%s)", t.Weight, t.Name, x.Score, x.Reason))
		}
		sum.Score = min(1, sum.Score)
		sum.Reason = strings.Join(why, " + ")
		return sum
	}), nil
}

// Format scores 1 a response that is one <think> block and then one <answer> block, and nothing but white space around them, else 0. It
// is no part of the paper's reward, but others weigh it in.
func Format(_ context.Context, _ *Record, response string) Result {
	answer, rule, ok := AnswerBlock(response)
	if !ok {
		return Wrong("%s", rule)
	}
	s := strings.TrimSpace(response)
	thought, rest, closed := strings.Cut(strings.TrimPrefix(s, "<think>"), "</think>")
	rest = strings.TrimSpace(rest)
	switch {
	case !strings.HasPrefix(s, "<think>"), !closed, strings.Contains(thought, "<think>"):
		return Wrong("no <think> block at the beginning")
	case !strings.HasPrefix(rest, openTag), !strings.HasSuffix(rest, closeTag), strings.Count(rest, closeTag) != 1:
		return Wrong("the response is not a <think> block and then an <answer> block alone")
	}
	return found(cutAt(answer, cutLength), right(true, "a <think> block and then an <answer> block"))
}
