// logprob.c - log-probabilities and entropies from hidden states, without the logits of the whole vocabulary.
//
// A job is a block of rows times one chunk of the vocabulary: the logits of both, in a buffer of the thread that does it, folded to
// one state a row. The blocks of one chunk are consecutive jobs, so that a chunk's weights come from memory once for all
// rows of a batch. The states of a row are added left to right at the end.
#include "check.h"
#include "logsumexp.h"
#include "packed.h"
#include "stage.h"

enum {
    TILE_ROWS = 12,             // rows of gemm's largest tile: blocks are cut between tiles
    BLOCK_ROWS = 8 * TILE_ROWS, // the logits of a block are 400 KB
    BLOCK_BYTES = 768 << 10,    // most bytes of a block of x: it stays in L2 with the logits and a group of panels
    STAGED_ROWS = 256,          // of a block where rows are laid out: its weights come from memory once for more of them
    BATCH_ROWS = 1024,          // rows whose chunk states are held
    LOGITS_STRIDE = TK_VOCAB_CHUNK + 16,
};

typedef struct logprob_plan {
    int64_t chunks, batch, block;
    int staged;
    uint64_t states, targets, logits, bytes;  // offsets into the workspace, and its size
} logprob_plan;

static logprob_plan plan_logprob(const tk_context *cx, uint32_t dtype, int64_t rows, int64_t n, int64_t k)
{
    const int64_t pass = tk_stage_rows(cx, dtype, k), tile = pass ? 2 * TK_STAGED_TILE : TILE_ROWS, batch = pass && pass < BATCH_ROWS ? pass : BATCH_ROWS;
    const int threads = tk_pool_threads(cx->pool);
    logprob_plan p = {.chunks = tk_vocab_chunks(n), .batch = rows < batch ? rows : batch, .staged = pass > 0};
    int64_t most = BLOCK_BYTES / (k * tk_dtype_bytes(dtype)) / tile;  // in tiles
    most = pass ? STAGED_ROWS / tile : most < 1 ? 1 : most > BLOCK_ROWS / tile ? BLOCK_ROWS / tile : most;
    int64_t tiles = tk_ceil_div(p.batch, tile), blocks = tk_ceil_div(tiles, most);
    while (blocks < tiles && blocks * p.chunks < 4 * threads) blocks++;
    p.block = blocks ? tk_ceil_div(tiles, blocks) * tile : tile;
    p.states = TK_ALIGN;  // room to align the start
    p.targets = p.states + (uint64_t)(p.batch * p.chunks) * sizeof(tk_vocab_state);
    p.logits = (p.targets + (uint64_t)p.batch * 4 + TK_ALIGN - 1) / TK_ALIGN * TK_ALIGN;
    p.bytes = p.logits + (uint64_t)threads * (uint64_t)p.block * LOGITS_STRIDE * 4;
    return p;
}

typedef struct logprob_run {
    const tk_logprob_args *a;
    tk_context *cx;
    const tk_vocab_kernels *k;
    logprob_plan plan;
    int64_t row0, rows, blocks;  // of the batch
    tk_vocab_state *states;      // [rows, chunks]
    float *targets;              // [rows]: z of the target
    float *logits;               // [threads, block, LOGITS_STRIDE]
} logprob_run;

static void logprob_chunk(void *arg, int64_t job, int thread)
{
    const logprob_run *r = arg;
    const tk_logprob_args *a = r->a;
    const int64_t chunk = job / r->blocks, row = job % r->blocks * r->plan.block;
    const int64_t rows = r->rows - row < r->plan.block ? r->rows - row : r->plan.block;
    const int64_t col = chunk * TK_VOCAB_CHUNK, left = a->n - col, width = left < TK_VOCAB_CHUNK ? left : TK_VOCAB_CHUNK;
    const uint32_t *ban = TK_PTR(const uint32_t, a->ban);
    float *z = r->logits + (int64_t)thread * r->plan.block * LOGITS_STRIDE;
    const tk_staged staged = tk_stage_from(r->cx, r->rows, row, thread);
    r->k->logits[tk_dtype_index(a->dtype)](TK_PTR(const char, a->x) + (r->row0 + row) * a->ldx * tk_dtype_bytes(a->dtype),
                                           r->plan.staged ? &staged : NULL, rows, a->ldx, a->k,
                                           TK_PTR(const uint32_t, a->w) + col / TK_PANEL * tk_panel_lanes(a->dtype, a->k),
                                           tk_ceil_div(width, TK_PANEL), z, LOGITS_STRIDE);
    for (int64_t i = 0; i < rows; i++, z += LOGITS_STRIDE) {
        tk_vocab_chunk c = {.logits = z, .ban = ban ? ban + col / 32 : NULL, .width = width, .scale = a->inv_temperature};
        r->states[(row + i) * r->plan.chunks + chunk] = r->k->fold(&c, a->entropy != 0, NULL);
        int64_t target = TK_PTR(const int32_t, a->targets)[r->row0 + row + i] - col;
        if (target >= 0 && target < width) r->targets[row + i] = z[target] * a->inv_temperature;
    }
}

enum { MERGE_ROWS = 16 };

static void logprob_merge(void *arg, int64_t job, int thread)
{
    (void)thread;
    const logprob_run *r = arg;
    const tk_logprob_args *a = r->a;
    for (int64_t i = job * MERGE_ROWS; i < (job + 1) * MERGE_ROWS && i < r->rows; i++) {
        int64_t row = r->row0 + i;
        tk_lse lse = tk_lse_of(r->k, r->states + i * r->plan.chunks, r->plan.chunks, NULL);
        int banned = tk_vocab_banned(TK_PTR(const uint32_t, a->ban), TK_PTR(const int32_t, a->targets)[row]);
        TK_PTR(float, a->logprob)[row] = banned ? -INFINITY : tk_lse_logprob(lse, r->targets[i]);
        if (a->entropy) TK_PTR(float, a->entropy)[row] = tk_lse_entropy(lse);
        if (a->lse) TK_PTR(float, a->lse)[row] = tk_lse_value(lse);
    }
}

int32_t tk_cpu_logprob(uint64_t ctx, tk_logprob_args *a, tk_error *err)
{
    TK_ENTER("logprob");
    TK_TRY(tk_check_vocabulary(err, "logprob", a->dtype, a->rows, a->n, a->k));
    TK_REQUIRE(a->inv_temperature > 0 && isfinite(a->inv_temperature), "logprob: inv_temperature is %g, must be positive and finite",
               (double)a->inv_temperature);
    TK_TRY(tk_check_matrix(err, "logprob", "x", a->x, a->rows, a->k, a->ldx, tk_dtype_bytes(a->dtype)));
    TK_TRY(tk_check_packed(err, "logprob", "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_vector(err, "logprob", "targets", a->targets, a->rows, 4));
    TK_TRY(tk_check_vector(err, "logprob", "logprob", a->logprob, a->rows, 4));
    if (a->entropy) TK_TRY(tk_check_vector(err, "logprob", "entropy", a->entropy, a->rows, 4));
    if (a->lse) TK_TRY(tk_check_vector(err, "logprob", "lse", a->lse, a->rows, 4));
    if (a->ban) TK_TRY(tk_check_vector(err, "logprob", "ban", a->ban, tk_ceil_div(a->n, 32), 4));
    if (a->rows == 0) return TK_OK;
    TK_TRY(tk_check_ids(err, "logprob", "targets", TK_PTR(const int32_t, a->targets), a->rows, a->n));
    TK_REQUIRE(tk_vocab_left(TK_PTR(const uint32_t, a->ban), a->n) > 0, "logprob: all %lld columns are banned", (long long)a->n);
    logprob_run r = {.a = a, .cx = cx, .k = cx->kernels->vocab, .plan = plan_logprob(cx, a->dtype, a->rows, a->n, a->k)};
    TK_REQUIRE(a->workspace && a->workspace_bytes >= r.plan.bytes, "logprob: workspace has %llu bytes, needs %llu",
               (unsigned long long)(a->workspace ? a->workspace_bytes : 0), (unsigned long long)r.plan.bytes);
    uint64_t start = a->workspace / TK_ALIGN * TK_ALIGN;
    r.states = TK_PTR(tk_vocab_state, start + r.plan.states);
    r.targets = TK_PTR(float, start + r.plan.targets);
    r.logits = TK_PTR(float, start + r.plan.logits);
    for (r.row0 = 0; r.row0 < a->rows; r.row0 += r.rows) {
        r.rows = a->rows - r.row0 < r.plan.batch ? a->rows - r.row0 : r.plan.batch;
        r.blocks = tk_ceil_div(r.rows, r.plan.block);
        if (r.plan.staged) tk_stage(cx, tk_pool_threads(cx->pool), r.rows, a->k, TK_PTR(const uint16_t, a->x) + r.row0 * a->ldx, a->ldx);
        tk_pool_run(cx->pool, r.plan.chunks * r.blocks, logprob_chunk, &r);
        tk_pool_run(cx->pool, tk_ceil_div(r.rows, MERGE_ROWS), logprob_merge, &r);
    }
    return TK_OK;
}

int32_t tk_cpu_logprob_workspace(uint64_t ctx, tk_logprob_workspace_args *a, tk_error *err)
{
    TK_ENTER("logprob_workspace");
    TK_TRY(tk_check_vocabulary(err, "logprob_workspace", a->dtype, a->rows, a->n, a->k));
    a->bytes = plan_logprob(cx, a->dtype, a->rows, a->n, a->k).bytes;
    return TK_OK;
}
