// attention_paged.c - causal attention over paged keys: prefill chunks and decode rows.
//
// A job is a tile of query rows of one KV head, which walks over the pages of its sequence. Where neighbouring sequences of one row
// each begin with the same pages (the samples of a prompt), they become one tile: it walks over the shared pages once, and then each
// sequence's rows over their own. Where there are too few jobs to keep the threads busy, the pages of each are divided among the
// threads, which leave the state of every run of pages in the workspace, to be merged in order. None of this changes a bit, for a row's
// state after a run depends on its state before and on the run's pages alone.
#include "attention_tile.h"

enum {
    SPLIT_CHUNKS = 16,     // shorter walks are not divided
    JOBS_A_THREAD = 2,     // grouping leaves at least so many jobs a thread
};

// Sequences that make jobs of their own: one sequence, or several of one row each with `shared` leading pages in common.
typedef struct paged_group {
    int64_t first_job;
    int32_t seq, seqs;
    int64_t shared;
} paged_group;

typedef struct paged {
    const tk_attention_ops *k;
    const tk_attention_paged_args *a;
    tk_heads h;
    tk_rows_view view;
    tk_attention_space space;
    char *base;
    const int32_t *cu, *kv_len, *tables;
    paged_group *groups;
    int64_t count;  // of groups
    int threads;
} paged;

// What a job works on.
typedef struct paged_job {
    const paged_group *group;
    int64_t kv_head, part;
    int64_t begin, end;  // positions, where the group is one sequence
} paged_job;

static int64_t rows_of(const paged *w, int64_t seq) { return w->cu[seq + 1] - w->cu[seq]; }

static int64_t spans_of(const paged *w, int64_t seq)
{
    return tk_attention_spans(&w->h, w->kv_len[seq] - rows_of(w, seq), w->kv_len[seq]);
}

// Jobs go by sequence, then KV head, then part, then from the last tile to the first.
static paged_job paged_job_at(const paged *w, int64_t job)
{
    int64_t lo = 0, hi = w->count;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (w->groups[mid].first_job <= job) lo = mid;
        else hi = mid;
    }
    const paged_group *g = &w->groups[lo];
    int64_t i = job - g->first_job, spans = spans_of(w, g->seq);
    paged_job j = {.group = g, .kv_head = i / spans / w->h.parts, .part = i / spans % w->h.parts};
    tk_attention_span(&w->h, w->kv_len[g->seq] - rows_of(w, g->seq), w->kv_len[g->seq], i % spans, &j.begin, &j.end);
    return j;
}

static tk_chunks chunks_of(const paged *w, int64_t seq, int64_t kv_head)
{
    return (tk_chunks){
        .table = w->tables + seq * w->a->ld_table,
        .first = TK_PTR(const char, w->a->pages) + kv_head * w->h.kv_bytes,
        .stride = w->a->page_stride,
    };
}

static tk_attention_tile tile_of(const paged *w, int thread)
{
    return tk_attention_tile_at(&w->h, w->a->scale, w->base + w->space.tiles + (uint64_t)thread * w->space.tile_bytes);
}

// The op's row at a position of a sequence.
static int64_t row_at(const paged *w, int64_t seq, int64_t position) { return w->cu[seq + 1] - w->kv_len[seq] + position; }

static int64_t load_tile(const paged *w, const tk_attention_tile *t, const paged_job *j)
{
    int64_t seq = j->group->seq;
    return tk_attention_load(w->k, t, &w->h, &w->view, 0, row_at(w, seq, j->begin), j->end - j->begin, j->kv_head, j->part, j->begin + 1, 1);
}

static void store_tile(const paged *w, const tk_attention_tile *t, const paged_job *j)
{
    tk_attention_store(w->k, t, &w->h, &w->view, 0, row_at(w, j->group->seq, j->begin), j->end - j->begin, j->kv_head, j->part);
}

// touch reads a chunk through, from end to end: a tile asks for the lines of a step, whose order the processor does not foresee, and
// nothing has asked for a job's first chunk ahead.
static void touch(const paged *w, const char *chunk)
{
    for (int64_t i = 0; i < w->h.kv_bytes; i += 64) (void)*(const volatile char *)(chunk + i);
}

// own_chunk is a sequence's first chunk after `shared` ones, or NULL.
static const char *own_chunk(const paged *w, int64_t seq, int64_t kv_head, int64_t shared)
{
    const tk_chunks c = chunks_of(w, seq, kv_head);
    return shared * TK_CHUNK < w->kv_len[seq] ? tk_chunk_at(&c, shared) : NULL;
}

static void paged_run(void *arg, int64_t job, int thread)
{
    const paged *w = arg;
    paged_job j = paged_job_at(w, job);
    tk_attention_tile t = tile_of(w, thread);
    int64_t seq = j.group->seq, seqs = j.group->seqs;
    if (seqs == 1) {
        tk_chunks c = chunks_of(w, seq, j.kv_head);
        int64_t rows = load_tile(w, &t, &j);
        touch(w, tk_chunk_at(&c, 0));
        tk_attention_walk(w->k, &t, 0, rows, &c, 0, tk_ceil_div(j.end, TK_CHUNK), NULL);
        w->k->close(&t, 0, rows, tk_ceil_div(j.end, TK_CHUNK));
        store_tile(w, &t, &j);
        return;
    }
    int64_t heads = tk_part_heads(&w->h, j.part);
    for (int64_t i = 0; i < seqs; i++)
        tk_attention_load(w->k, &t, &w->h, &w->view, i * heads, w->cu[seq + i], 1, j.kv_head, j.part, w->kv_len[seq + i], 0);
    tk_chunks c = chunks_of(w, seq, j.kv_head);
    const int64_t shared = j.group->shared;
    touch(w, tk_chunk_at(&c, 0));
    tk_attention_walk(w->k, &t, 0, seqs * heads, &c, 0, shared, own_chunk(w, seq, j.kv_head, shared));
    for (int64_t i = 0; i < seqs; i++) {
        c = chunks_of(w, seq + i, j.kv_head);
        const int64_t chunks = tk_ceil_div(w->kv_len[seq + i], TK_CHUNK);
        tk_attention_walk(w->k, &t, i * heads, heads, &c, shared, chunks, i + 1 < seqs ? own_chunk(w, seq + i + 1, j.kv_head, shared) : NULL);
        w->k->close(&t, i * heads, heads, chunks);
        tk_attention_store(w->k, &t, &w->h, &w->view, i * heads, w->cu[seq + i], 1, j.kv_head, j.part);
    }
}

// ------------------------------------------------------------------------------------------------- one walk, several threads

typedef struct split {
    const paged *w;
    const paged_job *job;
    const tk_attention_tile *t;  // holds the rows' state
    int64_t rows, chunks;
    int64_t from, to;            // runs of this wave
    int64_t piece;               // runs a job
} split;

// The state of run `slot` of the wave: m [rows], l [rows], o [rows][dimp].
static float *split_state(const split *s, int64_t slot)
{
    return (float *)(s->w->base + s->w->space.states + (uint64_t)(slot * s->rows) * s->w->space.state_bytes);
}

static void split_runs(void *arg, int64_t job, int thread)
{
    const split *s = arg;
    const paged *w = s->w;
    tk_attention_tile t = tile_of(w, thread);
    tk_chunks c = chunks_of(w, s->job->group->seq, s->job->kv_head);
    load_tile(w, &t, s->job);
    int64_t begin = s->from + job * s->piece, end = begin + s->piece < s->to ? begin + s->piece : s->to;
    const int64_t run = w->k->run;
    touch(w, tk_chunk_at(&c, begin * run));
    for (int64_t i = begin; i < end; i++) {
        t.m = split_state(s, i - s->from);
        t.l = t.m + s->rows;
        t.o = t.l + s->rows;
        const int64_t to = (i + 1) * run < s->chunks ? (i + 1) * run : s->chunks;
        w->k->walk(&t, 0, s->rows, &c, i * run, to, 1, i + 1 < end ? tk_chunk_at(&c, to) : NULL);
    }
}

static void split_merge(void *arg, int64_t row, int thread)
{
    (void)thread;
    const split *s = arg;
    const tk_attention_tile *t = s->t;
    for (int64_t i = s->from; i < s->to; i++) {
        const float *m = split_state(s, i - s->from), *l = m + s->rows, *o = l + s->rows + row * t->dimp;
        if (i == 0) {
            t->m[row] = m[row];
            t->l[row] = l[row];
            memcpy(t->o + row * t->dimp, o, (size_t)t->dimp * sizeof *o);
        } else {
            t->mc[row] = m[row];
            t->lc[row] = l[row];
            s->w->k->merge(t, row, 1, o);
        }
    }
}

static void split_run(const paged *w, tk_pool *pool, int64_t job)
{
    paged_job j = paged_job_at(w, job);
    tk_attention_tile t = tile_of(w, w->threads);
    split s = {.w = w, .job = &j, .t = &t, .rows = load_tile(w, &t, &j), .chunks = tk_ceil_div(j.end, TK_CHUNK)};
    int64_t runs = tk_ceil_div(s.chunks, w->k->run), wave = w->threads * TK_SPLIT_ROWS / s.rows;
    s.piece = tk_ceil_div(wave, 4 * w->threads * w->k->run);
    for (s.from = 0; s.from < runs; s.from = s.to) {
        s.to = s.from + wave < runs ? s.from + wave : runs;
        tk_pool_run(pool, tk_ceil_div(s.to - s.from, s.piece), split_runs, &s);
        tk_pool_run(pool, s.rows, split_merge, &s);
    }
    store_tile(w, &t, &j);
}

// --------------------------------------------------------------------------------------------------------------------- plan

// shared_pages counts the leading pages that two sequences have in common and see whole.
static int64_t shared_pages(const paged *w, int64_t s, int64_t t)
{
    const int32_t *a = w->tables + s * w->a->ld_table, *b = w->tables + t * w->a->ld_table;
    int64_t n = (w->kv_len[s] < w->kv_len[t] ? w->kv_len[s] : w->kv_len[t]) / TK_CHUNK, i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

// plan lists the groups, of at most `most` sequences each, and returns the number of jobs.
static int64_t plan(paged *w, int64_t most)
{
    int64_t jobs = 0;
    w->count = 0;
    for (int64_t s = 0, next; s < w->a->seqs; s = next) {
        next = s + 1;
        if (rows_of(w, s) == 0) continue;
        paged_group g = {.first_job = jobs, .seq = (int32_t)s};
        while (rows_of(w, s) == 1 && next < w->a->seqs && rows_of(w, next) == 1 && next - s < most) {
            int64_t n = shared_pages(w, s, next);
            if (n == 0 || 2 * n < g.shared) break;  // a sequence that shares little is better off in a group of its own
            g.shared = g.shared && g.shared < n ? g.shared : n;
            next++;
        }
        g.seqs = (int32_t)(next - s);
        jobs += w->h.kv_heads * w->h.parts * (g.seqs > 1 ? 1 : spans_of(w, s));
        w->groups[w->count++] = g;
    }
    return jobs;
}

// lopsided says whether so few jobs, taken in order by whichever thread is free, leave threads idle for long.
static int lopsided(const paged *w, int64_t jobs)
{
    if (w->threads == 1 || jobs >= 4 * w->threads || w->threads > 1024) return 0;
    int64_t load[1024] = {0}, total = 0, longest = 0, last = 0;
    for (int64_t i = 0; i < jobs; i++) {
        paged_job j = paged_job_at(w, i);
        int64_t chunks = tk_ceil_div(j.end, TK_CHUNK);
        int free = 0;
        for (int t = 1; t < w->threads; t++)
            if (load[t] < load[free]) free = t;
        load[free] += chunks;
        total += chunks;
        last = load[free] > last ? load[free] : last;
        longest = chunks > longest ? chunks : longest;
    }
    return longest >= SPLIT_CHUNKS && 5 * total < 4 * last * w->threads;
}

static int32_t check(const tk_attention_paged_args *a, const tk_heads *h, tk_error *err)
{
    TK_REQUIRE_ADDRESS("attention_paged", "q", a->q, h->bytes);
    TK_REQUIRE_ADDRESS("attention_paged", "out", a->out, h->bytes);
    TK_REQUIRE(a->lse % 4 == 0, "attention_paged: lse is %#llx, must be a multiple of 4", (unsigned long long)a->lse);
    TK_REQUIRE_ADDRESS("attention_paged", "kv_len", a->kv_len, 4);
    TK_REQUIRE_ADDRESS("attention_paged", "block_table", a->block_table, 4);
    TK_REQUIRE_STRIDE("attention_paged", "ldq", a->ldq, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention_paged", "ldo", a->ldo, a->heads * a->dim);
    TK_REQUIRE(a->ld_table > 0 && a->ld_table <= INT32_MAX, "attention_paged: ld_table is %lld, must be from 1 to %d",
               (long long)a->ld_table, INT32_MAX);
    TK_REQUIRE(a->scale - a->scale == 0, "attention_paged: scale is %g", (double)a->scale);
    TK_REQUIRE_PAGES("attention_paged", a, *h);

    const int32_t *cu = TK_PTR(const int32_t, a->cu_q), *kv_len = TK_PTR(const int32_t, a->kv_len), *tables = TK_PTR(const int32_t, a->block_table);
    for (int64_t s = 0; s < a->seqs; s++) {
        int32_t rows = cu[s + 1] - cu[s];
        TK_REQUIRE(kv_len[s] >= rows, "attention_paged: kv_len[%lld] is %d, less than its %d query rows", (long long)s, kv_len[s], rows);
        int64_t pages = rows ? tk_ceil_div(kv_len[s], TK_CHUNK) : 0;
        TK_REQUIRE(pages <= a->ld_table, "attention_paged: kv_len[%lld] is %d, more than ld_table, %lld, pages hold", (long long)s, kv_len[s],
                   (long long)a->ld_table);
        for (int64_t i = 0; i < pages; i++) {
            int32_t page = tables[s * a->ld_table + i];
            TK_REQUIRE(page >= 0 && page < a->num_pages, "attention_paged: block_table[%lld][%lld] is %d, must be in [0, %lld)",
                       (long long)s, (long long)i, page, (long long)a->num_pages);
        }
    }
    return TK_OK;
}

int32_t tk_cpu_attention_paged(uint64_t ctx, tk_attention_paged_args *a, tk_error *err)
{
    TK_ENTER("attention_paged");
    paged w = {.k = tk_attention_of(cx, a->dtype), .a = a, .threads = tk_pool_threads(cx->pool)};
    int32_t status = tk_heads_init(&w.h, "attention_paged", a->dtype, a->heads, a->kv_heads, a->dim, err);
    if (status) return status;
    TK_REQUIRE(a->seqs >= 0 && a->seqs <= INT32_MAX, "attention_paged: seqs is %lld, must be from 0 to %d", (long long)a->seqs, INT32_MAX);
    if (a->seqs == 0) return TK_OK;
    TK_REQUIRE_ADDRESS("attention_paged", "cu_q", a->cu_q, 4);
    w.cu = TK_PTR(const int32_t, a->cu_q);
    if ((status = tk_attention_check_cu("attention_paged", "cu_q", w.cu, a->seqs, err))) return status;
    int64_t rows = (int64_t)w.cu[a->seqs] - w.cu[0];
    if (rows == 0) return TK_OK;
    if ((status = check(a, &w.h, err))) return status;
    w.space = tk_attention_layout(&w.h, w.threads, rows, 0);
    if ((status = tk_attention_check_space("attention_paged", a->workspace, a->workspace_bytes, w.space.bytes, err))) return status;

    w.view = (tk_rows_view){.q = TK_PTR(const char, a->q), .out = TK_PTR(char, a->out), .lse = TK_PTR(float, a->lse), .ldq = a->ldq, .ldo = a->ldo};
    w.base = tk_attention_base(a->workspace);
    w.kv_len = TK_PTR(const int32_t, a->kv_len);
    w.tables = TK_PTR(const int32_t, a->block_table);
    w.groups = (paged_group *)(w.base + w.space.plan);
    int64_t jobs = plan(&w, 1);
    if (lopsided(&w, jobs)) {
        for (int64_t i = 0; i < jobs; i++) split_run(&w, cx->pool, i);
        return TK_OK;
    }
    int64_t most = TK_TILE_ROWS / w.h.tile_heads, busy = jobs / (JOBS_A_THREAD * w.threads);
    if (w.threads > 1 && most > busy) most = busy;
    if (most > 1) jobs = plan(&w, most);
    tk_pool_run(cx->pool, jobs, paged_run, &w);
    return TK_OK;
}
