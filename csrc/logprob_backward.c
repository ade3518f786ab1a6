// logprob_backward.c - the gradients of log-probabilities and entropies, without the logits of the whole vocabulary.
//
// Chunk after chunk of the vocabulary, two steps for a batch of rows:
//     dz [rows, TK_VOCAB_CHUNK]   the logits again, by logprob's own kernel and so to the bit, each row turned into its gradient in place
//     dx (+)= dz W_chunk, dw_chunk += dz^T x
// Within a step the outputs are cut as matmul_dx and matmul_dw cut theirs. The chunks follow one another, so that dx's sums take the
// columns in increasing order; so do the batches, for dw's rows.
//
// Floor: 2 rows n k FLOP for the logits and for each of dx and dw.
#include "logsumexp.h"
#include "matmul_backward.h"
#include "stage.h"

enum {
    TILE_ROWS = 12,     // rows of gemm's largest tile: blocks are cut between tiles
    BATCH_ROWS = 1024,  // most rows whose dz is held
    DZ_STRIDE = TK_VOCAB_CHUNK + 16,
};

typedef struct backward_plan {
    int64_t batch, tile;      // tile: rows that a cut between blocks of logits is a multiple of
    int staged;
    uint64_t scratch, bytes;  // offset into the workspace, and its size
} backward_plan;

static backward_plan plan_backward(const tk_context *cx, uint32_t dtype, int64_t rows, int64_t k)
{
    const int64_t pass = tk_stage_rows(cx, dtype, k), most = pass && pass < BATCH_ROWS ? pass : BATCH_ROWS, batches = tk_ceil_div(rows, most);
    backward_plan p = {.batch = batches ? tk_ceil_div(rows, batches) : 0, .tile = pass ? 2 * TK_STAGED_TILE : TILE_ROWS, .staged = pass > 0};
    p.scratch = TK_ALIGN + (uint64_t)p.batch * DZ_STRIDE * 4;  // with room to align the start
    p.bytes = p.scratch + tk_backward_scratch(tk_pool_threads(cx->pool));
    return p;
}

typedef struct backward_run {
    const tk_logprob_backward_args *a;
    const tk_context *cx;
    const tk_kernels *kernels;
    int staged;
    int64_t row0, rows;         // of the batch
    int64_t col0, width;        // of the chunk
    float *dz;                  // [rows, DZ_STRIDE]
    uint64_t scratch;
    tk_cut logits, dw, dx;
} backward_run;

static const uint32_t *chunk_weight(const backward_run *r, int64_t col)
{
    return TK_PTR(const uint32_t, r->a->w) + (r->col0 + col) / TK_PANEL * tk_panel_lanes(r->a->dtype, r->a->k);
}

static const char *batch_x(const backward_run *r, int64_t row, int64_t col)
{
    return TK_PTR(const char, r->a->x) + ((r->row0 + row) * r->a->ldx + col) * tk_dtype_bytes(r->a->dtype);
}

static void run_dz(void *arg, int64_t job, int thread)
{
    const backward_run *r = arg;
    const tk_logprob_backward_args *a = r->a;
    const tk_vocab_kernels *k = r->kernels->vocab;
    const tk_part p = tk_cut_part(&r->logits, job);
    const uint32_t *ban = TK_PTR(const uint32_t, a->ban);
    float *z = r->dz + p.row * DZ_STRIDE + p.col;
    const tk_staged staged = tk_stage_from(r->cx, r->rows, p.row, thread);
    k->logits[tk_dtype_index(a->dtype)](batch_x(r, p.row, 0), r->staged ? &staged : NULL, p.rows, a->ldx, a->k, chunk_weight(r, p.col), tk_ceil_div(p.cols, TK_PANEL), z,
                                        DZ_STRIDE);
    const int64_t col = r->col0 + p.col;
    tk_vocab_chunk c = {.logits = z, .ban = ban ? ban + col / 32 : NULL, .width = p.cols, .scale = a->inv_temperature};
    for (int64_t i = 0; i < p.rows; i++, c.logits += DZ_STRIDE) {
        const int64_t row = r->row0 + p.row + i;
        tk_vocab_gradient g = {
            .target = TK_PTR(const int32_t, a->targets)[row] - col,
            .lse = TK_PTR(const float, a->lse)[row],
            .entropy = a->dentropy ? TK_PTR(const float, a->entropy)[row] : 0,
            .dlogprob = TK_PTR(const float, a->dlogprob)[row],
            .dentropy = a->dentropy ? TK_PTR(const float, a->dentropy)[row] : 0,
        };
        k->gradient(&c, &g, z + i * DZ_STRIDE);
    }
}

static void run_dw(const backward_run *r, int64_t job, float *scratch)
{
    const tk_logprob_backward_args *a = r->a;
    const tk_part p = tk_cut_part(&r->dw, job);
    tk_dw_block b = {
        .dtype = a->dtype,
        .m = r->rows,
        .n = p.rows,
        .cols = p.cols,
        .dy = r->dz + p.row,
        .x = batch_x(r, 0, p.col),
        .dw = TK_PTR(float, a->dw) + (r->col0 + p.row) * a->lddw + p.col,
        .lddy = DZ_STRIDE,
        .ldx = a->ldx,
        .lddw = a->lddw,
        .scratch = scratch,
    };
    r->kernels->matmul_backward->dw(&b);
}

static void run_dx(const backward_run *r, int64_t job, float *scratch)
{
    const tk_logprob_backward_args *a = r->a;
    const tk_part p = tk_cut_part(&r->dx, job);
    tk_dx_block b = {
        .dtype = a->dtype,
        .accumulate = r->col0 > 0,
        .m = p.rows,
        .n = r->width,
        .cols = p.cols,
        .dy = r->dz + p.row * DZ_STRIDE,
        .w = chunk_weight(r, 0) + tk_panel_lanes(a->dtype, p.col),
        .lanes = tk_panel_lanes(a->dtype, a->k),
        .dx = TK_PTR(float, a->dx) + (r->row0 + p.row) * a->lddx + p.col,
        .lddy = DZ_STRIDE,
        .lddx = a->lddx,
        .scratch = scratch,
    };
    r->kernels->matmul_backward->dx(&b);
}

// The jobs of dw, then those of dx.
static void run_products(void *arg, int64_t job, int thread)
{
    const backward_run *r = arg;
    float *scratch = tk_backward_scratch_of(r->scratch, thread);
    const int64_t jobs = tk_cut_jobs(&r->dw);
    if (job < jobs) run_dw(r, job, scratch);
    else run_dx(r, job - jobs, scratch);
}

static int32_t check_operands(tk_error *err, const tk_logprob_backward_args *a)
{
    const char *op = "logprob_backward";
    TK_TRY(tk_check_vocabulary(err, op, a->dtype, a->rows, a->n, a->k));
    TK_REQUIRE(a->inv_temperature > 0 && isfinite(a->inv_temperature), "%s: inv_temperature is %g, must be positive and finite", op,
               (double)a->inv_temperature);
    TK_TRY(tk_check_matrix(err, op, "x", a->x, a->rows, a->k, a->ldx, tk_dtype_bytes(a->dtype)));
    TK_TRY(tk_check_packed(err, op, "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_vector(err, op, "targets", a->targets, a->rows, 4));
    TK_TRY(tk_check_vector(err, op, "lse", a->lse, a->rows, 4));
    TK_TRY(tk_check_vector(err, op, "dlogprob", a->dlogprob, a->rows, 4));
    if (a->dentropy) {
        TK_TRY(tk_check_vector(err, op, "dentropy", a->dentropy, a->rows, 4));
        TK_TRY(tk_check_vector(err, op, "entropy", a->entropy, a->rows, 4));
    }
    if (a->ban) TK_TRY(tk_check_vector(err, op, "ban", a->ban, tk_ceil_div(a->n, 32), 4));
    if (a->dx) TK_TRY(tk_check_matrix(err, op, "dx", a->dx, a->rows, a->k, a->lddx, 4));
    if (a->dw) TK_TRY(tk_check_matrix(err, op, "dw", a->dw, a->n, a->k, a->lddw, 4));
    TK_TRY(tk_check_ids(err, op, "targets", TK_PTR(const int32_t, a->targets), a->rows, a->n));
    for (int64_t i = 0; i < a->rows; i++) {
        const int32_t target = TK_PTR(const int32_t, a->targets)[i];
        TK_REQUIRE(!tk_vocab_banned(TK_PTR(const uint32_t, a->ban), target), "%s: targets[%lld] is %d, which is banned", op, (long long)i, target);
    }
    return TK_OK;
}

int32_t tk_cpu_logprob_backward(uint64_t ctx, tk_logprob_backward_args *a, tk_error *err)
{
    TK_ENTER("logprob_backward");
    TK_TRY(check_operands(err, a));
    if (a->rows == 0) return TK_OK;
    const int threads = tk_pool_threads(cx->pool);
    const backward_plan plan = plan_backward(cx, a->dtype, a->rows, a->k);
    TK_REQUIRE(a->workspace && a->workspace_bytes >= plan.bytes, "logprob_backward: workspace has %llu bytes, needs %llu",
               (unsigned long long)(a->workspace ? a->workspace_bytes : 0), (unsigned long long)plan.bytes);
    if (!a->dx && !a->dw) return TK_OK;
    backward_run r = {
        .a = a,
        .cx = cx,
        .kernels = cx->kernels,
        .staged = plan.staged,
        .dz = TK_PTR(float, (a->workspace + TK_ALIGN - 1) / TK_ALIGN * TK_ALIGN),
        .scratch = a->workspace + plan.scratch,
    };
    for (; r.row0 < a->rows; r.row0 += r.rows) {
        r.rows = a->rows - r.row0 < plan.batch ? a->rows - r.row0 : plan.batch;
        if (plan.staged) tk_stage(cx, threads, r.rows, a->k, batch_x(&r, 0, 0), a->ldx);
        for (r.col0 = 0; r.col0 < a->n; r.col0 += r.width) {
            r.width = a->n - r.col0 < TK_VOCAB_CHUNK ? a->n - r.col0 : TK_VOCAB_CHUNK;
            r.logits = tk_cut_output(r.rows, r.width, plan.tile, TK_BACKWARD_PANELS / 2, threads);
            tk_pool_run(cx->pool, tk_cut_jobs(&r.logits), run_dz, &r);
            r.dw = tk_cut_output(a->dw ? r.width : 0, a->k, TK_BACKWARD_ROWS, TK_BACKWARD_PANELS, threads);
            r.dx = tk_cut_output(a->dx ? r.rows : 0, a->k, TILE_ROWS, TK_BACKWARD_PANELS / 2, threads);
            tk_pool_run(cx->pool, tk_cut_jobs(&r.dw) + tk_cut_jobs(&r.dx), run_products, &r);
        }
    }
    return TK_OK;
}

int32_t tk_cpu_logprob_backward_workspace(uint64_t ctx, tk_logprob_backward_workspace_args *a, tk_error *err)
{
    TK_ENTER("logprob_backward_workspace");
    TK_TRY(tk_check_vocabulary(err, "logprob_backward_workspace", a->dtype, a->rows, a->n, a->k));
    a->bytes = plan_backward(cx, a->dtype, a->rows, a->k).bytes;
    return TK_OK;
}
