// swiglu.h - silu(gate) * up over n elements, for one ISA.
//
// silu(z) = z / (1 + e^-z). z is cut at -87.3, below which f32 ends: e^-z cannot overflow, and the negative tail keeps the relative
// accuracy of the exponential. bf16 keeps 2^-9 of a result, so its exponential is a shorter one.
// Floor: three operands of memory, or about 20 FLOPs an element.
#include "expneg.h"

// f32 waits for memory, which vectors held in L1 would only add to. bf16 goes in three parts: swiglu_begin holds z up, and r and t of e^-z
// (expneg.h); swiglu_middle makes 1 + e^-z of these.
TK_INLINE void swiglu_step_f32(const float *g, const float *u, float *y)
{
    vf z[WIDE], s[WIDE], t[WIDE], r[WIDE];
    wide_get_f32(g, z);
    { const vf c0 = v_const(-EXPNEG_MOST); WIDE_FOR(i) z[i] = v_max(c0, z[i]); }
    { const vf c0 = v_const(EXPNEG_MOST); WIDE_FOR(i) s[i] = v_min(c0, z[i]); }
    expneg_begin(s, t, r);
    expneg_wide_poly(WIDE, r, t, s);
    { const vf c0 = v_const(1); WIDE_FOR(i) s[i] = v_add(s[i], c0); }
    WIDE_FOR(i) s[i] = v_quotient(v_mul(z[i], v_load(u + i * VL)), s[i]);  // a NaN gate comes through z
    wide_put_f32(y, s);
}

// swiglu_ahead asks for a step's line 1 KB further on: bf16 computes long enough on each for the processor's own prefetching to fall behind,
// by 5 to 10 % (f32 does not).
TK_INLINE void swiglu_ahead(const uint16_t *p, const int write)
{
    for (int i = 0; i < WIDE_LANES; i += 32) {
        const void *line = (const void *)((uintptr_t)(p + i) + 1024);
        if (write) __builtin_prefetch(line, 1, 3);
        else __builtin_prefetch(line, 0, 3);
    }
}

TK_INLINE void swiglu_begin(const uint16_t *g, const uint16_t *u, float *held)
{
    vf z[WIDE], y[WIDE], t[WIDE], r[WIDE];
    swiglu_ahead(g, 0), swiglu_ahead(u, 0);
    wide_get_bf16(g, z), wide_get_bf16(u, y);
    { const vf c0 = v_const(-EXPNEG_MOST); WIDE_FOR(i) z[i] = v_max(c0, z[i]); }
    WIDE_FOR(i) v_store(WIDE_HELD(held, 0, i), v_mul(z[i], y[i]));
    { const vf c0 = v_const(EXPNEG_MOST); WIDE_FOR(i) y[i] = v_min(c0, z[i]); }
    const vf to_eighths = v_const(TO_EIGHTHS), slope = v_const(-1.44269504088896341f);
    WIDE_FOR(i) t[i] = v_fma(y[i], slope, to_eighths);
    WIDE_FOR(i) r[i] = v_fma(y[i], slope, v_sub(to_eighths, t[i]));
    WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), r[i]);
    WIDE_FOR(i) v_store(WIDE_HELD(held, 2, i), t[i]);
}

TK_INLINE void swiglu_middle(float *held)
{
    vf r[WIDE], t[WIDE], e[WIDE];
    WIDE_FOR(i) r[i] = v_load(WIDE_HELD(held, 1, i));
    WIDE_FOR(i) t[i] = v_load(WIDE_HELD(held, 2, i));
    pow2_near(r, e);
    { const vf c0 = v_const(1); WIDE_FOR(i) v_store(WIDE_HELD(held, 1, i), v_fma(e[i], v_pow2(t[i]), c0)); }
}

TK_INLINE void swiglu_end(uint16_t *y, const float *held)
{
    vf s[WIDE];
    swiglu_ahead(y, 1);
    WIDE_FOR(i) s[i] = v_quotient(v_load(WIDE_HELD(held, 0, i)), v_load(WIDE_HELD(held, 1, i)));
    wide_put_bf16_clean(y, s);
}

TK_INLINE void swiglu_step_bf16(const uint16_t *g, const uint16_t *u, uint16_t *y)
{
    float held[3 * WIDE_LANES];
    swiglu_begin(g, u, held), swiglu_middle(held), swiglu_end(y, held);
}

TK_INLINE void swiglu_steps_f32(const float *g, const float *u, float *y, int64_t whole)
{
    for (int64_t i = 0; i < whole; i += WIDE_LANES) swiglu_step_f32(g + i, u + i, y + i);
}

TK_INLINE void swiglu_steps_bf16(const uint16_t *g, const uint16_t *u, uint16_t *y, int64_t whole)
{
#define SWIGLU_BEGIN(i, held) swiglu_begin(g + (i), u + (i), held)
#define SWIGLU_END(i, held) swiglu_end(y + (i), held)
    if (whole > 0) WIDE_IN_THREE(3 * WIDE, whole, SWIGLU_BEGIN, swiglu_middle, SWIGLU_END);
#undef SWIGLU_BEGIN
#undef SWIGLU_END
}

#define SWIGLU_ROW(T, type)                                                                                            \
    static void TK_SIMD(swiglu_##T)(const void *gv, const void *uv, void *yv, int64_t n)                               \
    {                                                                                                                  \
        const type *g = gv, *u = uv;                                                                                   \
        type *y = yv;                                                                                                  \
        const int64_t whole = n / WIDE_LANES * WIDE_LANES;                                                             \
        swiglu_steps_##T(g, u, y, whole);                                                                              \
        if (whole == n) return;                                                                                        \
        type last[3][WIDE_LANES] = {{0}};                                                                              \
        const size_t bytes = (size_t)(n - whole) * sizeof *y;                                                          \
        memcpy(last[0], g + whole, bytes), memcpy(last[1], u + whole, bytes);                                          \
        swiglu_step_##T(last[0], last[1], last[2]);                                                                    \
        memcpy(y + whole, last[2], bytes);                                                                             \
    }

SWIGLU_ROW(f32, float)
SWIGLU_ROW(bf16, uint16_t)
