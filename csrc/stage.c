// stage.c - rows laid out for an ISA whose product does not take them where they lie: once a call, shared out over the pool.
//
// The memory is the context's, as calls run one at a time: STAGE_BYTES for rows, and for each thread a block's sums. Pages that no call needs
// are never touched. Floor: the rows' bytes at the copy bandwidth, beside 2 k FLOP for each of them and each column of the weight.
#define _GNU_SOURCE
#include "stage.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    STAGE_BYTES = 8 << 20,  // 1,024 rows of 4,096, 380 of 11,008
    SUMS_BYTES = TK_STAGED_ROWS * TK_STAGED_PANELS * TK_PANEL * 4,
    HUGE_PAGE = 2 << 20,
    TILE_DEPTH = 32,        // bf16 of a row of a tile
    INLINE_BYTES = 64 << 10 // rows below which waking the pool costs more than it saves
};

static uint64_t stage_bytes(const tk_context *cx) { return STAGE_BYTES + (uint64_t)tk_pool_threads(cx->pool) * SUMS_BYTES; }

int32_t tk_stage_open(tk_context *cx, tk_error *err)
{
    if (!cx->kernels->matmul->stage) return TK_OK;
    if (posix_memalign(&cx->stage, HUGE_PAGE, stage_bytes(cx))) {
        cx->stage = NULL;
        return tk_fail(err, TK_OUT_OF_MEMORY, "open: no memory for %llu bytes of rows and sums", (unsigned long long)stage_bytes(cx));
    }
#ifdef MADV_HUGEPAGE
    madvise(cx->stage, stage_bytes(cx), MADV_HUGEPAGE);
#endif
    return TK_OK;
}

void tk_stage_close(tk_context *cx)
{
    free(cx->stage);
    cx->stage = NULL;
}

static int64_t row_bytes(int64_t k) { return tk_ceil_div(k, TILE_DEPTH) * TILE_DEPTH * 2; }

int64_t tk_stage_rows(const tk_context *cx, uint32_t dtype, int64_t k)
{
    return cx->kernels->matmul->stage && dtype == TK_BF16 ? STAGE_BYTES / row_bytes(k) / (2 * TK_STAGED_TILE) * (2 * TK_STAGED_TILE) : 0;
}

typedef struct stage_job {
    const tk_context *cx;
    int64_t m, k, ldx;
    const uint16_t *x;
} stage_job;

static void stage_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    const stage_job *p = arg;
    const int64_t row = job * TK_STAGED_TILE, left = p->m - row;
    p->cx->kernels->matmul->stage(left < TK_STAGED_TILE ? left : TK_STAGED_TILE, p->k, p->x + row * p->ldx, p->ldx, p->cx->stage, job,
                                 tk_ceil_div(p->m, TK_STAGED_TILE));
}

void tk_stage(tk_context *cx, int threads, int64_t m, int64_t k, const void *x, int64_t ldx)
{
    stage_job p = {.cx = cx, .m = m, .k = k, .ldx = ldx, .x = x};
    const int64_t jobs = tk_ceil_div(m, TK_STAGED_TILE);
    if (threads > 1 && m * k * 2 >= INLINE_BYTES) tk_pool_run(cx->pool, jobs, stage_run, &p);
    else
        for (int64_t job = 0; job < jobs; job++) stage_run(&p, job, 0);
}

tk_staged tk_stage_from(const tk_context *cx, int64_t m, int64_t row, int thread)
{
    if (!cx->stage) return (tk_staged){0};
    return (tk_staged){
        .tiles = cx->stage,
        .first = row / TK_STAGED_TILE,
        .all = tk_ceil_div(m, TK_STAGED_TILE),
        .sums = (char *)cx->stage + STAGE_BYTES + (uint64_t)thread * SUMS_BYTES,
    };
}
