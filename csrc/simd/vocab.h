// vocab.h - logits of a chunk, the selection of columns by their value, the gradient of a chunk's logits, and the table of the vocabulary
// kernels, for one ISA.
#include "gemm.h"
#include "logsumexp.h"
#include "vec64.h"

#if TK_TILES
#include "gemm_tile.h"
TK_INLINE void vocab_logits_staged(const tk_staged *staged, int64_t rows, int64_t k, const uint32_t *w, int64_t panels, float *z, int64_t ldz)
{
    const int64_t lanes = TK_PANEL * ((k + 1) / 2);
    for (int64_t p = 0; p < panels; p += TK_STAGED_PANELS) {
        const int64_t count = panels - p < TK_STAGED_PANELS ? panels - p : TK_STAGED_PANELS;
        for (int64_t row = 0; row < rows; row += TK_STAGED_ROWS) {
            const int64_t m = rows - row < TK_STAGED_ROWS ? rows - row : TK_STAGED_ROWS;
            const tk_staged block = {.tiles = staged->tiles, .first = staged->first + row / TK_STAGED_TILE, .all = staged->all, .sums = staged->sums};
            TK_SIMD(tile_product)(m, count, k, &block, w + p * lanes, w + (p + count) * lanes);
            const int64_t panel = (m + TILE_ROWS - 1) / TILE_ROWS * 2 * TILE_BYTES / 4;  // floats of a panel's sums
            for (int64_t i = 0; i < m; i++) {
                const float *sums = tile_row_of(block.sums, i);
                float *out = z + (row + i) * ldz + p * TK_PANEL;
                for (int64_t c = 0; c < count; c++, out += TK_PANEL, sums += panel) {
                    v_store(out, v_load(sums));
                    v_store(out + VL, v_load(sums + TILE_BYTES / 4));
                }
            }
        }
    }
}
#else
TK_INLINE void vocab_logits_staged(const tk_staged *staged, int64_t rows, int64_t k, const uint32_t *w, int64_t panels, float *z, int64_t ldz)
{
    (void)staged, (void)rows, (void)k, (void)w, (void)panels, (void)z, (void)ldz;
}
#endif

// Panels are done by eights: one eighth of a megabyte of weights each at k = 2048 in bf16, so that a group stays in L2 while the
// rows pass over it. Floor: 2 rows n k FLOP at the dot-product peak, or the weights at the read bandwidth.
#define VOCAB_LOGITS(T, type, lanes_of_k)                                                                                        \
    static void TK_SIMD(vocab_logits_##T)(const void *x, const tk_staged *staged, int64_t rows, int64_t ldx, int64_t k,          \
                                          const uint32_t *w, int64_t panels, float *z, int64_t ldz)                              \
    {                                                                                                                            \
        enum { GROUP = 8 };                                                                                                      \
        const int64_t lanes = TK_PANEL * (lanes_of_k);                                                                           \
        if (staged) {                                                                                                            \
            vocab_logits_staged(staged, rows, k, w, panels, z, ldz);                                                             \
            return;                                                                                                              \
        }                                                                                                                        \
        for (int64_t p = 0; p < panels; p += GROUP)                                                                              \
            TK_SIMD(gemm_panels_##T)(rows, panels - p < GROUP ? panels - p : GROUP, k, x, ldx, w + p * lanes, NULL, \
                                     z + p * TK_PANEL, ldz, 0);                                                                  \
    }

VOCAB_LOGITS(f32, float, k)
VOCAB_LOGITS(bf16, uint16_t, (k + 1) / 2)

static void TK_SIMD(vocab_shares)(const tk_vocab_state *states, int64_t n, double max, double *e)
{
    const d_exps k = d_exps_of();
    const vd least = d_set1(-708);
    for (int64_t i = 0; i < n; i += DL) {
        double z[DL];
        for (int64_t l = 0; l < DL; l++) z[l] = i + l < n && states[i + l].s != 0 ? (double)states[i + l].m - max : -INFINITY;
        const vd x = d_load(z);
        d_store_part(e + i, d_drop((vm)(x < least), d_exp(&k, d_max(least, x))), n - i);
    }
}

static void TK_SIMD(vocab_select)(const tk_vocab_chunk *c, float max, float lo, float hi, float least, uint32_t *bits, float *z,
                                  uint32_t *order, float *e)
{
    vf m = v_set1(max), low = v_set1(lo), high = v_set1(hi), few = v_set1(least);
    for (int64_t j = 0; j < c->width; j += 32) {
        uint32_t in = 0;
        vf x[VOCAB_NV];
        WIDE_FOR_OF(v, VOCAB_NV) x[v] = vocab_load(c, j, v, c->width - j >= 32);
        vf top = x[0];
        WIDE_FOR_OF(v, VOCAB_NV - 1) top = v_max(top, x[v + 1]);
        if (v_lt_bits(top, low) != (1u << VL) - 1)  // else all are below, as most are
            WIDE_FOR_OF(v, VOCAB_NV) in |= (v_lt_bits(x[v], high) & ~v_lt_bits(x[v], low)) << (v * VL);
        bits[j / 32] = in &= vocab_bits(c, j);
        if (z && in)
            TK_UNROLL(8) for (int v = 0; v < VOCAB_NV; v++) v_store(z + j + v * VL, x[v]);
        if (order && in) {
            float plain[32];
            TK_UNROLL(8) for (int v = 0; v < VOCAB_NV; v++) v_store(plain + v * VL, v_add(x[v], v_zero()));  // -0 + 0 is 0
            for (int l = 0; l < 32; l++) {
                uint32_t u;
                memcpy(&u, plain + l, 4);
                order[j + l] = u ^ ((0 - (u >> 31)) | 0x80000000u);
            }
        }
        if (!e) continue;
        TK_UNROLL(8) for (int v = 0; v < VOCAB_NV; v++) {
            vf y = v_zero();
            if (in) {
                y = v_expneg(v_sub(m, x[v]));
                y = v_keep(in >> (v * VL), v_select_lt(y, few, v_zero(), y), v_zero());
            }
            v_store(e + j + v * VL, y);
        }
    }
}

static double TK_SIMD(vocab_sum)(const float *e, int64_t n)
{
    double lane[16] = {0};
    for (int64_t j = 0; j < n; j += 16)
        for (int l = 0; l < 16; l++) lane[l] += (double)e[j + l];
    for (int w = 8; w > 0; w /= 2)
        for (int l = 0; l < w; l++) lane[l] += lane[l + w];
    return lane[0];
}

// Some 25 FLOPs a column, beside the thousands that its logit and their products take. ln p stays finite, so that p ln p is 0 where p is.
static void TK_SIMD(vocab_gradient)(const tk_vocab_chunk *c, const tk_vocab_gradient *g, float *dz)
{
    const vf lse = v_set1(g->lse), entropy = v_set1(g->entropy), dlogprob = v_set1(g->dlogprob), dentropy = v_set1(g->dentropy);
    for (int64_t j = 0; j < c->width; j += 32) {
        const uint32_t bits = vocab_bits(c, j), target = g->target >= j && g->target < j + 32 ? 1u << (g->target - j) : 0;
        TK_UNROLL(8) for (int v = 0; v < VOCAB_NV; v++) {
            const vf lnp = v_max(v_set1(-0x1p100f), v_sub(vocab_load(c, j, v, c->width - j >= 32), lse)), p = v_exp(lnp);
            const vf one = v_keep(target >> (v * VL), v_set1(1), v_zero());
            vf d = v_fnma(v_mul(dentropy, p), v_add(lnp, entropy), v_mul(dlogprob, v_sub(one, p)));
            v_store(dz + j + v * VL, v_keep(bits >> (v * VL), v_mul(d, v_set1(c->scale)), v_zero()));
        }
    }
}

static const tk_vocab_kernels TK_SIMD(vocab_kernels) = {
    .logits = {TK_SIMD(vocab_logits_f32), TK_SIMD(vocab_logits_bf16)},
    .fold = TK_SIMD(vocab_fold),
    .shares = TK_SIMD(vocab_shares),
    .select = TK_SIMD(vocab_select),
    .sum = TK_SIMD(vocab_sum),
    .gradient = TK_SIMD(vocab_gradient),
};
