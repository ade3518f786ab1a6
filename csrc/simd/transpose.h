// transpose.h - a square of VL x VL lanes in registers: r[i] lane j becomes r[j] lane i.
#ifndef TK_SIMD_TRANSPOSE_H
#define TK_SIMD_TRANSPOSE_H

#include "vec.h"

#if TK_ISA_LEVEL >= 3
TK_INLINE void v_transpose(vi r[VL])
{
    vi t[VL];
    TK_UNROLL(8) for (int i = 0; i < VL; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    TK_UNROLL(4) for (int i = 0; i < VL; i += 4) {  // r[i + c]: lane c of each quarter of four rows
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    TK_UNROLL(4) for (int c = 0; c < 4; c++) {  // the 4 x 4 quarters
        vi even01 = _mm512_shuffle_i32x4(r[c], r[c + 4], 0x88), odd01 = _mm512_shuffle_i32x4(r[c], r[c + 4], 0xdd);
        vi even23 = _mm512_shuffle_i32x4(r[c + 8], r[c + 12], 0x88), odd23 = _mm512_shuffle_i32x4(r[c + 8], r[c + 12], 0xdd);
        t[c] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        t[c + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        t[c + 8] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        t[c + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
    TK_UNROLL(16) for (int i = 0; i < VL; i++) r[i] = t[i];
}
#elif TK_ISA_LEVEL == 2
TK_INLINE void v_transpose(vi r[VL])
{
    vi t[VL];
    TK_UNROLL(4) for (int i = 0; i < VL; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    TK_UNROLL(2) for (int i = 0; i < VL; i += 4) {
        r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    TK_UNROLL(4) for (int c = 0; c < 4; c++) {
        t[c] = _mm256_permute2x128_si256(r[c], r[c + 4], 0x20);
        t[c + 4] = _mm256_permute2x128_si256(r[c], r[c + 4], 0x31);
    }
    TK_UNROLL(8) for (int i = 0; i < VL; i++) r[i] = t[i];
}
#else
TK_INLINE void v_transpose(vi r[VL])
{
    vi a = r[0], b = r[1], c = r[2], d = r[3];
    r[0] = (vi){a[0], b[0], c[0], d[0]};
    r[1] = (vi){a[1], b[1], c[1], d[1]};
    r[2] = (vi){a[2], b[2], c[2], d[2]};
    r[3] = (vi){a[3], b[3], c[3], d[3]};
}
#endif

#endif
