// rows_add.c - rows added to chosen rows: the backward of gathers and embeddings.
//
// x [rows_x, cols] and y [rows_y, cols] f32 with row strides. Rows that meet in one destination are added in order whatever the threads,
// so each thread takes some of the columns of all rows; without dst no two meet, and rows are shared out too. Where dst is -1 neither
// row is read. Floor: n rows of x and of y read, n rows of y written.
#include "blocks.h"
#include "check.h"

typedef struct row_sums {
    void (*add)(const void *a, const void *b, void *y, int64_t n);
    const float *x;
    float *y;
    const int32_t *src, *dst;
    int64_t n, cols, ldx, ldy, width;
} row_sums;

static void add_rows(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    const row_sums *r = arg;
    for (int64_t i = row0; i < row1; i++) {
        int64_t d = r->dst ? r->dst[i] : i;
        if (d < 0) continue;
        const float *x = r->x + (r->src ? r->src[i] : i) * r->ldx + col0;
        float *y = r->y + d * r->ldy + col0;
        r->add(y, x, y, col1 - col0);
    }
}

// Strips of columns, each of all rows.
static void add_strips(const void *arg, int64_t strip0, int64_t strip1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const row_sums *r = arg;
    int64_t end = strip1 * r->width;
    add_rows(r, 0, r->n, strip0 * r->width, end < r->cols ? end : r->cols);
}

int32_t tk_cpu_rows_add(uint64_t ctx, tk_rows_add_args *a, tk_error *err)
{
    TK_ENTER("rows_add");
    int64_t n = a->n, cols = a->cols;
    TK_REQUIRE(n >= 0, "rows_add: n is %lld", (long long)n);
    TK_TRY(tk_check_matrix(err, "rows_add", "x", a->x, a->rows_x, cols, a->ldx, 4));
    TK_TRY(tk_check_matrix(err, "rows_add", "y", a->y, a->rows_y, cols, a->ldy, 4));
    const int32_t *src = TK_PTR(const int32_t, a->src), *dst = TK_PTR(const int32_t, a->dst);
    if (src) TK_TRY(tk_check_vector(err, "rows_add", "src", a->src, n, 4));
    else TK_REQUIRE(n <= a->rows_x, "rows_add: n is %lld, x has %lld rows", (long long)n, (long long)a->rows_x);
    if (dst) TK_TRY(tk_check_vector(err, "rows_add", "dst", a->dst, n, 4));
    else TK_REQUIRE(n <= a->rows_y, "rows_add: n is %lld, y has %lld rows", (long long)n, (long long)a->rows_y);
    for (int64_t i = 0; i < n && (src || dst); i++) {
        if (dst && dst[i] == -1) continue;
        TK_REQUIRE(!dst || (dst[i] >= 0 && dst[i] < a->rows_y), "rows_add: dst[%lld] is %d, neither -1 nor in [0, %lld)", (long long)i,
                   dst[i], (long long)a->rows_y);
        TK_REQUIRE(!src || (src[i] >= 0 && src[i] < a->rows_x), "rows_add: src[%lld] is %d, outside [0, %lld)", (long long)i, src[i],
                   (long long)a->rows_x);
    }
    if (n == 0 || cols == 0) return TK_OK;
    row_sums r = {.add = cx->kernels->elementwise->add[0], .x = TK_PTR(const float, a->x), .y = TK_PTR(float, a->y), .src = src, .dst = dst,
                  .n = n, .cols = cols, .ldx = a->ldx, .ldy = a->ldy};
    if (!dst) {
        tk_run_blocks(cx, n, cols, 12, TK_SPLIT_COLS, add_rows, &r);
        return TK_OK;
    }
    // Two strips a thread, as wide as that allows: a piece of a row is too short for the prefetcher to see it coming.
    r.width = tk_ceil_div(tk_ceil_div(cols, 2 * tk_pool_threads(cx->pool)), 64) * 64;
    tk_run_blocks(cx, tk_ceil_div(cols, r.width), 1, 12 * n * r.width, TK_WHOLE_ROWS, add_strips, &r);
    return TK_OK;
}
