// square_sum.c - to come.
#include "check.h"

int32_t tk_cpu_square_sum(uint64_t ctx, tk_square_sum_args *a, tk_error *err)
{
    TK_ENTER("square_sum");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "square_sum: not in this back-end");
}
