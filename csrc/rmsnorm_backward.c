// rmsnorm_backward.c - the gradients of RMSNorm.
//
// x, dy, dx [rows, cols] with row strides; weight, dw [cols]; rstd [rows]. dx wants whole rows, dw whole columns, since it adds the rows in
// order. So a thread takes a block of rows that its L2 cache holds, does dx, and then adds the block to dw while it is still there: strip
// by strip of columns, each when the block before has been added to it. The blocks follow one another through the strips, and nobody waits
// for long: dw is a small part of the work. Floor: x and dy read once, dx written (read too where it accumulates).
#include <sched.h>
#include <stdatomic.h>

#include "blocks.h"
#include "check.h"

enum {
    // Bytes of x, dy and dx: part of an L2 cache. dw goes from thread to thread with every block: of half as many it took a fifth longer.
    BLOCK = 256 << 10,
    BLOCKS = 4,  // for each thread, at least
    STRIPS = 16,
    STRIP_LEAST = 512,  // columns
    SPINS = 4096,
};

typedef struct rmsnorm_backward {
    const tk_backward_kernels *k;
    const char *x;
    const float *weight, *rstd, *dy;
    float *dx, *dw;
    int64_t rows, cols, ldx, lddy, lddx, elem;  // ldx in bytes
    int64_t block_rows, strip_cols;
    int dtype, accumulate;
    _Atomic int64_t added[STRIPS];  // blocks
} rmsnorm_backward;

static void dw_block(rmsnorm_backward *s, int64_t block, int64_t row, int64_t rows)
{
    for (int64_t strip = 0, col = 0; col < s->cols; strip++, col += s->strip_cols) {
        for (int spins = 0; atomic_load_explicit(&s->added[strip], memory_order_acquire) != block;)
            if (++spins > SPINS) sched_yield();
        int64_t n = s->cols - col < s->strip_cols ? s->cols - col : s->strip_cols;
        s->k->rmsnorm_dw[s->dtype](s->x + row * s->ldx + col * s->elem, s->ldx, s->dy + row * s->lddy + col, s->lddy, s->rstd + row, s->dw + col,
                                   rows, n);
        atomic_store_explicit(&s->added[strip], block + 1, memory_order_release);
    }
}

static void block_job(void *arg, int64_t block, int thread)
{
    (void)thread;
    rmsnorm_backward *s = arg;
    int64_t row = block * s->block_rows, end = s->rows - row < s->block_rows ? s->rows : row + s->block_rows;
    for (int64_t i = row; i < end; i++) {
        int64_t next = i + 1 < end ? i + 1 : row;
        s->k->rmsnorm_dx[s->dtype](s->x + i * s->ldx, s->weight, s->rstd[i], s->dy + i * s->lddy, s->dx + i * s->lddx, s->cols, s->accumulate,
                                   s->x + next * s->ldx, s->dy + next * s->lddy);
    }
    if (s->dw) dw_block(s, block, row, end - row);
}

static void blocks_here(const void *arg, int64_t block0, int64_t block1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    for (int64_t b = block0; b < block1; b++) block_job((void *)(uintptr_t)arg, b, 0);
}

int32_t tk_cpu_rmsnorm_backward(uint64_t ctx, tk_rmsnorm_backward_args *a, tk_error *err)
{
    TK_ENTER("rmsnorm_backward");
    TK_REQUIRE_DTYPE("rmsnorm_backward", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), rows = a->rows, cols = a->cols;
    TK_REQUIRE(cols > 0, "rmsnorm_backward: cols is %lld", (long long)cols);
    TK_REQUIRE(a->accumulate <= 1, "rmsnorm_backward: accumulate is %u, must be 0 or 1", a->accumulate);
    TK_TRY(tk_check_matrix(err, "rmsnorm_backward", "x", a->x, rows, cols, a->ldx, elem));
    TK_TRY(tk_check_vector(err, "rmsnorm_backward", "weight", a->weight, cols, 4));
    TK_TRY(tk_check_vector(err, "rmsnorm_backward", "rstd", a->rstd, rows, 4));
    TK_TRY(tk_check_matrix(err, "rmsnorm_backward", "dy", a->dy, rows, cols, a->lddy, 4));
    TK_TRY(tk_check_matrix(err, "rmsnorm_backward", "dx", a->dx, rows, cols, a->lddx, 4));
    if (a->dw) TK_TRY(tk_check_vector(err, "rmsnorm_backward", "dw", a->dw, cols, 4));
    rmsnorm_backward s = {.k = cx->kernels->backward, .dtype = tk_dtype_index(a->dtype), .x = TK_PTR(const char, a->x),
                          .weight = TK_PTR(const float, a->weight), .rstd = TK_PTR(const float, a->rstd), .dy = TK_PTR(const float, a->dy),
                          .dx = TK_PTR(float, a->dx), .dw = TK_PTR(float, a->dw), .rows = rows, .cols = cols, .ldx = a->ldx * elem,
                          .lddy = a->lddy, .lddx = a->lddx, .elem = elem, .accumulate = (int)a->accumulate};
    int64_t most = BLOCK / (cols * (elem + 8)), share = rows / (BLOCKS * tk_pool_threads(cx->pool));
    s.block_rows = most < share ? most : share;
    if (s.block_rows < 1) s.block_rows = 1;
    s.strip_cols = tk_ceil_div(cols, STRIPS);
    s.strip_cols = s.strip_cols < STRIP_LEAST ? STRIP_LEAST : tk_ceil_div(s.strip_cols, 64) * 64;
    tk_run_blocks(cx, tk_ceil_div(rows, s.block_rows), 1, s.block_rows * cols * (elem + 12), TK_WHOLE_ROWS, blocks_here, &s);
    return TK_OK;
}
