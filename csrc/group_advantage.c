// group_advantage.c - advantages of groups of rewards, in double.
//
//   rewards [n] f64, group [n] i32  ->  advantages [n] f64, mean, std [groups] f64, count [groups] i32
//
// Sums do not depend on the order of what they add (tk_cuts), so a group's rewards need only be brought together. Groups that stand together
// in ascending order, as a trainer has them, are done where they are, on all threads; so is one group of all. Up to a few thousand samples
// anywhere are indexed by group on the stack, by counting. Of more, the groups are linked lists, whose links live in the advantages to come: a
// slot that waits for its advantage is a NaN with a payload that no arithmetic makes, and the group's next member. A scan meets the first
// member of every group before the others, gathers the group, and leaves numbers in all its slots; so a group needs no memory of its own.
// Floor: rewards and groups read, advantages written.
#include <math.h>

#include "blocks.h"
#include "check.h"

enum {
    FEW = 4096,    // samples that are sorted on the stack: 48 KB, beside 25 KB of a tile
    GATHER = 512,  // members of a long list that are copied at a time: 6 KB
    COST = 48,     // of a sample, in bytes moved
    PASS = 16,     // the same, of one of four passes
    PARTS = 64,    // of a pass over all samples
};

// A list is the index of its first element, and every element's slot holds the next; NONE ends it.
#define NONE 0x7fffffffu

// A waiting slot: the tag (a quiet NaN), and the next member in the lower half.
#define TAG 0x7ffc5a3100000000ull
#define TAG_MASK 0xffffffff00000000ull

typedef struct groups {
    const tk_loss_kernels *k;
    const double *rewards;
    const int32_t *group;
    double *advantages, *mean, *std;
    int32_t *count;
    int64_t n, groups;
    tk_advantage_rule rule;
} groups;

static void report(const groups *f, int32_t g, tk_moments m)
{
    if (f->mean) f->mean[g] = m.mean;
    if (f->std) f->std[g] = m.std;
    if (f->count) f->count[g] = (int32_t)m.n;
}

// A tile is groups side by side, that wait for being done together. The members of the group in lane l are the samples from first[l] on, or
// those of an index that few[l] or index[l] is.
typedef struct tile {
    const groups *f;
    enum { RUNS, SORTED, LINKED } what;
    int all, lanes;   // of the kernel, and those that are filled
    int64_t members;  // of the largest group
    int32_t group[TK_TILE_LANES], n[TK_TILE_LANES];
    int64_t first[TK_TILE_LANES];
    const uint16_t *few[TK_TILE_LANES];
    uint32_t index[TK_TILE_LANES][TK_TILE_MEMBERS];
    double value[TK_TILE_MEMBERS * TK_TILE_LANES];
} tile;

static void tile_flush(tile *t)
{
    const int all = t->all, lanes = t->lanes;
    double *const y = t->f->advantages;
    tk_moments m[TK_TILE_LANES];
    for (int l = 0; l < all; l++)
        for (int64_t j = l < lanes ? t->n[l] : 0; j < t->members; j++) t->value[j * all + l] = NAN;
    t->f->k->group_tile(t->value, t->members, &t->f->rule, m);
    for (int l = 0; l < lanes; l++) {
        const double *v = t->value + l;
        const int32_t n = t->n[l];
        const uint32_t *index = t->index[l];
        const uint16_t *few = t->few[l];
        double *run = y + t->first[l];
        switch (t->what) {
        case RUNS: for (int32_t j = 0; j < n; j++) run[j] = v[j * all]; break;
        case SORTED: for (int32_t j = 0; j < n; j++) y[few[j]] = v[j * all]; break;
        case LINKED: for (int32_t j = 0; j < n; j++) y[index[j]] = v[j * all]; break;
        }
        report(t->f, t->group[l], m[l]);
    }
    t->lanes = 0, t->members = 0;
}

// tile_end ends the group whose n members stand in lane t->lanes.
static inline void tile_end(tile *t, int32_t group, int64_t n)
{
    t->group[t->lanes] = group, t->n[t->lanes] = (int32_t)n;
    if (n > t->members) t->members = n;
    if (++t->lanes == t->all) tile_flush(t);
}

static inline void tile_begin(tile *t, const groups *f, int what)
{
    t->f = f, t->what = what, t->all = f->k->lanes, t->lanes = 0, t->members = 0;
    memset(t->first, 0, sizeof t->first);
    memset(t->few, 0, sizeof t->few);
}

// runs does the groups that begin at samples [i0, i1), of groups that stand together.
static void runs(const void *arg, int64_t i0, int64_t i1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const groups *f = arg;
    const int32_t *group = f->group;
    const int64_t n = f->n;
    tile t;
    tile_begin(&t, f, RUNS);
    while (i0 > 0 && i0 < i1 && group[i0] == group[i0 - 1]) i0++;
    for (int64_t i = i0, end; i < i1; i = end) {
        const int32_t g = group[i];
        const double *r = f->rewards + i;
        double *v = t.value + t.lanes;
        const int all = t.all;
        for (end = i; end < n && group[end] == g && end - i < TK_TILE_MEMBERS; end++) v[(end - i) * all] = r[end - i];
        while (end + 256 < n && group[end + 256] == g) end += 256;  // they ascend
        while (end < n && group[end] == g) end++;
        if (end - i <= TK_TILE_MEMBERS) {
            t.first[t.lanes] = i;
            tile_end(&t, g, end - i);
        } else {
            report(f, g, f->k->group(r, end - i, &f->rule, f->advantages + i));
        }
    }
    if (t.lanes) tile_flush(&t);
}

// sorted does up to FEW samples. Those that are masked go to a place of their own.
static void sorted(const groups *f)
{
    const int32_t *group = f->group;
    const double *rewards = f->rewards;
    double *y = f->advantages;
    const int64_t n = f->n, groups = f->groups;
    uint16_t start[FEW + 1], index[FEW + 1];
    memset(start, 0, (size_t)(groups + 1) * sizeof *start);
    for (int64_t i = 0; i < n; i++) start[group[i]] = (uint16_t)(start[group[i]] + !isnan(rewards[i]));
    uint16_t all = 0;
    for (int64_t g = 0; g < groups; g++) start[g] = all = (uint16_t)(all + start[g]);  // its end, until its members are in
    start[groups] = all;
    for (int64_t i = n; i-- > 0;) {
        int masked = isnan(rewards[i]);
        uint16_t at = (uint16_t)(start[group[i]] - !masked);
        start[group[i]] = at;
        index[masked ? FEW : at] = (uint16_t)i;
        y[i] = 0;
    }
    tile t;
    tile_begin(&t, f, SORTED);
    for (int64_t g = 0; g < groups; g++) {
        const uint16_t *of = index + start[g];
        const int64_t members = start[g + 1] - start[g];
        if (members == 0) continue;
        if (members <= TK_TILE_MEMBERS) {
            double *v = t.value + t.lanes;
            const int lanes = t.all;
            for (int64_t j = 0; j < members; j++) v[j * lanes] = rewards[of[j]];
            t.few[t.lanes] = of;
            tile_end(&t, (int32_t)g, members);
        } else {
            double value[FEW];
            for (int64_t j = 0; j < members; j++) value[j] = rewards[of[j]];
            report(f, (int32_t)g, f->k->group(value, members, &f->rule, value));
            for (int64_t j = 0; j < members; j++) y[of[j]] = value[j];
        }
    }
    if (t.lanes) tile_flush(&t);
}

// link_groups leaves in every slot of an unmasked reward its link, and in the others their advantage, 0. While lists are made, the upper
// half of slot g is the first member of group g (there are no more groups than slots), the lower half of slot i the next member after i.
static void link_groups(uint64_t *s, const double *rewards, const int32_t *group, int64_t n)
{
    for (int64_t i = 0; i < n; i++) s[i] = (uint64_t)NONE << 32 | NONE;
    for (int64_t i = n; i-- > 0;)
        if (!isnan(rewards[i])) {
            uint64_t *head = &s[group[i]];
            s[i] = (s[i] & TAG_MASK) | *head >> 32;
            *head = (uint64_t)i << 32 | (*head & ~TAG_MASK);
        }
    for (int64_t i = 0; i < n; i++) s[i] = isnan(rewards[i]) ? 0 : TAG | (s[i] & ~TAG_MASK);
}

typedef struct gathered {
    uint32_t index[GATHER];
    double value[GATHER];
    int64_t n;
} gathered;

// gather copies the next members of a list, and returns the rest of it.
static uint32_t gather(const uint64_t *s, const double *rewards, uint32_t list, gathered *p)
{
    for (p->n = 0; p->n < GATHER && list != NONE; list = (uint32_t)s[list]) {
        p->index[p->n] = list;
        p->value[p->n++] = rewards[list];
    }
    return list;
}

// long_list does a group of any size, a part at a time; p is its first part.
static tk_moments long_list(const groups *f, const uint64_t *s, uint32_t list, gathered *p)
{
    const tk_loss_kernels *k = f->k;
    tk_reward_range range = TK_NO_REWARDS;
    for (uint32_t rest = list; rest != NONE;) {
        rest = gather(s, f->rewards, rest, p);
        k->reward_range(p->value, p->n, &range);
    }
    tk_moments m = {.mean = range.least + 0.0, .n = range.n};
    if (range.least < range.most) {
        double sums[2] = {0}, both[2] = {0};
        tk_cuts c = tk_cuts_of(tk_largest(range.least, range.most), m.n);
        for (uint32_t rest = list; rest != NONE;) {
            rest = gather(s, f->rewards, rest, p);
            k->reward_sum(p->value, p->n, &c, sums);
        }
        m.mean = tk_mean(sums, &c, m.n);
        double squares = tk_most_square(&range, m.mean);
        if (squares > 0 && squares < INFINITY) {
            c = tk_cuts_of(squares, m.n);
            for (uint32_t rest = list; rest != NONE;) {
                rest = gather(s, f->rewards, rest, p);
                k->reward_squares(p->value, p->n, m.mean, &c, both);
            }
            squares = tk_sum(both, &c);
        }
        m.std = sqrt(squares / (double)(m.n - 1));
    }
    double divisor = tk_advantage_divisor(&f->rule, &m);
    while (list != NONE) {
        list = gather(s, f->rewards, list, p);
        k->advantages(p->value, p->n, m.mean, divisor, p->value);
        for (int64_t i = 0; i < p->n; i++) f->advantages[p->index[i]] = p->value[i];
    }
    return m;
}

static void linked(const groups *f)
{
    uint64_t *s = (uint64_t *)f->advantages;
    gathered p;
    tile t;
    tile_begin(&t, f, LINKED);
    link_groups(s, f->rewards, f->group, f->n);
    for (int64_t i = 0; i < f->n; i++) {
        if ((s[i] & TAG_MASK) != TAG) continue;  // has its advantage, or waits in the tile
        int64_t n = 0;
        uint32_t list = (uint32_t)i, *index = t.index[t.lanes];
        double *v = t.value + t.lanes;
        for (uint32_t next; list != NONE && n < TK_TILE_MEMBERS; list = next, n++) {
            next = (uint32_t)s[list];
            index[n] = list;
            v[n * t.all] = f->rewards[list];
        }
        if (list == NONE) {
            for (int64_t j = 0; j < n; j++) s[index[j]] = 0;
            tile_end(&t, f->group[i], n);
        } else {
            report(f, f->group[i], long_list(f, s, (uint32_t)i, &p));
        }
    }
    if (t.lanes) tile_flush(&t);
}

// A pass over all rewards as one group, in parts that are summed in any order.
typedef struct whole {
    const groups *f;
    enum { RANGE, SUM, SQUARES, ADVANTAGES } what;
    int64_t part;  // samples
    double mean, divisor;
    tk_cuts cuts;
    tk_reward_range range[PARTS];
    double sums[PARTS][2];
} whole;

static void whole_parts(const void *arg, int64_t part0, int64_t part1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    whole *w = (whole *)(uintptr_t)arg;
    const tk_loss_kernels *k = w->f->k;
    for (int64_t p = part0; p < part1; p++) {
        const int64_t i = p * w->part, n = w->f->n - i < w->part ? w->f->n - i : w->part;
        const double *x = w->f->rewards + i;
        switch (w->what) {
        case RANGE: k->reward_range(x, n, &w->range[p]); break;
        case SUM: k->reward_sum(x, n, &w->cuts, w->sums[p]); break;
        case SQUARES: k->reward_squares(x, n, w->mean, &w->cuts, w->sums[p]); break;
        case ADVANTAGES: k->advantages(x, n, w->mean, w->divisor, w->f->advantages + i); break;
        }
    }
}

static int64_t whole_pass(tk_context *cx, whole *w, int what)
{
    const int64_t parts = tk_ceil_div(w->f->n, w->part);
    w->what = what;
    for (int64_t p = 0; p < parts; p++) w->range[p] = TK_NO_REWARDS, w->sums[p][0] = w->sums[p][1] = 0;
    tk_run_blocks(cx, parts, 1, w->part * PASS, TK_WHOLE_ROWS, whole_parts, w);
    return parts;
}

static void whole_sum(tk_context *cx, whole *w, int what, double sums[2])
{
    const int64_t parts = whole_pass(cx, w, what);
    sums[0] = sums[1] = 0;
    for (int64_t p = 0; p < parts; p++) sums[0] += w->sums[p][0], sums[1] += w->sums[p][1];
}

static tk_moments whole_moments(tk_context *cx, whole *w)
{
    tk_reward_range range = TK_NO_REWARDS;
    const int64_t parts = whole_pass(cx, w, RANGE);
    for (int64_t p = 0; p < parts; p++) {
        range.least = fmin(range.least, w->range[p].least), range.most = fmax(range.most, w->range[p].most);
        range.n += w->range[p].n;
    }
    tk_moments m = {.mean = range.n ? range.least + 0.0 : 0, .n = range.n};
    if (!(range.least < range.most)) return m;
    double sums[2];
    w->cuts = tk_cuts_of(tk_largest(range.least, range.most), m.n);
    whole_sum(cx, w, SUM, sums);
    m.mean = w->mean = tk_mean(sums, &w->cuts, m.n);
    double squares = tk_most_square(&range, m.mean);
    if (squares > 0 && squares < INFINITY) {
        w->cuts = tk_cuts_of(squares, m.n);
        whole_sum(cx, w, SQUARES, sums);
        squares = tk_sum(sums, &w->cuts);
    }
    m.std = sqrt(squares / (double)(m.n - 1));
    return m;
}

int32_t tk_cpu_group_advantage(uint64_t ctx, tk_group_advantage_args *a, tk_error *err)
{
    TK_ENTER("group_advantage");
    TK_REQUIRE(a->scale <= TK_SCALE_NONE, "group_advantage: scale %u is none of TK_SCALE_*", a->scale);
    TK_REQUIRE(a->lone <= 1, "group_advantage: lone is %u, want 0 or 1", a->lone);
    TK_REQUIRE(a->n >= 0 && a->n < (int64_t)NONE, "group_advantage: n is %lld", (long long)a->n);
    TK_REQUIRE(a->groups >= 0 && a->groups <= a->n, "group_advantage: groups is %lld, of n = %lld samples", (long long)a->groups,
               (long long)a->n);
    TK_REQUIRE(a->epsilon >= 0 && isfinite(a->epsilon), "group_advantage: epsilon is %g", a->epsilon);
    TK_TRY(tk_check_vector(err, "group_advantage", "rewards", a->rewards, a->n, 8));
    TK_TRY(tk_check_vector(err, "group_advantage", "group", a->group, a->n, 4));
    TK_TRY(tk_check_vector(err, "group_advantage", "advantages", a->advantages, a->n, 8));
    if (a->mean) TK_TRY(tk_check_vector(err, "group_advantage", "mean", a->mean, a->groups, 8));
    if (a->std) TK_TRY(tk_check_vector(err, "group_advantage", "std", a->std, a->groups, 8));
    if (a->count) TK_TRY(tk_check_vector(err, "group_advantage", "count", a->count, a->groups, 4));
    const double *rewards = TK_PTR(const double, a->rewards);
    const int32_t *group = TK_PTR(const int32_t, a->group);
    const uint32_t seen = cx->kernels->loss.reward_look(rewards, group, a->n, a->groups), bad = seen & TK_REWARDS_BAD;
    if (bad) TK_TRY(tk_check_ids(err, "group_advantage", "group", group, a->n, a->groups));
    for (int64_t i = 0; bad && i < a->n; i++)
        TK_REQUIRE(!isinf(rewards[i]), "group_advantage: rewards[%lld] is %g: want a number, or NaN for a masked sample", (long long)i,
                   rewards[i]);

    groups f = {.k = &cx->kernels->loss, .rewards = rewards, .group = group, .advantages = TK_PTR(double, a->advantages),
                .mean = TK_PTR(double, a->mean), .std = TK_PTR(double, a->std), .count = TK_PTR(int32_t, a->count), .n = a->n, .groups = a->groups,
                .rule = {.epsilon = a->epsilon, .scale = a->scale, .lone = a->lone}};
    const int reports = f.mean || f.std || f.count;
    for (int64_t g = 0; reports && g < a->groups; g++) report(&f, (int32_t)g, (tk_moments){0});  // what a group without members has
    if (a->n == 0) return TK_OK;
    whole w = {.f = &f, .part = tk_ceil_div(a->n, PARTS * 64) * 64};
    if (a->scale == TK_SCALE_BATCH) f.rule.all = whole_moments(cx, &w).std;
    if (a->groups == 1) {
        tk_moments m = whole_moments(cx, &w);
        w.divisor = tk_advantage_divisor(&f.rule, &m);
        w.mean = m.mean;
        whole_pass(cx, &w, ADVANTAGES);
        report(&f, 0, m);
    } else if (!(seen & TK_REWARDS_APART)) tk_run_blocks(cx, a->n, 1, COST, TK_WHOLE_ROWS, runs, &f);
    else if (a->n <= FEW) sorted(&f);
    else linked(&f);
    return TK_OK;
}
