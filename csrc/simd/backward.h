// backward.h - the table of the kernels of backward passes and optimizer, for one ISA.
#include "activation_backward.h"
#include "adamw.h"
#include "rmsnorm_backward.h"
#include "square_sum.h"

static const tk_backward_kernels TK_SIMD(backward_kernels) = {
    .rmsnorm_dw = {TK_SIMD(rmsnorm_dw_f32), TK_SIMD(rmsnorm_dw_bf16)},
    .rmsnorm_dx = {TK_SIMD(rmsnorm_dx_f32), TK_SIMD(rmsnorm_dx_bf16)},
    .swiglu = {TK_SIMD(swiglu_backward_f32), TK_SIMD(swiglu_backward_bf16)},
    .gelu = {TK_SIMD(gelu_backward_f32), TK_SIMD(gelu_backward_bf16)},
    .adamw = TK_SIMD(adamw),
    .square_sum = TK_SIMD(square_sum),
};
