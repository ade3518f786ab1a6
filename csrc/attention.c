// attention.c - attention_workspace, and what the attention ops share.
#include "attention_tile.h"

int32_t tk_heads_init(tk_heads *h, const char *op, uint32_t dtype, int64_t heads, int64_t kv_heads, int64_t dim, tk_error *err)
{
    TK_REQUIRE(dtype == TK_F32 || dtype == TK_BF16, "%s: dtype %u is neither f32 nor bf16", op, dtype);
    TK_REQUIRE(heads > 0 && heads <= TK_MAX_HEADS, "%s: heads is %lld, must be from 1 to %d", op, (long long)heads, TK_MAX_HEADS);
    TK_REQUIRE(kv_heads > 0 && heads % kv_heads == 0, "%s: kv_heads is %lld, must divide heads, %lld", op, (long long)kv_heads, (long long)heads);
    TK_REQUIRE(dim >= 2 && dim <= TK_MAX_DIM && dim % 2 == 0, "%s: dim is %lld, must be even and from 2 to %d", op, (long long)dim, TK_MAX_DIM);
    *h = (tk_heads){.dtype = dtype, .bytes = tk_dtype_bytes(dtype), .heads = heads, .kv_heads = kv_heads, .dim = dim, .group = heads / kv_heads};
    h->dimp = (dim + 15) / 16 * 16;
    h->tile_heads = h->group < TK_TILE_ROWS ? h->group : TK_TILE_ROWS;
    h->parts = tk_ceil_div(h->group, h->tile_heads);
    h->span = 1;
    while (2 * h->span <= TK_CHUNK && 2 * h->span * h->tile_heads <= TK_TILE_ROWS) h->span *= 2;
    h->kv_bytes = 4 * (tk_ksteps(dtype, dim) * TK_CHUNK + tk_ksteps(dtype, TK_CHUNK) * h->dimp);
    return TK_OK;
}

// A tile's arrays, each a multiple of TK_ALIGN bytes.
enum { ROW_FLOATS = TK_TILE_ROWS * 4 };

static uint64_t tile_bytes(const tk_heads *h)
{
    uint64_t row = 4 * (uint64_t)h->dimp;
    return TK_TILE_ROWS * (row + 4 * TK_CHUNK + 2 * row) + TK_SCORE_ROWS * TK_CHUNK * 4 + 9 * ROW_FLOATS;
}

tk_attention_tile tk_attention_tile_at(const tk_heads *h, float scale, char *memory)
{
    tk_attention_tile t = {.dim = h->dim, .dimp = h->dimp, .scale = scale};
    uint64_t rows = TK_TILE_ROWS * 4 * (uint64_t)h->dimp;
    t.q = memory, memory += rows;
    t.p = memory, memory += TK_TILE_ROWS * TK_CHUNK * 4;
    t.s = (float *)memory, memory += TK_SCORE_ROWS * TK_CHUNK * 4;
    t.o = (float *)memory, memory += rows;
    t.done_o = (float *)memory, memory += rows;
    t.done_m = (float *)memory, memory += ROW_FLOATS;
    t.done_l = (float *)memory, memory += ROW_FLOATS;
    t.m = (float *)memory, memory += ROW_FLOATS;
    t.l = (float *)memory, memory += ROW_FLOATS;
    t.mc = (float *)memory, memory += ROW_FLOATS;
    t.lc = (float *)memory, memory += ROW_FLOATS;
    t.keep = (float *)memory, memory += ROW_FLOATS;
    t.take = (float *)memory, memory += ROW_FLOATS;
    t.keys = (int32_t *)memory;
    return t;
}

tk_attention_space tk_attention_layout(const tk_heads *h, int threads, int64_t rows, int64_t keys)
{
    tk_attention_space s = {.tile_bytes = tile_bytes(h)};
    uint64_t n = (uint64_t)threads, at = 0;
    s.plan = at, at += (uint64_t)rows * TK_PLAN_BYTES;
    s.tiles = at, at += (n + 1) * s.tile_bytes;
    if (keys > 0) {
        s.chunks_bytes = TK_PACK_CHUNKS * (uint64_t)h->kv_bytes;
        s.chunks = at, at += n * s.chunks_bytes;
        s.packed = at, at += (uint64_t)tk_ceil_div(keys, TK_CHUNK) * (uint64_t)(h->kv_heads * h->kv_bytes);
    } else {
        s.state_bytes = 4 * (uint64_t)(h->dimp + 2);
        s.states = at, at += n * TK_SPLIT_ROWS * s.state_bytes;
    }
    s.bytes = at + TK_ALIGN;  // the workspace may begin anywhere
    return s;
}

int32_t tk_cpu_attention_workspace(uint64_t ctx, tk_attention_workspace_args *a, tk_error *err)
{
    TK_ENTER("attention_workspace");
    tk_heads h;
    int32_t status = tk_heads_init(&h, "attention_workspace", a->dtype, a->heads, a->kv_heads, a->dim, err);
    if (status) return status;
    TK_REQUIRE(a->rows >= 0 && a->rows <= INT32_MAX, "attention_workspace: rows is %lld, must be from 0 to %d", (long long)a->rows, INT32_MAX);
    TK_REQUIRE(a->keys >= 0 && a->keys <= TK_MAX_KEYS, "attention_workspace: keys is %lld, must be from 0 to %lld", (long long)a->keys,
               (long long)TK_MAX_KEYS);
    int threads = tk_pool_threads(cx->pool);  // one workspace may serve both ops
    uint64_t varlen = tk_attention_layout(&h, threads, a->rows, a->keys).bytes, paged = tk_attention_layout(&h, threads, a->rows, 0).bytes;
    a->bytes = varlen > paged ? varlen : paged;
    return TK_OK;
}

int32_t tk_attention_check_cu(const char *op, const char *name, const int32_t *cu, int64_t n, tk_error *err)
{
    TK_REQUIRE(cu[0] >= 0, "%s: %s[0] is %d, must not be negative", op, name, cu[0]);
    for (int64_t i = 0; i < n; i++)
        TK_REQUIRE(cu[i] <= cu[i + 1], "%s: %s[%lld] is %d, less than %d before it", op, name, (long long)(i + 1), cu[i + 1], cu[i]);
    return TK_OK;
}

int32_t tk_attention_check_prefix(const char *op, const int32_t *cu, const int32_t *prefix, int64_t segments, int64_t *keys, tk_error *err)
{
    *keys = 0;
    for (int64_t s = 0; s < segments; s++) {
        int64_t rows = cu[s + 1] - cu[s], p = prefix ? prefix[s] : -1;
        TK_REQUIRE(p < s, "%s: prefix[%lld] is %lld, must be an earlier segment, or negative", op, (long long)s, (long long)p);
        if (p >= 0) {
            TK_REQUIRE(prefix[p] < 0, "%s: prefix[%lld] is %lld, a segment that has a prefix itself", op, (long long)s, (long long)p);
            if (rows) rows += cu[p + 1] - cu[p];
        }
        TK_REQUIRE(rows <= INT32_MAX - TK_CHUNK, "%s: segment %lld has %lld keys, at most %d", op, (long long)s, (long long)rows,
                   INT32_MAX - TK_CHUNK);
        *keys += tk_ceil_div(rows, TK_CHUNK) * TK_CHUNK;
        TK_REQUIRE(*keys <= TK_MAX_KEYS, "%s: segments 0 to %lld have %lld keys, at most %lld", op, (long long)s, (long long)*keys,
                   (long long)TK_MAX_KEYS);
    }
    return TK_OK;
}

int32_t tk_attention_check_space(const char *op, uint64_t workspace, uint64_t bytes, uint64_t needed, tk_error *err)
{
    TK_REQUIRE(workspace, "%s: workspace is null", op);
    TK_REQUIRE(bytes >= needed, "%s: workspace_bytes is %llu, this call needs %llu", op, (unsigned long long)bytes, (unsigned long long)needed);
    return TK_OK;
}

int64_t tk_attention_load(const tk_attention_ops *k, const tk_attention_tile *t, const tk_heads *h, const tk_rows_view *v, int64_t tile_row,
                          int64_t row, int64_t count, int64_t kv_head, int64_t part, int64_t keys, int64_t step)
{
    int64_t first = kv_head * h->group + part * h->tile_heads, n = tk_part_heads(h, part), r = tile_row;
    k->query(t, tile_row, count, n, v->q + (row * v->ldq + first * h->dim) * h->bytes, v->ldq);
    for (int64_t p = 0; p < count; p++)
        for (int64_t i = 0; i < n; i++) t->keys[r++] = (int32_t)(keys + p * step);
    return r - tile_row;
}

void tk_attention_store(const tk_attention_ops *k, const tk_attention_tile *t, const tk_heads *h, const tk_rows_view *v, int64_t tile_row,
                        int64_t row, int64_t count, int64_t kv_head, int64_t part)
{
    int64_t first = kv_head * h->group + part * h->tile_heads, n = tk_part_heads(h, part);
    float *lse = v->lse ? v->lse + row * h->heads + first : NULL;
    k->store(t, tile_row, count, n, v->out + (row * v->ldo + first * h->dim) * h->bytes, v->ldo, lse, h->heads);
}
