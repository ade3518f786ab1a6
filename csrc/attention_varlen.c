// attention_varlen.c - attention over packed sequences: causal, windows, full, and with a shared prefix.
//
// The keys and values of every segment are packed into the layout of KV pages, and the same tiles walk over them as over the pages of
// attention_paged. The whole chunks of a prefix are packed once and shared; the chunk in which a prefix ends is packed for each of
// its suffixes, for positions count from the prefix's first key. Where there are many short segments (the windows of a vision
// tower) a job packs and reads a segment's few chunks in one go, so that they never leave its cache; else all are packed first.
#include "attention_tile.h"

enum {
    JOBS_A_THREAD = 4,  // packing within jobs leaves at least so many jobs a thread
};

// A segment with rows. Positions count from the first key of its prefix.
typedef struct segment {
    int64_t first_job, first_chunk;  // of the jobs that read, and of the chunks packed for all threads
    int32_t id, row;                 // first row
    int32_t keys, prefix;            // keys in all, of which so many are the prefix's
    int32_t lead;                    // number in the list of the prefix's segment, or -1
    int32_t whole;                   // chunks of its own, from the one in which the prefix ends (or 0) to the last
    int32_t shared, alone;           // it is a prefix of others; its jobs pack its chunks
} segment;

_Static_assert(sizeof(segment) <= TK_PLAN_BYTES, "attention_workspace counts TK_PLAN_BYTES a row");

typedef struct varlen {
    const tk_attention_ops *k;
    const tk_attention_args *a;
    tk_heads h;
    tk_rows_view view;
    tk_attention_space space;
    char *base;
    const int32_t *cu, *prefix;
    segment *segments;
    int64_t count;
    int64_t heads_a_job;  // KV heads that a job of a segment packed alone takes
    int64_t jobs, threads;
    int past;  // segments packed alone store past the caches
} varlen;

// find_segment is the last segment that begins at x or before: at a job, at a packed chunk, or at an id. Those that pack no chunk for
// all threads come before the one that begins at the same chunk and does.
enum by { BY_JOB, BY_CHUNK, BY_ID };

static int64_t begin_of(const segment *s, enum by by) { return by == BY_JOB ? s->first_job : by == BY_CHUNK ? s->first_chunk : s->id; }

static int64_t find_segment(const varlen *w, int64_t x, enum by by)
{
    int64_t lo = 0, hi = w->count;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (begin_of(&w->segments[mid], by) <= x) lo = mid;
        else hi = mid;
    }
    return lo;
}

// prefix_of is a segment's prefix, or -1.
static int64_t prefix_of(const varlen *w, int64_t s) { return w->prefix && w->prefix[s] >= 0 ? w->prefix[s] : -1; }

static int64_t rows_of(const varlen *w, int64_t s) { return w->cu[s + 1] - w->cu[s]; }

static int64_t spans_of(const varlen *w, const segment *s) { return tk_attention_spans(&w->h, s->prefix, s->keys); }

// packed_at is where chunks of a segment lie that are packed for all threads.
static char *packed_at(const varlen *w, const segment *s, int64_t kv_head)
{
    return w->base + w->space.packed + (uint64_t)((s->first_chunk * w->h.kv_heads + kv_head * s->whole) * w->h.kv_bytes);
}

// pack_rows packs positions from .. to, the first of which is row `row` of k and v, into the chunk of position `chunk`.
static void pack_rows(const varlen *w, int64_t kv_head, int64_t row, int64_t from, int64_t to, int64_t chunk, char *kv)
{
    if (from >= to) return;
    const tk_attention_args *a = w->a;
    w->k->pack(a->dim, to - from, from - chunk, TK_PTR(const char, a->k) + (row * a->ldk + kv_head * a->dim) * w->h.bytes, a->ldk,
               TK_PTR(const char, a->v) + (row * a->ldv + kv_head * a->dim) * w->h.bytes, a->ldv, kv);
}

// pack_chunk packs number i of a segment's own chunks to kv, zeros where there is no key.
static void pack_chunk(const varlen *w, const segment *s, int64_t kv_head, int64_t i, char *kv)
{
    int64_t from = (s->prefix / TK_CHUNK + i) * TK_CHUNK, to = from + TK_CHUNK < s->keys ? from + TK_CHUNK : s->keys;
    if (to - from < TK_CHUNK || w->h.dim != w->h.dimp) memset(kv, 0, (size_t)w->h.kv_bytes);
    int64_t own = from > s->prefix ? from : s->prefix;
    if (from < own) pack_rows(w, kv_head, w->segments[s->lead].row + from, from, own, from, kv);
    pack_rows(w, kv_head, s->row + (own - s->prefix), own, to, from, kv);
}

static void varlen_pack(void *arg, int64_t job, int thread)
{
    (void)thread;
    const varlen *w = arg;
    int64_t chunk = job / w->h.kv_heads, kv_head = job % w->h.kv_heads;
    const segment *s = &w->segments[find_segment(w, chunk, BY_CHUNK)];
    int64_t i = chunk - s->first_chunk;
    pack_chunk(w, s, kv_head, i, packed_at(w, s, kv_head) + i * w->h.kv_bytes);
}

// run_tile does number i of a segment's tiles.
static void run_tile(const varlen *w, const segment *s, const tk_attention_tile *t, const tk_chunks *c, int64_t kv_head, int64_t part, int64_t i)
{
    int64_t begin, end, causal = w->a->causal != 0;
    tk_attention_span(&w->h, s->prefix, s->keys, i, &begin, &end);
    int64_t row = s->row + (begin - s->prefix);
    int64_t rows = tk_attention_load(w->k, t, &w->h, &w->view, 0, row, end - begin, kv_head, part, causal ? begin + 1 : s->keys, causal);
    const int64_t chunks = tk_ceil_div(causal ? end : s->keys, TK_CHUNK);
    tk_attention_walk(w->k, t, 0, rows, c, 0, chunks, NULL);
    w->k->close(t, 0, rows, chunks);
    tk_attention_store(w->k, t, &w->h, &w->view, 0, row, end - begin, kv_head, part);
}

// fetch_rows notes rows of `elements` elements a KV head of a tensor, of `heads` KV heads from kv_head on.
static tk_fetch fetch_rows(const varlen *w, const segment *s, uint64_t base, int64_t ld, int64_t elements, int64_t kv_head, int64_t heads)
{
    int64_t bytes = elements * w->h.bytes, stride = ld * w->h.bytes;
    uint64_t row = base + (uint64_t)(s->row * stride + kv_head * bytes);
    return (tk_fetch){
        .row = TK_PTR(const char, row),
        .stride = stride,
        .rows = s->keys - s->prefix,
        .lines = (heads * bytes + (stride % 64 ? 63 : (int64_t)(row % 64)) + 63) / 64,
    };
}

// fetch notes what `heads` KV heads of a segment need, from kv_head on, to be fetched while `during` KV heads of segment `now` are done.
static void fetch(const varlen *w, tk_fetches *f, const segment *s, int64_t kv_head, int64_t heads, const segment *now, int64_t during)
{
    const tk_attention_args *a = w->a;
    int64_t query = w->h.group * a->dim, n = 0, lines = 0;
    if (!w->past) f->region[n++] = fetch_rows(w, s, a->out, a->ldo, query, kv_head, heads);
    f->region[n++] = fetch_rows(w, s, a->q, a->ldq, query, kv_head, heads);
    f->region[n++] = fetch_rows(w, s, a->v, a->ldv, a->dim, kv_head, heads);
    f->region[n++] = fetch_rows(w, s, a->k, a->ldk, a->dim, kv_head, heads);
    for (f->count = 0; f->count < n; f->count++) lines += f->region[f->count].lines * f->region[f->count].rows;
    int64_t rows = now->keys - now->prefix, work = rows * w->h.group * tk_ceil_div(rows, TK_CHUNK) * w->h.kv_bytes / 4;
    f->burst = tk_ceil_div(TK_FETCH_WORK * lines, work * during);
}

// run_alone packs and reads a segment's chunks for one KV head.
static void run_alone(const varlen *w, const segment *s, const tk_attention_tile *t, const tk_chunks *c, char *kv, int64_t kv_head)
{
    int64_t spans = spans_of(w, s);
    for (int64_t n = 0; n < s->whole; n++) pack_chunk(w, s, kv_head, n, kv + n * w->h.kv_bytes);
    for (int64_t part = 0; part < w->h.parts; part++)
        for (int64_t n = 0; n < spans; n++) run_tile(w, s, t, c, kv_head, part, n);
}

// run_heads does a job of a segment packed alone. Meanwhile it fetches what is next: KV heads by kv_heads_ahead, and at the last what the
// thread's next job probably begins with, as many jobs on as there are threads.
static void run_heads(const varlen *w, const segment *s, int64_t job, tk_attention_tile t, tk_chunks c, char *kv)
{
    int64_t begin = (job - s->first_job) * w->heads_a_job, end = begin + w->heads_a_job < w->h.kv_heads ? begin + w->heads_a_job : w->h.kv_heads;
    int64_t ahead = begin + 1;  // the first KV head that is neither fetched nor being fetched
    tk_fetches f = {0};
    t.fetches = &f;
    t.past = w->past;
    c.rest = kv;
    for (int64_t kv_head = begin; kv_head < end; kv_head++) {
        int64_t during = ahead - kv_head, heads = 2 * during < w->k->kv_heads_ahead ? 2 * during : w->k->kv_heads_ahead;
        if (ahead < end && (f.count == 0 || during == 1)) {  // what is left is of heads that have begun
            if (heads > end - ahead) heads = end - ahead;
            fetch(w, &f, s, ahead, heads, s, during);
            ahead += heads;
        } else if (kv_head + 1 == end && w->k->kv_heads_ahead > 1 && job + w->threads < w->jobs) {
            const segment *next = &w->segments[find_segment(w, job + w->threads, BY_JOB)];
            if (next->alone) fetch(w, &f, next, (job + w->threads - next->first_job) * w->heads_a_job, 1, s, 1);
        }
        if (c.lead) c.first = packed_at(w, &w->segments[s->lead], kv_head);
        run_alone(w, s, &t, &c, kv, kv_head);
    }
    if (w->past) w->k->written();
}

static void varlen_run(void *arg, int64_t job, int thread)
{
    const varlen *w = arg;
    const segment *s = &w->segments[find_segment(w, job, BY_JOB)];
    tk_attention_tile t = tk_attention_tile_at(&w->h, w->a->scale, w->base + w->space.tiles + (uint64_t)thread * w->space.tile_bytes);
    tk_chunks c = {.stride = w->h.kv_bytes, .lead = s->prefix / TK_CHUNK};
    if (s->alone) {
        run_heads(w, s, job, t, c, w->base + w->space.chunks + (uint64_t)thread * w->space.chunks_bytes);
        return;
    }
    int64_t i = job - s->first_job, spans = spans_of(w, s), kv_head = i / spans / w->h.parts;
    if (c.lead) c.first = packed_at(w, &w->segments[s->lead], kv_head);
    c.rest = packed_at(w, s, kv_head);
    run_tile(w, s, &t, &c, kv_head, i / spans % w->h.parts, i % spans);
}

// plan lists the segments that have rows. It returns the number of jobs, and of chunks to pack before them.
static int64_t plan(varlen *w, int threads, int64_t *chunks)
{
    int64_t candidates = 0, jobs = 0;
    w->count = 0;
    for (int64_t i = 0; i < w->a->segments; i++) {
        int64_t rows = rows_of(w, i), p = prefix_of(w, i);
        if (rows == 0) continue;
        int64_t prefix = p >= 0 ? rows_of(w, p) : 0, keys = prefix + rows;
        segment *s = &w->segments[w->count];
        *s = (segment){.id = (int32_t)i, .row = w->cu[i], .keys = (int32_t)keys, .prefix = (int32_t)prefix, .lead = -1};
        s->whole = (int32_t)(tk_ceil_div(keys, TK_CHUNK) - prefix / TK_CHUNK);
        if (prefix > 0) {
            s->lead = (int32_t)find_segment(w, p, BY_ID);
            w->segments[s->lead].shared = 1;
        }
        w->count++;
    }
    for (int64_t i = 0; i < w->count; i++) {
        segment *s = &w->segments[i];
        s->alone = s->whole <= TK_PACK_CHUNKS && !s->shared;
        candidates += s->alone;
    }
    int64_t each = candidates * w->h.kv_heads / (JOBS_A_THREAD * threads);  // KV heads a job, at most
    int many = threads == 1 || each > 0;
    w->heads_a_job = threads == 1 || each > w->h.kv_heads ? w->h.kv_heads : each;
    *chunks = 0;
    for (int64_t i = 0; i < w->count; i++) {
        segment *s = &w->segments[i];
        s->alone = s->alone && many;
        s->first_job = jobs;
        s->first_chunk = *chunks;
        jobs += s->alone ? tk_ceil_div(w->h.kv_heads, w->heads_a_job) : w->h.kv_heads * w->h.parts * spans_of(w, s);
        *chunks += s->alone ? 0 : s->whole;
    }
    return jobs;
}

static int32_t check(const tk_attention_args *a, const tk_heads *h, const int32_t *cu, const int32_t *prefix, int64_t *keys, tk_error *err)
{
    TK_REQUIRE_ADDRESS("attention", "q", a->q, h->bytes);
    TK_REQUIRE_ADDRESS("attention", "k", a->k, h->bytes);
    TK_REQUIRE_ADDRESS("attention", "v", a->v, h->bytes);
    TK_REQUIRE_ADDRESS("attention", "out", a->out, h->bytes);
    TK_REQUIRE(a->lse % 4 == 0, "attention: lse is %#llx, must be a multiple of 4", (unsigned long long)a->lse);
    TK_REQUIRE(a->prefix % 4 == 0, "attention: prefix is %#llx, must be a multiple of 4", (unsigned long long)a->prefix);
    TK_REQUIRE_STRIDE("attention", "ldq", a->ldq, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention", "ldo", a->ldo, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention", "ldk", a->ldk, a->kv_heads * a->dim);
    TK_REQUIRE_STRIDE("attention", "ldv", a->ldv, a->kv_heads * a->dim);
    TK_REQUIRE(a->scale - a->scale == 0, "attention: scale is %g", (double)a->scale);
    return tk_attention_check_prefix("attention", cu, prefix, a->segments, keys, err);
}

int32_t tk_cpu_attention(uint64_t ctx, tk_attention_args *a, tk_error *err)
{
    TK_ENTER("attention");
    varlen w = {.k = tk_attention_of(cx, a->dtype), .a = a};
    int threads = tk_pool_threads(cx->pool);
    int32_t status = tk_heads_init(&w.h, "attention", a->dtype, a->heads, a->kv_heads, a->dim, err);
    if (status) return status;
    TK_REQUIRE(a->segments >= 0 && a->segments <= INT32_MAX, "attention: segments is %lld, must be from 0 to %d", (long long)a->segments, INT32_MAX);
    if (a->segments == 0) return TK_OK;
    TK_REQUIRE_ADDRESS("attention", "cu", a->cu, 4);
    w.cu = TK_PTR(const int32_t, a->cu);
    w.prefix = TK_PTR(const int32_t, a->prefix);
    if ((status = tk_attention_check_cu("attention", "cu", w.cu, a->segments, err))) return status;
    int64_t rows = (int64_t)w.cu[a->segments] - w.cu[0], keys = 0, chunks = 0;
    if (rows == 0) return TK_OK;
    if ((status = check(a, &w.h, w.cu, w.prefix, &keys, err))) return status;
    w.space = tk_attention_layout(&w.h, threads, rows, keys);
    if ((status = tk_attention_check_space("attention", a->workspace, a->workspace_bytes, w.space.bytes, err))) return status;

    w.view = (tk_rows_view){.q = TK_PTR(const char, a->q), .out = TK_PTR(char, a->out), .lse = TK_PTR(float, a->lse), .ldq = a->ldq, .ldo = a->ldo};
    w.base = tk_attention_base(a->workspace);
    w.segments = (segment *)(w.base + w.space.plan);
    w.threads = threads;
    w.jobs = plan(&w, threads, &chunks);
    w.past = w.k->past && rows * a->heads * a->dim * w.h.bytes >= TK_PAST_BYTES && a->dim * w.h.bytes % 64 == 0 && a->out % 64 == 0
             && a->ldo * w.h.bytes % 64 == 0;
    tk_pool_run(cx->pool, chunks * w.h.kv_heads, varlen_pack, &w);
    tk_pool_run(cx->pool, w.jobs, varlen_run, &w);
    return TK_OK;
}
