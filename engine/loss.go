package engine

import (
	"fmt"
	"sync"

	"github.com/thinker-vl/thinker/binding"
)

// Math runs the ops that turn rewards into advantages and log-probs into losses, for those who know nothing of kernels: its arguments
// are Go slices. All is done in double precision, whatever the number of threads the engine has. Its methods may be called
// from any goroutine.
type Math struct {
	mu  sync.Mutex
	d   *binding.Device
	own bool            // d is this Math's to close
	buf *binding.Buffer // every call's operands, one after another; it grows
}

// OpenMath opens a Math without an engine, on the cpu back-end.
func OpenMath() (*Math, error) {
	d, err := binding.Open(binding.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	return &Math{d: d, own: true}, nil
}

// Math returns a Math on the engine's device. It must be closed before the engine.
func (e *Engine) Math() *Math { return &Math{d: e.d} }

// Close frees what the Math holds.
func (m *Math) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.buf.Close()
	m.buf = nil
	if m.own && err == nil {
		err = m.d.Close()
	}
	return err
}

// An AdvantageScale says by what deviation group advantages are divided.
type AdvantageScale uint32

// The group's own, that of all samples, or none.
const (
	ScaleGroup = AdvantageScale(binding.ScaleGroup)
	ScaleBatch = AdvantageScale(binding.ScaleBatch)
	ScaleNone  = AdvantageScale(binding.ScaleNone)
)

// GroupAdvantage is a call of the op group_advantage: see the ABI's header.
type GroupAdvantage struct {
	Rewards []float64 // NaN: masked
	Group   []int32   // dense numbers of the rewards' groups
	Groups  int
	Scale   AdvantageScale
	Epsilon float64
	Lone    bool // a group of one reward has mean 0 and deviation 1

	Advantages []float64 // out, one a reward
	Mean, Std  []float64 // out, one a group
	Count      []int32   // out: rewards of a group that are not masked
}

// GroupAdvantage fills in what is marked "out".
func (m *Math) GroupAdvantage(a *GroupAdvantage) error {
	n := len(a.Rewards)
	if len(a.Group) != n {
		return fmt.Errorf("engine: group advantage: %d rewards, %d group numbers", n, len(a.Group))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var l operands
	rewards, group, advantages := l.doubles(a.Rewards, n), l.ints(a.Group, n), l.doubles(nil, n)
	mean, std, count, workspace := l.doubles(nil, a.Groups), l.doubles(nil, a.Groups), l.ints(nil, a.Groups), l.doubles(nil, 2*n)
	if err := m.place(&l); err != nil {
		return err
	}
	args := binding.GroupAdvantageArgs{Scale: uint32(a.Scale), Rewards: l.addr(rewards), Group: l.addr(group), Advantages: l.addr(advantages),
		Mean: l.addr(mean), Std: l.addr(std), Count: l.addr(count), N: int64(n), Groups: int64(a.Groups), Epsilon: a.Epsilon, Lone: abiBool(a.Lone), Workspace: l.addr(workspace)}
	if err := m.d.GroupAdvantage(&args); err != nil {
		return err
	}
	a.Advantages, a.Mean, a.Std, a.Count = l.readDoubles(advantages), l.readDoubles(mean), l.readDoubles(std), l.readInts(count)
	return nil
}

// A LossKind is a formula of the loss.
type LossKind uint32

// The clipped surrogate (PPO, GRPO), CISPO with an upper bound alone or clipped on both sides, SAPO, and the negative log-likelihood.
const (
	LossClip      = LossKind(binding.LossClip)
	LossCISPO     = LossKind(binding.LossCISPO)
	LossSAPO      = LossKind(binding.LossSAPO)
	LossNLL       = LossKind(binding.LossNLL)
	LossCISPOClip = LossKind(binding.LossCISPOClip)
)

// A KLKind is an estimator of the KL divergence.
type KLKind uint32

// The estimators: see the ABI's header.
const (
	KLk1  = KLKind(binding.KLk1)
	KLk2  = KLKind(binding.KLk2)
	KLk3  = KLKind(binding.KLk3)
	KLAbs = KLKind(binding.KLAbs)
)

// PolicyLoss is a call of the op policy_loss for one sequence: see the ABI's header.
type PolicyLoss struct {
	Kind          LossKind
	SequenceLevel bool // the ratio is the sequence's
	KL            KLKind

	LogProbs, Old, Ref []float64 // Old nil: LogProbs themselves; Ref nil: no KL
	Advantages         []float64 // one a token; nil for LossNLL
	Weight             float64   // of a token's loss

	Epsilon, EpsilonHigh, Delta, DualClip, Beta, TauPos, TauNeg float64
	ClampLogRatio, ClampKL                                      bool

	Loss      float64   // out
	Grad      []float64 // out: d Loss / d LogProbs
	K3        float64   // out: the sum of k3 over the tokens
	Low, High int       // out: tokens with a ratio below and above the clip, where that matters
}

// PolicyLoss fills in what is marked "out".
func (m *Math) PolicyLoss(a *PolicyLoss) error {
	n := len(a.LogProbs)
	for _, x := range [][]float64{a.Old, a.Ref, a.Advantages} {
		if x != nil && len(x) != n {
			return fmt.Errorf("engine: policy loss: %d log-probs beside %d", n, len(x))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var l operands
	cu, logprob, weight := l.ints([]int32{0, int32(n)}, 2), l.doubles(a.LogProbs, n), l.doubles([]float64{a.Weight}, 1)
	old, ref, advantage := l.optional(a.Old), l.optional(a.Ref), l.optional(a.Advantages)
	loss, grad, kl, low, high := l.doubles(nil, 1), l.doubles(nil, n), l.doubles(nil, 1), l.ints(nil, 1), l.ints(nil, 1)
	if err := m.place(&l); err != nil {
		return err
	}
	args := binding.PolicyLossArgs{Kind: uint32(a.Kind), Level: abiBool(a.SequenceLevel), KlKind: uint32(a.KL), Cu: l.addr(cu), LogProb: l.addr(logprob),
		Old: l.addr(old), Ref: l.addr(ref), Advantage: l.addr(advantage), Weight: l.addr(weight), Loss: l.addr(loss), Grad: l.addr(grad), Kl: l.addr(kl),
		Low: l.addr(low), High: l.addr(high), Sequences: 1, Epsilon: a.Epsilon, EpsilonHigh: a.EpsilonHigh, Delta: a.Delta, DualClip: a.DualClip,
		Beta: a.Beta, TauPos: a.TauPos, TauNeg: a.TauNeg, ClampLogRatio: abiBool(a.ClampLogRatio), ClampKl: abiBool(a.ClampKL)}
	if err := m.d.PolicyLoss(&args); err != nil {
		return err
	}
	a.Loss, a.Grad, a.K3 = l.readDoubles(loss)[0], l.readDoubles(grad), 0
	if a.Ref != nil {
		a.K3 = l.readDoubles(kl)[0]
	}
	a.Low, a.High = int(l.readInts(low)[0]), int(l.readInts(high)[0])
	return nil
}

func abiBool(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// operands are arrays of 8-byte slots within one buffer.
type operands struct {
	parts []operandPart
	slots int
	buf   *binding.Buffer
}

type operandPart struct {
	doubles  []float64
	ints     []int32
	at, n    int // slots before it, elements
	isAbsent bool
}

func (l *operands) add(p operandPart, slots int) int {
	p.at = l.slots
	l.slots += slots
	l.parts = append(l.parts, p)
	return len(l.parts) - 1
}

func (l *operands) doubles(x []float64, n int) int { return l.add(operandPart{doubles: x, n: n}, n) }
func (l *operands) ints(x []int32, n int) int      { return l.add(operandPart{ints: x, n: n}, (n+1)/2) }

// optional is an operand that is absent where x is nil.
func (l *operands) optional(x []float64) int {
	return l.add(operandPart{doubles: x, n: len(x), isAbsent: x == nil}, len(x))
}

// place copies the operands into the Math's buffer.
func (m *Math) place(l *operands) error {
	if m.buf == nil || m.buf.Len() < 8*l.slots+8 {
		if err := m.buf.Close(); err != nil {
			return err
		}
		m.buf = nil
		b, err := m.d.Alloc(16*l.slots + 4096)
		if err != nil {
			return err
		}
		m.buf = b
	}
	l.buf = m.buf
	for _, p := range l.parts {
		copy(m.buf.Float64s()[p.at:], p.doubles)
		copy(m.buf.Int32s()[2*p.at:], p.ints)
	}
	return nil
}

func (l *operands) addr(i int) uint64 {
	if l.parts[i].isAbsent {
		return 0
	}
	return l.buf.Addr() + 8*uint64(l.parts[i].at)
}

func (l *operands) readDoubles(i int) []float64 {
	p := l.parts[i]
	return append([]float64{}, l.buf.Float64s()[p.at:p.at+p.n]...)
}

func (l *operands) readInts(i int) []int32 {
	p := l.parts[i]
	return append([]int32{}, l.buf.Int32s()[2*p.at:2*p.at+p.n]...)
}
