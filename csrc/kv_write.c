// kv_write.c - new keys and values into the pages of the KV cache. The slots of a call are distinct: of two tokens for one slot either
// may stay.
#include "attention_tile.h"
#include "blocks.h"

// A key's lanes lie on as many lines as it has, and no hardware foresees which, nor many rows that lie apart: both are fetched while
// the tokens before are written. A core has room for a dozen lines on their way: of lone tokens, whose lines are all that takes time, one is
// asked for with each lane that is written, and so some are always on their way. Tokens that fill the lines of their keys are written past the caches: their lines need not be fetched
// first, and who reads them next reads the whole cache.
enum {
    WRITE_BLOCK = 64,  // tokens a job
    WRITE_FEW = 32,    // so few tokens may not be worth a call of the pool
};

typedef struct kv_write {
    const tk_attention_ops *k;
    const tk_kv_write_args *a;
    int64_t bytes, kv_bytes, block, heads;  // heads of a job
    int past;                               // whether keys can fill lines
} kv_write;

static char *tile_of(const kv_write *w, int64_t slot, int64_t head)
{
    return TK_PTR(char, w->a->pages) + slot / TK_CHUNK * w->a->page_stride + head * w->kv_bytes;
}

// piece_end is the end of a piece from token i on: of tokens in consecutive slots whose keys lie on the same lines.
static int64_t piece_end(const kv_write *w, int64_t i, int64_t end)
{
    const int32_t *slots = TK_PTR(const int32_t, w->a->slots);
    int64_t next = i + 1;
    while (next < end && slots[next] % TK_LINE_KEYS && slots[next] == slots[i] + (next - i)) next++;
    return next;
}

// fetch_rows brings tokens i .. next - 1, a piece, of a job's KV heads, and the lines that their values go to, near; fetch_piece those of their
// keys, too.
static void fetch_rows(const kv_write *w, int64_t i, int64_t next, int64_t head)
{
    const tk_kv_write_args *a = w->a;
    const int64_t slot = TK_PTR(const int32_t, a->slots)[i], offset = slot % TK_CHUNK, n = next - i, bytes = w->heads * a->dim * w->bytes;
    const int64_t steps = tk_ksteps(a->dtype, a->dim), row = 4 * ((a->dim + 15) / 16 * 16), depth = a->dtype == TK_BF16 ? 2 : 1;
    for (int64_t t = i; t < next; t++) {
        const char *k = TK_PTR(const char, a->k) + (t * a->ldk + head * a->dim) * w->bytes;
        const char *v = TK_PTR(const char, a->v) + (t * a->ldv + head * a->dim) * w->bytes;
        for (int64_t o = 0; o < bytes; o += 64) __builtin_prefetch(k + o, 0, 2);
        for (int64_t o = 0; o < bytes; o += 64) __builtin_prefetch(v + o, 0, 2);
    }
    if (w->past && n == TK_LINE_KEYS) return;
    for (int64_t h = head; h < head + w->heads; h++) {
        const char *values = tile_of(w, slot, h) + 4 * steps * TK_CHUNK;
        for (const char *o = values + offset / depth * row, *to = values + ((offset + n - 1) / depth + 1) * row; o < to; o += 64) __builtin_prefetch(o, 0, 2);
    }
}

// fetch_key brings the line that step s of a key goes to near.
static inline void fetch_key(const char *tile, int64_t slot, int64_t s) { __builtin_prefetch(tile + 4 * (s * TK_CHUNK + slot % TK_CHUNK), 0, 2); }

static void fetch_piece(const kv_write *w, int64_t i, int64_t next, int64_t head)
{
    const int64_t slot = TK_PTR(const int32_t, w->a->slots)[i], steps = tk_ksteps(w->a->dtype, w->a->dim);
    fetch_rows(w, i, next, head);
    if (w->past && next - i == TK_LINE_KEYS) return;
    for (int64_t h = head; h < head + w->heads; h++)
        for (int64_t s = 0; s < steps; s++) fetch_key(tile_of(w, slot, h), slot, s);
}

// write_token is fetch_piece of tokens next .. after - 1, and between its fetches the kernel's pack of token i.
static void write_token(const kv_write *w, int64_t i, int64_t next, int64_t after, int64_t head)
{
    const tk_kv_write_args *a = w->a;
    const int64_t slot = TK_PTR(const int32_t, a->slots)[i], slot2 = TK_PTR(const int32_t, a->slots)[next], offset = slot % TK_CHUNK;
    const int64_t steps = tk_ksteps(a->dtype, a->dim), row = 4 * ((a->dim + 15) / 16 * 16);
    fetch_rows(w, next, after, head);
    for (int64_t h = head; h < head + w->heads; h++) {
        const char *k = TK_PTR(const char, a->k) + (i * a->ldk + h * a->dim) * w->bytes;
        const char *v = TK_PTR(const char, a->v) + (i * a->ldv + h * a->dim) * w->bytes;
        char *keys = tile_of(w, slot, h), *values = keys + 4 * steps * TK_CHUNK, *tile2 = tile_of(w, slot2, h);
        for (int64_t s = 0; s < steps; s++) {
            fetch_key(tile2, slot2, s);
            memcpy(keys + 4 * (s * TK_CHUNK + offset), k + 4 * s, 4);
        }
        if (a->dtype == TK_F32) memcpy(values + offset * row, v, (size_t)(4 * a->dim));
        else
            for (int64_t j = 0; j < a->dim; j++) memcpy(values + offset / 2 * row + 4 * j + offset % 2 * 2, v + 2 * j, 2);
    }
}

// plan_piece is fetch_piece of the tokens alone, for the kernel to pace.
static void plan_piece(const kv_write *w, int64_t i, int64_t next, int64_t head, tk_fetches *f)
{
    const tk_kv_write_args *a = w->a;
    const int64_t lines = w->heads * a->dim * w->bytes / 64, lanes = w->heads * TK_LINE_KEYS * 2 * tk_ksteps(a->dtype, a->dim);
    f->count = 1;
    f->region[0] = (tk_fetch){.row = TK_PTR(const char, a->k) + (i * a->ldk + head * a->dim) * w->bytes, .stride = a->ldk * w->bytes, .rows = next - i, .lines = lines};
    f->burst = tk_ceil_div(TK_FETCH_WORK * 2 * lines * (next - i), lanes);
    if (w->heads == a->kv_heads && a->ldk == a->ldv && a->v - a->k == (uint64_t)(a->kv_heads * a->dim * w->bytes)) {
        f->region[0].lines *= 2;  // values follow the keys
        return;
    }
    f->region[f->count++] = (tk_fetch){.row = TK_PTR(const char, a->v) + (i * a->ldv + head * a->dim) * w->bytes, .stride = a->ldv * w->bytes, .rows = next - i, .lines = lines};
}

// One block of tokens, piece by piece: of all KV heads, which lie side by side, or of one.
static void kv_write_job(void *arg, int64_t job, int thread)
{
    (void)thread;
    const kv_write *w = arg;
    const tk_kv_write_args *a = w->a;
    const int32_t *slots = TK_PTR(const int32_t, a->slots);
    const int64_t shares = a->kv_heads / w->heads, head = job % shares * w->heads, begin = job / shares * w->block;
    const int64_t end = begin + w->block < a->n ? begin + w->block : a->n;
    if (begin >= end) return;
    int64_t next = piece_end(w, begin, end);
    fetch_piece(w, begin, next, head);
    for (int64_t i = begin, after; i < end; i = next, next = after) {
        const int past = w->past && next - i == TK_LINE_KEYS;
        tk_fetches f = {0};
        after = next < end ? piece_end(w, next, end) : next;
        if (next == i + 1 && next < end && !(w->past && after - next == TK_LINE_KEYS)) {
            write_token(w, i, next, after, head);
            continue;
        }
        if (past && after - next == TK_LINE_KEYS) plan_piece(w, next, after, head, &f);
        else if (next < end) fetch_piece(w, next, after, head);
        for (int64_t h = head; h < head + w->heads; h++) {
            const char *k = TK_PTR(const char, a->k) + (i * a->ldk + h * a->dim) * w->bytes;
            const char *v = TK_PTR(const char, a->v) + (i * a->ldv + h * a->dim) * w->bytes;
            if (past) w->k->write(a->dim, slots[i] % TK_CHUNK, k, a->ldk, v, a->ldv, tile_of(w, slots[i], h), &f);
            else w->k->pack(a->dim, next - i, slots[i] % TK_CHUNK, k, a->ldk, v, a->ldv, tile_of(w, slots[i], h));
        }
    }
    if (w->past) w->k->written();
}

int32_t tk_cpu_kv_write(uint64_t ctx, tk_kv_write_args *a, tk_error *err)
{
    TK_ENTER("kv_write");
    tk_heads h;
    int32_t status = tk_heads_init(&h, "kv_write", a->dtype, a->kv_heads, a->kv_heads, a->dim, err);
    if (status) return status;
    TK_REQUIRE(a->n >= 0 && a->n <= INT32_MAX, "kv_write: n is %lld, must be from 0 to %d", (long long)a->n, INT32_MAX);
    if (a->n == 0) return TK_OK;
    TK_REQUIRE_ADDRESS("kv_write", "k", a->k, h.bytes);
    TK_REQUIRE_ADDRESS("kv_write", "v", a->v, h.bytes);
    TK_REQUIRE_ADDRESS("kv_write", "slots", a->slots, 4);
    TK_REQUIRE_STRIDE("kv_write", "ldk", a->ldk, a->kv_heads * a->dim);
    TK_REQUIRE_STRIDE("kv_write", "ldv", a->ldv, a->kv_heads * a->dim);
    TK_REQUIRE_PAGES("kv_write", a, h);
    const int32_t *slots = TK_PTR(const int32_t, a->slots);
    for (int64_t i = 0; i < a->n; i++)
        TK_REQUIRE(slots[i] >= 0 && slots[i] / TK_CHUNK < a->num_pages, "kv_write: slots[%lld] is %d, must be in [0, %lld)", (long long)i,
                   slots[i], (long long)(a->num_pages * TK_CHUNK));

    kv_write w = {.k = tk_attention_of(cx, a->dtype), .a = a, .bytes = h.bytes, .kv_bytes = h.kv_bytes};
    w.past = a->pages % 64 == 0 && a->page_stride % 64 == 0 && a->dim % (64 / h.bytes) == 0;
    const int64_t blocks = tk_ceil_div(a->n, WRITE_BLOCK), threads = tk_pool_threads(cx->pool);
    const double lines = (double)(a->n * a->kv_heads * tk_ksteps(a->dtype, a->dim));  // of keys: each of them is read and written
    w.block = WRITE_BLOCK;
    w.heads = blocks < 2 * threads ? 1 : a->kv_heads;
    if (a->n <= WRITE_FEW && !tk_pays(cx, 128 * lines)) {
        w.heads = a->kv_heads;
        kv_write_job(&w, 0, 0);
    } else {
        tk_pool_run(cx->pool, blocks * (a->kv_heads / w.heads), kv_write_job, &w);
    }
    return TK_OK;
}
