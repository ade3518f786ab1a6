// rmsnorm.c - RMSNorm over rows.
#include "blocks.h"
#include "check.h"

typedef struct rmsnorm_rows {
    void (*kernel)(const void *x, int64_t ldx, const float *weight, void *y, int64_t ldy, float *rstd, int64_t rows, int64_t cols, float eps);
    const char *x;
    char *y;
    const float *weight;
    float *rstd;
    int64_t ldx, ldy, cols;  // strides in bytes
    float eps;
} rmsnorm_rows;

static void rmsnorm_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const rmsnorm_rows *r = arg;
    r->kernel(r->x + row0 * r->ldx, r->ldx, r->weight, r->y + row0 * r->ldy, r->ldy, r->rstd ? r->rstd + row0 : NULL, row1 - row0, r->cols, r->eps);
}

int32_t tk_cpu_rmsnorm(uint64_t ctx, tk_rmsnorm_args *a, tk_error *err)
{
    TK_ENTER("rmsnorm");
    TK_REQUIRE_DTYPE("rmsnorm", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype);
    TK_REQUIRE(a->cols > 0, "rmsnorm: cols is %lld", (long long)a->cols);
    TK_REQUIRE(a->eps >= 0, "rmsnorm: eps is %g", (double)a->eps);
    TK_TRY(tk_check_matrix(err, "rmsnorm", "x", a->x, a->rows, a->cols, a->ldx, elem));
    TK_TRY(tk_check_matrix(err, "rmsnorm", "y", a->y, a->rows, a->cols, a->ldy, elem));
    TK_TRY(tk_check_vector(err, "rmsnorm", "weight", a->weight, a->cols, 4));
    if (a->rstd) TK_TRY(tk_check_vector(err, "rmsnorm", "rstd", a->rstd, a->rows, 4));
    rmsnorm_rows r = {.kernel = cx->kernels->elementwise->rmsnorm[tk_dtype_index(a->dtype)], .x = TK_PTR(const char, a->x),
                      .y = TK_PTR(char, a->y), .weight = TK_PTR(const float, a->weight), .rstd = TK_PTR(float, a->rstd),
                      .ldx = a->ldx * elem, .ldy = a->ldy * elem, .cols = a->cols, .eps = a->eps};
    tk_run_blocks(cx, a->rows, a->cols, 2 * elem, TK_WHOLE_ROWS, rmsnorm_block, &r);
    return TK_OK;
}
