package optest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"github.com/thinker-vl/thinker/binding"
)

// A Case is one op at one size. The zero Case is of no use; they come from [Cases].
type Case struct {
	Op    string // the op's name in the ABI, "matmul"
	Name  string // its sizes as key=value pairs, joined by slashes
	DType uint32 // the storage type: binding.F32 or binding.BF16
	Bench bool   // for benchmarks: too large for the reference
	Seed  uint64 // of the operands' contents

	spec spec
}

func (c Case) String() string { return c.Op + "/" + c.Name }

// Work is what an op cannot do without: every operand read or written once, and the arithmetic of its definition. Where the ABI's
// layout scatters an operand over memory, in packed weights and KV pages, whole lines of 64 bytes count.
type Work struct {
	FLOPs         float64
	Read, Written float64 // bytes
}

// Work returns the case's floor.
func (c Case) Work() Work { return c.spec.work() }

// A Role says what an op does with an operand.
type Role uint8

// The roles of operands.
const (
	In    Role = iota
	Out        // every element is written
	InOut      // read and written
	Scratch
)

// A Region is an operand's memory, for callers that place operands themselves.
type Region struct {
	Name  string // of the field of the args struct, in lower case
	Role  Role
	Bytes int
	Float bool   // holds elements of a float dtype
	Data  []byte // what an operand that holds no floats must contain, nil for others
}

// Regions lists the operands that the case needs. Scratch memory whose size depends on the back-end is asked of d.
func (c Case) Regions(d *binding.Device) ([]Region, error) {
	var rs []Region
	for _, o := range c.spec.operands() {
		if err := o.measure(c.spec, d); err != nil {
			return nil, err
		}
		r := Region{Name: o.name, Role: o.role, Bytes: o.size(), Float: o.kind.float()}
		if o.role != Scratch && !r.Float {
			r.Data = o.integers()
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// Memory is where operands lie, by name.
type Memory map[string]Place

// A Place is a piece of a device's memory.
type Place struct {
	Addr  uint64
	Bytes int
}

// at is the address of an operand, 0 for one that is absent.
func (m Memory) at(name string) uint64 { return m[name].Addr }

func (m Memory) bytes(name string) uint64 { return uint64(m[name].Bytes) }

// Args returns the op's args struct (*binding.MatMulArgs and so on) with its operands in m, for [Call].
func (c Case) Args(m Memory) any { return c.spec.args(m) }

// Call runs the op that args belongs to.
func Call(d *binding.Device, args any) error {
	switch a := args.(type) {
	case *binding.FillArgs:
		return d.Fill(a)
	case *binding.CastArgs:
		return d.Cast(a)
	case *binding.AddArgs:
		return d.Add(a)
	case *binding.RowsArgs:
		return d.Rows(a)
	case *binding.PackArgs:
		return d.Pack(a)
	case *unpackArgs:
		return d.Unpack(&a.PackArgs)
	case *binding.MatMulArgs:
		return d.MatMul(a)
	case *binding.EmbedArgs:
		return d.Embed(a)
	case *binding.PatchEmbedArgs:
		return d.PatchEmbed(a)
	case *binding.RMSNormArgs:
		return d.RMSNorm(a)
	case *binding.SwiGLUArgs:
		return d.SwiGLU(a)
	case *binding.GELUArgs:
		return d.GELU(a)
	case *binding.RopeTableArgs:
		return d.RopeTable(a)
	case *binding.RopeArgs:
		return d.Rope(a)
	case *binding.KVWriteArgs:
		return d.KVWrite(a)
	case *binding.AttentionPagedArgs:
		return d.AttentionPaged(a)
	case *binding.AttentionArgs:
		return d.Attention(a)
	case *binding.LogProbArgs:
		return d.LogProb(a)
	case *binding.SampleArgs:
		return d.Sample(a)
	case *binding.MatMulDxArgs:
		return d.MatMulDx(a)
	case *binding.MatMulDwArgs:
		return d.MatMulDw(a)
	case *binding.RMSNormBackwardArgs:
		return d.RMSNormBackward(a)
	case *binding.SwiGLUBackwardArgs:
		return d.SwiGLUBackward(a)
	case *binding.GELUBackwardArgs:
		return d.GELUBackward(a)
	case *binding.RowsAddArgs:
		return d.RowsAdd(a)
	case *binding.AttentionBackwardArgs:
		return d.AttentionBackward(a)
	case *binding.LogProbBackwardArgs:
		return d.LogProbBackward(a)
	case *binding.GroupAdvantageArgs:
		return d.GroupAdvantage(a)
	case *binding.PolicyLossArgs:
		return d.PolicyLoss(a)
	case *binding.AdamWArgs:
		return d.AdamW(a)
	case *binding.SquareSumArgs:
		return d.SquareSum(a)
	}
	return fmt.Errorf("optest: %T is no op's args", args)
}

// unpackArgs tells unpack's args from pack's, which are of the same type.
type unpackArgs struct{ binding.PackArgs }

// A spec is an op with its sizes: what each op's file implements.
type spec interface {
	operands() []operand
	args(m Memory) any
	reference(t tensors) // says what every output must be
	work() Work
}

// A rowwise op's row depends on that row of its perRow operands alone; slice is the op over rows lo to hi.
type rowwise interface {
	spec
	slice(lo, hi int) spec
}

// A scratcher needs scratch memory of a size that the back-end says.
type scratcher interface {
	scratch(d *binding.Device) (int, error)
}

// An answerer's op also writes numbers into its args struct.
type answerer interface {
	answers(args any) []float64                       // after the call
	expectAnswers(t tensors) (want, within []float64) // what each must be, and how far it may be from that
}

// A filler makes contents that are no matrix of independent numbers.
type filler interface {
	fill(t tensors, r *rand.Rand)
}

// Cases returns the table.
func Cases() []Case {
	var cs []Case
	for _, family := range []func() []Case{
		fillCases, castCases, addCases, rowsCases, packCases, matmulCases, embedCases, patchEmbedCases,
		rmsnormCases, swigluCases, geluCases, ropeTableCases, ropeCases,
		kvWriteCases, attentionPagedCases, attentionCases, logprobCases, sampleCases,
		matmulDxCases, matmulDwCases, rmsnormBackwardCases, swigluBackwardCases, geluBackwardCases, rowsAddCases,
		attentionBackwardCases, logprobBackwardCases, groupAdvantageCases, policyLossCases, adamwCases, squareSumCases,
	} {
		cs = append(cs, family()...)
	}
	return cs
}

// newCase names a case by key, value pairs; a bool that is true is named by its key alone, one that is false not at all.
func newCase(op string, dtype uint32, s spec, keyValues ...any) Case {
	var parts []string
	for i := 0; i < len(keyValues); i += 2 {
		switch v := keyValues[i+1].(type) {
		case bool:
			if v {
				parts = append(parts, fmt.Sprint(keyValues[i]))
			}
		case string:
			if v != "" {
				parts = append(parts, fmt.Sprintf("%v=%s", keyValues[i], v))
			}
		default:
			parts = append(parts, fmt.Sprintf("%v=%v", keyValues[i], v))
		}
	}
	parts = append(parts, "dtype="+kind(dtype).String())
	c := Case{Op: op, Name: strings.Join(parts, "/"), DType: dtype, spec: s}
	h := fnv.New64a()
	h.Write([]byte(c.String()))
	c.Seed = h.Sum64()
	return c
}

// bench marks a case as a benchmark's.
func bench(c Case) Case {
	c.Bench = true
	return c
}

// dtypes are the two storage types.
var dtypes = [...]uint32{binding.F32, binding.BF16}
