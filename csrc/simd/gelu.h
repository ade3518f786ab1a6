// gelu.h - the exact GELU over n elements, for one ISA.
//
// gelu(x) = x F(x), F the normal distribution function. With a = |x| this is max(x, 0) - a F(-a), so that the negative tail keeps its
// relative accuracy (normal.h). bf16 keeps 2^-9 of a result, so its tail is a shorter one.
// Floor: two operands of memory, or about 60 FLOPs an element (bf16: 40).
#include "normal.h"

// gelu_begin holds q, r, 2^-n times a (bf16: times q) and max(x, 0) of a step, gelu_end goes on with them.
#define GELU_ROW(T, type, near)                                                                                    \
    TK_INLINE void gelu_begin_##T(const type *x, float *held)                                                      \
    {                                                                                                              \
        vf a[WIDE], t[WIDE], r[WIDE], q[WIDE];                                                                     \
        wide_get_##T(x, a);                                                                                        \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 3, i), v_max(v_zero(), a[i]));                                         \
        { const vf c0 = v_const(NORMAL_MOST); WIDE_FOR(i) a[i] = v_min(c0, v_abs(a[i])); }                         \
        if (near) normal_begin_near(a, t, r, q);                                                                   \
        else normal_begin(a, t, r, q);                                                                             \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 0, i), q[i]);                                                          \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), r[i]);                                                          \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 2, i), v_shift_down(near ? q[i] : a[i], t[i]));                        \
    }                                                                                                              \
    TK_INLINE void gelu_end_##T(type *y, const float *held)                                                        \
    {                                                                                                              \
        vf r[WIDE], q[WIDE], p[WIDE], e[WIDE];                                                                     \
        WIDE_FOR(i) q[i] = v_load(WIDE_HELD(held, 0, i));                                                          \
        WIDE_FOR(i) r[i] = v_load(WIDE_HELD(held, 1, i));                                                          \
        if (near) normal_end_near(r, q, p, e);                                                                     \
        else normal_end(r, q, p, e);                                                                               \
        WIDE_FOR(i) p[i] = v_mul(p[i], e[i]);                                                                      \
        WIDE_FOR(i) p[i] = v_fnma(p[i], v_load(WIDE_HELD(held, 2, i)), v_load(WIDE_HELD(held, 3, i)));             \
        wide_put_##T##_clean(y, p);                                                                                \
    }                                                                                                              \
    static void TK_SIMD(gelu_##T)(const void *xv, void *yv, int64_t n)                                             \
    {                                                                                                              \
        const type *x = xv;                                                                                        \
        type *y = yv;                                                                                              \
        const int64_t whole = n / WIDE_LANES * WIDE_LANES;                                                         \
        if (whole > 0) WIDE_IN_TWO(4 * WIDE, whole, GELU_BEGIN_##T, GELU_END_##T);                                 \
        if (whole == n) return;                                                                                    \
        type last[WIDE_LANES] = {0};                                                                               \
        float held[4 * WIDE_LANES];                                                                                \
        const size_t bytes = (size_t)(n - whole) * sizeof *y;                                                      \
        memcpy(last, x + whole, bytes);                                                                            \
        gelu_begin_##T(last, held), gelu_end_##T(last, held);                                                      \
        memcpy(y + whole, last, bytes);                                                                            \
    }

#define GELU_BEGIN_f32(i, held) gelu_begin_f32(x + (i), held)
#define GELU_END_f32(i, held) gelu_end_f32(y + (i), held)
#define GELU_BEGIN_bf16(i, held) gelu_begin_bf16(x + (i), held)
#define GELU_END_bf16(i, held) gelu_end_bf16(y + (i), held)

GELU_ROW(f32, float, 0)
GELU_ROW(bf16, uint16_t, 1)
