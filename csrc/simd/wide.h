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
#define WIDE_FOR_OF(i, n) TK_UNROLL(8) for (int i = 0; i < (n); i++)

// v_const is x in a register: a constant that the compiler knows it would rather fetch anew for every operation, and two loads a cycle are
// what then limits a kernel.
TK_INLINE vf v_const(float x) { return v_held(v_set1(x)); }

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

// Of results whose NaNs are clean (vec.h).
TK_INLINE void wide_put_bf16_clean(uint16_t *p, const vf *x)
{
    WIDE_FOR(i) if (i % 2 == 0) v_store2_bf16_clean(p + i * VL, x[i], x[i + 1]);
}

#define wide_put_f32_clean wide_put_f32

// WIDE_IN_TWO does the steps of WIDE_LANES elements from 0 to whole, more than none, in two parts each: begin(i, held) leaves vectors that
// end(i, held) goes on with a step later. WIDE_IN_THREE has middle(held) in between. So two or three short chains are side by side
// instead of one long: a processor's schedulers hold but two or three vectors of a chain of 60 cycles, and those do not fill its units.
// begin is ahead of what end has written, so that y may be x.
#define WIDE_HELD_STEPS(steps, vectors) float __attribute__((aligned(64))) held_[steps][(vectors) * VL]

#define WIDE_IN_TWO(vectors, whole, begin, end)                                                  \
    do {                                                                                         \
        WIDE_HELD_STEPS(2, vectors);                                                             \
        float *held0_ = held_[0], *held1_ = held_[1];                                            \
        const int64_t last_ = (whole) - WIDE_LANES;                                              \
        begin(0, held0_);                                                                        \
        for (int64_t i_ = 0; i_ <= last_; i_ += WIDE_LANES) {                                    \
            begin((i_ < last_ ? i_ + WIDE_LANES : last_), held1_);                               \
            end(i_, held0_);                                                                     \
            float *done_ = held0_;                                                               \
            held0_ = held1_, held1_ = done_;                                                     \
        }                                                                                        \
    } while (0)

#define WIDE_IN_THREE(vectors, whole, begin, middle, end)                                        \
    do {                                                                                         \
        WIDE_HELD_STEPS(3, vectors);                                                             \
        float *held0_ = held_[0], *held1_ = held_[1], *held2_ = held_[2];                        \
        const int64_t last_ = (whole) - WIDE_LANES;                                              \
        begin(0, held0_);                                                                        \
        middle(held0_);                                                                          \
        begin((last_ < WIDE_LANES ? last_ : WIDE_LANES), held1_);                                \
        for (int64_t i_ = 0; i_ <= last_; i_ += WIDE_LANES) {                                    \
            begin((i_ + 2 * WIDE_LANES < last_ ? i_ + 2 * WIDE_LANES : last_), held2_);          \
            middle(held1_);                                                                      \
            end(i_, held0_);                                                                     \
            float *done_ = held0_;                                                               \
            held0_ = held1_, held1_ = held2_, held2_ = done_;                                    \
        }                                                                                        \
    } while (0)

// Vector i of those held as number k.
#define WIDE_HELD(held, k, i) ((held) + ((k) * WIDE + (i)) * VL)

#endif
