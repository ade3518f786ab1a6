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

// normal_near sets p to -log2 F(-a) within 3e-5 (and what rounds in a p of up to 127), as much as a bf16 result keeps of F(-a), for 0 <= a <= NORMAL_NEAR_MOST, where 2^-p is 0: what
// is nearly a parabola is a polynomial of degree 9, without a quotient; even and odd terms apart, lest they wait for one another.
#define NORMAL_NEAR_MOST 13.0f

TK_INLINE void normal_near(const vf *a, vf *p)
{
    vf q[WIDE], s[WIDE];
    WIDE_FOR(i) s[i] = v_mul(a[i], a[i]);
    wide_line(WIDE, p, s, 2.01239516e-09f, 4.617326292e-06f);
    wide_line(WIDE, q, s, -1.452877274e-07f, -8.553007716e-05f);
    wide_horner(WIDE, p, s, 1.034397522e-03f);
    wide_horner(WIDE, q, s, -8.723311703e-03f);
    wide_horner(WIDE, p, s, 5.408888128e-02f);
    wide_horner(WIDE, q, s, 4.586362851e-01f);
    wide_horner(WIDE, p, s, 1.151050987f);
    wide_horner(WIDE, q, s, 1.000025719f);
    WIDE_FOR(i) p[i] = v_fma(p[i], a[i], q[i]);
}

#endif
