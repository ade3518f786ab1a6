// rmsnorm_backward.h - one row of RMSNorm's dx, and some rows' part of dw, for one ISA.
//
// With xh = x rstd and g = dy weight: dx = rstd (g - xh mean(g xh)), dw += dy xh. The products g xh are summed in 4 VL lanes, column j
// in lane j mod 4 VL and in increasing j; the lanes are added by one fixed tree, as the forward pass's squares are. An addition to what
// dx holds is one of its own: the bits are those of dx and an add. Floor: x and dy read, dx written; for dw, x and dy from the L2 cache, a
// few columns of dw staying in registers over all rows.
#include "dtype.h"

#define RMSNORM_DW(T, type)                                                                                                 \
    static void TK_SIMD(rmsnorm_dw_##T)(const void *xv, int64_t ldx, const float *dy, int64_t lddy, const float *rstd,      \
                                        float *dw, int64_t rows, int64_t cols)                                              \
    {                                                                                                                       \
        int64_t j = 0;                                                                                                      \
        for (; j + 4 * VL <= cols; j += 4 * VL) {                                                                           \
            const char *x = (const char *)((const type *)xv + j);                                                           \
            const float *d = dy + j;                                                                                        \
            vf w[4];                                                                                                        \
            TK_UNROLL(4) for (int l = 0; l < 4; l++) w[l] = v_load(dw + j + l * VL);                             \
            for (int64_t i = 0; i < rows; i++, x += ldx, d += lddy) {                                                       \
                vf r = v_set1(rstd[i]);                                                                                     \
                TK_UNROLL(4) for (int l = 0; l < 4; l++)                                                         \
                    w[l] = v_fma(v_load(d + l * VL), v_mul(v_get_##T((const type *)x + l * VL), r), w[l]);                  \
            }                                                                                                               \
            TK_UNROLL(4) for (int l = 0; l < 4; l++) v_store(dw + j + l * VL, w[l]);                             \
        }                                                                                                                   \
        for (; j < cols; j += VL) {                                                                                         \
            int64_t n = cols - j;                                                                                           \
            const char *x = (const char *)((const type *)xv + j);                                                           \
            const float *d = dy + j;                                                                                        \
            vf w = n < VL ? v_loadn(dw + j, n) : v_load(dw + j);                                                            \
            for (int64_t i = 0; i < rows; i++, x += ldx, d += lddy) {                                                       \
                vf r = v_set1(rstd[i]);                                                                                     \
                if (n < VL) w = v_fma(v_loadn(d, n), v_mul(v_getn_##T((const type *)x, n), r), w);                          \
                else w = v_fma(v_load(d), v_mul(v_get_##T((const type *)x), r), w);                                         \
            }                                                                                                               \
            if (n < VL) v_storen(dw + j, w, n);                                                                             \
            else v_store(dw + j, w);                                                                                        \
        }                                                                                                                   \
    }

TK_INLINE vf rmsnorm_dx(vf x, vf weight, vf dy, vf rstd, vf mean)
{
    return v_mul(rstd, v_fnma(v_mul(x, rstd), mean, v_mul(dy, weight)));
}

TK_INLINE vf rmsnorm_product(vf x, vf weight, vf dy, vf rstd, vf acc) { return v_fma(v_mul(dy, weight), v_mul(x, rstd), acc); }

// Each pass over a row asks for what the next will want of memory: the first for dx, the second for the x and dy of the row after it.
TK_INLINE void rmsnorm_fetch(const void *p, int bytes, int write)
{
    TK_UNROLL(4) for (int i = 0; i < bytes; i += 64)
    {
        if (write) __builtin_prefetch((const char *)p + i, 1, 3);
        else __builtin_prefetch((const char *)p + i, 0, 2);
    }
}

#define RMSNORM_DX(T, type)                                                                                                 \
    static void TK_SIMD(rmsnorm_dx_##T)(const void *xv, const float *w, float rstd, const float *dy, float *dx,             \
                                        int64_t cols, int accumulate, const void *next_x, const float *next_dy)             \
    {                                                                                                                       \
        const type *x = xv, *nx = next_x;                                                                                   \
        vf r = v_set1(rstd), acc[4] = {v_zero(), v_zero(), v_zero(), v_zero()};                                             \
        int64_t j = 0;                                                                                                      \
        for (; j + 4 * VL <= cols; j += 4 * VL) {                                                                           \
            rmsnorm_fetch(dx + j, 16 * VL, 1);                                                                              \
            TK_UNROLL(4) for (int l = 0; l < 4; l++) {                                                           \
                int64_t i = j + l * VL;                                                                                     \
                acc[l] = rmsnorm_product(v_get_##T(x + i), v_load(w + i), v_load(dy + i), r, acc[l]);                       \
            }                                                                                                               \
        }                                                                                                                   \
        TK_UNROLL(4) for (int l = 0; l < 4; l++, j += VL) {                                                      \
            int64_t n = cols - j;                                                                                           \
            if (n <= 0) break;                                                                                              \
            acc[l] = n >= VL ? rmsnorm_product(v_get_##T(x + j), v_load(w + j), v_load(dy + j), r, acc[l])                  \
                             : rmsnorm_product(v_getn_##T(x + j, n), v_loadn(w + j, n), v_loadn(dy + j, n), r, acc[l]);     \
        }                                                                                                                   \
        float sum = v_hsum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));                                            \
        vf mean = v_set1(sum / (float)cols);                                                                                \
        for (j = 0; j + 4 * VL <= cols; j += 4 * VL) {                                                                      \
            rmsnorm_fetch(nx + j, 4 * VL * (int)sizeof *x, 0);                                                              \
            rmsnorm_fetch(next_dy + j, 16 * VL, 0);                                                                         \
            TK_UNROLL(4) for (int l = 0; l < 4; l++) {                                                           \
                int64_t i = j + l * VL;                                                                                     \
                vf d = rmsnorm_dx(v_get_##T(x + i), v_load(w + i), v_load(dy + i), r, mean);                                \
                v_store(dx + i, accumulate ? v_add(v_load(dx + i), d) : d);                                                 \
            }                                                                                                               \
        }                                                                                                                   \
        for (; j < cols; j += VL) {                                                                                         \
            int64_t n = cols - j;                                                                                           \
            if (n >= VL) {                                                                                                  \
                vf d = rmsnorm_dx(v_get_##T(x + j), v_load(w + j), v_load(dy + j), r, mean);                                \
                v_store(dx + j, accumulate ? v_add(v_load(dx + j), d) : d);                                                 \
            } else {                                                                                                        \
                vf d = rmsnorm_dx(v_getn_##T(x + j, n), v_loadn(w + j, n), v_loadn(dy + j, n), r, mean);                    \
                v_storen(dx + j, accumulate ? v_add(v_loadn(dx + j, n), d) : d, n);                                         \
            }                                                                                                               \
        }                                                                                                                   \
    }

RMSNORM_DW(f32, float)
RMSNORM_DW(bf16, uint16_t)
RMSNORM_DX(f32, float)
RMSNORM_DX(bf16, uint16_t)
