// attention_chunk.h - a tile of query rows against one chunk of keys, and the state that a row carries from chunk to chunk.
//
// For rows r of a tile and the 64 keys j of a chunk, with K [ksteps(dim)][64] and V [ksteps(64)][dimp] in lanes:
//     s[r][j] = scale * (q[r] . k[j])                    mc[r] = max_j s[r][j] over the keys that r sees
//     p[r][j] = e^(s[r][j] - mc[r]), 0 for the others    lc[r] = sum_j p[r][j]
//     oc[r]   = p[r] V
//     m' = max(m, mc),  l = l e^(m - m') + lc e^(mc - m'),  o = o e^(m - m') + oc e^(mc - m'),  m = m'
//
// Idea: q.k and p.v run on register blocks of ATTN_MR rows by 16 to 48 columns. The 64 scores of a block's rows go through a buffer
// of some KB straight into weights, and the accumulators of p.v are merged into o as they leave the registers, so neither scores nor
// chunk outputs ever make a pass through memory. 64 rows by 32 KB of K and V (dim 128, bf16) stay within the second cache level.
//
// Floor: 4 dim FLOPs a visible pair. Around it, a row and chunk cost 64 exponentials and two passes over dimp floats of o.
//
// Numerics: every s and oc is one accumulator over increasing k steps from +0, as in gemm.h. Keys that no row of the tile sees are
// left out of the steps; their weights are 0, so that changes nothing but the sign of a zero, which store's last addition takes away.
// lc adds vectors of VL keys in increasing order and then the lanes by halves. In bf16 p is rounded for the product, not in lc.
#ifndef TK_SIMD_ATTENTION_CHUNK_H
#define TK_SIMD_ATTENTION_CHUNK_H

#include "expneg.h"
#include "lanes.h"

// Rows of a register block, and vectors of a block's score strip.
#if TK_ISA_LEVEL >= 3
enum { ATTN_MR = 8, ATTN_NV = 2 };
#elif TK_ISA_LEVEL == 2
enum { ATTN_MR = 6, ATTN_NV = 2 };
#else
enum { ATTN_MR = 2, ATTN_NV = 4 };
#endif
enum { ATTN_NV_MAX = TK_ISA_LEVEL >= 3 ? 3 : ATTN_NV, ATTN_CHUNK_VECTORS = TK_CHUNK / VL };

// A bf16 operand on the left is kept as pairs where there is a dot instruction, else widened once.
#if TK_ISA_LEVEL >= 4
typedef uint16_t attn_bf16;
#else
typedef float attn_bf16;
#endif

// fetch_ahead asks for the cache line that lies `ahead` bytes beyond vector j of a row of lanes.
TK_INLINE void fetch_ahead(const uint32_t *b, int j, long ahead)
{
    if (j * VL % 16 == 0) __builtin_prefetch((const char *)(b + j * VL) + ahead, 0, 2);
}

// product: acc[i][j] += sum over steps of a[i] b, for mr rows of a and nv vectors of b.
TK_INLINE void product_f32(int mr, int nv, long steps, const float *a, long lda, const uint32_t *b, long ldb, long ahead, vf acc[ATTN_MR][ATTN_NV_MAX])
{
    for (long s = 0; s < steps; s++, b += ldb) {
        vf x[ATTN_NV_MAX];
        LANES_FOR(j, nv) { x[j] = v_as_f32(v_lanes(b + j * VL)); fetch_ahead(b, j, ahead); }
        LANES_FOR(i, mr) {
            vf y = v_set1(a[i * lda + s]);
            LANES_FOR(j, nv) acc[i][j] = v_fma(y, x[j], acc[i][j]);
        }
    }
}

TK_INLINE void product_bf16(int mr, int nv, long steps, const attn_bf16 *a, long lda, const uint32_t *b, long ldb, long ahead, vf acc[ATTN_MR][ATTN_NV_MAX])
{
    for (long s = 0; s < steps; s++, b += ldb) {
        vi x[ATTN_NV_MAX];
        LANES_FOR(j, nv) { x[j] = v_lanes(b + j * VL); fetch_ahead(b, j, ahead); }
#if TK_ISA_LEVEL >= 4
        LANES_FOR(i, mr) {
            uint32_t pair;
            memcpy(&pair, a + i * lda + 2 * s, 4);
            vi y = v_lane1(pair);
            LANES_FOR(j, nv) acc[i][j] = v_dot(acc[i][j], y, x[j]);
        }
#else
        vf half[ATTN_NV_MAX];  // v_dot's two steps, with b's halves widened once for all rows
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

// weight stores VL weights for the second product.
TK_INLINE void weight_f32(float *p, vf x) { v_store(p, x); }
TK_INLINE void weight_bf16(attn_bf16 *p, vf x)
{
#if TK_ISA_LEVEL >= 4
    v_store_bf16(p, x);
#else
    uint16_t t[VL];
    v_store_bf16(t, x);
    v_store(p, v_load_bf16(t));
#endif
}

// seen_vector is vector j of a row's scores with -inf for the keys from seen on.
TK_INLINE vf seen_vector(const float *s, int j, long seen, int masked)
{
    vf x = v_load(s + j * VL);
    if (!masked) return x;
    uint64_t mask = seen >= TK_CHUNK ? ~(uint64_t)0 : ((uint64_t)1 << seen) - 1;
    return v_keep((uint32_t)(mask >> (j * VL)), x, v_set1(-INFINITY));
}

#define ATTN_BLOCKS(T, A, KSTEPS)                                                                                                        \
    /* a row's scores -> weights, their maximum and sum; only the first `vectors` of its vectors hold keys that the tile sees */         \
    TK_INLINE void softmax_row_##T(const float *s, A *p, float *m, float *l, long seen, int vectors, int masked)                         \
    {                                                                                                                                    \
        vf top = seen_vector(s, 0, seen, masked);                                                                                        \
        _Pragma("GCC unroll 4") for (int j = 1; j < vectors; j++) top = v_max(top, seen_vector(s, j, seen, masked));                     \
        float max = v_hmax(top);                                                                                                         \
        vf vmax = v_set1(max), sum = v_zero();                                                                                           \
        _Pragma("GCC unroll 4") for (int j = 0; j < vectors; j++) {                                                                      \
            vf e = v_expneg(v_sub(vmax, seen_vector(s, j, seen, masked)));                                                               \
            sum = v_add(sum, e);                                                                                                         \
            weight_##T(p + j * VL, e);                                                                                                   \
        }                                                                                                                                \
        *m = max;                                                                                                                        \
        *l = v_hsum(sum);                                                                                                                \
    }                                                                                                                                    \
                                                                                                                                         \
    /* weights of rows r .. r+mr, of which the tile sees `seen` keys at most */                                                          \
    TK_INLINE void score_block_##T(int mr, const tk_attention_tile *t, long r, long key0, long seen, int masked,                         \
                                   const uint32_t *k, long ahead)                                                                        \
    {                                                                                                                                    \
        const A *q = (const A *)t->q + r * t->dimp;                                                                                      \
        vf scale = v_set1(t->scale);                                                                                                     \
        for (long j = 0; j < seen; j += ATTN_NV * VL) {                                                                                  \
            vf acc[ATTN_MR][ATTN_NV_MAX];                                                                                                \
            LANES_FOR(i, mr) LANES_FOR(v, ATTN_NV) acc[i][v] = v_zero();                                                                 \
            product_##T(mr, ATTN_NV, KSTEPS(t->dim), q, t->dimp, k + j, TK_CHUNK, ahead, acc);                                           \
            LANES_FOR(i, mr) LANES_FOR(v, ATTN_NV) v_store(t->s + i * TK_CHUNK + j + v * VL, v_mul(scale, acc[i][v]));                   \
        }                                                                                                                                \
        A *p = (A *)t->p + r * TK_CHUNK;                                                                                                 \
        for (int i = 0; i < mr; i++) {                                                                                                   \
            const float *s = t->s + i * TK_CHUNK;                                                                                        \
            if (!masked) softmax_row_##T(s, p + i * TK_CHUNK, t->mc + r + i, t->lc + r + i, TK_CHUNK, ATTN_CHUNK_VECTORS, 0);            \
            else softmax_row_##T(s, p + i * TK_CHUNK, t->mc + r + i, t->lc + r + i, t->keys[r + i] - key0, (int)((seen + VL - 1) / VL), 1);\
        }                                                                                                                                \
    }                                                                                                                                    \
                                                                                                                                         \
    /* nv vectors of o, from column j on, of rows r .. r+mr */                                                                           \
    TK_INLINE void value_block_##T(int mr, int nv, const tk_attention_tile *t, long r, long j, long seen, const uint32_t *v,             \
                                   int first, long ahead)                                                                                \
    {                                                                                                                                    \
        vf acc[ATTN_MR][ATTN_NV_MAX];                                                                                                    \
        LANES_FOR(i, mr) LANES_FOR(n, nv) acc[i][n] = v_zero();                                                                          \
        product_##T(mr, nv, KSTEPS(seen), (const A *)t->p + r * TK_CHUNK, TK_CHUNK, v + j, t->dimp, ahead, acc);                         \
        float *o = t->o + r * t->dimp + j;                                                                                               \
        if (first) {                                                                                                                     \
            LANES_FOR(i, mr) LANES_FOR(n, nv) v_store(o + i * t->dimp + n * VL, acc[i][n]);                                              \
        } else {                                                                                                                         \
            LANES_FOR(i, mr) {                                                                                                           \
                vf keep = v_set1(t->keep[r + i]), take = v_set1(t->take[r + i]);                                                         \
                LANES_FOR(n, nv) merge_vector(o + i * t->dimp + n * VL, keep, take, acc[i][n]);                                          \
            }                                                                                                                            \
        }                                                                                                                                \
    }                                                                                                                                    \
                                                                                                                                         \
    /* all columns of o, of rows r .. r+mr */                                                                                            \
    TK_INLINE void value_rows_##T(int mr, const tk_attention_tile *t, long r, long seen, const uint32_t *v, int first, long ahead)       \
    {                                                                                                                                    \
        long j = 0, n = t->dimp / VL;                                                                                                    \
        for (; n >= 4 || n == ATTN_NV; n -= ATTN_NV, j += ATTN_NV * VL) value_block_##T(mr, ATTN_NV, t, r, j, seen, v, first, ahead);    \
        if (ATTN_NV == 2 && n == 3) value_block_##T(mr, ATTN_NV_MAX, t, r, j, seen, v, first, ahead);                                    \
        if (ATTN_NV == 2 && n == 1) value_block_##T(mr, 1, t, r, j, seen, v, first, ahead);                                              \
    }                                                                                                                                    \
                                                                                                                                         \
    static void TK_SIMD(attention_chunk_##T)(const tk_attention_tile *t, int64_t row, int64_t rows, int64_t key0, const void *kv,        \
                                             int first, const void *next)                                                                \
    {                                                                                                                                    \
        const uint32_t *k = kv, *v = k + KSTEPS(t->dim) * TK_CHUNK;                                                                      \
        long ahead = (const char *)next - (const char *)kv;                                                                              \
        long least = TK_CHUNK, most = 0, end = row + rows;                                                                               \
        for (long r = row; r < end; r++) {                                                                                               \
            long seen = t->keys[r] - key0;                                                                                               \
            least = seen < least ? seen : least;                                                                                         \
            most = seen > most ? seen : most;                                                                                            \
        }                                                                                                                                \
        if (most > TK_CHUNK) most = TK_CHUNK;                                                                                            \
        if (least == TK_CHUNK) ATTN_EACH_BLOCK(score_block_##T, t, r, key0, TK_CHUNK, 0, k, r == row ? ahead : 0)                        \
        else ATTN_EACH_BLOCK(score_block_##T, t, r, key0, most, 1, k, r == row ? ahead : 0)                                              \
        if (!first) merge_weights(t, row, rows);                                                                                         \
        else {                                                                                                                           \
            memcpy(t->m + row, t->mc + row, (size_t)rows * sizeof(float));                                                               \
            memcpy(t->l + row, t->lc + row, (size_t)rows * sizeof(float));                                                               \
        }                                                                                                                                \
        ATTN_EACH_BLOCK(value_rows_##T, t, r, most, v, first, r == row ? ahead : 0)                                                      \
    }

// ATTN_EACH_BLOCK calls block(mr, ...) for rows r = row .. end in register blocks; eight rows make two of four rather than six and two.
#define ATTN_EACH_BLOCK(block, ...)                                                                                                      \
    {                                                                                                                                    \
        long r = row;                                                                                                                    \
        for (; r + ATTN_MR <= end && !(ATTN_MR == 6 && end - r == 8); r += ATTN_MR) block(ATTN_MR, __VA_ARGS__);                         \
        if (ATTN_MR > 4)                                                                                                                 \
            for (; r + 4 <= end; r += 4) block(4, __VA_ARGS__);                                                                          \
        if (ATTN_MR > 2 && r + 2 <= end) { block(2, __VA_ARGS__); r += 2; }                                                              \
        if (r < end) block(1, __VA_ARGS__);                                                                                              \
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
ATTN_BLOCKS(f32, float, ATTN_KSTEPS_F32)
ATTN_BLOCKS(bf16, attn_bf16, ATTN_KSTEPS_BF16)

static void TK_SIMD(attention_merge)(const tk_attention_tile *t, int64_t row, int64_t rows, const float *o)
{
    merge_weights(t, row, rows);
    for (long r = row; r < row + rows; r++) {
        vf keep = v_set1(t->keep[r]), take = v_set1(t->take[r]);
        for (long j = 0; j < t->dimp; j += VL) merge_vector(t->o + r * t->dimp + j, keep, take, v_load(o + (r - row) * t->dimp + j));
    }
}

static void TK_SIMD(attention_query_f32)(const tk_attention_tile *t, int64_t row, const void *q)
{
    memcpy((float *)t->q + row * t->dimp, q, (size_t)t->dim * sizeof(float));
}

static void TK_SIMD(attention_query_bf16)(const tk_attention_tile *t, int64_t row, const void *q)
{
    attn_bf16 *y = (attn_bf16 *)t->q + row * t->dimp;
#if TK_ISA_LEVEL >= 4
    memcpy(y, q, (size_t)t->dim * sizeof *y);
#else
    const uint16_t *x = q;
    for (long j = 0; j < t->dim; j++) y[j] = bf16_to_f32(x[j]);
#endif
}

// The division by l is a multiplication, and + 0 makes every zero a positive one.
#define ATTN_STORE(T, type, STORE, STOREN)                                                                                               \
    static void TK_SIMD(attention_store_##T)(const tk_attention_tile *t, int64_t row, void *out, float *lse)                             \
    {                                                                                                                                    \
        const float *o = t->o + row * t->dimp;                                                                                           \
        vf share = v_set1(1.0f / t->l[row]);                                                                                             \
        type *y = out;                                                                                                                   \
        long j = 0;                                                                                                                      \
        for (; j + VL <= t->dim; j += VL) STORE(y + j, v_fma(v_load(o + j), share, v_zero()));                                           \
        if (j < t->dim) STOREN(y + j, v_fma(v_load(o + j), share, v_zero()), t->dim - j);                                                \
        if (lse) *lse = t->m[row] + logf(t->l[row]);                                                                                     \
    }
ATTN_STORE(f32, float, v_store, v_storen)
ATTN_STORE(bf16, uint16_t, v_store_bf16, v_storen_bf16)

#endif
