// isa_avx2.c - the kernels for AVX2 and FMA.
#if defined(__x86_64__)
#include "kernels.h"

#define TK_ISA_LEVEL 2
#define TK_SIMD(name) name##_avx2
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#include "simd/table.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
