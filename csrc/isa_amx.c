// isa_amx.c - the kernels for AVX-512 with bf16 products on tiles (AMX-TILE, AMX-BF16). All else is AVX-512's, whose pairs of FMAs are faster than
// vdpbf16ps on the processors that have tiles.
#include "kernels.h"

#if TK_BUILDS_AMX
#define TK_ISA_LEVEL 3
#define TK_TILES 1
#define TK_SIMD(name) name##_amx
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include "simd/table.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
