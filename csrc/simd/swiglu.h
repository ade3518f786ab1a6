// swiglu.h - silu(gate) * up over n elements, for one ISA.
//
// silu(z) = z / (1 + e^-z). z is cut at -87.3, below which f32 ends: e^-z cannot overflow, and the negative tail keeps the relative
// accuracy of the exponential. bf16 keeps 2^-9 of a result, so its exponential is a shorter one.
// Floor: three operands of memory, or about 20 FLOPs an element.
#include "expneg.h"

// swiglu_begin holds z up, and r and t of the exponential of a step; swiglu_middle makes 1 + e^-z of these.
#define SWIGLU_ROW(T, type, near)                                                                                      \
    TK_INLINE void swiglu_begin_##T(const type *g, const type *u, float *held)                                         \
    {                                                                                                                  \
        vf z[WIDE], y[WIDE], t[WIDE], r[WIDE];                                                                         \
        wide_get_##T(g, z), wide_get_##T(u, y);                                                                        \
        { const vf c0 = v_const(-EXPNEG_MOST); WIDE_FOR(i) z[i] = v_max(c0, z[i]); }                                   \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 0, i), v_mul(z[i], y[i]));  /* a NaN gate comes through z */               \
        { const vf c0 = v_const(EXPNEG_MOST); WIDE_FOR(i) y[i] = v_min(c0, z[i]); }                                    \
        if (near) expneg_begin_near(y, t, r);                                                                          \
        else expneg_begin(y, t, r);                                                                                    \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), r[i]);                                                              \
        WIDE_FOR(i) v_store(WIDE_HELD(held, 2, i), t[i]);                                                              \
    }                                                                                                                  \
    TK_INLINE void swiglu_middle_##T(float *held)                                                                      \
    {                                                                                                                  \
        vf r[WIDE], t[WIDE], e[WIDE];                                                                                  \
        WIDE_FOR(i) r[i] = v_load(WIDE_HELD(held, 1, i));                                                              \
        WIDE_FOR(i) t[i] = v_load(WIDE_HELD(held, 2, i));                                                              \
        if (near) expneg_end_near(r, t, e);                                                                            \
        else expneg_wide_poly(WIDE, r, t, e);                                                                          \
        { const vf c0 = v_const(1); WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), v_add(e[i], c0)); }                     \
    }                                                                                                                  \
    TK_INLINE void swiglu_end_##T(type *y, const float *held)                                                          \
    {                                                                                                                  \
        vf s[WIDE];                                                                                                    \
        WIDE_FOR(i) s[i] = v_quotient(v_load(WIDE_HELD(held, 0, i)), v_load(WIDE_HELD(held, 1, i)));                   \
        wide_put_##T##_clean(y, s);                                                                                    \
    }                                                                                                                  \
    static void TK_SIMD(swiglu_##T)(const void *gv, const void *uv, void *yv, int64_t n)                               \
    {                                                                                                                  \
        const type *g = gv, *u = uv;                                                                                   \
        type *y = yv;                                                                                                  \
        const int64_t whole = n / WIDE_LANES * WIDE_LANES;                                                             \
        if (whole > 0) WIDE_IN_THREE(3 * WIDE, whole, SWIGLU_BEGIN_##T, swiglu_middle_##T, SWIGLU_END_##T);            \
        if (whole == n) return;                                                                                        \
        type last[2][WIDE_LANES] = {{0}};                                                                              \
        float held[3 * WIDE_LANES];                                                                                    \
        const size_t bytes = (size_t)(n - whole) * sizeof *y;                                                          \
        memcpy(last[0], g + whole, bytes), memcpy(last[1], u + whole, bytes);                                          \
        swiglu_begin_##T(last[0], last[1], held), swiglu_middle_##T(held), swiglu_end_##T(last[0], held);              \
        memcpy(y + whole, last[0], bytes);                                                                             \
    }

#define SWIGLU_BEGIN_f32(i, held) swiglu_begin_f32(g + (i), u + (i), held)
#define SWIGLU_END_f32(i, held) swiglu_end_f32(y + (i), held)
#define SWIGLU_BEGIN_bf16(i, held) swiglu_begin_bf16(g + (i), u + (i), held)
#define SWIGLU_END_bf16(i, held) swiglu_end_bf16(y + (i), held)

SWIGLU_ROW(f32, float, 0)
SWIGLU_ROW(bf16, uint16_t, 1)
