// attention_backward.c - to come.
#include "check.h"

int32_t tk_cpu_attention_backward(uint64_t ctx, tk_attention_backward_args *a, tk_error *err)
{
    TK_ENTER("attention_backward");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "attention_backward: not in this back-end");
}

int32_t tk_cpu_attention_backward_workspace(uint64_t ctx, tk_attention_backward_workspace_args *a, tk_error *err)
{
    TK_ENTER("attention_backward_workspace");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "attention_backward_workspace: not in this back-end");
}
