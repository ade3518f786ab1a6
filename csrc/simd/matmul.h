// matmul.h - a block of matmul's output, for one ISA.
//
// y[m, n] = dtype_y(x[m, k] W^T + bias + residual). The f32 sums of the block are accumulated in a scratch array by gemm.h, then
// get their epilogue in one pass while they are in L2 (of few rows: in L1), about m n of the block's m n k steps.
#include "gemm.h"
#if TK_TILES
#include "gemm_tile.h"
#endif
#include "pack.h"
#include "past.h"

// matmul_put finishes the sums v of row i from column j on.
TK_INLINE void matmul_put(const int narrow, const tk_matmul_block *b, long i, long j, vf v)
{
    const long left = b->n - j, y = i * b->ldy + j, r = i * b->ldr + j;
    float *y32 = (float *)b->y + y;
    uint16_t *y16 = (uint16_t *)b->y + y;
    const float *r32 = (const float *)b->residual;
    const uint16_t *r16 = (const uint16_t *)b->residual;
    if (left >= VL) {
        if (b->bias) v = v_add(v, v_load(b->bias + j));
        if (b->residual) v = v_add(v, narrow ? v_load_bf16(r16 + r) : v_load(r32 + r));
        if (narrow) v_store_bf16(y16, v);
        else v_store(y32, v);
    } else {
        if (b->bias) v = v_add(v, v_loadn(b->bias + j, left));
        if (b->residual) v = v_add(v, narrow ? v_loadn_bf16(r16 + r, left) : v_loadn(r32 + r, left));
        if (narrow) v_storen_bf16(y16, v, left);
        else v_storen(y32, v, left);
    }
}

TK_INLINE void matmul_finish(const int narrow, const tk_matmul_block *b, const float *sums, long lds)
{
    for (long i = 0; i < b->m; i++, sums += lds)
        for (long j = 0; j < b->n; j += VL) matmul_put(narrow, b, i, j, v_load(sums + j));
}

#if TK_TILES
_Static_assert(VL == 16 && (int)TK_STAGED_TILE == (int)TILE_ROWS, "a row of a tile of sums is a vector");

// matmul_put_past finishes the sums v and w of row i from the first column of a panel, j, on, past the caches.
TK_INLINE void matmul_put_past(const int narrow, const tk_matmul_block *b, long i, long j, vf v, vf w)
{
    if (b->bias) v = v_add(v, v_load(b->bias + j)), w = v_add(w, v_load(b->bias + j + VL));
    if (narrow) {
        const __m512i pair = _mm512_inserti64x4(_mm512_castsi256_si512(v_narrow_bf16(v)), v_narrow_bf16(w), 1);
        v_store_past(1, (uint32_t *)((uint16_t *)b->y + i * b->ldy + j), pair);
        return;
    }
    v_store_past(1, (uint32_t *)b->y + i * b->ldy + j, v_lanes_of(v));
    v_store_past(1, (uint32_t *)b->y + i * b->ldy + j + VL, v_lanes_of(w));
}

TK_INLINE void matmul_finish_tiles(const int narrow, const tk_matmul_block *b)
{
    const long panel = (b->m + TILE_ROWS - 1) / TILE_ROWS * 2 * TILE_BYTES / 4;  // floats of a panel's sums
    for (long i = 0; i < b->m; i++) {
        const float *sums = tile_row_of(b->staged->sums, i), *other = sums + TILE_BYTES / 4;
        for (long j = 0; j < b->n; j += TK_PANEL, sums += panel, other += panel) {
            if (b->past) {
                matmul_put_past(narrow, b, i, j, v_load(sums), v_load(other));
                continue;
            }
            matmul_put(narrow, b, i, j, v_load(sums));
            if (j + VL < b->n) matmul_put(narrow, b, i, j + VL, v_load(other));
        }
    }
    if (b->past) v_past_fence();
}
#endif

static void TK_SIMD(matmul_block)(const tk_matmul_block *b)
{
#if TK_TILES
    if (b->staged) {
        TK_SIMD(tile_product)(b->m, (b->n + TK_PANEL - 1) / TK_PANEL, b->k, b->staged, b->w, b->after);
        if (b->dtype_y == TK_BF16) matmul_finish_tiles(1, b);
        else matmul_finish_tiles(0, b);
        return;
    }
#endif
    enum { LDS = TK_MATMUL_PANELS * TK_PANEL };
    _Alignas(64) float sums[TK_MATMUL_ROWS * LDS];
    const long panels = (b->n + TK_PANEL - 1) / TK_PANEL;
    if (b->dtype == TK_BF16) TK_SIMD(gemm_panels_bf16)(b->m, panels, b->k, b->x, b->ldx, b->w, b->after, sums, LDS, 0);
    else TK_SIMD(gemm_panels_f32)(b->m, panels, b->k, b->x, b->ldx, b->w, b->after, sums, LDS, 0);
    if (b->dtype_y == TK_BF16) matmul_finish(1, b, sums, LDS);
    else matmul_finish(0, b, sums, LDS);
}

static void TK_SIMD(matmul_narrow)(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) v_store_bf16(y + i, v_load(x + i));
    if (i < n) v_storen_bf16(y + i, v_loadn(x + i, n - i), n - i);
}

static const tk_matmul_kernels TK_SIMD(matmul_kernels) = {
    .block = TK_SIMD(matmul_block),
    .pack = TK_SIMD(pack_panel),
    .unpack = TK_SIMD(unpack_panel),
#if TK_TILES
    .stage = TK_SIMD(tile_stage),
#endif
    .narrow = TK_SIMD(matmul_narrow),
};
