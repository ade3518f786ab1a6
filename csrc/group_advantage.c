// group_advantage.c - to come.
#include "check.h"

int32_t tk_cpu_group_advantage(uint64_t ctx, tk_group_advantage_args *a, tk_error *err)
{
    TK_ENTER("group_advantage");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "group_advantage: not in this back-end");
}
