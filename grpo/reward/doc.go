// Package reward verifies answers: it turns a record, a response and a context into a score from 0 to 1 or none, the answer that was
// read, and the rule that decided.
//
//	rewards, err := reward.New(reward.Config{})
//	result, err := rewards.Score(ctx, &reward.Record{Type: "mcq", Gold: "B"}, "<think>...</think><answer>(B)</answer>")
//
// The five types are those of the VLAA-Thinking paper: digit, mcq, math, iou and open_ended. Exactly one applies to a record, by its
// verifier_type, and nothing is summed; [Sum] weighs several for those who want it. Rewards of one's own are Go functions ([Func]),
// programs that speak JSON lines ([Process]) or services ([Service]).
//
// It differs from the usual verifiers in four things. Model output is never evaluated, and no pattern backtracks: every verdict takes
// time and memory in proportion to the response, which is cut off at [Limits]. What is wrong with a response scores 0, and what is not
// its fault scores nothing: a judge that failed or a gold answer that cannot be read masks the sample and is counted, where others
// teach the policy a zero. An ambiguous answer is wrong. And every result names the rule that decided it.
package reward
