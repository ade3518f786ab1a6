// matmul_backward.h - a block of matmul's gradients, for one ISA.
//
//     dx [m, cols] (+)= dy [m, n] W [n, cols]          sums over W's rows, of which a panel holds 32 side by side in its lanes
//     dw [n, cols]  += dy^T [n, m] x [m, cols]         sums over the rows of the batch
//
// Both are gemm.h's f32 product once the operands lie as it wants them: the one that streams past as steps of 32 lanes, lane = column
// of the output, the other row-major along the sum. TK_BACKWARD_STEPS products of every sum are done at a time, so that the streaming
// operand is laid out in half a megabyte of scratch and stays in L2 while all rows of the block pass over it; the sums go on from
// what the output holds, which leaves the bits of one long chain. Laying out costs a transpose in registers of W (for dx: 32 x 32 at
// a time, against m products of every element) or of dy (for dw: against cols products), and bf16 is widened
// on the way, which is exact.
//
// Floor: 2 m n cols FLOP at the f32 FMA peak.
#include "gemm.h"
#include "lanes.h"
#include "transpose.h"

_Static_assert(TK_BACKWARD_STEPS <= GEMM_STAGE / GEMM_MR / 16 * 16 - 16, "a staged row holds the steps");
_Static_assert(TK_BACKWARD_ROWS % GEMM_MR == 0 && TK_BACKWARD_ROWS / GEMM_MR * GEMM_STAGE <= TK_BACKWARD_STAGE, "scratch holds the staged rows");

// A backward_ahead walks over the lines of a matrix that is needed soon, so that they come into L2 a few at a time, between tiles.
typedef struct backward_ahead {
    const char *p;
    long rows, width, ld;  // in bytes
    long share;            // lines between two tiles
    long row, at;          // the next one
} backward_ahead;

// ahead_of is over a matrix [rows, cols] of f32, in the course of so many tiles.
TK_INLINE backward_ahead ahead_of(const float *p, long rows, long cols, long ld, long tiles)
{
    return (backward_ahead){.p = (const char *)p, .rows = rows, .width = cols * 4, .ld = ld * 4, .share = rows * (cols / 16 + 1) / tiles + 1};
}

TK_INLINE void ahead_some(backward_ahead *a)
{
    for (long i = 0; i < a->share && a->row < a->rows; i++) {
        __builtin_prefetch(a->p + a->row * a->ld + a->at, 0, 2);
        a->at += 64;
        if (a->at < a->width + 63) continue;  // a row that does not start with a line ends in one more
        a->at = 0;
        a->row++;
    }
}

enum { BACKWARD_WIDTH = 2 * VL };  // columns of a tile

// backward_rows is C [mr, cols] (+)= A [mr, steps] B, for A staged as gemm.h stages rows and B laid out as panels of [steps][32]. C has no
// columns beyond cols: a tile that is not full goes through the stack. The lines of a tile of C come while the one before is computed.
TK_INLINE void backward_rows(int mr, long cols, long steps, const float *stage, const float *panels, float *c, long ldc, int accumulate,
                             backward_ahead *ahead)
{
    _Alignas(64) float edge[GEMM_MR * BACKWARD_WIDTH];
    gemm_run r = {.a = (const uint32_t *)stage, .steps = steps, .ldb = TK_PANEL, .group = steps * TK_PANEL, .accumulate = accumulate};
    r.b = r.far = (const uint32_t *)panels;
    for (long j = 0; j < cols; j += BACKWARD_WIDTH) {
        const long next = j + BACKWARD_WIDTH < cols ? j + BACKWARD_WIDTH : 0, left = cols - j;
        r.next = (const uint32_t *)panels + next / TK_PANEL * r.group + next % TK_PANEL;
        ahead_some(ahead);
        if (left >= BACKWARD_WIDTH) {
            for (int i = 0; i < mr; i++) __builtin_prefetch(c + i * ldc + next, 1, 3);
            r.c = c + j;
            r.ldc = ldc;
            gemm_tiles_f32[mr][1](&r);
        } else {
            for (int i = 0; accumulate && i < mr; i++) memcpy(edge + i * BACKWARD_WIDTH, c + i * ldc + j, (size_t)left * 4);
            r.c = edge;
            r.ldc = BACKWARD_WIDTH;
            gemm_tiles_f32[mr][1](&r);
            for (int i = 0; i < mr; i++) memcpy(c + i * ldc + j, edge + i * BACKWARD_WIDTH, (size_t)left * 4);
        }
        r.b = r.far = r.next;
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
    _Alignas(64) uint32_t stage[GEMM_STAGE];
    const long column_lanes = TK_PANEL * (b->dtype == TK_BF16 ? TK_PANEL / 2 : TK_PANEL);  // of 32 columns in W
    const long panels = (b->cols + TK_PANEL - 1) / TK_PANEL, across = (b->cols + BACKWARD_WIDTH - 1) / BACKWARD_WIDTH;
    for (long j = 0; j < b->n; j += TK_BACKWARD_STEPS) {
        const long steps = b->n - j < TK_BACKWARD_STEPS ? b->n - j : TK_BACKWARD_STEPS;
        const uint32_t *w = b->w + j / TK_PANEL * b->lanes;
        for (long s = 0; s < steps; s += TK_PANEL, w += b->lanes) {
            const long rows = steps - s < TK_PANEL ? steps - s : TK_PANEL;
            for (long p = 0; p < panels; p++) {
                const long left = b->cols - p * TK_PANEL, width = left < TK_PANEL ? left : TK_PANEL;
                float *out = b->scratch + (p * steps + s) * TK_PANEL;
                if (b->dtype == TK_BF16) dx_turn(TK_BF16, w + p * column_lanes, rows, width, out);
                else dx_turn(TK_F32, w + p * column_lanes, rows, width, out);
            }
        }
        for (long i = 0; i < b->m; i += GEMM_MR) {
            const long left = b->m - i, mr = left < GEMM_MR ? left : GEMM_MR, following = left - mr < GEMM_MR ? left - mr : GEMM_MR;
            const float *dy = b->dy + i * b->lddy + j;
            gemm_stage(GEMM_F32, (int)mr, steps, dy, b->lddy, stage);
            backward_ahead ahead = ahead_of(dy + mr * b->lddy, following, steps, b->lddy, across);
            backward_rows((int)mr, b->cols, steps, (const float *)stage, b->scratch, b->dx + i * b->lddx, b->lddx, b->accumulate || j > 0,
                          &ahead);
        }
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

// dw_turn stages the columns of dy [steps, n] as rows: that of column j at out[j]. What follows a row's steps is unspecified.
TK_INLINE void dw_turn(const float *dy, long lddy, long steps, long n, float *const *out)
{
    for (long i = 0; i < steps; i += VL)
        for (long j = 0; j < n; j += VL) {
            vi square[VL];
            LANES_FOR(v, VL) square[v] = i + v >= steps ? v_lane1(0) : v_lanes_upto(dy + (i + v) * lddy + j, n - j < VL ? n - j : VL);
            v_transpose(square);
            LANES_FOR(v, VL) {
                if (j + v >= n) break;
                v_store(out[j + v] + i, v_as_f32(square[v]));
            }
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
    float *panels = b->scratch, *stage = b->scratch + TK_BACKWARD_PANELS * TK_PANEL * TK_BACKWARD_STEPS;
    const long across = (b->cols + BACKWARD_WIDTH - 1) / BACKWARD_WIDTH;
    for (long i = 0; i < b->m; i += TK_BACKWARD_STEPS) {
        const long steps = b->m - i < TK_BACKWARD_STEPS ? b->m - i : TK_BACKWARD_STEPS;
        if (b->dtype == TK_BF16) dw_lay(TK_BF16, (const uint16_t *)b->x + i * b->ldx, b->ldx, steps, b->cols, panels);
        else dw_lay(TK_F32, (const float *)b->x + i * b->ldx, b->ldx, steps, b->cols, panels);
        for (long j = 0; j < b->n; j += TK_BACKWARD_ROWS) {
            const long n = b->n - j < TK_BACKWARD_ROWS ? b->n - j : TK_BACKWARD_ROWS, last = n / GEMM_MR * GEMM_MR;
            const float *dy = b->dy + i * b->lddy + j;
            float *rows[TK_BACKWARD_ROWS];
            for (long r = 0; r < n; r++) {
                const long tile = r / GEMM_MR, mr = r < last ? GEMM_MR : n - last;
                rows[r] = stage + tile * GEMM_STAGE + (r - tile * GEMM_MR) * gemm_stride((int)mr);
            }
            dw_turn(dy, b->lddy, steps, n, rows);
            if (b->db) dw_bias(dy, b->lddy, steps, n, b->db + j);
            // Meanwhile the next rows' dy comes closer.
            const long following = b->n - j - n < TK_BACKWARD_ROWS ? b->n - j - n : TK_BACKWARD_ROWS;
            backward_ahead ahead = ahead_of(dy + n, following ? steps : 0, following, b->lddy, (n + GEMM_MR - 1) / GEMM_MR * across);
            for (long r = 0; r < n; r += GEMM_MR) {
                const long mr = n - r < GEMM_MR ? n - r : GEMM_MR;
                backward_rows((int)mr, b->cols, steps, rows[r], panels, b->dw + (j + r) * b->lddw, b->lddw, 1, &ahead);
            }
        }
    }
}

static const tk_matmul_backward_kernels TK_SIMD(matmul_backward_kernels) = {
    .dx = TK_SIMD(matmul_dx),
    .dw = TK_SIMD(matmul_dw),
};
