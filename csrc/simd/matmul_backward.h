// matmul_backward.h - a block of matmul's gradients, for one ISA.
//
//     dx [m, cols] (+)= dy [m, n] W [n, cols]          sums over W's rows, of which a panel holds 32 side by side in its lanes
//     dw [n, cols]  += dy^T [n, m] x [m, cols]         sums over the rows of the batch
//
// Both are gemm.h's f32 product once the operands lie as it wants them: the one that streams past as steps of 32 lanes, lane = column
// of the output, the other row-major along the sum. TK_BACKWARD_STEPS products of every sum are done at a time, so that the streaming
// operand is laid out in half a megabyte of scratch and stays in L2 while all rows of the block pass over it; the sums go on from
// what the output holds, which leaves the bits of one long chain. Laying out costs a transpose in registers of W (for dx: 32 x 32 at
// a time, some 0.5 cycles an element, against m / 2 VL of arithmetic) or of dy (for dw: against cols / 2 VL), and bf16 is widened
// on the way, which is exact.
//
// Floor: 2 m n cols FLOP at the f32 FMA peak.
#include "gemm.h"
#include "lanes.h"
#include "transpose.h"

// backward_product is C [m, cols] (+)= A [m, steps] B, B laid out as panels of [steps][32]. C has no columns beyond cols: those of a last
// panel that is not full go through the stack.
TK_INLINE void backward_product(long m, long cols, long steps, const float *a, long lda, const float *panels, float *c, long ldc, int accumulate)
{
    enum { ROWS = 48 };
    const long whole = cols / TK_PANEL, edge = cols % TK_PANEL;
    const uint32_t *b = (const uint32_t *)panels;
    if (whole) TK_SIMD(gemm_panels_f32)(m, whole, steps, a, lda, b, b, c, ldc, accumulate);
    if (edge == 0) return;
    _Alignas(64) float sums[ROWS * TK_PANEL] = {0};
    b += whole * steps * TK_PANEL;
    c += whole * TK_PANEL;
    for (long i = 0; i < m; i += ROWS) {
        const long rows = m - i < ROWS ? m - i : ROWS;
        for (long r = 0; accumulate && r < rows; r++) memcpy(sums + r * TK_PANEL, c + (i + r) * ldc, (size_t)edge * 4);
        TK_SIMD(gemm_panels_f32)(rows, 1, steps, a + i * lda, lda, b, b, sums, TK_PANEL, accumulate);
        for (long r = 0; r < rows; r++) memcpy(c + (i + r) * ldc, sums + r * TK_PANEL, (size_t)edge * 4);
    }
}

// dx_turn lays out W's panel of `rows` rows (at most 32): `width` columns (at most 32) of it, from w on, become out[row][32], and
// columns beyond them 0.
TK_INLINE void dx_turn(uint32_t dtype, const uint32_t *w, long rows, long width, float *out)
{
    const long depth = dtype == TK_BF16 ? 2 : 1, steps = (width + depth - 1) / depth;
    for (long s = 0; s < TK_PANEL / depth; s += VL)
        for (long j = 0; j < rows; j += VL) {
            vi square[VL];
            LANES_FOR(v, VL) square[v] = s + v < steps ? v_lanes(w + (s + v) * TK_PANEL + j) : v_lane1(0);
            v_transpose(square);
            LANES_FOR(v, VL) {
                float *row = out + (j + v) * TK_PANEL + s * depth;
                if (j + v >= rows) break;
                if (depth == 1) {
                    v_store(row, v_as_f32(square[v]));
                } else {
                    uint16_t pairs[2 * VL];
                    memcpy(pairs, &square[v], sizeof pairs);
                    v_store(row, v_load_bf16(pairs));
                    v_store(row + VL, v_load_bf16(pairs + VL));
                }
            }
        }
}

static void TK_SIMD(matmul_dx)(const tk_dx_block *b)
{
    const long column_lanes = TK_PANEL * (b->dtype == TK_BF16 ? TK_PANEL / 2 : TK_PANEL);  // of 32 columns in W
    for (long j = 0; j < b->n; j += TK_BACKWARD_STEPS) {
        const long steps = b->n - j < TK_BACKWARD_STEPS ? b->n - j : TK_BACKWARD_STEPS;
        for (long s = 0; s < steps; s += TK_PANEL) {
            const uint32_t *w = b->w + (j + s) / TK_PANEL * b->lanes;
            const long rows = steps - s < TK_PANEL ? steps - s : TK_PANEL;
            for (long p = 0; p * TK_PANEL < b->cols; p++) {
                const long left = b->cols - p * TK_PANEL, width = left < TK_PANEL ? left : TK_PANEL;
                float *out = b->scratch + (p * steps + s) * TK_PANEL;
                if (b->dtype == TK_BF16) dx_turn(TK_BF16, w + p * column_lanes, rows, width, out);
                else dx_turn(TK_F32, w + p * column_lanes, rows, width, out);
            }
        }
        backward_product(b->m, b->cols, steps, b->dy + j, b->lddy, b->scratch, b->dx, b->lddx, b->accumulate || j > 0);
    }
}

// dw_lay lays out x [steps, cols] as panels of [steps][32]; columns beyond cols become 0.
TK_INLINE void dw_lay(uint32_t dtype, const void *x, long ldx, long steps, long cols, float *panels)
{
    for (long i = 0; i < steps; i++)
        for (long c = 0; c < (cols + TK_PANEL - 1) / TK_PANEL * TK_PANEL; c += VL) {
            const long n = cols - c;
            vf v = v_zero();
            if (dtype == TK_BF16) {
                const uint16_t *p = (const uint16_t *)x + i * ldx + c;
                if (n >= VL) v = v_load_bf16(p);
                else if (n > 0) v = v_loadn_bf16(p, n);
            } else {
                const float *p = (const float *)x + i * ldx + c;
                if (n >= VL) v = v_load(p);
                else if (n > 0) v = v_loadn(p, n);
            }
            v_store(panels + (c / TK_PANEL * steps + i) * TK_PANEL + c % TK_PANEL, v);
        }
}

// dw_turn transposes dy [steps, n] into rows of TK_BACKWARD_STRIDE. What follows a row's steps is unspecified.
TK_INLINE void dw_turn(const float *dy, long lddy, long steps, long n, float *out)
{
    for (long i = 0; i < steps; i += VL)
        for (long j = 0; j < n; j += VL) {
            vi square[VL];
            LANES_FOR(v, VL) square[v] = i + v >= steps ? v_lane1(0) : v_lanes_upto(dy + (i + v) * lddy + j, n - j < VL ? n - j : VL);
            v_transpose(square);
            LANES_FOR(v, VL) v_store(out + (j + v) * TK_BACKWARD_STRIDE + i, v_as_f32(square[v]));
        }
}

// dw_bias is db [n] += the columns of dy [steps, n], row by row.
TK_INLINE void dw_bias(const float *dy, long lddy, long steps, long n, float *db)
{
    for (long j = 0; j < n; j += VL) {
        const long width = n - j < VL ? n - j : VL;
        vf sum = v_load_upto(db + j, width);
        for (long i = 0; i < steps; i++) sum = v_add(sum, v_load_upto(dy + i * lddy + j, width));
        v_store_upto(db + j, sum, width);
    }
}

static void TK_SIMD(matmul_dw)(const tk_dw_block *b)
{
    float *panels = b->scratch, *rows = b->scratch + TK_BACKWARD_PANELS * TK_PANEL * TK_BACKWARD_STEPS;
    for (long i = 0; i < b->m; i += TK_BACKWARD_STEPS) {
        const long steps = b->m - i < TK_BACKWARD_STEPS ? b->m - i : TK_BACKWARD_STEPS;
        if (b->dtype == TK_BF16) dw_lay(TK_BF16, (const uint16_t *)b->x + i * b->ldx, b->ldx, steps, b->cols, panels);
        else dw_lay(TK_F32, (const float *)b->x + i * b->ldx, b->ldx, steps, b->cols, panels);
        for (long j = 0; j < b->n; j += TK_BACKWARD_ROWS) {
            const long n = b->n - j < TK_BACKWARD_ROWS ? b->n - j : TK_BACKWARD_ROWS;
            const float *dy = b->dy + i * b->lddy + j;
            dw_turn(dy, b->lddy, steps, n, rows);
            if (b->db) dw_bias(dy, b->lddy, steps, n, b->db + j);
            backward_product(n, b->cols, steps, rows, TK_BACKWARD_STRIDE, panels, b->dw + j * b->lddw, b->lddw, 1);
        }
    }
}

static const tk_matmul_backward_kernels TK_SIMD(matmul_backward_kernels) = {
    .dx = TK_SIMD(matmul_dx),
    .dw = TK_SIMD(matmul_dw),
};
