// embed.c - rows of a packed weight by id.
//
// A row is one lane of every k step of its panel: the floor is a line of 64 bytes a k step and row at the read bandwidth. A page holds
// 32 steps and no hardware prefetcher looks further, so lines are fetched here, EMBED_AHEAD steps ahead: into L2, since L1 has few sets
// for a stride of two lines.
#include "packed.h"

enum { EMBED_STEPS = 1024, EMBED_AHEAD = 64 };  // of a job: a piece of a row, or several rows

typedef struct embed_job {
    const tk_embed_args *a;
    int64_t pieces, rows;  // jobs a row, rows a job: one of them is 1
} embed_job;

// Steps begin .. end of row i.
static void embed_row(const tk_embed_args *a, int64_t i, int64_t begin, int64_t end)
{
    const int64_t id = TK_PTR(const int32_t, a->ids)[i];
    const uint32_t *lane = TK_PTR(const uint32_t, a->w) + id / TK_PANEL * tk_panel_lanes(a->dtype, a->k) + id % TK_PANEL;
    char *y = TK_PTR(char, a->y) + i * a->ldy * tk_dtype_bytes(a->dtype);
    const int64_t whole = a->dtype == TK_BF16 && 2 * end > a->k ? end - 1 : end;  // steps whose lane is all of the row's
    for (int64_t s = begin; s < whole; s++) {
        __builtin_prefetch(lane + (s + EMBED_AHEAD < end ? s + EMBED_AHEAD : s) * TK_PANEL, 0, 2);
        memcpy(y + 4 * s, lane + s * TK_PANEL, 4);
    }
    if (whole < end) {
        uint16_t last = (uint16_t)lane[whole * TK_PANEL];
        memcpy(y + 4 * whole, &last, 2);
    }
}

static void embed_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    const embed_job *p = arg;
    const int64_t steps = tk_ksteps(p->a->dtype, p->a->k), row = job / p->pieces * p->rows, begin = job % p->pieces * EMBED_STEPS;
    const int64_t row_end = row + p->rows < p->a->m ? row + p->rows : p->a->m, end = begin + EMBED_STEPS < steps ? begin + EMBED_STEPS : steps;
    for (int64_t i = row; i < row_end; i++) embed_row(p->a, i, begin, end);
}

int32_t tk_cpu_embed(uint64_t ctx, tk_embed_args *a, tk_error *err)
{
    TK_ENTER("embed");
    TK_REQUIRE_DTYPE("embed", a->dtype);
    TK_TRY(tk_check_product(err, "embed", a->m, a->n, a->k));
    TK_TRY(tk_check_packed(err, "embed", "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_matrix(err, "embed", "y", a->y, a->m, a->k, a->ldy, tk_dtype_bytes(a->dtype)));
    if (a->m == 0) return TK_OK;
    TK_TRY(tk_check_vector(err, "embed", "ids", a->ids, a->m, 4));
    TK_TRY(tk_check_ids(err, "embed", "ids", TK_PTR(const int32_t, a->ids), a->m, a->n));
    const int64_t steps = tk_ksteps(a->dtype, a->k);
    embed_job p = {.a = a, .pieces = tk_ceil_div(steps, EMBED_STEPS), .rows = steps < EMBED_STEPS ? EMBED_STEPS / steps : 1};
    tk_pool_run(cx->pool, tk_ceil_div(a->m, p.rows) * p.pieces, embed_run, &p);
    return TK_OK;
}
