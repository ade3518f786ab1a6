// swiglu.h - silu(gate) * up over n elements, for one ISA.
//
// silu(z) = z / (1 + e^-z). z is cut at -87.3, below which f32 ends: e^-z cannot overflow, and the negative tail keeps the relative
// accuracy of the exponential. bf16 keeps 2^-9 of a result, so its exponential is a shorter one.
// Floor: three operands of memory, or about 20 FLOPs an element.
#include "expneg.h"

TK_INLINE void swiglu_wide(int near, const vf *gate, const vf *up, vf *y)
{
    vf z[WIDE], e[WIDE];
    { const vf c0 = v_const(-EXPNEG_MOST); WIDE_FOR(i) z[i] = v_max(c0, gate[i]); }
    { const vf c0 = v_const(EXPNEG_MOST); WIDE_FOR(i) y[i] = v_min(c0, z[i]); }
    if (near) expneg_wide_near(y, e);
    else expneg_wide(y, e);
    { const vf c0 = v_const(1); WIDE_FOR(i) e[i] = v_add(e[i], c0); }
    WIDE_FOR(i) y[i] = v_quotient(v_mul(z[i], up[i]), e[i]);  // a NaN gate comes through z
}

#define SWIGLU_ROW(T, type, near)                                                                                      \
    TK_INLINE void swiglu_step_##T(const type *g, const type *u, type *y)                                              \
    {                                                                                                                  \
        vf gate[WIDE], up[WIDE], out[WIDE];                                                                            \
        wide_get_##T(g, gate), wide_get_##T(u, up);                                                                    \
        swiglu_wide(near, gate, up, out);                                                                              \
        wide_put_##T##_clean(y, out);                                                                                          \
    }                                                                                                                  \
    static void TK_SIMD(swiglu_##T)(const void *gv, const void *uv, void *yv, int64_t n)                               \
    {                                                                                                                  \
        const type *g = gv, *u = uv;                                                                                   \
        type *y = yv;                                                                                                  \
        int64_t i = 0;                                                                                                 \
        for (; i + WIDE_LANES <= n; i += WIDE_LANES) swiglu_step_##T(g + i, u + i, y + i);                             \
        if (i == n) return;                                                                                            \
        type last[3][WIDE_LANES] = {{0}};                                                                              \
        const size_t bytes = (size_t)(n - i) * sizeof *y;                                                              \
        memcpy(last[0], g + i, bytes), memcpy(last[1], u + i, bytes);                                                  \
        swiglu_step_##T(last[0], last[1], last[2]);                                                                    \
        memcpy(y + i, last[2], bytes);                                                                                 \
    }

SWIGLU_ROW(f32, float, 0)
SWIGLU_ROW(bf16, uint16_t, 1)
