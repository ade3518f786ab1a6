// lanes.h - verbs on packed lanes (32 bits: one f32 or two consecutive bf16), in addition to vec.h's.
#ifndef TK_SIMD_LANES_H
#define TK_SIMD_LANES_H

#include "vec.h"

// LANES_FOR is a loop whose bound is a constant, unrolled.
#define LANES_FOR(i, n) TK_UNROLL(16) for (int i = 0; i < (n); i++)

// v_lanes_of is an f32 vector's bits. v_zip_bf16 makes lanes of VL elements of two bf16 rows, the even one in the low halves.
#if TK_ISA_LEVEL >= 3
TK_INLINE vi v_lanes_of(vf x) { return _mm512_castps_si512(x); }
TK_INLINE vi v_zip_bf16(const uint16_t *even, const uint16_t *odd)
{
    __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)even));
    __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)odd));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}
#elif TK_ISA_LEVEL == 2
TK_INLINE vi v_lanes_of(vf x) { return _mm256_castps_si256(x); }
TK_INLINE vi v_zip_bf16(const uint16_t *even, const uint16_t *odd)
{
    __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)even));
    __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)odd));
    return _mm256_or_si256(a, _mm256_slli_epi32(b, 16));
}
#else
TK_INLINE vi v_lanes_of(vf x) { return (vi)x; }
TK_INLINE vi v_zip_bf16(const uint16_t *even, const uint16_t *odd)
{
    vi r;
    for (int i = 0; i < VL; i++) r[i] = (int32_t)((uint32_t)even[i] | (uint32_t)odd[i] << 16);
    return r;
}
#endif

// The first n lanes, n <= VL; a load leaves the others zero, and p need not be aligned for it.
TK_INLINE vf v_load_upto(const float *p, long n) { return n == VL ? v_load(p) : v_loadn(p, n); }
TK_INLINE void v_store_upto(float *p, vf x, long n)
{
    if (n == VL) v_store(p, x);
    else v_storen(p, x, n);
}
TK_INLINE vi v_lanes_upto(const void *p, long n) { return n == VL ? v_lanes(p) : v_lanes_of(v_loadn(p, n)); }
TK_INLINE void v_store_lanes(uint32_t *p, vi x, long n) { v_store_upto((float *)p, v_as_f32(x), n); }

#endif
