// square_sum.c - the sum of squares of x [n] f32 in double, for norms of gradients.
//
// Blocks of 4096 elements are summed each by itself, wherever; their sums are kept for some MB at a time and added in order. Floor: x
// read once.
#include "blocks.h"
#include "check.h"

enum {
    BLOCK = 4096,
    BATCH = 512,  // blocks whose sums lie on the stack: 5 KB
};

typedef struct squares {
    double (*square_sum)(const float *x, int64_t n, int64_t *nonfinite);
    const float *x;
    int64_t n;
    double *sum;
    uint16_t *nonfinite;
} squares;

static void sum_blocks(const void *arg, int64_t block0, int64_t block1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const squares *s = arg;
    for (int64_t b = block0; b < block1; b++) {
        int64_t left = s->n - b * BLOCK, nonfinite;
        s->sum[b] = s->square_sum(s->x + b * BLOCK, left < BLOCK ? left : BLOCK, &nonfinite);
        s->nonfinite[b] = (uint16_t)nonfinite;
    }
}

int32_t tk_cpu_square_sum(uint64_t ctx, tk_square_sum_args *a, tk_error *err)
{
    TK_ENTER("square_sum");
    TK_TRY(tk_check_vector(err, "square_sum", "x", a->x, a->n, 4));
    double sum[BATCH];
    uint16_t nonfinite[BATCH];
    squares s = {.square_sum = cx->kernels->backward->square_sum, .sum = sum, .nonfinite = nonfinite};
    a->sum = 0, a->nonfinite = 0;
    for (int64_t i = 0; i < a->n; i += s.n) {
        s.x = TK_PTR(const float, a->x) + i;
        s.n = a->n - i < (int64_t)BLOCK * BATCH ? a->n - i : (int64_t)BLOCK * BATCH;
        int64_t blocks = tk_ceil_div(s.n, BLOCK);
        tk_run_blocks(cx, blocks, BLOCK, 4, TK_WHOLE_ROWS, sum_blocks, &s);
        for (int64_t b = 0; b < blocks; b++) a->sum += sum[b], a->nonfinite += nonfinite[b];
    }
    return TK_OK;
}
