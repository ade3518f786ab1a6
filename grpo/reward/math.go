package reward

import "context"

// A MathVerifier decides whether an answer equals a gold answer in mathematics, in bounded time and memory. goldErr is not nil where
// the gold answer cannot be read; then the sample is masked. Whatever is wrong with the answer makes it unequal.
type MathVerifier func(gold, answer string) (equal bool, reason string, goldErr error)

type mathVerifier struct {
	read  reader
	equal MathVerifier
}

func (v *mathVerifier) CheckGold(r *Record) error {
	_, _, err := v.equal(r.Gold, r.Gold)
	return err
}

func (v *mathVerifier) Verify(_ context.Context, r *Record, response string) Result {
	answer, x, ok := v.read.answer(response)
	if !ok {
		return x
	}
	equal, reason, err := v.equal(r.Gold, answer)
	if err != nil {
		return found(answer, Mask("the gold %s cannot be read: %v", quote(r.Gold), err))
	}
	return found(answer, right(equal, "%s", reason))
}
