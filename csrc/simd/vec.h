// vec.h - the few vector verbs that the kernels are written in, for one instruction set a translation unit.
//
// An isa_*.c file defines TK_ISA_LEVEL (the number of its TK_ISA_* value, which the preprocessor cannot read: 1 portable, 2 AVX2,
// 3 AVX-512, 4 with bf16 dot products) and TK_SIMD(name), includes this file inside its target region, and then the kernel headers; so every kernel is written once. VL is the number of f32 lanes.
//
// Rules that the kernels rely on
//   - v_max(a, b) and v_min(a, b) return b when either is NaN: put the constant first and NaN survives.
//   - v_dot(acc, a, b) is the bf16 lane product of the ABI: acc + a.lo*b.lo + a.hi*b.hi, in the ISA's own order.
//   - v_low_bf16 and v_high_bf16 widen the two bf16 of each lane; v_dot on an ISA without the instruction is two FMAs, low first.
//   - v_held(x) is x, computed there and then, in a register. v_fma_tight and v_high_bf16_tight are v_fma and v_high_bf16 for where no
//     register is free: they are done in their order, the sum stays where it is, and the mask comes from memory.
//   - v_hsum and v_hmax reduce by halves: one fixed tree for each VL.
//   - v_load2_bf16 widens 2 VL bf16 into two vectors, in an order of the ISA's own; v_load2 and v_store2_bf16 have the same order.
//   - v_store2_bf16_clean is v_store2_bf16 for results that may be rounded to either of two equally near, and whose NaNs have 0 in the low half
//     of their bits, as have those that arithmetic makes of widened bf16 and of f32 that went through v_clean.
//   - v_as_bf16(x) is x rounded to bf16 and widened again, to either of two equally near; NaNs are to be clean as above.
//   - v_shift_exponent(p, t) is p 2^n for t = n + 1.5 2^23, n an integer: n is t's low bits. p and p 2^n must be normal; NaN may be lost.
//   - v_shift_down(p, t) is p 2^-n likewise, 0 <= n < 512 and p > 0: anything from 0 up to 2^-126 where it is less than that.
//   - v_pow2(t) is 2^n, rounded, for t = n + 1.5 2^20, n a multiple of 1/8 from -126 up, and 0 at -127: t's low 3 bits say the significand,
//     those above them the exponent. Of a NaN it makes anything.
//   - v_exp is within 2 ulp on [-87, 88], 0 below -87.33, exactly 1 at 0, and keeps NaN.
#ifndef TK_SIMD_VEC_H
#define TK_SIMD_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef TK_TILES
#define TK_TILES 0  // 1: bf16 products by the tile instructions
#endif

#define TK_INLINE static inline __attribute__((always_inline, unused))

// TK_UNROLL(n) goes before a loop that is to be unrolled, n times or as often as its bound says, if that is a constant. clang unrolls n times only
// after it has put arrays into memory: accumulators among them, which costs three quarters of the speed up to version 16. The whole loop it
// unrolls before.
#define TK_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define TK_UNROLL(n) TK_PRAGMA(clang loop unroll(full))
#else
#define TK_UNROLL(n) TK_PRAGMA(GCC unroll n)
#endif

TK_INLINE float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

TK_INLINE uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);  // NaN stays NaN, and quiet
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// The bits of 2^(k/8) less k 2^20, for k = 0 .. 7, and again.
static const _Alignas(64) uint32_t TK_SIMD(pow2_eighths)[16] = {
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7,
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7,
};

#if TK_ISA_LEVEL >= 3
// ------------------------------------------------------------------------------------------------------------- AVX-512
#include <immintrin.h>
enum { VL = 16 };
typedef __m512 vf;
typedef __m512i vi;

TK_INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
TK_INLINE vf v_set1(float x) { return _mm512_set1_ps(x); }
TK_INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
TK_INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
TK_INLINE vf v_loadn(const void *p, long n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }  // n < VL
TK_INLINE void v_storen(float *p, vf x, long n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x); }
TK_INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
TK_INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
TK_INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
TK_INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
TK_INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
TK_INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }    // a*b + c
TK_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a*b
TK_INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
TK_INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
TK_INLINE vf v_abs(vf a) { return _mm512_abs_ps(a); }
TK_INLINE vf v_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// v_select picks yes where a < b, no elsewhere (also where either is NaN).
TK_INLINE vf v_select_lt(vf a, vf b, vf yes, vf no) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes); }
// v_lt_bits sets bit j where a < b in lane j (not where either is NaN).
TK_INLINE uint32_t v_lt_bits(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
// v_rcp is 1/x within 1 ulp, for x of magnitude 2^-125 to 2^126; v_rcp_near is that to 2^-14 or better.
TK_INLINE vf v_rcp_near(vf x) { return _mm512_rcp14_ps(x); }
TK_INLINE vf v_rcp(vf x)
{
    vf y = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(1)), y);
}
// v_quotient is a/b within 2 ulp, b as v_rcp takes it: for many lanes at once, a division is slower.
TK_INLINE vf v_quotient(vf a, vf b) { return v_mul(a, v_rcp(b)); }
// v_keep leaves lane j of x where bit j of mask is set, and puts other elsewhere.
TK_INLINE vf v_keep(uint32_t mask, vf x, vf other) { return _mm512_mask_blend_ps((__mmask16)mask, other, x); }
TK_INLINE vi v_lanes(const void *p) { return _mm512_loadu_si512(p); }
TK_INLINE vi v_lane1(uint32_t x) { return _mm512_set1_epi32((int)x); }
TK_INLINE vf v_as_f32(vi x) { return _mm512_castsi512_ps(x); }
TK_INLINE vf v_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
TK_INLINE vf v_loadn_bf16(const uint16_t *p, long n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p)), 16));
}
TK_INLINE vf v_low_bf16(vi x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
TK_INLINE vf v_high_bf16(vi x) { return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000u))); }
#if TK_ISA_LEVEL >= 4  // bf16 dot products
TK_INLINE __m256i v_narrow_bf16(vf x) { return (__m256i)_mm512_cvtneps_pbh(x); }
TK_INLINE vf v_dot(vf acc, vi a, vi b)
{
#if defined(__clang__) && __clang_major__ == 16  // crashes on an operand that is one pair in every lane
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(a), "vm"(b));
    return acc;
#else
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
#endif
}
#else
TK_INLINE vf v_as_bf16(vf x)
{
    const __m512i half = _mm512_set1_epi32(0x8000), high = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), high));
}
TK_INLINE __m256i v_narrow_bf16(vf x)
{
    __m512i u = _mm512_castps_si512(x);
    __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1))));
    __m512i q = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    r = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), r, q);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}
TK_INLINE vf v_dot(vf acc, vi a, vi b)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    acc = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), acc);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(a, high)), _mm512_castsi512_ps(_mm512_and_si512(b, high)), acc);
}
#endif
TK_INLINE void v_store_bf16(uint16_t *p, vf x) { _mm256_storeu_si256((void *)p, v_narrow_bf16(x)); }
TK_INLINE void v_load2(const float *p, vf *a, vf *b) { *a = v_load(p), *b = v_load(p + VL); }
TK_INLINE void v_load2_bf16(const uint16_t *p, vf *a, vf *b) { *a = v_load_bf16(p), *b = v_load_bf16(p + VL); }
TK_INLINE void v_store2_bf16(uint16_t *p, vf a, vf b) { v_store_bf16(p, a), v_store_bf16(p + VL, b); }
TK_INLINE void v_storen_bf16(uint16_t *p, vf x, long n) { _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), v_narrow_bf16(x)); }
TK_INLINE float v_hsum(vf x)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
TK_INLINE float v_hmax(vf x)
{
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
// 2^n * x for integral n in [-126, 127].
TK_INLINE vf v_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
TK_INLINE vf v_shift_exponent(vf p, vf t)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
TK_INLINE vf v_shift_down(vf p, vf t)
{
    return _mm512_castsi512_ps(_mm512_subs_epu16(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
TK_INLINE vf v_pow2(vf t)
{
    __m512i n = _mm512_castps_si512(t), significand = _mm512_permutexvar_epi32(n, _mm512_load_si512(TK_SIMD(pow2_eighths)));
    return _mm512_castsi512_ps(_mm512_add_epi32(significand, _mm512_slli_epi32(n, 20)));
}

#elif TK_ISA_LEVEL == 2
// ---------------------------------------------------------------------------------------------------------------- AVX2
#include <immintrin.h>
enum { VL = 8 };
typedef __m256 vf;
typedef __m256i vi;

TK_INLINE __m256i v_mask_n(long n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
TK_INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
TK_INLINE vf v_set1(float x) { return _mm256_set1_ps(x); }
TK_INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
TK_INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
TK_INLINE vf v_loadn(const void *p, long n) { return _mm256_maskload_ps(p, v_mask_n(n)); }  // n < VL
TK_INLINE void v_storen(float *p, vf x, long n) { _mm256_maskstore_ps(p, v_mask_n(n), x); }
TK_INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
TK_INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
TK_INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
TK_INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
TK_INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
TK_INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
TK_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
TK_INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
TK_INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
TK_INLINE vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
TK_INLINE vf v_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
TK_INLINE vf v_select_lt(vf a, vf b, vf yes, vf no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
TK_INLINE uint32_t v_lt_bits(vf a, vf b) { return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
TK_INLINE vf v_rcp(vf x) { return _mm256_div_ps(_mm256_set1_ps(1), x); }
TK_INLINE vf v_quotient(vf a, vf b) { return _mm256_div_ps(a, b); }
TK_INLINE vf v_rcp_near(vf x) { return v_rcp(x); }
TK_INLINE vf v_keep(uint32_t mask, vf x, vf other)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i m = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)mask), bit), bit);
    return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(m));
}
TK_INLINE vi v_lanes(const void *p) { return _mm256_loadu_si256((const void *)p); }
TK_INLINE vi v_lane1(uint32_t x) { return _mm256_set1_epi32((int)x); }
TK_INLINE vf v_as_f32(vi x) { return _mm256_castsi256_ps(x); }
TK_INLINE vf v_load_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
// v_up_bf16 and v_round_bf16 round to bf16 in the high halves of lanes, the low ones being left as they fall. Of a NaN v_up_bf16 makes
// anything, v_round_bf16 all ones.
TK_INLINE __m256i v_up_bf16(vf x)
{
    __m256i u = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
}
TK_INLINE __m256i v_round_bf16(vf x)
{
    return _mm256_or_si256(v_up_bf16(x), _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
TK_INLINE __m128i v_narrow_bf16(vf x)
{
    __m256i r = _mm256_srli_epi32(v_round_bf16(x), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}
// Two vectors of bf16 are the even and the odd elements: what shifts and masks give, without a permutation.
TK_INLINE void v_load2_bf16(const uint16_t *p, vf *a, vf *b)
{
    __m256i x = _mm256_loadu_si256((const void *)p);
    *a = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    *b = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000u)));
}
TK_INLINE void v_store2_bf16(uint16_t *p, vf a, vf b)
{
    __m256i x = v_up_bf16(a), y = v_up_bf16(b);
    if (__builtin_expect(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)), 0)) x = v_round_bf16(a), y = v_round_bf16(b);
    _mm256_storeu_si256((void *)p, _mm256_blend_epi16(_mm256_srli_epi32(x, 16), y, 0xaa));
}
// v_near_bf16 is v_up_bf16 to either of two equally near: three operations fewer.
TK_INLINE __m256i v_near_bf16(vf x) { return _mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0x8000)); }
TK_INLINE void v_store2_bf16_clean(uint16_t *p, vf a, vf b)
{
    _mm256_storeu_si256((void *)p, _mm256_blend_epi16(_mm256_srli_epi32(v_near_bf16(a), 16), v_near_bf16(b), 0xaa));
}
TK_INLINE vf v_as_bf16(vf x) { return _mm256_castsi256_ps(_mm256_and_si256(v_near_bf16(x), _mm256_set1_epi32((int)0xffff0000u))); }
TK_INLINE vf v_clean(vf x) { return _mm256_blendv_ps(x, _mm256_set1_ps(NAN), _mm256_cmp_ps(x, x, _CMP_UNORD_Q)); }
TK_INLINE void v_load2(const float *p, vf *a, vf *b)
{
    vf x = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 8), 1);
    vf y = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4)), _mm_loadu_ps(p + 12), 1);
    *a = _mm256_shuffle_ps(x, y, 0x88);
    *b = _mm256_shuffle_ps(x, y, 0xdd);
}
TK_INLINE vf v_loadn_bf16(const uint16_t *p, long n)
{
    uint16_t t[8] = {0};
    memcpy(t, p, (size_t)n * 2);
    return v_load_bf16(t);
}
TK_INLINE void v_store_bf16(uint16_t *p, vf x) { _mm_storeu_si128((void *)p, v_narrow_bf16(x)); }
TK_INLINE void v_storen_bf16(uint16_t *p, vf x, long n)
{
    uint16_t t[8];
    v_store_bf16(t, x);
    memcpy(p, t, (size_t)n * 2);
}
TK_INLINE vf v_low_bf16(vi x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); }
TK_INLINE vf v_high_bf16(vi x) { return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000u))); }
TK_INLINE vf v_fma_tight(vf a, vf b, vf c)
{
    __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
TK_INLINE vf v_high_bf16_tight(vi x)
{
    static const _Alignas(32) uint32_t high[8] = {0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000};
    vf y;
    __asm__ volatile("vpand %2, %1, %0" : "=x"(y) : "x"(x), "m"(high));
    return y;
}
TK_INLINE vf v_dot(vf acc, vi a, vi b)
{
    const __m256i high = _mm256_set1_epi32((int)0xffff0000u);
    acc = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16)), acc);
    return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(a, high)), _mm256_castsi256_ps(_mm256_and_si256(b, high)), acc);
}
TK_INLINE float v_hsum(vf x)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
TK_INLINE float v_hmax(vf x)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
TK_INLINE vf v_scale2(vf x, vf n)
{
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23)));
}
TK_INLINE vf v_shift_exponent(vf p, vf t)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
TK_INLINE vf v_shift_down(vf p, vf t)
{
    return _mm256_castsi256_ps(_mm256_subs_epu16(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
TK_INLINE vf v_pow2(vf t)
{
    __m256i n = _mm256_castps_si256(t), significand = _mm256_permutevar8x32_epi32(_mm256_load_si256((const void *)TK_SIMD(pow2_eighths)), n);
    return _mm256_castsi256_ps(_mm256_add_epi32(significand, _mm256_slli_epi32(n, 20)));
}

#else
// ------------------------------------------------- portable: four lanes of GNU C vectors (SSE2, NEON, or plain registers)
enum { VL = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));

TK_INLINE vf v_set1(float x) { return (vf){x, x, x, x}; }
TK_INLINE vf v_zero(void) { return v_set1(0); }
TK_INLINE vf v_load(const float *p) { vf x; memcpy(&x, p, 16); return x; }
TK_INLINE void v_store(float *p, vf x) { memcpy(p, &x, 16); }
TK_INLINE vf v_loadn(const void *p, long n) { float t[4] = {0}; memcpy(t, p, (size_t)n * 4); return v_load(t); }  // n < VL
TK_INLINE void v_storen(float *p, vf x, long n) { float t[4]; v_store(t, x); memcpy(p, t, (size_t)n * 4); }
TK_INLINE vf v_add(vf a, vf b) { return a + b; }
TK_INLINE vf v_sub(vf a, vf b) { return a - b; }
TK_INLINE vf v_mul(vf a, vf b) { return a * b; }
TK_INLINE vf v_div(vf a, vf b) { return a / b; }
TK_INLINE vf v_sqrt(vf a) { return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])}; }
TK_INLINE vf v_fma(vf a, vf b, vf c) { return a * b + c; }  // two roundings: -std=c17 does not contract
TK_INLINE vf v_fnma(vf a, vf b, vf c) { return c - a * b; }
TK_INLINE vf v_pick(vi m, vf yes, vf no) { return (vf)((m & (vi)yes) | (~m & (vi)no)); }
TK_INLINE vf v_max(vf a, vf b) { return v_pick(a > b, a, b); }
TK_INLINE vf v_min(vf a, vf b) { return v_pick(a < b, a, b); }
TK_INLINE vf v_abs(vf a) { return (vf)((vi)a & (vi){0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff}); }
TK_INLINE vf v_round(vf a) { return (vf){nearbyintf(a[0]), nearbyintf(a[1]), nearbyintf(a[2]), nearbyintf(a[3])}; }
TK_INLINE vf v_select_lt(vf a, vf b, vf yes, vf no) { return v_pick(a < b, yes, no); }
TK_INLINE uint32_t v_lt_bits(vf a, vf b)
{
    vi m = (a < b) & (vi){1, 2, 4, 8};
    return (uint32_t)(m[0] | m[1] | m[2] | m[3]);
}
TK_INLINE vf v_rcp(vf x) { return v_set1(1) / x; }
TK_INLINE vf v_quotient(vf a, vf b) { return a / b; }
TK_INLINE vf v_rcp_near(vf x) { return v_rcp(x); }
TK_INLINE vf v_keep(uint32_t mask, vf x, vf other)
{
    const vi bit = {1, 2, 4, 8};
    int32_t m = (int32_t)mask;
    return v_pick(((vi){m, m, m, m} & bit) == bit, x, other);
}
TK_INLINE vi v_lanes(const void *p) { vi x; memcpy(&x, p, 16); return x; }
TK_INLINE vi v_lane1(uint32_t x) { int32_t i = (int32_t)x; return (vi){i, i, i, i}; }
TK_INLINE vf v_as_f32(vi x) { return (vf)x; }
TK_INLINE vf v_load_bf16(const uint16_t *p) { return (vf){bf16_to_f32(p[0]), bf16_to_f32(p[1]), bf16_to_f32(p[2]), bf16_to_f32(p[3])}; }
TK_INLINE vf v_loadn_bf16(const uint16_t *p, long n) { uint16_t t[4] = {0}; memcpy(t, p, (size_t)n * 2); return v_load_bf16(t); }
TK_INLINE void v_store_bf16(uint16_t *p, vf x) { for (int i = 0; i < 4; i++) p[i] = f32_to_bf16(x[i]); }
TK_INLINE void v_storen_bf16(uint16_t *p, vf x, long n) { for (long i = 0; i < n; i++) p[i] = f32_to_bf16(x[i]); }
TK_INLINE void v_load2(const float *p, vf *a, vf *b) { *a = v_load(p), *b = v_load(p + VL); }
TK_INLINE void v_load2_bf16(const uint16_t *p, vf *a, vf *b) { *a = v_load_bf16(p), *b = v_load_bf16(p + VL); }
TK_INLINE void v_store2_bf16(uint16_t *p, vf a, vf b) { v_store_bf16(p, a), v_store_bf16(p + VL, b); }
TK_INLINE vf v_as_bf16(vf x)
{
    typedef uint32_t vu __attribute__((vector_size(16)));
    return (vf)(((vu)x + 0x8000) & 0xffff0000);
}
TK_INLINE vf v_low_bf16(vi x) { return (vf)(x << 16); }
TK_INLINE vf v_high_bf16(vi x) { return (vf)(x & (vi){(int32_t)0xffff0000, (int32_t)0xffff0000, (int32_t)0xffff0000, (int32_t)0xffff0000}); }
TK_INLINE vf v_dot(vf acc, vi a, vi b)
{
    const vi high = {(int32_t)0xffff0000, (int32_t)0xffff0000, (int32_t)0xffff0000, (int32_t)0xffff0000};
    acc = (vf)(a << 16) * (vf)(b << 16) + acc;
    return (vf)(a & high) * (vf)(b & high) + acc;
}
TK_INLINE float v_hsum(vf x) { return (x[0] + x[2]) + (x[1] + x[3]); }
TK_INLINE float v_hmax(vf x)
{
    float a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];
    return a > b ? a : b;
}
TK_INLINE vf v_scale2(vf x, vf n)
{
    typedef uint32_t vu __attribute__((vector_size(16)));
    return x * (vf)(((vu)(n + 0x1.8p23f) + 127) << 23);  // no cast to int: n may be NaN
}
TK_INLINE vf v_shift_exponent(vf p, vf t)
{
    typedef uint32_t vu __attribute__((vector_size(16)));
    return (vf)((vu)p + ((vu)t << 23));
}
TK_INLINE vf v_shift_down(vf p, vf t)
{
    typedef uint32_t vu __attribute__((vector_size(16)));
    vu u = (vu)p, n = (vu)t << 23;
    return (vf)((u - n) & (vu)(u > n));
}
TK_INLINE vf v_pow2(vf t)
{
    typedef uint32_t vu __attribute__((vector_size(16)));
    const uint32_t *table = TK_SIMD(pow2_eighths);
    vu n = (vu)t, significand = {table[n[0] & 7], table[n[1] & 7], table[n[2] & 7], table[n[3] & 7]};
    return (vf)(significand + (n << 20));
}
#endif

TK_INLINE vf v_held(vf x)
{
#if TK_ISA_LEVEL >= 2
    __asm__ volatile("" : "+v"(x));
#endif
    return x;
}

#if TK_ISA_LEVEL != 2
TK_INLINE vf v_fma_tight(vf a, vf b, vf c) { return v_fma(a, b, c); }
TK_INLINE vf v_high_bf16_tight(vi x) { return v_high_bf16(x); }
TK_INLINE void v_store2_bf16_clean(uint16_t *p, vf a, vf b) { v_store2_bf16(p, a, b); }
TK_INLINE vf v_clean(vf x) { return x; }
#endif

TK_INLINE vf v_exp(vf x0)
{
    // x = n ln 2 + r, |r| <= ln 2 / 2; e^r by the degree-6 polynomial of Cephes' expf; ln 2 in two parts.
    vf x = v_max(v_set1(-87.3f), v_min(v_set1(88.3f), x0));
    vf n = v_round(v_mul(x, v_set1(1.44269504088896341f)));
    vf r = v_fnma(n, v_set1(0.693359375f), x);
    r = v_fnma(n, v_set1(-2.12194440e-4f), r);
    vf p = v_set1(1.9875691500e-4f);
    p = v_fma(p, r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    p = v_add(v_fma(v_mul(r, r), p, r), v_set1(1.0f));
    return v_select_lt(x0, v_set1(-87.33f), v_zero(), v_scale2(p, n));
}

#endif
