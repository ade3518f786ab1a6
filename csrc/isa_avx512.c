// isa_avx512.c - the kernels for AVX-512 F, BW, DQ, VL.
#if defined(__x86_64__)
#include "kernels.h"

#define TK_ISA_LEVEL 3
#define TK_SIMD(name) name##_avx512
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include "simd/table.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
