package main

import (
	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/grpo/reward/mathverify"
)

// mathVerifier is what verifies math, and choices that are answered by their value.
func mathVerifier() reward.MathVerifier {
	return func(gold, answer string) (bool, string, error) {
		v := mathverify.Verify(gold, answer, mathverify.Options{})
		if v.Outcome == mathverify.BadGold {
			return false, v.Reason, v.Err
		}
		return v.Equal, v.Reason, nil
	}
}
