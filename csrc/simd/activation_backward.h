// activation_backward.h - the gradients of silu(gate) up and of the exact GELU over n elements, for one ISA.
//
// silu: with e = e^-|gate|, the sigmoid s and its complement q = 1 - s are 1/(1 + e) and e/(1 + e), or the other way round below 0, so
// neither loses its tail; silu'(gate) = s (1 + gate q). Nothing overflows for finite operands but their products with dy.
// Floor: three operands read and two written, or about 38 FLOPs an element.
//
// gelu: gelu'(x) = F(x) + x f(x). With a = |x|, F(-a) = e R(a) and f(a) = e / sqrt(2 pi), both of one e = e^(-a^2/2) (normal.h), this
// is 1 + h for x >= 0 and -h below, h = e (a / sqrt(2 pi) - R(a)): the negative tail keeps its relative accuracy.
// Floor: two operands read and one written, or about 60 FLOPs an element.
#include "dtype.h"
#include "expneg.h"
#include "normal.h"

TK_INLINE void swiglu_backward(vf gate, vf up, vf dy, vf *dgate, vf *dup)
{
    vf e = v_expneg(v_abs(gate));
    vf large = v_rcp(v_add(v_set1(1), e)), small = v_mul(e, large);
    vf s = v_select_lt(gate, v_zero(), small, large), q = v_select_lt(gate, v_zero(), large, small);
    *dup = v_mul(dy, v_mul(gate, s));
    *dgate = v_mul(v_mul(dy, up), v_mul(s, v_fma(gate, q, v_set1(1))));
}

// gelu_slope_wide multiplies dy by gelu'(x).
TK_INLINE void gelu_slope_wide(const vf *x, const vf *dy, vf *dx)
{
    vf a[WIDE], e[WIDE], p[WIDE];
    { const vf c0 = v_const(NORMAL_MOST); WIDE_FOR(i) a[i] = v_min(c0, v_abs(x[i])); }
    normal_wide(a, p, e);
    { const vf c0 = v_const(0.398942280401432678f); WIDE_FOR(i) p[i] = v_fnma(a[i], c0, p[i]); }  // h = -p e
    WIDE_FOR(i) p[i] = v_select_lt(x[i], v_zero(), v_mul(p[i], e[i]), v_fnma(p[i], e[i], v_set1(1)));
    WIDE_FOR(i) dx[i] = v_mul(dy[i], p[i]);
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
