// gelu.h - the exact GELU over n elements, for one ISA.
//
// gelu(x) = x F(x), F the normal distribution function. With a = |x| this is max(x, 0) - a F(-a), so that the negative tail keeps its
// relative accuracy (normal.h). bf16 keeps 2^-9 of a result, so its tail is a shorter one.
// Floor: two operands of memory, or about 60 FLOPs an element (bf16: 35).
#include "normal.h"

// f32: gelu_begin holds max(x, 0), 2^-n a, r and q of a step (normal.h), gelu_end goes on with them.
TK_INLINE void gelu_begin_f32(const float *x, float *held)
{
    vf a[WIDE], t[WIDE], r[WIDE], q[WIDE];
    wide_get_f32(x, a);
    WIDE_FOR(i) v_store(WIDE_HELD(held, 0, i), v_max(v_zero(), a[i]));
    { const vf c0 = v_const(NORMAL_MOST); WIDE_FOR(i) a[i] = v_min(c0, v_abs(a[i])); }
    normal_begin(a, t, r, q);
    WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), v_shift_down(a[i], t[i]));
    WIDE_FOR(i) v_store(WIDE_HELD(held, 2, i), r[i]);
    WIDE_FOR(i) v_store(WIDE_HELD(held, 3, i), q[i]);
}

TK_INLINE void gelu_end_f32(float *y, const float *held)
{
    vf r[WIDE], q[WIDE], p[WIDE], e[WIDE];
    WIDE_FOR(i) r[i] = v_load(WIDE_HELD(held, 2, i));
    WIDE_FOR(i) q[i] = v_load(WIDE_HELD(held, 3, i));
    normal_end(r, q, p, e);
    WIDE_FOR(i) p[i] = v_mul(p[i], e[i]);
    WIDE_FOR(i) p[i] = v_fnma(p[i], v_load(WIDE_HELD(held, 1, i)), v_load(WIDE_HELD(held, 0, i)));
    wide_put_f32(y, p);
}

// bf16: gelu_begin holds max(x, 0), a and the logarithm of the tail, gelu_end makes its power of two.
TK_INLINE void gelu_begin_bf16(const uint16_t *x, float *held)
{
    vf a[WIDE], p[WIDE];
    wide_get_bf16(x, a);
    WIDE_FOR(i) v_store(WIDE_HELD(held, 0, i), v_max(v_zero(), a[i]));
    { const vf c0 = v_const(NORMAL_NEAR_MOST); WIDE_FOR(i) a[i] = v_min(c0, v_abs(a[i])); }
    WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), a[i]);
    normal_near(a, p);
    WIDE_FOR(i) v_store(WIDE_HELD(held, 2, i), p[i]);
}

TK_INLINE void gelu_end_bf16(uint16_t *y, const float *held)
{
    vf p[WIDE], t[WIDE], r[WIDE], e[WIDE];
    WIDE_FOR(i) p[i] = v_load(WIDE_HELD(held, 2, i));
    const vf to_eighths = v_const(TO_EIGHTHS);
    WIDE_FOR(i) t[i] = v_sub(to_eighths, p[i]);
    WIDE_FOR(i) r[i] = v_sub(v_sub(to_eighths, t[i]), p[i]);
    pow2_near(r, e);
    WIDE_FOR(i) e[i] = v_mul(e[i], v_load(WIDE_HELD(held, 1, i)));
    WIDE_FOR(i) e[i] = v_fnma(e[i], v_pow2(t[i]), v_load(WIDE_HELD(held, 0, i)));
    wide_put_bf16_clean(y, e);
}

#define GELU_ROW(T, type)                                                                              \
    static void TK_SIMD(gelu_##T)(const void *xv, void *yv, int64_t n)                                 \
    {                                                                                                  \
        const type *x = xv;                                                                            \
        type *y = yv;                                                                                  \
        const int64_t whole = n / WIDE_LANES * WIDE_LANES;                                             \
        if (whole > 0) WIDE_IN_TWO(4 * WIDE, whole, GELU_BEGIN_##T, GELU_END_##T);                     \
        if (whole == n) return;                                                                        \
        type last[WIDE_LANES] = {0};                                                                   \
        float held[4 * WIDE_LANES];                                                                    \
        const size_t bytes = (size_t)(n - whole) * sizeof *y;                                          \
        memcpy(last, x + whole, bytes);                                                                \
        gelu_begin_##T(last, held), gelu_end_##T(last, held);                                          \
        memcpy(y + whole, last, bytes);                                                                \
    }

#define GELU_BEGIN_f32(i, held) gelu_begin_f32(x + (i), held)
#define GELU_END_f32(i, held) gelu_end_f32(y + (i), held)
#define GELU_BEGIN_bf16(i, held) gelu_begin_bf16(x + (i), held)
#define GELU_END_bf16(i, held) gelu_end_bf16(y + (i), held)

GELU_ROW(f32, float)
GELU_ROW(bf16, uint16_t)
