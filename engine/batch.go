package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A Sequence is a prompt and a completion to learn from.
type Sequence struct {
	Prompt *Prompt
	IDs    []int32
}

// A family is the completions of one prompt: they share its rows, its pictures' encoding and its keys, forward and backward. It is
// the unit of a micro-batch.
type family struct {
	prompt *Prompt
	seqs   []int // into the batch
	rows   int   // of the decoder: the prompt's, and each completion's but for its last id
	wanted int   // rows whose log-probs count: the completions' ids
	images int   // patches
}

// families groups a batch by prompt and puts it into its canonical order, which is a function of the ids and pictures and not of the
// order in which the sequences came: gradients are sums over rows, and their bits depend on the order of the rows.
func families(batch []Sequence) []family {
	type keyed struct {
		index   int
		picture []byte
	}
	keys := make([]keyed, 0, len(batch))
	hashes := map[*Prompt][]byte{}
	for i := range batch {
		if len(batch[i].IDs) == 0 {
			continue
		}
		p := batch[i].Prompt
		h, ok := hashes[p]
		if !ok {
			h = pictureHash(p)
			hashes[p] = h
		}
		keys = append(keys, keyed{i, h})
	}
	samePrompt := func(a, b keyed) int {
		return cmp.Or(slices.Compare(batch[a.index].Prompt.IDs, batch[b.index].Prompt.IDs), bytes.Compare(a.picture, b.picture))
	}
	slices.SortStableFunc(keys, func(a, b keyed) int {
		return cmp.Or(samePrompt(a, b), slices.Compare(batch[a.index].IDs, batch[b.index].IDs))
	})
	var fs []family
	for i, k := range keys {
		p := batch[k.index].Prompt
		if i == 0 || samePrompt(keys[i-1], k) != 0 {
			f := family{prompt: p, rows: len(p.IDs)}
			for _, m := range p.Images {
				f.images += m.NumPatches()
			}
			fs = append(fs, f)
		}
		f := &fs[len(fs)-1]
		f.seqs = append(f.seqs, k.index)
		f.rows += len(batch[k.index].IDs) - 1
		f.wanted += len(batch[k.index].IDs)
	}
	return fs
}

// pictureHash tells prompts of equal ids and different pictures apart.
func pictureHash(p *Prompt) []byte {
	if len(p.Images) == 0 {
		return nil
	}
	h := sha256.New()
	for _, m := range p.Images {
		binary.Write(h, binary.LittleEndian, []int64{int64(m.ResizedH), int64(m.ResizedW)})
		h.Write(m.Pixels)
	}
	return h.Sum(nil)
}

// microBatches cuts families, in order, into runs of at most budget decoder rows, or of one family where that is larger.
func microBatches(fs []family, budget int) [][]family {
	var runs [][]family
	rows := 0
	for i := range fs {
		if len(runs) == 0 || rows+fs[i].rows > budget {
			runs = append(runs, nil)
			rows = 0
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], fs[i])
		rows += fs[i].rows
	}
	return runs
}
