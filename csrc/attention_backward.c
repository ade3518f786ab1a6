// attention_backward.c - the gradients of attention over packed sequences: dq, dk and dv in one pass.
//
//     q, out, dout, dq [rows, heads, dim], k, v, dk, dv [rows, kv_heads, dim], lse [rows, heads], segments and prefixes as attention's
//
// A job takes a block of 64 keys of one segment and a KV head, or several heads in turn, and walks over the query rows that see them: the
// segment's own and then those of each segment that has it as prefix, in tiles of 64 rows, the query heads of the KV head counted as
// rows. It makes the weights and their gradients anew from lse, sums dk and dv in its own memory, and adds to dq in place. So the five
// products of a pair are done once each; two passes, one for dq and one for dk and dv, would do seven. Heads within positions make what a
// tile reads and writes a few long runs: the same in 64 rows of one head would be on as many pages. What the next tile needs is fetched
// meanwhile.
//
// Order: dk and dv take rows in increasing order and the heads of a row one after the other (of more than 64, 64 at a time), which is the
// order of a job. dq takes keys in increasing order, for the blocks that a tile of rows sees take turns: a job adds its part when the
// block before it has added its own. Blocks are begun in increasing position, and a job waits only for jobs begun before it, so some job
// can always go on. A turn comes last in the work on a tile, and the KV heads of a block have nothing to wait for in one another. Nothing
// depends on which thread does what, on where tiles begin and end, or on segments that share no keys.
//
// Workspace: the list of segments, the turns, D = sum dout out of every row and head (one pass before, or where blocks are lone
// by their jobs, whose rows are at hand), and each thread's tile, some 300 KB at dim 128.
//
// Floor: 10 dim FLOPs a visible pair and query head.
#include <sched.h>
#include <stdatomic.h>

#include "attention_tile.h"
#include "check.h"

enum {
    SPINS = 2000,       // looks at a turn before others get the CPU
    DELTA_ROWS = 64,    // rows of a job that finds D
    JOBS_A_THREAD = 8,  // jobs of several heads leave at least so many a thread
    HEADS_AHEAD = 8,    // heads of a lone block to fetch at a time: runs of lines that the processor's own prefetching goes on with
};

// A segment with rows.
typedef struct segment {
    int64_t first_job;         // of those that read its keys
    int64_t first_turn;        // of its tiles: [kv_heads][parts][tiles]
    int32_t row, rows;         // the first row, and how many
    int32_t lead, next, last;  // numbers in the list: of the prefix's segment, or -1; of the next and the last with the same prefix, or of the
                               // first and the last that have this one as prefix
    int32_t before;            // blocks of the prefix
} segment;

enum { PLAN_BYTES = 64 };
_Static_assert(sizeof(segment) <= PLAN_BYTES, "attention_backward_workspace counts PLAN_BYTES a row");

// The parts of the workspace, as offsets from its first aligned byte.
typedef struct space {
    uint64_t plan;   // segments, PLAN_BYTES a row at most
    uint64_t turns;  // int32 a head and tile, a row has one tile at most
    uint64_t delta;  // f32 [rows][heads]
    uint64_t foreseen;  // what each thread has fetched ahead, TK_ALIGN bytes apart
    uint64_t tiles;  // a tile's memory for each thread, tile_bytes apart
    uint64_t tile_bytes;
    uint64_t bytes;  // in all
} space;

typedef struct backward {
    const tk_attention_backward_ops *k;
    const tk_attention_backward_args *a;
    tk_heads h;
    char *base;
    space at;
    const int32_t *cu, *prefix;
    segment *segments;
    int64_t count;
    int64_t first_row, rows;  // of all segments
    int64_t positions;        // of a tile
    int64_t heads_a_job;      // KV heads
    int past;                 // gradients are stored past the caches
    int lone;                 // every segment is one block of keys and a head one tile of rows, which nothing else reads
    int64_t jobs, threads;
    _Atomic int32_t *turns;   // blocks that have added to a tile's dq
    float *delta;
} backward;

enum { WEIGHTS_FLOATS = 2 * TK_GRAD_ROWS * TK_GRAD_LD };

static uint64_t panels_floats(const tk_heads *h) { return (uint64_t)h->dimp / TK_GRAD_PANEL * TK_GRAD_PANEL_FLOATS; }

static space layout(const tk_heads *h, int threads, int64_t rows)
{
    uint64_t r = (uint64_t)rows, heads = (uint64_t)h->heads, at = 0, line = TK_ALIGN - 1;
    space s = {.tile_bytes = 4 * (WEIGHTS_FLOATS + 5 * TK_GRAD_ROWS * (uint64_t)h->dimp + 3 * panels_floats(h))};
    s.plan = at, at += r * PLAN_BYTES;
    s.turns = at, at += (4 * r * heads + line) & ~line;
    s.delta = at, at += (4 * r * heads + line) & ~line;
    s.foreseen = at, at += (uint64_t)threads * TK_ALIGN;
    s.tiles = at, at += (uint64_t)threads * s.tile_bytes;
    s.bytes = at + TK_ALIGN;  // the workspace may begin anywhere
    return s;
}

static tk_grad_tile tile_at(const backward *w, int thread)
{
    float *f = (float *)(w->base + w->at.tiles + (uint64_t)thread * w->at.tile_bytes);
    uint64_t n = TK_GRAD_ROWS * (uint64_t)w->h.dimp, panels = panels_floats(&w->h);
    tk_grad_tile t = {.dim = w->h.dim, .dimp = w->h.dimp, .scale = w->a->scale};
    t.p = f, t.ds = f + WEIGHTS_FLOATS / 2, f += WEIGHTS_FLOATS;
    t.past = w->past;
    t.k = f, t.q = f + panels, t.dout = f + 2 * panels, f += 3 * panels;
    t.kt = f, t.vt = f + n, t.dk = f + 2 * n, t.dv = f + 3 * n, t.dq = f + 4 * n;
    return t;
}

static int64_t blocks_of(const segment *s) { return tk_ceil_div(s->rows, TK_GRAD_KEYS); }
static int64_t tiles_of(const backward *w, const segment *s) { return tk_ceil_div(s->rows, w->positions); }

// element is the address of a row's element of a tensor with elements of `bytes` bytes.
static char *element(uint64_t base, int64_t row, int64_t ld, int64_t column, int64_t bytes)
{
    return TK_PTR(char, base) + (row * ld + column) * bytes;
}

// Elements from one vector to the next in out and dout, and in D.
typedef struct apart {
    int64_t out, dout, d;
} apart;

// delta_at finds D of `count` vectors, the first of them a row's head.
static void delta_at(const backward *w, int64_t row, int64_t head, int64_t count, apart by)
{
    const tk_attention_backward_args *a = w->a;
    int64_t column = head * w->h.dim;
    w->k->delta(count, w->h.dim, element(a->out, row, a->ldo, column, w->h.bytes), by.out, (const float *)element(a->dout, row, a->lddo, column, 4),
                by.dout, w->delta + (row - w->first_row) * w->h.heads + head, by.d);
}

static void delta_rows(void *arg, int64_t job, int thread)
{
    (void)thread;
    const backward *w = arg;
    int64_t begin = job * DELTA_ROWS, end = begin + DELTA_ROWS < w->rows ? begin + DELTA_ROWS : w->rows;
    for (int64_t r = begin; r < end; r++) delta_at(w, w->first_row + r, 0, w->h.heads, (apart){w->h.dim, w->h.dim, 1});
}

// await returns when a tile's turn is `turn`.
static void await(_Atomic int32_t *at, int32_t turn)
{
    for (int spins = 0; atomic_load_explicit(at, memory_order_acquire) != turn;)
        if (++spins > SPINS) sched_yield();
}

// What a thread has fetched ahead: the first heads of a job of a lone block.
typedef struct foreseen {
    int64_t job, heads;
} foreseen;

static foreseen *foreseen_by(const backward *w, int thread) { return (foreseen *)(w->base + w->at.foreseen + (uint64_t)thread * TK_ALIGN); }

// A job: a block of a segment's keys.
typedef struct work {
    const backward *w;
    const segment *s;
    int64_t begin, keys;
    int64_t end_head;  // KV heads before this one
    int64_t job;
    foreseen *seen;
    int64_t ahead;     // of a lone block, the first head that is neither fetched nor being fetched
} work;

// work_of is a job, and its first KV head.
static work work_of(const backward *w, int64_t job, int64_t *kv_head)
{
    int64_t lo = 0, hi = w->count, groups = tk_ceil_div(w->h.kv_heads, w->heads_a_job);
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (w->segments[mid].first_job <= job) lo = mid;
        else hi = mid;
    }
    work b = {.w = w, .s = &w->segments[lo], .job = job};
    int64_t block = (job - b.s->first_job) / groups;
    *kv_head = (job - b.s->first_job) % groups * w->heads_a_job;
    b.begin = block * TK_GRAD_KEYS;
    b.keys = b.s->rows - b.begin < TK_GRAD_KEYS ? b.s->rows - b.begin : TK_GRAD_KEYS;
    b.end_head = *kv_head + w->heads_a_job < w->h.kv_heads ? *kv_head + w->heads_a_job : w->h.kv_heads;
    return b;
}

// A place on its walk: tile n of a segment's rows, of a part of the heads of a KV head.
typedef struct place {
    const segment *s;
    int64_t n, part, kv_head;
} place;

// first_tile is the first tile of a job's own segment that sees its keys.
static int64_t first_tile(const work *b) { return b->w->a->causal ? b->begin / b->w->positions : 0; }

// step goes on to the next place: the next tile of the segment, the next segment that has this one as prefix, the next heads. It returns 0
// at the end.
static int step(const work *b, place *p)
{
    if (++p->n < tiles_of(b->w, p->s)) return 1;
    p->n = 0;
    if (b->s->lead < 0 && p->s->next >= 0) {
        p->s = &b->w->segments[p->s->next];
        return 1;
    }
    p->s = b->s;
    p->n = first_tile(b);
    if (++p->part < b->w->h.parts) return 1;
    p->part = 0;
    return ++p->kv_head < b->end_head;
}

static int64_t row_of(const backward *w, const place *p) { return p->s->row + p->n * w->positions; }
static int64_t head_of(const backward *w, const place *p) { return p->kv_head * w->h.group + p->part * w->h.tile_heads; }

static int64_t positions_of(const backward *w, const place *p)
{
    int64_t left = p->s->rows - p->n * w->positions;
    return left < w->positions ? left : w->positions;
}

// blocks_at counts the blocks of keys that the rows of a tile see: those of the prefix, and the segment's own.
static int64_t blocks_at(const backward *w, const place *p)
{
    int64_t rows = (p->n + 1) * w->positions;
    return p->s->before + (w->a->causal && rows < p->s->rows ? tk_ceil_div(rows, TK_GRAD_KEYS) : blocks_of(p->s));
}

// fetch_rows notes `heads` heads of rows of a tensor with elements of `bytes` bytes.
static tk_fetch fetch_rows(const backward *w, uint64_t base, int64_t row, int64_t rows, int64_t ld, int64_t head, int64_t heads, int64_t bytes)
{
    const char *at = element(base, row, ld, head * w->h.dim, bytes);
    return (tk_fetch){.row = at, .stride = ld * bytes, .rows = rows, .lines = (heads * w->h.dim * bytes + (int64_t)((uintptr_t)at % 64) + 63) / 64};
}

// pace counts the regions noted, to be fetched in the course of `products` lanes.
static void pace(tk_fetches *f, int64_t regions, int64_t products)
{
    int64_t lines = 0;
    for (f->count = 0; f->count < regions; f->count++) lines += f->region[f->count].rows * f->region[f->count].lines;
    f->burst = tk_ceil_div(TK_FETCH_WORK * lines, products);
}

// fetch_heads notes what some heads of a lone block need and fill.
static void fetch_heads(const work *b, int64_t head, int64_t heads, int64_t products, tk_fetches *f)
{
    const backward *w = b->w;
    const tk_attention_backward_args *a = w->a;
    int64_t row = b->s->row, rows = b->keys, bytes = w->h.bytes, n = 0;
    if (!w->past) {
        f->region[n++] = fetch_rows(w, a->dq, row, rows, a->lddq, head, heads, 4);
        f->region[n++] = fetch_rows(w, a->dv, row, rows, a->lddv, head, heads, 4);
        f->region[n++] = fetch_rows(w, a->dk, row, rows, a->lddk, head, heads, 4);
    }
    f->region[n++] = fetch_rows(w, a->out, row, rows, a->ldo, head, heads, bytes);
    f->region[n++] = fetch_rows(w, a->dout, row, rows, a->lddo, head, heads, 4);
    f->region[n++] = fetch_rows(w, a->q, row, rows, a->ldq, head, heads, bytes);
    f->region[n++] = fetch_rows(w, a->k, row, rows, a->ldk, head, heads, bytes);
    f->region[n++] = fetch_rows(w, a->v, row, rows, a->ldv, head, heads, bytes);
    pace(f, n, products);
}

// fetch_lone notes what is next at a head of a lone block: heads by HEADS_AHEAD, and at the end what the thread's next job probably begins with,
// as many jobs on as there are threads. products: of one head.
static void fetch_lone(work *b, int64_t head, int64_t products, tk_fetches *f)
{
    const backward *w = b->w;
    int64_t during = b->ahead - head, heads = 2 * during < HEADS_AHEAD ? 2 * during : HEADS_AHEAD, next = b->job + w->threads, first;
    if (f->count > 0 && during > 1) return;  // what is left is of heads that have begun
    if (heads > b->end_head - b->ahead) heads = b->end_head - b->ahead;
    if (heads > 0) {
        fetch_heads(b, b->ahead, heads, products * during, f);
        b->ahead += heads;
    } else if (during <= HEADS_AHEAD && next < w->jobs && b->seen->job != next) {
        work then = work_of(w, next, &first);
        heads = then.end_head - first;
        *b->seen = (foreseen){.job = next, .heads = heads < HEADS_AHEAD ? heads : HEADS_AHEAD};
        fetch_heads(&then, first, b->seen->heads, products * during, f);
    }
}

// fetch notes what is needed after the four products before a turn at p, to be fetched meanwhile: at the last place of a KV head its sums,
// and what the next place needs.
static void fetch(work *b, const place *p, const place *next, const tk_grad_mask *m, tk_fetches *f)
{
    const backward *w = b->w;
    const tk_attention_backward_args *a = w->a;
    int64_t products = 4 * m->positions * m->heads * m->keys * w->h.dimp, n = 0, block = b->s->row + b->begin;
    if (w->lone) {
        fetch_lone(b, p->kv_head, products, f);
        return;
    }
    int last = !next || next->kv_head != p->kv_head;
    if (next) {
        int64_t row = row_of(w, next), rows = positions_of(w, next), head = head_of(w, next), heads = tk_part_heads(&w->h, next->part);
        if (!w->past || blocks_at(w, next) > 1) f->region[n++] = fetch_rows(w, a->dq, row, rows, a->lddq, head, heads, 4);
        f->region[n++] = fetch_rows(w, a->dout, row, rows, a->lddo, head, heads, 4);
        f->region[n++] = fetch_rows(w, a->q, row, rows, a->ldq, head, heads, w->h.bytes);
    }
    if (next && last) {
        f->region[n++] = fetch_rows(w, a->k, block, b->keys, a->ldk, next->kv_head, 1, w->h.bytes);
        f->region[n++] = fetch_rows(w, a->v, block, b->keys, a->ldv, next->kv_head, 1, w->h.bytes);
    }
    if (last && !w->past) {
        f->region[n++] = fetch_rows(w, a->dv, block, b->keys, a->lddv, p->kv_head, 1, 4);
        f->region[n++] = fetch_rows(w, a->dk, block, b->keys, a->lddk, p->kv_head, 1, 4);
    }
    pace(f, n, products);
}

// run_tile does the work of one place.
static void run_tile(work *b, const tk_grad_tile *t, const place *p, const place *next)
{
    const backward *w = b->w;
    const tk_attention_backward_args *a = w->a;
    const segment *s = p->s;
    int64_t row = row_of(w, p), head = head_of(w, p), column = head * w->h.dim, norm = row * w->h.heads + head;
    tk_grad_mask m = {.positions = positions_of(w, p), .heads = tk_part_heads(&w->h, p->part), .keys = b->keys, .see = b->keys};
    if (a->causal && s == b->s) m.see = p->n * w->positions - b->begin + 1, m.step = 1;
    fetch(b, p, next, &m, t->fetches);
    w->k->rows(t, &m, element(a->q, row, a->ldq, column, w->h.bytes), a->ldq, (const float *)element(a->dout, row, a->lddo, column, 4), a->lddo);
    for (int64_t h = 0; w->lone && h < m.heads; h++) delta_at(w, row, head + h, m.positions, (apart){a->ldo, a->lddo, w->h.heads});
    w->k->weights(t, &m, TK_PTR(const float, a->lse) + norm, w->delta + norm - w->first_row * w->h.heads, w->h.heads);
    w->k->add_keys(t, &m);
    int32_t turn = (int32_t)(b->begin / TK_GRAD_KEYS) + (s == b->s ? s->before : 0);
    _Atomic int32_t *at = &w->turns[s->first_turn + (p->kv_head * w->h.parts + p->part) * tiles_of(w, s) + p->n];
    await(at, turn);
    w->k->add_rows(t, &m, (float *)element(a->dq, row, a->lddq, column, 4), a->lddq, turn == 0, blocks_at(w, p) == 1);
    atomic_store_explicit(at, turn + 1, memory_order_release);
}

static void run_block(void *arg, int64_t job, int thread)
{
    const backward *w = arg;
    const tk_attention_backward_args *a = w->a;
    int64_t kv_head;
    work b = work_of(w, job, &kv_head);
    b.seen = foreseen_by(w, thread);
    b.ahead = kv_head + (b.seen->job == job ? b.seen->heads : 1);
    tk_fetches f = {0};
    tk_grad_tile t = tile_at(w, thread);
    t.fetches = &f;
    place next = {.s = b.s, .n = first_tile(&b), .kv_head = kv_head};
    for (int64_t row = b.s->row + b.begin; kv_head < b.end_head; kv_head++) {
        int64_t column = kv_head * w->h.dim;
        w->k->keys(&t, b.keys, element(a->k, row, a->ldk, column, w->h.bytes), a->ldk, element(a->v, row, a->ldv, column, w->h.bytes), a->ldv);
        while (next.kv_head == kv_head) {
            place here = next;
            int more = step(&b, &next);
            run_tile(&b, &t, &here, more ? &next : NULL);
        }
        w->k->store(&t, b.keys, (float *)element(a->dk, row, a->lddk, column, 4), a->lddk, (float *)element(a->dv, row, a->lddv, column, 4), a->lddv);
    }
    if (w->past) w->k->written();
}

// number_of is the number in the list of a segment with rows, given one by one in increasing order of `first_row`.
static int64_t number_of(const backward *w, int32_t first_row)
{
    int64_t lo = 0, hi = w->count;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (w->segments[mid].row <= first_row) lo = mid;
        else hi = mid;
    }
    return lo;
}

// plan lists the segments that have rows. It returns the number of jobs, and of turns.
static int64_t plan(backward *w, int threads, int64_t *turns)
{
    int64_t blocks = 0;
    *turns = 0;
    w->lone = w->h.group == 1;
    for (int64_t i = 0; i < w->a->segments; i++) {
        int32_t rows = w->cu[i + 1] - w->cu[i], p = w->prefix ? w->prefix[i] : -1;
        if (rows == 0) continue;
        segment *s = &w->segments[w->count];
        *s = (segment){.first_job = blocks, .first_turn = *turns, .row = w->cu[i], .rows = rows, .lead = -1, .next = -1, .last = -1};
        if (p >= 0 && w->cu[p + 1] > w->cu[p]) {
            s->lead = (int32_t)number_of(w, w->cu[p]);
            segment *lead = &w->segments[s->lead];
            s->before = (int32_t)blocks_of(lead);
            segment *before = lead->last >= 0 ? &w->segments[lead->last] : lead;
            before->next = lead->last = (int32_t)w->count;
        }
        w->lone = w->lone && blocks_of(s) == 1 && s->lead < 0;
        blocks += blocks_of(s);
        *turns += tiles_of(w, s) * w->h.kv_heads * w->h.parts;
        w->count++;
    }
    int64_t each = blocks * w->h.kv_heads / (JOBS_A_THREAD * threads);
    w->heads_a_job = threads == 1 || each > w->h.kv_heads ? w->h.kv_heads : each > 1 ? each : 1;
    int64_t groups = tk_ceil_div(w->h.kv_heads, w->heads_a_job);
    for (int64_t i = 0; i < w->count; i++) w->segments[i].first_job *= groups;
    return blocks * groups;
}

static int32_t check(const tk_attention_backward_args *a, const tk_heads *h, const int32_t *cu, const int32_t *prefix, tk_error *err)
{
    TK_REQUIRE_ADDRESS("attention_backward", "q", a->q, h->bytes);
    TK_REQUIRE_ADDRESS("attention_backward", "k", a->k, h->bytes);
    TK_REQUIRE_ADDRESS("attention_backward", "v", a->v, h->bytes);
    TK_REQUIRE_ADDRESS("attention_backward", "out", a->out, h->bytes);
    TK_REQUIRE_ADDRESS("attention_backward", "lse", a->lse, 4);
    TK_REQUIRE_ADDRESS("attention_backward", "dout", a->dout, 4);
    TK_REQUIRE_ADDRESS("attention_backward", "dq", a->dq, 4);
    TK_REQUIRE_ADDRESS("attention_backward", "dk", a->dk, 4);
    TK_REQUIRE_ADDRESS("attention_backward", "dv", a->dv, 4);
    TK_REQUIRE(a->prefix % 4 == 0, "attention_backward: prefix is %#llx, must be a multiple of 4", (unsigned long long)a->prefix);
    TK_REQUIRE_STRIDE("attention_backward", "ldq", a->ldq, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "ldk", a->ldk, a->kv_heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "ldv", a->ldv, a->kv_heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "ldo", a->ldo, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "lddo", a->lddo, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "lddq", a->lddq, a->heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "lddk", a->lddk, a->kv_heads * a->dim);
    TK_REQUIRE_STRIDE("attention_backward", "lddv", a->lddv, a->kv_heads * a->dim);
    TK_REQUIRE(a->scale - a->scale == 0, "attention_backward: scale is %g", (double)a->scale);
    int64_t keys;
    return tk_attention_check_prefix("attention_backward", cu, prefix, a->segments, &keys, err);
}

int32_t tk_cpu_attention_backward(uint64_t ctx, tk_attention_backward_args *a, tk_error *err)
{
    TK_ENTER("attention_backward");
    const tk_attention_backward_kernels *kernels = cx->kernels->attention_backward;
    backward w = {.k = a->dtype == TK_BF16 ? &kernels->bf16 : &kernels->f32, .a = a};
    TK_TRY(tk_heads_init(&w.h, "attention_backward", a->dtype, a->heads, a->kv_heads, a->dim, err));
    TK_REQUIRE(a->segments >= 0 && a->segments <= INT32_MAX, "attention_backward: segments is %lld, must be from 0 to %d", (long long)a->segments,
               INT32_MAX);
    if (a->segments == 0) return TK_OK;
    TK_REQUIRE_ADDRESS("attention_backward", "cu", a->cu, 4);
    w.cu = TK_PTR(const int32_t, a->cu);
    w.prefix = TK_PTR(const int32_t, a->prefix);
    TK_TRY(tk_attention_check_cu("attention_backward", "cu", w.cu, a->segments, err));
    w.first_row = w.cu[0];
    w.rows = w.cu[a->segments] - w.first_row;
    if (w.rows == 0) return TK_OK;
    TK_TRY(check(a, &w.h, w.cu, w.prefix, err));
    w.at = layout(&w.h, tk_pool_threads(cx->pool), w.rows);
    TK_TRY(tk_attention_check_space("attention_backward", a->workspace, a->workspace_bytes, w.at.bytes, err));

    w.positions = TK_GRAD_ROWS / w.h.tile_heads;
    w.base = tk_attention_base(a->workspace);
    w.segments = (segment *)(w.base + w.at.plan);
    w.turns = (_Atomic int32_t *)(w.base + w.at.turns);
    w.delta = (float *)(w.base + w.at.delta);
    w.past = w.k->past && w.rows * (w.h.heads + 2 * w.h.kv_heads) * w.h.dim * 4 >= TK_PAST_BYTES && w.h.dim % 16 == 0
             && (a->dq | a->dk | a->dv) % 64 == 0 && (a->lddq | a->lddk | a->lddv) % 16 == 0;
    w.threads = tk_pool_threads(cx->pool);
    for (int i = 0; i < w.threads; i++) foreseen_by(&w, i)->job = -1;
    int64_t turns;
    w.jobs = plan(&w, (int)w.threads, &turns);
    memset(w.base + w.at.turns, 0, (size_t)turns * sizeof *w.turns);
    if (!w.lone) tk_pool_run(cx->pool, tk_ceil_div(w.rows, DELTA_ROWS), delta_rows, &w);
    tk_pool_run(cx->pool, w.jobs, run_block, &w);
    return TK_OK;
}

int32_t tk_cpu_attention_backward_workspace(uint64_t ctx, tk_attention_backward_workspace_args *a, tk_error *err)
{
    TK_ENTER("attention_backward_workspace");
    tk_heads h;
    TK_TRY(tk_heads_init(&h, "attention_backward_workspace", a->dtype, a->heads, a->kv_heads, a->dim, err));
    TK_REQUIRE(a->rows >= 0 && a->rows <= INT32_MAX, "attention_backward_workspace: rows is %lld, must be from 0 to %d", (long long)a->rows, INT32_MAX);
    TK_REQUIRE(a->keys >= 0 && a->keys <= TK_MAX_KEYS, "attention_backward_workspace: keys is %lld, must be from 0 to %lld", (long long)a->keys,
               (long long)TK_MAX_KEYS);
    a->bytes = layout(&h, tk_pool_threads(cx->pool), a->rows).bytes;
    return TK_OK;
}
