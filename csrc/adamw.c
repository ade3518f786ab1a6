// adamw.c - to come.
#include "check.h"

int32_t tk_cpu_adamw(uint64_t ctx, tk_adamw_args *a, tk_error *err)
{
    TK_ENTER("adamw");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "adamw: not in this back-end");
}
