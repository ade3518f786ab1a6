// embed.c - rows of a packed weight by id.
//
// A row is one lane of every k step of its panel, so each lane costs a cache line: the floor is 64 bytes a k step and row at the
// read bandwidth. The stride is constant, and the lines are prefetched well ahead.
#include "packed.h"

enum { EMBED_STEPS = 1024, EMBED_AHEAD = 32 };  // steps of a job; steps of prefetch

typedef struct embed_job {
    const tk_embed_args *a;
    int64_t pieces;  // jobs a row
} embed_job;

static void embed_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    const embed_job *p = arg;
    const tk_embed_args *a = p->a;
    const int64_t i = job / p->pieces, begin = job % p->pieces * EMBED_STEPS, steps = tk_ksteps(a->dtype, a->k);
    const int64_t end = begin + EMBED_STEPS < steps ? begin + EMBED_STEPS : steps;
    const int64_t id = TK_PTR(const int32_t, a->ids)[i];
    const uint32_t *lane = TK_PTR(const uint32_t, a->w) + id / TK_PANEL * tk_panel_lanes(a->dtype, a->k) + id % TK_PANEL;
    char *y = TK_PTR(char, a->y) + i * a->ldy * tk_dtype_bytes(a->dtype);
    const int64_t whole = a->dtype == TK_BF16 && a->k % 2 && end == steps ? end - 1 : end;  // steps whose lane is all of the row's
    for (int64_t s = begin; s < whole; s++) {
        __builtin_prefetch(lane + (s + EMBED_AHEAD) * TK_PANEL, 0, 3);
        memcpy(y + 4 * s, lane + s * TK_PANEL, 4);
    }
    if (whole < end) {
        uint16_t last = (uint16_t)lane[whole * TK_PANEL];
        memcpy(y + 4 * whole, &last, 2);
    }
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
    embed_job p = {.a = a, .pieces = tk_ceil_div(tk_ksteps(a->dtype, a->k), EMBED_STEPS)};
    tk_pool_run(cx->pool, a->m * p.pieces, embed_run, &p);
    return TK_OK;
}
