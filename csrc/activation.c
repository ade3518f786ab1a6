// activation.c - swiglu and gelu.
#include "blocks.h"
#include "check.h"

typedef struct activation {
    void (*one)(const void *x, void *y, int64_t n);
    void (*two)(const void *gate, const void *up, void *y, int64_t n);
    const char *x, *up;
    char *y;
    int64_t ldx, ldup, ldy, elem;  // strides in bytes
} activation;

// An element costs about as much arithmetic as moving this many bytes more.
enum { ARITHMETIC = 4 };

static void activation_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    const activation *f = arg;
    int64_t at = col0 * f->elem;
    for (int64_t i = row0; i < row1; i++) {
        const char *x = f->x + i * f->ldx + at;
        char *y = f->y + i * f->ldy + at;
        if (f->two) f->two(x, f->up + i * f->ldup + at, y, col1 - col0);
        else f->one(x, y, col1 - col0);
    }
}

int32_t tk_cpu_swiglu(uint64_t ctx, tk_swiglu_args *a, tk_error *err)
{
    TK_ENTER("swiglu");
    TK_REQUIRE_DTYPE("swiglu", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), rows = a->rows, cols = a->cols;
    TK_TRY(tk_check_matrix(err, "swiglu", "gate", a->gate, rows, cols, a->ldgate, elem));
    TK_TRY(tk_check_matrix(err, "swiglu", "up", a->up, rows, cols, a->ldup, elem));
    TK_TRY(tk_check_matrix(err, "swiglu", "y", a->y, rows, cols, a->ldy, elem));
    activation f = {.two = cx->kernels->elementwise->swiglu[tk_dtype_index(a->dtype)], .x = TK_PTR(const char, a->gate),
                    .up = TK_PTR(const char, a->up), .y = TK_PTR(char, a->y), .ldx = a->ldgate * elem, .ldup = a->ldup * elem,
                    .ldy = a->ldy * elem, .elem = elem};
    if (a->ldgate == cols && a->ldup == cols && a->ldy == cols) cols *= rows, rows = 1;
    tk_run_blocks(cx, rows, cols, 3 * elem + ARITHMETIC, TK_SPLIT_COLS, activation_block, &f);
    return TK_OK;
}

int32_t tk_cpu_gelu(uint64_t ctx, tk_gelu_args *a, tk_error *err)
{
    TK_ENTER("gelu");
    TK_REQUIRE_DTYPE("gelu", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), rows = a->rows, cols = a->cols;
    TK_TRY(tk_check_matrix(err, "gelu", "x", a->x, rows, cols, a->ldx, elem));
    TK_TRY(tk_check_matrix(err, "gelu", "y", a->y, rows, cols, a->ldy, elem));
    activation f = {.one = cx->kernels->elementwise->gelu[tk_dtype_index(a->dtype)], .x = TK_PTR(const char, a->x), .y = TK_PTR(char, a->y),
                    .ldx = a->ldx * elem, .ldy = a->ldy * elem, .elem = elem};
    if (a->ldx == cols && a->ldy == cols) cols *= rows, rows = 1;
    tk_run_blocks(cx, rows, cols, 2 * elem + ARITHMETIC, TK_SPLIT_COLS, activation_block, &f);
    return TK_OK;
}
