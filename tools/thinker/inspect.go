package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
)

func (a *app) inspectCommand() *cobra.Command {
	var f engineFlags
	var asJSON, tensors bool
	c := &cobra.Command{
		Use:   "inspect --model DIR",
		Short: "Say what a checkpoint holds",
		Long: `Say what a checkpoint holds: parameters by part, types, files and their sizes, the configuration and which of its keys took a default,
the tokenizer, stop ids and context, and the memory that generate would take with the same flags. Everything is checked as it is before
generating, but no weights are read.`,
		Example: `  thinker inspect --model Qwen2.5-VL-3B
  thinker inspect --model Qwen2.5-VL-3B --tensors --json`,
		Args: noArgs,
		RunE: func(_ *cobra.Command, _ []string) error { return a.inspect(&f, asJSON, tensors) },
	}
	requiredDir(c, &f.model, "model", "checkpoint folder")
	c.Flags().BoolVar(&tensors, "tensors", false, "list every tensor")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	f.add(c)
	return c
}

// A contents is what inspect finds. Its JSON is a contract.
type contents struct {
	Model string `json:"model"`
	checkpoint.Summary
	Text      textConfig   `json:"text"`
	Vision    visionConfig `json:"vision"`
	Defaulted []string     `json:"defaulted"` // keys of config.json that were missing, with the values taken
	Tokens    int          `json:"tokens"`    // ids of the tokenizer
	StopIDs   []int32      `json:"stop_ids"`
	Context   int          `json:"context"`
	Pixels    [2]int       `json:"pixels"` // least and most of a picture
	Memory    memoryPlan   `json:"memory"`
	List      []tensorInfo `json:"tensor_list,omitempty"`
}

type textConfig struct {
	Hidden  int     `json:"hidden"`
	Layers  int     `json:"layers"`
	Heads   int     `json:"heads"`
	KVHeads int     `json:"kv_heads"`
	HeadDim int     `json:"head_dim"`
	MLP     int     `json:"mlp"`
	Vocab   int     `json:"vocab"`
	Theta   float64 `json:"rope_theta"`
	MRope   [3]int  `json:"mrope_section"`
	NormEps float64 `json:"rms_norm_eps"`
}

type visionConfig struct {
	Hidden  int   `json:"hidden"`
	Blocks  int   `json:"blocks"`
	Heads   int   `json:"heads"`
	MLP     int   `json:"mlp"`
	Patch   int   `json:"patch"`
	Merge   int   `json:"merge"`
	Window  int   `json:"window"`
	FullAtt []int `json:"full_attention_blocks"`
}

// A memoryPlan is an engine's plan, and whether the machine has it.
type memoryPlan struct {
	DType     string `json:"dtype"`
	Weights   int64  `json:"weights"`
	KVCache   int64  `json:"kv_cache"`
	KVTokens  int64  `json:"kv_tokens"`
	Workspace int64  `json:"workspace"`
	Vision    int64  `json:"vision"`
	Total     int64  `json:"total"`
	Available int64  `json:"available"`
	Fits      bool   `json:"fits"`

	err error // why it does not fit
}

type tensorInfo struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Part  string  `json:"part"`
}

func (a *app) inspect(f *engineFlags, asJSON, tensors bool) error {
	if err := f.check(); err != nil {
		return err
	}
	x, err := inspect(f)
	if err != nil {
		return err
	}
	if !asJSON {
		return a.printContents(x, tensors)
	}
	if !tensors {
		x.List = nil
	}
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(x)
}

func inspect(f *engineFlags) (*contents, error) {
	if err := checkFolder(f.model); err != nil {
		return nil, err
	}
	ck, err := checkpoint.Open(f.model)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	cfg := ck.Config
	t, v := &cfg.Text, &cfg.Vision
	x := &contents{
		Model: f.model, Summary: *ck.Summary(), Defaulted: append([]string{}, cfg.Defaulted()...), Context: t.MaxPositionEmbeddings,
		Text: textConfig{Hidden: t.HiddenSize, Layers: t.Layers, Heads: t.Heads, KVHeads: t.KVHeads, HeadDim: t.HeadDim, MLP: t.IntermediateSize,
			Vocab: t.VocabSize, Theta: t.RopeTheta, MRope: t.MRopeSection, NormEps: t.RMSNormEps},
		Vision: visionConfig{Hidden: v.HiddenSize, Blocks: v.Depth, Heads: v.Heads, MLP: v.IntermediateSize, Patch: v.PatchSize,
			Merge: v.SpatialMergeSize, Window: v.WindowSize, FullAtt: v.FullAttnBlocks},
	}
	for _, s := range ck.Tensors() {
		x.List = append(x.List, tensorInfo{Name: s.Name, DType: string(ck.DType(s.Name)), Shape: s.Shape, Part: string(s.Part)})
	}

	tok, images, err := engine.Frontend(f.model, f.options.MinPixels, f.options.MaxPixels)
	if err != nil {
		return nil, err
	}
	if err := engine.CheckFrontend(f.model, cfg, tok); err != nil {
		return nil, err
	}
	x.Tokens, x.Pixels = tok.VocabSize(), [2]int{images.MinPixels, images.MaxPixels}
	stops, err := config.GenerationStops(f.model, cfg)
	if err != nil {
		return nil, err
	}
	x.StopIDs = []int32{}
	for _, id := range stops {
		x.StopIDs = append(x.StopIDs, int32(id))
	}
	p, err := engine.MakePlan(cfg, f.options, max(images.MinPixels, images.MaxPixels))
	if err != nil && p.Total == 0 {
		return nil, err
	}
	x.Memory = memoryPlan{DType: f.options.DType.String(), Weights: p.Weights, KVCache: p.KVCache, KVTokens: int64(p.Pages) * binding.Chunk,
		Workspace: p.Workspace, Vision: p.Vision, Total: p.Total, Available: p.Available, Fits: err == nil, err: err}
	return x, nil
}

func (a *app) printContents(x *contents, tensors bool) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, v ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, v...)) }
	row("model", "%s", x.Model)
	row("parameters", "%s", formatCount(x.Parameters))
	for _, p := range x.Parts {
		row("  "+string(p.Part), "%s in %s, %s", formatCount(p.Parameters), count(p.Tensors, "tensor"), formatBytes(p.Bytes))
	}
	var types []string
	for _, d := range x.DTypes {
		types = append(types, fmt.Sprintf("%s %s", formatCount(d.Parameters), d.DType))
	}
	row("stored as", "%s; %s names", strings.Join(types, ", "), x.Layout)
	row("files", "%d, %s of tensors", len(x.Shards), formatBytes(x.Bytes))
	for _, f := range x.Shards {
		row("  "+f.File, "%s, %s", count(f.Tensors, "tensor"), formatBytes(f.Bytes))
	}
	t, v := x.Text, x.Vision
	tied := "untied"
	if x.Tied { // the head is the embedding
		tied = "tied"
	}
	row("decoder", "%d layers of %d, MLP %d, %d heads / %d KV of %d, vocabulary %d (%s)", t.Layers, t.Hidden, t.MLP, t.Heads, t.KVHeads, t.HeadDim, t.Vocab, tied)
	row("positions", "M-RoPE %v, theta %g, context %d tokens", t.MRope, t.Theta, x.Context)
	row("vision", "%d blocks of %d, MLP %d, %d heads, full attention in %v", v.Blocks, v.Hidden, v.MLP, v.Heads, v.FullAtt)
	row("pictures", "patches of %d, %d x %d a token, windows of %d pixels, %d to %d pixels", v.Patch, v.Merge, v.Merge, v.Window, x.Pixels[0], x.Pixels[1])
	row("tokenizer", "%d ids", x.Tokens)
	row("stop ids", "%v", x.StopIDs)
	if len(x.Defaulted) > 0 {
		row("defaults", "%s", strings.Join(x.Defaulted, ", "))
	}
	if len(x.Ignored) > 0 {
		row("ignored", "%s", strings.Join(x.Ignored, ", "))
	}
	m := x.Memory
	row("memory", "%s in %s: weights %s, KV cache %s (%d tokens), workspace %s, largest picture %s", formatBytes(m.Total), m.DType,
		formatBytes(m.Weights), formatBytes(m.KVCache), m.KVTokens, formatBytes(m.Workspace), formatBytes(m.Vision))
	if m.err != nil {
		row("", "it does not fit: %v", m.err)
	} else if m.Available > 0 {
		row("", "of %s available", formatBytes(m.Available))
	}
	if tensors {
		fmt.Fprintln(w)
		for _, t := range x.List {
			fmt.Fprintf(w, "%s\t%s %v\t%s\n", t.Name, t.DType, t.Shape, t.Part)
		}
	}
	return w.Flush()
}

// formatCount writes a number of parameters, with a rounded form where it is long.
func formatCount(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%d (%.2f B)", n, float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%d (%.2f M)", n, float64(n)/1e6)
	}
	return fmt.Sprint(n)
}
