// Package grpo turns rewards into advantages and log-probs into losses and gradients: GRPO and its relatives, as the trainers that people
// compare with compute them.
//
//	s, err := grpo.ParseYAML("loss.yaml", text)
//	b, err := s.Batch(math, sequences) // loss, gradients, advantages, metrics
//
// Or sequence by sequence, for a trainer that holds one at a time: what a batch is divided by is known before the first log-prob is.
//
//	adv, err := s.Advantages(math, samples)
//	for i := range sequences {
//		norm.Add(s, tokens[i], truncated[i])
//	}
//	for i := range sequences { // the sum of the terms is the batch's loss
//		terms, gradient, err := s.Loss(math, norm, &sequences[i], adv.Values[i])
//		total.Add(terms)
//	}
//	metrics := total.Metrics()
//
// A [Run] trains a policy by GRPO, an [SFTRun] on demonstrations, and [Evaluate] samples held-out prompts. A run samples a group a prompt,
// has it judged while it decodes, learns, and keeps checkpoints, metrics and completions in its folder; run again, it goes on where it
// was. [DynamicSampling] replaces groups that teach nothing, [Overlong] penalizes long completions, [EarlyStop] ends a run before its last
// rollout, a [DryRun] tries the rewards on gold answers before the first step, and what a user should know is in warnings.jsonl.
//
// It differs from its models in what is fixed and what is refused. A dialect names a trainer and its version ("trl-1.10", "verl-0.8"),
// and fixes every constant that differs between them; a key that no one knows, or that contradicts another, is an error that names file
// and line. Groups are found by key, not by position. Rewards that are equal give advantages of exactly 0, whatever rounding makes of
// their mean; a reward that is NaN (a judge that failed) masks its sample and is no zero. All of it is in double precision, and a
// sequence's gradient does not depend on how the batch is cut.
package grpo
