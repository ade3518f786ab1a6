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

    // chunk adds keys key0 .. key0+63, whose K and V tiles lie at kv, to the state of rows row .. row+rows; each of them sees at
    // least one of these keys. first: there is no state yet. next: where the walk goes on, to be fetched ahead, or kv.
    void (*chunk)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t key0, const void *kv, int first, const void *next);

    // merge adds a chunk's state (mc, lc in the tile, o its [rows][dimp]), which chunk(first) made, as chunk itself would have.
    void (*merge)(const tk_attention_tile *t, int64_t row, int64_t rows, const float *o);

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
