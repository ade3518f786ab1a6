package prompt

import (
	"errors"
	"fmt"
	"strings"
)

const (
	thinkOpen, thinkClose   = "<think>", "</think>"
	answerOpen, answerClose = "<answer>", "</answer>"
)

// Response is a response in the form that the paper's system prompt asks for.
func Response(thinking, answer string) string {
	return thinkOpen + thinking + thinkClose + " " + answerOpen + answer + answerClose
}

// CheckResponse refuses what is not of that form: one <think> block, then one <answer> block with an answer, and nothing but white space
// around them.
func CheckResponse(s string) error {
	for _, tag := range []string{thinkOpen, thinkClose, answerOpen, answerClose} {
		if n := strings.Count(s, tag); n != 1 {
			return fmt.Errorf("the response has %d times %s: want <think>...</think> <answer>...</answer>", n, tag)
		}
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), thinkOpen)
	if !ok {
		return errors.New("the response does not begin with <think>")
	}
	_, rest, _ = strings.Cut(rest, thinkClose)
	rest, ok = strings.CutPrefix(strings.TrimSpace(rest), answerOpen)
	if !ok {
		return errors.New("between </think> and <answer> there is more than white space")
	}
	answer, rest, ok := strings.Cut(rest, answerClose)
	switch {
	case !ok:
		return errors.New("</answer> stands before <answer>")
	case strings.TrimSpace(answer) == "":
		return errors.New("the answer is empty")
	case strings.TrimSpace(rest) != "":
		return errors.New("there is more behind </answer>")
	}
	return nil
}
