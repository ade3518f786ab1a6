// rmsnorm_backward.h - one row of RMSNorm's gradients, for one ISA.
//
// With xh = x rstd and g = dy weight: dx = rstd (g - xh mean(g xh)), dw += dy xh. The products g xh are summed in 4 VL lanes, column j
// in lane j mod 4 VL and in increasing j; the lanes are added by one fixed tree, as the forward pass's squares are. An addition to what
// dx holds is one of its own: the bits are those of dx and an add. Floor: x and dy read, dx written; dw stays in the L1 cache.
#include "dtype.h"

#define RMSNORM_DW(T, type)                                                                                                 \
    static void TK_SIMD(rmsnorm_dw_##T)(const void *xv, const float *dy, float rstd, float *dw, int64_t cols)              \
    {                                                                                                                       \
        const type *x = xv;                                                                                                 \
        vf r = v_set1(rstd);                                                                                                \
        int64_t j = 0;                                                                                                      \
        for (; j + VL <= cols; j += VL) v_store(dw + j, v_fma(v_load(dy + j), v_mul(v_get_##T(x + j), r), v_load(dw + j))); \
        if (j == cols) return;                                                                                              \
        int64_t n = cols - j;                                                                                               \
        v_storen(dw + j, v_fma(v_loadn(dy + j, n), v_mul(v_getn_##T(x + j, n), r), v_loadn(dw + j, n)), n);                 \
    }

TK_INLINE vf rmsnorm_dx(vf x, vf weight, vf dy, vf rstd, vf mean)
{
    return v_mul(rstd, v_fnma(v_mul(x, rstd), mean, v_mul(dy, weight)));
}

TK_INLINE vf rmsnorm_product(vf x, vf weight, vf dy, vf rstd, vf acc) { return v_fma(v_mul(dy, weight), v_mul(x, rstd), acc); }

#define RMSNORM_DX(T, type)                                                                                                 \
    static void TK_SIMD(rmsnorm_dx_##T)(const void *xv, const float *w, float rstd, const float *dy, float *dx,            \
                                        int64_t cols, int accumulate)                                                      \
    {                                                                                                                       \
        const type *x = xv;                                                                                                 \
        vf r = v_set1(rstd), acc[4] = {v_zero(), v_zero(), v_zero(), v_zero()};                                             \
        int64_t j = 0;                                                                                                      \
        for (; j + 4 * VL <= cols; j += 4 * VL)                                                                             \
            _Pragma("GCC unroll 4") for (int l = 0; l < 4; l++) {                                                           \
                int64_t i = j + l * VL;                                                                                     \
                acc[l] = rmsnorm_product(v_get_##T(x + i), v_load(w + i), v_load(dy + i), r, acc[l]);                       \
            }                                                                                                               \
        _Pragma("GCC unroll 4") for (int l = 0; l < 4; l++, j += VL) {                                                      \
            int64_t n = cols - j;                                                                                           \
            if (n <= 0) break;                                                                                              \
            acc[l] = n >= VL ? rmsnorm_product(v_get_##T(x + j), v_load(w + j), v_load(dy + j), r, acc[l])                  \
                             : rmsnorm_product(v_getn_##T(x + j, n), v_loadn(w + j, n), v_loadn(dy + j, n), r, acc[l]);     \
        }                                                                                                                   \
        float sum = v_hsum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));                                            \
        vf mean = v_set1(sum / (float)cols);                                                                                \
        if (accumulate) {                                                                                                   \
            for (j = 0; j + VL <= cols; j += VL) {                                                                          \
                vf d = rmsnorm_dx(v_get_##T(x + j), v_load(w + j), v_load(dy + j), r, mean);                                \
                v_store(dx + j, v_add(v_load(dx + j), d));                                                                  \
            }                                                                                                               \
        } else {                                                                                                            \
            for (j = 0; j + VL <= cols; j += VL)                                                                            \
                v_store(dx + j, rmsnorm_dx(v_get_##T(x + j), v_load(w + j), v_load(dy + j), r, mean));                      \
        }                                                                                                                   \
        if (j == cols) return;                                                                                              \
        int64_t n = cols - j;                                                                                               \
        vf d = rmsnorm_dx(v_getn_##T(x + j, n), v_loadn(w + j, n), v_loadn(dy + j, n), r, mean);                            \
        v_storen(dx + j, accumulate ? v_add(v_loadn(dx + j, n), d) : d, n);                                                 \
    }

RMSNORM_DW(f32, float)
RMSNORM_DW(bf16, uint16_t)
RMSNORM_DX(f32, float)
RMSNORM_DX(bf16, uint16_t)
