// sample.c - draws of ids from rows of logits.
//
// A row is one job; when there are fewer rows than threads, the fold of a row is shared out instead. It is folded first, chunk by
// chunk, as logprob folds it, which gives its log-probabilities, its maximum, the sums of its chunks and the maxima of their
// blocks; so without a filter a draw reads the row once, and one chunk again. A filter reads what blocks can hold its cut, and those that
// hold what it keeps.
#include "check.h"
#include "philox.h"
#include "sample_filter.h"

enum { ROW_OK, ROW_NOT_FINITE, ROW_EMPTY };

typedef struct sample_plan {
    uint64_t status, threads, states, most, mass, thread_bytes, bytes;  // offsets into the workspace; of a thread's part; sizes
} sample_plan;

static sample_plan plan_sample(int64_t rows, int64_t n, int threads)
{
    const uint64_t line = TK_ALIGN, chunks = (uint64_t)tk_vocab_chunks(n);
    sample_plan p = {.status = line};  // room to align the start
    p.threads = (p.status + (uint64_t)rows + line - 1) / line * line;
    p.states = (sizeof(tk_filter_scratch) + line - 1) / line * line;
    p.most = (p.states + chunks * sizeof(tk_vocab_state) + line - 1) / line * line;
    p.mass = (p.most + chunks * TK_VOCAB_BLOCKS * sizeof(float) + line - 1) / line * line;
    p.thread_bytes = (p.mass + chunks * sizeof(double) + line - 1) / line * line;
    p.bytes = p.threads + (uint64_t)threads * p.thread_bytes;
    return p;
}

typedef struct sample_run {
    const tk_sample_args *a;
    const tk_vocab_kernels *k;
    sample_plan plan;
    int64_t left;  // columns that are not banned
    char *workspace;
} sample_run;

static float scale_of(float temperature) { return temperature == 0 ? 1 : (float)(1.0 / (double)temperature); }

static int64_t draw_greedy(const tk_filter_row *r)
{
    for (int64_t i = 0; i < r->chunks; i++) {
        if (r->states[i].m != r->max) continue;
        tk_vocab_chunk c = tk_vocab_chunk_at(r->logits, r->ban, r->n, i, r->scale);
        r->k->select(&c, r->max, r->max, INFINITY, 0, r->scratch->bits, NULL, NULL, NULL);
        for (int64_t g = 0; g * 32 < c.width; g++)
            if (r->scratch->bits[g]) return i * TK_VOCAB_CHUNK + g * 32 + __builtin_ctz(r->scratch->bits[g]);
    }
    return -1;
}

// draw_whole draws by the masses of the chunks.
static int64_t draw_whole(const tk_filter_row *r, const double *mass, double total, double u)
{
    double target = u * total;
    int64_t i = tk_filter_pick_chunk(mass, r->chunks, &target);
    tk_vocab_chunk c = tk_vocab_chunk_at(r->logits, r->ban, r->n, i, r->scale);
    r->k->select(&c, r->states[i].m, -INFINITY, INFINITY, 0, r->scratch->bits, NULL, NULL, r->scratch->e);
    return i * TK_VOCAB_CHUNK + tk_filter_pick(r->k, r->scratch->e, c.width, target / exp((double)r->states[i].m - (double)r->max));
}

static char *part_of(const sample_run *run, int thread) { return run->workspace + run->plan.threads + (uint64_t)thread * run->plan.thread_bytes; }

// fold_chunks folds the chunks begin .. end of a row into a thread's part.
static void fold_chunks(const sample_run *run, int64_t row, int64_t begin, int64_t end, int thread)
{
    tk_vocab_state *states = (void *)(part_of(run, thread) + run->plan.states);
    float *most = (void *)(part_of(run, thread) + run->plan.most);
    const tk_sample_args *a = run->a;
    const float *logits = TK_PTR(const float, a->logits) + row * a->ld, scale = scale_of(TK_PTR(const tk_sample_row, a->params)[row].temperature);
    for (int64_t i = begin; i < end; i++) {
        tk_vocab_chunk c = tk_vocab_chunk_at(logits, TK_PTR(const uint32_t, a->ban), a->n, i, scale);
        states[i] = run->k->fold(&c, a->entropy != 0, most + i * TK_VOCAB_BLOCKS);
    }
}

typedef struct fold_run {
    const sample_run *run;
    int64_t row, per_job;
} fold_run;

static void fold_job(void *arg, int64_t job, int thread)
{
    (void)thread;
    const fold_run *f = arg;
    int64_t chunks = tk_vocab_chunks(f->run->a->n), begin = job * f->per_job, end = begin + f->per_job;
    fold_chunks(f->run, f->row, begin, end < chunks ? end : chunks, 0);
}

// fold_row folds a row on all threads, in one job for each: what a job begins with is fetched by nobody, which costs it more than 1 us.
static void fold_row(const sample_run *run, int64_t row, tk_pool *pool)
{
    const int64_t chunks = tk_vocab_chunks(run->a->n), per_job = tk_ceil_div(chunks, tk_pool_threads(pool));
    fold_run f = {.run = run, .row = row, .per_job = per_job};
    tk_pool_run(pool, tk_ceil_div(chunks, per_job), fold_job, &f);
}

// draw_row draws from a row whose chunks are folded.
static void draw_row(const sample_run *run, int64_t row, int thread)
{
    const tk_sample_args *a = run->a;
    const tk_sample_row *p = TK_PTR(const tk_sample_row, a->params) + row;
    char *mine = part_of(run, thread);
    const tk_vocab_state *states = (void *)(mine + run->plan.states);
    double *mass = (void *)(mine + run->plan.mass);
    tk_filter_row r = {.k = run->k, .logits = TK_PTR(const float, a->logits) + row * a->ld, .ban = TK_PTR(const uint32_t, a->ban), .n = a->n,
                       .chunks = tk_vocab_chunks(a->n), .scale = scale_of(p->temperature), .states = states, .most = (void *)(mine + run->plan.most), .scratch = (void *)mine};
    tk_lse lse = tk_lse_of(run->k, states, r.chunks, mass);
    uint8_t *status = (uint8_t *)run->workspace + run->plan.status + row;
    *status = isnan(lse.s) ? ROW_NOT_FINITE : lse.s == 0 ? ROW_EMPTY : ROW_OK;
    if (*status != ROW_OK) return;
    r.max = (float)lse.m;
    int64_t id;
    if (p->temperature == 0) {
        id = draw_greedy(&r);
    } else {
        double u = tk_philox_uniform(p->seed, p->step, p->prompt, p->sample, p->token);
        int filtered = (p->top_k > 0 && p->top_k < run->left) || p->top_p < 1 || p->min_p > 0;
        id = filtered ? tk_filter_draw(&r, p, run->left, lse.s, mass, u) : draw_whole(&r, mass, lse.s, u);
    }
    TK_PTR(int32_t, a->ids)[row] = (int32_t)id;
    TK_PTR(float, a->logprob)[row] = tk_lse_logprob(lse, r.logits[id] * r.scale);
    if (a->entropy) TK_PTR(float, a->entropy)[row] = tk_lse_entropy(lse);
}

static void sample_row(void *arg, int64_t row, int thread)
{
    const sample_run *run = arg;
    fold_chunks(run, row, 0, tk_vocab_chunks(run->a->n), thread);
    draw_row(run, row, thread);
}

static int32_t check_sizes(tk_error *err, const char *op, int64_t rows, int64_t n)
{
    TK_REQUIRE(rows >= 0 && rows < (int64_t)1 << TK_MAX_EXTENT_BITS, "%s: rows is %lld", op, (long long)rows);
    TK_REQUIRE(n > 0 && n <= INT32_MAX, "%s: n is %lld", op, (long long)n);
    return TK_OK;
}

static int32_t check_row(tk_error *err, const tk_sample_row *p, int64_t row)
{
    TK_REQUIRE(p->temperature >= 0 && isfinite(scale_of(p->temperature)) && isfinite(p->temperature),
               "sample: temperature of row %lld is %g, must be 0 or positive and finite, as its inverse", (long long)row, (double)p->temperature);
    TK_REQUIRE(p->top_p > 0 && p->top_p <= 1, "sample: top_p of row %lld is %g, must be in (0, 1]", (long long)row, (double)p->top_p);
    TK_REQUIRE(p->min_p >= 0 && p->min_p <= 1, "sample: min_p of row %lld is %g, must be in [0, 1]", (long long)row, (double)p->min_p);
    TK_REQUIRE(p->top_k >= 0, "sample: top_k of row %lld is %d, must not be negative", (long long)row, p->top_k);
    return TK_OK;
}

int32_t tk_cpu_sample(uint64_t ctx, tk_sample_args *a, tk_error *err)
{
    TK_ENTER("sample");
    TK_TRY(check_sizes(err, "sample", a->rows, a->n));
    TK_TRY(tk_check_matrix(err, "sample", "logits", a->logits, a->rows, a->n, a->ld, 4));
    TK_TRY(tk_check_vector(err, "sample", "params", a->params, a->rows, 8));
    TK_TRY(tk_check_vector(err, "sample", "ids", a->ids, a->rows, 4));
    TK_TRY(tk_check_vector(err, "sample", "logprob", a->logprob, a->rows, 4));
    if (a->entropy) TK_TRY(tk_check_vector(err, "sample", "entropy", a->entropy, a->rows, 4));
    if (a->ban) TK_TRY(tk_check_vector(err, "sample", "ban", a->ban, tk_ceil_div(a->n, 32), 4));
    if (a->rows == 0) return TK_OK;
    for (int64_t i = 0; i < a->rows; i++) TK_TRY(check_row(err, TK_PTR(const tk_sample_row, a->params) + i, i));
    sample_run run = {.a = a, .k = cx->kernels->vocab, .plan = plan_sample(a->rows, a->n, tk_pool_threads(cx->pool)),
                      .left = tk_vocab_left(TK_PTR(const uint32_t, a->ban), a->n)};
    TK_REQUIRE(run.left > 0, "sample: row 0: all %lld columns are banned", (long long)a->n);
    TK_REQUIRE(a->workspace && a->workspace_bytes >= run.plan.bytes, "sample: workspace has %llu bytes, needs %llu",
               (unsigned long long)(a->workspace ? a->workspace_bytes : 0), (unsigned long long)run.plan.bytes);
    run.workspace = TK_PTR(char, a->workspace / TK_ALIGN * TK_ALIGN);
    if (a->rows < tk_pool_threads(cx->pool)) {
        for (int64_t i = 0; i < a->rows; i++) {
            fold_row(&run, i, cx->pool);
            draw_row(&run, i, 0);
        }
    } else {
        tk_pool_run(cx->pool, a->rows, sample_row, &run);
    }
    const uint8_t *status = (const uint8_t *)run.workspace + run.plan.status;
    for (int64_t i = 0; i < a->rows; i++) {
        TK_REQUIRE(status[i] != ROW_NOT_FINITE, "sample: row %lld has a logit that is NaN or +inf at temperature %g", (long long)i,
                   (double)TK_PTR(const tk_sample_row, a->params)[i].temperature);
        TK_REQUIRE(status[i] != ROW_EMPTY, "sample: row %lld: every logit is -inf or banned", (long long)i);
    }
    return TK_OK;
}

int32_t tk_cpu_sample_workspace(uint64_t ctx, tk_sample_workspace_args *a, tk_error *err)
{
    TK_ENTER("sample_workspace");
    TK_TRY(check_sizes(err, "sample_workspace", a->rows, a->n));
    a->bytes = plan_sample(a->rows, a->n, tk_pool_threads(cx->pool)).bytes;
    return TK_OK;
}
