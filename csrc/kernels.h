// kernels.h - the instruction-set dependent part of the cpu back-end: one tk_kernels for each ISA, filled by isa_*.c from the
// headers in simd/, chosen when a context is opened.
#ifndef TK_KERNELS_H
#define TK_KERNELS_H

#include "numerics.h"

#include "attention_backward_kernels.h"
#include "attention_kernels.h"
#include "backward_kernels.h"
#include "elementwise_kernels.h"
#include "loss_kernels.h"
#include "matmul_backward_kernels.h"
#include "matmul_kernels.h"
#include "probe_kernels.h"
#include "vocab_kernels.h"

typedef struct tk_kernels {
    uint32_t isa;
    const tk_matmul_kernels *matmul;
    const tk_matmul_backward_kernels *matmul_backward;
    const tk_probe_kernels *probe;
    const tk_elementwise_kernels *elementwise;
    const tk_attention_kernels *attention;
    const tk_attention_backward_kernels *attention_backward;
    const tk_vocab_kernels *vocab;
    const tk_backward_kernels *backward;
    const tk_loss_kernels *loss;
} tk_kernels;

// TK_BUILDS_AMX: whether the compiler knows the tile instructions.
#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define TK_BUILDS_AMX 1
#else
#define TK_BUILDS_AMX 0
#endif

extern const tk_kernels tk_kernels_scalar;
#if defined(__x86_64__)
extern const tk_kernels tk_kernels_avx2, tk_kernels_avx512, tk_kernels_avx512bf16, tk_kernels_amx;
#endif

#endif
