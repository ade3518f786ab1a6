// gemm_tile.h - the bf16 product on tiles: 16 x 32 by 32 x 16 an instruction.
//
//     tile_stage(m, k, a, lda, staged)             lays out 16 rows of A [m, k]
//     tile_product(m, panels, k, staged, w, after) C[m, 32 panels] = A W^T, W's panels from w on, into staged's sums
//
// Staged, A's tiles lie side by side: [chunk of K][tile of 16 rows][tile of 32 of K][16][32], zeros where K ends. A tile of rows a few KB apart
// would be as many pages, and share a set of L1: half the speed. The sums lie as tiles, too: [panel][tile of rows][half of the
// panel][16][16]. W is taken as it is packed: 16 steps of half a panel are a tile.
//
// Two row tiles by one panel are four accumulators: enough to hide a product's latency (52 cycles, one every 16). A row tile that is left
// takes two panels. K is done in chunks, whose lanes of one panel stay in L1 while all rows pass over them; A and the sums come from L2 and
// past L1. Meanwhile the next panel's lanes are brought into L2 at an even rate. An element of C is the sum over K's tiles in increasing
// order, so its bits depend on neither m nor the place in a tile.
//
// Floor: 2 m n k FLOP at the tiles' peak (1,024 a cycle), or W's bytes at the read bandwidth, whichever is later. One core with a peak of 2.8
// TFLOP/s (3.4 on the same operands all the time): 2.4 with all operands in L2 (1.8 where A went through L1), 1.6 to 1.9 of 240 rows with W in memory. There L1's 16 requests are
// what limits it: a line that is fetched ahead holds one for as long as memory takes, and A's tiles from L2 need them, too.
#ifndef TK_SIMD_GEMM_TILE_H
#define TK_SIMD_GEMM_TILE_H

#include "../matmul_kernels.h"
#include "tile.h"

enum {
    PRODUCT_CHUNK = 16,                        // tiles of K in a chunk: a panel's lanes of one are 32 KB
    PRODUCT_STEP = 32 * 4,                     // bytes from one step of a panel to the next
    PRODUCT_LANES = TILE_K / 2 * PRODUCT_STEP, // bytes of a panel that belong to a tile of K
};

// A product_split is K's tiles in `chunks` chunks as even as they come: the first `longer` have one more than `each`.
typedef struct product_split {
    long tiles, chunks, each, longer;
} product_split;

TK_INLINE product_split product_split_of(long k)
{
    const long tiles = (k + TILE_K - 1) / TILE_K, chunks = (tiles + PRODUCT_CHUNK - 1) / PRODUCT_CHUNK;
    return (product_split){.tiles = tiles, .chunks = chunks, .each = tiles / chunks, .longer = tiles % chunks};
}

// Tiles of a chunk, and before it.
TK_INLINE long split_tiles(const product_split *s, long chunk) { return s->each + (chunk < s->longer); }
TK_INLINE long split_first(const product_split *s, long chunk) { return chunk * s->each + (chunk < s->longer ? chunk : s->longer); }

// Where the first tile of a row tile's chunk lies, of `all` row tiles, in bytes.
TK_INLINE long staged_at(const product_split *s, long chunk, long row_tile, long all)
{
    return (split_first(s, chunk) * all + row_tile * split_tiles(s, chunk)) * TILE_BYTES;
}

// tile_stage lays out at most 16 rows, so many tiles after their lines were asked for: 16 streams, a line at a time, are more than the processor
// foresees. Rows of the tile that A has not are left as they are: no other row's sums have a part of them.
static void TK_SIMD(tile_stage)(int64_t m, int64_t k, const uint16_t *a, int64_t lda, void *staged, int64_t row_tile, int64_t all)
{
    enum { AHEAD = 8 };
    const product_split split = product_split_of(k);
    for (long t = 0, chunk = 0; chunk < split.chunks; chunk++) {
        char *out = (char *)staged + staged_at(&split, chunk, row_tile, all);
        for (const long end = t + split_tiles(&split, chunk); t < end; t++, a += TILE_K, out += TILE_BYTES) {
            const long left = k - t * TILE_K;
            for (long row = 0; row < m; row++) {
                if (t + AHEAD < split.tiles) __builtin_prefetch(a + row * lda + AHEAD * TILE_K, 0, 3);
                if (left >= TILE_K) memcpy(out + row * TILE_LINE, a + row * lda, TILE_LINE);
                else {
                    memset(out + row * TILE_LINE, 0, TILE_LINE);
                    memcpy(out + row * TILE_LINE, a + row * lda, (size_t)left * 2);
                }
            }
        }
    }
}

// A product_fetch brings lanes into L2, `lines` lines with every tile of K, `left` in all, in streams side by side.
enum { FETCH_STREAMS = 4 };
typedef struct product_fetch {
    const char *p;
    long stream, done, left, lines;  // stream: bytes from one to the next
} product_fetch;

// A product_chunk is what a chunk of K of one panel works on.
typedef struct product_chunk {
    long tiles;           // whole tiles of K
    const char *a;        // the first row tile's first
    long row_tile;        // bytes from one row tile to the next
    const char *w;        // the panel's lanes
    const char *last;     // those of a tile of K that is not whole, with zeros where the panel ends, or NULL
    char *sums;           // of the first row tile
    int more;             // the sums go on from what is there
    product_fetch fetch;  // the lanes that are needed next
} product_chunk;

// Where several passes go over a panel, each brings in a share of the next one. A line that memory is asked for holds one of L1's requests until it
// comes; one that the processor's own prefetcher has asked for meanwhile does not, and by turns it has that long in each stream.
TK_INLINE void product_fetch_some(product_fetch *f)
{
    if (f->left <= 0) return;
    f->left -= f->lines;
    for (const long end = f->done + f->lines; f->done < end; f->done++)
        __builtin_prefetch(f->p + f->done % FETCH_STREAMS * f->stream + f->done / FETCH_STREAMS * 64, 0, 2);
}

// product_fetch_of is for so many tiles of K of a panel, from p on (or none: NULL), in so many steps.
TK_INLINE product_fetch product_fetch_of(const char *p, long tiles, long steps)
{
    const long lines = p && steps ? tiles * (PRODUCT_LANES / 64) : 0;
    return (product_fetch){.p = p, .stream = lines / FETCH_STREAMS * 64, .left = lines, .lines = lines ? (lines + steps - 1) / steps : 0};
}

// One pass brings in what it needs itself: the next step's lanes into L1 and those of the step after it into L2, before the step's own are
// loaded. That comes to 18.5 GB/s where nothing ahead is 14.7, either of them 15 to 17, and the same after the step's loads 13 to 18.
TK_INLINE void product_fetch_near(const char *w)
{
    for (long i = 0; i < PRODUCT_LANES; i += 64) {
        __builtin_prefetch(w + PRODUCT_LANES + i, 0, 3);
        __builtin_prefetch(w + 2 * PRODUCT_LANES + i, 0, 2);
    }
    __asm__ volatile("" ::: "memory");
}

// Where the sums of a block lie: two halves of a panel, and two others or none (NULL).
typedef struct product_sums {
    char *two, *others;
} product_sums;

// product_put puts a block's sums back.
TK_INLINE void product_put(product_sums s)
{
    if (s.two) {
        tile_store(0, s.two, TILE_LINE);
        tile_store(1, s.two + TILE_BYTES, TILE_LINE);
    }
    if (s.others) {
        tile_store(2, s.others, TILE_LINE);
        tile_store(3, s.others + TILE_BYTES, TILE_LINE);
    }
}

// A product_turn is the change from a block to the next: in the next one's first step each accumulator puts its sums back and takes others up, or
// zeros, just before its first product there. Side by side with products that costs nothing; four in a row cost a tenth.
typedef struct product_turn {
    product_sums before, now;
    const char *two, *others;  // what now begins with,
    long line, half;           // bytes from one of its rows, and from one half, to the next
} product_turn;

TK_INLINE product_turn product_turn_of(product_sums before, product_sums now, int more)
{
    static const _Alignas(64) char zeros[TILE_LINE];
    if (!more) return (product_turn){.before = before, .now = now, .two = zeros, .others = zeros};
    return (product_turn){.before = before, .now = now, .two = now.two, .others = now.others, .line = TILE_LINE, .half = TILE_BYTES};
}

#define PRODUCT_TURN(c, t, which, second)                                                            \
    if (t) {                                                                                         \
        if (t->before.which) tile_store(c, t->before.which + (second ? TILE_BYTES : 0), TILE_LINE);  \
        if (!t->line) tile_load(c, t->which, 0);                                                     \
        else if (t->now.which) tile_pass(c, t->which + (second ? t->half : 0), t->line);             \
    }

// A step of two row tiles by one panel, and of one by one or two (v, or NULL); a block's first with its turn, the others without (NULL).
TK_INLINE void product_step_pair(const product_turn *turn, const char *a, long row_tile, const char *w)
{
    tile_pass(4, a, TILE_LINE);
    tile_load(6, w, PRODUCT_STEP);
    tile_load(7, w + 64, PRODUCT_STEP);
    tile_pass(5, a + row_tile, TILE_LINE);
    PRODUCT_TURN(0, turn, two, 0)
    tile_dot(0, 4, 6);
    PRODUCT_TURN(1, turn, two, 1)
    tile_dot(1, 4, 7);
    PRODUCT_TURN(2, turn, others, 0)
    tile_dot(2, 5, 6);
    PRODUCT_TURN(3, turn, others, 1)
    tile_dot(3, 5, 7);
}

TK_INLINE void product_step_single(const product_turn *turn, const char *a, const char *w, const char *v)
{
    tile_pass(4, a, TILE_LINE);
    tile_load(6, w, PRODUCT_STEP);
    tile_load(7, w + 64, PRODUCT_STEP);
    PRODUCT_TURN(0, turn, two, 0)
    tile_dot(0, 4, 6);
    PRODUCT_TURN(1, turn, two, 1)
    tile_dot(1, 4, 7);
    PRODUCT_TURN(2, turn, others, 0)
    PRODUCT_TURN(3, turn, others, 1)
    if (!v) return;
    tile_load(6, v, PRODUCT_STEP);
    tile_load(7, v + 64, PRODUCT_STEP);
    tile_dot(2, 4, 6);
    tile_dot(3, 4, 7);
}
#undef PRODUCT_TURN

// product_pair is two row tiles by one panel. It leaves its sums in the accumulators.
TK_INLINE void product_pair(product_chunk *g, const product_turn *turn, const char *a, const int once)
{
    const char *w = g->w;
    const long row_tile = g->row_tile, tiles = g->tiles;
    product_fetch fetch = g->fetch;
    if (once) product_fetch_near(w);
    product_step_pair(turn, a, row_tile, tiles ? w : g->last);
    if (!once) product_fetch_some(&fetch);
    TK_UNROLL(8)
    for (long t = 1; t < tiles; t++) {
        if (once) product_fetch_near(w + t * PRODUCT_LANES);
        product_step_pair(NULL, a + t * TILE_BYTES, row_tile, w + t * PRODUCT_LANES);
        if (!once) product_fetch_some(&fetch);
    }
    g->fetch = fetch;
    if (g->last && tiles) product_step_pair(NULL, a + tiles * TILE_BYTES, row_tile, g->last);
}

// product_single is one row tile by a panel and, unless NULL, another: `other`'s lanes and last lanes.
TK_INLINE void product_single(product_chunk *g, const product_turn *turn, const char *a, const product_chunk *other, const int once)
{
    const char *w = g->w, *v = other ? other->w : NULL;
    const long tiles = g->tiles;
    product_fetch fetch = g->fetch;
    if (once) product_fetch_near(w);
    product_step_single(turn, a, tiles ? w : g->last, !other ? NULL : tiles ? v : other->last);
    if (!once) product_fetch_some(&fetch);
    TK_UNROLL(8)
    for (long t = 1; t < tiles; t++) {
        if (once) product_fetch_near(w + t * PRODUCT_LANES);
        product_step_single(NULL, a + t * TILE_BYTES, w + t * PRODUCT_LANES, v ? v + t * PRODUCT_LANES : NULL);
        if (!once) product_fetch_some(&fetch);
    }
    g->fetch = fetch;
    if (g->last && tiles) product_step_single(NULL, a + tiles * TILE_BYTES, g->last, other ? other->last : NULL);
}

// after: the lanes that the caller probably needs next, or NULL.
static void TK_SIMD(tile_product)(int64_t m, int64_t panels, int64_t k, const tk_staged *a, const uint32_t *w, const uint32_t *after)
{
    const long left = k % TILE_K, panel = PRODUCT_STEP * ((k + 1) / 2), row_tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
    const product_split split = product_split_of(k);
    const long chunks = split.chunks;
    _Alignas(64) char ends[2][PRODUCT_LANES];
    if (left) memset(ends, 0, sizeof ends);
    tile_begin(row_tiles == 1 ? m : TILE_ROWS);
    product_chunk g, before = {0};
    product_sums kept = {0};  // in the accumulators
    for (long i = 0; i < panels * chunks; i++, before = g) {
        // One pass reads W in the order of memory.
        const long p = row_tiles <= 2 ? i / chunks : i % panels, chunk = row_tiles <= 2 ? i % chunks : i / panels, first = split_first(&split, chunk);
        const int ended = left && chunk == chunks - 1;
        const long tiles = split_tiles(&split, chunk) - ended;
        g = (product_chunk){
            .tiles = tiles,
            .a = (const char *)a->tiles + staged_at(&split, chunk, a->first, a->all),
            .row_tile = (tiles + ended) * TILE_BYTES,
            .w = (const char *)w + p * panel + first * PRODUCT_LANES,
            .sums = (char *)a->sums + p * row_tiles * 2 * TILE_BYTES,
            .more = chunk > 0,
        };
        if (ended) {
            g.last = ends[p % 2];
            memcpy(ends[p % 2], g.w + tiles * PRODUCT_LANES, (size_t)(panel - (first + tiles) * PRODUCT_LANES));
        }
        if (row_tiles <= 2) {  // the chunks of a panel follow each other, and its sums stay in the accumulators
            const product_sums now = {g.sums, row_tiles == 2 ? g.sums + 2 * TILE_BYTES : NULL};
            const product_turn turn = product_turn_of(kept, now, 0);
            if (row_tiles == 1) product_single(&g, chunk ? NULL : &turn, g.a, NULL, 1);
            else product_pair(&g, chunk ? NULL : &turn, g.a, 1);
            kept = now;
            continue;
        }
        // A row tile that is left goes with two panels. What follows: the chunk of the next panel, the next chunk of the first one, what the caller
        // does next.
        const int single = row_tiles % 2 && (p % 2 || p + 1 == panels);
        const long next = p + 1 < panels ? chunk : chunk + 1 < chunks ? chunk + 1 : 0, next_panel = p + 1 < panels ? p + 1 : 0;
        const char *from = p + 1 == panels && chunk + 1 == chunks ? (const char *)after : (const char *)w;
        g.fetch = product_fetch_of(from ? from + next_panel * panel + split_first(&split, next) * PRODUCT_LANES : NULL, split_tiles(&split, next),
                                   (row_tiles / 2 + single) * tiles);
        for (long t = 0; t + 2 <= row_tiles; t += 2) {
            char *sums = g.sums + t * 2 * TILE_BYTES;
            const product_sums now = {sums, sums + 2 * TILE_BYTES};
            const product_turn turn = product_turn_of(kept, now, g.more);
            product_pair(&g, &turn, g.a + t * g.row_tile, 0);
            kept = now;
        }
        if (single) {
            const long t = row_tiles - 1, at = t * 2 * TILE_BYTES;
            const product_sums now = {g.sums + at, p % 2 ? before.sums + at : NULL};
            const product_turn turn = product_turn_of(kept, now, g.more);
            product_single(&g, &turn, g.a + t * g.row_tile, p % 2 ? &before : NULL, 0);
            kept = now;
        }
    }
    product_put(kept);
    tile_end();
}

// tile_row_of is where row i of the first panel's sums begins: its first half's 16, and TILE_BYTES further on the other's.
TK_INLINE const float *tile_row_of(const void *sums, long i)
{
    return (const float *)((const char *)sums + i / TILE_ROWS * 2 * TILE_BYTES + i % TILE_ROWS * TILE_LINE);
}

#endif
