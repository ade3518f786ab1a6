// activation_backward.h - the gradients of silu(gate) up and of the exact GELU over n elements, for one ISA.
//
// silu: with e = e^-|gate|, the sigmoid s and its complement q = 1 - s are 1/(1 + e) and e/(1 + e), or the other way round below 0, so
// neither loses its tail; silu'(gate) = s (1 + gate q). Nothing overflows for finite operands but their products with dy.
// Floor: three operands read and two written, or about 38 FLOPs an element.
//
// gelu: gelu'(x) = F(x) + x f(x). With a = |x|, F(-a) = e R(a) and f(a) = e / sqrt(2 pi), both of one e = e^(-a^2/2) (normal.h), this
// is 1 + h for x >= 0 and -h below, h = e (a / sqrt(2 pi) - R(a)): the negative tail keeps its relative accuracy. R is a polynomial of
// degree 7 in (a - 3)/(a + 3), e one of degree 5: h is within 4e-8 for a < 3 and 3e-7 of itself beyond, in exact arithmetic. Products
// share two of a processor's pipes with comparisons and selections, so the sign of x is put in with bits and a maximum.
// Floor: two operands read and one written, or about 45 FLOPs an element.
#include "dtype.h"
#include "expneg.h"
#include "lanes.h"
#include "normal.h"

TK_INLINE void swiglu_backward(vf gate, vf up, vf dy, vf *dgate, vf *dup)
{
    vf e = v_expdown(v_sub(v_zero(), v_abs(gate)));
    vf large = v_rcp(v_add(v_set1(1), e)), small = v_mul(e, large);
    vf s = v_select_lt(gate, v_zero(), small, large), q = v_select_lt(gate, v_zero(), large, small);
    *dup = v_mul(dy, v_mul(gate, s));
    *dgate = v_mul(v_mul(dy, up), v_mul(s, v_fma(gate, q, v_set1(1))));
}

// square_rest is a^2 - n 2 ln 2 for n near a^2 / (2 ln 2), as if a^2 = s were not rounded; c is 2 ln 2, whose f32 is off by 4e-9 only.
TK_INLINE vf square_rest(vf a, vf s, vf n, vf c)
{
#if TK_ISA_LEVEL >= 2
    return v_sub(v_fnma(n, c, s), v_fnma(a, a, s));
#else
    (void)s, (void)c;
    return v_fma(n, v_set1(2 * 2.12194440e-4f), square_plus(a, v_mul(n, v_set1(-2 * 0.693359375f))));
#endif
}

// gelu_slope_wide multiplies dy by gelu'(x). With a^2 = n 2 ln 2 + r, e is 2^-n e^(-r/2).
TK_INLINE void gelu_slope_wide(const vf *x, const vf *dy, vf *dx)
{
    const vf to_int = v_const(0x1.8p23f);
    vf a[WIDE], t[WIDE], r[WIDE], e[WIDE], p[WIDE];
    { const vf c0 = v_const(NORMAL_MOST); WIDE_FOR(i) a[i] = v_min(c0, v_abs(x[i])); }
    WIDE_FOR(i) r[i] = v_mul(a[i], a[i]);
    { const vf c0 = v_const(0.72134752044448170f); WIDE_FOR(i) t[i] = v_fma(r[i], c0, to_int); }
    { const vf c0 = v_const(1.386294365f); WIDE_FOR(i) r[i] = square_rest(a[i], r[i], v_sub(t[i], to_int), c0); }
    wide_line(WIDE, e, r, -2.5929950434e-04f, 2.6197422926e-03f);
    wide_horner(WIDE, e, r, -2.0834472943e-02f);
    wide_horner(WIDE, e, r, 1.2499722617e-01f);
    wide_horner(WIDE, e, r, -4.9999984507e-01f);
    wide_horner(WIDE, e, r, 1.0000000721f);
    WIDE_FOR(i) e[i] = v_shift_down(e[i], t[i]);
    { const vf c0 = v_const(3); WIDE_FOR(i) r[i] = v_quotient(v_sub(a[i], c0), v_add(a[i], c0)); }
    wide_line(WIDE, p, r, -3.671359512e-04f, -8.987643634e-04f);
    wide_horner(WIDE, p, r, 2.952164483e-03f);
    wide_horner(WIDE, p, r, 6.117352711e-03f);
    wide_horner(WIDE, p, r, -4.622550652e-02f);
    wide_horner(WIDE, p, r, 1.232250113e-01f);
    wide_horner(WIDE, p, r, -2.064019540e-01f);
    wide_horner(WIDE, p, r, 1.215139774e-01f);
    { const vf c0 = v_const(0.398942280401432678f); WIDE_FOR(i) p[i] = v_fnma(a[i], c0, p[i]); }
    WIDE_FOR(i) p[i] = v_mul(p[i], e[i]);  // -h
    const vi sign = v_lane1(0x80000000u), one = v_lane1(0x3f800000u);
    WIDE_FOR(i)
    {
        vi s = v_lanes_of(x[i]) & sign;
        vf flipped = v_as_f32(v_lanes_of(p[i]) ^ s ^ sign), above = v_max(v_zero(), v_as_f32(s | one));
        dx[i] = v_mul(dy[i], v_add(above, flipped));
    }
}

#define SWIGLU_BACKWARD(T, type)                                                                                            \
    static void TK_SIMD(swiglu_backward_##T)(const void *gv, const void *uv, const float *dy, float *dgate, float *dup,    \
                                             int64_t n)                                                                    \
    {                                                                                                                       \
        const type *g = gv, *u = uv;                                                                                        \
        vf a, b;                                                                                                            \
        int64_t i = 0;                                                                                                      \
        for (; i + VL <= n; i += VL) {                                                                                      \
            swiglu_backward(v_get_##T(g + i), v_get_##T(u + i), v_load(dy + i), &a, &b);                                    \
            v_store(dgate + i, a);                                                                                          \
            v_store(dup + i, b);                                                                                            \
        }                                                                                                                   \
        if (i == n) return;                                                                                                 \
        swiglu_backward(v_getn_##T(g + i, n - i), v_getn_##T(u + i, n - i), v_loadn(dy + i, n - i), &a, &b);                \
        v_storen(dgate + i, a, n - i);                                                                                      \
        v_storen(dup + i, b, n - i);                                                                                        \
    }

#define GELU_BACKWARD(T, type)                                                                                              \
    TK_INLINE void gelu_backward_step_##T(const type *x, const float *dy, float *dx)                                        \
    {                                                                                                                       \
        vf in[WIDE], d[WIDE], out[WIDE];                                                                                    \
        WIDE_FOR(i) in[i] = v_get_##T(x + i * VL);                                                                          \
        wide_get_f32(dy, d);                                                                                                \
        gelu_slope_wide(in, d, out);                                                                                        \
        wide_put_f32(dx, out);                                                                                              \
    }                                                                                                                       \
    static void TK_SIMD(gelu_backward_##T)(const void *xv, const float *dy, float *dx, int64_t n)                          \
    {                                                                                                                       \
        const type *x = xv;                                                                                                 \
        int64_t i = 0;                                                                                                      \
        for (; i + WIDE_LANES <= n; i += WIDE_LANES) gelu_backward_step_##T(x + i, dy + i, dx + i);                         \
        if (i == n) return;                                                                                                 \
        type last[WIDE_LANES] = {0};                                                                                        \
        float d[2][WIDE_LANES] = {{0}};                                                                                     \
        memcpy(last, x + i, (size_t)(n - i) * sizeof *x);                                                                   \
        memcpy(d[0], dy + i, (size_t)(n - i) * 4);                                                                          \
        gelu_backward_step_##T(last, d[0], d[1]);                                                                           \
        memcpy(dx + i, d[1], (size_t)(n - i) * 4);                                                                          \
    }

SWIGLU_BACKWARD(f32, float)
SWIGLU_BACKWARD(bf16, uint16_t)
GELU_BACKWARD(f32, float)
GELU_BACKWARD(bf16, uint16_t)
