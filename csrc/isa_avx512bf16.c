// isa_avx512bf16.c - the kernels for AVX-512 with bf16 dot products.
#if defined(__x86_64__)
#include "kernels.h"

#define TK_ISA_LEVEL 4
#define TK_SIMD(name) name##_avx512bf16
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include "simd/table.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
