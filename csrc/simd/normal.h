// normal.h - the tail of the normal distribution, for gelu and its derivative.
//
// F(-a) = erfc(a / sqrt 2) / 2 = e^(-a^2/2) R(a) for a >= 0. R is smooth in q = (a - 3.75)/(a + 3.75): a polynomial of degree 9, fitted to
// least relative error over 0 <= a <= 13 (3e-8; 1e-7 at the end). From a = 13 on, where f32 ends, the tail is 0. The rounding errors of
// q and of a^2 are put back to first order.
#ifndef TK_SIMD_NORMAL_H
#define TK_SIMD_NORMAL_H

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

// normal_tail returns R(a), 0 <= a <= 13, and sets e to e^(-a^2/2), 0 at 13.
TK_INLINE vf normal_tail(vf a, vf *e)
{
    const vf most = v_set1(13), c = v_set1(3.75f);
    vf half = v_mul(v_set1(0.5f), a);
    vf y = v_mul(half, a);
    *e = v_select_lt(a, most, v_expneg_part(y, product_error(half, a, y)), v_zero());
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
    return v_fma(p, q, v_set1(1.000392064e-01f));
}

#endif
