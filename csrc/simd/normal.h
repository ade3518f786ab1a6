// normal.h - the tail of the normal distribution, for gelu and its derivative.
//
// F(-a) = erfc(a / sqrt 2) / 2 = e^(-a^2/2) R(a) for 0 <= a <= NORMAL_MOST. R is smooth in q = (a - 3.75)/(a + 3.75): a polynomial of
// degree 9, fitted to least relative error over 0 <= a <= 13 (3e-8; 1e-7 at the end). a^2 is not rounded. The tail is within 5e-7 of
// itself; from a = 13.2 on, where f32 has no normal numbers, it is less than the least of them.
#ifndef TK_SIMD_NORMAL_H
#define TK_SIMD_NORMAL_H

#include "expneg.h"

#define NORMAL_MOST 20.0f

// square_plus is a^2 + b rounded once, for b of few bits.
TK_INLINE vf square_plus(vf a, vf b)
{
#if TK_ISA_LEVEL >= 2
    return v_fma(a, a, b);
#else
    const vf split = v_set1(4097);  // Veltkamp's splitting, for want of a fused multiply-add
    vf p = v_mul(a, a), ca = v_mul(a, split), ah = v_sub(ca, v_sub(ca, a)), al = v_sub(a, ah), cross = v_mul(ah, al);
    vf over = v_sub(v_sub(v_sub(p, v_mul(ah, ah)), v_add(cross, cross)), v_mul(al, al));
    return v_sub(v_add(p, b), over);
#endif
}

// normal_begin sets t to n + 1.5 2^23, r and q, and normal_end p to R(a) and e to e^(-r/2): a^2 = n 2 ln 2 + r, and R(a) e 2^-n is F(-a).
// The exponential is expneg_wide_poly's.
TK_INLINE void normal_begin(const vf *a, vf *t, vf *r, vf *q)
{
    const vf to_int = v_const(0x1.8p23f);
    { const vf c0 = v_const(3.75f); WIDE_FOR(i) q[i] = v_quotient(v_sub(a[i], c0), v_add(a[i], c0)); }
    { const vf c0 = v_const(0.72134752044448170f); WIDE_FOR(i) t[i] = v_fma(v_mul(a[i], a[i]), c0, to_int); }
    { const vf c0 = v_const(-2 * 0.693359375f); WIDE_FOR(i) r[i] = square_plus(a[i], v_mul(v_sub(t[i], to_int), c0)); }
    { const vf c0 = v_const(2 * 2.12194440e-4f); WIDE_FOR(i) r[i] = v_fma(v_sub(t[i], to_int), c0, r[i]); }
}

TK_INLINE void normal_end(const vf *r, const vf *q, vf *p, vf *e)
{
    wide_line(WIDE, e, r, 1.381455571e-03f / 64, -8.368693292e-03f / 32);
    wide_line(WIDE, p, q, -5.736798994e-05f, -5.508180493e-06f);
    wide_horner(WIDE, e, r, 4.166832566e-02f / 16);
    wide_horner(WIDE, p, q, 6.243069656e-04f);
    wide_horner(WIDE, e, r, -1.666652113e-01f / 8);
    wide_horner(WIDE, p, q, -7.178760134e-04f);
    wide_horner(WIDE, e, r, 4.999999404e-01f / 4);
    wide_horner(WIDE, p, q, -4.839681089e-03f);
    wide_horner(WIDE, e, r, -0.5f);
    wide_horner(WIDE, p, q, 2.520211972e-02f);
    wide_horner(WIDE, e, r, 1);
    wide_horner(WIDE, p, q, -6.726125628e-02f);
    wide_horner(WIDE, p, q, 1.254837364e-01f);
    wide_horner(WIDE, p, q, -1.784643233e-01f);
    wide_horner(WIDE, p, q, 1.000392064e-01f);
}

// normal_wide sets p to R(a) and e to e^(-a^2/2).
TK_INLINE void normal_wide(const vf *a, vf *p, vf *e)
{
    vf t[WIDE], r[WIDE], q[WIDE];
    normal_begin(a, t, r, q);
    normal_end(r, q, p, e);
    WIDE_FOR(i) e[i] = v_shift_down(e[i], t[i]);
}

// The same within 2^-16 for a F(-a), as much as a bf16 result keeps: that is q p e 2^-n. a R(a) is q times a polynomial of degree 5 in
// q = a/(a + 4.5125) (6e-6), e^(-a^2/2) is 2^-n 2^r with a polynomial of degree 4 in r (3e-6).
TK_INLINE void normal_begin_near(const vf *a, vf *t, vf *r, vf *q)
{
    const vf to_int = v_const(0x1.8p23f), log2e = v_const(0.72134752044448170f);
    { const vf c0 = v_const(4.5125f); WIDE_FOR(i) q[i] = v_quotient(a[i], v_add(a[i], c0)); }
    WIDE_FOR(i) r[i] = v_mul(a[i], a[i]);
    WIDE_FOR(i) t[i] = v_fma(r[i], log2e, to_int);
    WIDE_FOR(i) r[i] = v_fnma(r[i], log2e, v_sub(t[i], to_int));  // n - a^2/2 log2 e
}

TK_INLINE void normal_end_near(const vf *r, const vf *q, vf *p, vf *e)
{
    wide_line(WIDE, e, r, 9.570090215e-03f, 5.59178594e-02f);
    wide_line(WIDE, p, q, -1.132501697f, 4.663737858f);
    wide_horner(WIDE, e, r, 2.402474512e-01f);
    wide_horner(WIDE, p, q, -8.531213736f);
    wide_horner(WIDE, e, r, 6.931218149e-01f);
    wide_horner(WIDE, p, q, 9.007151940f);
    wide_horner(WIDE, e, r, 9.999992614e-01f);
    wide_horner(WIDE, p, q, -5.868674698f);
    wide_horner(WIDE, p, q, 2.256263034f);
}

#endif
