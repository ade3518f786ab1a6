// rope.c - tables of cosines and sines, and the rotation of heads.
#include "blocks.h"
#include "check.h"

#include <math.h>

typedef struct rope_angles {
    const tk_elementwise_kernels *k;
    const int32_t *positions, *axis;
    const float *inv_freq;
    float *cos, *sin;
    int64_t axes, half, ldp;
    float inv_most;  // the largest magnitude in inv_freq
} rope_angles;

#define ROPE_FAST_MOST 0x4e800000u  // 2^30 as f32 bits: the kernel's range reduction is exact up to here
#define ROPE_NEAR_MOST 0x1p17f        // and sincos_near's, which all positions of a model stay below
enum { ROPE_FAST_AXES = 4, ROPE_BATCH = 256, ROPE_NEAR_BATCH = 512 };

// rope_table_slow is for angles or numbers of axes that no model has.
static void rope_table_slow(const rope_angles *t, int64_t i, int64_t j0, int64_t n, float *c, float *s)
{
    for (int64_t j = 0; j < n; j++) {
        float angle = (float)t->positions[t->axis[j0 + j] * t->ldp + i] * t->inv_freq[j0 + j];
        c[j] = (float)cos((double)angle);
        s[j] = (float)sin((double)angle);
    }
}

// rope_table_near does rows [i, i + n) if their angles are surely small enough. Of each row by itself it says the same.
static int rope_table_near(const rope_angles *t, int64_t i, int64_t n)
{
    if (!t->k->sincos_near || t->axes > ROPE_FAST_AXES) return 0;
    int32_t bits = 0;
    for (int64_t x = 0; x < t->axes; x++) {
        const int32_t *p = t->positions + x * t->ldp + i;
        for (int64_t j = 0; j < n; j++) bits |= p[j] ^ p[j] >> 31;
    }
    if (!((float)bits * t->inv_most <= ROPE_NEAR_MOST)) return 0;
    float *c = t->cos + i * t->half, *s = t->sin + i * t->half;
    t->k->angles_near(t->positions + i, t->axes, t->ldp, n, t->axis, t->inv_freq, c, s, t->half);
    t->k->sincos_near(c, s, n * t->half);
    return 1;
}

static void rope_table_row(const rope_angles *t, int64_t i)
{
    float angle[ROPE_BATCH], at[ROPE_FAST_AXES] = {0};
    int fast = t->axes <= ROPE_FAST_AXES;
    for (int64_t x = 0; fast && x < t->axes; x++) at[x] = (float)t->positions[x * t->ldp + i];
    for (int64_t j0 = 0; j0 < t->half; j0 += ROPE_BATCH) {
        int64_t n = t->half - j0 < ROPE_BATCH ? t->half - j0 : ROPE_BATCH;
        float *c = t->cos + i * t->half + j0, *s = t->sin + i * t->half + j0;
        if (fast && t->k->angles(at, t->axis + j0, t->inv_freq + j0, angle, n) <= ROPE_FAST_MOST) t->k->sincos(angle, c, s, n);
        else rope_table_slow(t, i, j0, n, c, s);
    }
}

static void rope_table_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const rope_angles *t = arg;
    const int64_t most = t->half < ROPE_NEAR_BATCH ? ROPE_NEAR_BATCH / t->half : 1;
    for (int64_t i = row0, n; i < row1; i += n) {
        n = row1 - i < most ? row1 - i : most;
        if (rope_table_near(t, i, n)) continue;
        for (int64_t row = i; row < i + n; row++)
            if (!rope_table_near(t, row, 1)) rope_table_row(t, row);
    }
}

int32_t tk_cpu_rope_table(uint64_t ctx, tk_rope_table_args *a, tk_error *err)
{
    TK_ENTER("rope_table");
    TK_REQUIRE(a->n >= 0 && a->half >= 0, "rope_table: n is %lld, half is %lld", (long long)a->n, (long long)a->half);
    if (a->n == 0 || a->half == 0) return TK_OK;
    TK_TRY(tk_check_matrix(err, "rope_table", "positions", a->positions, a->axes, a->n, a->ldp, 4));
    TK_TRY(tk_check_vector(err, "rope_table", "axis", a->axis, a->half, 4));
    TK_TRY(tk_check_vector(err, "rope_table", "inv_freq", a->inv_freq, a->half, 4));
    TK_TRY(tk_check_matrix(err, "rope_table", "cos", a->cos, a->n, a->half, a->half, 4));
    TK_TRY(tk_check_matrix(err, "rope_table", "sin", a->sin, a->n, a->half, a->half, 4));
    const int32_t *axis = TK_PTR(const int32_t, a->axis);
    TK_TRY(tk_check_ids(err, "rope_table", "axis", axis, a->half, a->axes));
    rope_angles t = {.k = cx->kernels->elementwise, .positions = TK_PTR(const int32_t, a->positions), .axis = axis,
                     .inv_freq = TK_PTR(const float, a->inv_freq), .cos = TK_PTR(float, a->cos), .sin = TK_PTR(float, a->sin),
                     .axes = a->axes, .half = a->half, .ldp = a->ldp};
    for (int64_t j = 0; j < t.half; j++) t.inv_most = fabsf(t.inv_freq[j]) > t.inv_most ? fabsf(t.inv_freq[j]) : t.inv_most;
    tk_run_blocks(cx, a->n, a->half, 16, TK_WHOLE_ROWS, rope_table_block, &t);
    return TK_OK;
}

typedef struct rope_rows {
    void (*row)(void *x, const float *cos, const float *sin, int64_t heads, int64_t dim, float sign, const void *next);
    char *x;
    const float *cos, *sin;
    int64_t heads, dim, ldx;  // ldx in bytes
    float sign;
} rope_rows;

static void rope_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const rope_rows *r = arg;
    int64_t half = r->dim / 2;
    for (int64_t i = row0; i < row1; i++) {
        char *x = r->x + i * r->ldx;
        r->row(x, r->cos + i * half, r->sin + i * half, r->heads, r->dim, r->sign, i + 1 < row1 ? x + r->ldx : NULL);
    }
}

int32_t tk_cpu_rope(uint64_t ctx, tk_rope_args *a, tk_error *err)
{
    TK_ENTER("rope");
    TK_REQUIRE_DTYPE("rope", a->dtype);
    int64_t elem = tk_dtype_bytes(a->dtype), cols;
    TK_REQUIRE(a->dim > 0 && a->dim % 2 == 0, "rope: dim is %lld, must be even and positive", (long long)a->dim);
    TK_REQUIRE(a->rows >= 0 && a->heads >= 0, "rope: rows is %lld, heads is %lld", (long long)a->rows, (long long)a->heads);
    TK_REQUIRE(!__builtin_mul_overflow(a->heads, a->dim, &cols), "rope: heads %lld times dim %lld is too large", (long long)a->heads,
               (long long)a->dim);
    TK_REQUIRE(a->inverse <= 1, "rope: inverse is %u, must be 0 or 1", a->inverse);
    if (a->rows == 0 || a->heads == 0) return TK_OK;
    TK_TRY(tk_check_matrix(err, "rope", "x", a->x, a->rows, cols, a->ldx, elem));
    TK_TRY(tk_check_matrix(err, "rope", "cos", a->cos, a->rows, a->dim / 2, a->dim / 2, 4));
    TK_TRY(tk_check_matrix(err, "rope", "sin", a->sin, a->rows, a->dim / 2, a->dim / 2, 4));
    rope_rows r = {.row = cx->kernels->elementwise->rope[tk_dtype_index(a->dtype)], .x = TK_PTR(char, a->x), .cos = TK_PTR(const float, a->cos),
                   .sin = TK_PTR(const float, a->sin), .heads = a->heads, .dim = a->dim, .ldx = a->ldx * elem, .sign = a->inverse ? -1 : 1};
    tk_run_blocks(cx, a->rows, cols, 2 * elem, TK_WHOLE_ROWS, rope_block, &r);
    return TK_OK;
}
