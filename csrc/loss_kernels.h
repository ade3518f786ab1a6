// loss_kernels.h - ISA-dependent functions of the losses of policy optimization, in double.
#ifndef TK_LOSS_KERNELS_H
#define TK_LOSS_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"

// Tokens of one sequence: old, ref and advantage may be NULL, as the args say.
typedef struct tk_policy_tokens {
    const double *logprob, *old, *ref, *advantage;
    double *grad;
} tk_policy_tokens;

typedef struct tk_policy_sums {
    double loss;
    double ratio;   // of log-ratios
    double slopes;  // of losses by the sequence's one log-ratio
    double k3;
    int64_t low, high;
} tk_policy_sums;

// Sums over n tokens are taken in 2, 4 or 8 lanes, token i in lane i mod their number in increasing i, and the lanes added by one fixed tree.
typedef struct tk_loss_kernels {
    // log_ratios sets sums->ratio.
    void (*log_ratios)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, tk_policy_sums *sums);
    // tokens sets grad and the other sums. ratio is the sequence's, at TK_LEVEL_SEQUENCE; weight is its weight.
    void (*tokens)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, double ratio, double weight, tk_policy_sums *sums);
    // spread adds x to grad where the log-ratio moves with the log-prob.
    void (*spread)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, double x);
    double (*exp)(double x);
} tk_loss_kernels;

#endif
