package mathverify

import (
	"errors"
	"fmt"
)

// The hard limits. They hold for every call; none can be raised by an input.
const (
	// MaxText is how much of a longer text is looked at: its last MaxText bytes.
	MaxText = 128 << 10
	// MaxSource is the longest expression, in bytes.
	MaxSource = 8 << 10
	// MaxTokens is the largest number of tokens of an expression.
	MaxTokens = 3000
	// MaxDepth is how deep brackets, powers, signs and function calls nest.
	MaxDepth = 48
	// MaxDigits is the longest number literal.
	MaxDigits = 2000
	// MaxBits is the longest exact integer; a power, factorial or binomial that would be longer is not computed.
	MaxBits = 1 << 14
	// MaxTerms is the largest number of terms of a polynomial in normal form.
	MaxTerms = 400
	// MaxItems is the longest list, set or tuple, and the largest matrix.
	MaxItems = 256
	// MaxWork bounds the computing for one verdict. A unit is about the cost of one operation on numbers of 256 bits.
	MaxWork = 8_000
)

// A SyntaxError says that a text is no mathematical expression.
type SyntaxError struct {
	Source string // the expression, at most 80 bytes of it
	Offset int    // in bytes
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%q at byte %d: %s", e.Source, e.Offset, e.Reason)
}

// A LimitError says that something is too large, long or deep to be worked on.
type LimitError struct {
	What  string
	Limit int
}

func (e *LimitError) Error() string { return fmt.Sprintf("more than %d %s", e.Limit, e.What) }

// Reasons for which a value does not exist or cannot be computed here. They never leave the package.
var (
	errDomain = errors.New("no value here") // division by zero, a logarithm of zero, a point outside the real domain
	errOpaque = errors.New("not a scalar")  // a set, a matrix, a text where a number is needed
)

// work counts the computing for one verdict.
type work struct {
	used int
	max  int
}

func (w *work) spend(n int) error {
	w.used += n
	if w.used > w.max {
		return &LimitError{"units of work", w.max}
	}
	return nil
}

// spendBits charges one operation on numbers of so many bits, quadratic in their length.
func (w *work) spendBits(bits int) error {
	n := bits / 256
	return w.spend(1 + n*n/4)
}
