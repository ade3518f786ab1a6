// activation_backward.c - the gradients of swiglu and gelu: elementwise over [rows, cols], every operand with its row stride.
#include "blocks.h"
#include "check.h"

typedef struct activation_backward {
    void (*gelu)(const void *x, const float *dy, float *dx, int64_t n);
    void (*swiglu)(const void *gate, const void *up, const float *dy, float *dgate, float *dup, int64_t n);
    const char *x, *up;
    const float *dy;
    float *dx, *dup;
    int64_t ldx, ldup, lddy, lddx, lddup, elem;  // ldx and ldup in bytes
} activation_backward;

// An element costs about as much arithmetic as moving this many bytes more.
enum { ARITHMETIC = 8 };

static void activation_backward_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    const activation_backward *f = arg;
    int64_t n = col1 - col0;
    for (int64_t i = row0; i < row1; i++) {
        const char *x = f->x + i * f->ldx + col0 * f->elem;
        const float *dy = f->dy + i * f->lddy + col0;
        float *dx = f->dx + i * f->lddx + col0;
        if (f->swiglu) f->swiglu(x, f->up + i * f->ldup + col0 * f->elem, dy, dx, f->dup + i * f->lddup + col0, n);
        else f->gelu(x, dy, dx, n);
    }
}

int32_t tk_cpu_swiglu_backward(uint64_t ctx, tk_swiglu_backward_args *a, tk_error *err)
{
    TK_ENTER("swiglu_backward");
    TK_REQUIRE_DTYPE("swiglu_backward", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), rows = a->rows, cols = a->cols;
    TK_TRY(tk_check_matrix(err, "swiglu_backward", "gate", a->gate, rows, cols, a->ldgate, elem));
    TK_TRY(tk_check_matrix(err, "swiglu_backward", "up", a->up, rows, cols, a->ldup, elem));
    TK_TRY(tk_check_matrix(err, "swiglu_backward", "dy", a->dy, rows, cols, a->lddy, 4));
    TK_TRY(tk_check_matrix(err, "swiglu_backward", "dgate", a->dgate, rows, cols, a->lddgate, 4));
    TK_TRY(tk_check_matrix(err, "swiglu_backward", "dup", a->dup, rows, cols, a->lddup, 4));
    activation_backward f = {.swiglu = cx->kernels->backward->swiglu[tk_dtype_index(a->dtype)], .x = TK_PTR(const char, a->gate),
                             .up = TK_PTR(const char, a->up), .dy = TK_PTR(const float, a->dy), .dx = TK_PTR(float, a->dgate),
                             .dup = TK_PTR(float, a->dup), .ldx = a->ldgate * elem, .ldup = a->ldup * elem, .lddy = a->lddy,
                             .lddx = a->lddgate, .lddup = a->lddup, .elem = elem};
    tk_run_blocks(cx, rows, cols, 2 * elem + 12 + ARITHMETIC, TK_SPLIT_COLS, activation_backward_block, &f);
    return TK_OK;
}

int32_t tk_cpu_gelu_backward(uint64_t ctx, tk_gelu_backward_args *a, tk_error *err)
{
    TK_ENTER("gelu_backward");
    TK_REQUIRE_DTYPE("gelu_backward", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), rows = a->rows, cols = a->cols;
    TK_TRY(tk_check_matrix(err, "gelu_backward", "x", a->x, rows, cols, a->ldx, elem));
    TK_TRY(tk_check_matrix(err, "gelu_backward", "dy", a->dy, rows, cols, a->lddy, 4));
    TK_TRY(tk_check_matrix(err, "gelu_backward", "dx", a->dx, rows, cols, a->lddx, 4));
    activation_backward f = {.gelu = cx->kernels->backward->gelu[tk_dtype_index(a->dtype)], .x = TK_PTR(const char, a->x),
                             .dy = TK_PTR(const float, a->dy), .dx = TK_PTR(float, a->dx), .ldx = a->ldx * elem, .lddy = a->lddy,
                             .lddx = a->lddx, .elem = elem};
    tk_run_blocks(cx, rows, cols, elem + 8 + ARITHMETIC, TK_SPLIT_COLS, activation_backward_block, &f);
    return TK_OK;
}
