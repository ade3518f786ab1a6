// elementwise_kernels.h - ISA-dependent functions of fills, casts, norms, activations and RoPE. Pairs are [f32, bf16].
#ifndef TK_ELEMENTWISE_KERNELS_H
#define TK_ELEMENTWISE_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"

typedef struct tk_elementwise_kernels {
    void (*copy)(const void *src, void *dst, int64_t bytes, const void *next_src, void *next_dst);  // the next ones are only fetched
    void (*fill[2])(void *x, int64_t n, float value, int past);  // the caches, or into them
    void (*narrow)(const float *x, uint16_t *y, int64_t n);  // f32 to bf16
    void (*widen)(const uint16_t *x, float *y, int64_t n);   // bf16 to f32
    void (*add[2])(const void *a, const void *b, void *y, int64_t n);
    void (*swiglu[2])(const void *gate, const void *up, void *y, int64_t n);
    void (*gelu[2])(const void *x, void *y, int64_t n);
    // Strides in bytes; rstd may be NULL.
    void (*rmsnorm[2])(const void *x, int64_t ldx, const float *weight, void *y, int64_t ldy, float *rstd, int64_t rows, int64_t cols, float eps);
    // n angles at[axis] * inv_freq, and their largest magnitude in f32 bits; n cosines and sines.
    uint32_t (*angles)(const float *at, const int32_t *axis, const float *inv_freq, float *angle, int64_t n);
    void (*sincos)(const float *angle, float *cos, float *sin, int64_t n);
    // The same for angles up to 2^17, in two steps. angles_near does rows of n angles of positions [axes, rows], axes 1 to 4, and leaves
    // [rows, n] of what sincos_near replaces by cosines and sines. NULL where an ISA has no fused multiply-add.
    void (*angles_near)(const int32_t *positions, int64_t axes, int64_t ldp, int64_t rows, const int32_t *axis, const float *inv_freq,
                        float *cos, float *sin, int64_t n);
    void (*sincos_near)(float *cos, float *sin, int64_t n);
    // One row of heads, in place; sign -1 turns back. The next row, if not NULL, is only fetched.
    void (*rope[2])(void *x, const float *cos, const float *sin, int64_t heads, int64_t dim, float sign, const void *next);
} tk_elementwise_kernels;

#endif
