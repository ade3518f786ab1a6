package optest

import "github.com/thinker-vl/thinker/binding"

// pack: rows row0 .. row0+rows of W [n, k] go from row-major src to panels; unpack is the inverse.
type pack struct {
	inverse    bool
	dtype      uint32 // of the panels
	dtypeSrc   uint32
	n, k       int
	row0, rows int
	ld         int
}

func (s pack) operands() []operand {
	src := operand{name: "src", kind: kind(s.dtypeSrc), rows: s.rows, cols: s.k, ld: s.ld, gen: normal(1)}
	w := operand{name: "packed", role: InOut, kind: kind(s.dtype), layout: panels, rows: s.n, cols: s.k, gen: normal(1)}
	if s.inverse {
		src.role, src.gen = Out, nil
		w.role = In
	}
	return []operand{src, w}
}

func (s pack) args(m Memory) any {
	a := binding.PackArgs{DType: s.dtype, DTypeSrc: s.dtypeSrc, Src: m.at("src"), Packed: m.at("packed"), N: int64(s.n), K: int64(s.k), Row0: int64(s.row0), Rows: int64(s.rows), Ld: int64(max(s.ld, s.k))}
	if s.inverse {
		return &unpackArgs{a}
	}
	return &a
}

func (s pack) reference(t tensors) {
	src, w := t["src"], t["packed"]
	if s.inverse {
		t.expectBits("src", func(i, j int) float32 { return w.dense[(s.row0+i)*s.k+j] })
		return
	}
	t.expectBits("packed", func(i, j int) float32 {
		if i >= s.row0 && i < s.row0+s.rows {
			return src.dense[(i-s.row0)*s.k+j]
		}
		return w.dense[i*s.k+j]
	})
}

func (s pack) work() Work {
	n := float64(s.rows * s.k)
	return Work{Read: n * float64(binding.DTypeBytes(s.dtypeSrc)), Written: n * float64(binding.DTypeBytes(s.dtype))}
}

func packCases() (cs []Case) {
	for _, inverse := range []bool{false, true} {
		for _, dtype := range dtypes {
			for _, src := range dtypes {
				c := func(s pack, kv ...any) Case {
					s.inverse, s.dtype, s.dtypeSrc = inverse, dtype, src
					op := "pack"
					if inverse {
						op = "unpack"
					}
					kv = append([]any{"n", s.n, "k", s.k}, kv...)
					if s.rows != s.n {
						kv = append(kv, "rows", s.rows, "row0", s.row0)
					}
					return newCase(op, dtype, s, append(kv, "src", kind(src))...)
				}
				cs = append(cs,
					c(pack{n: 1, k: 1, rows: 1}),
					c(pack{n: 32, k: 16, rows: 32}),
					c(pack{n: 33, k: 17, rows: 33}),
					c(pack{n: 100, k: 37, rows: 100, ld: 45}, "strided", true),
					c(pack{n: 100, k: 37, rows: 45, row0: 29}),
					c(pack{n: 100, k: 64, rows: 1, row0: 99}),
					c(pack{n: 64, k: 10, rows: 0, row0: 64}),
					c(pack{n: 640, k: 129, rows: 640}),
				)
			}
			if !inverse {
				s := pack{dtype: dtype, dtypeSrc: binding.BF16, n: 11008, k: 2048, rows: 11008}
				cs = append(cs, bench(newCase("pack", dtype, s, "n", s.n, "k", s.k, "src", bf16)))
			}
		}
	}
	return cs
}
