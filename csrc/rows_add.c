// rows_add.c - to come.
#include "check.h"

int32_t tk_cpu_rows_add(uint64_t ctx, tk_rows_add_args *a, tk_error *err)
{
    TK_ENTER("rows_add");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "rows_add: not in this back-end");
}
