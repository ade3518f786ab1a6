// attention_backward_kernels.h - ISA-dependent functions of attention_backward: a tile of query rows against a block of the keys of
// their KV head. As in attention the query heads of a KV head count as rows, heads within positions.
#ifndef TK_ATTENTION_BACKWARD_KERNELS_H
#define TK_ATTENTION_BACKWARD_KERNELS_H

#include <stdint.h>

#include "attention_kernels.h"

enum {
    TK_GRAD_ROWS = 64,   // most query rows of a tile
    TK_GRAD_KEYS = 64,   // most keys of a block
    TK_GRAD_PANEL = 16,  // columns of a panel
    // The row stride of p and ds, and the floats of a panel of 64 rows: a line more than a power of two, for the lines of a row to spread
    // over L1.
    TK_GRAD_LD = TK_GRAD_KEYS + 16,
    TK_GRAD_PANEL_FLOATS = TK_GRAD_ROWS * TK_GRAD_PANEL + 16,
};

// A thread's memory, all f32. Panels hold a matrix [n][w] as [w / 16][64][16] (and a line after each), its transpose's as
// [64 / 16][dimp][16].
typedef struct tk_grad_tile {
    int64_t dim, dimp;  // head dimension, and rounded up to 16
    float scale;
    float *k, *kt, *vt;  // the block's keys in panels, and its keys' and values' transposes
    float *q, *dout;     // the tile's queries and output gradients in panels; zeros from dim on
    float *p, *ds;       // [TK_GRAD_ROWS][TK_GRAD_LD] weights, and scale times the gradients of the scores
    float *dk, *dv;      // [TK_GRAD_KEYS][dimp] the block's sums
    float *dq;           // [TK_GRAD_ROWS][dimp] where dim is not dimp
    tk_fetches *fetches; // asked for by weights and add_keys
    int past;            // store and a final add_rows may bypass the caches: the gradients' rows are whole lines, and none is read soon
} tk_grad_tile;

// The tile's shape and which pairs count: `heads` rows of each of `positions` positions, of which number n sees the first see + n * step
// of the block's `keys` keys (none where that is negative, at most all of them).
typedef struct tk_grad_mask {
    int64_t positions, heads, keys, see, step;
} tk_grad_mask;

typedef struct tk_attention_backward_ops {
    // delta: d[i] = sum_c dout[i][c] out[i][c] of `count` heads or rows; ldo, lddo and ldd are the elements from one to the next.
    void (*delta)(int64_t count, int64_t dim, const void *out, int64_t ldo, const float *dout, int64_t lddo, float *d, int64_t ldd);

    // keys takes over n keys and values (row strides in elements) as the block, and sets dk and dv to 0.
    void (*keys)(const tk_grad_tile *t, int64_t n, const void *k, int64_t ldk, const void *v, int64_t ldv);

    // rows takes over queries and output gradients, of neighbouring heads (row strides in elements are those of positions).
    void (*rows)(const tk_grad_tile *t, const tk_grad_mask *m, const void *q, int64_t ldq, const float *dout, int64_t lddo);

    // weights makes p and ds, from lse and d of the first position's heads; ld is the stride of positions.
    void (*weights)(const tk_grad_tile *t, const tk_grad_mask *m, const float *lse, const float *d, int64_t ld);

    // add_keys adds the tile's rows to dk and dv.
    void (*add_keys)(const tk_grad_tile *t, const tk_grad_mask *m);

    // add_rows adds the block's keys to the rows of dq, or with first sets them; with final nothing is added to them later.
    void (*add_rows)(const tk_grad_tile *t, const tk_grad_mask *m, float *dq, int64_t lddq, int first, int final);

    // store writes the sums of n keys.
    void (*store)(const tk_grad_tile *t, int64_t n, float *dk, int64_t lddk, float *dv, int64_t lddv);

    // past: the tile's past is heeded, and written is wanted before others read the gradients.
    int past;
    void (*written)(void);
} tk_attention_backward_ops;

typedef struct tk_attention_backward_kernels {
    tk_attention_backward_ops f32, bf16;
} tk_attention_backward_kernels;

#endif
