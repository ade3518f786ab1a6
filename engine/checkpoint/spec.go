package checkpoint

import (
	"fmt"
	"slices"

	"github.com/thinker-vl/thinker/engine/config"
)

// A Part is a part of the model.
type Part string

// The parts, in the order of [Spec].
const (
	PatchEmbedding Part = "patch embedding"
	VisionBlocks   Part = "vision blocks"
	Merger         Part = "merger"
	Embedding      Part = "embedding"
	DecoderLayers  Part = "decoder layers"
	FinalNorm      Part = "final norm"
	Head           Part = "head"
)

// A Role is what a tensor does. It decides how the tensor is initialised, and
// for an optimizer whether it decays.
type Role uint8

const (
	Weight Role = iota // of a linear map or an embedding
	Bias
	Norm // the scale of an RMSNorm
)

// A TensorSpec is a tensor that a configuration calls for.
type TensorSpec struct {
	Name  string // the released name
	Shape []int64
	Part  Part
	Role  Role
}

// Elements returns the number of elements.
func (t *TensorSpec) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Names of single tensors.
const (
	embedName = "model.embed_tokens.weight"
	headName  = "lm_head.weight"
)

// Spec returns the tensors of a model, in the order in which checkpoints are
// loaded, made and saved: the vision tower, then the decoder, as in the
// reference implementation. With tied embeddings there is no head.
func Spec(c *config.Config) []TensorSpec {
	return slices.Concat(visionSpec(&c.Vision), textSpec(&c.Text, c.TieWordEmbeddings))
}

// A speller collects the tensors of one part.
type speller struct {
	part  Part
	specs []TensorSpec
}

func (s *speller) add(role Role, name string, shape ...int) {
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	s.specs = append(s.specs, TensorSpec{name, dims, s.part, role})
}

// linear adds a linear map from in to out values.
func (s *speller) linear(name string, out, in int, bias bool) {
	s.add(Weight, name+".weight", out, in)
	if bias {
		s.add(Bias, name+".bias", out)
	}
}

func (s *speller) norm(name string, n int) {
	s.add(Norm, name+".weight", n)
}

func visionSpec(v *config.Vision) []TensorSpec {
	s := &speller{part: PatchEmbedding}
	s.add(Weight, "visual.patch_embed.proj.weight", v.HiddenSize, v.InChannels, v.TemporalPatchSize, v.PatchSize, v.PatchSize)
	s.part = VisionBlocks
	for i := range v.Depth {
		p := fmt.Sprintf("visual.blocks.%d.", i)
		s.norm(p+"norm1", v.HiddenSize)
		s.norm(p+"norm2", v.HiddenSize)
		s.linear(p+"attn.qkv", 3*v.HiddenSize, v.HiddenSize, true)
		s.linear(p+"attn.proj", v.HiddenSize, v.HiddenSize, true)
		s.linear(p+"mlp.gate_proj", v.IntermediateSize, v.HiddenSize, true)
		s.linear(p+"mlp.up_proj", v.IntermediateSize, v.HiddenSize, true)
		s.linear(p+"mlp.down_proj", v.HiddenSize, v.IntermediateSize, true)
	}
	s.part = Merger
	s.norm("visual.merger.ln_q", v.HiddenSize)
	s.linear("visual.merger.mlp.0", v.MergedSize(), v.MergedSize(), true)
	s.linear("visual.merger.mlp.2", v.OutHiddenSize, v.MergedSize(), true)
	return s.specs
}

func textSpec(t *config.Text, tied bool) []TensorSpec {
	s := &speller{part: Embedding}
	s.add(Weight, embedName, t.VocabSize, t.HiddenSize)
	s.part = DecoderLayers
	q, kv := t.Heads*t.HeadDim, t.KVHeads*t.HeadDim
	for i := range t.Layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		s.linear(p+"self_attn.q_proj", q, t.HiddenSize, true)
		s.linear(p+"self_attn.k_proj", kv, t.HiddenSize, true)
		s.linear(p+"self_attn.v_proj", kv, t.HiddenSize, true)
		s.linear(p+"self_attn.o_proj", t.HiddenSize, q, false)
		s.linear(p+"mlp.gate_proj", t.IntermediateSize, t.HiddenSize, false)
		s.linear(p+"mlp.up_proj", t.IntermediateSize, t.HiddenSize, false)
		s.linear(p+"mlp.down_proj", t.HiddenSize, t.IntermediateSize, false)
		s.norm(p+"input_layernorm", t.HiddenSize)
		s.norm(p+"post_attention_layernorm", t.HiddenSize)
	}
	s.part = FinalNorm
	s.norm("model.norm", t.HiddenSize)
	if !tied {
		s.part = Head
		s.add(Weight, headName, t.VocabSize, t.HiddenSize)
	}
	return s.specs
}

// Parameters returns the number of parameters of a model. A tied head counts
// once.
func Parameters(c *config.Config) int64 {
	n := int64(0)
	for _, t := range Spec(c) {
		n += t.Elements()
	}
	return n
}
