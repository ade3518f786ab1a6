package checkpoint

import (
	"path/filepath"

	"github.com/thinker-vl/thinker/engine/safetensors"
)

// A Summary says what a checkpoint holds.
type Summary struct {
	Tensors    int         `json:"tensors"`
	Parameters int64       `json:"parameters"`
	Bytes      int64       `json:"bytes"`  // of the tensors' data
	Layout     string      `json:"layout"` // released, nested or mixed
	Tied       bool        `json:"tied"`   // the head is the embedding
	Parts      []PartCount `json:"parts"`  // in the order of Spec
	DTypes     []TypeCount `json:"dtypes"` // in the order of first use
	Shards     []ShardSize `json:"shards"` // by name
	Ignored    []string    `json:"ignored,omitempty"`
}

// A PartCount says what a part of the model holds.
type PartCount struct {
	Part       Part  `json:"part"`
	Tensors    int   `json:"tensors"`
	Parameters int64 `json:"parameters"`
	Bytes      int64 `json:"bytes"`
}

// A TypeCount says what is stored in a type.
type TypeCount struct {
	DType      safetensors.DType `json:"dtype"`
	Tensors    int               `json:"tensors"`
	Parameters int64             `json:"parameters"`
}

// A ShardSize is a file that holds weights.
type ShardSize struct {
	File    string `json:"file"`
	Bytes   int64  `json:"bytes"` // of the whole file
	Tensors int    `json:"tensors"`
}

// Summary describes the checkpoint.
func (ck *Checkpoint) Summary() *Summary {
	s := &Summary{Layout: ck.layout.String(), Tied: ck.Config.TieWordEmbeddings, Ignored: ck.ignored}
	for _, spec := range ck.specs {
		info := ck.tensors[spec.Name].info
		n, b := info.Elements(), info.Bytes()
		s.Tensors++
		s.Parameters += n
		s.Bytes += b
		if k := len(s.Parts); k == 0 || s.Parts[k-1].Part != spec.Part {
			s.Parts = append(s.Parts, PartCount{Part: spec.Part})
		}
		p := &s.Parts[len(s.Parts)-1]
		p.Tensors++
		p.Parameters += n
		p.Bytes += b
		i := 0
		for i < len(s.DTypes) && s.DTypes[i].DType != info.DType {
			i++
		}
		if i == len(s.DTypes) {
			s.DTypes = append(s.DTypes, TypeCount{DType: info.DType})
		}
		s.DTypes[i].Tensors++
		s.DTypes[i].Parameters += n
	}
	for _, f := range ck.set.Shards() {
		s.Shards = append(s.Shards, ShardSize{filepath.Base(f.Path()), f.Size(), len(f.Names())})
	}
	return s
}
