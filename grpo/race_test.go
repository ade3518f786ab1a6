//go:build race

package grpo_test

// raceEnabled says that the race detector makes everything ten times slower.
const raceEnabled = true
