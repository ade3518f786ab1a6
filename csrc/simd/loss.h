// loss.h - the table of the kernels of losses, for one ISA.
#include "group_advantage.h"
#include "policy_loss.h"

static const tk_loss_kernels TK_SIMD(loss_kernels) = {
    .log_ratios = TK_SIMD(policy_log_ratios),
    .tokens = TK_SIMD(policy_tokens),
    .spread = TK_SIMD(policy_spread),
    .exp = TK_SIMD(policy_exp),
    .group_look = TK_SIMD(group_look),
    .reward_range = TK_SIMD(reward_range),
    .reward_sum = TK_SIMD(reward_sum),
    .reward_squares = TK_SIMD(reward_squares),
    .advantages = TK_SIMD(advantages),
    .lanes = TILE_LANES,
    .group_tile = TK_SIMD(group_tile),
};
