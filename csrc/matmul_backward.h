// matmul_backward.h - how the output of a gradient's product is cut into jobs; used by matmul_dx, matmul_dw and logprob_backward.
#ifndef TK_MATMUL_BACKWARD_H
#define TK_MATMUL_BACKWARD_H

#include "packed.h"

// An output [rows, cols] cut into groups of columns, whole panels, by blocks of whole tiles of rows. One without rows has no jobs.
typedef struct tk_cut {
    int64_t rows, cols, tile, tiles;
    int64_t width;  // columns of a group
    int64_t groups, blocks;
} tk_cut;

typedef struct tk_part {
    int64_t row, rows, col, cols;
} tk_part;

// tk_cut_output makes groups of TK_BACKWARD_PANELS panels and one block; for many threads first narrower groups, of `least` panels at least,
// then more blocks.
tk_cut tk_cut_output(int64_t rows, int64_t cols, int64_t tile, int least, int threads);

static inline int64_t tk_cut_jobs(const tk_cut *c) { return c->tiles ? c->blocks * c->groups : 0; }

// tk_cut_part is what job number `job` does: blocks of one group of columns are consecutive jobs.
tk_part tk_cut_part(const tk_cut *c, int64_t job);

// tk_backward_scratch is the bytes of scratch memory of all threads, with room to align them; tk_backward_scratch_of is one thread's.
uint64_t tk_backward_scratch(int threads);
float *tk_backward_scratch_of(uint64_t workspace, int thread);

#endif
