package main

import "github.com/thinker-vl/thinker/grpo/reward"

// mathVerifier is what verifies math, and choices that are answered by their value.
func mathVerifier() reward.MathVerifier { return nil }
