// group_advantage.h - moments and advantages of a group's rewards, in double, for one ISA.
//
// No sum depends on the order of the rewards, as no addition rounds (tk_cuts): so there is nothing to sort. Four passes over a group: its
// range, its sum, its squares, its advantages; a group of a few rewards is a vector or two. Rewards that are all equal have that very number as
// mean, and no deviation: not what rounding leaves of them. Floor: about 20 operations a reward.
#include "../loss_kernels.h"
#include "vec64.h"

TK_INLINE void reward_range(const double *x, int64_t n, tk_reward_range *r)
{
    vd least = d_set1(r->least), most = d_set1(r->most);
    vm count = {0};
    for (int64_t i = 0; i < n; i += DL) {
        vd v = d_load_part(x + i, n - i);
        least = d_min(v, least), most = d_max(v, most);
        count -= (vm)(v == v);
    }
    double low[DL], high[DL];
    d_store(low, least), d_store(high, most);
    for (int half = DL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) {
            low[l] = low[l + half] < low[l] ? low[l + half] : low[l];
            high[l] = high[l + half] > high[l] ? high[l + half] : high[l];
        }
    r->least = low[0], r->most = high[0];
    r->n += d_count(count);
}

TK_INLINE void reward_sum(const double *x, int64_t n, int squares, double mean, const tk_cuts *c, double sums[2])
{
    const vd scale = d_set1(c->scale), cut0 = d_set1(c->cut[0]), cut1 = d_set1(c->cut[1]), m = d_set1(mean);
    vd high = {0}, low = {0};
    for (int64_t i = 0; i < n; i += DL) {
        vd v = d_load_part(x + i, n - i);
        v = d_keep((vm)(v == v), squares ? (v - m) * (v - m) : v) * scale;
        vd h = (v + cut0) - cut0, l = (v - h + cut1) - cut1;
        high += h, low += l;
    }
    sums[0] += d_sum(high), sums[1] += d_sum(low);
}

TK_INLINE void advantages(const double *x, int64_t n, double mean, double divisor, double *y)
{
    const vd m = d_set1(mean), d = d_set1(divisor);
    for (int64_t i = 0; i < n; i += DL) {
        vd v = d_load_part(x + i, n - i);
        d_store_part(y + i, divisor == 0 ? d_set1(0) : d_keep((vm)(v == v), (v - m) / d), n - i);
    }
}

static void TK_SIMD(reward_range)(const double *x, int64_t n, tk_reward_range *r) { reward_range(x, n, r); }
static void TK_SIMD(reward_sum)(const double *x, int64_t n, const tk_cuts *c, double sums[2]) { reward_sum(x, n, 0, 0, c, sums); }
static void TK_SIMD(reward_squares)(const double *x, int64_t n, double mean, const tk_cuts *c, double sums[2])
{
    reward_sum(x, n, 1, mean, c, sums);
}
static void TK_SIMD(advantages)(const double *x, int64_t n, double mean, double divisor, double *y) { advantages(x, n, mean, divisor, y); }

static tk_moments TK_SIMD(group)(const double *x, int64_t n, const tk_advantage_rule *r, double *y)
{
    tk_reward_range range = TK_NO_REWARDS;
    reward_range(x, n, &range);
    tk_moments m = {.n = range.n, .mean = range.n ? range.least + 0.0 : 0};
    double squares = 0;
    if (range.least < range.most) {
        double sums[2] = {0};
        tk_cuts c = tk_cuts_of(tk_largest(range.least, range.most), m.n);
        reward_sum(x, n, 0, 0, &c, sums);
        m.mean = tk_mean(sums, &c, m.n);
        squares = tk_most_square(&range, m.mean);
        if (squares > 0 && squares < INFINITY) {
            double both[2] = {0};
            c = tk_cuts_of(squares, m.n);
            reward_sum(x, n, 1, m.mean, &c, both);
            squares = tk_sum(both, &c);
        }
        m.std = sqrt(squares / (double)(m.n - 1));
    }
    double divisor = tk_advantage_divisor(r, &m);
    advantages(x, n, m.mean, divisor, y);
    return m;
}
