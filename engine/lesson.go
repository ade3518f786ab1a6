package engine

import (
	"errors"
	"fmt"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/engine/imageproc"
)

// An Objective is a loss, seen from its gradient: given the log-probs of sequence i's ids under the policy and the policy's entropies
// at them, it writes the loss's derivatives by each. dlogprob and dentropy come zeroed. It is called once a sequence, in an order that
// depends on the batch's content alone.
type Objective func(i int, logprobs, entropy, dlogprob, dentropy []float32) error

// A lesson is a micro-batch on its way through the model: its rows are, family by family, the prompt's tokens and then each
// completion's but for the last, which predicts nothing.
type lesson struct {
	e            *Engine
	grads        *gradients // nil: forward alone
	recompute    bool
	visionLearns bool

	batch    []Sequence
	families []family
	policy   Scoring

	memory   *scratch        // taken
	features *binding.Buffer // of the pictures, where the vision tower does not learn
	rows     int
	ids      []int32
	pos      [3][]int32
	cu       []int32 // segments: prompts and completions
	prefix   []int32
	keys     int
	wanted   []int32 // the row that predicts each completion id, sequence by sequence
	targets  []int32
	image    []int32 // rows of image tokens, in the order of features
	images   []*imageproc.Image
	grids    []Grid
}

func newLesson(e *Engine, batch []Sequence, fs []family, policy Scoring) *lesson {
	l := &lesson{e: e, batch: batch, families: fs, policy: policy, cu: []int32{0}}
	merge := e.cfg.Vision.SpatialMergeSize
	segment := func(prefix int32, prefixRows, rows int) {
		l.cu, l.prefix = append(l.cu, int32(l.rows+rows)), append(l.prefix, prefix)
		l.rows += rows
		l.keys += pagesFor(prefixRows+rows) * binding.Chunk
	}
	for _, f := range fs {
		p := f.prompt
		n := len(p.IDs)
		first, prompt := l.rows, int32(len(l.prefix))
		for _, span := range p.Spans {
			for i := range span.Tokens {
				l.image = append(l.image, int32(first+span.Start+i))
			}
		}
		l.images = append(l.images, p.Images...)
		for _, span := range p.Spans {
			l.grids = append(l.grids, span.Grid)
		}
		longest := n
		for _, i := range f.seqs {
			longest = max(longest, n+len(batch[i].IDs)-1)
		}
		pos, _ := p.positions(longest, merge)
		l.add(p.IDs, pos, 0)
		segment(-1, 0, n)
		for _, i := range f.seqs {
			ids := batch[i].IDs
			l.wanted = append(l.wanted, int32(first+n-1))
			for j := range len(ids) - 1 {
				l.wanted = append(l.wanted, int32(l.rows+j))
			}
			l.targets = append(l.targets, ids...)
			if len(ids) > 1 {
				l.add(ids[:len(ids)-1], pos, n)
				segment(prompt, n, len(ids)-1)
			}
		}
	}
	return l
}

// add appends tokens whose positions are pos from index at on.
func (l *lesson) add(ids []int32, pos [3][]int32, at int) {
	l.ids = append(l.ids, ids...)
	for a := range pos {
		l.pos[a] = append(l.pos[a], pos[a][at:at+len(ids)]...)
	}
}

// lessonMemory is what a lesson computes in.
type lessonMemory struct {
	eyes                                   *visionTower // nil without pictures, or where the vision tower does not learn
	body                                   *tower
	ids, positions, wanted, targets, image *binding.Buffer // i32
	last, y, rstd                          *binding.Buffer // of the final norm, for the wanted rows
	logprob, entropy, lse                  *binding.Buffer // f32 [wanted]
	dlogprob, dentropy                     *binding.Buffer
	embedded                               *binding.Buffer // i32: the row of the embedding's gradient that each row adds to
	dlast, dy, dfeatures                   *binding.Buffer
	work                                   *binding.Buffer
}

// Close gives the lesson's memory back.
func (l *lesson) Close() error {
	err := l.features.Close()
	if l.memory != nil {
		err = errors.Join(err, l.memory.Close())
	}
	return err
}

// take takes the lesson's memory from s.
func (l *lesson) take(s *scratch) *lessonMemory {
	m, t := l.e.dec.model, &l.e.cfg.Text
	size, hidden, n := binding.DTypeBytes(m.dtype), t.HiddenSize, len(l.wanted)
	b := &lessonMemory{}
	if len(l.grids) > 0 && l.visionLearns {
		b.eyes = newVisionTower(s, m, l.grads, l.grids, l.recompute)
	}
	seen := attention{cu: s.ints(l.cu), prefix: s.ints(l.prefix), segments: len(l.prefix), keys: l.keys, causal: true}
	b.body = newTower(s, m, l.grads, m.w.layers, t.RMSNormEps, l.rows, l.recompute, func(*block) attention { return seen })
	b.ids, b.wanted, b.targets, b.image = s.ints(l.ids), s.ints(l.wanted), s.ints(l.targets), s.ints(l.image)
	b.positions = s.ints(append(append(append(make([]int32, 0, 3*l.rows), l.pos[0]...), l.pos[1]...), l.pos[2]...))
	b.last, b.y, b.rstd = s.alloc(size*n*hidden), s.alloc(size*n*hidden), s.alloc(4*n)
	b.logprob, b.entropy, b.lse = s.alloc(4*n), s.alloc(4*n), s.alloc(4*n)
	forward := binding.LogProbWorkspaceArgs{DType: m.dtype, Rows: int64(n), N: int64(t.VocabSize), K: int64(hidden)}
	backward := binding.LogProbBackwardWorkspaceArgs{DType: m.dtype, Rows: int64(n), N: int64(t.VocabSize), K: int64(hidden)}
	err := m.d.LogProbWorkspace(&forward)
	if l.grads != nil {
		b.dlogprob, b.dentropy = s.zeros(4*n), s.zeros(4*n)
		b.embedded = s.alloc(4 * l.rows)
		b.dlast, b.dy, b.dfeatures = s.alloc(4*n*hidden), s.alloc(4*n*hidden), s.alloc(4*len(l.image)*hidden)
		err = errors.Join(err, m.d.LogProbBackwardWorkspace(&backward))
	}
	if s.err == nil {
		s.err = err
	}
	b.work = s.alloc(int(max(forward.Bytes, backward.Bytes)))
	return b
}

// run takes the lesson forward, asks the objective, and takes it backward. compact is where the embedding's gradient goes: a row for
// each of the batch's ids, found by row.
func (l *lesson) run(f Objective, compact *binding.Buffer, row map[int32]int32) error {
	b, err := l.forward()
	if err != nil {
		return err
	}
	if err := l.ask(f, b.logprob, b.entropy, b.dlogprob, b.dentropy); err != nil {
		return err
	}
	return l.backward(b, compact, row)
}

// forward takes memory and computes the log-probs and entropies of the completions' ids.
func (l *lesson) forward() (b *lessonMemory, err error) {
	l.memory, err = l.e.lessons.scratch(func(s *scratch) { b = l.take(s) })
	if err == nil {
		err = l.see(b)
	}
	if err == nil {
		err = l.predict(b)
	}
	return b, err
}

// see encodes the lesson's pictures and puts their features in place of the image tokens' embeddings.
func (l *lesson) see(b *lessonMemory) error {
	m, hidden := l.e.dec.model, int64(l.e.cfg.Text.HiddenSize)
	err := m.d.Embed(&binding.EmbedArgs{DType: m.dtype, IDs: b.ids.Addr(), W: m.w.embed.w.Addr(), Y: b.body.x[0].Addr(),
		M: int64(l.rows), N: int64(m.w.embed.n), K: hidden, LdY: hidden})
	if err != nil || len(l.image) == 0 {
		return err
	}
	var features *binding.Buffer
	if b.eyes != nil {
		features, err = b.eyes.forward(l.images)
	} else {
		features, err = l.e.encode(l.images)
		l.features = features
	}
	if err != nil {
		return err
	}
	tokens := int64(len(l.image))
	return m.d.Rows(&binding.RowsArgs{DType: m.dtype, X: features.Addr(), Y: b.body.x[0].Addr(), Dst: b.image.Addr(), N: tokens, Cols: hidden,
		LdX: hidden, LdY: hidden, RowsX: tokens, RowsY: int64(l.rows)})
}

// predict runs the decoder and computes the log-probs and entropies of the completions' ids.
func (l *lesson) predict(b *lessonMemory) error {
	m, t := l.e.dec.model, &l.e.cfg.Text
	rows, n, hidden := int64(l.rows), len(l.wanted), int64(t.HiddenSize)
	return sequence(
		func() error {
			return m.d.RopeTable(&binding.RopeTableArgs{Axes: 3, Positions: b.positions.Addr(), Axis: l.e.dec.axis.Addr(), InvFreq: l.e.dec.invFreq.Addr(),
				Cos: b.body.cos.Addr(), Sin: b.body.sin.Addr(), N: rows, Half: int64(t.HeadDim / 2), LdP: rows})
		},
		b.body.forward,
		func() error {
			return m.d.Rows(&binding.RowsArgs{DType: m.dtype, X: b.body.x[len(b.body.blocks)].Addr(), Y: b.last.Addr(), Src: b.wanted.Addr(), N: int64(n), Cols: hidden,
				LdX: hidden, LdY: hidden, RowsX: rows, RowsY: int64(n)})
		},
		func() error { return m.normKept(b.last, m.w.norm, b.y, b.rstd, n, t.HiddenSize, t.RMSNormEps) },
		func() error {
			return m.d.LogProb(&binding.LogProbArgs{DType: m.dtype, X: b.y.Addr(), W: m.w.head.w.Addr(), Ban: l.e.banAddr(l.policy.Ban), Targets: b.targets.Addr(),
				LogProb: b.logprob.Addr(), Entropy: b.entropy.Addr(), LSE: b.lse.Addr(), Workspace: b.work.Addr(), WorkspaceBytes: uint64(b.work.Len()),
				Rows: int64(n), N: int64(t.VocabSize), K: hidden, LdX: hidden, InvTemperature: l.inverse()})
		},
	)
}

// inverse is 1/temperature as the scorer has it.
func (l *lesson) inverse() float32 { return 1 / float32(l.policy.Temperature) }

// backward takes the derivatives by log-probs and entropies back to the weights.
func (l *lesson) backward(b *lessonMemory, compact *binding.Buffer, row map[int32]int32) error {
	m, g, t := l.e.dec.model, l.grads, &l.e.cfg.Text
	rows, n, hidden := int64(l.rows), int64(len(l.wanted)), int64(t.HiddenSize)
	err := sequence(
		func() error {
			a := binding.LogProbBackwardArgs{DType: m.dtype, X: b.y.Addr(), W: m.w.head.w.Addr(), Ban: l.e.banAddr(l.policy.Ban), Targets: b.targets.Addr(),
				LSE: b.lse.Addr(), Dlogprob: b.dlogprob.Addr(), Dx: b.dy.Addr(), Dw: g.addr(m.w.head.w), Workspace: b.work.Addr(), WorkspaceBytes: uint64(b.work.Len()),
				Rows: n, N: int64(t.VocabSize), K: hidden, LdX: hidden, LdDx: hidden, LdDw: hidden, InvTemperature: l.inverse()}
			if !zeros(b.dentropy.Float32s()) {
				a.Entropy, a.Dentropy = b.entropy.Addr(), b.dentropy.Addr()
			}
			return m.d.LogProbBackward(&a)
		},
		func() error {
			return g.normBackward(b.last, m.w.norm, b.rstd, b.dy, b.dlast, int(n), t.HiddenSize, m.dtype, false)
		},
		func() error { return fillZero(m.d, b.body.dx) },
		func() error {
			return m.d.RowsAdd(&binding.RowsAddArgs{X: b.dlast.Addr(), Y: b.body.dx.Addr(), Dst: b.wanted.Addr(), N: n, Cols: hidden,
				LdX: hidden, LdY: hidden, RowsX: n, RowsY: rows})
		},
		b.body.backward,
		func() error { return l.embedBackward(b, compact, row) },
	)
	if err != nil || b.eyes == nil {
		return err
	}
	tokens := int64(len(l.image))
	err = m.d.Rows(&binding.RowsArgs{DType: binding.F32, X: b.body.dx.Addr(), Y: b.dfeatures.Addr(), Src: b.image.Addr(), N: tokens, Cols: hidden,
		LdX: hidden, LdY: hidden, RowsX: rows, RowsY: tokens})
	if err != nil {
		return err
	}
	return b.eyes.backward(b.dfeatures)
}

// ask calls the objective for each of the lesson's sequences.
func (l *lesson) ask(f Objective, logprob, entropy, dlogprob, dentropy *binding.Buffer) error {
	at := 0
	for _, fam := range l.families {
		for _, i := range fam.seqs {
			end := at + len(l.batch[i].IDs)
			if err := f(i, logprob.Float32s()[at:end], entropy.Float32s()[at:end], dlogprob.Float32s()[at:end], dentropy.Float32s()[at:end]); err != nil {
				return fmt.Errorf("engine: objective of sequence %d: %w", i, err)
			}
			at = end
		}
	}
	return nil
}

// embedBackward adds the gradients of the embeddings that the rows took; those of image tokens went to the pictures.
func (l *lesson) embedBackward(b *lessonMemory, compact *binding.Buffer, row map[int32]int32) error {
	if compact == nil {
		return nil
	}
	dst := b.embedded.Int32s()
	for i, id := range l.ids {
		dst[i] = row[id]
	}
	for _, i := range l.image {
		dst[i] = -1
	}
	hidden := int64(l.e.cfg.Text.HiddenSize)
	return l.e.d.RowsAdd(&binding.RowsAddArgs{X: b.body.dx.Addr(), Y: compact.Addr(), Dst: b.embedded.Addr(), N: int64(l.rows), Cols: hidden, LdX: hidden, LdY: hidden,
		RowsX: int64(l.rows), RowsY: int64(len(row))})
}

func zeros(v []float32) bool {
	for _, x := range v {
		if x != 0 {
			return false
		}
	}
	return true
}
