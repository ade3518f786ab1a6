// logprob_backward.c - to come.
#include "check.h"

int32_t tk_cpu_logprob_backward(uint64_t ctx, tk_logprob_backward_args *a, tk_error *err)
{
    TK_ENTER("logprob_backward");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "logprob_backward: not in this back-end");
}

int32_t tk_cpu_logprob_backward_workspace(uint64_t ctx, tk_logprob_backward_workspace_args *a, tk_error *err)
{
    TK_ENTER("logprob_backward_workspace");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "logprob_backward_workspace: not in this back-end");
}
