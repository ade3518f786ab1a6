// group_advantage.c - advantages of groups of rewards, in double.
//
//   rewards [n] f64, group [n] i32  ->  advantages [n] f64, mean, std [groups] f64, count [groups] i32
//
// The members of a group may stand anywhere, and their rewards are added in ascending order, so they are sorted: as linked lists, whose
// links live in the advantages to come. A slot that waits for its advantage is a NaN with a payload that no arithmetic makes: the group's next
// member. A scan meets the first member of every group before the others, sorts the group's list, and leaves numbers in all its slots;
// so a group needs neither a table nor memory of its own. O(n log n), one thread: n is the number of samples of a training step.
#include <math.h>

#include "check.h"

// A list is the index of its first element, and every element's slot holds the next; NONE ends it.
#define NONE 0x7fffffffu

// A waiting slot: the tag (a quiet NaN), and the next member in the lower half.
#define TAG 0x7ffc5a3100000000ull
#define TAG_MASK 0xffffffff00000000ull

typedef struct slots {
    uint64_t *s;
    const double *rewards;
} slots;

static inline uint32_t next_of(const slots *l, uint32_t i) { return (uint32_t)l->s[i]; }
static inline void set_next(slots *l, uint32_t i, uint32_t next) { l->s[i] = TAG | next; }

static uint32_t merge(slots *l, uint32_t a, uint32_t b)
{
    uint32_t head = NONE, tail = NONE;
    while (a != NONE || b != NONE) {
        uint32_t *from = b == NONE || (a != NONE && l->rewards[a] <= l->rewards[b]) ? &a : &b;
        uint32_t taken = *from;
        *from = next_of(l, taken);
        if (tail == NONE)
            head = taken;
        else
            set_next(l, tail, taken);
        tail = taken;
    }
    if (tail != NONE) set_next(l, tail, NONE);
    return head;
}

// sort takes n elements off *list and returns them as a list in ascending order.
static uint32_t sort(slots *l, uint32_t *list, int64_t n)
{
    if (n == 0) return NONE;
    if (n == 1) {
        uint32_t one = *list;
        *list = next_of(l, one);
        set_next(l, one, NONE);
        return one;
    }
    uint32_t a = sort(l, list, n / 2);
    return merge(l, a, sort(l, list, n - n / 2));
}

typedef struct moments {
    double mean, std;
    int64_t n;
} moments;

// moments_of a sorted list. Rewards that are all equal have that very number as mean, and no deviation: not what rounding leaves of
// them. So their advantages are 0 exactly.
static moments moments_of(const slots *l, uint32_t list)
{
    moments m = {0};
    double sum = 0, squares = 0;
    int equal = 1;
    for (uint32_t i = list; i != NONE; i = next_of(l, i)) {
        sum += l->rewards[i];
        equal &= l->rewards[i] == l->rewards[list];
        m.n++;
    }
    if (m.n == 0) return m;
    if (equal) {
        m.mean = l->rewards[list] + 0.0;  // of -0 and 0 it is 0, whichever comes first
        return m;
    }
    m.mean = sum / (double)m.n;
    for (uint32_t i = list; i != NONE; i = next_of(l, i)) {
        double d = l->rewards[i] - m.mean;
        squares += d * d;
    }
    m.std = sqrt(squares / (double)(m.n - 1));
    return m;
}

// batch_std is the deviation of all unmasked rewards.
static double batch_std(slots *l, int64_t n)
{
    uint32_t list = NONE;
    int64_t count = 0;
    for (int64_t i = n; i-- > 0;)
        if (!isnan(l->rewards[i])) {
            set_next(l, (uint32_t)i, list);
            list = (uint32_t)i;
            count++;
        }
    return moments_of(l, sort(l, &list, count)).std;
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

int32_t tk_cpu_group_advantage(uint64_t ctx, tk_group_advantage_args *a, tk_error *err)
{
    TK_ENTER("group_advantage");
    (void)cx;
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
    TK_TRY(tk_check_ids(err, "group_advantage", "group", group, a->n, a->groups));
    for (int64_t i = 0; i < a->n; i++)
        TK_REQUIRE(!isinf(rewards[i]), "group_advantage: rewards[%lld] is %g: want a number, or NaN for a masked sample", (long long)i,
                   rewards[i]);

    double *mean = TK_PTR(double, a->mean), *std = TK_PTR(double, a->std), *advantages = TK_PTR(double, a->advantages);
    int32_t *count = TK_PTR(int32_t, a->count);
    for (int64_t g = 0; g < a->groups; g++) {  // what a group without members has
        if (mean) mean[g] = 0;
        if (std) std[g] = 0;
        if (count) count[g] = 0;
    }
    slots l = {TK_PTR(uint64_t, a->advantages), rewards};
    double all = a->scale == TK_SCALE_BATCH ? batch_std(&l, a->n) : 0;
    link_groups(l.s, rewards, group, a->n);
    for (int64_t i = 0; i < a->n; i++) {
        if ((l.s[i] & TAG_MASK) != TAG) continue;  // has its advantage
        int64_t n = 0;
        for (uint32_t j = (uint32_t)i; j != NONE; j = next_of(&l, j)) n++;
        uint32_t rest = (uint32_t)i, list = sort(&l, &rest, n);
        moments m = moments_of(&l, list);
        if (n == 1 && a->lone) m = (moments){.mean = 0, .std = 1, .n = 1};
        double s = a->scale == TK_SCALE_BATCH && !(n == 1 && a->lone) ? all : m.std;
        double divisor = a->scale == TK_SCALE_NONE ? 1 : s + a->epsilon;
        for (uint32_t j = list; j != NONE;) {
            uint32_t next = next_of(&l, j);
            // A deviation too small for a square in double counts as none.
            double v = divisor == 0 ? 0 : (rewards[j] - m.mean) / divisor;
            advantages[j] = isnan(v) ? NAN : v;  // never the tag
            j = next;
        }
        if (mean) mean[group[i]] = m.mean;
        if (std) std[group[i]] = m.std;
        if (count) count[group[i]] = (int32_t)n;
    }
    return TK_OK;
}
