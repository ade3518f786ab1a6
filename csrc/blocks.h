// blocks.h - sharing out the blocks of a matrix over the pool.
#ifndef TK_BLOCKS_H
#define TK_BLOCKS_H

#include "context.h"

// A tk_block_fn does rows [row0, row1) by columns [col0, col1).
typedef void (*tk_block_fn)(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1);

enum {
    TK_WHOLE_ROWS = 0,   // fn needs whole rows
    TK_SPLIT_COLS = 1,   // a row may be split at multiples of 64 columns
};

// tk_pays reports whether work that moves so many bytes is to be shared out. Small calls that come one after another wake the workers when
// together they are worth it; from then on they are shared, until there is a pause.
int tk_pays(tk_context *cx, double bytes);

// tk_run_blocks covers [rows, cols] with calls of fn, on the pool when the work pays for waking it and else on the caller. cost is
// that of an element, in bytes moved. fn's results must not depend on the blocks.
void tk_run_blocks(tk_context *cx, int64_t rows, int64_t cols, int64_t cost, int split, tk_block_fn fn, const void *arg);

#endif
