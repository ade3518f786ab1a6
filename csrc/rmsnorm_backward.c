// rmsnorm_backward.c - to come.
#include "check.h"

int32_t tk_cpu_rmsnorm_backward(uint64_t ctx, tk_rmsnorm_backward_args *a, tk_error *err)
{
    TK_ENTER("rmsnorm_backward");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "rmsnorm_backward: not in this back-end");
}
