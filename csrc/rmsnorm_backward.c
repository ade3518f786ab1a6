// rmsnorm_backward.c - the gradients of RMSNorm.
//
// x, dy, dx [rows, cols] with row strides; weight, dw [cols]; rstd [rows]. dx wants whole rows of one thread, dw whole columns, since it
// adds the rows in order. So the rows are taken in slabs that the caches hold: a slab's columns are shared out for dw, and its rows for
// dx, which finds x and dy where dw left them. Floor: x and dy read once, dx written (read too where it accumulates).
#include "blocks.h"
#include "check.h"

enum {
    SLAB = 384 << 10,     // bytes of x and dy for one thread: part of its L2 cache
    SHARED = 1024 << 10,  // for each of several, which find them in the shared cache at best, and wait for one another after each slab
    BLOCKS = 4,           // of rows, for each thread that has had its columns
};

typedef struct slab {
    void (*dw_row)(const void *x, const float *dy, float rstd, float *dw, int64_t cols);
    void (*dx_row)(const void *x, const float *weight, float rstd, const float *dy, float *dx, int64_t cols, int accumulate);
    const char *x;
    const float *weight, *rstd, *dy;
    float *dx, *dw;
    int64_t rows, cols, ldx, lddy, lddx, elem;  // ldx in bytes
    int64_t strips, strip_cols, block_rows;
    int accumulate;
} slab;

static void dw_strip(const slab *s, int64_t strip)
{
    int64_t col = strip * s->strip_cols, n = s->cols - col < s->strip_cols ? s->cols - col : s->strip_cols;
    for (int64_t i = 0; i < s->rows; i++)
        s->dw_row(s->x + i * s->ldx + col * s->elem, s->dy + i * s->lddy + col, s->rstd[i], s->dw + col, n);
}

static void dx_block(const slab *s, int64_t block)
{
    int64_t row = block * s->block_rows, end = s->rows - row < s->block_rows ? s->rows : row + s->block_rows;
    for (int64_t i = row; i < end; i++)
        s->dx_row(s->x + i * s->ldx, s->weight, s->rstd[i], s->dy + i * s->lddy, s->dx + i * s->lddx, s->cols, s->accumulate);
}

// The strips of columns come first, then the blocks of rows.
static void slab_parts(const void *arg, int64_t part0, int64_t part1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const slab *s = arg;
    for (int64_t p = part0; p < part1; p++) {
        if (p < s->strips) dw_strip(s, p);
        else dx_block(s, p - s->strips);
    }
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
    const tk_backward_kernels *k = &cx->kernels->backward;
    slab s = {.dw_row = k->rmsnorm_dw[tk_dtype_index(a->dtype)], .dx_row = k->rmsnorm_dx[tk_dtype_index(a->dtype)],
              .x = TK_PTR(const char, a->x), .weight = TK_PTR(const float, a->weight), .rstd = TK_PTR(const float, a->rstd),
              .dy = TK_PTR(const float, a->dy), .dx = TK_PTR(float, a->dx), .dw = TK_PTR(float, a->dw), .cols = cols,
              .ldx = a->ldx * elem, .lddy = a->lddy, .lddx = a->lddx, .elem = elem, .accumulate = (int)a->accumulate};
    int64_t threads = tk_pool_threads(cx->pool), most = (threads > 1 ? SHARED * threads : SLAB) / (cols * (elem + 4));
    if (!s.dw) most = rows;
    else if (most < 1) most = 1;
    s.strip_cols = tk_ceil_div(tk_ceil_div(cols, threads), 64) * 64;
    s.strips = s.dw ? tk_ceil_div(cols, s.strip_cols) : 0;
    for (int64_t i = 0; i < rows; i += s.rows) {
        s.rows = rows - i < most ? rows - i : most;
        s.block_rows = tk_ceil_div(s.rows, BLOCKS * threads);
        int64_t parts = s.strips + tk_ceil_div(s.rows, s.block_rows);
        tk_run_blocks(cx, parts, 1, s.rows * cols * (elem + 12) / parts, TK_WHOLE_ROWS, slab_parts, &s);
        s.x += s.rows * s.ldx, s.rstd += s.rows, s.dy += s.rows * s.lddy, s.dx += s.rows * s.lddx;
    }
    return TK_OK;
}
