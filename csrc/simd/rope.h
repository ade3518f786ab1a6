// rope.h - rotary position embeddings: angles to cosines and sines, and the rotation of one row of heads, for one ISA.
#include "dtype.h"

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

// sincos: cosines and sines of f32 angles in double, rounded once: within 0.502 ulp of f32 for |angle| <= 2^30.
//
// angle = k pi/2 + r, |r| <= pi/4; polynomials in r fitted to least relative error (sin 5e-12, cos 1.2e-10); k mod 4 swaps and negates.
// Without a branch, so that the compiler makes vectors of it. Floor: 4 bytes read and 8 written an element, or about 40 FLOPs; it runs
// once a forward pass.
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

// rope: pair (x0, x1) = (x[j], x[j + dim/2]) of each head becomes (x0 c - x1 s, x1 c + x0 s). Floor: the row read and written.
//
// What is left of a half after whole vectors is done by one more whole vector that overlaps the last: it is loaded before any of
// the head is stored and stored after it, so the overlap gets the same values twice. (A masked load would wait for the stores that
// touch the lanes it masks.) Only heads of less than a vector use masks.
#define ROPE_ROW(T, type)                                                                                                      \
    TK_INLINE void rope_pair_##T(vf x0, vf x1, vf c, vf s, type *y0, type *y1, int64_t n)                                      \
    {                                                                                                                          \
        vf r0 = v_fnma(x1, s, v_mul(x0, c)), r1 = v_fma(x0, s, v_mul(x1, c));                                                  \
        if (n == VL) v_put_##T(y0, r0), v_put_##T(y1, r1);                                                                     \
        else v_putn_##T(y0, r0, n), v_putn_##T(y1, r1, n);                                                                     \
    }                                                                                                                          \
    static void TK_SIMD(rope_##T)(void *xv, const float *cos, const float *sin, int64_t heads, int64_t dim, float sign)        \
    {                                                                                                                          \
        int64_t half = dim / 2;                                                                                                \
        vf turn = v_set1(sign);                                                                                                \
        type *x = xv, *end = x + heads * dim;                                                                                  \
        if (half < VL) {                                                                                                       \
            vf c = v_loadn(cos, half), s = v_mul(turn, v_loadn(sin, half));                                                    \
            for (; x < end; x += dim)                                                                                          \
                rope_pair_##T(v_getn_##T(x, half), v_getn_##T(x + half, half), c, s, x, x + half, half);                       \
            return;                                                                                                            \
        }                                                                                                                      \
        int64_t last = half - VL;                                                                                              \
        for (; x < end; x += dim) {                                                                                            \
            vf x0 = v_get_##T(x + last), x1 = v_get_##T(x + half + last);                                                      \
            for (int64_t j = 0; j < last; j += VL)                                                                             \
                rope_pair_##T(v_get_##T(x + j), v_get_##T(x + half + j), v_load(cos + j), v_mul(turn, v_load(sin + j)), x + j, \
                              x + half + j, VL);                                                                               \
            rope_pair_##T(x0, x1, v_load(cos + last), v_mul(turn, v_load(sin + last)), x + last, x + half + last, VL);         \
        }                                                                                                                      \
    }

ROPE_ROW(f32, float)
ROPE_ROW(bf16, uint16_t)

#undef D_FMA
#undef D_REDUCE
