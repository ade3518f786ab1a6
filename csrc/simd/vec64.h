// vec64.h - verbs of doubles: vectors of DL = VL / 2 lanes, in GNU C's operators where they say what is meant.
//
//   - A comparison of two vd, cast to vm, is all ones in the lanes where it holds, and 0 elsewhere (also where either is NaN, but for !=).
//   - d_min and d_max return b where either is NaN.
//   - d_exp and d_expm1 are within 2 ulp, and as the C library's are beyond +-708 and for NaN.
#ifndef TK_SIMD_VEC64_H
#define TK_SIMD_VEC64_H

#include "vec.h"

enum { DL = VL / 2 };
typedef double vd __attribute__((vector_size(4 * VL)));
typedef int64_t vm __attribute__((vector_size(4 * VL)));
typedef uint64_t vu __attribute__((vector_size(4 * VL)));  // for arithmetic that wraps

TK_INLINE vd d_load(const double *p)
{
    vd x;
    memcpy(&x, p, sizeof x);
    return x;
}
TK_INLINE void d_store(double *p, vd x) { memcpy(p, &x, sizeof x); }

#if TK_ISA_LEVEL >= 3
TK_INLINE vd d_set1(double x) { return (vd)_mm512_set1_pd(x); }
TK_INLINE vd d_fma(vd a, vd b, vd c) { return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }    // a*b + c
TK_INLINE vd d_fnma(vd a, vd b, vd c) { return (vd)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }  // c - a*b
TK_INLINE vd d_min(vd a, vd b) { return (vd)_mm512_min_pd((__m512d)a, (__m512d)b); }
TK_INLINE vd d_max(vd a, vd b) { return (vd)_mm512_max_pd((__m512d)a, (__m512d)b); }
TK_INLINE vd d_sqrt(vd x) { return (vd)_mm512_sqrt_pd((__m512d)x); }
TK_INLINE int d_all(vm m) { return _mm512_movepi64_mask((__m512i)m) == 0xff; }
#elif TK_ISA_LEVEL == 2
TK_INLINE vd d_set1(double x) { return (vd)_mm256_set1_pd(x); }
TK_INLINE vd d_fma(vd a, vd b, vd c) { return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
TK_INLINE vd d_fnma(vd a, vd b, vd c) { return (vd)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
TK_INLINE vd d_min(vd a, vd b) { return (vd)_mm256_min_pd((__m256d)a, (__m256d)b); }
TK_INLINE vd d_max(vd a, vd b) { return (vd)_mm256_max_pd((__m256d)a, (__m256d)b); }
TK_INLINE vd d_sqrt(vd x) { return (vd)_mm256_sqrt_pd((__m256d)x); }
TK_INLINE int d_all(vm m) { return _mm256_movemask_pd((__m256d)m) == 15; }
#else
TK_INLINE vd d_set1(double x) { return (vd){x, x}; }
TK_INLINE vd d_fma(vd a, vd b, vd c) { return a * b + c; }
TK_INLINE vd d_fnma(vd a, vd b, vd c) { return c - a * b; }
TK_INLINE vd d_min(vd a, vd b) { return (vd){a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1]}; }
TK_INLINE vd d_max(vd a, vd b) { return (vd){a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]}; }
TK_INLINE vd d_sqrt(vd x) { return (vd){sqrt(x[0]), sqrt(x[1])}; }
TK_INLINE int d_all(vm m) { return (m[0] & m[1]) != 0; }
#endif

// d_load_part is the first n <= DL lanes, and NaN in the others.
TK_INLINE vd d_load_part(const double *p, int64_t n)
{
    if (n >= DL) return d_load(p);
#if TK_ISA_LEVEL >= 3
    return (vd)_mm512_mask_loadu_pd(_mm512_set1_pd(NAN), (__mmask8)((1u << n) - 1), p);
#elif TK_ISA_LEVEL == 2
    __m256i m = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    return (vd)_mm256_blendv_pd(_mm256_set1_pd(NAN), _mm256_maskload_pd(p, m), _mm256_castsi256_pd(m));
#else
    return (vd){p[0], NAN};
#endif
}
TK_INLINE void d_store_part(double *p, vd x, int64_t n)
{
    if (n >= DL) {
        d_store(p, x);
        return;
    }
#if TK_ISA_LEVEL >= 3
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)x);
#elif TK_ISA_LEVEL == 2
    _mm256_maskstore_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)), (__m256d)x);
#else
    p[0] = x[0];
#endif
}

// d_gather is p[at[l]] in lane l, and d_scatter its inverse, where the last lane wins.
TK_INLINE vd d_gather(const double *p, const uint32_t *at)
{
#if TK_ISA_LEVEL >= 3
    return (vd)_mm512_set_pd(p[at[7]], p[at[6]], p[at[5]], p[at[4]], p[at[3]], p[at[2]], p[at[1]], p[at[0]]);
#elif TK_ISA_LEVEL == 2
    return (vd)_mm256_set_pd(p[at[3]], p[at[2]], p[at[1]], p[at[0]]);
#else
    return (vd){p[at[0]], p[at[1]]};
#endif
}
TK_INLINE void d_scatter(double *p, const uint32_t *at, vd x)
{
    _Pragma("GCC unroll 8") for (int l = 0; l < DL; l++) p[at[l]] = x[l];
}

TK_INLINE vm d_bits(double x) { return (vm)d_set1(x); }
TK_INLINE vd d_keep(vm m, vd x) { return (vd)(m & (vm)x); }   // 0 where m is
TK_INLINE vd d_drop(vm m, vd x) { return (vd)(~m & (vm)x); }  // 0 where m is not
TK_INLINE vd d_select(vm m, vd yes, vd no) { return (vd)((m & (vm)yes) | (~m & (vm)no)); }
TK_INLINE vd d_abs(vd x) { return (vd)(~d_bits(-0.0) & (vm)x); }
TK_INLINE vd d_neg(vd x) { return (vd)(d_bits(-0.0) ^ (vm)x); }
TK_INLINE vd d_copysign(vd x, vd sign) { return (vd)(((vm)x & ~d_bits(-0.0)) | ((vm)sign & d_bits(-0.0))); }

// d_sum and d_count add the lanes by halves.
TK_INLINE double d_sum(vd x)
{
    double lane[DL];
    d_store(lane, x);
    for (int half = DL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

TK_INLINE int64_t d_count(vm x)
{
    int64_t n = 0;
    for (int l = 0; l < DL; l++) n += x[l];
    return n;
}

// d_const is x in a register, or on the stack: a constant that the compiler knows it makes anew, of general registers, wherever it is used.
TK_INLINE vd d_const(double x)
{
    vd c = d_set1(x);
#if TK_ISA_LEVEL >= 2
    __asm__ volatile("" : "+v"(c));
#endif
    return c;
}

// What exponentials need, made once for a loop.
typedef struct d_exps {
    vd to_int, log2e, ln2, ln2_rest, c[10], one, most, sign;
} d_exps;

TK_INLINE d_exps d_exps_of(void)
{
    return (d_exps){.to_int = d_const(0x1.8p52), .log2e = d_const(0x1.71547652b82fep+0), .ln2 = d_const(0x1.62e42feep-1),
                    .ln2_rest = d_const(0x1.a39ef35793c76p-33), .one = d_const(1), .most = d_const(708), .sign = d_const(-0.0),
                    .c = {d_const(0.5), d_const(0x1.555555555554dp-3), d_const(0x1.5555555553d7dp-5), d_const(0x1.111111111448dp-7),
                          d_const(0x1.6c16c178835d2p-10), d_const(0x1.a01a018c300b8p-13), d_const(0x1.a019b9296cad1p-16),
                          d_const(0x1.71de5a3ed9d8fp-19), d_const(0x1.289167f8c21efp-22), d_const(0x1.aeaaf9f8f6fb3p-26)}};
}

// d_exponent is e^x = s (1 + m), for |x| <= 708: x = n ln 2 + r, |r| <= ln 2 / 2, s = 2^n; m = r + r^2 p(r) with p of degree 9 (2e-16).
TK_INLINE void d_exponent(const d_exps *k, vd x, vd *m, vd *s)
{
    vd t = d_fma(x, k->log2e, k->to_int), n = t - k->to_int;
    vd r = d_fnma(n, k->ln2_rest, d_fnma(n, k->ln2, x)), r2 = r * r;
    vd even = d_fma(r2, k->c[8], k->c[6]), odd = d_fma(r2, k->c[9], k->c[7]);  // side by side: half as long a way
    _Pragma("GCC unroll 3") for (int i = 4; i >= 0; i -= 2) even = d_fma(even, r2, k->c[i]), odd = d_fma(odd, r2, k->c[i + 1]);
    *m = d_fma(r2, d_fma(odd, r, even), r);
    *s = (vd)(((vu)t << 52) + (vu)k->one);
}

// d_far puts f(x) by the C library in the lanes of y where |x| is above 708, or NaN.
static __attribute__((noinline, unused)) void d_far(const vd *x, vd *y, double (*f)(double))
{
    for (int l = 0; l < DL; l++)
        if (!(fabs((*x)[l]) <= 708)) (*y)[l] = f((*x)[l]);
}

TK_INLINE vd d_exp(const d_exps *k, vd x)
{
    vd m, s;
    d_exponent(k, x, &m, &s);
    vd y = d_fma(s, m, s);
    if (__builtin_expect(!d_all((vm)(d_drop((vm)k->sign, x) <= k->most)), 0)) {
        vd at = x, far = y;
        d_far(&at, &far, exp);
        y = far;
    }
    return y;
}

TK_INLINE vd d_expm1(const d_exps *k, vd x)
{
    vd m, s;
    d_exponent(k, x, &m, &s);
    vd y = d_fma(s, m, s - k->one);
    if (__builtin_expect(!d_all((vm)(d_drop((vm)k->sign, x) <= k->most)), 0)) {
        vd at = x, far = y;
        d_far(&at, &far, expm1);
        y = far;
    }
    return y;
}

#endif
