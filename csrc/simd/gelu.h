// gelu.h - the exact GELU over n elements, for one ISA.
//
// gelu(x) = x F(x), F the normal distribution function. With a = |x| this is max(x, 0) - a F(-a), so that the negative tail keeps its
// relative accuracy (normal.h). bf16 keeps 2^-9 of a result, so its tail is a shorter one.
// Floor: two operands of memory, or about 60 FLOPs an element (bf16: 40).
#include "normal.h"

TK_INLINE void gelu_wide(int near, const vf *x, vf *y)
{
    vf a[WIDE], e[WIDE], p[WIDE];
    { const vf c0 = v_const(NORMAL_MOST); WIDE_FOR(i) a[i] = v_min(c0, v_abs(x[i])); }
    if (near) {
        normal_wide_near(WIDE / 2, a, p, e);
        normal_wide_near(WIDE / 2, a + WIDE / 2, p + WIDE / 2, e + WIDE / 2);
    } else {
        normal_wide(a, p, e);
        WIDE_FOR(i) p[i] = v_mul(p[i], a[i]);
    }
    WIDE_FOR(i) y[i] = v_fnma(p[i], e[i], v_max(v_zero(), x[i]));
}

#define GELU_ROW(T, type, near)                                                                     \
    TK_INLINE void gelu_step_##T(const type *x, type *y)                                            \
    {                                                                                               \
        vf in[WIDE], out[WIDE];                                                                     \
        wide_get_##T(x, in);                                                                        \
        gelu_wide(near, in, out);                                                                   \
        wide_put_##T(y, out);                                                                       \
    }                                                                                               \
    static void TK_SIMD(gelu_##T)(const void *xv, void *yv, int64_t n)                              \
    {                                                                                               \
        const type *x = xv;                                                                         \
        type *y = yv;                                                                               \
        int64_t i = 0;                                                                              \
        for (; i + WIDE_LANES <= n; i += WIDE_LANES) gelu_step_##T(x + i, y + i);                   \
        if (i == n) return;                                                                         \
        type last[2][WIDE_LANES] = {{0}};                                                           \
        const size_t bytes = (size_t)(n - i) * sizeof *y;                                           \
        memcpy(last[0], x + i, bytes);                                                              \
        gelu_step_##T(last[0], last[1]);                                                            \
        memcpy(y + i, last[1], bytes);                                                              \
    }

GELU_ROW(f32, float, 0)
GELU_ROW(bf16, uint16_t, 1)
