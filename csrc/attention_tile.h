// attention_tile.h - what the attention ops share on this side of the ISA: sizes of tiles, the workspace, the division of a sequence's
// query rows into tiles, and the walk of a tile over its keys.
#ifndef TK_ATTENTION_TILE_H
#define TK_ATTENTION_TILE_H

#include "context.h"

// Limits that keep every product of sizes within 63 bits.
#define TK_MAX_HEADS 65536
#define TK_MAX_STRIDE ((int64_t)1 << 28)  // elements
#define TK_MAX_KEYS ((int64_t)1 << 34)

enum {
    TK_PACK_CHUNKS = 4,   // a segment of at most so many chunks can be packed by the job that reads them
    TK_SPLIT_ROWS = 256,  // rows of states of runs a thread, when a walk is divided among the threads
};

// A model's attention: what all rows of a call have in common.
typedef struct tk_heads {
    uint32_t dtype;
    int64_t bytes;  // of an element
    int64_t heads, kv_heads, dim, dimp;
    int64_t group;      // query heads of one KV head
    int64_t tile_heads; // of which a tile takes so many,
    int64_t parts;      // in so many parts,
    int64_t span;       // at `span` consecutive positions, aligned: a power of two that divides TK_CHUNK
    int64_t kv_bytes;   // K and V tiles of one KV head and chunk
} tk_heads;

// tk_heads_init checks dtype, heads, kv_heads and dim; op is the name to complain under.
int32_t tk_heads_init(tk_heads *h, const char *op, uint32_t dtype, int64_t heads, int64_t kv_heads, int64_t dim, tk_error *err);

static inline const tk_attention_ops *tk_attention_of(const tk_context *cx, uint32_t dtype)
{
    return dtype == TK_BF16 ? &cx->kernels->attention->bf16 : &cx->kernels->attention->f32;
}

// The parts of a workspace, as offsets from its first aligned byte. attention_paged has no keys of its own to pack (keys is 0), and it
// alone divides walks among threads.
typedef struct tk_attention_space {
    uint64_t plan;     // the op's list of sequences: TK_PLAN_BYTES a query row at most
    uint64_t tiles;    // a tile's memory for each thread and one more, tile_bytes apart
    uint64_t chunks;   // TK_PACK_CHUNKS packed chunks of one KV head for each thread, chunks_bytes apart
    uint64_t packed;   // packed chunks of all KV heads, for all threads
    uint64_t states;   // of runs of chunks: TK_SPLIT_ROWS rows of state_bytes for each thread
    uint64_t tile_bytes, chunks_bytes, state_bytes;
    uint64_t bytes;    // in all
} tk_attention_space;

enum { TK_PLAN_BYTES = 64 };

tk_attention_space tk_attention_layout(const tk_heads *h, int threads, int64_t rows, int64_t keys);

// tk_attention_base is the first aligned byte of a workspace.
static inline char *tk_attention_base(uint64_t workspace)
{
    return TK_PTR(char, (workspace + TK_ALIGN - 1) / TK_ALIGN * TK_ALIGN);
}

// tk_attention_tile_at lays a tile out in memory of tile_bytes.
tk_attention_tile tk_attention_tile_at(const tk_heads *h, float scale, char *memory);

// tk_attention_walk takes rows row .. row+rows of a tile over chunks from .. to; chunk 0 starts their state. after: a chunk that is
// needed when this is done, or NULL.
static inline void tk_attention_walk(const tk_attention_ops *k, const tk_attention_tile *t, int64_t row, int64_t rows, const tk_chunks *c,
                                     int64_t from, int64_t to, const char *after)
{
    k->walk(t, row, rows, c, from, to, from == 0, after);
}

// Rows of q and out: `count` positions from row `row` of the op's rows on, of tile_heads heads from `head` on (fewer in the last
// part), become rows of a tile, heads within positions.
typedef struct tk_rows_view {
    const char *q;
    char *out;
    float *lse;  // [rows][heads] or NULL
    int64_t ldq, ldo;
} tk_rows_view;

static inline int64_t tk_part_heads(const tk_heads *h, int64_t part)
{
    int64_t left = h->group - part * h->tile_heads;
    return left < h->tile_heads ? left : h->tile_heads;
}

// tk_attention_load brings the queries into the tile's rows from tile_row on, the first position seeing `keys` keys and each further
// one `step` more. It returns the number of rows. tk_attention_store writes the results of the same rows.
int64_t tk_attention_load(const tk_attention_ops *k, const tk_attention_tile *t, const tk_heads *h, const tk_rows_view *v, int64_t tile_row,
                          int64_t row, int64_t count, int64_t kv_head, int64_t part, int64_t keys, int64_t step);
void tk_attention_store(const tk_attention_ops *k, const tk_attention_tile *t, const tk_heads *h, const tk_rows_view *v, int64_t tile_row,
                        int64_t row, int64_t count, int64_t kv_head, int64_t part);

// tk_attention_spans: tiles that positions from .. to of a sequence are divided into, and the positions of number i, counted from the
// last one: causal tiles that see the most keys come first.
static inline int64_t tk_attention_spans(const tk_heads *h, int64_t from, int64_t to)
{
    return from < to ? tk_ceil_div(to, h->span) - from / h->span : 0;
}

static inline void tk_attention_span(const tk_heads *h, int64_t from, int64_t to, int64_t i, int64_t *begin, int64_t *end)
{
    int64_t n = tk_ceil_div(to, h->span) - 1 - i;
    *begin = n * h->span > from ? n * h->span : from;
    *end = (n + 1) * h->span < to ? (n + 1) * h->span : to;
}

// Checks: offsets that do not decrease, prefixes (or NULL) that are earlier segments without one, with the keys that they make
// counted in whole chunks, and a workspace that is large enough.
int32_t tk_attention_check_cu(const char *op, const char *name, const int32_t *cu, int64_t n, tk_error *err);
int32_t tk_attention_check_prefix(const char *op, const int32_t *cu, const int32_t *prefix, int64_t segments, int64_t *keys, tk_error *err);
int32_t tk_attention_check_space(const char *op, uint64_t workspace, uint64_t bytes, uint64_t needed, tk_error *err);

// TK_REQUIRE_ADDRESS refuses a null or misaligned address.
#define TK_REQUIRE_ADDRESS(op, name, addr, align)                                                                                     \
    TK_REQUIRE((addr) && (addr) % (uint64_t)(align) == 0, op ": %s is at %#llx, must be a multiple of %d and not null", name,         \
               (unsigned long long)(addr), (int)(align))

// TK_REQUIRE_STRIDE refuses a row stride that is shorter than a row, or absurd.
#define TK_REQUIRE_STRIDE(op, name, ld, least)                                                                                        \
    TK_REQUIRE((ld) >= (least) && (ld) <= TK_MAX_STRIDE, op ": %s is %lld, must be from %lld to %lld", name, (long long)(ld),         \
               (long long)(least), (long long)TK_MAX_STRIDE)

// TK_REQUIRE_PAGES checks where the pages of kv_write and attention_paged lie.
#define TK_REQUIRE_PAGES(op, a, h)                                                                                                    \
    do {                                                                                                                              \
        TK_REQUIRE_ADDRESS(op, "pages", (a)->pages, 4);                                                                               \
        TK_REQUIRE((a)->num_pages > 0 && (a)->num_pages <= INT32_MAX, op ": num_pages is %lld, must be from 1 to %d",                 \
                   (long long)(a)->num_pages, INT32_MAX);                                                                             \
        TK_REQUIRE((a)->page_stride >= (h).kv_heads * (h).kv_bytes && (a)->page_stride % 4 == 0                                       \
                       && (a)->page_stride <= INT64_MAX / (a)->num_pages,                                                             \
                   op ": page_stride is %lld, must be a multiple of 4, at least %lld, and fit the address space",                     \
                   (long long)(a)->page_stride, (long long)((h).kv_heads * (h).kv_bytes));                                            \
    } while (0)

#endif
