// attention_walk_tile.h - a tile of query rows over the chunks of its keys, bf16 on the tile instructions.
//
// Chunks come in runs of eight, counted from the sequence's first key. A row's M is an integer. Within a run, with c = scale log2 e,
//     s [64] = q K                                       M = ceil(max_j c s[j]) over the run's first chunk
//     p[j] = 2^(c s[j] - M), 0 for keys it does not see  l = l + sum_j p[j],  o = o + p V
// and from run to run, with M' = the larger M: l = l 2^(M - M') + l_run 2^(M_run - M'), o likewise, M = M'. That is attention for any M near the
// scores. Where a row's weights of a chunk come to more than 2^40 in a lane, M becomes the chunk's own, and l and o are scaled by a power of two.
//
//     s [16, 64] = q [16, dim] K        K's [ksteps(dim)][64] lanes are B as they are packed: 16 steps by 16 keys a tile register
//     o [16, dimp] += p [16, 64] V      V's [32][dimp] lanes as well: 16 steps by 16 columns
//
// A is q as the tile holds it, in whole tiles of K with zeros where there is no dim, and the weights, rounded to bf16, which take their scores' place.
// o is taken up into accumulators and put back as it lies. Two row tiles (a block) by two tiles of K or V are four accumulators; one row tile has two
// at a time. Row tiles are of equal height, lest one be padded; rows that are left go by themselves.
//
// Idea: with M known beforehand no weight waits for a maximum, and o is not scaled from chunk to chunk: 12 vector operations for 16 pairs, 7 of them
// multiplications and the like. Beside tile instructions those have one port of two (measured: one a cycle, for some 250 instructions after any
// of them), sums and integers both. So all goes on at once: a stage makes the weights of a block, and has the values of the last block and the
// scores of the next one for products; a vector of weights is made between two tiles, so that neither waits in the other's queue. An accumulator
// is put back and taken up just before its next product (gemm_tile.h says why), and K and V, which come from L2, leave L1 to the rest. The next
// chunk is brought into L2 in order, some lines with every product, while the first block is at it.
//
// Floor: 4 dim FLOP a visible pair at the tiles' peak, and 7 vector operations for 16 pairs, one a cycle: at dim 80 320 and 448 cycles for 16 rows and a
// chunk, at dim 128 512 and 448; or K's and V's bytes, whichever is latest. Measured, in cycles at a clock of 3.4 GHz that tiles bring down to 3: 1,040 and
// 1,360. Without weights it is 700 and 1,030, without products 450.
//
// Numerics: a score is the sum over tiles of 32 elements in increasing order, an element of o over tiles of 32 keys of a run: nothing of that
// depends on the row's place, nor on how a walk is divided at the ends of runs. Factors between runs are powers of two. A weight's exponential is
// within 3e-6 before it is rounded, l is of those. V's steps of keys that no row of the tile sees are not read: they are zeros in a copy.
#ifndef TK_SIMD_ATTENTION_WALK_TILE_H
#define TK_SIMD_ATTENTION_WALK_TILE_H

#include "tile.h"

enum {
    ATTN_RUN = 8,
    ATTN_TILE_STEPS = TILE_K / 2,                     // steps of a tile
    ATTN_KEY_STEP = TK_CHUNK * 4,                     // bytes from one step of K to the next
    ATTN_KEY_TILE = ATTN_TILE_STEPS * ATTN_KEY_STEP,  // bytes of K that belong to a tile of dim
    ATTN_BLOCK = 2 * TILE_ROWS,                       // most rows of a block
};
#define ATTN_MOST_WEIGHT 0x1p40f
#define LOG2_E 1.44269504088896341
#define LN_2 0.693147180559945309f

// A chunk as products take it.
typedef struct attn_keys {
    const char *k, *v;
    const char *k_last, *v_last;  // lanes of the last tile of steps,
    long key_tiles, value_tiles;  // so many of them: of dim, and of the keys that are seen
    long key0, seen;
    int masked, first;            // first: of the state
} attn_keys;

// A stage's block: rows r .. r + w->rows, and their scores, a row of which gives its place to the row's weights.
typedef struct attn_stage {
    const attn_keys *keys;  // or NULL
    long r;
    float *s;
} attn_stage;

// What accumulators hold that is to be put back: `n` tiles side by side of each row tile, 0 if nothing.
typedef struct attn_kept {
    int n;
    int set;         // of a lone row tile: accumulators 0 and 1, or 2 and 3
    char *to;
    long row, tile;  // bytes from one row, from one row tile to the next
} attn_kept;

// What goes on in a stage.
typedef struct attn_walk {
    const tk_attention_tile *t;
    float scale;                         // c
    long height, rows;                   // of a row tile, of a block
    attn_stage scores, weights, values;  // of the next block, of this one, of the last one
    float (*lanes)[VL], *sums;           // sums of the weights of this one's rows, of eight in lanes
    uint32_t raised;                     // rows whose M is another one than before,
    float *by;                           // and what their state is to be scaled by
    const char *ahead, *ahead_end;       // the chunk to be brought into L2,
    long lines;                          // so many lines with every product
    int fetching;
    attn_kept kept;
} attn_walk;

// The products of a stage, in the order in which they are done.
typedef struct attn_shape {
    int pair, rows;             // two row tiles in a block; its rows, or 0 if none gets weights
    int key_pairs, key_tiles;   // pairs of tiles of keys, tiles of dim: of the scores, or 0
    int columns, value_tiles;   // tiles of columns, of keys: of the values, or 0
    int done, all;              // products
    int fine;                   // all of this is known to the compiler: weights are made by vectors, beside tiles
} attn_shape;

// store_weights rounds two vectors to bf16.
TK_INLINE void store_weights(uint16_t *p, vf a, vf b) { _mm512_store_si512((void *)p, (__m512i)_mm512_cvtne2ps_pbh(b, a)); }

// attn_weight is 2^(c s - top): 2^r 2^n, r from 0 to 1, by a polynomial within 3e-6; 0 where s is -inf.
TK_INLINE vf attn_weight(vf c, vf s, vf top)
{
    const vf x = _mm512_fmsub_ps(c, s, top), r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vf p = v_fma(v_set1(1.342679467e-2f), r, v_set1(5.224229768e-2f));
    p = v_fma(p, r, v_set1(2.412802875e-1f));
    p = v_fma(p, r, v_set1(6.930448413e-1f));
    return _mm512_scalef_ps(v_fma(p, r, v_set1(1)), x);
}

// attn_row_weights makes the weights of row i of a stage. It returns their sum, in lanes.
TK_INLINE vf attn_row_weights(const attn_walk *w, long i, float top, const int masked, vf e[4])
{
    const float *s = w->weights.s + i * TK_CHUNK;
    const vf c = v_set1(w->scale), m = v_set1(top);
    const long seen = masked ? w->t->keys[w->weights.r + i] - w->weights.keys->key0 : TK_CHUNK;
    LANES_FOR(j, 4) {
        e[j] = attn_weight(c, v_load(s + j * VL), m);
        if (masked) e[j] = v_keep(seen_bits(j, seen), e[j], v_zero());
    }
    return v_add(v_add(e[0], e[1]), v_add(e[2], e[3]));
}

// attn_tops finds M of n <= 8 rows of a stage, from row i on, from their scores.
TK_INLINE void attn_tops(const attn_walk *w, long i, const int n, float *tops)
{
    const vf c = v_set1(w->scale);
    vf x[8];
    LANES_FOR(k, n) {
        const long row = i + k < w->rows ? i + k : i, seen = w->t->keys[w->weights.r + row] - w->weights.keys->key0;
        vf y[4];
        LANES_FOR(j, 4) y[j] = seen_only(v_mul(c, v_load(w->weights.s + row * TK_CHUNK + j * VL)), j, seen);
        x[k] = v_max(v_max(y[0], y[1]), v_max(y[2], y[3]));
    }
    halves_max(n, x, tops);
    v_storen(tops, _mm512_roundscale_ps(v_loadn(tops, n), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC), n);
}

// attn_raise makes the weights of row i with its own maximum for M. It returns their sum, in lanes.
static __attribute__((noinline)) vf attn_raise(attn_walk *w, long i)
{
    float top, *m = w->t->m + w->weights.r + i;
    uint16_t *p = (uint16_t *)(w->weights.s + i * TK_CHUNK);
    attn_tops(w, i, 1, &top);
    w->by[i] = _mm512_cvtss_f32(_mm512_scalef_ps(v_set1(1), v_set1(*m - top)));
    w->raised |= (uint32_t)1 << i;
    *m = top;
    vf e[4], sum = attn_row_weights(w, i, top, 1, e);
    store_weights(p, e[0], e[1]);
    store_weights(p + 2 * VL, e[2], e[3]);
    return sum;
}

// attn_row_done stores the weights of row i, and after eight rows their sums.
TK_INLINE void attn_row_done(attn_walk *w, long i, long rows, const vf e[4], vf sum)
{
    uint16_t *p = (uint16_t *)(w->weights.s + i * TK_CHUNK);
    if (__builtin_expect(_mm512_cmp_ps_mask(sum, v_set1(ATTN_MOST_WEIGHT), _CMP_NLE_UQ), 0)) sum = attn_raise(w, i);
    else {
        store_weights(p, e[0], e[1]);
        store_weights(p + 2 * VL, e[2], e[3]);
    }
    v_store(w->lanes[i % 8], sum);
    if (i % 8 == 7 || i + 1 == rows) {
        vf x[8];
        LANES_FOR(k, 8) x[k] = v_load(w->lanes[k]);
        halves_sum(8, x, w->sums + i / 8 * 8);
    }
}

// attn_row makes the weights of row i.
static __attribute__((noinline)) void attn_row(attn_walk *w, long i)
{
    const float top = w->t->m[w->weights.r + i];
    vf e[4], sum;
    if (w->weights.keys->masked) sum = attn_row_weights(w, i, top, 1, e);
    else sum = attn_row_weights(w, i, top, 0, e);
    attn_row_done(w, i, w->rows, e, sum);
}

// A row whose weights are made by vectors.
typedef struct attn_vectors {
    vf m, e[4];
} attn_vectors;

// attn_vector makes vector j of row i.
TK_INLINE void attn_vector(attn_walk *w, attn_vectors *x, int i, int j)
{
    const float *s = w->weights.s + i * TK_CHUNK;
    if (j == 0) x->m = v_set1(w->t->m[w->weights.r + i]);
    x->e[j] = attn_weight(v_set1(w->scale), v_load(s + j * VL), x->m);
    if (j == 3) attn_row_done(w, i, ATTN_BLOCK, x->e, v_add(v_add(x->e[0], x->e[1]), v_add(x->e[2], x->e[3])));
}

// attn_fetch brings in what goes with a product with n tiles.
static __attribute__((noinline)) void attn_fetch(attn_walk *w, int n)
{
    fetch_some(w->t->fetches, w->rows * n * VL * ATTN_TILE_STEPS);
    if (w->ahead >= w->ahead_end) return;
    for (long i = 0; i < w->lines; i++) __builtin_prefetch(w->ahead + 64 * i, 0, 2);
    w->ahead += 64 * w->lines;
}

// attn_beside is what goes on beside quarter `part` of a product with n tiles: a share of the rows.
TK_INLINE void attn_beside(attn_walk *w, attn_shape *a, attn_vectors *x, int n, int part)
{
    if (a->fine) {
        const int from = (4 * a->done + part) * a->rows / a->all, to = (4 * a->done + part + 1) * a->rows / a->all;
        TK_UNROLL(8) for (int i = from; i < to; i++) attn_vector(w, x, i / 4, i % 4);
    }
    if (part < 3) return;
    a->done++;
    if (w->fetching) attn_fetch(w, n);
    if (a->fine) return;
    const int to = a->done * a->rows / a->all;
    for (int i = (a->done - 1) * a->rows / a->all; i < to; i++) attn_row(w, i);
}

// A product's operands: tiles of a, rows lda bytes apart, and n of b side by side, steps ldb apart; the last tile of b is at b_last. Accumulators begin with
// what is at `from`, in rows from_row apart, or with zeros where from_row is 0.
typedef struct attn_operands {
    const char *a, *b, *b_last;
    long lda, ldb, b_tile, tiles;
    const char *from;
    long from_row;
    char *to;
    long to_row;
} attn_operands;

static const _Alignas(64) char attn_zeros[TILE_LINE];

// An accumulator's turn, at a product's first tile: it is put back, and takes up what is to be added to.
#define ATTN_TURN(c, row_tile, second)                                                                                        \
    {                                                                                                                         \
        if (kept.n > (second)) tile_store(c, kept.to + (row_tile) * kept.tile + (second) * TILE_LINE, kept.row);              \
        if (n > (second)) {                                                                                                   \
            if (x->from_row) tile_load(c, x->from + (row_tile) * w->height * x->from_row + (second) * TILE_LINE, x->from_row); \
            else tile_load(c, attn_zeros, 0L);                                                                                \
        }                                                                                                                     \
    }

// attn_product_pair is a product of two row tiles with n tiles of b.
TK_INLINE attn_kept attn_product_pair(const int n, attn_walk *w, attn_shape *shape, attn_vectors *rows, const attn_operands *x, attn_kept kept)
{
    const char *a = x->a, *b = x->b;
    const long second = w->height * x->lda;
    TK_UNROLL(4) for (int i = 0; i < x->tiles; i++, a += TILE_LINE, b += x->b_tile) {
        if (i + 1 == x->tiles) b = x->b_last;
        tile_load(4, a, x->lda);
        tile_pass(6, b, x->ldb);
        if (i == 0) ATTN_TURN(0, 0, 0)
        tile_dot(0, 4, 6);
        attn_beside(w, shape, rows, n, 0);
        if (n > 1) tile_pass(7, b + 64, x->ldb);
        if (i == 0) ATTN_TURN(1, 0, 1)
        if (n > 1) tile_dot(1, 4, 7);
        attn_beside(w, shape, rows, n, 1);
        tile_load(5, a + second, x->lda);
        if (i == 0) ATTN_TURN(2, 1, 0)
        tile_dot(2, 5, 6);
        attn_beside(w, shape, rows, n, 2);
        if (i == 0) ATTN_TURN(3, 1, 1)
        if (n > 1) tile_dot(3, 5, 7);
        attn_beside(w, shape, rows, n, 3);
    }
    return (attn_kept){.n = n, .to = x->to, .row = x->to_row, .tile = w->height * x->to_row};
}
#undef ATTN_TURN

// attn_put puts all accumulators back.
TK_INLINE attn_kept attn_put(int pair, attn_kept kept)
{
    if (pair || kept.set == 0) {
        if (kept.n > 0) tile_store(0, kept.to, kept.row);
        if (kept.n > 1) tile_store(1, kept.to + TILE_LINE, kept.row);
    }
    if (pair || kept.set == 1) {
        const char *to = pair ? kept.to + kept.tile : kept.to;
        if (kept.n > 0) tile_store(2, to, kept.row);
        if (kept.n > 1) tile_store(3, to + TILE_LINE, kept.row);
    }
    kept.n = 0;
    return kept;
}

// attn_product_lone is a product of one row tile with n tiles of b, in one set of accumulators by turns.
TK_INLINE attn_kept attn_product_lone(const int set, const int n, attn_walk *w, attn_shape *shape, const attn_operands *x, attn_kept kept)
{
    const char *a = x->a, *b = x->b;
    for (int i = 0; i < x->tiles; i++, a += TILE_LINE, b += x->b_tile) {
        if (i + 1 == x->tiles) b = x->b_last;
        tile_load(4, a, x->lda);
        tile_pass(6, b, x->ldb);
        if (n > 1) tile_pass(7, b + 64, x->ldb);
        if (i == 0) {
            attn_put(0, kept);
            const char *from = x->from_row ? x->from : attn_zeros, *second = x->from_row ? from + TILE_LINE : from;
            if (set == 0) {
                tile_load(0, from, x->from_row);
                if (n > 1) tile_load(1, second, x->from_row);
            } else {
                tile_load(2, from, x->from_row);
                if (n > 1) tile_load(3, second, x->from_row);
            }
        }
        if (set == 0) {
            tile_dot(0, 4, 6);
            if (n > 1) tile_dot(1, 4, 7);
        } else {
            tile_dot(2, 4, 6);
            if (n > 1) tile_dot(3, 4, 7);
        }
        attn_beside(w, shape, NULL, n, 3);
    }
    return (attn_kept){.n = n, .set = set, .to = x->to, .row = x->to_row};
}

TK_INLINE attn_kept attn_product(const int n, attn_walk *w, attn_shape *shape, attn_vectors *rows, const attn_operands *x, attn_kept kept)
{
    if (shape->pair) return attn_product_pair(n, w, shape, rows, x, kept);
    if (kept.set) return attn_product_lone(0, n, w, shape, x, kept);
    return attn_product_lone(1, n, w, shape, x, kept);
}

// attn_products does the products of a stage: values by two tiles of columns at a time, then, where the weights were that they took, scores by two tiles
// of 16 keys (of one, its other half is nobody's).
TK_INLINE void attn_products(attn_walk *w, attn_shape shape)
{
    attn_kept kept = w->kept;
    attn_vectors rows;
    if (shape.columns) {
        const attn_keys *keys = w->values.keys;
        const long ld = w->t->dimp * 4;
        char *o = (char *)(w->t->o + w->values.r * w->t->dimp);
        attn_operands x = {
            .a = (const char *)w->values.s, .lda = ATTN_KEY_STEP, .tiles = shape.value_tiles,
            .b = keys->v, .b_last = keys->v_last, .b_tile = ATTN_TILE_STEPS * ld, .ldb = ld,
            .from = o, .from_row = keys->first ? 0 : ld, .to = o, .to_row = ld,
        };
        TK_UNROLL(4) for (int j = 0; j + 1 < shape.columns; j += 2) {
            kept = attn_product(2, w, &shape, &rows, &x, kept);
            x.b += 2 * TILE_LINE, x.b_last += 2 * TILE_LINE, x.from += 2 * TILE_LINE, x.to += 2 * TILE_LINE;
        }
        if (shape.columns % 2) kept = attn_product(1, w, &shape, &rows, &x, kept);
    }
    if (shape.key_pairs) {
        const attn_keys *keys = w->scores.keys;
        const long ld = query_stride_bf16(w->t) * 2;
        attn_operands x = {
            .a = (const char *)w->t->q + w->scores.r * ld, .lda = ld, .tiles = shape.key_tiles,
            .b = keys->k, .b_last = keys->k_last, .b_tile = ATTN_KEY_TILE, .ldb = ATTN_KEY_STEP,
            .to = (char *)w->scores.s, .to_row = ATTN_KEY_STEP,
        };
        TK_UNROLL(2) for (int j = 0; j < shape.key_pairs; j++) {
            kept = attn_product(2, w, &shape, &rows, &x, kept);
            x.b += 2 * TILE_LINE, x.b_last += 2 * TILE_LINE, x.to += 2 * TILE_LINE;
        }
    }
    w->kept = kept;
}

// attn_sums adds a stage's sums to l, and scales the state of rows with another M.
static void attn_sums(attn_walk *w)
{
    const tk_attention_tile *t = w->t;
    const long r = w->weights.r;
    const int first = w->weights.keys->first;
    if (w->raised) w->kept = attn_put(w->rows > w->height, w->kept);  // values of the rows' state
    for (; w->raised && !first; w->raised &= w->raised - 1) {
        const int i = __builtin_ctz(w->raised);
        t->l[r + i] *= w->by[i];
        for (long j = 0; j < t->dimp; j += VL) v_store(t->o + (r + i) * t->dimp + j, v_mul(v_set1(w->by[i]), v_load(t->o + (r + i) * t->dimp + j)));
    }
    for (long i = 0; i < w->rows; i += VL) {
        const long n = w->rows - i < VL ? w->rows - i : VL;
        v_store_upto(t->l + r + i, first ? v_load(w->sums + i) : v_add(v_load_upto(t->l + r + i, n), v_load(w->sums + i)), n);
    }
}

// attn_stage_run does a stage. Those of the vision tower's heads and of the language model's, but for the first and last of a run, are code of their
// own: without loops every branch is foreseen, and the processor is never without products.
static void attn_stage_run(attn_walk *w)
{
    _Alignas(64) float lanes[8][VL], sums[ATTN_BLOCK], by[ATTN_BLOCK];
    const attn_keys *keys = w->weights.keys;
    attn_shape a = {.pair = w->rows > w->height, .rows = keys ? (int)w->rows : 0};
    if (w->scores.keys) a.key_pairs = (int)(w->scores.keys->seen + 31) / 32, a.key_tiles = (int)w->scores.keys->key_tiles;
    if (w->values.keys) a.columns = (int)w->t->dimp / 16, a.value_tiles = (int)w->values.keys->value_tiles;
    a.all = a.key_pairs * a.key_tiles + (a.columns + 1) / 2 * a.value_tiles;
    w->lanes = lanes, w->sums = sums, w->by = by, w->raised = 0;
    w->fetching = w->t->fetches || w->ahead < w->ahead_end;
    if (keys && keys->first) {
        w->kept = attn_put(a.pair, w->kept);  // scores
        for (long i = 0; i < w->rows; i += 8) {
            float tops[8];
            attn_tops(w, i, 8, tops);
            memcpy(w->t->m + w->weights.r + i, tops, (size_t)(w->rows - i < 8 ? w->rows - i : 8) * sizeof *tops);
        }
    }
    const int whole = a.rows == ATTN_BLOCK && a.key_pairs == 2 && a.value_tiles == 2 && !keys->masked;
    if (whole && a.key_tiles == 3 && a.columns == 5)
        attn_products(w, (attn_shape){.pair = 1, .rows = ATTN_BLOCK, .key_pairs = 2, .key_tiles = 3, .columns = 5, .value_tiles = 2, .all = 12, .fine = 1});
    else if (whole && a.key_tiles == 4 && a.columns == 8)
        attn_products(w, (attn_shape){.pair = 1, .rows = ATTN_BLOCK, .key_pairs = 2, .key_tiles = 4, .columns = 8, .value_tiles = 2, .all = 16, .fine = 1});
    else if (a.all) attn_products(w, a);
    else {
        w->kept = attn_put(a.pair, w->kept);
        for (int i = 0; i < a.rows; i++) attn_row(w, i);
    }
    if (keys) attn_sums(w);
}

// attn_last copies the steps that are left to a tile of its own.
TK_INLINE const char *attn_last(char *y, const char *steps, long n, long bytes)
{
    if (!n) return NULL;
    memcpy(y, steps, (size_t)(n * bytes));
    memset(y + n * bytes, 0, (size_t)((ATTN_TILE_STEPS - n) * bytes));
    return y;
}

// A run of chunks for some rows: blocks one after the other, each over all its chunks.
typedef struct attn_span {
    long row, blocks, from, to;
    const tk_chunks *chunks;
    const char *after;
    int first;
    long least, most;  // keys that a row sees
} attn_span;

// attn_enter makes a chunk ready. Where dim is not of whole tiles the last one begins earlier, where q has zeros; a shorter dim, and keys that end within a
// tile, take a copy.
static void attn_enter(attn_walk *w, const attn_span *s, long chunk, int fetch, attn_keys *k, char *k_copy, char *v_copy)
{
    const tk_attention_tile *t = w->t;
    const long ksteps = (t->dim + 1) / 2, v_row = t->dimp * 4, k_bytes = ksteps * ATTN_KEY_STEP, bytes = k_bytes + TK_CHUNK / 2 * v_row;
    const long here = chunk * TK_CHUNK, seen = s->most - here < TK_CHUNK ? s->most - here : TK_CHUNK, vsteps = (seen + 1) / 2;
    const char *kv = tk_chunk_at(s->chunks, chunk);
    *k = (attn_keys){
        .k = kv, .v = kv + k_bytes,
        .key_tiles = (ksteps + ATTN_TILE_STEPS - 1) / ATTN_TILE_STEPS, .value_tiles = (vsteps + ATTN_TILE_STEPS - 1) / ATTN_TILE_STEPS,
        .key0 = here, .seen = seen, .masked = s->least - here < TK_CHUNK, .first = s->first && chunk == s->from,
    };
    k->k_last = ksteps < ATTN_TILE_STEPS ? attn_last(k_copy, kv, ksteps, ATTN_KEY_STEP) : k->k + (ksteps - ATTN_TILE_STEPS) * ATTN_KEY_STEP;
    const char *v_last = k->v + (k->value_tiles - 1) * ATTN_TILE_STEPS * v_row;
    k->v_last = vsteps % ATTN_TILE_STEPS ? attn_last(v_copy, v_last, vsteps % ATTN_TILE_STEPS, v_row) : v_last;
    w->ahead = !fetch ? NULL : chunk + 1 < s->to ? tk_chunk_at(s->chunks, chunk + 1) : s->after;
    w->ahead_end = w->ahead ? w->ahead + bytes : NULL;
    const long products = (seen + 31) / 32 * k->key_tiles + (t->dimp + 31) / 32 * k->value_tiles;
    w->lines = (bytes / 64 + products - 1) / products;
}

static void attn_run(attn_walk *w, const attn_span *span)
{
    _Alignas(64) char k_copy[ATTN_KEY_TILE], v_copy[ATTN_TILE_STEPS * TK_MAX_DIM * 4];  // keys end in the last chunk alone
    _Alignas(64) float s[2][ATTN_BLOCK * TK_CHUNK];
    const long chunks = span->to - span->from, stages = chunks * span->blocks;
    attn_keys keys[3];
    attn_stage next = {0};
    w->weights = next;
    for (long i = -1; i <= stages; i++) {  // the weights of i, the scores of i + 1, the values of i - 1
        w->values = w->weights;
        w->weights = next;
        next.keys = NULL;
        if (i + 1 < stages) {
            const long block = (i + 1) / chunks, chunk = span->from + (i + 1) % chunks;
            attn_keys *k = &keys[(i + 1) % 3];
            attn_enter(w, span, chunk, block == 0, k, k_copy, v_copy);
            next = (attn_stage){.keys = k, .r = span->row + block * w->rows, .s = s[i & 1]};
        }
        w->scores = next;
        attn_stage_run(w);
    }
    w->kept = attn_put(w->rows > w->height, w->kept);
}

// The state of some rows: of the run at hand, or of those that are whole.
typedef struct attn_state {
    float *m, *l, *o;
} attn_state;

TK_INLINE attn_state attn_now(const tk_attention_tile *t, long row) { return (attn_state){t->m + row, t->l + row, t->o + row * t->dimp}; }
TK_INLINE attn_state attn_done(const tk_attention_tile *t, long row) { return (attn_state){t->done_m + row, t->done_l + row, t->done_o + row * t->dimp}; }

static void attn_copy(long rows, long dimp, attn_state from, attn_state to)
{
    memcpy(to.m, from.m, (size_t)rows * sizeof *to.m);
    memcpy(to.l, from.l, (size_t)rows * sizeof *to.l);
    memcpy(to.o, from.o, (size_t)(rows * dimp) * sizeof *to.o);
}

// attn_fold merges the state (m, l, o) into another: of runs that come after those of the latter.
static void attn_fold(long rows, long dimp, const float *m, const float *l, const float *o, attn_state to)
{
    for (long i = 0; i < rows; i++, o += dimp, to.o += dimp) {
        const float top = m[i] > to.m[i] ? m[i] : to.m[i];
        const vf keep = _mm512_scalef_ps(v_set1(1), v_set1(to.m[i] - top)), take = _mm512_scalef_ps(v_set1(1), v_set1(m[i] - top));
        to.m[i] = top;
        to.l[i] = fmaf(to.l[i], _mm512_cvtss_f32(keep), l[i] * _mm512_cvtss_f32(take));
        for (long j = 0; j < dimp; j += VL) v_store(to.o + j, v_fma(v_load(to.o + j), keep, v_mul(v_load(o + j), take)));
    }
}

// attn_walk_rows takes blocks of `tiles` row tiles of one height over chunks from .. to.
static void attn_walk_rows(const tk_attention_tile *t, long row, long rows, long height, long tiles, const tk_chunks *c, long from, long to, int first,
                           const char *after)
{
    attn_walk w = {.t = t, .height = height, .rows = tiles * height, .scale = (float)((double)t->scale * LOG2_E)};
    attn_span span = {.row = row, .blocks = rows / w.rows, .chunks = c, .first = first, .least = t->keys[row], .most = t->keys[row]};
    for (long r = row + 1; r < row + rows; r++) {
        span.least = t->keys[r] < span.least ? t->keys[r] : span.least;
        span.most = t->keys[r] > span.most ? t->keys[r] : span.most;
    }
    tile_begin(height);
    for (span.from = from; span.from < to; span.from = span.to) {
        const long end = (span.from / ATTN_RUN + 1) * ATTN_RUN;
        span.to = end < to ? end : to;
        span.after = span.to < to ? tk_chunk_at(c, span.to) : after;
        if (span.from % ATTN_RUN == 0 && !(first && span.from == from)) {  // the run before is whole
            const attn_state now = attn_now(t, row);
            if (span.from > ATTN_RUN) attn_fold(rows, t->dimp, now.m, now.l, now.o, attn_done(t, row));
            else attn_copy(rows, t->dimp, now, attn_done(t, row));
            span.first = 1;
        }
        attn_run(&w, &span);
        span.first = 0;
    }
    tile_end();
}

// attention_walk: as few row tiles of equal height as there are, in pairs, and rows that are left.
static void TK_SIMD(attention_walk_bf16)(const tk_attention_tile *t, int64_t row, int64_t rows, const tk_chunks *c, int64_t from, int64_t to,
                                         int first, const char *after)
{
    const long least = (rows + TILE_ROWS - 1) / TILE_ROWS;
    long row_tiles = least;
    while (row_tiles < least + 2 && rows % row_tiles) row_tiles++;
    if (rows % row_tiles) row_tiles = least;
    const long height = rows / row_tiles, pairs = row_tiles / 2 * 2 * height, rest = row_tiles % 2 * height, left = rows % row_tiles;
    if (pairs) attn_walk_rows(t, row, pairs, height, 2, c, from, to, first, after);
    if (rest) attn_walk_rows(t, row + pairs, rest, height, 1, c, from, to, first, after);
    if (left) attn_walk_rows(t, row + pairs + rest, left, left, 1, c, from, to, first, after);
}

static void TK_SIMD(attention_close_bf16)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t to)
{
    if (to <= ATTN_RUN) return;
    const attn_state now = attn_now(t, row), done = attn_done(t, row);
    attn_fold(rows, t->dimp, now.m, now.l, now.o, done);
    attn_copy(rows, t->dimp, done, now);
}

static void TK_SIMD(attention_merge_bf16)(const tk_attention_tile *t, int64_t row, int64_t rows, const float *o)
{
    attn_fold(rows, t->dimp, t->mc + row, t->lc + row, o, attn_now(t, row));
}

#endif
