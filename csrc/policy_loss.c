// policy_loss.c - to come.
#include "check.h"

int32_t tk_cpu_policy_loss(uint64_t ctx, tk_policy_loss_args *a, tk_error *err)
{
    TK_ENTER("policy_loss");
    (void)cx;
    return tk_fail(err, TK_UNSUPPORTED, "policy_loss: not in this back-end");
}
