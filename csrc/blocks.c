// blocks.c - see blocks.h.
#include "blocks.h"

enum {
    POOL_PAYS = 1 << 20,         // bytes moved: some 40 us of one core, against 50 until a worker wakes
    AWAKE_POOL_PAYS = 16 << 10,  // against 200 ns where one is awake
    BLOCK_LEAST = 64 << 10,      // but for a call's even share: what is next in memory is what a core foresees
    BLOCK_MOST = 512 << 10,
    BLOCKS_PER_THREAD = 4,
};

typedef struct grid {
    tk_block_fn fn;
    const void *arg;
    int64_t rows, cols, block_rows, block_cols, across;
} grid;

static void grid_job(void *arg, int64_t job, int thread)
{
    (void)thread;
    const grid *g = arg;
    int64_t row = job / g->across * g->block_rows, col = job % g->across * g->block_cols;
    int64_t row1 = g->rows - row < g->block_rows ? g->rows : row + g->block_rows;
    int64_t col1 = g->cols - col < g->block_cols ? g->cols : col + g->block_cols;
    g->fn(g->arg, row, row1, col, col1);
}

int tk_pays(tk_context *cx, double bytes)
{
    if (tk_pool_threads(cx->pool) == 1 || bytes < AWAKE_POOL_PAYS) return 0;
    cx->alone += bytes;
    if (!tk_pool_awake(cx->pool) && cx->alone < POOL_PAYS) return 0;
    cx->alone = 0;
    return 1;
}

void tk_run_blocks(tk_context *cx, int64_t rows, int64_t cols, int64_t cost, int split, tk_block_fn fn, const void *arg)
{
    if (rows <= 0 || cols <= 0) return;
    int threads = tk_pool_threads(cx->pool);
    double total = (double)rows * (double)cols * (double)cost;
    if (!tk_pays(cx, total)) {
        fn(arg, 0, rows, 0, cols);
        return;
    }
    int64_t blocks = threads * BLOCKS_PER_THREAD;
    if (total < (double)blocks * BLOCK_LEAST) {  // as many as each thread can have alike
        const int64_t each = (int64_t)(total / BLOCK_LEAST) / threads;
        blocks = each > 0 ? each * threads : threads;
    }
    if (total > (double)blocks * BLOCK_MOST) blocks = (int64_t)(total / BLOCK_MOST) + 1;
    const int64_t share = (int64_t)(total / ((double)blocks * (double)cost)) + 1;  // elements
    grid g = {.fn = fn, .arg = arg, .rows = rows, .cols = cols, .block_rows = 1, .block_cols = cols, .across = 1};
    if (cols < share) {
        g.block_rows = tk_ceil_div(rows, blocks);
    } else if (split == TK_SPLIT_COLS) {
        g.block_cols = tk_ceil_div(share, 64) * 64;
        g.across = tk_ceil_div(cols, g.block_cols);
    }
    tk_pool_run(cx->pool, tk_ceil_div(rows, g.block_rows) * g.across, grid_job, &g);
}
