// rmsnorm_backward.c - the gradients of RMSNorm.
//
// x, dy, dx [rows, cols] with row strides; weight, dw [cols]; rstd [rows]. dx wants whole rows of one thread, dw whole columns, since it
// adds the rows in order. So the rows are taken in slabs that the caches hold: a slab's columns are shared out for dw, then its rows
// for dx, which finds x and dy where dw left them. Floor: x and dy read once, dx written (read too where it accumulates).
#include "blocks.h"
#include "check.h"

// The bytes of x and dy in a slab, for each thread: part of its L2 cache.
enum { SLAB = 384 << 10 };

typedef struct slab {
    void (*dw_row)(const void *x, const float *dy, float rstd, float *dw, int64_t cols);
    void (*dx_row)(const void *x, const float *weight, float rstd, const float *dy, float *dx, int64_t cols, int accumulate);
    const char *x;
    const float *weight, *rstd, *dy;
    float *dx, *dw;
    int64_t rows, cols, ldx, lddy, lddx, elem;  // ldx in bytes
    int accumulate;
} slab;

static void dw_columns(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)row0, (void)row1;
    const slab *s = arg;
    for (int64_t i = 0; i < s->rows; i++)
        s->dw_row(s->x + i * s->ldx + col0 * s->elem, s->dy + i * s->lddy + col0, s->rstd[i], s->dw + col0, col1 - col0);
}

static void dx_rows(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const slab *s = arg;
    for (int64_t i = row0; i < row1; i++)
        s->dx_row(s->x + i * s->ldx, s->weight, s->rstd[i], s->dy + i * s->lddy, s->dx + i * s->lddx, s->cols, s->accumulate);
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
    int64_t most = s.dw ? SLAB * (int64_t)tk_pool_threads(cx->pool) / (cols * (elem + 4)) : rows;
    if (most < 1) most = 1;
    for (int64_t i = 0; i < rows; i += s.rows) {
        s.rows = rows - i < most ? rows - i : most;
        if (s.dw) tk_run_blocks(cx, 1, cols, (elem + 4) * s.rows, TK_SPLIT_COLS, dw_columns, &s);
        tk_run_blocks(cx, s.rows, cols, elem + 8, TK_WHOLE_ROWS, dx_rows, &s);
        s.x += s.rows * s.ldx, s.rstd += s.rows, s.dy += s.rows * s.lddy, s.dx += s.rows * s.lddx;
    }
    return TK_OK;
}
