package engine

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
)

// A Plan is the engine's memory in bytes, computed before it is taken.
type Plan struct {
	Weights   int64 // packed
	KVCache   int64
	Workspace int64 // activations of a forward pass, logits of a block of rows, staging
	Vision    int64 // what encoding the largest picture takes; little of it is kept afterwards
	Total     int64
	Available int64 // what the machine had; 0 if it does not say
	Pages     int   // of the KV cache
}

func (p Plan) String() string {
	gib := func(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }
	return fmt.Sprintf("weights %s + KV cache %s (%d tokens) + workspace %s + vision %s = %s",
		gib(p.Weights), gib(p.KVCache), p.Pages*binding.Chunk, gib(p.Workspace), gib(p.Vision), gib(p.Total))
}

// memoryAvailable is the kernel's estimate of memory that can be taken without swapping, 0 if unknown.
func memoryAvailable() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "MemAvailable:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// MakePlan computes the memory of an engine with these options, for pictures of at most maxPixels. Where the machine cannot hold it,
// the plan comes with an error that says so.
func MakePlan(c *config.Config, o Options, maxPixels int) (Plan, error) {
	if err := o.defaults(); err != nil {
		return Plan{}, err
	}
	t, v := &c.Text, &c.Vision
	dtype := o.DType.abi()
	size := int64(binding.DTypeBytes(dtype))
	p := Plan{Available: memoryAvailable()}
	for _, s := range checkpoint.Spec(c) {
		n := int64(1)
		for _, d := range s.Shape {
			n *= d
		}
		if len(s.Shape) == 1 {
			p.Weights += 4 * n
		} else {
			p.Weights += int64(binding.PackedBytes(dtype, int(s.Shape[0]), int(n/s.Shape[0])))
		}
	}

	pageBytes := int64(t.Layers*t.KVHeads) * int64(binding.KVTileBytes(dtype, t.HeadDim))
	cache := o.CacheBytes
	if cache == 0 {
		cache = int64(o.MaxBatch) * int64(pagesFor(t.MaxPositionEmbeddings)) * pageBytes
		cache = min(cache, maxCacheBytes)
		if p.Available > 0 {
			cache = min(cache, p.Available/8)
		}
		cache = max(cache, pageBytes)
	}
	if cache < pageBytes {
		return p, fmt.Errorf("engine: the KV cache is to have %d bytes, a page of %d tokens takes %d: raise CacheBytes", cache, binding.Chunk, pageBytes)
	}
	p.Pages = int(min(cache/pageBytes, 1<<24))
	p.KVCache = int64(p.Pages) * pageBytes

	rows := int64(o.PrefillChunk)
	qkv := int64((t.Heads + 2*t.KVHeads) * t.HeadDim)
	perRow := size * (3*int64(t.HiddenSize) + qkv + int64(t.Heads*t.HeadDim) + 3*int64(t.IntermediateSize))
	p.Workspace = rows*perRow + int64(logitRows(o.MaxBatch))*int64(t.VocabSize)*4 + stagingBytes + rows*int64(pagesFor(t.MaxPositionEmbeddings))*4

	patches := int64(maxPixels) / int64(v.PatchSize*v.PatchSize)
	width := int64(v.InChannels * v.TemporalPatchSize * v.PatchSize * v.PatchSize)
	hidden := int64(v.HiddenSize)
	merged := hidden * int64(v.SpatialMergeSize*v.SpatialMergeSize)
	tokens := patches / int64(v.SpatialMergeSize*v.SpatialMergeSize)
	p.Vision = patches*(width*(4+size)+size*5*hidden+2*size*hidden*(1+int64((v.HeadDim+15)/16*16)/int64(v.HeadDim))) +
		tokens*size*(merged+2*int64(v.OutHiddenSize)) + mlpRows*3*int64(v.IntermediateSize)*size
	p.Total = p.Weights + p.KVCache + p.Workspace + p.Vision
	if p.Available > 0 && p.Total > p.Available {
		return p, fmt.Errorf("engine: the model needs %v, the machine has %.2f GiB free: lower CacheBytes or MaxPixels, or use bf16", p, float64(p.Available)/(1<<30))
	}
	return p, nil
}

// logitRows is how many rows of logits are held at a time: a bounded block, whatever the batch.
func logitRows(maxBatch int) int { return min(maxBatch, 64) }
