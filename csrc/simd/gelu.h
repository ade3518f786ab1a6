// gelu.h - the exact GELU over n elements, for one ISA.
//
// gelu(x) = x F(x), F the normal distribution function. With a = |x| the tail is F(-a) = erfc(a / sqrt 2) / 2 = e^(-a^2/2) R(a), and
// gelu(x) = max(x, 0) - a F(-a), so that the negative tail keeps its relative accuracy. R is smooth in q = (a - 3.75)/(a + 3.75): a
// polynomial of degree 9, fitted to least relative error over 0 <= a <= 13 (3e-8; 1e-7 at the end). From a = 13 on, where f32 ends,
// the tail is 0. The rounding errors of q and of a^2 are put back to first order. erf is within 2.4e-7, the tail within 6e-7 of
// itself. bf16 keeps 2^-9 of a result, so it is given one within 2^-16 by shorter polynomials.
// Floor: two operands of memory, or about 60 FLOPs an element (bf16: 40).
#include "dtype.h"
#include "expneg.h"

// product_error is p - a*b for p = a*b rounded.
TK_INLINE vf product_error(vf a, vf b, vf p)
{
#if TK_ISA_LEVEL >= 2
    return v_fnma(a, b, p);
#else
    const vf split = v_set1(4097);  // Veltkamp's splitting, for want of a fused multiply-add
    vf ca = v_mul(a, split), cb = v_mul(b, split);
    vf ah = v_sub(ca, v_sub(ca, a)), bh = v_sub(cb, v_sub(cb, b));
    vf al = v_sub(a, ah), bl = v_sub(b, bh);
    return v_sub(v_sub(v_sub(v_sub(p, v_mul(ah, bh)), v_mul(ah, bl)), v_mul(al, bh)), v_mul(al, bl));
#endif
}

TK_INLINE vf gelu(vf x)
{
    const vf most = v_set1(13), c = v_set1(3.75f);
    vf a = v_min(most, v_abs(x));
    vf half = v_mul(v_set1(0.5f), a);
    vf y = v_mul(half, a);
    vf e = v_expneg_part(y, product_error(half, a, y));
    e = v_select_lt(a, most, e, v_zero());
    vf t = v_rcp_near(v_add(a, c));
    vf q = v_mul(v_sub(a, c), t);
    q = v_fma(v_fnma(q, a, v_fnma(v_add(q, v_set1(1)), c, a)), t, q);
    vf p = v_set1(-5.736798994e-05f);
    p = v_fma(p, q, v_set1(-5.508180493e-06f));
    p = v_fma(p, q, v_set1(6.243069656e-04f));
    p = v_fma(p, q, v_set1(-7.178760134e-04f));
    p = v_fma(p, q, v_set1(-4.839681089e-03f));
    p = v_fma(p, q, v_set1(2.520211972e-02f));
    p = v_fma(p, q, v_set1(-6.726125628e-02f));
    p = v_fma(p, q, v_set1(1.254837364e-01f));
    p = v_fma(p, q, v_set1(-1.784643233e-01f));
    p = v_fma(p, q, v_set1(1.000392064e-01f));
    return v_fnma(v_mul(p, a), e, v_max(v_zero(), x));
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
