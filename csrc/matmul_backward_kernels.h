// matmul_backward_kernels.h - ISA-dependent functions of matmul_dx, matmul_dw and logprob_backward.
#ifndef TK_MATMUL_BACKWARD_KERNELS_H
#define TK_MATMUL_BACKWARD_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"

enum {
    TK_BACKWARD_PANELS = 8,   // most 32 columns of a block of dx or dw
    TK_BACKWARD_STEPS = 512,  // products of every sum that are done at a time: the laid out operand is 512 KB
    TK_BACKWARD_ROWS = 48,    // rows of dw that are done at a time
    TK_BACKWARD_STAGE = 12 * 6336,  // floats that hold these rows staged, on any ISA
    TK_BACKWARD_SCRATCH = TK_BACKWARD_PANELS * TK_PANEL * TK_BACKWARD_STEPS + TK_BACKWARD_STAGE,  // floats of a block's scratch memory
};

// A block of dx [m, cols] = dy [m, n] W[0..n, cols], or dx + that. Strides in elements.
typedef struct tk_dx_block {
    uint32_t dtype;      // of W
    int accumulate;      // the sums go on from what dx holds
    int64_t m, n, cols;  // cols at most 32 TK_BACKWARD_PANELS
    const float *dy;     // [m, n], row stride lddy
    const uint32_t *w;   // W's panel of rows 0 to 31, from the columns' first step on
    int64_t lanes;       // from one panel to the next
    float *dx;           // [m, cols], row stride lddx
    int64_t lddy, lddx;
    float *scratch;      // TK_BACKWARD_SCRATCH floats, aligned to a line
} tk_dx_block;

// A block of dw [n, cols] += dy^T [n, m] x [m, cols], and db [n] += the sums of dy's columns.
typedef struct tk_dw_block {
    uint32_t dtype;      // of x
    int64_t m, n, cols;  // cols at most 32 TK_BACKWARD_PANELS
    const float *dy;     // [m, n], row stride lddy
    const void *x;       // [m, cols], row stride ldx
    float *dw;           // [n, cols], row stride lddw
    float *db;           // [n] or NULL
    int64_t lddy, ldx, lddw;
    float *scratch;      // TK_BACKWARD_SCRATCH floats, aligned to a line
} tk_dw_block;

typedef struct tk_matmul_backward_kernels {
    void (*dx)(const tk_dx_block *b);
    void (*dw)(const tk_dw_block *b);
} tk_matmul_backward_kernels;

#endif
