// past.h - stores past the caches: of what is not needed soon. No line is fetched for them first, which halves the traffic of a write.
//
// The processor has some buffers in which such stores make up whole lines; a line that is not full when its buffer is wanted goes out in
// parts, slowly. So whole lines are stored, in one piece.
#ifndef TK_SIMD_PAST_H
#define TK_SIMD_PAST_H

#include "vec.h"

// PAST_RESULTS: kernels whose results are larger than caches store them so. Measured on Intel's server cores, whose default is level 3: a
// core has few requests to memory in flight, and a third of a window's were for lines only to be written. Not tried on others.
enum { PAST_RESULTS = TK_ISA_LEVEL == 3 };

// v_store_past writes VL lanes; those that are not aligned in the ordinary way. v_past_fence makes such writes visible to other threads.
TK_INLINE void v_store_past(int aligned, uint32_t *p, vi x)
{
#if TK_ISA_LEVEL >= 3
    if (aligned) _mm512_stream_si512((void *)p, x);
    else _mm512_storeu_si512(p, x);
#elif TK_ISA_LEVEL == 2
    if (aligned) _mm256_stream_si256((void *)p, x);
    else _mm256_storeu_si256((void *)p, x);
#else
    (void)aligned;
    memcpy(p, &x, sizeof x);
#endif
}

TK_INLINE void v_past_fence(void)
{
#if TK_ISA_LEVEL >= 2
    _mm_sfence();
#endif
}

#endif
