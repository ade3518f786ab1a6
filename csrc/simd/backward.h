// backward.h - the table of the kernels of backward passes and optimizer, for one ISA.
#include "rmsnorm_backward.h"

static const tk_backward_kernels TK_SIMD(backward_kernels) = {
    .rmsnorm_dw = {TK_SIMD(rmsnorm_dw_f32), TK_SIMD(rmsnorm_dw_bf16)},
    .rmsnorm_dx = {TK_SIMD(rmsnorm_dx_f32), TK_SIMD(rmsnorm_dx_bf16)},
};
