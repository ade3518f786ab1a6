package optest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode"

	"github.com/thinker-vl/thinker/binding"
)

// A Refusal is a call with one thing wrong with it. It must fail with binding.ErrInvalid and a message that names the op, and the
// argument or its value, and leave the outputs as they were. (But for logits that are not finite: a sampler finds them row by row.)
type Refusal struct {
	Name string

	problem  *Problem
	argument string          // as the header names it
	value    string          // that was wrong, if the message may state that instead
	spoil    func(args any)  // the args, or nil
	contents func(t tensors) // the operands' memory, or nil
	late     bool            // found out while computing: other rows may have been written
}

// Check makes the call on each device.
func (r Refusal) Check(ds ...*binding.Device) error {
	for _, d := range ds {
		if err := r.check(d); err != nil {
			return on(d, err)
		}
	}
	return nil
}

func (r Refusal) check(d *binding.Device) (err error) {
	p := &Problem{Case: r.problem.Case, order: r.problem.order, tensors: tensors{}}
	for name, t := range r.problem.tensors {
		c := *t
		c.before = append([]byte(nil), t.before...)
		p.tensors[name] = &c
	}
	if r.contents != nil {
		r.contents(p.tensors)
	}
	l, err := p.place(d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if r.spoil != nil {
		r.spoil(l.args)
	}
	got := Call(d, l.args)
	switch {
	case got == nil:
		return errors.New("was not refused")
	case !errors.Is(got, binding.ErrInvalid):
		return fmt.Errorf("refused with %w, want binding.ErrInvalid", got)
	case !strings.HasPrefix(got.Error(), "binding: "+r.problem.Op+": "):
		return fmt.Errorf("the message %q does not start with the op", got)
	case !r.named(strings.TrimPrefix(got.Error(), "binding: "+r.problem.Op)):
		return fmt.Errorf("the message %q names neither %s nor the value %s", got, r.argument, r.value)
	}
	_, err = l.read(!r.late)
	return err
}

// named reports whether a message has the argument, or the value, as a word of its own (of a name longer than two letters, as the
// beginning of a word).
func (r Refusal) named(message string) bool {
	for _, word := range strings.FieldsFunc(message, func(c rune) bool { return !(c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c)) }) {
		if word == r.argument || word == r.value || len(r.argument) > 2 && strings.HasPrefix(word, r.argument) {
			return true
		}
	}
	return false
}

// Refusals returns the table.
func Refusals() []Refusal {
	var rs []Refusal
	for _, base := range refusalBases() {
		rs = append(rs, refusedArgs(base)...)
	}
	return append(rs, refusedContents()...)
}

// refusalBases are problems with every operand present, rows without gaps, and nothing wrong with them.
func refusalBases() []*Problem {
	f, b := binding.F32, binding.BF16
	return []*Problem{
		problem("fill", f, fill{f, 8, 1}),
		problem("cast", b, cast{f, b, 3, 8, 0, 0, normal(1)}),
		problem("add", f, add{f, 8, "", normal(1)}),
		problem("rows", f, rows{dtype: f, rowsX: 4, rowsY: 4, cols: 8, n: 4, src: permutation(1, 4), dst: permutation(2, 4)}),
		problem("pack", b, pack{dtype: b, dtypeSrc: f, n: 40, k: 7, rows: 40}),
		problem("unpack", b, pack{inverse: true, dtype: b, dtypeSrc: f, n: 40, k: 7, rows: 40}),
		problem("matmul", b, matmul{dtype: b, dtypeY: f, m: 3, n: 40, k: 9, bias: true, residual: "r", x: normal(1), w: unit}),
		problem("embed", f, embed{dtype: f, m: 3, n: 40, k: 9, ids: []int32{1, 2, 3}}),
		problem("patch_embed", b, patchEmbed{dtype: b, m: 3, n: 40, k: 9}),
		problem("rmsnorm", f, rmsnorm{dtype: f, rows: 3, cols: 8, eps: 1e-6, rstd: true, x: normal(1)}),
		problem("swiglu", f, swiglu{dtype: f, rows: 3, cols: 8, gate: normal(1)}),
		problem("gelu", f, gelu{dtype: f, rows: 3, cols: 8, x: normal(1)}),
		problem("rope_table", f, ropeTable{axes: 2, n: 3, sections: []int{2, 2}, positions: func(_, i int) int32 { return int32(i) }}),
		problem("rope", f, rope{dtype: f, rows: 3, heads: 2, dim: 8, x: normal(1)}),
		problem("kv_write", b, kvWrite{dtype: b, n: 3, kvHeads: 2, dim: 16, pages: 2, slots: []int32{1, 2, 3}}),
		problem("attention_paged", b, attentionPaged{dtype: b, heads: 4, kvHeads: 2, dim: 16, nq: []int{2, 1}, kvLen: []int{70, 3}, lse: true, unseen: 1, q: normal(1)}),
		problem("attention", f, attention{dtype: f, heads: 4, kvHeads: 2, dim: 16, lengths: []int{5, 3, 2}, prefix: []int32{-1, 0, -1}, causal: true, lse: true, q: normal(1)}),
		problem("attention_backward", f, attentionBackward{attention: attention{dtype: f, heads: 4, kvHeads: 2, dim: 16, lengths: []int{5, 3, 2}, prefix: []int32{-1, 0, -1}, causal: true, q: normal(1)}}),
		problem("logprob", b, logprob{dtype: b, rows: 3, n: 40, k: 9, inv: 1, ban: func(j int) bool { return j == 39 }, targets: []int32{1, 2, 3}, entropy: true, lse: true, x: normal(1), w: normal(1)}),
		problem("matmul_dx", b, matmulDx{dtype: b, m: 3, n: 40, k: 9, dy: normal(1), w: unit}),
		problem("matmul_dw", b, matmulDw{dtype: b, m: 3, n: 40, k: 9, bias: true, dy: normal(1), x: normal(1), dw: normal(1), db: normal(1)}),
		problem("logprob_backward", b, logprobBackward{rows: 3, n: 40, k: 9, ban: func(j int) bool { return j == 39 }, targets: []int32{1, 2, 3}, entropy: true, dx: true, dw: true}.complete(b)),
		problem("sample", f, sample{rows: 3, n: 40, ban: func(j int) bool { return j == 39 }, params: sampling(3, settings()...), entropy: true, logits: normal(1)}),
		problem("rmsnorm_backward", b, rmsnormBackward{dtype: b, rows: 3, cols: 8, dw: true, accumulate: true, x: normal(1), eps: 1e-6}),
		problem("swiglu_backward", b, swigluBackward{dtype: b, rows: 3, cols: 8, gate: normal(1)}),
		problem("gelu_backward", b, geluBackward{dtype: b, rows: 3, cols: 8, x: normal(1)}),
		problem("rows_add", f, rowsAdd{rowsX: 4, rowsY: 4, cols: 8, n: 4, src: permutation(1, 4), dst: []int32{2, 1, 3, 1}, x: normal(1)}),
		problem("adamw", f, adamw{n: 9, step: 2, weightDecay: 0.1}.defaults()),
		problem("square_sum", f, squareSum{9, normal(1)}),
		problem("group_advantage", f, groupAdvantage{rewards: []float64{1, 0, 0.5, 0}, group: []int32{1, 0, 1, 0}, groups: 2, epsilon: 1e-4, stats: true}),
		problem("policy_loss", f, somePolicyLoss(7, []int{2, 3, 1}, policyLoss{kind: binding.LossClip, kl: binding.KLk3, epsilon: 0.2, high: 0.2, beta: 0.04, metrics: true})),
	}
}

// optional are the addresses that may be 0, by op and field.
func optional(op, field string) bool {
	switch field {
	case "Bias", "Residual", "Ban", "Prefix", "Db", "Dentropy":
		return true
	case "LSE":
		return !strings.HasSuffix(op, "_backward")
	case "Entropy":
		return op != "logprob_backward"
	case "Rstd":
		return op == "rmsnorm"
	case "Dw":
		return op == "rmsnorm_backward" || op == "logprob_backward"
	case "Dx":
		return op == "logprob_backward"
	case "Src", "Dst":
		return op == "rows" || op == "rows_add"
	case "Mean", "Std", "Count":
		return op == "group_advantage"
	case "Old", "Ref", "Kl", "Low", "High":
		return op == "policy_loss"
	}
	return false
}

// headerName is a field's name in the header.
func headerName(field string) string {
	switch field {
	case "LdTable":
		return "ld_table"
	case "WorkspaceBytes":
		return "workspace"
	case "LogProb", "IDs":
		return strings.ToLower(field)
	}
	if rest, ok := strings.CutPrefix(field, "Ld"); ok {
		return "ld" + strings.ToLower(rest)
	}
	var b strings.Builder
	upper := true // the last letter
	for i, c := range field {
		isUpper := c >= 'A' && c <= 'Z'
		next := i+1 < len(field) && field[i+1] >= 'a' && field[i+1] <= 'z'
		if i > 0 && isUpper && (!upper || next) && !(i == 1 && field[:2] == "DT") && field[:i] != "KV" {
			b.WriteByte('_')
		}
		if field[:i] == "KV" {
			b.WriteByte('_')
		}
		b.WriteRune(c)
		upper = isUpper
	}
	return strings.ToLower(b.String())
}

// refusedArgs spoils the fields of a good call one by one: addresses become null, sizes negative or so large that their product
// overflows, strides shorter than a row, dtypes none.
func refusedArgs(p *Problem) []Refusal {
	var rs []Refusal
	add := func(what, value string, field int, argument string, set func(v reflect.Value)) {
		rs = append(rs, Refusal{Name: p.Op + "/" + argument + "/" + what, problem: p, argument: argument, value: value,
			spoil: func(args any) { set(argsValue(args).Field(field)) }})
	}
	v := argsValue(p.Args(Memory{}))
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name := headerName(f.Name)
		count := f.Name == "N" && f.Type.Kind() == reflect.Uint64
		switch {
		case f.Name == "Nonfinite": // an output
		case f.Name == "Step":
			for _, bad := range []int64{0, -1, math.MinInt64} {
				add(fmt.Sprint(bad), fmt.Sprint(bad), i, name, func(v reflect.Value) { v.SetInt(bad) })
			}
		case f.Name == "Accumulate":
			add("2", "2", i, name, func(v reflect.Value) { v.SetUint(2) })
		case p.Op == "adamw" && f.Type.Kind() == reflect.Float64:
			bad := []float64{math.NaN(), math.Inf(1)}
			if f.Name != "GradScale" {
				bad = append(bad, -0.5)
			}
			if strings.HasPrefix(f.Name, "Beta") {
				bad = append(bad, 1)
			}
			for _, bad := range bad {
				add(fmt.Sprint(bad), fmt.Sprint(bad), i, name, func(v reflect.Value) { v.SetFloat(bad) })
			}
		case f.Type.Kind() == reflect.Uint32 && (f.Name == "Scale" || f.Name == "Kind" || f.Name == "Level" || f.Name == "KlKind" || f.Name == "Lone" || strings.HasPrefix(f.Name, "Clamp")):
			for _, bad := range []uint64{5, math.MaxUint32} {
				add(fmt.Sprint(bad), fmt.Sprint(bad), i, name, func(v reflect.Value) { v.SetUint(bad) })
			}
		case f.Type.Kind() == reflect.Float64 && (p.Op == "group_advantage" || p.Op == "policy_loss"):
			for _, bad := range []float64{-1, math.NaN(), math.Inf(1)} {
				add(fmt.Sprint(bad), "", i, name, func(v reflect.Value) { v.SetFloat(bad) })
			}
		case f.Name == "Axes":
			add("zero", "0", i, name, func(v reflect.Value) { v.SetUint(0) })
		case strings.HasPrefix(f.Name, "DType"):
			for _, bad := range []uint64{0, 3, 1 << 31} {
				add(fmt.Sprint(bad), fmt.Sprint(bad), i, name, func(v reflect.Value) { v.SetUint(bad) })
			}
		case f.Name == "WorkspaceBytes":
			add("short", "", i, name, func(v reflect.Value) { v.SetUint(v.Uint() - min(1, v.Uint())) })
		case count:
			add("overflow", fmt.Sprint(1<<62), i, name, func(v reflect.Value) { v.SetUint(1 << 62) })
		case f.Type.Kind() == reflect.Uint64 && !optional(p.Op, f.Name):
			add("null", "", i, name, func(v reflect.Value) { v.SetUint(0) })
		case f.Type.Kind() == reflect.Int64 && strings.HasPrefix(f.Name, "Ld"):
			short := v.Field(i).Int() - 1
			if f.Name == "LdTable" {
				short-- // there is a column to spare
			}
			add("short", fmt.Sprint(short), i, name, func(v reflect.Value) { v.SetInt(short) })
			fallthrough
		case f.Type.Kind() == reflect.Int64:
			for _, bad := range []int64{-1, math.MinInt64, 1 << 62} {
				add(fmt.Sprint(bad), fmt.Sprint(bad), i, name, func(v reflect.Value) { v.SetInt(bad) })
			}
		}
	}
	return rs
}

// argsValue is the args struct, for its fields.
func argsValue(args any) reflect.Value {
	if u, ok := args.(*unpackArgs); ok {
		return reflect.ValueOf(&u.PackArgs).Elem()
	}
	return reflect.ValueOf(args).Elem()
}

// refusedContents spoils what good calls' operands hold.
func refusedContents() []Refusal {
	bases := map[string]*Problem{}
	for _, p := range refusalBases() {
		bases[p.Op] = p
	}
	var rs []Refusal
	index := func(op, operand string, at int, values ...int32) {
		for _, v := range values {
			rs = append(rs, Refusal{Name: fmt.Sprintf("%s/%s[%d]=%d", op, operand, at, v), problem: bases[op], argument: operand, value: fmt.Sprint(v),
				contents: func(t tensors) { binary.LittleEndian.PutUint32(t[operand].before[4*at:], uint32(v)) }})
		}
	}
	const largest, smallest = math.MaxInt32, math.MinInt32
	index("rows", "src", 3, -1, 4, largest, smallest)
	index("rows", "dst", 2, -1, 4, largest, smallest)
	index("rows_add", "src", 3, -1, 4, largest, smallest)
	index("rows_add", "dst", 2, -2, 4, largest, smallest)
	index("embed", "ids", 2, -1, 40, largest, smallest)
	index("rope_table", "axis", 1, -1, 2, largest)
	index("kv_write", "slots", 2, -1, 128, largest, smallest)
	index("attention_paged", "cu_q", 0, 3, -1)
	index("attention_paged", "cu_q", 1, -1, 4, smallest)
	index("attention_paged", "cu_q", 2, 1, -5)
	index("attention_paged", "kv_len", 0, 1, -1, smallest, 193) // fewer than the rows; more than the table's row holds
	index("attention_paged", "block_table", 1, -1, 4, largest, smallest)
	index("attention", "cu", 0, 6, -1)
	index("attention", "cu", 1, -1, 9, smallest)
	index("attention", "prefix", 1, 1, 2, 3, largest)
	index("attention", "prefix", 2, 1) // which has a prefix itself
	index("attention_backward", "cu", 0, 6, -1)
	index("attention_backward", "cu", 1, -1, 9, smallest)
	index("attention_backward", "prefix", 1, 1, 2, 3, largest)
	index("attention_backward", "prefix", 2, 1)
	index("logprob", "targets", 2, -1, 40, largest, smallest)
	index("logprob_backward", "targets", 2, -1, 39, 40, largest, smallest) // 39 is banned
	index("group_advantage", "group", 2, -1, 2, largest, smallest)
	index("policy_loss", "cu", 0, 1, -1)
	index("policy_loss", "cu", 1, -1, 6, smallest)
	index("policy_loss", "cu", 3, 4, 0, smallest)

	value := func(name, operand, argument string, at int, bits uint32) {
		rs = append(rs, Refusal{Name: "sample/" + name, problem: bases["sample"], argument: argument, late: operand == "logits",
			contents: func(t tensors) { binary.LittleEndian.PutUint32(t[operand].before[4*at:], bits) }})
	}
	for name, v := range map[string]float64{"nan": math.NaN(), "infinite": math.Inf(1)} {
		bits := math.Float32bits(float32(v))
		value("logits/"+name, "logits", "logit", 47, bits)
		const row1 = sampleRowBytes / 4
		value("temperature/"+name, "params", "temperature", row1+6, bits)
		value("top_p/"+name, "params", "top_p", row1+7, bits)
		value("min_p/"+name, "params", "min_p", row1+8, bits)
	}
	const row1 = sampleRowBytes / 4
	value("temperature/negative", "params", "temperature", row1+6, math.Float32bits(-1))
	value("top_p/negative", "params", "top_p", row1+7, math.Float32bits(-0.5))
	value("top_p/above", "params", "top_p", row1+7, math.Float32bits(1.5))
	value("min_p/negative", "params", "min_p", row1+8, math.Float32bits(-0.5))
	value("min_p/above", "params", "min_p", row1+8, math.Float32bits(1.5))
	value("top_k/negative", "params", "top_k", row1+9, 0xffffffff)
	rs = append(rs, lossRefusals(bases["group_advantage"], bases["policy_loss"])...)
	return append(rs, Refusal{Name: "sample/ban/all", problem: bases["sample"], argument: "ban",
		contents: func(t tensors) {
			for i := range t["ban"].before {
				t["ban"].before[i] = 0xff
			}
		}})
}
