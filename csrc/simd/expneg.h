// expneg.h - e^-y for y >= 0: what norms of e^(z - max), sigmoids and normal tails need, in some 6 operations fewer than v_exp.
//
// -y = n ln 2 - r with n an integer and |r| <= ln 2 / 2; e^-r by a polynomial of degree 6 with the terms 1 - r exact, fitted to least
// relative error (3e-9). Exactly 1 at 0.
#ifndef TK_SIMD_EXPNEG_H
#define TK_SIMD_EXPNEG_H

#include "vec.h"

TK_INLINE vf v_expneg_int(vf y)
{
    const vf to_int = v_set1(0x1.8p23f);
    return v_sub(v_fma(y, v_set1(-1.44269504088896341f), to_int), to_int);
}

TK_INLINE vf v_expneg_poly(vf r, vf n)
{
    vf p = v_set1(1.381455571e-03f);
    p = v_fma(p, r, v_set1(-8.368693292e-03f));
    p = v_fma(p, r, v_set1(4.166832566e-02f));
    p = v_fma(p, r, v_set1(-1.666652113e-01f));
    p = v_fma(p, r, v_set1(4.999999404e-01f));
    p = v_fma(p, r, v_set1(-1));
    p = v_fma(p, r, v_set1(1));
    return v_scale2(p, n);
}

// v_expneg_part is e^-(y - over) for 0 <= y <= 87.3 and a small correction over. With ln 2 in two parts: within 1.1 ulp (2 without
// fused multiply-add).
TK_INLINE vf v_expneg_part(vf y, vf over)
{
    vf n = v_expneg_int(y), r = v_fma(n, v_set1(0.693359375f), y);
    return v_expneg_poly(v_sub(v_fma(n, v_set1(-2.12194440e-4f), r), over), n);
}

// v_expneg_term is e^-y for 0 <= y <= 87.3 as a term of a sum of at least 1: ln 2 rounded to f32 costs y 3e-9 of it, at most 1e-9 of the sum
// (without fused multiply-add y 6e-8 of it, at most 3e-8 of the sum).
TK_INLINE vf v_expneg_term(vf y)
{
    vf n = v_expneg_int(y);
    return v_expneg_poly(v_fma(n, v_set1(0.693147180559945309f), y), n);
}

#define EXPNEG_MOST 87.3f

// v_expneg is e^-y for y >= 0; 0 above EXPNEG_MOST (where f32 has no normal numbers); NaN stays.
TK_INLINE vf v_expneg(vf y)
{
    vf e = v_expneg_part(v_min(v_set1(EXPNEG_MOST), y), v_zero());
    return v_select_lt(v_set1(EXPNEG_MOST), y, v_zero(), e);
}

#endif
