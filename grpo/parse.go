package grpo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/thinker-vl/thinker/engine"
)

// MaxSettingsBytes is the most that a settings file may hold.
const MaxSettingsBytes = 1 << 16

// An entry is a key of a settings file with its value.
type entry struct {
	key   string
	line  int
	kind  entryKind
	value string // a number's or a word's text
	found string // the value for messages
}

type entryKind int

const (
	isNull entryKind = iota // counts as absent
	isNumber
	isString
	isBool
	isOther
)

// ParseYAML reads settings from the text of a YAML file, of which JSON is a part. file is for messages.
func ParseYAML(file string, text []byte) (*Settings, error) {
	fail := func(line int, err error) (*Settings, error) {
		return nil, &SettingsError{File: file, Line: line, Err: err}
	}
	if len(text) > MaxSettingsBytes {
		return fail(0, fmt.Errorf("%d bytes are no settings file: the most is %d", len(text), MaxSettingsBytes))
	}
	if !utf8.Valid(text) {
		return fail(0, errors.New("not UTF-8"))
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&doc); {
	case err == io.EOF:
		return fail(0, errors.New("the file is empty: want keys and values, as loss_type: grpo"))
	case err != nil:
		line, err := yamlError(err)
		return fail(line, err)
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return fail(more.Line, errors.New("a second document: want one"))
	case err != io.EOF:
		line, err := yamlError(err)
		return fail(line, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return fail(doc.Line, errors.New("want keys and values, as loss_type: grpo"))
	}
	var entries []entry
	nodes := doc.Content[0].Content
	for i := 0; i+1 < len(nodes); i += 2 {
		k, v := nodes[i], nodes[i+1]
		e := entry{key: k.Value, line: k.Line, value: v.Value, kind: isOther, found: "a list, a map or an alias"}
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			return fail(k.Line, errors.New("a key must be a plain word"))
		}
		if v.Kind == yaml.ScalarNode {
			e.found = short(v.Value)
			switch v.ShortTag() {
			case "!!null":
				e.kind = isNull
			case "!!bool":
				e.kind = isBool
			case "!!int", "!!float":
				e.kind = isNumber
			case "!!str":
				e.kind, e.found = isString, strconv.Quote(e.found)
				// 1e-6 without a point is a word to some readers of YAML, and always meant as a number.
				if _, err := strconv.ParseFloat(v.Value, 64); v.Style == 0 && (err == nil || errors.Is(err, strconv.ErrRange)) {
					e.kind = isNumber
				}
			}
		}
		entries = append(entries, e)
	}
	return build(file, entries)
}

// yamlError takes the line out of an error of the YAML reader.
func yamlError(err error) (int, error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if line, e := strconv.Atoi(number); e == nil {
				return line, fmt.Errorf("not YAML: %s", message)
			}
		}
	}
	return 0, fmt.Errorf("not YAML: %s", text)
}

// ParseJSON reads settings from a JSON object. Its errors name no file: the caller knows where the object stands.
func ParseJSON(text []byte) (*Settings, error) {
	fail := func(format string, v ...any) (*Settings, error) {
		return nil, &SettingsError{Err: fmt.Errorf(format, v...)}
	}
	if len(text) > MaxSettingsBytes {
		return fail("%d bytes are no settings: the most is %d", len(text), MaxSettingsBytes)
	}
	if !json.Valid(text) || !utf8.Valid(text) {
		return fail("not JSON: %s", short(string(text)))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fail("%s: want a JSON object", short(string(text)))
	}
	var entries []entry
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fail("not JSON: %w", err)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fail("not JSON: %w", err)
		}
		e := entry{key: t.(string), value: string(raw), found: short(string(raw))}
		switch raw[0] {
		case 'n':
		case 't', 'f':
			e.kind = isBool
		case '"':
			e.kind = isString
			if err := json.Unmarshal(raw, &e.value); err != nil {
				return fail("not JSON: %w", err)
			}
		case '{', '[':
			e.kind, e.found = isOther, "a list or an object"
		default:
			e.kind = isNumber
		}
		entries = append(entries, e)
	}
	return build("", entries)
}

// build makes settings of entries: the dialect's and loss's defaults, then the keys.
func build(file string, entries []entry) (*Settings, error) {
	at := map[string]int{}
	fail := func(key string, err error) (*Settings, error) {
		return nil, &SettingsError{File: file, Line: at[key], Key: key, Err: err}
	}
	var keys []string
	for _, f := range fields(&Settings{}) {
		keys = append(keys, f.key)
	}
	given := map[string]entry{}
	for _, e := range entries {
		_, twice := at[e.key]
		at[e.key] = e.line
		if twice {
			return fail(e.key, errTwice)
		}
		if f := findField(fields(&Settings{}), e.key); f == nil {
			return fail(e.key, fmt.Errorf("unknown key%s", didYouMean(e.key, keys)))
		}
		if e.kind != isNull {
			given[e.key] = e
		}
	}
	has := func(key string) bool { _, ok := given[key]; return ok }
	// What the defaults depend on comes first.
	var first Settings
	for _, key := range []string{"dialect", "loss_type"} {
		if e, ok := given[key]; ok {
			if err := findField(fields(&first), key).set(e); err != nil {
				return fail(key, err)
			}
		}
	}
	s := Defaults(first.Dialect, first.LossType)
	all := fields(&s)
	for _, e := range entries {
		if !has(e.key) {
			continue
		}
		if err := findField(all, e.key).set(e); err != nil {
			return fail(e.key, err)
		}
	}
	if s.Dialect != EasyR1 && (s.LossType != CISPO || s.twoSided()) && has("epsilon") && !has("epsilon_high") {
		s.EpsilonHigh = s.Epsilon
	}
	if has("delta") && s.Delta > 0 && !has("dual_clip") {
		s.DualClip = 0
	}
	if s.KLInReward && !has("kl") {
		s.KL = engine.KLk1
	}
	switch {
	case s.KLTarget > 0 && !has("kl_horizon"):
		s.KLHorizon = defaultKLHorizon
	case has("kl_horizon") && s.KLTarget == 0:
		return fail("kl_horizon", errors.New("kl_horizon belongs to kl_target: set that too, or leave both out"))
	case s.KLTarget > 0 && s.KLHorizon == 0:
		return fail("kl_horizon", errors.New("0 is out of range: want more"))
	}
	if s.Schedule == CosineWithMinLR && !has("min_lr") && !has("min_lr_rate") && (s.Dialect == OpenRLHF || s.Dialect == Paper) {
		s.MinLRRate = 0.1
	}
	if c := s.check(); c != nil {
		if _, ok := at[c.key]; !ok { // a key that is missing: the line of what asks for it
			for _, asks := range []string{"aggregation", "loss_type"} {
				if line, ok := at[asks]; ok {
					at[c.key] = line
					break
				}
			}
		}
		return fail(c.key, c.err)
	}
	return &s, nil
}

// A field is a key and how its value is taken.
type field struct {
	key string
	set func(e entry) error
}

func findField(all []field, key string) *field {
	for i := range all {
		if all[i].key == key {
			return &all[i]
		}
	}
	return nil
}

// fields are all keys, of s.
func fields(s *Settings) []field {
	return []field{
		{"dialect", func(e entry) error {
			if e.kind != isString {
				return e.want("the name of a dialect")
			}
			d, err := ParseDialect(e.value)
			s.Dialect = d
			return err
		}},
		word("loss_type", &s.LossType, lossTypes()...),
		word("aggregation", &s.Aggregation, aggregations()...),
		number("epsilon", &s.Epsilon),
		number("epsilon_high", &s.EpsilonHigh),
		number("delta", &s.Delta),
		number("dual_clip", &s.DualClip),
		choice("importance_sampling_level", &s.SequenceLevel, []string{levelToken, levelSequence}, []bool{false, true}),
		boolean("clamp_log_ratio", &s.ClampLogRatio),
		number("sapo_temperature_pos", &s.SAPOPos),
		number("sapo_temperature_neg", &s.SAPONeg),
		number("beta", &s.Beta),
		choice("kl", &s.KL, []string{"k1", "k2", "k3", "abs"}, []engine.KLKind{engine.KLk1, engine.KLk2, engine.KLk3, engine.KLAbs}),
		choice("kl_in", &s.KLInReward, []string{inLoss, inReward}, []bool{false, true}),
		boolean("clamp_kl", &s.ClampKL),
		number("kl_target", &s.KLTarget),
		number("kl_horizon", &s.KLHorizon),
		{"scale_rewards", func(e entry) error { // TRL's older booleans too
			switch {
			case e.kind == isBool && strings.EqualFold(e.value, "true"):
				s.ScaleRewards = engine.ScaleGroup
				return nil
			case e.kind == isBool:
				s.ScaleRewards = engine.ScaleNone
				return nil
			}
			return choice("", &s.ScaleRewards, []string{"group", "batch", "none"},
				[]engine.AdvantageScale{engine.ScaleGroup, engine.ScaleBatch, engine.ScaleNone}).set(e)
		}},
		number("advantage_epsilon", &s.AdvantageEpsilon),
		integer("max_completion_length", &s.MaxCompletionLength, 1),
		boolean("mask_truncated_completions", &s.MaskTruncatedCompletions),
		number("entropy_coef", &s.EntropyCoef),
		number("temperature", &s.Temperature),
		choice("ban", &s.Ban, []string{"vision", "none"}, []engine.Ban{engine.BanVision, engine.BanNone}),
		number("learning_rate", &s.LearningRate),
		number("adam_beta1", &s.AdamBeta1),
		number("adam_beta2", &s.AdamBeta2),
		number("adam_epsilon", &s.AdamEpsilon),
		number("weight_decay", &s.WeightDecay),
		number("max_grad_norm", &s.MaxGradNorm),
		word("lr_scheduler_type", &s.Schedule, schedules()...),
		number("warmup_ratio", &s.WarmupRatio),
		integer("warmup_steps", &s.WarmupSteps, 0),
		number("min_lr", &s.MinLR),
		number("min_lr_rate", &s.MinLRRate),
		boolean("freeze_vision_tower", &s.FreezeVisionTower),
	}
}

func (e *entry) want(what string) error { return fmt.Errorf("%s is not %s", e.found, what) }

func number(key string, p *float64) field {
	return field{key, func(e entry) error {
		v, err := e.number()
		*p = v
		return err
	}}
}

func (e *entry) number() (float64, error) {
	if e.kind != isNumber {
		return 0, e.want("a number")
	}
	text := e.value
	switch strings.ToLower(text) { // as YAML writes them
	case ".inf", "+.inf", "-.inf", ".nan":
		text = strings.Replace(text, ".", "", 1)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, e.want("a finite number")
	}
	return v, nil
}

func integer(key string, p *int, least int) field {
	return field{key, func(e entry) error {
		v, err := e.number()
		if err == nil && (v != math.Trunc(v) || v < float64(least) || v > math.MaxInt32) {
			err = e.want(fmt.Sprintf("an integer from %d to %d", least, math.MaxInt32))
		}
		if err == nil {
			*p = int(v)
		}
		return err
	}}
}

func boolean(key string, p *bool) field {
	return field{key, func(e entry) error {
		if e.kind != isBool {
			return e.want("true or false")
		}
		*p = strings.EqualFold(e.value, "true")
		return nil
	}}
}

func word[T ~string](key string, p *T, known ...string) field {
	values := make([]T, len(known))
	for i, k := range known {
		values[i] = T(k)
	}
	return choice(key, p, known, values)
}

// choice is a key whose value is one of known words, which stand for values.
func choice[T any](key string, p *T, known []string, values []T) field {
	return field{key, func(e entry) error {
		if e.kind == isString {
			for i, k := range known {
				if k == e.value {
					*p = values[i]
					return nil
				}
			}
		}
		return fmt.Errorf("%s is none of %s%s", e.found, strings.Join(known, ", "), didYouMean(e.value, known))
	}}
}

// short cuts text to a length that fits a message.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
