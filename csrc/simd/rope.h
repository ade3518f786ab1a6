// rope.h - rotary position embeddings: angles to cosines and sines, and the rotation of one row of heads, for one ISA.
#include "lanes.h"
#include "wide.h"

// angles: at[axis[j]] * inv_freq[j], rounded to f32, for axes 0 to 3 (selected, not gathered); returns the largest magnitude as f32
// bits (above infinity's for NaN).
static uint32_t TK_SIMD(angles)(const float *at, const int32_t *axis, const float *inv_freq, float *restrict angle, int64_t n)
{
    uint32_t most = 0;
    float at0 = at[0], at1 = at[1], at2 = at[2], at3 = at[3];
    for (int64_t j = 0; j < n; j++) {
        float x = axis[j] == 1 ? at1 : at0;
        x = axis[j] == 2 ? at2 : x;
        x = axis[j] == 3 ? at3 : x;
        x *= inv_freq[j];
        uint32_t u;
        memcpy(&u, &x, 4);
        u &= 0x7fffffff;
        most = u > most ? u : most;
        angle[j] = x;
    }
    return most;
}

// D_FMA is a*b + c; D_REDUCE is x - k pi/2 for an integer k of at most 30 bits: pi/2 in two doubles where products are exact inside
// a fused multiply-add, else in three of which the first two have 21 bits, so that theirs are.
#if TK_ISA_LEVEL >= 2
#define D_FMA(a, b, c) __builtin_fma(a, b, c)
#define D_REDUCE(x, k) D_FMA(k, -0x1.1a62633145c07p-54, D_FMA(k, -0x1.921fb54442d18p+0, x))
#else
#define D_FMA(a, b, c) ((a) * (b) + (c))
#define D_REDUCE(x, k) ((((x) - (k) * 0x1.921fbp+0) - (k) * 0x1.5110bp-22) - (k) * 0x1.18469898cc517p-44)
#endif

// sincos: cosines and sines of f32 angles in double, rounded once: within 0.502 ulp of f32 for |angle| <= 2^30. For the angles that
// sincos_near does not take, and for ISAs without a fused multiply-add, where that one would be inexact.
//
// angle = k pi/2 + r, |r| <= pi/4; polynomials in r fitted to least relative error (sin 5e-12, cos 1.2e-10); k mod 4 swaps and negates.
// Without a branch, so that the compiler makes vectors of it.
static void TK_SIMD(sincos)(const float *angle, float *restrict cos_out, float *restrict sin_out, int64_t n)
{
    const double to_int = 0x1.8p52;
    for (int64_t j = 0; j < n; j++) {
        double x = (double)angle[j];
        double k = D_FMA(x, 0x1.45f306dc9c883p-1, to_int);
        uint64_t quadrant;
        memcpy(&quadrant, &k, 8);
        k -= to_int;
        double r = D_REDUCE(x, k);
        double r2 = r * r;
        double s = D_FMA(r2, 2.71811905654757503e-6, -0.000198393119601445664);
        s = D_FMA(s, r2, 0.00833332930368845339);
        s = D_FMA(s, r2, -0.166666666407841185);
        s = D_FMA(s * r2, r, r);
        double c = D_FMA(r2, 0.0000244331477191786375, -0.00138873161714003342);
        c = D_FMA(c, r2, 0.0416666456812254832);
        c = D_FMA(c, r2, -0.5);
        c = D_FMA(c, r2, 1.0);
        uint64_t us, uc;
        memcpy(&us, &s, 8);
        memcpy(&uc, &c, 8);
        uint64_t swap = (us ^ uc) & (0 - (quadrant & 1));
        us = (us ^ swap) ^ (quadrant & 2) << 62;
        uc = (uc ^ swap) ^ ((quadrant + 1) & 2) << 62;
        memcpy(&s, &us, 8);
        memcpy(&c, &uc, 8);
        sin_out[j] = (float)s;
        cos_out[j] = (float)c;
    }
}

// angles_near and sincos_near: cosines and sines of the angles at[axis[j]] * inv_freq[j] as above, for |angle| <= 2^17, in f32: within
// 1e-7. Floor: 8 bytes written an element, or about 26 FLOPs.
//
// angle = k pi/2 + r, |r| <= pi/4 (1 + 2^-8): k times pi/2 rounded to f32 leaves a multiple of 2^-23 that is below 1, so the first fused
// multiply-add is exact; the second puts in what pi/2 lost. Polynomials in r fitted to least error (sin 4e-9 r, cos 1e-10); k mod 4
// swaps and negates.
//
// In one go this is a chain of some 60 cycles for 26 operations, and what a processor looks ahead holds two or three vectors of it. So
// it is done in two, each short: angles_near leaves r and k where cosines and sines go, of WIDE rows at a time, which share what is said of
// their columns, and sincos_near takes some rows that lie one behind another as one stream, in L1.
#if TK_ISA_LEVEL >= 2
// v_table4 holds four integers as f32; v_lookup4 takes VL of them by index. v_quadrant turns cosines and sines by as many quarters as
// k's low bits: by one if they are odd, and then by two, which negates both, or not.
#if TK_ISA_LEVEL >= 3
TK_INLINE vf v_table4(__m128 at) { return _mm512_cvtepi32_ps(_mm512_broadcast_i32x4(_mm_castps_si128(at))); }
TK_INLINE vf v_lookup4(vf table, vi index) { return _mm512_permutexvar_ps(index, table); }
TK_INLINE void v_quadrant(vf k, vf *c, vf *s)
{
    const __m512i u = _mm512_castps_si512(k), sign = _mm512_set1_epi32((int)0x80000000u);
    const __mmask16 swap = _mm512_test_epi32_mask(u, _mm512_set1_epi32(1));
    __m512i x = _mm512_castps_si512(_mm512_mask_blend_ps(swap, *c, *s)), y = _mm512_castps_si512(_mm512_mask_blend_ps(swap, *s, *c));
    *c = _mm512_castsi512_ps(_mm512_xor_si512(x, _mm512_and_si512(_mm512_slli_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(1)), 30), sign)));
    *s = _mm512_castsi512_ps(_mm512_xor_si512(y, _mm512_and_si512(_mm512_slli_epi32(u, 30), sign)));
}
#else
TK_INLINE vf v_table4(__m128 at) { return _mm256_cvtepi32_ps(_mm256_broadcastsi128_si256(_mm_castps_si128(at))); }
TK_INLINE vf v_lookup4(vf table, vi index) { return _mm256_permutevar8x32_ps(table, index); }
TK_INLINE void v_quadrant(vf k, vf *c, vf *s)
{
    const vf sign = _mm256_set1_ps(-0.0f);
    const __m256i u = _mm256_slli_epi32(_mm256_castps_si256(k), 30);
    const vf half = _mm256_and_ps(_mm256_castsi256_ps(u), sign), odd = _mm256_castsi256_ps(_mm256_add_epi32(u, u));
    vf x = _mm256_blendv_ps(*c, _mm256_xor_ps(*s, sign), odd), y = _mm256_blendv_ps(*s, *c, odd);
    *c = _mm256_xor_ps(x, half);
    *s = _mm256_xor_ps(y, half);
}
#endif

// angles_near_part sets r and k + 1.5 2^23 of VL angles in each of some rows, ld elements apart, whose positions at holds.
TK_INLINE void angles_near_part(int rows, const vf *at, vi axis, vf inv_freq, float *r_out, float *k_out, int64_t ld)
{
    const vf to_int = v_set1(0x1.8p23f);
    WIDE_FOR_OF(i, rows)
    {
        vf x = v_mul(v_lookup4(at[i], axis), inv_freq);
        vf k = v_fma(x, v_set1(0x1.45f306p-1f), to_int), q = v_sub(k, to_int);
        v_store(r_out + i * ld, v_fnma(q, v_set1(-0x1.777a5cp-25f), v_fnma(q, v_set1(0x1.921fb6p+0f), x)));
        v_store(k_out + i * ld, k);
    }
}

TK_INLINE void angles_near_rows(int rows, const vf *at, const int32_t *axis, const float *inv_freq, float *r, float *k, int64_t n)
{
    int64_t j = 0;
    for (; j + VL <= n; j += VL) angles_near_part(rows, at, v_lanes((const uint32_t *)axis + j), v_load(inv_freq + j), r + j, k + j, n);
    if (j == n) return;
    float last[2][WIDE][VL];
    angles_near_part(rows, at, v_lanes_upto(axis + j, n - j), v_load_upto(inv_freq + j, n - j), last[0][0], last[1][0], VL);
    for (int i = 0; i < rows; i++) {
        memcpy(r + i * n + j, last[0][i], (size_t)(n - j) * 4);
        memcpy(k + i * n + j, last[1][i], (size_t)(n - j) * 4);
    }
}

static void TK_SIMD(angles_near)(const int32_t *positions, int64_t axes, int64_t ldp, int64_t rows, const int32_t *axis,
                                 const float *inv_freq, float *r, float *k, int64_t n)
{
    const float *p0 = (const float *)positions, *p1 = p0 + (axes > 1) * ldp, *p2 = p1 + (axes > 2) * ldp, *p3 = p2 + (axes > 3) * ldp;
    int64_t i = 0;
    vf at[WIDE];
    for (; i + WIDE <= rows; i += WIDE) {
        __m128 a = _mm_loadu_ps(p0 + i), b = _mm_loadu_ps(p1 + i), c = _mm_loadu_ps(p2 + i), d = _mm_loadu_ps(p3 + i);
        _MM_TRANSPOSE4_PS(a, b, c, d);  // of bits, that is
        at[0] = v_table4(a), at[1] = v_table4(b), at[2] = v_table4(c), at[3] = v_table4(d);
        angles_near_rows(WIDE, at, axis, inv_freq, r + i * n, k + i * n, n);
    }
    for (; i < rows; i++) {
        at[0] = v_table4(_mm_setr_ps(p0[i], p1[i], p2[i], p3[i]));
        angles_near_rows(1, at, axis, inv_freq, r + i * n, k + i * n, n);
    }
}

// sincos_near replaces n of these pairs by their cosines and sines. Meanwhile it has fetched where the next n go: angles_near has too little
// to do for what it writes.
TK_INLINE void sincos_near_part(int n, float *cos_out, float *sin_out)
{
    vf r[WIDE], q[WIDE], c[WIDE], s[WIDE];
    WIDE_FOR_OF(i, n) r[i] = v_load(cos_out + i * VL);
    WIDE_FOR_OF(i, n) q[i] = v_mul(r[i], r[i]);
    wide_line(n, s, q, -0.0001951225696f, 0.008332141813f);
    wide_line(n, c, q, 2.443280729e-5f, -0.001388731975f);
    wide_horner(n, s, q, -0.1666665439f);
    wide_horner(n, c, q, 0.04166664593f);
    WIDE_FOR_OF(i, n) s[i] = v_mul(s[i], q[i]);
    wide_horner(n, c, q, -0.5f);
    WIDE_FOR_OF(i, n) s[i] = v_fma(s[i], r[i], r[i]);
    wide_horner(n, c, q, 1);
    WIDE_FOR_OF(i, n) v_quadrant(v_load(sin_out + i * VL), &c[i], &s[i]);
    WIDE_FOR_OF(i, n) v_store(cos_out + i * VL, c[i]), v_store(sin_out + i * VL, s[i]);
}

static void TK_SIMD(sincos_near)(float *cos_out, float *sin_out, int64_t n)
{
    enum { STEP = WIDE_LANES };
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP) {
        for (int l = 0; l < STEP; l += 16) __builtin_prefetch(cos_out + n + j + l, 1, 2), __builtin_prefetch(sin_out + n + j + l, 1, 2);
        sincos_near_part(WIDE, cos_out + j, sin_out + j);
    }
    for (; j + VL <= n; j += VL) sincos_near_part(1, cos_out + j, sin_out + j);
    if (j == n) return;
    float last[2][VL] = {{0}};
    const size_t bytes = (size_t)(n - j) * 4;
    memcpy(last[0], cos_out + j, bytes), memcpy(last[1], sin_out + j, bytes);
    sincos_near_part(1, last[0], last[1]);
    memcpy(cos_out + j, last[0], bytes), memcpy(sin_out + j, last[1], bytes);
}
#endif

// rope: pair (x0, x1) = (x[j], x[j + dim/2]) of each head becomes (x0 c - x1 s, x1 c + x0 s). Floor: the row read and written.
//
// Head by head, so that memory sees one stream, with the row's cosines and sines in L1 in the order that vectors of x have, their NaNs
// clean for the sake of v_put2_bf16_clean. Meanwhile it fetches the next row, which is to be turned after this one.
TK_INLINE void rope_turn(vf *x0, vf *x1, vf c, vf s)
{
    vf r0 = v_fnma(*x1, s, v_mul(*x0, c)), r1 = v_fma(*x0, s, v_mul(*x1, c));
    *x0 = r0, *x1 = r1;
}

enum { ROPE_PAIRS = 128 };  // of a head at a time; a multiple of 2 VL

#define ROPE_ROW(T, type)                                                                                                      \
    TK_INLINE void rope_head_##T(type *x, type *y, const float *c, const float *s, int64_t n)                                  \
    {                                                                                                                          \
        int64_t j = 0;                                                                                                         \
        for (; j + 2 * VL <= n; j += 2 * VL) {                                                                                 \
            vf a0, a1, b0, b1;                                                                                                 \
            v_get2_##T(x + j, &a0, &a1), v_get2_##T(y + j, &b0, &b1);                                                          \
            rope_turn(&a0, &b0, v_load(c + j), v_load(s + j)), rope_turn(&a1, &b1, v_load(c + j + VL), v_load(s + j + VL));    \
            v_put2_##T##_clean(x + j, a0, a1), v_put2_##T##_clean(y + j, b0, b1);                                              \
        }                                                                                                                      \
        for (; j + VL <= n; j += VL) {                                                                                         \
            vf a = v_get_##T(x + j), b = v_get_##T(y + j);                                                                     \
            rope_turn(&a, &b, v_load(c + j), v_load(s + j));                                                                   \
            v_put_##T(x + j, a), v_put_##T(y + j, b);                                                                          \
        }                                                                                                                      \
        if (j == n) return;                                                                                                    \
        vf a = v_getn_##T(x + j, n - j), b = v_getn_##T(y + j, n - j);                                                         \
        rope_turn(&a, &b, v_load(c + j), v_load(s + j));                                                                       \
        v_putn_##T(x + j, a, n - j), v_putn_##T(y + j, b, n - j);                                                              \
    }                                                                                                                          \
    static void TK_SIMD(rope_##T)(void *xv, const float *cos, const float *sin, int64_t heads, int64_t dim, float sign,        \
                                  const void *next)                                                                            \
    {                                                                                                                          \
        const int64_t half = dim / 2;                                                                                          \
        const vf turn = v_set1(sign);                                                                                          \
        for (int64_t j0 = 0; j0 < half; j0 += ROPE_PAIRS) {                                                                    \
            float c[ROPE_PAIRS], s[ROPE_PAIRS];                                                                                \
            const int64_t n = half - j0 < ROPE_PAIRS ? half - j0 : ROPE_PAIRS;                                                 \
            int64_t j = 0;                                                                                                     \
            vf a, b;                                                                                                           \
            for (; j + 2 * VL <= n; j += 2 * VL) {                                                                             \
                v_get2_f32_as_##T(cos + j0 + j, &a, &b);                                                                       \
                v_store(c + j, v_clean(a)), v_store(c + j + VL, v_clean(b));                                                   \
                v_get2_f32_as_##T(sin + j0 + j, &a, &b);                                                                       \
                v_store(s + j, v_mul(turn, v_clean(a))), v_store(s + j + VL, v_mul(turn, v_clean(b)));                         \
            }                                                                                                                  \
            for (; j < n; j += VL) {                                                                                           \
                const int64_t m = n - j < VL ? n - j : VL;                                                                     \
                v_store(c + j, v_load_upto(cos + j0 + j, m)), v_store(s + j, v_mul(turn, v_load_upto(sin + j0 + j, m)));       \
            }                                                                                                                  \
            type *x = (type *)xv + j0;                                                                                         \
            const char *ahead = next ? (const char *)next + j0 * (int64_t)sizeof *x : (const char *)x;                         \
            for (int64_t h = 0; h < heads; h++, x += dim, ahead += dim * (int64_t)sizeof *x) {                                 \
                for (int64_t l = 0; l < dim * (int64_t)sizeof *x; l += 64) __builtin_prefetch(ahead + l, 1, 2);                \
                rope_head_##T(x, x + half, c, s, n);                                                                           \
            }                                                                                                                  \
        }                                                                                                                      \
    }

ROPE_ROW(f32, float)
ROPE_ROW(bf16, uint16_t)

#undef D_FMA
#undef D_REDUCE
