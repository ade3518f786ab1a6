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

TK_INLINE vf gelu_slope(vf x)
{
    vf a = v_min(v_set1(13), v_abs(x)), e, r = normal_tail(a, &e);
    vf h = v_mul(e, v_fma(a, v_set1(0.398942280401432678f), v_sub(v_zero(), r)));
    return v_select_lt(x, v_zero(), v_sub(v_zero(), h), v_add(v_set1(1), h));
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
    static void TK_SIMD(gelu_backward_##T)(const void *xv, const float *dy, float *dx, int64_t n)                          \
    {                                                                                                                       \
        const type *x = xv;                                                                                                 \
        int64_t i = 0;                                                                                                      \
        for (; i + VL <= n; i += VL) v_store(dx + i, v_mul(v_load(dy + i), gelu_slope(v_get_##T(x + i))));                  \
        if (i < n) v_storen(dx + i, v_mul(v_loadn(dy + i, n - i), gelu_slope(v_getn_##T(x + i, n - i))), n - i);            \
    }

SWIGLU_BACKWARD(f32, float)
SWIGLU_BACKWARD(bf16, uint16_t)
GELU_BACKWARD(f32, float)
GELU_BACKWARD(bf16, uint16_t)
