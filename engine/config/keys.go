package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// keys are the members of one JSON object. Members that are null are left out.
type keys struct {
	prefix string // of a key's name in messages
	m      map[string]rawjson.Value
	nulls  []string
}

func newKeys(prefix string, v rawjson.Value) (keys, error) {
	m, err := v.Map()
	if err != nil {
		return keys{}, err
	}
	var nulls []string
	for k, v := range m {
		if v.Kind() == rawjson.Null {
			delete(m, k)
			nulls = append(nulls, k)
		}
	}
	return keys{prefix, m, nulls}, nil
}

func (k keys) has(key string) bool {
	_, ok := k.m[key]
	return ok
}

// object returns the object at key, and false if there is none.
func (k keys) object(key string) (keys, bool, error) {
	v, ok := k.m[key]
	if !ok {
		return keys{}, false, nil
	}
	o, err := newKeys(k.prefix+key+".", v)
	if err != nil {
		return keys{}, false, k.fail(key, err)
	}
	return o, true, nil
}

// fail puts the key's name before an error.
func (k keys) fail(key string, err error) error {
	return fmt.Errorf("%s%s: %w", k.prefix, key, err)
}

// integer returns the integer at key, which must be in [lo, hi].
func (k keys) integer(key string, lo, hi int64) (int, error) {
	v, ok := k.m[key]
	if !ok {
		return 0, k.fail(key, errMissing)
	}
	n, err := v.Int64()
	if err != nil {
		if f, ferr := v.Float64(); ferr == nil && (f < float64(lo) || f > float64(hi)) {
			err = outOfRange(v.Short(), lo, hi) // more to the point for 1e12
		}
		return 0, k.fail(key, err)
	}
	if n < lo || n > hi {
		return 0, k.fail(key, outOfRange(v.Short(), lo, hi))
	}
	return int(n), nil
}

// number returns the number at key, which must be in [lo, hi].
func (k keys) number(key string, lo, hi float64) (float64, error) {
	v, ok := k.m[key]
	if !ok {
		return 0, k.fail(key, errMissing)
	}
	f, err := v.Float64()
	if err != nil {
		return 0, k.fail(key, err)
	}
	if !(f >= lo && f <= hi) {
		return 0, k.fail(key, outOfRange(v.Short(), formatFloat(lo), formatFloat(hi)))
	}
	return f, nil
}

func (k keys) boolean(key string) (bool, error) {
	b, err := k.m[key].Bool()
	if err != nil {
		return false, k.fail(key, err)
	}
	return b, nil
}

func (k keys) text(key string) (string, error) {
	s, err := k.m[key].Text()
	if err != nil {
		return "", k.fail(key, err)
	}
	return s, nil
}

// integers returns the array of integers at key.
func (k keys) integers(key string, limit int, lo, hi int64) ([]int, error) {
	out := []int{}
	err := k.m[key].Elements(func(i int, v rawjson.Value) error {
		if i == limit {
			return fmt.Errorf("more than %d elements", limit)
		}
		n, err := v.Int64()
		if err == nil && (n < lo || n > hi) {
			err = outOfRange(v.Short(), lo, hi)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		out = append(out, int(n))
		return nil
	})
	if err != nil {
		return nil, k.fail(key, err)
	}
	return out, nil
}

var errMissing = errors.New("the key is missing")

func outOfRange(value string, lo, hi any) error {
	return fmt.Errorf("%s is out of range, allowed are %v to %v", value, lo, hi)
}

func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		s = strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
	}
	return s
}
