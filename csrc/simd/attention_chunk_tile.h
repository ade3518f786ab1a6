// attention_chunk_tile.h - attention_chunk.h's bf16 product on tiles: the same rule for rows of a tile, 16 at a time.
//
//     s [16, 64] = q [16, dim] K        K's [ksteps(dim)][64] lanes are B as they are packed: 16 steps by 16 keys a tile register
//     o [16, dimp] += p [16, 64] V      V's [32][dimp] lanes as well: 16 steps by 16 columns
//
// A is q as the tile holds it, bf16 with rows of whole tiles of K, zeros beyond dim, and the weights, rounded to bf16. Four accumulators take 64
// keys or columns, so an A tile is loaded once for four products. Between the two the scores pass through a buffer in L1.
//
// Idea: the exponentials take as long as the products, and other ports: a row tile's scores are asked for before the weights of the one before are
// made, so that both go on at once. Row tiles have as equal heights as there are. The next chunk is fetched in order, so many lines with every
// product.
//
// Floor: 4 dim FLOP a visible pair at the tiles' peak, and some 17 vector operations for 16 pairs; or K's and V's bytes, whichever is later.
//
// Numerics: a score is the sum over tiles of 32 elements in increasing order, a value over one or two tiles of 32 keys: nothing of that depends
// on the row's place. Steps beyond dim, and of keys that no row of the tile sees, are not read: they are zeros in a copy.
#ifndef TK_SIMD_ATTENTION_CHUNK_TILE_H
#define TK_SIMD_ATTENTION_CHUNK_TILE_H

#include "tile.h"

enum {
    ATTN_TILE_STEPS = TILE_K / 2,                       // steps of a tile
    ATTN_KEY_STEP = TK_CHUNK * 4,                       // bytes from one step of K to the next
    ATTN_KEY_TILE = ATTN_TILE_STEPS * ATTN_KEY_STEP,    // bytes of K that belong to a tile of dim
    ATTN_TILE_SCORES = TILE_ROWS * TK_CHUNK,            // of a row tile
};

// What the row tiles of a chunk have in common.
typedef struct attn_tiles {
    const tk_attention_tile *t;
    const char *k, *v;
    long key_tiles, value_tiles;        // whole tiles of dim, of keys
    const char *k_last, *v_last;        // lanes of those that are not whole, or NULL
    long height, key0, seen;
    int masked, first;
    const char *ahead, *ahead_end;      // the next chunk, to be brought into L2,
    long lines;                         // so many lines with every product
    _Alignas(64) float s[2][ATTN_TILE_SCORES];  // two row tiles' scores; sums of values
    _Alignas(64) uint16_t p[ATTN_TILE_SCORES];  // weights
} attn_tiles;

// attn_tiles_fetch brings in what goes with n products.
TK_INLINE void attn_tiles_fetch(attn_tiles *g, int n)
{
    fetch_some(g->t->fetches, n * g->height * VL * ATTN_TILE_STEPS);
    if (g->ahead >= g->ahead_end) return;
    for (long i = 0; i < n * g->lines; i++) __builtin_prefetch(g->ahead + 64 * i, 0, 2);
    g->ahead += 64 * n * g->lines;
}

// attn_tiles_step adds the products of one tile of a and n of b, side by side.
TK_INLINE void attn_tiles_step(int n, const void *a, long lda, const char *b, long ldb)
{
    tile_load(4, a, lda);
    tile_load(5, b, ldb);
    tile_dot(0, 4, 5);
    if (n > 1) {
        tile_load(6, b + 64, ldb);
        tile_dot(1, 4, 6);
    }
    if (n > 2) {
        tile_load(7, b + 128, ldb);
        tile_dot(2, 4, 7);
    }
    if (n > 3) {
        tile_load(5, b + 192, ldb);
        tile_dot(3, 4, 5);
    }
}

TK_INLINE void attn_tiles_zero(int n)
{
    tile_zero(0);
    if (n > 1) tile_zero(1);
    if (n > 2) tile_zero(2);
    if (n > 3) tile_zero(3);
}

TK_INLINE void attn_tiles_store(int n, float *y, long stride)
{
    tile_store(0, y, stride);
    if (n > 1) tile_store(1, y + 16, stride);
    if (n > 2) tile_store(2, y + 32, stride);
    if (n > 3) tile_store(3, y + 48, stride);
}

// attn_tiles_scores: products of the row tile from r on with 16 n keys.
TK_INLINE void attn_tiles_scores(int n, attn_tiles *g, long r, float *s)
{
    const long ld = query_stride_bf16(g->t) * 2;
    const char *q = (const char *)g->t->q + r * ld;
    attn_tiles_zero(n);
    for (long i = 0; i < g->key_tiles; i++) {
        attn_tiles_fetch(g, n);
        attn_tiles_step(n, q + i * TILE_LINE, ld, g->k + i * ATTN_KEY_TILE, ATTN_KEY_STEP);
    }
    if (g->k_last) attn_tiles_step(n, q + g->key_tiles * TILE_LINE, ld, g->k_last, ATTN_KEY_STEP);
    attn_tiles_store(n, s, ATTN_KEY_STEP);
}

static void attn_tiles_score(attn_tiles *g, long r, float *s)
{
    switch ((g->seen + 15) / 16) {
    case 1: attn_tiles_scores(1, g, r, s); break;
    case 2: attn_tiles_scores(2, g, r, s); break;
    case 3: attn_tiles_scores(3, g, r, s); break;
    default: attn_tiles_scores(4, g, r, s);
    }
}

// store_weights rounds two vectors to bf16, to either of two equally near. NaNs are clean.
TK_INLINE void store_weights(uint16_t *p, vf a, vf b)
{
    const __m512i half = _mm512_set1_epi32(0x8000), order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const __m512i x = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(a), half), 16);
    const __m512i y = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(b), half), 16);
    _mm512_store_si512((void *)p, _mm512_permutexvar_epi64(order, _mm512_packus_epi32(x, y)));
}

// attn_tiles_weight is e^(scale s - max): 2^r 2^n, r within a half, by a polynomial within 1e-7; 0 where s is -inf. The difference is rounded once.
TK_INLINE vf attn_tiles_weight(vf scale, vf s, vf max)
{
    const vf x = v_mul(_mm512_fmsub_ps(scale, s, max), v_set1(1.44269504088896341f)), r = _mm512_reduce_ps(x, 0);
    vf p = v_fma(v_set1(1.326472721e-3f), r, v_set1(9.671512812e-3f));
    p = v_fma(p, r, v_set1(5.550733745e-2f));
    p = v_fma(p, r, v_set1(2.402224208e-1f));
    p = v_fma(p, r, v_set1(6.931469776e-1f));
    return _mm512_scalef_ps(v_fma(p, r, v_set1(1)), v_sub(x, r));
}

// attn_tiles_weights makes weights of the scores of mr rows, from row r of the tile on, 32 `pairs` of them a row.
TK_INLINE void attn_tiles_weights(int mr, const attn_tiles *g, long r, const float *s, uint16_t *p, const int pairs, const int masked)
{
    const tk_attention_tile *t = g->t;
    const vf scale = v_set1(t->scale);
    vf x[TILE_ROWS];
    _Alignas(64) float sums[TILE_ROWS][VL];
    LANES_FOR(i, mr) {
        const long seen = masked ? t->keys[r + i] - g->key0 : TK_CHUNK;
        vf y[4];
        LANES_FOR(j, 2 * pairs) {
            y[j] = v_mul(scale, v_load(s + i * TK_CHUNK + j * VL));
            if (masked) y[j] = seen_only(y[j], j, seen);
        }
        x[i] = v_max(y[0], y[1]);
        if (pairs > 1) x[i] = v_max(v_max(x[i], y[2]), y[3]);
    }
    halves_max(mr, x, t->mc + r);
    for (int i = 0; i < mr; i++) {
        const long seen = masked ? t->keys[r + i] - g->key0 : TK_CHUNK;
        const vf max = v_set1(t->mc[r + i]);
        vf e[4], sum = v_zero();
        LANES_FOR(j, 2 * pairs) {
            e[j] = attn_tiles_weight(scale, v_load(s + i * TK_CHUNK + j * VL), max);
            if (masked) e[j] = v_keep(seen_bits(j, seen), e[j], v_zero());
            sum = v_add(sum, e[j]);
        }
        store_weights(p + i * TK_CHUNK, e[0], e[1]);
        if (pairs > 1) store_weights(p + i * TK_CHUNK + 2 * VL, e[2], e[3]);
        v_store(sums[i], sum);
    }
    LANES_FOR(i, mr) x[i] = v_load(sums[i]);
    halves_sum(mr, x, t->lc + r);
}

#define ATTN_TILES_WEIGHTS(mr)                                                                             \
    {                                                                                                      \
        if (!g->masked) attn_tiles_weights(mr, g, r + i, s + i * TK_CHUNK, g->p + i * TK_CHUNK, 2, 0);     \
        else if (g->seen > TILE_K) attn_tiles_weights(mr, g, r + i, s + i * TK_CHUNK, g->p + i * TK_CHUNK, 2, 1); \
        else attn_tiles_weights(mr, g, r + i, s + i * TK_CHUNK, g->p + i * TK_CHUNK, 1, 1);                \
        i += mr;                                                                                           \
    }

// attn_tiles_softmax does so for n rows, whose state it merges.
static void attn_tiles_softmax(attn_tiles *g, long r, long n, const float *s)
{
    const tk_attention_tile *t = g->t;
    long i = 0;
    while (i + 8 <= n) ATTN_TILES_WEIGHTS(8)
    if (i + 4 <= n) ATTN_TILES_WEIGHTS(4)
    if (i + 2 <= n) ATTN_TILES_WEIGHTS(2)
    if (i < n) ATTN_TILES_WEIGHTS(1)
    if (!g->first) merge_weights(t, r, n);
    else {
        memcpy(t->m + r, t->mc + r, (size_t)n * sizeof(float));
        memcpy(t->l + r, t->lc + r, (size_t)n * sizeof(float));
    }
}
#undef ATTN_TILES_WEIGHTS

// attn_tiles_values: columns j .. j + 16 nv of o, of n rows from r on.
TK_INLINE void attn_tiles_values(int nv, attn_tiles *g, long r, long n, long j, float *buffer)
{
    const tk_attention_tile *t = g->t;
    const long ld = t->dimp * 4;
    float *o = t->o + r * t->dimp + j;
    attn_tiles_zero(nv);
    for (long i = 0; i < g->value_tiles; i++) {
        attn_tiles_fetch(g, nv);
        attn_tiles_step(nv, g->p + i * TILE_K, TK_CHUNK * 2, g->v + i * ATTN_TILE_STEPS * ld + j * 4, ld);
    }
    if (g->v_last) attn_tiles_step(nv, g->p + g->value_tiles * TILE_K, TK_CHUNK * 2, g->v_last + j * 4, ld);
    if (g->first && n == g->height) {
        attn_tiles_store(nv, o, ld);
        return;
    }
    attn_tiles_store(nv, buffer, ATTN_KEY_STEP);
    if (g->first) {
        for (long i = 0; i < n; i++, o += t->dimp, buffer += TK_CHUNK) LANES_FOR(v, nv) v_store(o + v * VL, v_load(buffer + v * VL));
        return;
    }
    for (long i = 0; i < n; i++, o += t->dimp, buffer += TK_CHUNK) {
        const vf keep = v_set1(t->keep[r + i]), take = v_set1(t->take[r + i]);
        LANES_FOR(v, nv) merge_vector(o + v * VL, keep, take, v_load(buffer + v * VL));
    }
}

// attn_tiles_value: all columns, four tiles at a time or as equal parts as there are.
static void attn_tiles_value(attn_tiles *g, long r, long n, float *buffer)
{
    const long all = g->t->dimp / 16;
    for (long j = 0; j < all;) {
        const long left = all - j, parts = (left + 3) / 4, nv = (left + parts - 1) / parts;
        switch (nv) {
        case 1: attn_tiles_values(1, g, r, n, j * 16, buffer); break;
        case 2: attn_tiles_values(2, g, r, n, j * 16, buffer); break;
        case 3: attn_tiles_values(3, g, r, n, j * 16, buffer); break;
        default: attn_tiles_values(4, g, r, n, j * 16, buffer);
        }
        j += nv;
    }
}

// attn_tiles_last copies the steps that are left to a tile of its own.
TK_INLINE const char *attn_tiles_last(char *y, const char *steps, long n, long bytes)
{
    if (!n) return NULL;
    memcpy(y, steps, (size_t)(n * bytes));
    memset(y + n * bytes, 0, (size_t)((ATTN_TILE_STEPS - n) * bytes));
    return y;
}

static void TK_SIMD(attention_chunk_bf16)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t key0, const void *kv, int first,
                                          const void *next)
{
    _Alignas(64) char k_last[ATTN_KEY_TILE], v_last[ATTN_TILE_STEPS * TK_MAX_DIM * 4];
    const long ksteps = (t->dim + 1) / 2, end = row + rows, row_tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const long k_bytes = ksteps * ATTN_KEY_STEP, bytes = k_bytes + TK_CHUNK / 2 * t->dimp * 4;
    long least = TK_CHUNK, most = 0;
    for (long r = row; r < end; r++) {
        const long seen = t->keys[r] - key0;
        least = seen < least ? seen : least;
        most = seen > most ? seen : most;
    }
    if (most > TK_CHUNK) most = TK_CHUNK;
    const long vsteps = (most + 1) / 2;
    attn_tiles g;
    g.t = t;
    g.k = kv, g.v = g.k + k_bytes;
    g.key_tiles = ksteps / ATTN_TILE_STEPS, g.value_tiles = vsteps / ATTN_TILE_STEPS;
    g.k_last = attn_tiles_last(k_last, g.k + g.key_tiles * ATTN_KEY_TILE, ksteps % ATTN_TILE_STEPS, ATTN_KEY_STEP);
    g.v_last = attn_tiles_last(v_last, g.v + g.value_tiles * ATTN_TILE_STEPS * t->dimp * 4, vsteps % ATTN_TILE_STEPS, t->dimp * 4);
    g.height = (rows + row_tiles - 1) / row_tiles;
    g.key0 = key0, g.seen = most, g.masked = least < TK_CHUNK, g.first = first;
    const long products = row_tiles * ((g.key_tiles * ((most + 15) / 16)) + g.value_tiles * (t->dimp / 16));
    g.ahead = next, g.ahead_end = next == kv ? g.ahead : g.ahead + bytes;
    g.lines = products ? (bytes / 64 + products - 1) / products : 0;

    tile_begin(g.height);
    attn_tiles_score(&g, row, g.s[0]);
    int side = 0;
    for (long r = row; r < end; r += g.height, side ^= 1) {
        const long n = end - r < g.height ? end - r : g.height;
        if (r + n < end) attn_tiles_score(&g, r + n, g.s[side ^ 1]);
        attn_tiles_softmax(&g, r, n, g.s[side]);
        attn_tiles_value(&g, r, n, g.s[side]);
    }
    tile_end();
}

#endif
