// kv_write.c - new keys and values into the pages of the KV cache. The slots of a call are distinct: of two tokens for one slot either
// may stay.
#include "attention_tile.h"

// A key's lanes lie on as many lines as it has, and no hardware foresees which: they are fetched while the tokens before are written.
enum { WRITE_BLOCK = 64, WRITE_ALONE = 32 };  // tokens a job; calls of so few tokens are not worth waking threads

typedef struct kv_write {
    const tk_attention_ops *k;
    const tk_kv_write_args *a;
    int64_t bytes, kv_bytes, block;
} kv_write;

static char *tile_of(const kv_write *w, int64_t slot, int64_t head)
{
    return TK_PTR(char, w->a->pages) + slot / TK_CHUNK * w->a->page_stride + head * w->kv_bytes;
}

// fetch_token brings token i, and the lines that it goes to, near.
static void fetch_token(const kv_write *w, int64_t i, int64_t head)
{
    const tk_kv_write_args *a = w->a;
    const int64_t slot = TK_PTR(const int32_t, a->slots)[i], offset = slot % TK_CHUNK, bytes = a->dim * w->bytes;
    const int64_t steps = tk_ksteps(a->dtype, a->dim), row = 4 * ((a->dim + 15) / 16 * 16);
    const char *k = TK_PTR(const char, a->k) + (i * a->ldk + head * a->dim) * w->bytes;
    const char *v = TK_PTR(const char, a->v) + (i * a->ldv + head * a->dim) * w->bytes;
    const char *tile = tile_of(w, slot, head), *value = tile + 4 * steps * TK_CHUNK + (a->dtype == TK_BF16 ? offset / 2 : offset) * row;
    for (int64_t o = 0; o < bytes; o += 64) __builtin_prefetch(k + o, 0, 2), __builtin_prefetch(v + o, 0, 2);
    for (int64_t s = 0; s < steps; s++) __builtin_prefetch(tile + 4 * (s * TK_CHUNK + offset), 1, 2);
    for (int64_t o = 0; o < row; o += 64) __builtin_prefetch(value + o, 1, 2);
}

// One block of tokens, one KV head: runs of consecutive slots within a page are packed together.
static void kv_write_job(void *arg, int64_t job, int thread)
{
    (void)thread;
    const kv_write *w = arg;
    const tk_kv_write_args *a = w->a;
    const int32_t *slots = TK_PTR(const int32_t, a->slots);
    int64_t head = job % a->kv_heads, begin = job / a->kv_heads * w->block;
    int64_t end = begin + w->block < a->n ? begin + w->block : a->n;
    if (begin < end) fetch_token(w, begin, head);
    for (int64_t i = begin, next; i < end; i = next) {
        int64_t offset = slots[i] % TK_CHUNK;
        for (next = i + 1; next < end && offset + (next - i) < TK_CHUNK && slots[next] == slots[i] + (next - i);) next++;
        if (next < end) fetch_token(w, next, head);
        w->k->pack(a->dim, next - i, offset, TK_PTR(const char, a->k) + (i * a->ldk + head * a->dim) * w->bytes, a->ldk,
                   TK_PTR(const char, a->v) + (i * a->ldv + head * a->dim) * w->bytes, a->ldv,
                   tile_of(w, slots[i], head));
    }
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
    if (a->n <= WRITE_ALONE) {
        w.block = a->n;
        for (int64_t head = 0; head < a->kv_heads; head++) kv_write_job(&w, head, 0);
    } else {
        w.block = WRITE_BLOCK;
        tk_pool_run(cx->pool, tk_ceil_div(a->n, w.block) * a->kv_heads, kv_write_job, &w);
    }
    return TK_OK;
}
