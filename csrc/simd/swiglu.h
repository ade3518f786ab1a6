// swiglu.h - silu(gate) * up over n elements, for one ISA.
//
// silu(z) = z s(z), with s(z) = 1/(1 + e^-|z|) for z >= 0 and e^-|z|/(1 + e^-|z|) below: no overflow, and the relative accuracy
// of the exponential in the negative tail down to -87. Floor: three operands of memory, or about 32 FLOPs an element.
#include "dtype.h"
#include "expneg.h"

TK_INLINE vf swiglu(vf gate, vf up)
{
    vf e = v_expneg(v_abs(gate));
    vf s = v_mul(v_select_lt(gate, v_zero(), e, v_set1(1)), v_rcp(v_add(v_set1(1), e)));
    return v_mul(v_mul(gate, s), up);
}

#define SWIGLU_ROW(T, type)                                                                                            \
    static void TK_SIMD(swiglu_##T)(const void *gv, const void *uv, void *yv, int64_t n)                              \
    {                                                                                                                  \
        const type *g = gv, *u = uv;                                                                                   \
        type *y = yv;                                                                                                  \
        int64_t i = 0;                                                                                                 \
        for (; i + VL <= n; i += VL) v_put_##T(y + i, swiglu(v_get_##T(g + i), v_get_##T(u + i)));                     \
        if (i < n) v_putn_##T(y + i, swiglu(v_getn_##T(g + i, n - i), v_getn_##T(u + i, n - i)), n - i);               \
    }

SWIGLU_ROW(f32, float)
SWIGLU_ROW(bf16, uint16_t)
