// expneg.h - e^-y for y >= 0: what norms of e^(z - max), sigmoids and normal tails need, in some 6 operations fewer than v_exp.
//
// -y = n ln 2 - r with n an integer and |r| <= ln 2 / 2; e^-r by a polynomial of degree 6 with the terms 1 - r exact, fitted to least
// relative error (3e-9). Exactly 1 at 0.
#ifndef TK_SIMD_EXPNEG_H
#define TK_SIMD_EXPNEG_H

#include "wide.h"

TK_INLINE vf v_expneg_int(vf y)
{
    const vf to_int = v_const(0x1.8p23f);
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

#define EXPNEG_MOST 87.3f

// expneg_wide_poly is 2^m e^-r for n vectors, t = m + 1.5 2^23.
TK_INLINE void expneg_wide_poly(int n, const vf *r, const vf *t, vf *e)
{
    wide_line(n, e, r, 1.381455571e-03f, -8.368693292e-03f);
    wide_horner(n, e, r, 4.166832566e-02f);
    wide_horner(n, e, r, -1.666652113e-01f);
    wide_horner(n, e, r, 4.999999404e-01f);
    wide_horner(n, e, r, -1);
    wide_horner(n, e, r, 1);
    WIDE_FOR_OF(i, n) e[i] = v_shift_exponent(e[i], t[i]);
}

// expneg_begin gives expneg_wide_poly its r and t: e^-y is then v_expneg_part(y, 0) of WIDE vectors, bit for bit, for -87.3 <= y <= 87.3. Of a
// NaN it makes anything.
TK_INLINE void expneg_begin(const vf *y, vf *t, vf *r)
{
    const vf to_int = v_const(0x1.8p23f);
    { const vf c0 = v_const(-1.44269504088896341f); WIDE_FOR(i) t[i] = v_fma(y[i], c0, to_int); }
    { const vf c0 = v_const(0.693359375f); WIDE_FOR(i) r[i] = v_fma(v_sub(t[i], to_int), c0, y[i]); }
    { const vf c0 = v_const(-2.12194440e-4f); WIDE_FOR(i) r[i] = v_fma(v_sub(t[i], to_int), c0, r[i]); }
}

// By eighths: 2^w with w = n + r, n a multiple of 1/8 and |r| <= 1/16, is v_pow2(t) times a polynomial in r, t = n + TO_EIGHTHS. That is some
// operations fewer than with n an integer, whose polynomial is longer. 2^r is 1 + r (POW2_1 + r (POW2_2 + r POW2_3)) within 3e-8.
#define TO_EIGHTHS 0x1.8p20f
#define POW2_1 6.931472421e-01f
#define POW2_2 2.402576655e-01f
#define POW2_3 5.549621210e-02f

// v_expdown is e^d for d up to EXPNEG_MOST, of which kernels have those up to 0 but for rounding: within 1.3e-7 + 2e-8 |d| of itself (without
// fused multiply-add 1e-7 |d|), exactly 1 at 0, and 0 from -88.03 down; NaN stays.
TK_INLINE vf v_expdown(vf d)
{
    const vf to_eighths = v_set1(TO_EIGHTHS), slope = v_set1(1.44269504088896341f);
    d = v_max(v_set1(-88.03f), d);
    vf t = v_fma(d, slope, to_eighths), r = v_fma(d, slope, v_sub(to_eighths, t));
    vf p = v_fma(v_set1(POW2_3), r, v_set1(POW2_2));
    p = v_fma(p, r, v_set1(POW2_1));
    return v_mul(v_fma(p, r, v_set1(1)), v_pow2(t));
}

// What a bf16 result keeps of it: pow2_near sets p to 2^r within 4e-6, exactly 1 at 0.
TK_INLINE void pow2_near(const vf *r, vf *p)
{
    wide_line(WIDE, p, r, 2.402265070e-01f, 6.933098078e-01f);
    wide_horner(WIDE, p, r, 1);
}

// v_expneg is e^-y for y >= 0; 0 above EXPNEG_MOST (where f32 has no normal numbers); NaN stays.
TK_INLINE vf v_expneg(vf y)
{
    vf e = v_expneg_part(v_min(v_set1(EXPNEG_MOST), y), v_zero());
    return v_select_lt(v_set1(EXPNEG_MOST), y, v_zero(), e);
}

#endif
