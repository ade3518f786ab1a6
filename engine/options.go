package engine

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// A DType is what weights, activations and the KV cache are stored in. Accumulation, norms, softmax, RoPE and log-probs are f32 in both.
type DType uint32

// BF16 is the default; F32 is what parity with the reference implementation is measured in.
const (
	BF16 DType = iota
	F32
)

func (d DType) String() string {
	if d == F32 {
		return "f32"
	}
	return "bf16"
}

// ParseDType is the inverse of String.
func ParseDType(s string) (DType, error) {
	switch s {
	case "f32":
		return F32, nil
	case "bf16":
		return BF16, nil
	}
	return 0, fmt.Errorf("engine: dtype %q: want f32 or bf16", s)
}

func (d DType) abi() uint32 {
	if d == F32 {
		return binding.F32
	}
	return binding.BF16
}

// A Ban says which ids the policy may never emit. It is part of the policy: sampler and scorer renormalise without these ids.
type Ban int

const (
	// BanVision bans the five vision ids (vision start, end and pad, image, video) and the rows of the vocabulary without a token.
	BanVision Ban = iota
	// BanNone bans nothing.
	BanNone
)

func (b Ban) String() string {
	if b == BanNone {
		return "none"
	}
	return "vision"
}

// ParseBan is the inverse of String.
func ParseBan(s string) (Ban, error) {
	switch s {
	case "vision":
		return BanVision, nil
	case "none":
		return BanNone, nil
	}
	return 0, fmt.Errorf("engine: ban %q: want vision or none", s)
}

// Options configure an engine. The zero value serves bf16 on every CPU, with the checkpoint's own pixel budget.
type Options struct {
	DType   DType
	Threads int         // 0: one per CPU that the process may run on
	ISA     binding.ISA // ISAAuto: the fastest of the machine
	Library string      // a back-end's shared library; "" is the cpu back-end

	MinPixels, MaxPixels int // 0: the checkpoint's preprocessor_config.json

	MaxBatch     int   // sequences decoded together; 0: 64
	PrefillChunk int   // most tokens a forward pass takes, decoded and prefilled together; 0: 512
	CacheBytes   int64 // size of the KV cache; 0: what MaxBatch sequences of the longest context need, at most an eighth of memory or 4 GiB

	// Progress, when set, is called while the weights load, with parameters done and in all.
	Progress func(done, total int64)
}

const (
	defaultMaxBatch     = 64
	defaultPrefillChunk = 512
	maxCacheBytes       = 4 << 30
)

// defaults fills in what is 0 and refuses what is out of range.
func (o *Options) defaults() error {
	if o.MaxBatch == 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.PrefillChunk == 0 {
		o.PrefillChunk = defaultPrefillChunk
	}
	if o.MaxBatch < 1 || o.MaxBatch > 1<<16 || o.PrefillChunk < 1 || o.PrefillChunk > 1<<20 || o.CacheBytes < 0 || o.Threads < 0 {
		return fmt.Errorf("engine: MaxBatch %d, PrefillChunk %d, CacheBytes %d, Threads %d: out of range", o.MaxBatch, o.PrefillChunk, o.CacheBytes, o.Threads)
	}
	o.PrefillChunk = max(o.PrefillChunk, o.MaxBatch)
	return nil
}

// Sampling says how completions are drawn. The log-probs returned are always those of the policy at this temperature under the ban,
// before top-k, top-p and min-p, so that [Engine.Score] gives the same; at temperature 0 they are those at temperature 1.
type Sampling struct {
	N           int     // samples a prompt; 0 means 1
	Temperature float64 // 0: greedy, the lowest id on ties
	TopK        int     // 0: off
	TopP        float64 // 0 or 1: off
	MinP        float64 // 0: off
	MaxTokens   int     // most ids a sample, its stop id included; 0: DefaultMaxTokens
	Ban         Ban
	Stop        []int32 // ids that end a sample, beside the checkpoint's own
	IgnoreEOS   bool    // no id ends a sample, whatever Stop says

	// The random numbers of a sample are a function of (Seed, Step, prompt, sample, token) alone. A prompt's number is FirstPrompt
	// plus its index in the call.
	Seed        uint64
	Step        uint32
	FirstPrompt uint32

	// OnToken, when set, streams: it is called with every id as it is drawn, on the goroutine that ranges over the samples.
	OnToken func(Token) `json:"-"`
}

// DefaultMaxTokens is the length limit of a completion when none is given.
const DefaultMaxTokens = 512

// A Token is one drawn id of a running sample.
type Token struct {
	Prompt, Sample int // indices within the call
	ID             int32
	LogProb        float32
	Text           string // what the id adds to the text; empty while a character is incomplete, and for special tokens
}

func (s *Sampling) check(vocab int) error {
	bad := func(name string, v any, want string) error {
		return fmt.Errorf("engine: sampling: %s is %v: want %s", name, v, want)
	}
	switch {
	case s.N < 0:
		return bad("N", s.N, "0 (one) or more")
	case !(s.Temperature >= 0 && s.Temperature <= 1e6) || (s.Temperature > 0 && s.Temperature < 1e-6):
		return bad("Temperature", s.Temperature, "0 (greedy), or between 1e-6 and 1e6")
	case s.TopK < 0:
		return bad("TopK", s.TopK, "0 (off) or more")
	case !(s.TopP >= 0 && s.TopP <= 1):
		return bad("TopP", s.TopP, "between 0 (off) and 1")
	case !(s.MinP >= 0 && s.MinP <= 1):
		return bad("MinP", s.MinP, "between 0 (off) and 1")
	case s.MaxTokens < 0:
		return bad("MaxTokens", s.MaxTokens, "0 (the default) or more")
	case s.Ban != BanVision && s.Ban != BanNone:
		return bad("Ban", int(s.Ban), "BanVision or BanNone")
	}
	for _, id := range s.Stop {
		if id < 0 || int(id) >= vocab {
			return bad("Stop", id, fmt.Sprintf("ids below %d", vocab))
		}
	}
	return nil
}
