package optest

import "github.com/thinker-vl/thinker/binding"

// patch_embed: y [m, n] = dtype(pixels [m, k] f32) W [n, k]ᵀ.
type patchEmbed struct {
	dtype        uint32
	m, n, k, ldy int
}

func (s patchEmbed) operands() []operand {
	return []operand{
		{name: "pixels", kind: f32, rows: s.m, cols: s.k, perRow: true, gen: uniform(-1.8, 2.2)},
		{name: "w", kind: kind(s.dtype), layout: panels, rows: s.n, cols: s.k, gen: unit},
		{name: "y", role: Out, kind: kind(s.dtype), rows: s.m, cols: s.n, ld: s.ldy, perRow: true},
		{name: "workspace", role: Scratch},
	}
}

// scratch is for the pixels in bf16; the ABI states its size.
func (s patchEmbed) scratch(*binding.Device) (int, error) {
	if s.dtype == binding.F32 {
		return 0, nil
	}
	return s.m * s.k * 2, nil
}

func (s patchEmbed) args(m Memory) any {
	return &binding.PatchEmbedArgs{DType: s.dtype, Pixels: m.at("pixels"), W: m.at("w"), Y: m.at("y"), Workspace: m.at("workspace"), M: int64(s.m), N: int64(s.n), K: int64(s.k), LdY: int64(max(s.ldy, s.n))}
}

func (s patchEmbed) slice(lo, hi int) spec { s.m = hi - lo; return s }

func (s patchEmbed) reference(t tensors) {
	pixels, w := t.values("pixels"), t.values("w")
	x := make([]float32, len(pixels))
	for i, v := range pixels {
		x[i] = kind(s.dtype).round(v)
	}
	t.expect("y", refMatMul(widen(x), widen(w), nil, nil, s.m, s.n, s.k), refMatMul(x, w, nil, nil, s.m, s.n, s.k))
}

func (s patchEmbed) work() Work {
	e := float64(binding.DTypeBytes(s.dtype))
	m, n, k := float64(s.m), float64(s.n), float64(s.k)
	return Work{FLOPs: 2 * m * n * k, Read: 4*m*k + e*n*k, Written: e * m * n}
}

func patchEmbedCases() (cs []Case) {
	for _, dtype := range dtypes {
		c := func(s patchEmbed, kv ...any) Case {
			s.dtype = dtype
			return newCase("patch_embed", dtype, s, append([]any{"m", s.m, "n", s.n, "k", s.k}, kv...)...)
		}
		cs = append(cs,
			c(patchEmbed{m: 0, n: 32, k: 24}),
			c(patchEmbed{m: 1, n: 5, k: 7}),
			c(patchEmbed{m: 16, n: 32, k: 1176}),
			c(patchEmbed{m: 29, n: 160, k: 147, ldy: 170}, "strided", true),
		)
		if dtype == binding.BF16 {
			cs = append(cs, bench(c(patchEmbed{m: 1024, n: 1280, k: 1176})))
		}
	}
	return cs
}
