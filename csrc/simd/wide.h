// wide.h - WIDE vectors that go through a formula side by side.
//
// The operations of one exponential or quotient wait for one another: a processor that finds no others in reach works at their
// latency. Kernels that evaluate such functions therefore take each step of the formula for WIDE vectors before the next step.
#ifndef TK_SIMD_WIDE_H
#define TK_SIMD_WIDE_H

#include "dtype.h"

enum { WIDE = 4, WIDE_LANES = WIDE * VL };

// WIDE_FOR(i) { ... } is one step of a formula, for each of the vectors.
#define WIDE_FOR(i) WIDE_FOR_OF(i, WIDE)
#define WIDE_FOR_OF(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)

// v_const is x in a register: a constant that the compiler knows it would rather fetch anew for every operation, and two loads a cycle are
// what then limits a kernel.
TK_INLINE vf v_const(float x)
{
    vf c = v_set1(x);
#if TK_ISA_LEVEL >= 2
    __asm__ volatile("" : "+v"(c));
#endif
    return c;
}

// A step of n polynomials: p = p x + c; and the first step: p = c1 x + c0.
TK_INLINE void wide_horner(int n, vf *p, const vf *x, float c)
{
    const vf k = v_const(c);
    WIDE_FOR_OF(i, n) p[i] = v_fma(p[i], x[i], k);
}

TK_INLINE void wide_line(int n, vf *p, const vf *x, float c1, float c0)
{
    const vf k1 = v_const(c1), k0 = v_const(c0);
    WIDE_FOR_OF(i, n) p[i] = v_fma(k1, x[i], k0);
}

// WIDE_LANES elements as f32; of bf16, in the order of v_load2_bf16, which wide_get_f32_as_bf16 gives f32 too.
TK_INLINE void wide_get_f32(const float *p, vf *x)
{
    WIDE_FOR(i) x[i] = v_load(p + i * VL);
}

#define wide_get_f32_as_f32 wide_get_f32

TK_INLINE void wide_get_f32_as_bf16(const float *p, vf *x)
{
    WIDE_FOR(i) if (i % 2 == 0) v_load2(p + i * VL, &x[i], &x[i + 1]);
}

TK_INLINE void wide_put_f32(float *p, const vf *x)
{
    WIDE_FOR(i) v_store(p + i * VL, x[i]);
}

TK_INLINE void wide_get_bf16(const uint16_t *p, vf *x)
{
    WIDE_FOR(i) if (i % 2 == 0) v_load2_bf16(p + i * VL, &x[i], &x[i + 1]);
}

TK_INLINE void wide_put_bf16(uint16_t *p, const vf *x)
{
    WIDE_FOR(i) if (i % 2 == 0) v_store2_bf16(p + i * VL, x[i], x[i + 1]);
}

#endif
