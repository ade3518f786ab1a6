package engine

import (
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// A stretch is consecutive tokens of one sequence in a forward pass: ids with their (t, h, w) positions, to be appended to kv.
type stretch struct {
	kv  *kvSequence
	ids []int32
	pos [3][]int32

	// The image tokens among the first prompt ids take their embedding from features, whose first row belongs to the sequence's first
	// image token; firstFeature is how many image tokens precede this stretch. An image token that a policy without ban wrote itself
	// stands for no picture.
	prompt       int
	features     *binding.Buffer
	firstFeature int

	// want lists the tokens of the stretch whose final hidden state is asked for, ascending.
	want []int
}

// A decoder runs forward passes of at most rows tokens over buffers that it keeps.
type decoder struct {
	*model
	cache    *kvCache
	rows     int // most tokens of a pass
	spare    int // rows of hidden beyond those, for the caller
	seqs     int // most sequences of a pass
	maxPages int // most pages of a sequence

	x, y, qkv, attn, gateUp, act, hidden *binding.Buffer
	cos, sin, invFreq, axis, workspace   *binding.Buffer
	ids, positions, slots, cu, kvLen     *binding.Buffer
	table, wanted, source, target        *binding.Buffer

	owned scratch
}

func newDecoder(m *model, cache *kvCache, rows, seqs, spare, maxPages int) (*decoder, error) {
	t := &m.cfg.Text
	dec := &decoder{model: m, cache: cache, rows: rows, spare: spare, seqs: seqs, maxPages: maxPages}
	s := &dec.owned
	s.d = m.d
	size := binding.DTypeBytes(m.dtype)
	qkv := (t.Heads + 2*t.KVHeads) * t.HeadDim
	dec.x, dec.y = s.alloc(size*rows*t.HiddenSize), s.alloc(size*rows*t.HiddenSize)
	dec.qkv = s.alloc(size * rows * qkv)
	dec.attn = s.alloc(size * rows * t.Heads * t.HeadDim)
	dec.gateUp, dec.act = s.alloc(size*rows*2*t.IntermediateSize), s.alloc(size*rows*t.IntermediateSize)
	dec.hidden = s.alloc(size * (rows + spare) * t.HiddenSize)
	half := t.HeadDim / 2
	dec.cos, dec.sin = s.alloc(4*rows*half), s.alloc(4*rows*half)
	dec.invFreq = s.floats(invFreq(t.RopeTheta, t.HeadDim))
	var axis []int32
	for a, n := range t.MRopeSection {
		for range n {
			axis = append(axis, int32(a))
		}
	}
	dec.axis = s.ints(axis)
	dec.ids, dec.slots = s.alloc(4*rows), s.alloc(4*rows)
	dec.wanted, dec.source, dec.target = s.alloc(4*rows), s.alloc(4*rows), s.alloc(4*rows)
	dec.positions = s.alloc(4 * 3 * rows)
	dec.cu, dec.kvLen = s.alloc(4*(seqs+1)), s.alloc(4*seqs)
	dec.table = s.alloc(4 * seqs * maxPages)
	a := binding.AttentionWorkspaceArgs{DType: m.dtype, Rows: int64(rows), Heads: int64(t.Heads), KVHeads: int64(t.KVHeads), Dim: int64(t.HeadDim)}
	if s.err == nil {
		s.err = m.d.AttentionWorkspace(&a)
	}
	dec.workspace = s.alloc(int(a.Bytes))
	if s.err != nil {
		return nil, errors.Join(s.err, s.Close())
	}
	return dec, nil
}

func (dec *decoder) Close() error { return dec.owned.Close() }

// forward appends the stretches' tokens to their sequences and leaves the final hidden states that they want in dec.hidden, stretch
// by stretch. It returns how many those are.
//
// A row's result depends on its own sequence alone: not on the other rows of the pass, nor on where its sequence was cut into passes.
func (dec *decoder) forward(stretches []stretch) (int, error) {
	t := &dec.cfg.Text
	ids, slots := dec.ids.Int32s()[:0], dec.slots.Int32s()[:0]
	cu, kvLen := dec.cu.Int32s()[:1], dec.kvLen.Int32s()[:0]
	table, wanted := dec.table.Int32s(), dec.wanted.Int32s()[:0]
	cu[0] = 0
	n := 0
	for _, s := range stretches {
		n += len(s.ids)
	}
	if n == 0 || n > dec.rows || len(stretches) > dec.seqs {
		return 0, fmt.Errorf("engine: a pass of %d tokens in %d sequences exceeds %d and %d", n, len(stretches), dec.rows, dec.seqs)
	}
	positions := dec.positions.Int32s()
	for i, s := range stretches {
		row := len(ids)
		if err := s.kv.grow(len(s.ids)); err != nil {
			return 0, err
		}
		if len(s.kv.pages) > dec.maxPages {
			return 0, fmt.Errorf("engine: a sequence of %d pages exceeds the context's %d", len(s.kv.pages), dec.maxPages)
		}
		for j, id := range s.ids {
			ids = append(ids, id)
			slots = append(slots, s.kv.slot(s.kv.length+j))
		}
		for a := range s.pos {
			copy(positions[a*n+row:], s.pos[a])
		}
		for _, wnt := range s.want {
			wanted = append(wanted, int32(row+wnt))
		}
		s.kv.length += len(s.ids)
		cu, kvLen = append(cu, int32(row+len(s.ids))), append(kvLen, int32(s.kv.length))
		copy(table[i*dec.maxPages:], s.kv.pages)
	}

	d, dtype, size := dec.d, dec.dtype, binding.DTypeBytes(dec.dtype)
	rows, hidden := int64(n), int64(t.HiddenSize)
	err := d.Embed(&binding.EmbedArgs{DType: dtype, IDs: dec.ids.Addr(), W: dec.w.embed.w.Addr(), Y: dec.x.Addr(), M: rows, N: int64(dec.w.embed.n), K: hidden, LdY: hidden})
	if err != nil {
		return 0, err
	}
	row := 0
	for _, s := range stretches {
		if err := dec.placeFeatures(s, row); err != nil {
			return 0, err
		}
		row += len(s.ids)
	}
	half := int64(t.HeadDim / 2)
	err = d.RopeTable(&binding.RopeTableArgs{Axes: 3, Positions: dec.positions.Addr(), Axis: dec.axis.Addr(), InvFreq: dec.invFreq.Addr(),
		Cos: dec.cos.Addr(), Sin: dec.sin.Addr(), N: rows, Half: half, LdP: rows})
	if err != nil {
		return 0, err
	}
	heads, kvHeads, dim := int64(t.Heads), int64(t.KVHeads), int64(t.HeadDim)
	width := (heads + 2*kvHeads) * dim
	k := dec.qkv.Addr() + uint64(heads*dim)*uint64(size)
	v := k + uint64(kvHeads*dim)*uint64(size)
	for l := range dec.w.layers {
		b := &dec.w.layers[l]
		if dec.trace != nil {
			dec.trace(l, dec.x, n)
		}
		steps := []func() error{
			func() error { return dec.norm(dec.x, b.norm1, dec.y, n, t.HiddenSize, t.RMSNormEps) },
			func() error { return dec.matmul(&b.qkv, dec.y.Addr(), dec.qkv.Addr(), 0, n) },
			func() error {
				// q and k are heads + kvHeads consecutive heads of a row.
				return d.Rope(&binding.RopeArgs{DType: dtype, X: dec.qkv.Addr(), Cos: dec.cos.Addr(), Sin: dec.sin.Addr(), Rows: rows, Heads: heads + kvHeads, Dim: dim, LdX: width})
			},
			func() error {
				return d.KVWrite(&binding.KVWriteArgs{DType: dtype, K: k, V: v, Slots: dec.slots.Addr(), Pages: dec.cache.layer(l), N: rows, KVHeads: kvHeads, Dim: dim,
					LdK: width, LdV: width, PageStride: int64(dec.cache.pageBytes), NumPages: int64(dec.cache.pages)})
			},
			func() error {
				return d.AttentionPaged(&binding.AttentionPagedArgs{DType: dtype, Q: dec.qkv.Addr(), Out: dec.attn.Addr(), Pages: dec.cache.layer(l),
					CuQ: dec.cu.Addr(), KVLen: dec.kvLen.Addr(), BlockTable: dec.table.Addr(), Workspace: dec.workspace.Addr(), WorkspaceBytes: uint64(dec.workspace.Len()),
					Seqs: int64(len(stretches)), Heads: heads, KVHeads: kvHeads, Dim: dim, LdQ: width, LdO: heads * dim, LdTable: int64(dec.maxPages),
					PageStride: int64(dec.cache.pageBytes), NumPages: int64(dec.cache.pages), Scale: attentionScale(t.HeadDim)})
			},
			func() error { return dec.matmul(&b.out, dec.attn.Addr(), dec.x.Addr(), dec.x.Addr(), n) },
			func() error { return dec.norm(dec.x, b.norm2, dec.y, n, t.HiddenSize, t.RMSNormEps) },
			func() error { return dec.mlp(b, dec.y, dec.x, dec.gateUp, dec.act, n, n) },
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return 0, fmt.Errorf("engine: decoder layer %d: %w", l, err)
			}
		}
	}
	if dec.trace != nil {
		if err := dec.norm(dec.x, dec.w.norm, dec.y, n, t.HiddenSize, t.RMSNormEps); err != nil {
			return 0, err
		}
		dec.trace(len(dec.w.layers), dec.y, n)
	}
	if len(wanted) == 0 {
		return 0, nil
	}
	err = d.Rows(&binding.RowsArgs{DType: dtype, X: dec.x.Addr(), Y: dec.y.Addr(), Src: dec.wanted.Addr(), N: int64(len(wanted)), Cols: hidden,
		LdX: hidden, LdY: hidden, RowsX: rows, RowsY: rows})
	if err != nil {
		return 0, err
	}
	return len(wanted), dec.norm(dec.y, dec.w.norm, dec.hidden, len(wanted), t.HiddenSize, t.RMSNormEps)
}

// placeFeatures overwrites the embeddings of a stretch's image tokens, which stand at row and after in x, with the picture's features.
func (dec *decoder) placeFeatures(s stretch, row int) error {
	source, target := dec.source.Int32s()[:0], dec.target.Int32s()[:0]
	for i, id := range s.ids[:s.prompt] {
		if int(id) == dec.cfg.ImageTokenID {
			target = append(target, int32(row+i))
			source = append(source, int32(s.firstFeature+len(source)))
		}
	}
	if len(source) == 0 {
		return nil
	}
	if s.features == nil {
		return fmt.Errorf("engine: image tokens without a picture")
	}
	hidden := int64(dec.cfg.Text.HiddenSize)
	return dec.d.Rows(&binding.RowsArgs{DType: dec.dtype, X: s.features.Addr(), Y: dec.x.Addr(), Src: dec.source.Addr(), Dst: dec.target.Addr(), N: int64(len(source)),
		Cols: hidden, LdX: hidden, LdY: hidden, RowsX: int64(s.features.Len()) / (hidden * int64(binding.DTypeBytes(dec.dtype))), RowsY: int64(dec.rows)})
}

// hiddenRow is the address of row i of the hidden states that forward left.
func (dec *decoder) hiddenRow(i int) uint64 {
	return dec.hidden.Addr() + uint64(i)*uint64(dec.cfg.Text.HiddenSize)*uint64(binding.DTypeBytes(dec.dtype))
}
