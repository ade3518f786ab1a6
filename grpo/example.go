package grpo

import (
	"context"
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/engine"
)

// An Example is a prompt of a data set. Its completions are a group.
type Example struct {
	ID     string // of the example, for logs and errors
	Prompt *engine.Prompt
	Record any // what rewards need: the answer, the question, ...

	// For logs, and for metrics by kind; all optional.
	Kind     string // the verifier's type
	Question string
	Gold     string
}

// Prompts is a data set to learn from, or to be evaluated on. Example is called for one number at a time, and again in later epochs; it
// loads the pictures.
type Prompts interface {
	Len() int
	Example(i int) (*Example, error)
}

// Examples is a data set in memory.
type Examples []*Example

// Len is the number of examples.
func (x Examples) Len() int { return len(x) }

// Example is example i.
func (x Examples) Example(i int) (*Example, error) { return x[i], nil }

// load is example i of a data set, with a prompt.
func load(p Prompts, i int) (*Example, error) {
	x, err := p.Example(i)
	if err == nil && (x == nil || x.Prompt == nil) {
		err = errors.New("it has no prompt")
	}
	if err != nil {
		return nil, fmt.Errorf("example %d: %w", i, err)
	}
	return x, nil
}

// A Demonstration is a prompt with the completion to imitate, and the id that ends it.
type Demonstration struct {
	ID     string
	Prompt *engine.Prompt
	IDs    []int32
}

// Demonstrations is a data set for supervised fine-tuning. A run calls Demonstration once at a time, for the next batch while it learns from
// one: an error shows when its batch's turn comes.
type Demonstrations interface {
	Len() int
	Demonstration(i int) (*Demonstration, error)
}

// A Reward scores the samples of one example: one number a sample, NaN for one that it says nothing about (an example that is not for it).
// Weighted rewards add up. A sample whose rewards are all NaN is masked: it teaches nothing, is left out of its group's mean, and is
// counted. So is one that a reward with a weight failed on, whatever the others say: by an error, a panic, a call that takes too long
// ([Judging]), or a [Verdict] without a score but with a reason.
//
// One of Score and Judge is set. They are called by several goroutines at once while the policy decodes, each for another example, so they
// cannot use the policy themselves; a reward's numbers may depend on the example and its samples alone. The samples are not to be changed.
type Reward struct {
	Name   string
	Weight float64
	Score  func(ctx context.Context, e *Example, samples []*engine.Sample) ([]float64, error)
	Judge  func(ctx context.Context, e *Example, samples []*engine.Sample) ([]Verdict, error)
}

// A Verdict is a score with what it was given for. NaN with a reason is a failure, as of a judge that is down; a reward that an example is
// not for gives NaN without a reason.
type Verdict struct {
	Score  float64 // NaN: none
	Answer string  // the answer in the sample's text
	Found  bool    // there is an answer
	Reason string  // the rule that decided
}
