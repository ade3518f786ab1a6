// attention_chunk.h - a tile of query rows against one chunk of keys, and the state that a row carries from chunk to chunk.
//
// For rows r of a tile and the 64 keys j of a chunk, with K [ksteps(dim)][64] and V [ksteps(64)][dimp] in lanes:
//     s[r][j] = scale * (q[r] . k[j])                    mc[r] = max_j s[r][j] over the keys that r sees
//     p[r][j] = e^(s[r][j] - mc[r]), 0 for the others    lc[r] = sum_j p[r][j]
//     oc[r]   = p[r] V
//     m' = max(m, mc),  l = l e^(m - m') + lc e^(mc - m'),  o = o e^(m - m') + oc e^(mc - m'),  m = m'
//
// Idea: q.k and p.v run on register blocks. The 64 scores of a block's rows go through a buffer of 2 KB straight into weights, and the
// accumulators of p.v are merged into o as they leave the registers, so neither scores nor chunk outputs ever make a pass through
// memory. 64 rows by 32 KB of K and V (dim 128, bf16) stay within the second cache level. The next chunk is fetched at the pace at
// which this one is read: with the 8 rows of a decoded token memory and multipliers are both busy.
//
// Floor: 4 dim FLOPs a visible pair. Around it, a row and chunk cost 64 exponentials and two passes over dimp floats of o.
//
// Numerics: every s and oc is one accumulator over increasing k steps from +0, as in gemm.h. Keys that no row of the tile sees are
// left out of the steps; their weights are 0, so that changes nothing but the sign of a zero, which store's last addition takes away.
// lc adds vectors of VL keys in increasing order and then the lanes by halves. In bf16 p is rounded for the product, not in lc. With tile
// instructions bf16 is attention_walk_tile.h's.
#ifndef TK_SIMD_ATTENTION_CHUNK_H
#define TK_SIMD_ATTENTION_CHUNK_H

#include "expneg.h"
#include "fetch.h"
#include "lanes.h"
#include "past.h"

// A register block has up to ATTN_MR rows by 2 vectors, or few rows by 4 (AVX-512 also 3): accumulators enough to hide a product's
// latency, and few enough for the registers.
#if TK_ISA_LEVEL >= 3
enum { ATTN_MR = 8, ATTN_FEW = 4 };
#elif TK_ISA_LEVEL == 2
enum { ATTN_MR = 6, ATTN_FEW = 2 };
#else
enum { ATTN_MR = 2, ATTN_FEW = 2 };
#endif
// Where a bf16 product is two FMAs, blocks are of ATTN_TALL rows if a tile has them: widening b takes the FMAs' ports.
enum { ATTN_TALL = 12, ATTN_NV = 4, ATTN_STEPS = 16, ATTN_CHUNK_VECTORS = TK_CHUNK / VL };

TK_INLINE int strip_vectors(int mr) { return mr <= ATTN_FEW ? 4 : 2; }

// A bf16 operand on the left is kept as pairs where there is a dot instruction or tiles, else widened once.
#if TK_ISA_LEVEL >= 4 || TK_TILES
typedef uint16_t attn_bf16;
#else
typedef float attn_bf16;
#endif

// fetch_ahead asks for the cache line that lies `ahead` bytes beyond vector j of a row of lanes.
TK_INLINE void fetch_ahead(const uint32_t *b, int j, long ahead)
{
    if (j * VL % 16 == 0) __builtin_prefetch((const char *)(b + j * VL) + ahead, 0, 2);
}

// product: acc[i][j] += sum over steps of a[i] b, for mr rows of a and nv vectors of b. In the meantime it fetches some of f, and the
// lanes that lie `ahead` bytes beyond b.
TK_INLINE void product_f32(int mr, int nv, long steps, const float *a, long lda, const uint32_t *b, long ldb, long ahead, tk_fetches *f,
                           vf acc[ATTN_TALL][ATTN_NV])
{
    for (long s = 0; s < steps;) {
        fetch_some(f, ATTN_STEPS * mr * nv * VL);
        long stop = steps - s < ATTN_STEPS ? steps : s + ATTN_STEPS;
        for (; s < stop; s++, b += ldb) {
            vf x[ATTN_NV];
            LANES_FOR(j, nv) { x[j] = v_as_f32(v_lanes(b + j * VL)); fetch_ahead(b, j, ahead); }
            LANES_FOR(i, mr) {
                vf y = v_set1(a[i * lda + s]);
                LANES_FOR(j, nv) acc[i][j] = v_fma(y, x[j], acc[i][j]);
            }
        }
    }
}

#if !TK_TILES
TK_INLINE void product_bf16(int mr, int nv, long steps, const attn_bf16 *a, long lda, const uint32_t *b, long ldb, long ahead, tk_fetches *f,
                            vf acc[ATTN_TALL][ATTN_NV])
{
    for (long s = 0; s < steps;) {
        fetch_some(f, ATTN_STEPS * mr * nv * VL);
        long stop = steps - s < ATTN_STEPS ? steps : s + ATTN_STEPS;
        for (; s < stop; s++, b += ldb) {
            vi x[ATTN_NV];
            LANES_FOR(j, nv) { x[j] = v_lanes(b + j * VL); fetch_ahead(b, j, ahead); }
#if TK_ISA_LEVEL >= 4
            LANES_FOR(i, mr) {
                uint32_t pair;
                memcpy(&pair, a + i * lda + 2 * s, 4);
                vi y = v_lane1(pair);
                LANES_FOR(j, nv) acc[i][j] = v_dot(acc[i][j], y, x[j]);
            }
#else
            vf half[ATTN_NV];  // v_dot's two steps, with b's halves widened once for all rows
            LANES_FOR(j, nv) half[j] = v_low_bf16(x[j]);
            LANES_FOR(i, mr) {
                vf y = v_set1(a[i * lda + 2 * s]);
                LANES_FOR(j, nv) acc[i][j] = v_fma(y, half[j], acc[i][j]);
            }
            LANES_FOR(j, nv) half[j] = v_high_bf16(x[j]);
            LANES_FOR(i, mr) {
                vf y = v_set1(a[i * lda + 2 * s + 1]);
                LANES_FOR(j, nv) acc[i][j] = v_fma(y, half[j], acc[i][j]);
            }
#endif
        }
    }
}
#endif

// weight stores VL weights for the second product.
TK_INLINE void weight_f32(float *p, vf x) { v_store(p, x); }
#if !TK_TILES
TK_INLINE void weight_bf16(attn_bf16 *p, vf x)
{
#if TK_ISA_LEVEL >= 4
    v_store_bf16(p, x);
#else
    v_store(p, v_as_bf16(x));
#endif
}
#endif

// seen_bits are those of vector j of a row's scores whose keys come before seen; seen_only is x with -inf for the others; seen_vector loads it
// first.
TK_INLINE uint32_t seen_bits(int j, long seen) { return (uint32_t)((seen >= TK_CHUNK ? ~(uint64_t)0 : ((uint64_t)1 << seen) - 1) >> (j * VL)); }
TK_INLINE vf seen_only(vf x, int j, long seen) { return v_keep(seen_bits(j, seen), x, v_set1(-INFINITY)); }
TK_INLINE vf seen_vector(const float *s, int j, long seen, int masked)
{
    vf x = v_load(s + j * VL);
    return masked ? seen_only(x, j, seen) : x;
}

// halves_max and halves_sum are v_hmax and v_hsum of n <= 16 vectors, the same halves in the same order: two at a time, so that there are
// a third of the shuffles and one chain instead of n.
#if TK_ISA_LEVEL >= 3
#define ATTN_HALVES(name, op)                                                                                              \
    TK_INLINE void halves_##name(int n, const vf *x, float *y)                                                             \
    {                                                                                                                      \
        vf a[8], b[4], c[2];                                                                                               \
        LANES_FOR(i, (n + 1) / 2)                                                                                          \
        {                                                                                                                  \
            vf p = x[2 * i], q = x[2 * i + 1 < n ? 2 * i + 1 : 2 * i];                                                     \
            a[i] = op(_mm512_shuffle_f32x4(p, q, 0x44), _mm512_shuffle_f32x4(p, q, 0xee));                                 \
        }                                                                                                                  \
        LANES_FOR(i, (n + 3) / 4)                                                                                          \
        {                                                                                                                  \
            vf p = a[2 * i], q = a[4 * i + 2 < n ? 2 * i + 1 : 2 * i];                                                     \
            b[i] = op(_mm512_shuffle_f32x4(p, q, 0x88), _mm512_shuffle_f32x4(p, q, 0xdd));                                 \
        }                                                                                                                  \
        LANES_FOR(i, (n + 7) / 8)                                                                                          \
        {                                                                                                                  \
            vf p = b[2 * i], q = b[8 * i + 4 < n ? 2 * i + 1 : 2 * i];                                                     \
            c[i] = op(_mm512_shuffle_ps(p, q, 0x44), _mm512_shuffle_ps(p, q, 0xee));                                       \
        }                                                                                                                  \
        vf p = c[0], q = c[n > 8 ? 1 : 0], d = op(_mm512_shuffle_ps(p, q, 0x88), _mm512_shuffle_ps(p, q, 0xdd));           \
        const __m512i rows = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);                      \
        v_store_upto(y, _mm512_permutexvar_ps(rows, d), n);                                                                \
    }
ATTN_HALVES(max, v_max)
ATTN_HALVES(sum, v_add)
#undef ATTN_HALVES
#endif

// softmax_rows makes weights of the scores of mr rows, from r on, p being the first row's, and each row's maximum and sum; the tile sees
// `seen` keys at most, in the first `vectors` vectors of a row.
#if TK_ISA_LEVEL >= 3
#define ATTN_SOFTMAX(T, A)                                                                                                                 \
    TK_INLINE void softmax_block_##T(int mr, const tk_attention_tile *t, long r, long key0, A *p, int vectors, int masked)                 \
    {                                                                                                                                      \
        vf x[ATTN_TALL];                                                                                                                \
        _Alignas(64) float sums[ATTN_TALL][VL];                                                                                         \
        LANES_FOR(i, mr) {                                                                                                                 \
            const float *s = t->s + i * TK_CHUNK;                                                                                          \
            long seen = masked ? t->keys[r + i] - key0 : TK_CHUNK;                                                                         \
            x[i] = seen_vector(s, 0, seen, masked);                                                                                        \
            TK_UNROLL(4) for (int j = 1; j < vectors; j++) x[i] = v_max(x[i], seen_vector(s, j, seen, masked));                            \
        }                                                                                                                                  \
        halves_max(mr, x, t->mc + r);                                                                                                      \
        for (int i = 0; i < mr; i++) {                                                                                                     \
            const float *s = t->s + i * TK_CHUNK;                                                                                          \
            long seen = masked ? t->keys[r + i] - key0 : TK_CHUNK;                                                                         \
            vf max = v_set1(t->mc[r + i]), sum = v_zero();                                                                                 \
            TK_UNROLL(4) for (int j = 0; j < vectors; j++) {                                                                               \
                vf e = v_expdown(v_sub(seen_vector(s, j, seen, masked), max));                                                             \
                sum = v_add(sum, e);                                                                                                       \
                weight_##T(p + i * TK_CHUNK + j * VL, e);                                                                                  \
            }                                                                                                                              \
            v_store(sums[i], sum);                                                                                                         \
        }                                                                                                                                  \
        LANES_FOR(i, mr) x[i] = v_load(sums[i]);                                                                                           \
        halves_sum(mr, x, t->lc + r);                                                                                                      \
    }                                                                                                                                      \
                                                                                                                                           \
    TK_INLINE void softmax_rows_##T(int mr, const tk_attention_tile *t, long r, long key0, long seen, int masked, A *p)                    \
    {                                                                                                                                      \
        if (!masked) softmax_block_##T(mr, t, r, key0, p, ATTN_CHUNK_VECTORS, 0);                                                          \
        else softmax_block_##T(mr, t, r, key0, p, (int)((seen + VL - 1) / VL), 1);                                                         \
    }
#else
#define ATTN_SOFTMAX(T, A)                                                                                                                 \
    TK_INLINE void softmax_row_##T(const float *s, A *p, float *m, float *l, long seen, int vectors, int masked)                           \
    {                                                                                                                                      \
        vf top = seen_vector(s, 0, seen, masked);                                                                                          \
        TK_UNROLL(4) for (int j = 1; j < vectors; j++) top = v_max(top, seen_vector(s, j, seen, masked));                                  \
        float max = v_hmax(top);                                                                                                           \
        vf vmax = v_set1(max), sum = v_zero();                                                                                             \
        TK_UNROLL(4) for (int j = 0; j < vectors; j++) {                                                                                   \
            vf e = v_expdown(v_sub(seen_vector(s, j, seen, masked), vmax));                                                                \
            sum = v_add(sum, e);                                                                                                           \
            weight_##T(p + j * VL, e);                                                                                                     \
        }                                                                                                                                  \
        *m = max;                                                                                                                          \
        *l = v_hsum(sum);                                                                                                                  \
    }                                                                                                                                      \
                                                                                                                                           \
    TK_INLINE void softmax_rows_##T(int mr, const tk_attention_tile *t, long r, long key0, long seen, int masked, A *p)                    \
    {                                                                                                                                      \
        for (int i = 0; i < mr; i++) {                                                                                                     \
            const float *s = t->s + i * TK_CHUNK;                                                                                          \
            if (!masked) softmax_row_##T(s, p + i * TK_CHUNK, t->mc + r + i, t->lc + r + i, TK_CHUNK, ATTN_CHUNK_VECTORS, 0);              \
            else softmax_row_##T(s, p + i * TK_CHUNK, t->mc + r + i, t->lc + r + i, t->keys[r + i] - key0, (int)((seen + VL - 1) / VL), 1);\
        }                                                                                                                                  \
    }
#endif

#define ATTN_BLOCKS(T, A, KSTEPS, TALL)                                                                                                    \
    /* weights of rows r .. r+mr, of which the tile sees `seen` keys at most */                                                            \
    TK_INLINE void score_block_##T(int mr, const tk_attention_tile *t, long r, long key0, long seen, int masked,                           \
                                   const uint32_t *k, long ahead)                                                                          \
    {                                                                                                                                      \
        const A *q = (const A *)t->q + r * t->dimp;                                                                                        \
        const int nv = strip_vectors(mr);                                                                                                  \
        vf scale = v_set1(t->scale);                                                                                                       \
        for (long j = 0; j < seen; j += nv * VL) {                                                                                         \
            vf acc[ATTN_TALL][ATTN_NV];                                                                                                 \
            LANES_FOR(i, mr) LANES_FOR(v, nv) acc[i][v] = v_zero();                                                                        \
            product_##T(mr, nv, KSTEPS(t->dim), q, t->dimp, k + j, TK_CHUNK, ahead, t->fetches, acc);                                      \
            LANES_FOR(i, mr) LANES_FOR(v, nv) v_store(t->s + i * TK_CHUNK + j + v * VL, v_mul(scale, acc[i][v]));                          \
        }                                                                                                                                  \
        A *p = (A *)t->p + r * TK_CHUNK;                                                                                                   \
        softmax_rows_##T(mr, t, r, key0, seen, masked, p);                                                                                 \
    }                                                                                                                                      \
                                                                                                                                           \
    /* nv vectors of o, from column j on, of rows r .. r+mr */                                                                             \
    TK_INLINE void value_block_##T(int mr, int nv, const tk_attention_tile *t, long r, long j, long seen, const uint32_t *v,               \
                                   int first, long ahead)                                                                                  \
    {                                                                                                                                      \
        vf acc[ATTN_TALL][ATTN_NV];                                                                                                     \
        LANES_FOR(i, mr) LANES_FOR(n, nv) acc[i][n] = v_zero();                                                                            \
        product_##T(mr, nv, KSTEPS(seen), (const A *)t->p + r * TK_CHUNK, TK_CHUNK, v + j, t->dimp, ahead, t->fetches, acc);               \
        float *o = t->o + r * t->dimp + j;                                                                                                 \
        if (first) {                                                                                                                       \
            LANES_FOR(i, mr) LANES_FOR(n, nv) v_store(o + i * t->dimp + n * VL, acc[i][n]);                                                \
        } else {                                                                                                                           \
            LANES_FOR(i, mr) {                                                                                                             \
                vf keep = v_set1(t->keep[r + i]), take = v_set1(t->take[r + i]);                                                           \
                LANES_FOR(n, nv) merge_vector(o + i * t->dimp + n * VL, keep, take, acc[i][n]);                                            \
            }                                                                                                                              \
        }                                                                                                                                  \
    }                                                                                                                                      \
                                                                                                                                           \
    /* all columns of o, of rows r .. r+mr */                                                                                              \
    TK_INLINE void value_rows_##T(int mr, const tk_attention_tile *t, long r, long seen, const uint32_t *v, int first, long ahead)         \
    {                                                                                                                                      \
        const int wide = strip_vectors(mr);                                                                                                \
        long j = 0, n = t->dimp / VL; /* never leave a lone vector where 3 fit */                                                          \
        for (; n > wide + 1 || n == wide; n -= wide, j += wide * VL) value_block_##T(mr, wide, t, r, j, seen, v, first, ahead);            \
        if (VL == 16 && (n == 3 || n == 5)) {                                                                                              \
            value_block_##T(mr, 3, t, r, j, seen, v, first, ahead);                                                                        \
            n -= 3, j += 3 * VL;                                                                                                           \
        }                                                                                                                                  \
        if (wide == 4 && n == 2) value_block_##T(mr, 2, t, r, j, seen, v, first, ahead);                                                   \
        if (VL == 16 && n == 1) value_block_##T(mr, 1, t, r, j, seen, v, first, ahead);                                                    \
    }                                                                                                                                      \
                                                                                                                                           \
    static void TK_SIMD(attention_chunk_##T)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t key0, const void *kv,          \
                                             int first, const void *next)                                                                  \
    {                                                                                                                                      \
        const uint32_t *k = kv, *v = k + KSTEPS(t->dim) * TK_CHUNK;                                                                        \
        long ahead = (const char *)next - (const char *)kv;                                                                                \
        long least = TK_CHUNK, most = 0, end = row + rows;                                                                                 \
        for (long r = row; r < end; r++) {                                                                                                 \
            long seen = t->keys[r] - key0;                                                                                                 \
            least = seen < least ? seen : least;                                                                                           \
            most = seen > most ? seen : most;                                                                                              \
        }                                                                                                                                  \
        if (most > TK_CHUNK) most = TK_CHUNK;                                                                                              \
        ATTN_EACH_BLOCK(TALL, score_block_##T, t, r, key0, most, least < TK_CHUNK, k, ahead)                                               \
        if (!first) merge_weights(t, row, rows);                                                                                           \
        else {                                                                                                                             \
            memcpy(t->m + row, t->mc + row, (size_t)rows * sizeof(float));                                                                 \
            memcpy(t->l + row, t->lc + row, (size_t)rows * sizeof(float));                                                                 \
        }                                                                                                                                  \
        ATTN_EACH_BLOCK(t->dimp % (2 * VL) ? 0 : TALL, value_rows_##T, t, r, most, v, first, ahead)                                        \
    }

// ATTN_EACH_BLOCK calls block(mr, ...) for rows r = row .. end in register blocks, tall ones first where they leave no few rows.
#define ATTN_EACH_BLOCK(tall, block, ...)                                                                                                  \
    {                                                                                                                                      \
        long r = row;                                                                                                                      \
        if (tall)                                                                                                                          \
            for (; end - r >= ATTN_TALL && end - r != 2 * ATTN_MR; r += ATTN_TALL) block(ATTN_TALL, __VA_ARGS__);                          \
        for (; r + ATTN_MR <= end; r += ATTN_MR) block(ATTN_MR, __VA_ARGS__);                                                              \
        if (ATTN_MR > 4)                                                                                                                   \
            for (; r + 4 <= end; r += 4) block(4, __VA_ARGS__);                                                                            \
        if (ATTN_MR > 2 && r + 2 <= end) { block(2, __VA_ARGS__); r += 2; }                                                                \
        if (r < end) block(1, __VA_ARGS__);                                                                                                \
    }

// merge_vector is the rule's last line for VL columns.
TK_INLINE void merge_vector(float *o, vf keep, vf take, vf oc) { v_store(o, v_fma(v_load(o), keep, v_mul(oc, take))); }

// merge_weights merges m and l, and leaves the two factors for o.
TK_INLINE void merge_weights(const tk_attention_tile *t, long row, long rows)
{
    for (long i = 0; i < rows; i += VL) {
        long r = row + i, n = rows - i < VL ? rows - i : VL;
        vf m = v_load_upto(t->m + r, n), mc = v_load_upto(t->mc + r, n);
        vf l = v_load_upto(t->l + r, n), lc = v_load_upto(t->lc + r, n);
        vf top = v_max(m, mc), keep = v_expneg(v_sub(top, m)), take = v_expneg(v_sub(top, mc));
        v_store_upto(t->keep + r, keep, n);
        v_store_upto(t->take + r, take, n);
        v_store_upto(t->m + r, top, n);
        v_store_upto(t->l + r, v_fma(l, keep, v_mul(lc, take)), n);
    }
}

#define ATTN_KSTEPS_F32(n) (n)
#define ATTN_KSTEPS_BF16(n) (((n) + 1) / 2)
ATTN_SOFTMAX(f32, float)
ATTN_BLOCKS(f32, float, ATTN_KSTEPS_F32, 0)

// Elements from one of the tile's queries to the next: on tiles whole tiles of K.
TK_INLINE long query_stride_f32(const tk_attention_tile *t) { return t->dimp; }
#if TK_TILES
TK_INLINE long query_stride_bf16(const tk_attention_tile *t) { return (t->dim + 31) / 32 * 32; }
#else
TK_INLINE long query_stride_bf16(const tk_attention_tile *t) { return t->dimp; }
ATTN_SOFTMAX(bf16, attn_bf16)
ATTN_BLOCKS(bf16, attn_bf16, ATTN_KSTEPS_BF16, TK_ISA_LEVEL == 3)
#endif

// A run is a chunk.
#define ATTN_WALK(T)                                                                                                                       \
    static void TK_SIMD(attention_walk_##T)(const tk_attention_tile *t, int64_t row, int64_t rows, const tk_chunks *c, int64_t from,       \
                                            int64_t to, int first, const char *after)                                                      \
    {                                                                                                                                      \
        for (int64_t i = from; i < to; i++, first = 0) {                                                                                   \
            const char *here = tk_chunk_at(c, i);                                                                                          \
            TK_SIMD(attention_chunk_##T)(t, row, rows, i * TK_CHUNK, here, first, i + 1 < to ? tk_chunk_at(c, i + 1) : after ? after : here); \
        }                                                                                                                                  \
    }                                                                                                                                      \
                                                                                                                                           \
    static void TK_SIMD(attention_close_##T)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t to)                            \
    {                                                                                                                                      \
        (void)t, (void)row, (void)rows, (void)to;                                                                                          \
    }                                                                                                                                      \
                                                                                                                                           \
    static void TK_SIMD(attention_merge_##T)(const tk_attention_tile *t, int64_t row, int64_t rows, const float *o)                        \
    {                                                                                                                                      \
        merge_state(t, row, rows, o);                                                                                                      \
    }

TK_INLINE void merge_state(const tk_attention_tile *t, int64_t row, int64_t rows, const float *o)
{
    merge_weights(t, row, rows);
    for (long r = row; r < row + rows; r++) {
        vf keep = v_set1(t->keep[r]), take = v_set1(t->take[r]);
        for (long j = 0; j < t->dimp; j += VL) merge_vector(t->o + r * t->dimp + j, keep, take, v_load(o + (r - row) * t->dimp + j));
    }
}

ATTN_WALK(f32)
#if TK_TILES
#define ATTN_UNIT_BF16 LN_2
#include "attention_walk_tile.h"
#else
#define ATTN_UNIT_BF16 1.0f
ATTN_WALK(bf16)
#endif
#define ATTN_UNIT_F32 1.0f

// A row of n lanes in vectors.
TK_INLINE void copy_lanes(float *y, const void *x, long n)
{
    const char *from = x;
    long j = 0;
    for (; j + VL <= n; j += VL) v_store(y + j, v_as_f32(v_lanes(from + 4 * j)));
    if (j < n) v_storen(y + j, v_loadn(from + 4 * j, n - j), n - j);
}

TK_INLINE void query_row_f32(float *y, const void *x, long n) { copy_lanes(y, x, n); }
TK_INLINE void query_row_bf16(attn_bf16 *y, const void *x, long n)
{
#if TK_TILES
    const long whole = n / TILE_K * TILE_K;
    if (whole < n) {  // what is left of n lies at the end of its tile, or begins it if there is no other
        v_store((float *)(y + whole), v_zero());
        copy_lanes((float *)(y + (whole ? whole + TILE_K - (n - whole) : 0)), (const attn_bf16 *)x + whole, (n - whole) / 2);
    }
    copy_lanes((float *)y, x, whole / 2);
#elif TK_ISA_LEVEL >= 4
    copy_lanes((float *)y, x, n / 2);  // n is even
#else
    const uint16_t *h = x;
    long j = 0;
    for (; j + VL <= n; j += VL) v_store(y + j, v_load_bf16(h + j));
    if (j < n) v_storen(y + j, v_loadn_bf16(h + j, n - j), n - j);
#endif
}

// past: beyond the caches, n being a multiple of VL. The division by l is a multiplication, and + 0 makes every zero a positive one.
TK_INLINE void store_row_f32(float *y, const float *o, vf share, long n, int past)
{
    long j = 0;
    if (PAST_RESULTS && past)
        for (; j < n; j += VL) v_store_past(1, (uint32_t *)(y + j), v_lanes_of(v_fma(v_load(o + j), share, v_zero())));
    for (; j + VL <= n; j += VL) v_store(y + j, v_fma(v_load(o + j), share, v_zero()));
    if (j < n) v_storen(y + j, v_fma(v_load(o + j), share, v_zero()), n - j);
}
TK_INLINE void store_row_bf16(uint16_t *y, const float *o, vf share, long n, int past)
{
    (void)past;
    long j = 0;
    for (; j + VL <= n; j += VL) v_store_bf16(y + j, v_fma(v_load(o + j), share, v_zero()));
    if (j < n) v_storen_bf16(y + j, v_fma(v_load(o + j), share, v_zero()), n - j);
}

// UNIT: m's, in natural logarithms.
#define ATTN_ROWS(T, type, A, UNIT)                                                                                                            \
    static void TK_SIMD(attention_query_##T)(const tk_attention_tile *t, int64_t row, int64_t positions, int64_t heads, const void *q,     \
                                             int64_t ld)                                                                                   \
    {                                                                                                                                      \
        const type *x = q;                                                                                                                 \
        const long next = query_stride_##T(t);                                                                                             \
        A *y = (A *)t->q + row * next;                                                                                                     \
        for (long p = 0; p < positions; p++, x += ld)                                                                                      \
            for (long h = 0; h < heads; h++, y += next) query_row_##T(y, x + h * t->dim, t->dim);                                       \
    }                                                                                                                                      \
                                                                                                                                           \
    static void TK_SIMD(attention_store_##T)(const tk_attention_tile *t, int64_t row, int64_t positions, int64_t heads, void *out,         \
                                             int64_t ld, float *lse, int64_t ldl)                                                          \
    {                                                                                                                                      \
        type *y = out;                                                                                                                     \
        for (long p = 0; p < positions; p++, y += ld)                                                                                      \
            for (long h = 0; h < heads; h++, row++) {                                                                                      \
                store_row_##T(y + h * t->dim, t->o + row * t->dimp, v_set1(1.0f / t->l[row]), t->dim, t->past);                            \
                if (lse) lse[p * ldl + h] = t->m[row] * UNIT + logf(t->l[row]);                                                                   \
            }                                                                                                                              \
    }
ATTN_ROWS(f32, float, float, ATTN_UNIT_F32)
ATTN_ROWS(bf16, uint16_t, attn_bf16, ATTN_UNIT_BF16)

#endif
