// rmsnorm.h - one row of RMSNorm, for one ISA.
//
// The squares are summed in 4 VL lanes, column j in lane j mod 4 VL and in increasing j; the lanes are added by one fixed tree. The
// second pass finds the row in the L1 cache. Floor: the row read and written once.
#include "dtype.h"

#define RMSNORM_ROW(T, type)                                                                                                \
    static float TK_SIMD(rmsnorm_##T)(const void *xv, const float *w, void *yv, int64_t cols, float eps)                   \
    {                                                                                                                       \
        const type *x = xv;                                                                                                 \
        type *y = yv;                                                                                                       \
        vf acc[4] = {v_zero(), v_zero(), v_zero(), v_zero()};                                                               \
        int64_t j = 0;                                                                                                      \
        for (; j + 4 * VL <= cols; j += 4 * VL)                                                                             \
            _Pragma("GCC unroll 4") for (int l = 0; l < 4; l++) {                                                           \
                vf v = v_get_##T(x + j + l * VL);                                                                           \
                acc[l] = v_fma(v, v, acc[l]);                                                                               \
            }                                                                                                               \
        _Pragma("GCC unroll 4") for (int l = 0; l < 4; l++, j += VL) {                                                      \
            if (j >= cols) break;                                                                                           \
            vf v = j + VL <= cols ? v_get_##T(x + j) : v_getn_##T(x + j, cols - j);                                         \
            acc[l] = v_fma(v, v, acc[l]);                                                                                   \
        }                                                                                                                   \
        float sum = v_hsum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));                                            \
        float rstd = 1.0f / sqrtf(sum / (float)cols + eps);                                                                 \
        vf r = v_set1(rstd);                                                                                                \
        for (j = 0; j + VL <= cols; j += VL) v_put_##T(y + j, v_mul(v_mul(v_get_##T(x + j), r), v_load(w + j)));            \
        if (j < cols)                                                                                                       \
            v_putn_##T(y + j, v_mul(v_mul(v_getn_##T(x + j, cols - j), r), v_loadn(w + j, cols - j)), cols - j);            \
        return rstd;                                                                                                        \
    }

RMSNORM_ROW(f32, float)
RMSNORM_ROW(bf16, uint16_t)
