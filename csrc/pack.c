// pack.c - row-major weights into panels and back: arguments, and panels shared out over the pool.
#include "packed.h"

typedef struct pack_job {
    const tk_pack_args *a;
    void (*panel)(const tk_pack_block *b);
} pack_job;

// Job j is the j-th panel that the rows touch. No two jobs write one panel.
static void pack_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    const pack_job *p = arg;
    const tk_pack_args *a = p->a;
    const int64_t panel = a->row0 / TK_PANEL + job, base = panel * TK_PANEL;
    const int64_t begin = base > a->row0 ? base : a->row0;
    const int64_t end = base + TK_PANEL < a->row0 + a->rows ? base + TK_PANEL : a->row0 + a->rows;
    tk_pack_block b = {
        .dtype = a->dtype,
        .dtype_rows = a->dtype_src,
        .k = a->k,
        .first = begin - base,
        .count = end - begin,
        .panel = TK_PTR(uint32_t, a->packed) + panel * tk_panel_lanes(a->dtype, a->k),
        .rows = TK_PTR(char, a->src) + (begin - a->row0) * a->ld * tk_dtype_bytes(a->dtype_src),
        .ld = a->ld,
    };
    p->panel(&b);
}

static int32_t pack_check(const char *op, const tk_pack_args *a, tk_error *err)
{
    TK_REQUIRE(a->dtype == TK_F32 || a->dtype == TK_BF16, "%s: dtype %u is neither f32 nor bf16", op, a->dtype);
    TK_REQUIRE(a->dtype_src == TK_F32 || a->dtype_src == TK_BF16, "%s: dtype_src %u is neither f32 nor bf16", op, a->dtype_src);
    TK_TRY(tk_check_product(err, op, 0, a->n, a->k));
    TK_REQUIRE(a->row0 >= 0 && a->rows >= 0 && a->row0 <= a->n && a->rows <= a->n - a->row0, "%s: row0 is %lld and rows %lld, outside the weight's n of %lld", op,
               (long long)a->row0, (long long)a->rows, (long long)a->n);
    TK_TRY(tk_check_packed(err, op, "packed", a->packed, a->dtype, a->n, a->k));
    TK_TRY(tk_check_matrix(err, op, "src", a->src, a->rows, a->k, a->ld, tk_dtype_bytes(a->dtype_src)));
    return TK_OK;
}

static int64_t pack_jobs(const tk_pack_args *a)
{
    return a->rows ? (a->row0 + a->rows - 1) / TK_PANEL - a->row0 / TK_PANEL + 1 : 0;
}

int32_t tk_cpu_pack(uint64_t ctx, tk_pack_args *a, tk_error *err)
{
    TK_ENTER("pack");
    TK_TRY(pack_check("pack", a, err));
    pack_job p = {.a = a, .panel = cx->kernels->matmul->pack};
    tk_pool_run(cx->pool, pack_jobs(a), pack_run, &p);
    return TK_OK;
}

int32_t tk_cpu_unpack(uint64_t ctx, tk_pack_args *a, tk_error *err)
{
    TK_ENTER("unpack");
    TK_TRY(pack_check("unpack", a, err));
    pack_job p = {.a = a, .panel = cx->kernels->matmul->unpack};
    tk_pool_run(cx->pool, pack_jobs(a), pack_run, &p);
    return TK_OK;
}
