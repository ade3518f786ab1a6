package grpo

import "github.com/thinker-vl/thinker/data"

// Order is example k of a shuffled data set, over its epochs.
func Order(seed uint64, n, k int) int {
	return data.NewOrder(n, seed, true).Take(&data.Cursor{}, k+1)[k]
}
