// attention_kernels.h - ISA-dependent functions of attention: the walk of a tile of query rows over the chunks of its keys, and the
// packing of keys and values into the chunks' tiles.
#ifndef TK_ATTENTION_KERNELS_H
#define TK_ATTENTION_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"

enum {
    TK_MAX_DIM = 256,    // of a head
    TK_TILE_ROWS = 64,   // most query rows of a tile, the query heads of one KV head counted as rows
    TK_LINE_KEYS = 16,   // keys of a line of a K tile
    TK_SCORE_ROWS = 12,  // rows of the score buffer: at least the rows of every ISA's register block
};

// Rows of memory that will be read or written soon: `lines` cache lines of each of `rows` rows, of which `line` of the first are done.
typedef struct tk_fetch {
    const char *row;
    int64_t stride, rows, lines, line;
} tk_fetch;

// What is to be fetched while tiles compute: the last region first, `burst` lines for every TK_FETCH_WORK lanes multiplied.
enum { TK_FETCH_WORK = 4096 };
typedef struct tk_fetches {
    int count;
    int64_t burst;
    tk_fetch region[8];
} tk_fetches;

// The chunks of one sequence for one KV head: either by a block table, or `lead` consecutive ones and the rest consecutively.
typedef struct tk_chunks {
    const int32_t *table;  // or NULL
    const char *first;     // page 0, or the leading chunks
    int64_t stride;        // from page to page, or from chunk to chunk
    int64_t lead;
    const char *rest;
} tk_chunks;

static inline const char *tk_chunk_at(const tk_chunks *c, int64_t i)
{
    if (c->table) return c->first + c->table[i] * c->stride;
    return i < c->lead ? c->first + i * c->stride : c->rest + (i - c->lead) * c->stride;
}

// A tile: query rows that walk over the keys of one KV head together, and the state (m, l, o) of each.
typedef struct tk_attention_tile {
    int64_t dim, dimp;  // head dimension, and rounded up to 16
    float scale;
    void *q;            // [TK_TILE_ROWS][dimp] rows, in the form that the kernel multiplies (4 bytes an element at most)
    void *p;            // [TK_TILE_ROWS][TK_CHUNK] weights of the chunk, in the same form
    float *s;           // [TK_SCORE_ROWS][TK_CHUNK] scores of the block at hand
    float *o;           // [TK_TILE_ROWS][dimp] state: weighted sum of values
    float *m, *l;       // [TK_TILE_ROWS] state: maximum of the scores, sum of the weights
    float *mc, *lc;     // [TK_TILE_ROWS] the chunk's
    float *keep, *take; // [TK_TILE_ROWS] e^(m - m'), e^(m_c - m')
    float *done_o, *done_m, *done_l; // like o, m and l: the state of the runs that are whole, where an ISA has runs of several chunks
    int32_t *keys;      // [TK_TILE_ROWS] how many keys a row sees, from the first of its sequence
    tk_fetches *fetches; // or NULL
    int past;            // store may bypass the caches: out is not read soon, and its rows are whole lines
} tk_attention_tile;

// Results of so many bytes are not read before they have left the second cache level.
#define TK_PAST_BYTES ((int64_t)4 << 20)

typedef struct tk_attention_ops {
    // query takes over `heads` neighbouring queries of each of `positions` rows of q (row stride ld elements) as the tile's rows from
    // `row` on, heads within positions.
    void (*query)(const tk_attention_tile *t, int64_t row, int64_t positions, int64_t heads, const void *q, int64_t ld);

    // walk adds the keys of chunks from .. to to the state of rows row .. row+rows; each of them sees at least one key of each. first: there is
    // no state yet. after: a chunk that is needed when this is done, to be fetched ahead, or NULL. The last walk of rows is followed by close,
    // with its `to`, which leaves their state in m, l and o.
    void (*walk)(const tk_attention_tile *t, int64_t row, int64_t rows, const tk_chunks *c, int64_t from, int64_t to, int first, const char *after);
    void (*close)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t to);

    // merge adds the state of a run of chunks (mc, lc in the tile, o its [rows][dimp]), which walk(first) made of them alone, as walk and close would
    // have. Runs begin at multiples of `run` chunks, and are that long but for the last.
    void (*merge)(const tk_attention_tile *t, int64_t row, int64_t rows, const float *o);
    int64_t run;

    // kv_heads_ahead: of a short segment the heads to fetch at a time. Two make runs that the processor's own prefetching goes on with.
    int64_t kv_heads_ahead;

    // past: store heeds the tile's past, and wants written called before others read what it wrote.
    int past;

    // store writes o / l of the same rows to out (row stride ld), and m + ln l to lse (row stride ldl) if that is not NULL.
    void (*store)(const tk_attention_tile *t, int64_t row, int64_t positions, int64_t heads, void *out, int64_t ld, float *lse, int64_t ldl);

    // pack writes n keys and values (row strides in elements) as keys offset .. offset+n of the tiles at kv.
    void (*pack)(int64_t dim, int64_t n, int64_t offset, const void *k, int64_t ldk, const void *v, int64_t ldv, void *kv);

    // write is pack past the caches, of TK_LINE_KEYS keys that fill their lines, and their values: offset is a multiple of TK_LINE_KEYS, kv
    // aligned to 64 bytes, dim a multiple of 16 (f32) or 32 (bf16). After some of them, written makes them visible to other threads.
    void (*write)(int64_t dim, int64_t offset, const void *k, int64_t ldk, const void *v, int64_t ldv, void *kv, tk_fetches *fetches);
    void (*written)(void);
} tk_attention_ops;

typedef struct tk_attention_kernels {
    tk_attention_ops f32, bf16;
} tk_attention_kernels;

#endif
