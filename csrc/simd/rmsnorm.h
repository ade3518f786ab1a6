// rmsnorm.h - one row of RMSNorm, for one ISA.
//
// The squares are summed in 4 VL lanes, one column of each 4 VL to a lane (in f32 column j to lane j mod 4 VL, in bf16 in the order of
// v_load2_bf16) and in increasing j; the lanes are added by one fixed tree. The second pass finds the row in the L1 cache.
// Floor: the row read and written once.
#include "wide.h"

#define RMSNORM_ROW(T, type)                                                                                                \
    static float TK_SIMD(rmsnorm_##T)(const void *xv, const float *w, void *yv, int64_t cols, float eps)                   \
    {                                                                                                                       \
        const type *x = xv;                                                                                                 \
        type *y = yv, last[WIDE_LANES] = {0};                                                                               \
        float last_w[WIDE_LANES] = {0};                                                                                     \
        vf acc[WIDE] = {v_zero(), v_zero(), v_zero(), v_zero()}, v[WIDE], weight[WIDE];                                     \
        int64_t whole = cols / WIDE_LANES * WIDE_LANES;                                                                     \
        for (int64_t j = 0; j < whole; j += WIDE_LANES) {                                                                   \
            wide_get_##T(x + j, v);                                                                                         \
            WIDE_FOR(l) acc[l] = v_fma(v[l], v[l], acc[l]);                                                                 \
        }                                                                                                                   \
        if (whole < cols) {                                                                                                 \
            memcpy(last, x + whole, (size_t)(cols - whole) * sizeof *x);                                                    \
            memcpy(last_w, w + whole, (size_t)(cols - whole) * sizeof *w);                                                  \
            wide_get_##T(last, v);                                                                                          \
            WIDE_FOR(l) acc[l] = v_fma(v[l], v[l], acc[l]);                                                                 \
        }                                                                                                                   \
        float sum = v_hsum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));                                            \
        float rstd = 1.0f / sqrtf(sum / (float)cols + eps);                                                                 \
        vf r = v_set1(rstd);                                                                                                \
        for (int64_t j = 0; j < whole; j += WIDE_LANES) {                                                                   \
            wide_get_##T(x + j, v), wide_get_f32_as_##T(w + j, weight);                                                     \
            WIDE_FOR(l) v[l] = v_mul(v_mul(v[l], r), weight[l]);                                                            \
            wide_put_##T(y + j, v);                                                                                         \
        }                                                                                                                   \
        if (whole < cols) {                                                                                                 \
            wide_get_##T(last, v), wide_get_f32_as_##T(last_w, weight);                                                     \
            WIDE_FOR(l) v[l] = v_mul(v_mul(v[l], r), weight[l]);                                                            \
            wide_put_##T(last, v);                                                                                          \
            memcpy(y + whole, last, (size_t)(cols - whole) * sizeof *y);                                                    \
        }                                                                                                                   \
        return rstd;                                                                                                        \
    }

RMSNORM_ROW(f32, float)
RMSNORM_ROW(bf16, uint16_t)
