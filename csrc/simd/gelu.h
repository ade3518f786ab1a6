// gelu.h - the exact GELU over n elements, for one ISA.
//
// gelu(x) = x F(x), F the normal distribution function. With a = |x| the tail is F(-a) = erfc(a / sqrt 2) / 2 = e^(-a^2/2) R(a), and
// gelu(x) = max(x, 0) - a F(-a), so that the negative tail keeps its relative accuracy. R is smooth in q = (a - 3.75)/(a + 3.75): a
// polynomial of degree 9, fitted to least relative error over 0 <= a <= 13 (3e-8; 1e-7 at the end). From a = 13 on, where f32 ends,
// the tail is 0. a^2/2 is not rounded. erf is within 3.5e-7, the tail within 5e-7 of itself. bf16 keeps 2^-9 of a result, so it is given one within 2^-16 by shorter polynomials.
// Floor: two operands of memory, or about 60 FLOPs an element (bf16: 40).
#include "expneg.h"

// half_square is a^2/2 + b rounded once, for b of few bits; half is a/2.
TK_INLINE vf half_square(vf half, vf a, vf b)
{
#if TK_ISA_LEVEL >= 2
    return v_fma(half, a, b);
#else
    const vf split = v_set1(4097);  // Veltkamp's splitting, for want of a fused multiply-add
    vf p = v_mul(half, a), ca = v_mul(a, split), ah = v_sub(ca, v_sub(ca, a)), al = v_sub(a, ah);
    vf hh = v_mul(v_set1(0.5f), ah), hl = v_mul(v_set1(0.5f), al);
    vf over = v_sub(v_sub(v_sub(v_sub(p, v_mul(hh, ah)), v_mul(hh, al)), v_mul(hl, ah)), v_mul(hl, al));
    return v_sub(v_add(p, b), over);
#endif
}

TK_INLINE void gelu_wide(const vf *x, vf *y)
{
    const vf most = v_const(13), to_int = v_const(0x1.8p23f);
    vf a[WIDE], e[WIDE], q[WIDE], p[WIDE], t[WIDE];
    WIDE_FOR(i) a[i] = v_min(most, v_abs(x[i]));
    { const vf c0 = v_const(0.5f); WIDE_FOR(i) p[i] = v_mul(c0, a[i]); }
    { const vf c0 = v_const(-1.44269504088896341f); WIDE_FOR(i) t[i] = v_fma(v_mul(p[i], a[i]), c0, to_int); }
    WIDE_FOR(i) q[i] = v_sub(t[i], to_int);
    { const vf c0 = v_const(0.693359375f); WIDE_FOR(i) p[i] = half_square(p[i], a[i], v_mul(q[i], c0)); }
    { const vf c0 = v_const(-2.12194440e-4f); WIDE_FOR(i) p[i] = v_fma(q[i], c0, p[i]); }
    expneg_wide_poly(WIDE, p, t, e);
    WIDE_FOR(i) e[i] = v_select_lt(a[i], most, e[i], v_zero());
    { const vf c0 = v_const(3.75f), c1 = v_const(7.5f), c2 = v_const(1); WIDE_FOR(i) q[i] = v_fnma(v_rcp(v_add(a[i], c0)), c1, c2); }
    wide_line(WIDE, p, q, -5.736798994e-05f, -5.508180493e-06f);
    wide_horner(WIDE, p, q, 6.243069656e-04f);
    wide_horner(WIDE, p, q, -7.178760134e-04f);
    wide_horner(WIDE, p, q, -4.839681089e-03f);
    wide_horner(WIDE, p, q, 2.520211972e-02f);
    wide_horner(WIDE, p, q, -6.726125628e-02f);
    wide_horner(WIDE, p, q, 1.254837364e-01f);
    wide_horner(WIDE, p, q, -1.784643233e-01f);
    wide_horner(WIDE, p, q, 1.000392064e-01f);
    WIDE_FOR(i) y[i] = v_fnma(v_mul(p[i], a[i]), e[i], v_max(v_zero(), x[i]));
}

// gelu_wide_near is gelu within 2^-16: R(a) is t times a polynomial of degree 5 in t = 1/(a + 4.5125) (6e-6), e^-r one of degree 4 (5e-6).
TK_INLINE void gelu_wide_near(const vf *x, vf *y)
{
    const vf most = v_set1(13);
    vf a[WIDE], e[WIDE], t[WIDE], p[WIDE];
    WIDE_FOR(i) a[i] = v_min(most, v_abs(x[i]));
    { const vf c0 = v_const(4.5125f); WIDE_FOR(i) t[i] = v_rcp(v_add(a[i], c0)); }
    { const vf c0 = v_const(0.5f); WIDE_FOR(i) p[i] = v_mul(v_mul(c0, a[i]), a[i]); }
    expneg_wide_near(p, e);
    wide_line(WIDE, p, t, 2.119302490e+03f, -4.143605347e+02f);
    wide_horner(WIDE, p, t, 1.104439850e+02f);
    wide_horner(WIDE, p, t, 1.436054707e+00f);
    wide_horner(WIDE, p, t, 2.056252956e+00f);
    wide_horner(WIDE, p, t, 3.947510719e-01f);
    WIDE_FOR(i) t[i] = v_select_lt(a[i], most, v_mul(t[i], a[i]), v_zero());
    WIDE_FOR(i) y[i] = v_fnma(v_mul(p[i], t[i]), e[i], v_max(v_zero(), x[i]));
}

#define GELU_ROW(T, type, f)                                                                        \
    TK_INLINE void gelu_step_##T(const type *x, type *y)                                            \
    {                                                                                               \
        vf in[WIDE], out[WIDE];                                                                     \
        wide_get_##T(x, in);                                                                        \
        f(in, out);                                                                                 \
        wide_put_##T(y, out);                                                                       \
    }                                                                                               \
    static void TK_SIMD(gelu_##T)(const void *xv, void *yv, int64_t n)                              \
    {                                                                                               \
        const type *x = xv;                                                                         \
        type *y = yv;                                                                               \
        int64_t i = 0;                                                                              \
        for (; i + WIDE_LANES <= n; i += WIDE_LANES) gelu_step_##T(x + i, y + i);                   \
        if (i == n) return;                                                                         \
        type last[2][WIDE_LANES] = {{0}};                                                           \
        const size_t bytes = (size_t)(n - i) * sizeof *y;                                           \
        memcpy(last[0], x + i, bytes);                                                              \
        gelu_step_##T(last[0], last[1]);                                                            \
        memcpy(y + i, last[1], bytes);                                                              \
    }

GELU_ROW(f32, float, gelu_wide)
GELU_ROW(bf16, uint16_t, gelu_wide_near)
