// group_advantage.h - moments and advantages of a group's rewards, in double, for one ISA.
//
// No sum depends on the order of the rewards, as no addition rounds (tk_cuts): so there is nothing to sort. Four passes over a group: its
// range, its sum, its squares, its advantages; a group of a few rewards is a vector or two. Rewards that are all equal have that very number as
// mean, and no deviation: not what rounding leaves of them. Floor: about 20 operations a reward.
#include "../loss_kernels.h"
#include "vec64.h"

TK_INLINE void reward_range(const double *x, int64_t n, tk_reward_range *r)
{
    vd least = d_set1(r->least), most = d_set1(r->most), least1 = least, most1 = most;
    vm count = {0};
    int64_t i = 0;
    for (; i + 2 * DL <= n; i += 2 * DL) {
        vd v = d_load(x + i), u = d_load(x + i + DL);
        least = d_min(v, least), most = d_max(v, most), least1 = d_min(u, least1), most1 = d_max(u, most1);
        count -= (vm)(v == v) + (vm)(u == u);
    }
    for (; i < n; i += DL) {
        vd v = d_load_part(x + i, n - i);
        least = d_min(v, least), most = d_max(v, most);
        count -= (vm)(v == v);
    }
    least = d_min(least, least1), most = d_max(most, most1);
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

static uint32_t TK_SIMD(reward_look)(const double *x, const int32_t *group, int64_t n, int64_t groups)
{
    uint32_t outside = 0, descends = 0;
    for (int64_t i = 0; i < n; i++) outside |= (uint32_t)group[i] >= (uint32_t)groups;
    for (int64_t i = 1; i < n; i++) descends |= group[i] < group[i - 1];
    vm infinite[2] = {{0}};
    int64_t i = 0;
    for (; i + 2 * DL <= n; i += 2 * DL)
        for (int l = 0; l < 2; l++) infinite[l] |= (vm)(d_abs(d_load(x + i + l * DL)) == d_set1(INFINITY));
    for (; i < n; i += DL) infinite[0] |= (vm)(d_abs(d_load_part(x + i, n - i)) == d_set1(INFINITY));
    return (outside || !d_all(~(infinite[0] | infinite[1])) ? TK_REWARDS_BAD : 0) | (descends ? TK_REWARDS_APART : 0);
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

// reward_cuts is tk_cuts_of for lanes whose largest magnitude is far from the ends of the exponents, with bits = log2 n, rounded up, << 52.
TK_INLINE void reward_cuts(vd most, vm bits, vd cut[2])
{
    const vu one = (vu){0} + (1ull << 52), n = (vu)bits, top = (vu)most & ((vu){0} + (0x7ffull << 52));
    cut[0] = (vd)((top + n + 2 * one) | one >> 1);
    cut[1] = (vd)((top + 2 * n - 50 * one) | one >> 1);
}

// A tile's rows are TILE vectors, side by side: what a group takes is a long chain of operations, each of which waits for the last.
enum { TILE = 4, TILE_LANES = TILE * DL };

#define TILE_FOR(k) _Pragma("GCC unroll 4") for (int k = 0; k < TILE; k++)

TK_INLINE void reward_tile_sum(const double *x, int64_t members, int squares, const vd *mean, vd (*cut)[2], vd *sum)
{
    vd low[TILE];
    TILE_FOR(k) sum[k] = low[k] = d_set1(0);
    for (int64_t j = 0; j < members; j++, x += TILE_LANES)
        TILE_FOR(k)
        {
            vd v = d_load(x + k * DL);
            v = d_keep((vm)(v == v), squares ? (v - mean[k]) * (v - mean[k]) : v);
            vd h = (v + cut[k][0]) - cut[k][0];
            sum[k] += h, low[k] += (v - h + cut[k][1]) - cut[k][1];
        }
    TILE_FOR(k) sum[k] += low[k];
}

// Lanes whose numbers are near the ends of the exponents are done one by one.
static __attribute__((noinline)) void TK_SIMD(group_tile_extreme)(double *x, int64_t members, const tk_advantage_rule *r, tk_moments *m)
{
    double one[TK_TILE_MEMBERS];
    for (int l = 0; l < TILE_LANES; l++) {
        for (int64_t j = 0; j < members; j++) one[j] = x[j * TILE_LANES + l];
        m[l] = TK_SIMD(group)(one, members, r, one);
        for (int64_t j = 0; j < members; j++) x[j * TILE_LANES + l] = one[j];
    }
}

// group_tile is group for TILE_LANES groups, one in each lane, to the bit.
static void TK_SIMD(group_tile)(double *x, int64_t members, const tk_advantage_rule *r, tk_moments *m)
{
    const vd one = d_set1(1), small = d_set1(0x1p-700), large = d_set1(0x1p700), magic = d_set1(0x1p52);
    const vm exponent = (vm){0} + (0x7ffll << 52);
    vd least[TILE], most[TILE], n[TILE], mean[TILE], std[TILE], squares[TILE], divisor[TILE], cut[TILE][2];
    vm count[TILE], differ[TILE], bits[TILE], fair = ~(vm){0};
    TILE_FOR(k) least[k] = d_set1(INFINITY), most[k] = d_set1(-INFINITY), count[k] = (vm){0};
    for (int64_t j = 0; j < members; j++)
        TILE_FOR(k)
        {
            vd v = d_load(x + j * TILE_LANES + k * DL);
            least[k] = d_min(v, least[k]), most[k] = d_max(v, most[k]);
            count[k] -= (vm)(v == v);
        }
    TILE_FOR(k)
    {
        differ[k] = (vm)(least[k] < most[k]);
        n[k] = d_select(differ[k], (vd)(count[k] | (vm)magic) - magic, one);
        bits[k] = ((vm)n[k] & exponent) - (1022ll << 52);
        vd largest = d_select(differ[k], d_max(d_neg(least[k]), most[k]), one);
        fair &= (vm)(largest > small) & (vm)(largest < large);
        reward_cuts(largest, bits[k], cut[k]);
    }
    reward_tile_sum(x, members, 0, mean, cut, mean);
    TILE_FOR(k)
    {
        mean[k] = d_select(differ[k], mean[k] / n[k], d_keep((vm)(count[k] > 0), least[k] + 0.0));
        vd low = least[k] - mean[k], high = most[k] - mean[k], square = d_select(differ[k], d_max(low * low, high * high), one);
        fair &= (vm)(square > small) & (vm)(square < large);
        reward_cuts(square, bits[k], cut[k]);
    }
    if (!d_all(fair)) {
        TK_SIMD(group_tile_extreme)(x, members, r, m);
        return;
    }
    reward_tile_sum(x, members, 1, mean, cut, squares);
    TILE_FOR(k)
    {
        vm alone = r->lone ? (vm)(count[k] == 1) : (vm){0};
        std[k] = d_select(alone, one, d_keep(differ[k], d_sqrt(squares[k] / (n[k] - 1))));
        mean[k] = d_drop(alone, mean[k]);
        divisor[k] = one;
        if (r->scale != TK_SCALE_NONE) divisor[k] = (r->scale == TK_SCALE_BATCH ? d_select(alone, std[k], d_set1(r->all)) : std[k]) + r->epsilon;
    }
    for (int64_t j = 0; j < members; j++)
        TILE_FOR(k)
        {
            double *at = x + j * TILE_LANES + k * DL;
            vd v = d_load(at);
            d_store(at, d_drop((vm)(divisor[k] == 0), d_keep((vm)(v == v), (v - mean[k]) / divisor[k])));
        }
    for (int l = 0; l < TILE_LANES; l++) m[l] = (tk_moments){mean[l / DL][l % DL], std[l / DL][l % DL], count[l / DL][l % DL]};
}
