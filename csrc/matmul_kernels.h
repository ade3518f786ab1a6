// matmul_kernels.h - ISA-dependent functions of matmul, patch_embed and packing.
#ifndef TK_MATMUL_KERNELS_H
#define TK_MATMUL_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"

enum {
    TK_MATMUL_ROWS = 72,   // most rows and panels of a block: its f32 sums are 72 KB of stack
    TK_MATMUL_PANELS = 8,
    TK_STAGED_TILE = 16,   // rows that are laid out at a time; staged blocks begin at multiples of twice as many
    TK_STAGED_ROWS = 256,  // rows and panels of a staged block, or more of one and fewer of the other: its sums are 512 KB of the context's memory
    TK_STAGED_PANELS = 16,
};

// Rows that are laid out for an ISA's product, from a row tile (TK_STAGED_TILE rows) `first` of `all` on, and memory for a block's sums.
typedef struct tk_staged {
    void *tiles;
    int64_t first, all;
    void *sums;
} tk_staged;

// A block of y: m rows by n columns, from the first column of a panel on. Strides in elements.
typedef struct tk_matmul_block {
    uint32_t dtype, dtype_y;
    int64_t m, n, k;
    const void *x;        // [m, k], row stride ldx
    const tk_staged *staged; // x laid out, or NULL
    const uint32_t *w;    // panels of the n columns
    const uint32_t *after; // panels that this thread probably needs next, or NULL
    const float *bias;    // [n] or NULL
    const void *residual; // [m, n], row stride ldr, or NULL
    void *y;              // [m, n], row stride ldy
    int64_t ldx, ldr, ldy;
    int past;              // of a staged block without residual: y may bypass the caches; n and y's rows are whole lines
} tk_matmul_block;

// Rows first .. first + count of one panel, and the row-major matrix [count, k] that they come from or go to.
typedef struct tk_pack_block {
    uint32_t dtype, dtype_rows;
    int64_t k, first, count;
    uint32_t *panel;
    void *rows;
    int64_t ld;
} tk_pack_block;

typedef struct tk_matmul_kernels {
    void (*block)(const tk_matmul_block *b);
    void (*pack)(const tk_pack_block *b);
    void (*unpack)(const tk_pack_block *b);
    // Lays out rows [m, k], m at most TK_STAGED_TILE, as row tile `row_tile` of `all`. NULL: the ISA's product takes rows where they lie.
    void (*stage)(int64_t m, int64_t k, const uint16_t *x, int64_t ldx, void *staged, int64_t row_tile, int64_t all);
    void (*narrow)(const float *x, uint16_t *y, int64_t n);  // y = bf16(x)
} tk_matmul_kernels;

#endif
