package checkpoint

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// InitOptions says how a checkpoint is made.
type InitOptions struct {
	// Tokenizer is a folder with the tokenizer's files: tokenizer.json, or
	// vocab.json and merges.txt; and what else a checkpoint has beside its
	// weights. They are copied.
	Tokenizer string

	Seed          uint64
	DType         safetensors.DType // F32 or BF16; empty means what the configuration says, else BF16
	Layout        Layout
	MaxShardBytes int64                   // as in SaveOptions
	Workers       int                     // threads; 0 means as many as there are processors
	Progress      func(done, total int64) // bytes of weights
}

// Init makes a checkpoint with random weights in the folder dir, as transformers
// initialises a model: weights normal with the configuration's
// initializer_range, the vision tower's or the decoder's, biases 0, norms 1. The
// weights are a function of the configuration and the seed; the number of
// threads, the type's width (up to its rounding), the layout and the shards do
// not change them.
//
// The folder is made as by [SaveFolder].
func Init(ctx context.Context, dir string, c *config.Config, opts InitOptions) error {
	if opts.DType == "" {
		switch c.DType {
		case "float32":
			opts.DType = safetensors.F32
		case "bfloat16", "":
			opts.DType = safetensors.BF16
		default:
			return fmt.Errorf("checkpoint: the config's torch_dtype is %s, weights are written as float32 or bfloat16: name one of them", c.DType)
		}
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	return SaveFolder(ctx, dir, c, opts.Tokenizer, randomSource(c, opts.Seed, opts.DType), SaveOptions{
		DType: opts.DType, Layout: opts.Layout, MaxShardBytes: opts.MaxShardBytes, Workers: opts.Workers, Progress: opts.Progress,
	})
}

// randomSource gives initial weights. It may be called by several goroutines.
func randomSource(c *config.Config, seed uint64, dtype safetensors.DType) Source {
	return Float32Source(dtype, func(t *TensorSpec, first int64, dst []float32) error {
		switch t.Role {
		case Bias:
			clear(dst)
		case Norm:
			for i := range dst {
				dst[i] = 1
			}
		default:
			std := c.Text.InitializerRange
			if strings.HasPrefix(t.Name, "visual.") {
				std = c.Vision.InitializerRange
			}
			s := newStream(seed, t.Name)
			s.normals(dst, first, std)
		}
		return nil
	})
}
