// rows.c - gathers, scatters and permutations of rows.
#include "blocks.h"
#include "check.h"

typedef struct row_copy {
    void (*copy)(const void *src, void *dst, int64_t bytes, const void *next_src, void *next_dst);
    const char *x;
    char *y;
    const int32_t *src, *dst;
    int64_t ldx, ldy, elem;  // strides in bytes
} row_copy;

static void rows_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    const row_copy *r = arg;
    int64_t at = col0 * r->elem, bytes = (col1 - col0) * r->elem;
    const char *x = r->x + (r->src ? r->src[row0] : row0) * r->ldx + at;
    char *y = r->y + (r->dst ? r->dst[row0] : row0) * r->ldy + at;
    for (int64_t i = row0; i < row1; i++) {
        int64_t next = i + 1 < row1 ? i + 1 : i;
        const char *next_x = r->x + (r->src ? r->src[next] : next) * r->ldx + at;
        char *next_y = r->y + (r->dst ? r->dst[next] : next) * r->ldy + at;
        r->copy(x, y, bytes, next_x, next_y);
        x = next_x, y = next_y;
    }
}

// Rows that meet in one destination must be written in order whatever the threads, so a scatter is split by columns alone.
typedef struct scatter {
    const row_copy *r;
    int64_t n;
} scatter;

static void scatter_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)row0, (void)row1;
    const scatter *s = arg;
    rows_block(s->r, 0, s->n, col0, col1);
}

int32_t tk_cpu_rows(uint64_t ctx, tk_rows_args *a, tk_error *err)
{
    TK_ENTER("rows");
    TK_REQUIRE_DTYPE("rows", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), n = a->n;
    TK_REQUIRE(n >= 0, "rows: n is %lld", (long long)n);
    TK_TRY(tk_check_matrix(err, "rows", "x", a->x, a->rows_x, a->cols, a->ldx, elem));
    TK_TRY(tk_check_matrix(err, "rows", "y", a->y, a->rows_y, a->cols, a->ldy, elem));
    const int32_t *src = TK_PTR(const int32_t, a->src), *dst = TK_PTR(const int32_t, a->dst);
    if (src) {
        TK_TRY(tk_check_vector(err, "rows", "src", a->src, n, 4));
        TK_TRY(tk_check_ids(err, "rows", "src", src, n, a->rows_x));
    } else {
        TK_REQUIRE(n <= a->rows_x, "rows: n is %lld, x has %lld rows", (long long)n, (long long)a->rows_x);
    }
    if (dst) {
        TK_TRY(tk_check_vector(err, "rows", "dst", a->dst, n, 4));
        TK_TRY(tk_check_ids(err, "rows", "dst", dst, n, a->rows_y));
    } else {
        TK_REQUIRE(n <= a->rows_y, "rows: n is %lld, y has %lld rows", (long long)n, (long long)a->rows_y);
    }
    if (n == 0 || a->cols == 0) return TK_OK;
    row_copy r = {.copy = cx->kernels->elementwise->copy, .x = TK_PTR(const char, a->x), .y = TK_PTR(char, a->y), .src = src, .dst = dst,
                  .ldx = a->ldx * elem, .ldy = a->ldy * elem, .elem = elem};
    if (dst) tk_run_blocks(cx, 1, a->cols, 2 * elem * n, TK_SPLIT_COLS, scatter_block, &(scatter){&r, n});
    else tk_run_blocks(cx, n, a->cols, 2 * elem, TK_SPLIT_COLS, rows_block, &r);
    return TK_OK;
}
