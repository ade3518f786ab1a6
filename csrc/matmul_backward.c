// matmul_backward.c - to come.
#include "check.h"

int32_t tk_cpu_matmul_dx(uint64_t ctx, tk_matmul_dx_args *a, tk_error *err)
{
    TK_ENTER("matmul_dx");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "matmul_dx: not in this back-end");
}

int32_t tk_cpu_matmul_dw(uint64_t ctx, tk_matmul_dw_args *a, tk_error *err)
{
    TK_ENTER("matmul_dw");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "matmul_dw: not in this back-end");
}

int32_t tk_cpu_matmul_backward_workspace(uint64_t ctx, tk_matmul_backward_workspace_args *a, tk_error *err)
{
    TK_ENTER("matmul_backward_workspace");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "matmul_backward_workspace: not in this back-end");
}
