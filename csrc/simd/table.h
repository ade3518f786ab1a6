// table.h - one ISA's tk_kernels, from the kernel headers. Included last by each isa_*.c.
#include "attention.h"
#include "backward.h"
#include "attention_backward.h"
#include "elementwise.h"
#include "loss.h"
#include "matmul.h"
#include "matmul_backward.h"
#include "probe.h"
#include "vocab.h"

const tk_kernels TK_SIMD(tk_kernels) = {
    .isa = TK_TILES ? TK_ISA_AMX : TK_ISA_LEVEL,
    .matmul = &TK_SIMD(matmul_kernels),
    .matmul_backward = &TK_SIMD(matmul_backward_kernels),
    .probe = &TK_SIMD(probe_kernels),
    .elementwise = &TK_SIMD(elementwise_kernels),
    .attention = &TK_SIMD(attention_kernels),
    .attention_backward = &TK_SIMD(attention_backward_kernels),
    .vocab = &TK_SIMD(vocab_kernels),
    .backward = &TK_SIMD(backward_kernels),
    .loss = &TK_SIMD(loss_kernels),
};
