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
    TK_UNROLL(8) for (int l = 0; l < DL; l++) p[at[l]] = x[l];
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

// What exponentials need, made once for a loop. n / 2^8 is what to_int rounds to, so that a number of two digits before the point is an n
// beyond what is to be added to an exponent: bit 62 is set where |n| >= 2^9, and where it is not a number.
typedef struct d_exps {
    vd to_int, log2e, ln2, ln2_rest, c[10], one;
} d_exps;

TK_INLINE d_exps d_exps_of(void)
{
    return (d_exps){.to_int = d_const(0x1.8p44), .log2e = d_const(0x1.71547652b82fep-8), .ln2 = d_const(0x1.62e42feep+7),
                    .ln2_rest = d_const(0x1.a39ef35793c76p-25), .one = d_const(1),
                    .c = {d_const(0.5), d_const(0x1.555555555554dp-3), d_const(0x1.5555555553d7dp-5), d_const(0x1.111111111448dp-7),
                          d_const(0x1.6c16c178835d2p-10), d_const(0x1.a01a018c300b8p-13), d_const(0x1.a019b9296cad1p-16),
                          d_const(0x1.71de5a3ed9d8fp-19), d_const(0x1.289167f8c21efp-22), d_const(0x1.aeaaf9f8f6fb3p-26)}};
}

// D_WIDE vectors of exponentials go side by side, for a step of one waits for the step before: see wide.h.
enum { D_WIDE = 8 };

#define D_FOR(i, n) TK_UNROLL(8) for (int i = 0; i < (n); i++)

// d_exponents is e^x = 2^n (1 + m) for `wide` of x, |x| <= 708: x = n ln 2 + r, |r| <= ln 2 / 2; m = r + r^2 p(r) with p of degree 9 (2e-16).
// shift is n where an exponent is; far gets what shows an |n| of 2^9 or more, or NaN.
TK_INLINE void d_exponents(const d_exps *k, int wide, const vd *x, vd *m, vu *shift, vm *far)
{
    vd r[D_WIDE], p[D_WIDE];
    D_FOR(i, wide)  // one after another: short, and all of them at once are more than there are registers
    {
        vd t = d_fma(x[i], k->log2e, k->to_int), n = t - k->to_int;
        shift[i] = (vu)t << 52;
        *far |= (vm)n;
        r[i] = d_fnma(n, k->ln2_rest, d_fnma(n, k->ln2, x[i]));
    }
    D_FOR(i, wide) p[i] = d_fma(r[i], k->c[9], k->c[8]);
    TK_UNROLL(8) for (int j = 7; j >= 0; j--) D_FOR(i, wide) p[i] = d_fma(p[i], r[i], k->c[j]);
    D_FOR(i, wide) m[i] = d_fma(r[i] * r[i], p[i], r[i]);
}

// d_exp_of and d_expm1_of are what such an m and shift stand for.
TK_INLINE vd d_exp_of(const d_exps *k, vd m, vu shift) { return (vd)((vu)(k->one + m) + shift); }
TK_INLINE vd d_expm1_of(const d_exps *k, vd m, vu shift)
{
    vd s = (vd)((vu)k->one + shift);
    return d_fma(s, m, s - k->one);
}

TK_INLINE int d_none_far(vm far) { return d_all((vm)((far & d_bits(2)) == 0)); }

// d_far puts f(x) by the C library in the lanes of y where |x| is above 708, or NaN.
static __attribute__((noinline, unused)) void d_far(const vd *x, vd *y, double (*f)(double))
{
    for (int l = 0; l < DL; l++)
        if (!(fabs((*x)[l]) <= 708)) (*y)[l] = f((*x)[l]);
}

// d_mended is y = f(x), with the lanes mended that far shows.
TK_INLINE vd d_mended(vd x, vd y, vm far, double (*f)(double))
{
    if (__builtin_expect(d_none_far(far), 1)) return y;
    vd at = x, rest = y;  // in memory, which x and y then need not be
    d_far(&at, &rest, f);
    return rest;
}

TK_INLINE vd d_exp(const d_exps *k, vd x)
{
    vd m;
    vu shift;
    vm far = {0};
    d_exponents(k, 1, &x, &m, &shift, &far);
    return d_mended(x, d_exp_of(k, m, shift), far, exp);
}

TK_INLINE vd d_expm1(const d_exps *k, vd x)
{
    vd m;
    vu shift;
    vm far = {0};
    d_exponents(k, 1, &x, &m, &shift, &far);
    return d_mended(x, d_expm1_of(k, m, shift), far, expm1);
}

#endif
