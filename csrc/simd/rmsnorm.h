// rmsnorm.h - RMSNorm of some rows, for one ISA.
//
// The squares are summed in 4 VL lanes, one column of each 4 VL to a lane (in f32 column j to lane j mod 4 VL, in bf16 in the order of
// v_load2_bf16) and in increasing j; the lanes are added by one fixed tree. A row is scaled, from the L1 cache, while the squares of the
// next are summed: memory is read and written all the time, and not in turns. Floor: the rows read and written once.
#include "wide.h"

// Where bf16 has an order of its own, rows of up to so many columns find the weights in that order, put down with the first row.
enum { RMSNORM_REORDERED = TK_ISA_LEVEL == 2 ? 4096 : 0 };

#define rmsnorm_weight_f32 wide_get_f32
TK_INLINE void rmsnorm_weight_bf16(const float *w, vf *weight)
{
    wide_get_f32_as_bf16(w, weight);
    WIDE_FOR(l) weight[l] = v_clean(weight[l]);
}

TK_INLINE void rmsnorm_reorder(const float *w, float *reordered)
{
    vf v[WIDE];
    rmsnorm_weight_bf16(w, v);
    WIDE_FOR(l) v_store(reordered + l * VL, v[l]);
}

#define RMSNORM_ROWS(T, type, reorders)                                                                                     \
    TK_INLINE void rmsnorm_square_##T(const type *x, vf *acc)                                                               \
    {                                                                                                                       \
        vf v[WIDE];                                                                                                         \
        wide_get_##T(x, v);                                                                                                 \
        WIDE_FOR(l) acc[l] = v_fma(v[l], v[l], acc[l]);                                                                     \
    }                                                                                                                       \
    TK_INLINE void rmsnorm_scale_##T(const type *x, const float *w, type *y, vf r, const int reordered)                     \
    {                                                                                                                       \
        vf v[WIDE], weight[WIDE];                                                                                           \
        wide_get_##T(x, v);                                                                                                 \
        if (reordered) wide_get_f32(w, weight);                                                                             \
        else rmsnorm_weight_##T(w, weight);                                                                                 \
        WIDE_FOR(l) v[l] = v_mul(v_mul(v[l], r), weight[l]);                                                                \
        wide_put_##T##_clean(y, v);                                                                                         \
    }                                                                                                                       \
    /* x scaled by r to y, or y fetched if r is NULL, and the squares of next added to acc, if next is not NULL */         \
    TK_INLINE void rmsnorm_steps_##T(const type *x, const float *w, type *y, const vf *r, const type *next, vf *acc,        \
                                     int64_t whole, const int reordered)                                                    \
    {                                                                                                                       \
        if (r && next) {                                                                                                    \
            for (int64_t j = 0; j < whole; j += WIDE_LANES) {                                                               \
                rmsnorm_square_##T(next + j, acc);                                                                          \
                rmsnorm_scale_##T(x + j, w + j, y + j, *r, reordered);                                                      \
            }                                                                                                               \
        } else if (r) {                                                                                                     \
            for (int64_t j = 0; j < whole; j += WIDE_LANES) rmsnorm_scale_##T(x + j, w + j, y + j, *r, reordered);          \
        } else {                                                                                                            \
            for (int64_t j = 0; j < whole; j += WIDE_LANES) {                                                               \
                for (int64_t l = 0; l < WIDE_LANES; l += 64 / (int)sizeof *y) __builtin_prefetch(y + j + l, 1, 2);          \
                rmsnorm_square_##T(next + j, acc);                                                                          \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    static void TK_SIMD(rmsnorm_##T)(const void *xv, int64_t ldx, const float *w, void *yv, int64_t ldy, float *rstd,       \
                                     int64_t rows, int64_t cols, float eps)                                                 \
    {                                                                                                                       \
        const int64_t whole = cols / WIDE_LANES * WIDE_LANES;                                                               \
        const size_t rest = (size_t)(cols - whole);                                                                         \
        const int reordered = reorders && rows > 1 && whole <= RMSNORM_REORDERED;                                           \
        float reordered_w[RMSNORM_REORDERED + WIDE_LANES] __attribute__((aligned(64)));                                     \
        float last_w[WIDE_LANES] = {0};                                                                                     \
        type last[WIDE_LANES] = {0}, last_y[WIDE_LANES]; /* last beyond its columns stays 0 */                              \
        memcpy(last_w, w + whole, rest * sizeof *w);                                                                        \
        for (int64_t j = 0; reordered && j < whole; j += WIDE_LANES) {                                                      \
            __builtin_prefetch((const type *)xv + j);                                                                       \
            rmsnorm_reorder(w + j, reordered_w + j);                                                                        \
        }                                                                                                                   \
        vf r = v_zero();                                                                                                    \
        for (int64_t i = -1; i < rows; i++) {                                                                               \
            const type *x = (const type *)((const char *)xv + i * ldx), *next = (const type *)((const char *)x + ldx);      \
            type *y = (type *)((char *)yv + (i < 0 ? 0 : i) * ldy);                                                         \
            vf acc[WIDE] = {v_zero(), v_zero(), v_zero(), v_zero()};                                                        \
            if (i + 1 == rows) next = NULL;                                                                                 \
            if (reordered) rmsnorm_steps_##T(x, reordered_w, y, i < 0 ? NULL : &r, next, acc, whole, 1);                    \
            else rmsnorm_steps_##T(x, w, y, i < 0 ? NULL : &r, next, acc, whole, 0);                                        \
            if (rest && i >= 0) {                                                                                           \
                rmsnorm_scale_##T(last, last_w, last_y, r, 0);                                                              \
                memcpy(y + whole, last_y, rest * sizeof *y);                                                                \
            }                                                                                                               \
            if (!next) break;                                                                                               \
            if (rest) {                                                                                                     \
                memcpy(last, next + whole, rest * sizeof *x);                                                               \
                rmsnorm_square_##T(last, acc);                                                                              \
            }                                                                                                               \
            float sum = v_hsum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));                                        \
            float next_rstd = 1.0f / sqrtf(sum / (float)cols + eps);                                                        \
            if (rstd) rstd[i + 1] = next_rstd;                                                                              \
            r = v_set1(next_rstd);                                                                                          \
        }                                                                                                                   \
    }

RMSNORM_ROWS(f32, float, 0)
RMSNORM_ROWS(bf16, uint16_t, 1)
