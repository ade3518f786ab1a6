// pack.h - one panel of a packed weight from row-major rows, and back, for one ISA.
//
// In lanes, packing is the transpose of a [32, ksteps] matrix of 32-bit words, in both dtypes. PACK_STEPS steps at a time, rows are
// converted into a stage in L1 and squares of VL x VL lanes are transposed on their way from it: every row is read, and every
// line of a step written, in one piece. No hardware foresees 32 rows by turns, so their lines of the next stage are fetched between
// the squares. unpack goes the other way. Floor: the bytes of both sides at the copy bandwidth.
#ifndef TK_SIMD_PACK_H
#define TK_SIMD_PACK_H

#include "past.h"
#include "transpose.h"

enum {
    PACK_STEPS = 128,
    PACK_LINE = 16,  // lanes of a line, which is written by PACK_SQUARES stores side by side: halves of lines are written slowly
    PACK_SQUARES = PACK_LINE / VL,
    PACK_STRIDE = PACK_STEPS + PACK_LINE,  // lanes of a staged row: the stride keeps rows out of one another's sets
};

// pack_row converts n elements of a row to lanes. An odd bf16 gets a zero for its other half.
TK_INLINE void pack_row(uint32_t dtype, uint32_t dtype_row, const void *row, int64_t n, uint32_t *lanes)
{
    int64_t i = 0;
    if (dtype == dtype_row) {
        memcpy(lanes, row, (size_t)n * (dtype == TK_BF16 ? 2 : 4));
    } else if (dtype == TK_BF16) {
        const float *x = row;
        uint16_t *y = (uint16_t *)lanes;
        for (; i + VL <= n; i += VL) v_store_bf16(y + i, v_load(x + i));
        for (; i < n; i++) y[i] = f32_to_bf16(x[i]);
    } else {
        const uint16_t *x = row;
        float *y = (float *)lanes;
        for (; i + VL <= n; i += VL) v_store(y + i, v_load_bf16(x + i));
        for (; i < n; i++) y[i] = bf16_to_f32(x[i]);
    }
    if (dtype == TK_BF16 && n % 2) ((uint16_t *)lanes)[n] = 0;
}

// unpack_row converts n elements' lanes to a row.
TK_INLINE void unpack_row(uint32_t dtype, uint32_t dtype_row, const uint32_t *lanes, int64_t n, void *row)
{
    int64_t i = 0;
    if (dtype == dtype_row) {
        memcpy(row, lanes, (size_t)n * (dtype == TK_BF16 ? 2 : 4));
    } else if (dtype == TK_BF16) {
        const uint16_t *x = (const uint16_t *)lanes;
        float *y = row;
        for (; i + VL <= n; i += VL) v_store(y + i, v_load_bf16(x + i));
        for (; i < n; i++) y[i] = bf16_to_f32(x[i]);
    } else {
        const float *x = (const float *)lanes;
        uint16_t *y = row;
        for (; i + VL <= n; i += VL) v_store_bf16(y + i, v_load(x + i));
        for (; i < n; i++) y[i] = f32_to_bf16(x[i]);
    }
}

// pack_fetch asks for the lines of stage s of some rows: of as many as have their turn with lanes i .. i + VL - 1 of rows
// j .. j + PACK_LINE - 1.
TK_INLINE void pack_fetch(const tk_pack_block *b, int64_t s, int64_t depth, int64_t bytes, int64_t i, int64_t j, int write)
{
    const int64_t turn = i / VL * (TK_PANEL / PACK_LINE) + j / PACK_LINE, turns = PACK_STEPS / VL * (TK_PANEL / PACK_LINE);
    for (int64_t r = turn * TK_PANEL / turns; r < (turn + 1) * TK_PANEL / turns && r < b->count; r++) {
        const char *row = (const char *)b->rows + (r * b->ld + s * depth) * bytes;
        for (int64_t o = 0; o < PACK_STEPS * depth * bytes; o += 64)
            if (write) __builtin_prefetch(row + o, 1, 2);
            else __builtin_prefetch(row + o, 0, 2);
    }
}

static void TK_SIMD(pack_panel)(const tk_pack_block *b)
{
    const int64_t depth = b->dtype == TK_BF16 ? 2 : 1, steps = (b->k + depth - 1) / depth, bytes = b->dtype_rows == TK_BF16 ? 2 : 4;
    const int aligned = (uintptr_t)b->panel % 64 == 0;
    _Alignas(64) uint32_t stage[TK_PANEL * PACK_STRIDE];
    memset(stage, 0, sizeof stage);
    for (int64_t s = 0; s < steps; s += PACK_STEPS) {
        const int64_t count = steps - s < PACK_STEPS ? steps - s : PACK_STEPS;
        const int64_t n = (s + count) * depth <= b->k ? count * depth : b->k - s * depth;
        uint32_t *panel = b->panel + s * TK_PANEL;
        for (int64_t r = 0; r < b->count; r++)
            pack_row(b->dtype, b->dtype_rows, (const char *)b->rows + (r * b->ld + s * depth) * bytes, n, stage + (b->first + r) * PACK_STRIDE);
        if (b->count < TK_PANEL) {  // the other rows' lanes are not ours to write
            for (int64_t i = 0; i < count; i++)
                for (int64_t r = b->first; r < b->first + b->count; r++) panel[i * TK_PANEL + r] = stage[r * PACK_STRIDE + i];
            continue;
        }
        for (int64_t i = 0; i < count; i += VL)
            for (int64_t j = 0; j < TK_PANEL; j += PACK_LINE) {
                vi square[PACK_SQUARES][VL];
                if (s + PACK_STEPS < steps) pack_fetch(b, s + PACK_STEPS, depth, bytes, i, j, 0);
                TK_UNROLL(4) for (int q = 0; q < PACK_SQUARES; q++) {
                    TK_UNROLL(16) for (int v = 0; v < VL; v++) square[q][v] = v_lanes(stage + (j + q * VL + v) * PACK_STRIDE + i);
                    v_transpose(square[q]);
                }
                if (i + VL <= count) {
                    TK_UNROLL(16) for (int v = 0; v < VL; v++)
                        TK_UNROLL(4) for (int q = 0; q < PACK_SQUARES; q++) v_store_past(aligned, panel + (i + v) * TK_PANEL + j + q * VL, square[q][v]);
                } else {
                    TK_UNROLL(16) for (int v = 0; v < VL; v++)
                        TK_UNROLL(4) for (int q = 0; q < PACK_SQUARES; q++)
                            if (i + v < count) v_store_past(aligned, panel + (i + v) * TK_PANEL + j + q * VL, square[q][v]);
                }
            }
    }
    v_past_fence();
}

static void TK_SIMD(unpack_panel)(const tk_pack_block *b)
{
    const int64_t depth = b->dtype == TK_BF16 ? 2 : 1, steps = (b->k + depth - 1) / depth, bytes = b->dtype_rows == TK_BF16 ? 2 : 4;
    _Alignas(64) uint32_t stage[TK_PANEL * PACK_STRIDE];
    for (int64_t s = 0; s < steps; s += PACK_STEPS) {
        const int64_t count = steps - s < PACK_STEPS ? steps - s : PACK_STEPS;
        const int64_t n = (s + count) * depth <= b->k ? count * depth : b->k - s * depth;
        const uint32_t *panel = b->panel + s * TK_PANEL;
        for (int64_t i = 0; i < count; i += VL)
            for (int64_t j = 0; j < TK_PANEL; j += VL) {
                vi square[VL];
                if (j % PACK_LINE == 0) pack_fetch(b, s, depth, bytes, i, j, 1);
                for (int64_t l = 0; l < VL * VL; l += PACK_LINE) __builtin_prefetch(panel + (i + PACK_STEPS) * TK_PANEL + j * VL + l, 0, 2);
                TK_UNROLL(16) for (int v = 0; v < VL; v++) square[v] = v_lanes(panel + (i + v < count ? i + v : i) * TK_PANEL + j);
                v_transpose(square);
                TK_UNROLL(16) for (int v = 0; v < VL; v++) v_store((float *)(stage + (j + v) * PACK_STRIDE + i), v_as_f32(square[v]));
            }
        for (int64_t r = 0; r < b->count; r++)
            unpack_row(b->dtype, b->dtype_rows, stage + (b->first + r) * PACK_STRIDE, n, (char *)b->rows + (r * b->ld + s * depth) * bytes);
    }
}

#endif
