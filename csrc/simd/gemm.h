// gemm.h - the one microkernel: rows of activations times packed lanes.
//
//     gemm_T(m, n, k, a, lda, b, ldb, c, ldc, accumulate)                 C[m, n] (+)= A[m, k] B, T = bf16 or f32
//     gemm_panels_T(m, panels, k, a, lda, w, after, c, ldc, accumulate)   C[m, 32 panels] (+)= A[m, k] W^T, W's panels from w on
//
// A is row-major (f32 or bf16, row stride lda elements), B is [ksteps][ldb] lanes of which the first n (a multiple of 16) are
// used, and C is f32, row stride ldc. Every C element is one accumulator, k steps in increasing order, so its bits depend on
// neither m nor n nor the tile that it falls into; accumulate continues from what C holds, which leaves the bits of one long sum.
// An odd k (bf16) reads one element of A in its last step, never one beyond the row. after: the panels that the caller probably
// needs next, of which some lanes are prefetched (never read), or NULL. Several panels a call are faster than one.
//
// A tile is mr rows by nv vectors of columns: 12 x 2 in the 32 AVX-512 registers, 6 x 2 in 16. Few rows take more columns instead
// (1 x 8, 3 x 4), so that there are accumulators enough to hide the latency of a product. The rows of a tile are
// staged first: copied (or, where the ISA has no bf16 dot product, widened to f32) into an array of fixed stride, some 25 KB, that
// lives in L1 while B streams past. That makes every row's address a constant offset, frees rows whose strides are near a multiple
// of 4 KB from evicting one another, and costs a load and a store for every 16 steps of a row and pass over B's columns.
//
// Memory: lanes are prefetched into L1 shortly before their use. One tile of rows prefetches them into L2 some KB earlier, across the ends
// of panels; several share a chunk of B in L2, and while they pass over it each brings in its part of the chunk that follows, at an even
// rate. One row is left to the processor's own prefetching where that does better (GEMM_FETCHES).
//
// Floor: 2 m n k FLOP at the dot-product (f32: FMA) peak, or the bytes of B at the read bandwidth, whichever is later.
#ifndef TK_SIMD_GEMM_H
#define TK_SIMD_GEMM_H

#include "vec.h"

// GEMM_TILES lists the tiles: X(rows, log2 of the vectors).
#define GEMM_TILES_4(X, mr) X(mr, 0) X(mr, 1) X(mr, 2) X(mr, 3)
#define GEMM_TILES_3(X, mr) X(mr, 0) X(mr, 1) X(mr, 2)
#define GEMM_TILES_2(X, mr) X(mr, 0) X(mr, 1)
#if TK_ISA_LEVEL >= 3
enum { GEMM_MR = 12, GEMM_ROWS_8 = 2, GEMM_ROWS_4 = 6 };  // most rows of a tile; of one of 8 vectors; of one of 4
#define GEMM_TILES(X)                                                                                                     \
    GEMM_TILES_4(X, 1) GEMM_TILES_4(X, 2) GEMM_TILES_3(X, 3) GEMM_TILES_3(X, 4) GEMM_TILES_3(X, 5) GEMM_TILES_3(X, 6)     \
    GEMM_TILES_2(X, 7) GEMM_TILES_2(X, 8) GEMM_TILES_2(X, 9) GEMM_TILES_2(X, 10) GEMM_TILES_2(X, 11) GEMM_TILES_2(X, 12)
#elif TK_ISA_LEVEL == 2
enum { GEMM_MR = 6, GEMM_ROWS_8 = 1, GEMM_ROWS_4 = 3 };
#define GEMM_TILES(X)                                                                                                     \
    GEMM_TILES_4(X, 1) GEMM_TILES_3(X, 2) GEMM_TILES_3(X, 3) GEMM_TILES_2(X, 4) GEMM_TILES_2(X, 5) GEMM_TILES_2(X, 6)
#else
enum { GEMM_MR = 4, GEMM_ROWS_8 = 1, GEMM_ROWS_4 = 2 };
#define GEMM_TILES(X) GEMM_TILES_4(X, 1) GEMM_TILES_3(X, 2) GEMM_TILES_2(X, 3) GEMM_TILES_2(X, 4)
#endif

enum {
    GEMM_STAGE = 6336,  // words of staged rows: 12 rows of 528
    // Steps that B is prefetched ahead into L1: 2 KB (AVX-512: 8) of what a row's tile of most columns reads. Of twice as much AVX2 read a
    // sixth slower.
    GEMM_NEAR = TK_ISA_LEVEL >= 3 ? 16 : 8,
    // Steps ahead into L2 when nothing has brought it there before: 16 KB with AVX2, as memory answers after 100 ns and more while a core
    // could take 30 GB/s. 4 KB ahead, 2 to 6 rows waited for a third to a half of their time.
    GEMM_FAR = TK_ISA_LEVEL >= 3 ? 32 : 128,
    // Rows of which a tile prefetches. One row reads two panels and computes little: an AVX2 machine's own prefetchers were 5 to 8 % faster.
    GEMM_FETCHES = TK_ISA_LEVEL >= 3 ? 1 : 2,
};

// The kinds of product. GEMM_WIDE is GEMM_DOT in two FMAs: rows staged as f32, two words a step, and B's halves widened in register.
enum {
    GEMM_F32,
    GEMM_DOT,
    GEMM_WIDE,
    GEMM_BF16 = TK_ISA_LEVEL >= 4 ? GEMM_DOT : GEMM_WIDE,
};

// gemm_run is what a tile works on: its staged rows, and the lanes of its first column.
typedef struct gemm_run {
    const uint32_t *a;
    long steps;
    const uint32_t *b, *next;  // next: the lanes that the caller needs after these
    const uint32_t *far;       // the lanes to bring into L2 meanwhile:
    long far_step;             // this many further on with every step,
    long turn;                 // until it goes on at next: the step, or 0 for never
    long ldb, group;           // lanes from one step to the next; from one 32 columns to the next
    float *c;
    long ldc;
    int accumulate;
} gemm_run;

// The stride in words of a staged row: what the stage divided by the rows holds, in an odd number of lines.
TK_INLINE long gemm_stride(int mr)
{
    int lines = GEMM_STAGE / mr / 16;
    return 16 * (lines - 1 + lines % 2);
}

// The most steps that a staged row holds.
TK_INLINE long gemm_steps(int kind, int mr) { return gemm_stride(mr) / (kind == GEMM_WIDE ? 2 : 1); }

TK_INLINE float gemm_word(const uint32_t *p)
{
    float f;
    memcpy(&f, p, 4);
    return f;
}

// gemm_tight does one step, a and b being its words and lanes, of a tile whose accumulators leave registers for a word of each row and one
// vector of lanes: column by column, in an order that the compiler may not change, lest it spill accumulators, which halves the speed.
TK_INLINE void gemm_tight(const int kind, const int mr, const int nv, const uint32_t *a, long stride, const uint32_t *b, long group, vf acc[][8])
{
    const int words = kind == GEMM_WIDE ? 2 : 1;
    TK_UNROLL(2) for (int w = 0; w < words; w++) {
        vf av[GEMM_MR];
        TK_UNROLL(12) for (int i = 0; i < mr; i++) av[i] = v_held(v_set1(gemm_word(a + i * stride + w)));
        TK_UNROLL(8) for (int j = 0; j < nv; j++) {
            const vi lanes = v_lanes(b + j * VL / 32 * group + j * VL % 32);
            const vf x = v_held(kind == GEMM_F32 ? v_as_f32(lanes) : w ? v_high_bf16_tight(lanes) : v_low_bf16(lanes));
            TK_UNROLL(12) for (int i = 0; i < mr; i++) acc[i][j] = v_fma_tight(av[i], x, acc[i][j]);
        }
    }
}

TK_INLINE void gemm_tile(const int kind, const int mr, const int nv, const gemm_run *r)
{
    const uint32_t *a = r->a, *b = r->b, *far = r->far;
    const long far_step = r->far_step, stride = gemm_stride(mr), steps = r->steps, ldb = r->ldb, group = r->group;
    const int tight = TK_ISA_LEVEL == 2 && mr == GEMM_ROWS_4 && nv == 4;
    vf acc[GEMM_MR][8];
    TK_UNROLL(12) for (int i = 0; i < mr; i++)
        TK_UNROLL(8) for (int j = 0; j < nv; j++) acc[i][j] = r->accumulate ? v_load(r->c + i * r->ldc + j * VL) : v_zero();

    // The last steps prefetch the start of the next lanes.
    const long turn = steps > GEMM_NEAR ? steps - GEMM_NEAR : 0, ends[3] = {r->turn < turn ? r->turn : turn, turn, steps};
    long s = 0;
    for (int part = 0; part < 3; part++) {
        const long end = ends[part];
        const uint32_t *near = part == 2 ? r->next : b + (s + GEMM_NEAR) * ldb;
        if (part == 1 && r->turn) far = r->next;
        for (; s < end; s++, near += ldb, far += far_step) {
            const uint32_t *bs = b + s * ldb;
            if (mr >= GEMM_FETCHES) {
                TK_UNROLL(8) for (int j = 0; j < nv; j++)
                    if (j * VL % 16 == 0) __builtin_prefetch(near + j * VL / 32 * group + j * VL % 32, 0, 3);
                TK_UNROLL(8) for (int j = 0; j < nv; j++)
                    if (j * VL % 32 == 0 || (j * VL % 16 == 0 && far_step > 16)) __builtin_prefetch(far + j * VL / 32 * group + j * VL % 32, 0, 2);
            }
            if (tight) {
                gemm_tight(kind, mr, nv, a + (kind == GEMM_WIDE ? 2 : 1) * s, stride, bs, group, acc);
                continue;
            }
            vi bv[8];
            TK_UNROLL(8) for (int j = 0; j < nv; j++) bv[j] = v_lanes(bs + j * VL / 32 * group + j * VL % 32);
            if (kind == GEMM_WIDE) {
                vf half[8];
                TK_UNROLL(8) for (int j = 0; j < nv; j++) half[j] = v_low_bf16(bv[j]);
                TK_UNROLL(12) for (int i = 0; i < mr; i++) {
                    vf av = v_set1(gemm_word(a + i * stride + 2 * s));
                    TK_UNROLL(8) for (int j = 0; j < nv; j++) acc[i][j] = v_fma(av, half[j], acc[i][j]);
                }
                TK_UNROLL(8) for (int j = 0; j < nv; j++) half[j] = v_high_bf16(bv[j]);
                TK_UNROLL(12) for (int i = 0; i < mr; i++) {
                    vf av = v_set1(gemm_word(a + i * stride + 2 * s + 1));
                    TK_UNROLL(8) for (int j = 0; j < nv; j++) acc[i][j] = v_fma(av, half[j], acc[i][j]);
                }
            } else if (kind == GEMM_DOT) {
                TK_UNROLL(12) for (int i = 0; i < mr; i++) {
                    vi av = v_lane1(a[i * stride + s]);
                    TK_UNROLL(8) for (int j = 0; j < nv; j++) acc[i][j] = v_dot(acc[i][j], av, bv[j]);
                }
            } else {
                TK_UNROLL(12) for (int i = 0; i < mr; i++) {
                    vf av = v_set1(gemm_word(a + i * stride + s));
                    TK_UNROLL(8) for (int j = 0; j < nv; j++) acc[i][j] = v_fma(av, v_as_f32(bv[j]), acc[i][j]);
                }
            }
        }
    }
    TK_UNROLL(12) for (int i = 0; i < mr; i++)
        TK_UNROLL(8) for (int j = 0; j < nv; j++) v_store(r->c + i * r->ldc + j * VL, acc[i][j]);
}

typedef void (*gemm_tile_fn)(const gemm_run *r);

#define GEMM_DEFINE(mr, lognv)                                                                                                       \
    static __attribute__((noinline)) void gemm_f32_##mr##_##lognv(const gemm_run *r) { gemm_tile(GEMM_F32, mr, 1 << lognv, r); }     \
    static __attribute__((noinline)) void gemm_bf16_##mr##_##lognv(const gemm_run *r) { gemm_tile(GEMM_BF16, mr, 1 << lognv, r); }
GEMM_TILES(GEMM_DEFINE)
#undef GEMM_DEFINE

static const gemm_tile_fn gemm_tiles_f32[GEMM_MR + 1][4] = {
#define GEMM_ENTRY(mr, lognv) [mr][lognv] = gemm_f32_##mr##_##lognv,
    GEMM_TILES(GEMM_ENTRY)
#undef GEMM_ENTRY
};
static const gemm_tile_fn gemm_tiles_bf16[GEMM_MR + 1][4] = {
#define GEMM_ENTRY(mr, lognv) [mr][lognv] = gemm_bf16_##mr##_##lognv,
    GEMM_TILES(GEMM_ENTRY)
#undef GEMM_ENTRY
};

// gemm_stage copies n elements of each of mr rows into the stage; an odd bf16 gets a zero for its other half.
TK_INLINE void gemm_stage(int kind, int mr, long n, const void *a, long lda, uint32_t *stage)
{
    long stride = gemm_stride(mr);
    for (int i = 0; i < mr; i++, stage += stride) {
        if (kind == GEMM_F32) {
            memcpy(stage, (const float *)a + i * lda, (size_t)n * 4);
        } else if (kind == GEMM_DOT) {
            const uint16_t *row = (const uint16_t *)a + i * lda;
            memcpy(stage, row, (size_t)(n / 2) * 4);
            if (n % 2) stage[n / 2] = row[n - 1];
        } else {
            const uint16_t *row = (const uint16_t *)a + i * lda;
            float *wide = (float *)stage;
            long s = 0;
            for (; s + VL <= n; s += VL) v_store(wide + s, v_load_bf16(row + s));
            for (; s < n; s++) wide[s] = bf16_to_f32(row[s]);
            if (n % 2) wide[n] = 0;
        }
    }
}

// gemm_columns does `vectors` vectors of columns of the staged rows. r is set to the first column and is left at the last; after
// is what the caller needs next, far what column 0 brings into L2, laid out as B's.
TK_INLINE void gemm_columns(int kind, int mr, int widest, long vectors, gemm_run *r, const uint32_t *after, const uint32_t *far)
{
    const gemm_tile_fn *tiles = kind == GEMM_F32 ? gemm_tiles_f32[mr] : gemm_tiles_bf16[mr];
    const uint32_t *b = r->b;
    float *c = r->c;
    for (long j = 0; j < vectors;) {
        int log = widest;
        while (j + (1L << log) > vectors) log--;
        const long end = j + (1L << log), here = j * VL / 32 * r->group + j * VL % 32, there = end * VL / 32 * r->group + end * VL % 32;
        r->b = b + here;
        r->c = c + j * VL;
        r->next = end < vectors ? b + there : after;
        r->far = far + here;
        tiles[log](r);
        j = end;
    }
}

// gemm_last is how many of m rows a last tile of four vectors takes, 0 where all tiles share them evenly. AVX2's tiles of 4 rows by 2 vectors
// have no accumulators to spare beyond a product's latency: 8 rows are 6 and 2, a sixteenth faster than 4 and 4, and 9 are 6 and 3. (f32,
// which waits for memory, gains nothing, nor do 15 rows.)
TK_INLINE long gemm_last(int kind, long m, long tiles)
{
    if (TK_ISA_LEVEL != 2 || kind != GEMM_WIDE || tiles == 1) return 0;
    const long most = (tiles - 1) * GEMM_MR;
    return m <= most + 2 ? 2 : m == most + 3 && tiles == 2 ? 3 : 0;
}

// gemm_block does all of C. The rows are shared out evenly among as few tiles as hold them, but for a last one (gemm_last), K among as few
// chunks as the stage takes. group as in gemm_run; after: the lanes that the caller needs when this is done, laid out as B's.
TK_INLINE void gemm_block(int kind, long m, long n, long k, const void *a, long lda, const uint32_t *b, long ldb, long group,
                          const uint32_t *after, float *c, long ldc, int accumulate)
{
    const long depth = kind == GEMM_F32 ? 1 : 2, bytes = kind == GEMM_F32 ? 4 : 2, steps = (k + depth - 1) / depth;
    const long tiles = (m + GEMM_MR - 1) / GEMM_MR;
    if (tiles == 0) return;
    const long last = gemm_last(kind, m, tiles), others = tiles - (last > 0);
    const int most = (int)((m - last + others - 1) / others);
    const long chunks = (steps + gemm_steps(kind, most) - 1) / gemm_steps(kind, most), chunk = chunks ? (steps + chunks - 1) / chunks : 0;
    const long far_step = (ldb + tiles - 1) / tiles;
    _Alignas(64) uint32_t stage[GEMM_STAGE];
    long s = 0;
    do {
        const long count = steps - s < chunk ? steps - s : chunk;
        const long elements = (s + count) * depth <= k ? count * depth : k - s * depth;
        const uint32_t *here = b + s * ldb, *following = s + count < steps ? here + count * ldb : after;
        long row = 0;
        for (long t = 0; t < tiles; t++) {
            const int mr = (int)(t < others ? (m - last - row) / (others - t) : last);
            const int widest = mr > GEMM_ROWS_4 || (tiles > 1 && t < others) ? 1 : mr > GEMM_ROWS_8 ? 2 : 3;
            gemm_stage(kind, mr, elements, (const char *)a + (row * lda + s * depth) * bytes, lda, stage);
            gemm_run r = {
                .a = stage,
                .steps = count,
                .b = here,
                .far_step = far_step,
                .turn = tiles > 1 || count <= GEMM_FAR ? 0 : count - GEMM_FAR,
                .ldb = ldb,
                .group = group,
                .c = c + row * ldc,
                .ldc = ldc,
                .accumulate = accumulate || s > 0,
            };
            gemm_columns(kind, mr, widest, n / VL, &r, t + 1 < tiles ? here : following, tiles > 1 ? following + t * count * far_step : here + GEMM_FAR * ldb);
            row += mr;
        }
        s += count;
    } while (s < steps);
}

#define GEMM_DEFINE(T, type, kind)                                                                                                   \
    static __attribute__((unused, noinline)) void TK_SIMD(gemm_##T)(long m, long n, long k, const type *a, long lda,                \
                                                                    const uint32_t *b, long ldb, float *c, long ldc, int accumulate) \
    {                                                                                                                                \
        gemm_block(kind, m, n, k, a, lda, b, ldb, 32, b + ldb * (kind == GEMM_F32 ? k : (k + 1) / 2), c, ldc, accumulate);           \
    }                                                                                                                                \
    static __attribute__((unused, noinline)) void TK_SIMD(gemm_panels_##T)(long m, long panels, long k, const type *a, long lda,     \
                                                                           const uint32_t *w, const uint32_t *after, float *c,       \
                                                                           long ldc, int accumulate)                                 \
    {                                                                                                                                \
        const long lanes = 32 * (kind == GEMM_F32 ? k : (k + 1) / 2);                                                                \
        gemm_block(kind, m, 32 * panels, k, a, lda, w, 32, lanes, after ? after : w + panels * lanes, c, ldc, accumulate);           \
    }
GEMM_DEFINE(bf16, uint16_t, GEMM_BF16)
GEMM_DEFINE(f32, float, GEMM_F32)
#undef GEMM_DEFINE

#endif
