// group_advantage.h - moments and advantages of a group's rewards, in double, for one ISA.
//
// No sum depends on the order of the rewards, as no addition rounds (tk_cuts). Four passes over a group: its range, its sum, its squares, its
// advantages. Short groups take them side by side, one in each lane. Rewards that are all equal have that very number as mean, and no deviation:
// not what rounding leaves of them. Floor: about 20 operations a reward, of which one is a division.
#include "../loss_kernels.h"
#include "vec64.h"

// REWARDS_FOR does what follows for all vectors v of x [n], by turns with k = 0 and 1: two chains of operations.
#define REWARDS_FOR(x, n, ...)                                                                               \
    int64_t i = 0;                                                                                           \
    for (; i + 2 * DL <= (n); i += 2 * DL)                                                                   \
        TK_UNROLL(2) for (int k = 0; k < 2; k++) { vd v = d_load((x) + i + k * DL); __VA_ARGS__ } \
    for (const int k = 0; i < (n); i += DL) { vd v = d_load_part((x) + i, (n) - i); __VA_ARGS__ }

static tk_reward_range TK_SIMD(reward_range)(const double *x, int64_t n)
{
    vd least[2] = {d_set1(INFINITY), d_set1(INFINITY)}, most[2] = {d_set1(-INFINITY), d_set1(-INFINITY)};
    vm count = {0};
    REWARDS_FOR(x, n, least[k] = d_min(v, least[k]); most[k] = d_max(v, most[k]); count -= (vm)(v == v);)
    double low[DL], high[DL];
    d_store(low, d_min(least[0], least[1])), d_store(high, d_max(most[0], most[1]));
    for (int l = 1; l < DL; l++) low[0] = low[l] < low[0] ? low[l] : low[0], high[0] = high[l] > high[0] ? high[l] : high[0];
    return (tk_reward_range){low[0], high[0], d_count(count)};
}

// reward_add adds v to sums that begin as the cuts. The first takes v rounded to its own last place; halfway between, that may be either
// neighbour, as the sum is odd or even, and the rest makes up for it. The second takes the rest rounded likewise, whose last bit is set: it is
// never halfway.
TK_INLINE void reward_add(vd v, vd *high, vd *low)
{
    vd sum = *high + v, rest = v - (sum - *high);
    *high = sum, *low += (vd)((vm)rest | 1);
}

TK_INLINE void reward_sum(const double *x, int64_t n, int squares, double mean, const tk_cuts *c, double sums[2])
{
    const vd scale = d_set1(c->scale), m = d_set1(mean), cut0 = d_set1(c->cut[0]), cut1 = d_set1(c->cut[1]);
    vd high[2] = {cut0, cut0}, low[2] = {cut1, cut1};
    REWARDS_FOR(x, n, reward_add(d_keep((vm)(v == v), squares ? (v - m) * (v - m) : v) * scale, &high[k], &low[k]);)
    sums[0] = d_sum((high[0] - cut0) + (high[1] - cut0)), sums[1] = d_sum((low[0] - cut1) + (low[1] - cut1));
}

static void TK_SIMD(advantages)(const double *x, int64_t n, double mean, double divisor, double *y)
{
    const vd m = d_set1(mean), d = d_set1(divisor);
    for (int64_t i = 0; i < n; i += DL) {
        vd v = d_load_part(x + i, n - i);
        d_store_part(y + i, divisor == 0 ? d_set1(0) : d_keep((vm)(v == v), (v - m) / d), n - i);
    }
}

static uint32_t TK_SIMD(group_look)(const int32_t *group, int64_t n, int64_t groups)
{
    uint32_t outside = 0, descends = 0;
    for (int64_t i = 0; i < n; i++) outside |= (uint32_t)group[i] >= (uint32_t)groups;
    for (int64_t i = 1; i < n; i++) descends |= group[i] < group[i - 1];
    return (outside ? TK_GROUPS_OUTSIDE : 0) | (descends ? TK_GROUPS_APART : 0);
}

static void TK_SIMD(reward_sum)(const double *x, int64_t n, const tk_cuts *c, double sums[2]) { reward_sum(x, n, 0, 0, c, sums); }
static void TK_SIMD(reward_squares)(const double *x, int64_t n, double mean, const tk_cuts *c, double sums[2])
{
    reward_sum(x, n, 1, mean, c, sums);
}

// A tile's rows are TILE vectors, side by side: what a group takes is a long chain of operations, each of which waits for the last.
enum { TILE = 4, TILE_LANES = TILE * DL };

#define TILE_FOR(k) TK_UNROLL(4) for (int k = 0; k < TILE; k++)

typedef uint32_t vn __attribute__((vector_size(4 * VL)));

// tile_row is where member j of each group stands, or the last of a group that has fewer.
TK_INLINE void tile_row(const tk_group_tile *t, int64_t j, uint32_t *at)
{
    for (int l = 0; l < TILE_LANES; l += VL) {
        vn row, last;
        memcpy(&row, t->first + l, sizeof row), memcpy(&last, t->last + l, sizeof last);
        row += (uint32_t)j;
        vn inside = (vn)(row < last);
        row = (row & inside) | (last & ~inside);
        memcpy(at + l, &row, sizeof row);
    }
}

// tile_cuts is tk_cuts_of for lanes whose largest magnitude is far from the ends of the exponents.
TK_INLINE void tile_cuts(vd most, vd n, vd cut[2])
{
    const vm power = (vm){0} + (0x7ffll << 52);
    n = (vd)((vm)n & power);
    cut[0] = (vd)((vm)most & power) * n * 12;
    cut[1] = cut[0] * n * 0x1p-51;
}

TK_INLINE vd tile_sum(const vd *high, const vd *low, const vd *cut) { return (*high - cut[0]) + (*low - cut[1]); }

static int TK_SIMD(group_tile)(const double *rewards, double *y, tk_group_tile *t, const tk_advantage_rule *r)
{
    const vd one = d_set1(1), small = d_set1(0x1p-700), large = d_set1(0x1p700), magic = d_set1(0x1p52);
    const int64_t members = t->members;
    double x[TK_TILE_MEMBERS][TILE_LANES], size[TILE_LANES];
    uint32_t at[TILE_LANES];
    vd least[TILE], most[TILE], n[TILE], mean[TILE], std[TILE], divisor[TILE], cut[TILE][2], high[TILE], low[TILE];
    vm count[TILE], differ[TILE], alone[TILE], fair = ~(vm){0};
    for (int l = 0; l < TILE_LANES; l++) size[l] = (double)(int32_t)(t->last[l] - t->first[l]);
    TILE_FOR(k) least[k] = d_set1(INFINITY), most[k] = d_set1(-INFINITY), count[k] = (vm){0};
    for (int64_t j = 0; j < members; j++) {
        tile_row(t, j, at);
        TILE_FOR(k)
        {
            vm outside = (vm)(d_load(size + k * DL) < d_set1((double)j));
            vd v = (vd)((vm)d_gather(rewards, at + k * DL) | outside);  // NaN
            d_store(x[j] + k * DL, v);
            least[k] = d_min(v, least[k]), most[k] = d_max(v, most[k]);
            count[k] -= (vm)(v == v);
        }
    }
    TILE_FOR(k)
    {
        differ[k] = (vm)(least[k] < most[k]);
        n[k] = (vd)(count[k] | (vm)magic) - magic;
        vd largest = d_max(d_neg(least[k]), most[k]);
        fair &= ((vm)(largest > small) & (vm)(largest < large)) | ~differ[k];
        tile_cuts(largest, n[k], cut[k]);
        high[k] = cut[k][0], low[k] = cut[k][1];
    }
    for (int64_t j = 0; j < members; j++)
        TILE_FOR(k)
        {
            vd v = d_load(x[j] + k * DL);
            reward_add(d_keep((vm)(v == v), v), &high[k], &low[k]);
        }
    TILE_FOR(k)
    {
        mean[k] = d_select(differ[k], tile_sum(&high[k], &low[k], cut[k]) / n[k], d_keep((vm)(n[k] > 0), least[k] + 0.0));
        vd down = least[k] - mean[k], up = most[k] - mean[k], square = d_max(down * down, up * up);
        fair &= ((vm)(square > small) & (vm)(square < large)) | ~differ[k];
        tile_cuts(square, n[k], cut[k]);
        high[k] = cut[k][0], low[k] = cut[k][1];
        alone[k] = r->lone ? (vm)(n[k] == 1) : (vm){0};
        mean[k] = d_drop(alone[k], mean[k]);
    }
    if (!d_all(fair)) return 0;
    for (int64_t j = 0; j < members; j++)
        TILE_FOR(k)
        {
            vd v = d_load(x[j] + k * DL), d = d_keep((vm)(v == v), v - mean[k]);
            d_store(x[j] + k * DL, d);
            reward_add(d * d, &high[k], &low[k]);
        }
    TILE_FOR(k)
    {
        std[k] = d_keep(differ[k], d_sqrt(tile_sum(&high[k], &low[k], cut[k]) / (n[k] - 1)));
        std[k] = d_select(alone[k], one, std[k]);
        divisor[k] = one;
        if (r->scale != TK_SCALE_NONE) divisor[k] = (r->scale == TK_SCALE_BATCH ? d_select(alone[k], one, d_set1(r->all)) : std[k]) + r->epsilon;
        d_store(t->mean + k * DL, mean[k]), d_store(t->std + k * DL, std[k]), d_store(t->n + k * DL, n[k]);
    }
    for (int64_t j = members; j-- > 0;) {  // the last of a group that has fewer is written last
        tile_row(t, j, at);
        TILE_FOR(k) d_scatter(y, at + k * DL, d_drop((vm)(divisor[k] == 0), d_load(x[j] + k * DL) / divisor[k]));
    }
    return 1;
}
