package grpo

// Order is example k of a shuffled data set, over its epochs.
func Order(seed uint64, n, k int) int {
	o := order{n: n, seed: seed, shuffle: true}
	return o.take(&Cursor{}, k+1)[k]
}
