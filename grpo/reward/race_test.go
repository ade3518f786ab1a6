//go:build race

package reward

const slow = true
