// elementwise.c - fill, cast and add.
#include "blocks.h"
#include "check.h"

enum { FILL_PAST = 4 << 20 };  // bytes: more than stays in a core's caches goes past them

typedef struct span {  // y = f(a, b), row strides in bytes
    const tk_elementwise_kernels *k;
    char *y;
    const char *a, *b;
    int64_t ldy, lda, ldb, elem_y, elem_a;
    int which, past;
    float value;
} span;

static void fill_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)row0, (void)row1;
    const span *s = arg;
    s->k->fill[s->which](s->y + col0 * s->elem_y, col1 - col0, s->value, s->past);
}

int32_t tk_cpu_fill(uint64_t ctx, tk_fill_args *a, tk_error *err)
{
    TK_ENTER("fill");
    TK_REQUIRE_DTYPE("fill", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype);
    TK_REQUIRE(a->n < (uint64_t)1 << TK_MAX_EXTENT_BITS, "fill: n is %llu", (unsigned long long)a->n);
    TK_TRY(tk_check_vector(err, "fill", "x", a->x, (int64_t)a->n, elem));
    span s = {.k = cx->kernels->elementwise, .y = TK_PTR(char, a->x), .elem_y = elem, .which = tk_dtype_index(a->dtype), .value = a->value,
              .past = (int64_t)a->n * elem >= FILL_PAST};
    tk_run_blocks(cx, 1, (int64_t)a->n, elem, TK_SPLIT_COLS, fill_block, &s);
    return TK_OK;
}

static void cast_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    const span *s = arg;
    for (int64_t i = row0; i < row1; i++) {
        const char *x = s->a + i * s->lda + col0 * s->elem_a;
        char *y = s->y + i * s->ldy + col0 * s->elem_y;
        if (s->elem_a == s->elem_y) s->k->copy(x, y, (col1 - col0) * s->elem_y, x + 4096, y + 4096);
        else if (s->elem_y == 2) s->k->narrow((const void *)x, (void *)y, col1 - col0);
        else s->k->widen((const void *)x, (void *)y, col1 - col0);
    }
}

int32_t tk_cpu_cast(uint64_t ctx, tk_cast_args *a, tk_error *err)
{
    TK_ENTER("cast");
    TK_REQUIRE_DTYPE("cast", a->dtype_x);
    TK_REQUIRE_DTYPE("cast", a->dtype_y);
    int64_t ex = tk_dtype_bytes(a->dtype_x), ey = tk_dtype_bytes(a->dtype_y), rows = a->rows, cols = a->cols;
    TK_TRY(tk_check_matrix(err, "cast", "x", a->x, rows, cols, a->ldx, ex));
    TK_TRY(tk_check_matrix(err, "cast", "y", a->y, rows, cols, a->ldy, ey));
    span s = {.k = cx->kernels->elementwise, .y = TK_PTR(char, a->y), .a = TK_PTR(const char, a->x), .ldy = a->ldy * ey,
              .lda = a->ldx * ex, .elem_y = ey, .elem_a = ex};
    if (s.a == s.y && ex == ey && a->ldx == a->ldy) return TK_OK;
    if (a->ldx == cols && a->ldy == cols) cols *= rows, rows = 1;
    tk_run_blocks(cx, rows, cols, ex + ey, TK_SPLIT_COLS, cast_block, &s);
    return TK_OK;
}

static void add_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)row0, (void)row1;
    const span *s = arg;
    int64_t at = col0 * s->elem_y;
    s->k->add[s->which](s->a + at, s->b + at, s->y + at, col1 - col0);
}

int32_t tk_cpu_add(uint64_t ctx, tk_add_args *a, tk_error *err)
{
    TK_ENTER("add");
    TK_REQUIRE_DTYPE("add", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype);
    TK_REQUIRE(a->n < (uint64_t)1 << TK_MAX_EXTENT_BITS, "add: n is %llu", (unsigned long long)a->n);
    TK_TRY(tk_check_vector(err, "add", "a", a->a, (int64_t)a->n, elem));
    TK_TRY(tk_check_vector(err, "add", "b", a->b, (int64_t)a->n, elem));
    TK_TRY(tk_check_vector(err, "add", "y", a->y, (int64_t)a->n, elem));
    span s = {.k = cx->kernels->elementwise, .y = TK_PTR(char, a->y), .a = TK_PTR(const char, a->a), .b = TK_PTR(const char, a->b),
              .elem_y = elem, .which = tk_dtype_index(a->dtype)};
    tk_run_blocks(cx, 1, (int64_t)a->n, 3 * elem, TK_SPLIT_COLS, add_block, &s);
    return TK_OK;
}
