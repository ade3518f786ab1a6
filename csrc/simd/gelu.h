// gelu.h - the exact GELU over n elements, for one ISA.
//
// gelu(x) = x F(x), F the normal distribution function, = max(x, 0) - a F(-a) with a = |x|, so that the negative tail keeps its relative
// accuracy (normal.h). erf is within 2.4e-7, the tail within 6e-7 of itself. bf16 keeps 2^-9 of a result, so it is given one within
// 2^-16 by shorter polynomials.
// Floor: two operands of memory, or about 60 FLOPs an element (bf16: 40).
#include "dtype.h"
#include "normal.h"

TK_INLINE vf gelu(vf x)
{
    vf a = v_min(v_set1(13), v_abs(x)), e, r = normal_tail(a, &e);
    return v_fnma(v_mul(r, a), e, v_max(v_zero(), x));
}

// gelu_near is gelu within 2^-16: R(a) is t times a polynomial of degree 5 in t = 1/(a + 4.5125) (6e-6), e^-r one of degree 4 (5e-6).
TK_INLINE vf gelu_near(vf x)
{
    const vf most = v_set1(13), to_int = v_set1(0x1.8p23f);
    vf a = v_min(most, v_abs(x));
    vf y = v_mul(v_mul(v_set1(0.5f), a), a);
    vf n = v_sub(v_fma(y, v_set1(-1.44269504088896341f), to_int), to_int);
    vf r = v_fma(n, v_set1(0.693147180559945309f), y);
    vf e = v_set1(4.127768055e-02f);
    e = v_fma(e, r, v_set1(-1.675352901e-01f));
    e = v_fma(e, r, v_set1(5.000512004e-01f));
    e = v_fma(e, r, v_set1(-1));
    e = v_scale2(v_fma(e, r, v_set1(1)), n);
    e = v_select_lt(a, most, e, v_zero());
    vf t = v_rcp(v_add(a, v_set1(4.5125f)));
    vf p = v_set1(2.119302490e+03f);
    p = v_fma(p, t, v_set1(-4.143605347e+02f));
    p = v_fma(p, t, v_set1(1.104439850e+02f));
    p = v_fma(p, t, v_set1(1.436054707e+00f));
    p = v_fma(p, t, v_set1(2.056252956e+00f));
    p = v_fma(p, t, v_set1(3.947510719e-01f));
    return v_fnma(v_mul(p, v_mul(t, a)), e, v_max(v_zero(), x));
}

#define GELU_ROW(T, type, f)                                                                        \
    static void TK_SIMD(gelu_##T)(const void *xv, void *yv, int64_t n)                              \
    {                                                                                               \
        const type *x = xv;                                                                         \
        type *y = yv;                                                                               \
        int64_t i = 0;                                                                              \
        for (; i + VL <= n; i += VL) v_put_##T(y + i, f(v_get_##T(x + i)));                         \
        if (i < n) v_putn_##T(y + i, f(v_getn_##T(x + i, n - i)), n - i);                           \
    }

GELU_ROW(f32, float, gelu)
GELU_ROW(bf16, uint16_t, gelu_near)
