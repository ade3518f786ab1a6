package reward

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A digitVerifier wants the whole answer to be the integer, a trailing dot allowed.
type digitVerifier struct{ read reader }

func (v *digitVerifier) CheckGold(r *Record) error {
	_, err := goldInteger(r.Gold)
	return err
}

func (v *digitVerifier) Verify(_ context.Context, r *Record, response string) Result {
	answer, x, ok := v.read.answer(response)
	if !ok {
		return x
	}
	gold, err := goldInteger(r.Gold)
	if err != nil {
		return found(answer, Mask("%v", err))
	}
	got, ok := integer(strings.TrimSuffix(answer, "."))
	if !ok {
		return found(answer, Wrong("the answer is not an integer and nothing else"))
	}
	if got != gold {
		return found(answer, Wrong("%s is not %s", short(got), gold))
	}
	return found(answer, right(true, "the integer %s", gold))
}

// integer returns the canonical form of an integer in ASCII digits: no plus, no leading zeros.
func integer(s string) (string, bool) {
	sign := ""
	for _, p := range []struct{ prefix, sign string }{{"-", "-"}, {"\u2212", "-"}, {"+", ""}} {
		if rest, ok := strings.CutPrefix(s, p.prefix); ok {
			s, sign = rest, p.sign
			break
		}
	}
	if s == "" {
		return "", false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return "", false
		}
	}
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0", true
	}
	return sign + s, true
}

const maxGoldInteger = 4 << 10

// goldInteger reads a gold answer, which may have come as a floating-point number or in markup.
func goldInteger(gold string) (string, error) {
	if len(gold) > maxGoldInteger {
		return "", fmt.Errorf("the gold has %d bytes", len(gold))
	}
	s := strings.TrimSuffix(unwrap(strings.TrimSpace(gold)), ".")
	if n, ok := integer(s); ok {
		return n, nil
	}
	whole, fraction, ok := strings.Cut(s, ".")
	if ok && fraction != "" && strings.Trim(fraction, "0") == "" {
		if n, ok := integer(whole); ok {
			return n, nil
		}
	}
	if len(s) < 32 && strings.ContainsAny(s, "eE") {
		if f, err := strconv.ParseFloat(s, 64); err == nil && f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
			return strconv.FormatInt(int64(f), 10), nil
		}
	}
	return "", errors.New("the gold " + quote(gold) + " is not an integer")
}
