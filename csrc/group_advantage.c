// group_advantage.c - advantages of groups of rewards, in double.
//
//   rewards [n] f64, group [n] i32  ->  advantages [n] f64, mean, std [groups] f64, count [groups] i32
//
// Rewards that do not stand together by group, as a trainer has them, are sorted by counting, and their advantages go back to where they
// stood. Short groups are done in tiles, one in each lane; a group of thousands is shared out in parts. Tiles are shared out where no sorting is
// needed: what one thread has sorted is in its cache, and for another to fetch it, and for the first to fetch it back, takes longer than tiles do.
// Sums do not depend on the order of what they add (tk_cuts), so no result depends on where a sample stands. Floor: rewards and groups read,
// advantages written.
#include <math.h>

#include "blocks.h"
#include "check.h"

enum {
    COST = 96,    // of a sample in a tile, in bytes moved
    PASS = 16,    // the same, of a pass over samples
    LONG = 4096,  // samples: a group of more has all threads
    PARTS = 64,   // the most of what all threads have
    PART = 4096,  // samples: the least of a part
};

// A pass goes over samples in parts, in any order.
typedef struct pass {
    const tk_loss_kernels *k;
    enum { LOOK, SUM, SQUARES, ADVANTAGES } what;
    const double *x;
    const int32_t *group;  // of samples that are looked at for the first time, or NULL
    double *y;
    int64_t n, part, groups;
    double mean, divisor;
    tk_cuts cuts;
    struct part { double sums[2]; tk_reward_range range; uint32_t seen; } parts[PARTS];
} pass;

static void pass_parts(const void *arg, int64_t part0, int64_t part1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    pass *w = (pass *)(uintptr_t)arg;
    const tk_loss_kernels *k = w->k;
    for (int64_t i = part0; i < part1; i++) {
        const int64_t from = i * w->part, n = w->n - from < w->part ? w->n - from : w->part;
        const double *x = w->x + from;
        struct part *p = &w->parts[i];
        switch (w->what) {
        case LOOK:
            p->seen = w->group ? k->group_look(w->group + from, n, w->groups) : 0;
            if (w->group && from && w->group[from] < w->group[from - 1]) p->seen |= TK_GROUPS_APART;
            p->range = k->reward_range(x, n);
            break;
        case SUM: k->reward_sum(x, n, &w->cuts, p->sums); break;
        case SQUARES: k->reward_squares(x, n, w->mean, &w->cuts, p->sums); break;
        case ADVANTAGES: k->advantages(x, n, w->mean, w->divisor, w->y + from); break;
        }
    }
}

// run does a pass, on all threads where cx is not NULL, and adds up its parts.
static struct part run(tk_context *cx, pass *w, int what)
{
    struct part all = {.range = TK_NO_REWARDS};
    w->what = what, w->part = w->n;
    if (cx) w->part = w->n > PARTS * PART ? tk_ceil_div(w->n, PARTS * 64) * 64 : PART;
    const int64_t parts = tk_ceil_div(w->n, w->part);
    if (cx) tk_run_blocks(cx, parts, 1, w->part * PASS, TK_WHOLE_ROWS, pass_parts, w);
    else pass_parts(w, 0, parts, 0, 1);
    for (const struct part *p = w->parts; p < w->parts + parts; p++) {
        if (what == LOOK) {
            all.range = (tk_reward_range){fmin(all.range.least, p->range.least), fmax(all.range.most, p->range.most), all.range.n + p->range.n};
            all.seen |= p->seen;
        } else {
            all.sums[0] += p->sums[0], all.sums[1] += p->sums[1];
        }
    }
    return all;
}

static tk_moments moments(tk_context *cx, pass *w, const tk_reward_range *r)
{
    tk_moments m = {.n = r->n, .mean = r->n ? r->least + 0.0 : 0};
    if (!(r->least < r->most)) return m;
    w->cuts = tk_cuts_of(tk_largest(r->least, r->most), m.n);
    m.mean = w->mean = tk_mean(run(cx, w, SUM).sums, &w->cuts, m.n);
    double squares = tk_most_square(r, m.mean);
    if (squares > 0 && squares < INFINITY) {
        w->cuts = tk_cuts_of(squares, m.n);
        squares = tk_sum(run(cx, w, SQUARES).sums, &w->cuts);
    }
    m.std = sqrt(squares / (double)(m.n - 1));
    return m;
}

typedef struct groups {
    const tk_group_advantage_args *a;
    const tk_loss_kernels *k;
    const double *x;       // the rewards, group by group
    double *y;             // the advantages, likewise; may be x
    const uint32_t *slot;  // of each sample in x
    const uint32_t *end;   // of each group in x
    int64_t from;          // the first of the groups that are shared out
    tk_reward_range all;
    tk_advantage_rule rule;
} groups;

static uint32_t first_of(const groups *f, int64_t g) { return g ? f->end[g - 1] : 0; }

static void report(const groups *f, int64_t g, double mean, double std, double n)
{
    if (f->a->mean) TK_PTR(double, f->a->mean)[g] = mean;
    if (f->a->std) TK_PTR(double, f->a->std)[g] = std;
    if (f->a->count) TK_PTR(int32_t, f->a->count)[g] = (int32_t)n;
}

static void one_group(const groups *f, tk_context *cx, int64_t g)
{
    const uint32_t first = first_of(f, g);
    pass w = {.k = f->k, .x = f->x + first, .y = f->y + first, .n = f->end[g] - first};
    tk_moments m = {0};
    if (w.n > 0) {
        const tk_reward_range range = w.n == f->a->n ? f->all : run(cx, &w, LOOK).range;
        m = moments(cx, &w, &range);
        w.divisor = tk_advantage_divisor(&f->rule, &m), w.mean = m.mean;
        run(cx, &w, ADVANTAGES);
    }
    report(f, g, m.mean, m.std, (double)m.n);
}

static void tile_of_groups(const groups *f, tk_group_tile *t, const int32_t *group, int filled)
{
    for (int l = filled; l < f->k->lanes; l++) t->first[l] = t->first[0], t->last[l] = t->last[0];  // the same again
    const int done = f->k->group_tile(f->x, f->y, t, &f->rule);
    for (int l = 0; l < filled; l++) {
        if (done) report(f, group[l], t->mean[l], t->std[l], t->n[l]);
        else one_group(f, NULL, group[l]);
    }
}

static void share_of_groups(const void *arg, int64_t g0, int64_t g1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const groups *f = arg;
    tk_group_tile t = {.members = 0};
    int32_t group[TK_TILE_LANES];
    int filled = 0;
    uint32_t first = first_of(f, f->from + g0), end;
    for (int64_t g = f->from + g0; g < f->from + g1; g++, first = end) {
        end = f->end[g];
        if (end - first - 1 >= TK_TILE_MEMBERS) {  // or none
            one_group(f, NULL, g);
            continue;
        }
        group[filled] = (int32_t)g, t.first[filled] = first, t.last[filled] = end - 1;
        if (end - first > t.members) t.members = end - first;
        if (++filled == f->k->lanes) tile_of_groups(f, &t, group, filled), filled = 0, t.members = 0;
    }
    if (filled) tile_of_groups(f, &t, group, filled);
}

static void take_back(const groups *f)
{
    double *y = TK_PTR(double, f->a->advantages);
    for (int64_t i = 0; i < f->a->n; i++) y[i] = f->y[f->slot[i]];
}

// sort brings rewards together by group (Knuth, The Art of Computer Programming, 5.2, algorithm D), and says where each one went.
static void sort(const double *rewards, const int32_t *group, int64_t n, int64_t groups, uint32_t *end, uint32_t *slot, double *sorted)
{
    for (int64_t i = 0; i < n; i++) end[group[i]]++;
    uint32_t before = 0;
    for (int64_t g = 0; g < groups; g++) {  // until its members are in, a group's end is its beginning
        const uint32_t members = end[g];
        end[g] = before, before += members;
    }
    for (int64_t i = 0; i < n; i++) sorted[slot[i] = end[group[i]]++] = rewards[i];
}

// find_ends is for groups that ascend.
static void find_ends(const int32_t *group, int64_t n, int64_t groups, uint32_t *end)
{
    for (int64_t i = 0, last; i < n; end[group[i]] = (uint32_t)last, i = last) {
        for (last = i + 1; last + 64 < n && group[last + 64] == group[i];) last += 64;
        while (last < n && group[last] == group[i]) last++;
    }
    for (int64_t g = 1; g < groups; g++) end[g] = end[g] ? end[g] : end[g - 1];  // of empty ones
}

int32_t tk_cpu_group_advantage(uint64_t ctx, tk_group_advantage_args *a, tk_error *err)
{
    TK_ENTER("group_advantage");
    TK_REQUIRE(a->scale <= TK_SCALE_NONE, "group_advantage: scale %u is none of TK_SCALE_*", a->scale);
    TK_REQUIRE(a->lone <= 1, "group_advantage: lone is %u, want 0 or 1", a->lone);
    TK_REQUIRE(a->n >= 0 && a->n <= INT32_MAX, "group_advantage: n is %lld", (long long)a->n);
    TK_REQUIRE(a->groups >= 0 && a->groups <= a->n, "group_advantage: groups is %lld, of n = %lld samples", (long long)a->groups,
               (long long)a->n);
    TK_REQUIRE(a->epsilon >= 0 && isfinite(a->epsilon), "group_advantage: epsilon is %g", a->epsilon);
    TK_TRY(tk_check_vector(err, "group_advantage", "rewards", a->rewards, a->n, 8));
    TK_TRY(tk_check_vector(err, "group_advantage", "group", a->group, a->n, 4));
    TK_TRY(tk_check_vector(err, "group_advantage", "advantages", a->advantages, a->n, 8));
    TK_TRY(tk_check_vector(err, "group_advantage", "workspace", a->workspace, 2 * a->n, 8));
    if (a->mean) TK_TRY(tk_check_vector(err, "group_advantage", "mean", a->mean, a->groups, 8));
    if (a->std) TK_TRY(tk_check_vector(err, "group_advantage", "std", a->std, a->groups, 8));
    if (a->count) TK_TRY(tk_check_vector(err, "group_advantage", "count", a->count, a->groups, 4));
    if (a->n == 0) return TK_OK;
    const int64_t n = a->n;
    const double *rewards = TK_PTR(const double, a->rewards);
    const int32_t *group = TK_PTR(const int32_t, a->group);
    pass w = {.k = cx->kernels->loss, .x = rewards, .group = group, .n = n, .groups = a->groups};
    const struct part all = run(cx, &w, LOOK);
    if (all.seen & TK_GROUPS_OUTSIDE) return tk_check_ids(err, "group_advantage", "group", group, n, a->groups);
    const int infinite = all.range.n > 0 && (isinf(all.range.least) || isinf(all.range.most));
    for (int64_t i = 0; infinite && i < n; i++)
        TK_REQUIRE(!isinf(rewards[i]), "group_advantage: rewards[%lld] is %g: want a number, or NaN for a masked sample", (long long)i,
                   rewards[i]);

    double *sorted = TK_PTR(double, a->workspace);
    uint32_t *slot = (uint32_t *)(sorted + n), *end = slot + n;
    groups f = {.a = a, .k = cx->kernels->loss, .x = rewards, .y = TK_PTR(double, a->advantages), .slot = slot, .end = end, .all = all.range,
                .rule = {.epsilon = a->epsilon, .scale = a->scale, .lone = a->lone}};
    if (a->scale == TK_SCALE_BATCH) f.rule.all = moments(cx, &w, &all.range).std;
    memset(end, 0, (size_t)a->groups * sizeof *end);
    const int apart = all.seen & TK_GROUPS_APART;
    if (apart) sort(rewards, group, n, a->groups, end, slot, sorted), f.x = f.y = sorted;
    else find_ends(group, n, a->groups, end);
    for (int64_t g = 0, last; g < a->groups; g = last) {
        for (last = f.from = g; last < a->groups && end[last] - first_of(&f, last) <= LONG; last++) {}
        if (last == g) one_group(&f, cx, last++);
        else if (apart) share_of_groups(&f, 0, last - g, 0, 1);
        else tk_run_blocks(cx, last - g, 1, tk_ceil_div(n, a->groups) * COST, TK_WHOLE_ROWS, share_of_groups, &f);
    }
    if (apart) take_back(&f);
    return TK_OK;
}
