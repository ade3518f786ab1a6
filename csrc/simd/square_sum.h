// square_sum.h - the sum of squares of a block in double, for one ISA.
//
// The square of an f32 is exact in double, and a block's sum cannot overflow: so only a block that has an infinity or a NaN has a sum
// that is not finite, and is summed again without them. Element i is added in lane i mod 4 VL, in increasing i; the lanes are added by
// one fixed tree. Floor: the block read once.
#include "vec64.h"

#if TK_ISA_LEVEL >= 3
TK_INLINE vd v_low_f64(vf x) { return (vd)_mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
TK_INLINE vd v_high_f64(vf x) { return (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
#elif TK_ISA_LEVEL == 2
TK_INLINE vd v_low_f64(vf x) { return (vd)_mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
TK_INLINE vd v_high_f64(vf x) { return (vd)_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
#else
TK_INLINE vd v_low_f64(vf x) { return (vd){x[0], x[1]}; }
TK_INLINE vd v_high_f64(vf x) { return (vd){x[2], x[3]}; }
#endif

TK_INLINE void square_add(vd acc[2], vf x, int masked)
{
    if (masked) x = v_select_lt(v_abs(x), v_set1(INFINITY), x, v_zero());
    vd low = v_low_f64(x), high = v_high_f64(x);
    acc[0] += low * low;
    acc[1] += high * high;
}

TK_INLINE double square_block(const float *x, int64_t n, int masked)
{
    vd acc[4][2] = {0};
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        TK_UNROLL(4) for (int l = 0; l < 4; l++) square_add(acc[l], v_load(x + i + l * VL), masked);
    TK_UNROLL(4) for (int l = 0; l < 4; l++, i += VL)
        if (i < n) square_add(acc[l], n - i >= VL ? v_load(x + i) : v_loadn(x + i, n - i), masked);
    double lane[VL];
    vd low = (acc[0][0] + acc[1][0]) + (acc[2][0] + acc[3][0]), high = (acc[0][1] + acc[1][1]) + (acc[2][1] + acc[3][1]);
    memcpy(lane, &low, sizeof low);
    memcpy(lane + VL / 2, &high, sizeof high);
    for (int half = VL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

static double TK_SIMD(square_sum)(const float *x, int64_t n, int64_t *nonfinite)
{
    *nonfinite = 0;
    double sum = square_block(x, n, 0);
    if (isfinite(sum)) return sum;
    for (int64_t i = 0; i < n; i++) *nonfinite += !isfinite(x[i]);
    return square_block(x, n, 1);
}
