// activation_backward.c - to come.
#include "check.h"

int32_t tk_cpu_swiglu_backward(uint64_t ctx, tk_swiglu_backward_args *a, tk_error *err)
{
    TK_ENTER("swiglu_backward");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "swiglu_backward: not in this back-end");
}

int32_t tk_cpu_gelu_backward(uint64_t ctx, tk_gelu_backward_args *a, tk_error *err)
{
    TK_ENTER("gelu_backward");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "gelu_backward: not in this back-end");
}
