// loss_kernels.h - ISA-dependent functions of the losses of policy optimization, in double.
#ifndef TK_LOSS_KERNELS_H
#define TK_LOSS_KERNELS_H

#include <stdint.h>
#include <string.h>

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

// The rewards of a group that are numbers: their extremes and how many they are.
typedef struct tk_reward_range {
    double least, most;
    int64_t n;
} tk_reward_range;

#define TK_NO_REWARDS ((tk_reward_range){__builtin_inf(), -__builtin_inf(), 0})

// A sum of n doubles in which no addition rounds: each, times scale, is cut into a multiple of the last place of cut[0], one of that of cut[1],
// and a rest that is dropped, less than 2^(2 log2 n - 104) of the largest. So the sum does not depend on the order.
typedef struct tk_cuts {
    double scale, cut[2];
} tk_cuts;

static inline double tk_cut_at(int64_t exponent)
{
    uint64_t u = (uint64_t)(exponent + 1023) << 52 | 1ull << 51;  // 1.5 2^exponent
    double x;
    memcpy(&x, &u, 8);
    return x;
}

// tk_cuts_of is for n numbers of magnitude up to `most`, which is finite.
static inline tk_cuts tk_cuts_of(double most, int64_t n)
{
    uint64_t u;
    memcpy(&u, &most, 8);
    int64_t top = (int64_t)(u >> 52 & 0x7ff) - 1022, bits = 64 - __builtin_clzll((uint64_t)n);  // most < 2^top, n < 2^bits
    tk_cuts c = {.scale = 1};
    if (top > 800) c.scale = 0x1p-300, top -= 300;
    if (top < -800) c.scale = 0x1p300, top += 300;
    c.cut[0] = tk_cut_at(top + bits + 1);
    c.cut[1] = tk_cut_at(top + 2 * bits - 51);
    return c;
}

static inline double tk_sum(const double sums[2], const tk_cuts *c) { return (sums[0] + sums[1]) / c->scale; }
static inline double tk_mean(const double sums[2], const tk_cuts *c, int64_t n) { return (sums[0] + sums[1]) / (double)n / c->scale; }
static inline double tk_largest(double least, double most) { return -least > most ? -least : most; }

// tk_most_square is the largest square of a distance from the mean.
static inline double tk_most_square(const tk_reward_range *r, double mean)
{
    double low = r->least - mean, high = r->most - mean;
    return low * low > high * high ? low * low : high * high;
}

typedef struct tk_moments {
    double mean, std;
    int64_t n;
} tk_moments;

enum { TK_TILE_LANES = 32, TK_TILE_MEMBERS = 64 };  // the most of a tile

// A tile is groups side by side, one in each lane: the rewards from first[l] to last[l].
typedef struct tk_group_tile {
    int64_t members;  // of the largest group
    uint32_t first[TK_TILE_LANES], last[TK_TILE_LANES];
    double mean[TK_TILE_LANES], std[TK_TILE_LANES], n[TK_TILE_LANES];  // out: as in tk_moments
} tk_group_tile;

// What an advantage is divided by: see group_advantage in thinker.h.
typedef struct tk_advantage_rule {
    double all, epsilon;  // all: the deviation of all rewards
    uint32_t scale, lone;
} tk_advantage_rule;

static inline double tk_advantage_divisor(const tk_advantage_rule *r, tk_moments *m)
{
    int alone = m->n == 1 && r->lone;
    if (alone) m->mean = 0, m->std = 1;
    if (r->scale == TK_SCALE_NONE) return 1;
    return (r->scale == TK_SCALE_BATCH && !alone ? r->all : m->std) + r->epsilon;
}

enum { TK_GROUPS_OUTSIDE = 1, TK_GROUPS_APART = 2 };

// Sums over n tokens are taken in 2, 4 or 8 lanes, token i in lane i mod their number in increasing i, and the lanes added by one fixed tree.
typedef struct tk_loss_kernels {
    // log_ratios sets sums->ratio.
    void (*log_ratios)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, tk_policy_sums *sums);
    // tokens sets grad and the other sums. ratio is the sequence's, at TK_LEVEL_SEQUENCE; weight is its weight.
    void (*tokens)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, double ratio, double weight, tk_policy_sums *sums);
    // spread adds x to grad where the log-ratio moves with the log-prob.
    void (*spread)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, double x);
    double (*exp)(double x);
    // group_look says whether a group's number is outside [0, groups), and whether the numbers do not ascend.
    uint32_t (*group_look)(const int32_t *group, int64_t n, int64_t groups);
    // Rewards that are NaN are left out; their advantages are 0. sums is set to the sum of the rewards, or of the squares of their distances
    // from mean.
    tk_reward_range (*reward_range)(const double *x, int64_t n);
    void (*reward_sum)(const double *x, int64_t n, const tk_cuts *c, double sums[2]);
    void (*reward_squares)(const double *x, int64_t n, double mean, const tk_cuts *c, double sums[2]);
    void (*advantages)(const double *x, int64_t n, double mean, double divisor, double *y);
    // group_tile does all of it, to the same bits, for a tile of `lanes` groups; y may be x. Where the numbers of one are near the ends of
    // the exponents it leaves y alone and returns 0.
    int lanes;
    int (*group_tile)(const double *x, double *y, tk_group_tile *t, const tk_advantage_rule *r);
} tk_loss_kernels;

#endif
